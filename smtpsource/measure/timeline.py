"""
A whole run in some hundred steps, for pictures of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from smtpsource.measure.frame import Frame
from smtpsource.measure.step import PERCENTILES, Spread, Step, joined, stepOf
from smtpsource.phases import NAMES
from smtpsource.printable import brief

#: The most steps: more than a picture has room for.
LIMIT = 720

#: So many frames become one step in one go.
_AT_ONCE = 4


class Timeline:
    """
    The steps of a run, however long it is: when there are more than C{limit}, neighbours become one, and from then on a
    step is twice as long. So all of them are of the same length, but the last. They are kept as bytes: some kilobytes
    each.

    @ivar latest: what was added last, as a step of its own; C{None} before.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        """
        @param limit: an even number.
        """
        self._limit = limit
        # Those that are whole: first those that were joined, then those that are to be, the last one first, then the
        # others.
        self._joined: list[bytes] = []
        self._toJoin: list[bytes] = []
        self._steps: list[bytes] = []
        # The last step, as far as it has come; how many frames it is made of, and of how many one is in the end.
        self._current: list[Step] = []
        self._taken, self._factor = 0, 1
        self.latest: Step | None = None

    def add(self, frame: Frame) -> None:
        """
        Take what happened in a time. This takes some milliseconds at the most.

        @param frame: it begins when the one before has ended.
        """
        self._join(1)
        self.latest = stepOf(frame)
        self._current.append(self.latest)
        self._taken += 1
        if len(self._current) > _AT_ONCE or self._taken == self._factor:
            self._current = [joined(self._current)]
        if self._taken == self._factor:
            self._steps.append(self._current.pop().encode())
            self._taken = 0
            if len(self._joined) + len(self._steps) >= self._limit:
                # There is nothing left to join: that took as many frames as there were pairs.
                self._toJoin, self._joined, self._steps = (self._joined + self._steps)[::-1], [], []
                self._factor *= 2

    @property
    def steps(self) -> list[Step]:
        """
        All of them: they follow each other without a gap. This may take a second.
        """
        self._join(self._limit)
        whole = map(Step.decode, [*self._joined, *self._steps])
        return [*whole, joined(self._current)] if self._current else [*whole]

    def _join(self, pairs: int) -> None:
        """
        Make one step of each of so many pairs of neighbours, if there are any left: all at once would take long.
        """
        rest = self._toJoin
        for _ in range(min(pairs, len(rest) // 2)):
            pair = Step.decode(rest.pop()), Step.decode(rest.pop())
            self._joined.append(joined(pair).encode())


def tableOf(steps: Sequence[Step]) -> dict[str, Any]:
    """
    What a report has of a run's steps, as JSON takes it: a list with an entry for each step in each of these.

    C{"time"}: when it ended, in seconds. C{"phases"}: by phase, C{"count"}, C{"p50"}, C{"p95"}, C{"p99"} and C{"max"}
    in seconds, C{None} without any, and C{"heat"}: row, count, row, count and so on, where row r of a heat map has
    latencies from 10**(r/8) microseconds on. C{"replies"}: by phase, by code, how many. C{"errors"}: by kind.
    C{"watched"}: by name, C{None} where it was not known.
    """
    return {
        "time": [round(step.at, 6) for step in steps],
        "phases": {
            name: _phase([step.phases.get(phase, _NOTHING) for step in steps])
            for phase, name in enumerate(NAMES)
            if any(phase in step.phases for step in steps)
        },
        "replies": {
            name: columns
            for phase, name in enumerate(NAMES)
            if (columns := _columns([step.replies.get(phase, {}) for step in steps], 0))
        },
        "errors": _columns([step.errors for step in steps], 0),
        "watched": _columns([step.watched for step in steps], None),
    }


_NOTHING = Spread(0, (), {}, {})


def _phase(spreads: Sequence[Spread]) -> dict[str, list[Any]]:
    return {
        "count": [spread.total for spread in spreads],
        **{
            name: [round(spread.figures[place], 6) if spread.total else None for spread in spreads]
            for place, name in enumerate(PERCENTILES)
        },
        "heat": [[number for pair in sorted(spread.heat.items()) for number in pair] for spread in spreads],
    }


def checked(table: dict[str, Any]) -> dict[str, Any]:
    """
    A table of somebody else that is as the schema says: has each list an entry for each step?

    @raise ValueError: not so; the text is one line.
    """
    for path, column in _lists(table, "timeline"):
        if len(column) != len(table["time"]):
            raise ValueError(f"expected {len(table['time'])} entries in {path}, as in timeline.time, not {len(column)}")
        if path.endswith(".heat") and any(isinstance(cell, list) and len(cell) % 2 for cell in column):
            raise ValueError(f"expected a count for each row in {path}")
    return table


def _lists(inner: Any, path: str) -> Iterator[tuple[str, Sequence[Any]]]:
    if isinstance(inner, list):
        yield path, inner
    elif isinstance(inner, dict):
        for name, value in inner.items():
            yield from _lists(value, f"{path}.{brief(name)}")


def _columns(those: Sequence[Mapping[str, Any]], absent: Any) -> dict[str, list[Any]]:
    names: Iterable[str] = sorted({name for one in those for name in one})
    return {name: [one.get(name, absent) for one in those] for name in names}
