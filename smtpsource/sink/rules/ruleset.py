"""
All rules of a sink, in their order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from copy import deepcopy
from typing import Any

from smtpsource.sink.rules import amounts
from smtpsource.sink.rules.actions import adds, joined
from smtpsource.sink.rules.facts import Facts, Fate, Step
from smtpsource.sink.rules.gates import Connected
from smtpsource.sink.rules.greylist import Greylist
from smtpsource.sink.rules.problems import Table, Wrong, inWords, shown
from smtpsource.sink.rules.rule import Memory, Rule
from smtpsource.sink.rules.tarpit import Tarpit

KEYS = ("seed", "rule", "greylist", "tarpit")
_EXAMPLE = '{ rule = [{ on = "rcpt", do = { reply = "451 4.7.1 come back" } }] }'


class RuleSet:
    """
    What a sink does other than take everything. What is set does not change; what it has seen of its clients does.

    @ivar rules: in the order in which they are asked.
    @ivar greylist: C{None}, if there is none.
    @ivar tarpit: likewise.
    @ivar seed: by which everything is drawn; C{None} is 0, where nobody has said.
    @ivar steps: for each step what is asked, if there is anything.
    """

    def __init__(
        self,
        rules: Iterable[Rule] = (),
        greylist: Greylist | None = None,
        tarpit: Tarpit | None = None,
        seed: int | None = None,
    ) -> None:
        """
        @param rules: in no other set.
        @raise Wrong: two have the same name.
        """
        self.rules = tuple(rules)
        self.greylist = greylist
        self.tarpit = tarpit
        self.seed = seed
        self._connected = Connected()
        # What is held while something is decided that other processes have a part in.
        self._lock: AbstractContextManager[object] | None = None
        self._join()
        steps: dict[Step, list[Rule | Greylist]] = {}
        if greylist is not None:
            steps["rcpt"] = [greylist]
        for rule in self.rules:
            for step in rule.steps:
                steps.setdefault(step, []).append(rule)
        self.steps = {step: tuple(asked) for step, asked in steps.items()}

    def _join(self) -> None:
        """
        Tell the rules what they share, and their names.
        """
        names: dict[str, Rule] = {}
        for place, (rule, which) in enumerate(_numbered(self.rules), 1):
            name = rule.givenName or f"rule {place} ({', '.join(rule.steps)})"
            if name in names:
                raise Wrong((*rule.path, "name"), f"{name!r} is the name of another rule: expected one of its own")
            names[name] = rule
            rule.join(name, self.seed or 0, which, self._connected)

    @classmethod
    def fromDict(cls, document: object, where: str = "") -> RuleSet:
        """
        @param document: as L{asDict} gives it, and a file has it.
        @param where: what errors begin with; it may be empty.
        @raise ValueError: it can't be used; the text is one line.
        """
        try:
            return cls.made(document)
        except Wrong as e:
            raise ValueError(inWords(e, where)) from None

    @classmethod
    def made(cls, document: object) -> RuleSet:
        """
        The same, for whoever knows where things stand in the document.

        @raise Wrong: it can't be used.
        """
        table = Table(document, (), KEYS, _EXAMPLE)
        written = table.raw("rule") if "rule" in table else []
        if not isinstance(written, list):
            raise Wrong(table.at("rule"), f"{shown(written)} is not usable: expected [[rule]], or a list of tables")
        return cls(
            [Rule(one, ("rule", index)) for index, one in enumerate(written)],
            Greylist(table.raw("greylist"), table.at("greylist")) if "greylist" in table else None,
            Tarpit(table.raw("tarpit"), table.at("tarpit")) if "tarpit" in table else None,
            table.get("seed", amounts.wholeNumber, None),
        )

    def asDict(self) -> dict[str, Any]:
        """
        All that is set, as it was written; L{fromDict} makes an equal set of it.
        """
        document: dict[str, Any] = {} if self.seed is None else {"seed": self.seed}
        for table in (self.greylist, self.tarpit):
            if table is not None:
                document[table.name] = deepcopy(table.document)
        document["rule"] = [deepcopy(rule.document) for rule in self.rules]
        return document

    def share(self, memory: Memory, connected: Connected, lock: AbstractContextManager[object]) -> None:
        """
        Have its state with the same set of other processes, from the beginning on.

        @param connected: all connections that are open, of all processes.
        @param lock: keeps the others out.
        """
        self._connected = connected
        self._lock = lock
        self._join()
        for rule, which in _numbered(self.rules):
            rule.share(memory, f"{which}\0{rule.canonical()}")
        if self.greylist is not None:
            self.greylist.memory = memory("greylist")
            self.greylist.returned = memory("returned")

    def inheriting(self, other: RuleSet) -> RuleSet:
        """
        Go on where another set is left: with its open connections; and what its rules have seen is known to those that
        are equal in all but their names, as is whom its greylist knows.

        @return: this set, which is then asked in the other's place.
        """
        known = {(rule.canonical(), which): rule for rule, which in _numbered(other.rules)}
        self._connected = other._connected
        self._join()
        for rule, which in _numbered(self.rules):
            former = known.get((rule.canonical(), which))
            if former is not None:
                rule.inherit(former)
        if self.greylist is not None and other.greylist is not None:
            self.greylist.inherit(other.greylist)
        return self

    def wants(self, step: Step) -> bool:
        """
        Is anything asked at this step?
        """
        return step in self.steps

    def opened(self, facts: Facts) -> None:
        """
        A connection of this client is open. If the client becomes another (XCLIENT), the connection is closed with the
        old facts and opened with the new ones.
        """
        self._connected.opened(facts.client)

    def closed(self, facts: Facts) -> None:
        """
        It isn't any more.
        """
        self._connected.closed(facts.client)

    def decide(self, step: Step, facts: Facts, now: float) -> Fate | None:
        """
        Ask the rules in their order: those that do nothing but timing add to what is done, and the first that does more
        and applies is the last that is asked. The greylist comes before them.

        @param now: seconds of a clock that never steps.
        @return: what is done; C{None} is the usual.
        """
        if self._lock is not None and any(rule.hasState for rule in self.steps.get(step, ())):
            with self._lock:
                return self._decide(step, facts, now)
        return self._decide(step, facts, now)

    def _decide(self, step: Step, facts: Facts, now: float) -> Fate | None:
        found: Fate | None = None
        for rule in self.steps.get(step, ()):
            fate = rule.fate(step, facts, now)
            if fate is None:
                continue
            if found is None:
                found = fate
            elif rule.final or adds(found, fate):
                found = joined(found, fate)
            if rule.final:
                break
        return found


def _numbered(rules: Sequence[Rule]) -> list[tuple[Rule, int]]:
    """
    Each with its number among those that are equal, from 1 on.
    """
    seen: Counter[str] = Counter()
    found = []
    for rule in rules:
        text = rule.canonical()
        seen[text] += 1
        found.append((rule, seen[text]))
    return found


def combined(sets: Sequence[RuleSet]) -> RuleSet:
    """
    The rules of all, in their order. The first that has a greylist, a tarpit or a seed is the one whose is used.

    @param sets: which are of no more use then.
    @raise ValueError: a name is that of two rules.
    """

    def first(values: Iterable[Any]) -> Any:
        return next((value for value in values if value is not None), None)

    try:
        return RuleSet(
            [rule for each in sets for rule in each.rules],
            first(each.greylist for each in sets),
            first(each.tarpit for each in sets),
            first(each.seed for each in sets),
        )
    except Wrong as e:
        raise ValueError(inWords(Wrong(("name",), str(e)), "")) from None
