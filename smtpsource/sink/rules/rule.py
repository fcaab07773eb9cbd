"""
One rule: at which steps, to whom, how often, and what is done.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from smtpsource.sink.rules import amounts
from smtpsource.sink.rules.actions import EXAMPLE, Actions
from smtpsource.sink.rules.conditions import conditions, needKnown
from smtpsource.sink.rules.draws import Draws
from smtpsource.sink.rules.facts import Facts, Fate, Step
from smtpsource.sink.rules.gates import Connected, Connections, Every, Gate, Key, Limit, Times
from smtpsource.sink.rules.problems import Path, Table, Wrong, alternatives, oneOf, usable
from smtpsource.sink.rules.remembered import Remembered
from smtpsource.sink.rules.subjects import PER, STEPS, identity

#: At most one of these says how often a rule applies.
GATES = ("chance", "times", "every", "limit", "connections")
KEYS = ("on", "when", *GATES, "per", "burst", "name", "do")

#: What counts is named by, that is no rule.
RESERVED = ("greylist", "tarpit")

_LONGEST_NAME = 100

#: Gives what is remembered for one purpose, which a text tells from all others.
Memory = Callable[[str], Remembered[Any]]


class Rule:
    """
    A rule with its state: how often who has come.

    @ivar document: as it was written.
    @ivar path: where it was written.
    @ivar givenName: empty, if it was given none.
    @ivar name: what it is counted as.
    @ivar steps: at which it is asked.
    @ivar final: what it does is more than timing, so that no other rule is asked when it applies.
    """

    name = ""
    _constant: Fate | None = None

    def __init__(self, document: Any, path: Path) -> None:
        """
        @raise Wrong: it can't be used.
        """
        table = Table(document, path, KEYS, f'{{ on = "rcpt", {EXAMPLE} }}')
        self.document: dict[str, Any] = deepcopy(dict(document))
        self.path = path
        self.givenName = table.get("name", _name, "")
        self.steps = _steps(table)
        self._conditions = conditions(table.raw("when"), table.at("when"), self.steps) if "when" in table else ()
        self._chance: float | None = table.get("chance", amounts.share, None)
        self._gate = _gate(table, self.steps)
        if "do" not in table:
            raise Wrong(path, f"no 'do': expected what is to be done, such as {EXAMPLE}")
        self._actions = Actions(table.raw("do"), table.at("do"), self.steps)
        self.final = self._actions.final
        self._draws: Draws | None = None
        if self._chance is not None or self._actions.drawn:
            self._draws = Draws(self.canonical())

    @property
    def always(self) -> bool:
        """
        Does it apply to whatever comes at its steps?
        """
        return not self._conditions and self._gate is None and self._chance is None

    def canonical(self) -> str:
        """
        All of it but its name, in one text.
        """
        keys = {key: value for key, value in self.document.items() if key != "name"}
        return json.dumps(keys, sort_keys=True, default=str)

    def join(self, name: str, seed: int, which: int, connected: Connected) -> None:
        """
        Be one of several.

        @param which: of those that are equal, from 1 on.
        """
        self.name = name
        if self._draws is not None:
            self._draws.seed(f"{seed} {which}")
        if isinstance(self._gate, Connections):
            self._gate.connected = connected
        self._constant = None if self._actions.drawn else self._actions.fate(name, None)

    @property
    def hasState(self) -> bool:
        """
        Does it depend on who has come before?
        """
        return self._gate is not None or self._draws is not None

    def share(self, memory: Memory, scope: str) -> None:
        """
        Have its state with the same rule of other processes.

        @param scope: tells it from other rules.
        """
        if self._draws is not None:
            self._draws.memory = memory(f"draws\0{scope}")
        if isinstance(self._gate, Times | Every | Limit):
            self._gate.memory = memory(f"gate\0{scope}")

    def inherit(self, other: Rule) -> None:
        """
        Go on with the state of an equal one.
        """
        if self._draws is not None and other._draws is not None:
            self._draws.inherit(other._draws)
        if not isinstance(self._gate, Connections):
            self._gate = other._gate

    def fate(self, step: Step, facts: Facts, now: float) -> Fate | None:
        """
        @param now: seconds of a clock that never steps.
        @return: what this rule does; C{None}, if it does not apply.
        """
        for holds in self._conditions:
            if not holds(step, facts):
                return None
        if self._gate is not None and not self._gate.opens(step, facts, now):
            return None
        if self._draws is None:
            return self._constant
        draw = self._draws.next(step, facts)
        if self._chance is not None and draw[0] >= self._chance:
            return None
        return self._constant or self._actions.fate(self.name, draw)


def _steps(table: Table) -> tuple[Step, ...]:
    """
    The value of C{on}: one step, or a list of them.
    """
    written = table.need("on", lambda value: value, 'on = "rcpt"')
    if not isinstance(written, list):
        return (usable(table.at("on"), written, oneOf(STEPS)),)
    if not written:
        raise Wrong(table.at("on"), f"expected at least one of {alternatives(STEPS)}")
    found = [usable((*table.at("on"), index), one, oneOf(STEPS)) for index, one in enumerate(written)]
    return tuple(dict.fromkeys(found))


def _gate(table: Table, steps: tuple[Step, ...]) -> Gate | None:
    """
    Whatever says how often, but a chance.
    """
    which = table.atMostOne(GATES)
    if "burst" in table and which != "limit":
        raise Wrong(table.at("burst"), "it is about a limit: expected limit with it, such as limit = '200/s'")
    if which in ("", "chance"):
        if "per" in table:
            raise Wrong(table.at("per"), f"there is nothing to count: expected {alternatives(GATES[1:])} with it")
        return None
    if which == "connections":
        per = table.get("per", oneOf(("client", "all")), "client")
        return Connections(table.get(which, amounts.count, 1), per == "client")
    per = table.get("per", oneOf(tuple(PER)), "")
    needKnown(per, table.at("per"), steps)
    if which == "times":
        return Times(table.get(which, amounts.count, 1), _key(per, identity))
    if which == "every":
        return Every(table.get(which, amounts.count, 1), _key(per, PER["all"]))
    return Limit(table.get(which, amounts.rate, 1.0), table.get("burst", amounts.count, None), _key(per, PER["all"]))


def _key(per: str, usual: Key) -> Callable[[Step, Facts], str]:
    return PER[per] if per else usual


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > _LONGEST_NAME:
        raise ValueError(f"expected a text of 1 to {_LONGEST_NAME} printable characters")
    if value in RESERVED:
        raise ValueError("expected another name: this one is that of a table")
    return value
