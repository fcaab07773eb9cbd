"""
Rules for tests, and who is asked about.
"""

from __future__ import annotations

from textwrap import dedent

from smtpsource.sink.rules.facts import Facts
from smtpsource.sink.rules.ruleset import RuleSet
from smtpsource.sink.rules.written import fromExpressions, fromTOML


def ruleSet(text: str) -> RuleSet:
    """
    @param text: a file, or what is enough for one rule.
    """
    return fromTOML(dedent(text), "rules.toml")


def oneRule(text: str) -> RuleSet:
    """
    @param text: an inline table.
    """
    return fromExpressions([text])


def facts(**some: object) -> Facts:
    """
    A session with a message on its way, but for what is given.
    """
    usual = {
        "client": "192.0.2.1",
        "helo": "client.example",
        "sender": "me@sender.test",
        "recipient": "you@recipient.test",
    }
    return Facts(**{**usual, **some})


def named(rules: RuleSet, step: str, now: float = 0.0, **some: object) -> tuple[str, ...]:
    """
    @return: the names of the rules that have a part in what is decided.
    """
    fate = rules.decide(step, facts(**some), now)
    return fate.rules if fate is not None else ()


def applies(rules: RuleSet, step: str, now: float = 0.0, **some: object) -> bool:
    """
    Is anything other than the usual decided?
    """
    return bool(named(rules, step, now, **some))
