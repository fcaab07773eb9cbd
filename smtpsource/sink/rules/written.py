"""
Rules as people write them: in files, on a command line, and those that come with the sink.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources

from smtpsource.sink.rules import PROFILES
from smtpsource.sink.rules.facts import Step
from smtpsource.sink.rules.lines import lineOf
from smtpsource.sink.rules.problems import Wrong, alternatives, inWords, suggestion
from smtpsource.sink.rules.rule import Rule
from smtpsource.sink.rules.ruleset import RuleSet
from smtpsource.values import inputs, textfiles, tomltext

_EXAMPLE = 'on = "rcpt", chance = "5%", do = { reply = "451 4.7.1 come back" }'


def fromTOML(text: str, name: str) -> RuleSet:
    """
    @param name: of the file.
    @raise ValueError: it can't be used; the text is one line, with the place.
    """
    return _fromBytes(text.encode("utf-8", "surrogatepass"), name)


def fromFile(path: str) -> RuleSet:
    """
    @raise ValueError: it can't be read or used; the text is one line, with the place.
    """
    try:
        content = textfiles.read(path, inputs.SETTINGS)
    except ValueError as e:
        raise ValueError(f"{path!r} is not usable: {e}") from None
    return _fromBytes(content, path if path.isprintable() else repr(path))


def _fromBytes(content: bytes, name: str) -> RuleSet:
    try:
        document = tomltext.parsed(content)
    except tomltext.Unparsable as e:
        raise ValueError(f"{name}, {e.place}: {e}" if e.place else f"{name}: {e}") from None
    try:
        rules = RuleSet.made(document)
        _needReached(rules.rules)
        return rules
    except Wrong as e:
        raise ValueError(inWords(e, name, lineOf(content.decode("utf-8")))) from None


def _needReached(rules: Sequence[Rule]) -> None:
    """
    See that no rule stands behind one that lets nothing through to it. Only a file can't be meant so: on a command line
    or while a sink runs, somebody may put one before all others.

    @raise Wrong: it does.
    """
    last: dict[Step, Rule] = {}
    for rule in rules:
        if all(step in last for step in rule.steps):
            first = last[rule.steps[0]].name
            why = f"expected it before {first!r}, which applies to all that comes at {rule.steps[0]}"
            raise Wrong(rule.path, f"it could never apply: {why}")
        if rule.final and rule.always:
            for step in rule.steps:
                last.setdefault(step, rule)


def fromExpressions(expressions: Sequence[str]) -> RuleSet:
    """
    @param expressions: each is an inline table for one rule, with or without its braces.
    @raise ValueError: one of them can't be used; the text is one line, and says which.
    """
    rules = []
    for index, expression in enumerate(expressions):
        try:
            rules.append(Rule(_inline(expression), ("rule", index)))
        except Wrong as e:
            raise ValueError(inWords(Wrong(e.path[2:], str(e)), f"--rule {index + 1}")) from None
    try:
        return RuleSet(rules)
    except Wrong as e:
        raise ValueError(inWords(Wrong(e.path[2:], str(e)), f"--rule {int(e.path[1]) + 1}")) from None


def _inline(expression: str) -> object:
    """
    What an inline table means.

    @raise Wrong: it is none.
    """
    text = expression.strip()
    before, after = ("_ = ", "") if text.startswith("{") else ("_ = {", "}")
    try:
        document = tomltext.parsed(f"{before}{text}{after}".encode("utf-8", "surrogatepass"))
    except tomltext.Unparsable as e:
        column = re.fullmatch(r"line 1, column ([0-9]+)", e.place)
        place = f", at character {min(max(1, int(column[1]) - len(before)), len(text) + 1)}" if column else ""
        raise Wrong((), f"{e}{place}; a rule is such as {_EXAMPLE}") from None
    if document.keys() != {"_"}:
        raise Wrong((), f"expected one rule, such as {_EXAMPLE}")
    return document["_"]


def profile(name: str) -> RuleSet:
    """
    @param name: of L{PROFILES}.
    @raise ValueError: there is none of that name; the text is one line.
    """
    if name not in PROFILES:
        raise ValueError(
            f"--profile: {name!r} is not usable: expected {alternatives(PROFILES)}{suggestion(name, PROFILES)}"
        )
    return fromTOML(profileText(name), f"{name}.toml")


def profileText(name: str) -> str:
    """
    The file of a profile.
    """
    return (resources.files("smtpsource.sink.rules") / "profiles" / f"{name}.toml").read_text("utf-8")
