"""
A whole run in some hundred steps, with all that is known of each: for pictures of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from math import floor, log10
from typing import Any

from smtpsource.measure.frame import Buckets, Frame, continued
from smtpsource.measure.histogram import lowestOf, percentilesOf
from smtpsource.phases import NAMES

#: The most steps: more than a picture has room for.
LIMIT = 720

#: The percentiles of each step, and their names.
PERCENTILES = {"p50": 50, "p95": 95, "p99": 99, "max": 100}

#: A heat map has so many rows for latencies up to ten times as long.
ROWS = 8


class Timeline:
    """
    The frames of a run, however long it is: when there are more than C{limit} steps, neighbours become one, and from
    then on a step is twice as long. So all of them are of the same length, but the last. Nothing is lost but when it
    was. They are kept as bytes: some kilobytes each.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        """
        @param limit: an even number.
        """
        self._limit = limit
        # Those that are whole, in order: first those that were joined, then those that are to be, then the others.
        self._joined: list[bytes] = []
        self._toJoin: list[bytes] = []
        self._steps: list[bytes] = []
        self._current: Frame | None = None
        # How many frames become one step, and how many of them are in the current one.
        self._factor, self._taken = 1, 0

    def add(self, frame: Frame) -> None:
        """
        Take what happened in a time.

        @param frame: it begins when the one before has ended.
        """
        self._join(1)
        self._current = frame if self._current is None else continued((self._current, frame))
        self._taken += 1
        if self._taken < self._factor:
            return
        self._steps.append(self._current.encode())
        self._current, self._taken = None, 0
        if len(self._joined) + len(self._toJoin) + len(self._steps) >= self._limit:
            self._join(len(self._toJoin))
            self._toJoin, self._joined, self._steps = (self._joined + self._steps)[::-1], [], []
            self._factor *= 2

    @property
    def steps(self) -> list[Frame]:
        """
        All of them: they follow each other without a gap.
        """
        whole = [*self._joined, *self._toJoin[::-1], *self._steps]
        return [*map(Frame.decode, whole), *(() if self._current is None else (self._current,))]

    def _join(self, pairs: int) -> None:
        """
        Make one step of each of so many pairs of neighbours, if there are any left: all at once would take long.
        """
        rest = self._toJoin
        for _ in range(min(pairs, len(rest) // 2)):
            pair = Frame.decode(rest.pop()), Frame.decode(rest.pop())
            self._joined.append(continued(pair).encode())


def tableOf(steps: Sequence[Frame]) -> dict[str, Any]:
    """
    What a report has of a run's steps, as JSON takes it: a list with an entry for each step in each of these.

    C{"time"}: when it ended, in seconds. C{"phases"}: by phase, C{"count"}, C{"p50"}, C{"p95"}, C{"p99"} and C{"max"}
    in seconds, C{None} without any, and C{"heat"}: row, count, row, count and so on, where row r of a heat map has
    latencies from 10**(r/8) microseconds on. C{"replies"}: by phase, by code, how many. C{"errors"}: by kind.
    C{"watched"}: by name, C{None} where it was not known.
    """
    phases = [phase for phase in range(len(NAMES)) if any(step.buckets[phase] for step in steps)]
    return {
        "time": [round(step.at, 6) for step in steps],
        "phases": {NAMES[phase]: _phase([step.buckets[phase] for step in steps]) for phase in phases},
        "replies": {
            name: columns
            for phase, name in enumerate(NAMES)
            if (columns := _columns([{key: n for key, (n, _) in step.replies[phase].items()} for step in steps], 0))
        },
        "errors": _columns([{key: n for key, (n, _) in step.errors.items()} for step in steps], 0),
        "watched": _columns([step.watched for step in steps], None),
    }


def _phase(buckets: Sequence[Buckets]) -> dict[str, list[Any]]:
    nothing: list[float | None] = [None] * len(PERCENTILES)
    found = [percentilesOf(of, tuple(PERCENTILES.values())) or nothing for of in buckets]
    columns = zip(*found, strict=True)
    return {
        "count": [sum(of.values()) for of in buckets],
        **{
            name: [None if value is None else round(value, 6) for value in column]
            for name, column in zip(PERCENTILES, columns, strict=True)
        },
        "heat": [_heat(of) for of in buckets],
    }


def _heat(buckets: Buckets) -> list[int]:
    rows: dict[int, int] = {}
    for index, count in buckets.items():
        row = rowOf(index)
        rows[row] = rows.get(row, 0) + count
    return [number for pair in sorted(rows.items()) for number in pair]


@cache
def rowOf(index: int) -> int:
    """
    The row of a heat map that a bucket is in.
    """
    return max(0, floor(ROWS * log10(max(1, lowestOf(index))) + 1e-9))


def _columns(those: Sequence[Mapping[str, Any]], absent: Any) -> dict[str, list[Any]]:
    names: Iterable[str] = sorted({name for one in those for name in one})
    return {name: [one.get(name, absent) for one in those] for name in names}
