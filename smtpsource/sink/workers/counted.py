"""
What a worker has counted, and what becomes of it in the end; and that of all of them added up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from smtpsource.process.cpu import processTime
from smtpsource.sink.factory import SinkFactory
from smtpsource.sink.summary import MOST_SOURCES, SinkCounts, SinkSummary

#: The numbers of L{SinkCounts} that are sums.
_SUMS = ("sessions", "ended", "quits", "messages", "recipients", "bytesReceived", "bytesSent", "chunks")

_Errors = dict[str, tuple[int, str]]


@dataclass(frozen=True)
class Counted:
    """
    What one worker, or all of them, have counted so far.

    @ivar numbers: those of L{SinkCounts}, by their names.
    @ivar errors: see L{SinkCounts.errors}.
    @ivar rules: how often each rule has had a part in what was done.
    @ivar deceits: how often each deceit was done.
    @ivar kept: messages that were kept.
    @ivar total: of those in memory; see L{Memory<smtpsource.sink.keeping.memory.Memory>}.
    @ivar present: likewise.
    @ivar displaced: likewise.
    @ivar first: when the first session began, in the reactor's seconds; C{None} if there was none.
    @ivar last: when there was one last.
    @ivar cpu: the processor's seconds, outside the kernel and within.
    """

    numbers: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_SUMS, 0))
    errors: _Errors = field(default_factory=dict)
    rules: dict[str, int] = field(default_factory=dict)
    deceits: dict[str, int] = field(default_factory=dict)
    kept: int = 0
    total: int = 0
    present: int = 0
    displaced: int = 0
    first: float | None = None
    last: float = 0.0
    cpu: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def of(cls, factory: SinkFactory, before: tuple[float, float] = (0.0, 0.0)) -> Counted:
        """
        What a factory's sessions have counted, in this process.

        @param before: the processor's seconds that it had used when it began.
        """
        user, system = processTime()
        counts, steering = factory.counts, factory.steering
        memory = None if steering is None else steering.memory
        return cls(
            {name: getattr(counts, name) for name in _SUMS},
            dict(counts.errors),
            {} if steering is None else steering.rulesCounted(),
            {} if steering is None else dict(steering.deceits),
            kept=0 if steering is None else steering.number,
            total=0 if memory is None else memory.total,
            present=0 if memory is None else memory.present,
            displaced=0 if memory is None else memory.displaced,
            first=factory.firstSession,
            last=factory.seconds() if counts.open else factory.lastEnd,
            cpu=(user - before[0], system - before[1]),
        )

    @classmethod
    def sum(cls, all: Iterable[Counted]) -> Counted:
        """
        That of several workers.
        """
        numbers: Counter[str] = Counter(dict.fromkeys(_SUMS, 0))
        rules: dict[str, int] = {}
        deceits: dict[str, int] = {}
        errors: _Errors = {}
        kept = total = present = displaced = 0
        firsts, last, cpu = [], 0.0, (0.0, 0.0)
        for one in all:
            numbers.update(one.numbers)
            _add(rules, one.rules)
            _add(deceits, one.deceits)
            for kind, (number, sample) in one.errors.items():
                before, first = errors.get(kind, (0, sample))
                errors[kind] = before + number, first
            kept += one.kept
            total += one.total
            present += one.present
            displaced += one.displaced
            if one.first is not None:
                firsts.append(one.first)
                last = max(last, one.last)
            cpu = cpu[0] + one.cpu[0], cpu[1] + one.cpu[1]
        begun = min(firsts, default=None)
        return cls(dict(numbers), errors, rules, deceits, kept, total, present, displaced, begun, last, cpu)

    @property
    def busy(self) -> float:
        """
        Seconds from the first session's beginning to when there was one last.
        """
        return 0.0 if self.first is None else self.last - self.first

    def withoutTimes(self) -> Counted:
        """
        The same but for what changes without anything having happened.
        """
        return replace(self, last=0.0, cpu=(0.0, 0.0))

    def fill(self, counts: SinkCounts) -> None:
        """
        Have it where others look for what a sink has counted.
        """
        for name, number in self.numbers.items():
            setattr(counts, name, number)
        counts.errors = dict(self.errors)


def _add(to: dict[str, int], more: dict[str, int]) -> None:
    for name, number in more.items():
        to[name] = to.get(name, 0) + number


@dataclass(frozen=True)
class Result:
    """
    What a worker leaves.

    @ivar summary: its own.
    @ivar counted: what it has counted.
    @ivar sources: the addresses in PROXY headers.
    """

    summary: SinkSummary
    counted: Counted
    sources: set[bytes]

    @classmethod
    def of(cls, factory: SinkFactory, summary: SinkSummary, counted: Counted) -> Result:
        """
        What a factory's sessions leave.
        """
        return cls(summary, counted, factory.counts.sources)


def added(summary: SinkSummary, results: Iterable[Result]) -> SinkSummary:
    """
    All that workers leave, in one.

    @param summary: has what is the parent's to say: how it ended, the counters, what was counted by rules.
    """
    results = list(results)
    extensions = _extensions([one.summary.extensions for one in results])
    sources = set[bytes]().union(*(one.sources for one in results))
    if sources:
        extensions["proxySources"] = min(len(sources), MOST_SOURCES)
    deliberate = [one for each in results for one in each.summary.deliberateMessages]
    return replace(
        summary,
        sessionsOpen=sum(one.summary.sessionsOpen for one in results),
        extensions=extensions,
        deliberateMessages=sorted(deliberate, key=lambda one: str(one.get("time", ""))),
    )


def _extensions(all: list[dict[str, Any]]) -> dict[str, Any]:
    """
    What was used of the protocol's extensions, in the order in which one sink has it.
    """
    found: dict[str, Any] = {}
    for name in ("tls", "auth", "bdat", "xclient", "xclientAttributes", "proxy", "proxySources", "parameters"):
        values = [one[name] for one in all if name in one]
        if not values:
            continue
        if isinstance(values[0], int):
            found[name] = sum(values)
        elif name == "xclientAttributes":
            found[name] = values[-1]
        else:
            found[name] = {}
            for one in values:
                _add(found[name], one)
    return found
