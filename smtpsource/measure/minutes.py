"""
Windows of a minute: a few figures of each, for those who ask whether they drift.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import isnan, nan
from typing import TYPE_CHECKING, NamedTuple

from smtpsource.measure.counters import Counters
from smtpsource.measure.frame import Buckets, Frame
from smtpsource.measure.histogram import percentilesOf
from smtpsource.phases import CONNECT, NAMES, NOOP, RESPONSE, TRANSACTION

if TYPE_CHECKING:
    from smtpsource.measure.drift import Drift

#: Seconds of a window, as long as there are few of them.
WINDOW = 60.0

#: The most windows: more of them say little more, and take long. It is an even number.
LIMIT = 120

#: Seconds by which a frame may end before its window does: clocks differ.
_EARLY = 0.5


class Minute(NamedTuple):
    """
    What happened in a minute.

    @ivar seconds: how long it was.
    @ivar counters: how much was counted in it.
    @ivar asked: how many messages the schedule asked for in it; C{None} without one.
    @ivar buckets: by phase, its latencies; of those phases that somebody asks for.
    @ivar watched: by name, the mean of each figure that is watched besides.
    """

    seconds: float
    counters: Counters
    asked: float | None
    buckets: Mapping[int, Buckets]
    watched: Mapping[str, float]


class Figure(NamedTuple):
    """
    A figure that a minute has.

    @ivar name: as a user writes it.
    @ivar read: gives it; C{None} if that minute has none.
    @ivar phases: whose latencies it needs.
    @ivar perCent: it is a part of the messages, in per cent.
    """

    name: str
    read: Callable[[Minute], float | None]
    phases: tuple[int, ...] = ()
    perCent: bool = False


class Minutes:
    """
    The figures of a run's minutes. However long it is, there are no more than L{LIMIT} windows: when there would be,
    neighbours become one, whose figures are the means of theirs, and from then on a window is twice as long.
    """

    def __init__(self, figures: Iterable[Figure]) -> None:
        self._figures = {figure.name: figure for figure in figures}
        self._phases = sorted({phase for figure in self._figures.values() for phase in figure.phases})
        self._restart(0)

    def _restart(self, epoch: int) -> None:
        self._epoch = epoch
        # The windows that are whole: where each has its middle, and its figures, which may be nan.
        self._times: list[float] = []
        self._values: dict[str, list[float]] = {name: [] for name in self._figures}
        # How many minutes become one of them, and those that are to be the next one.
        self._factor = 1
        self._next: list[tuple[float, dict[str, float]]] = []
        self._found: dict[str, Drift | None] = {}
        self._begin(0.0)

    def _begin(self, at: float) -> None:
        """
        Another minute begins.
        """
        self._began = at
        self._end = (round(at / WINDOW) + 1) * WINDOW
        self._counters = Counters()
        self._asked: float | None = None
        self._buckets: dict[int, dict[int, int]] = {phase: {} for phase in self._phases}
        self._watched: dict[str, tuple[float, int]] = {}

    def add(self, frame: Frame) -> None:
        """
        Take what happened in a time. If a warm-up is over, that is all there is.

        @param frame: it begins when the one before has ended.
        """
        if frame.epoch != self._epoch:
            self._restart(frame.epoch)
        self._counters += frame.counters
        if frame.asked is not None:
            self._asked = (self._asked or 0.0) + frame.asked
        for phase, total in self._buckets.items():
            for index, count in frame.buckets[phase].items():
                total[index] = total.get(index, 0) + count
        for name, value in frame.watched.items():
            sum_, times = self._watched.get(name, (0.0, 0))
            self._watched[name] = sum_ + value, times + 1
        if frame.at >= self._end - _EARLY:
            self._close(frame.at)

    def end(self, at: float) -> None:
        """
        There is no more. The last minute counts if it is about as long as the others.

        @param at: when it was over, in seconds.
        """
        if at - self._began >= WINDOW / 2:
            self._close(at)

    def _close(self, at: float) -> None:
        watched = {name: sum_ / times for name, (sum_, times) in self._watched.items()}
        minute = Minute(at - self._began, self._counters, self._asked, self._buckets, watched)
        read = {name: figure.read(minute) for name, figure in self._figures.items()}
        values = {name: nan if value is None else value for name, value in read.items()}
        self._next.append(((self._began + at) / 2, values))
        self._begin(at)
        if len(self._next) < self._factor:
            return
        self._times.append(_mean(time for time, _ in self._next))
        for name, column in self._values.items():
            column.append(_mean(values[name] for _, values in self._next))
        self._next = []
        self._found = {}
        if len(self._times) >= LIMIT:
            self._factor *= 2
            self._times = _joined(self._times)
            self._values = {name: _joined(column) for name, column in self._values.items()}

    def __len__(self) -> int:
        """
        How many windows there are.
        """
        return len(self._times)

    def known(self, name: str) -> int:
        """
        How many of them have this figure.
        """
        return sum(not isnan(value) for value in self._values[name])

    def drift(self, name: str) -> Drift | None:
        """
        How a figure has changed in the course of them. It takes up to some milliseconds, once for each window.

        @return: C{None} if too few windows have that figure.
        """
        from smtpsource.measure.drift import driftOf  # most runs are too short

        if name not in self._found:
            known = [pair for pair in zip(self._times, self._values[name], strict=True) if not isnan(pair[1])]
            times, values = [time for time, _ in known], [value for _, value in known]
            figure = self._figures[name]
            self._found[name] = driftOf(times, values, WINDOW * self._factor, perCent=figure.perCent)
        return self._found[name]

    def drifts(self) -> dict[str, Drift]:
        """
        That of each figure that has one.
        """
        found = {name: self.drift(name) for name in self._figures} if self._times else {}
        return {name: drift for name, drift in found.items() if drift is not None}


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not isnan(value)]
    return sum(known) / len(known) if known else nan


def _joined(values: list[float]) -> list[float]:
    return [_mean(pair) for pair in zip(values[::2], values[1::2], strict=True)]


def _rate(minute: Minute) -> float | None:
    return minute.counters.accepted / minute.seconds if minute.seconds > 0 else None


def shareOf(count: float, minute: Minute) -> float | None:
    """
    So many messages, in per cent of those that were started in this minute; C{None} if none was.
    """
    started = minute.counters.started
    return count / started * 100 if started else None


def _errors(minute: Minute) -> float | None:
    return shareOf(minute.counters.rejected + minute.counters.failed, minute)


def _high(phase: int) -> Figure:
    def read(minute: Minute) -> float | None:
        return next(iter(percentilesOf(minute.buckets[phase], (99,))), None)

    return Figure(f"p99({NAMES[phase]})", read, (phase,))


_PHASES = {"mail": TRANSACTION, "noop": NOOP, "connect": CONNECT}


def usual(exercise: str, isScheduled: bool) -> tuple[Figure, ...]:
    """
    The figures of which a report tells how they drift.

    @param exercise: what is counted as a message: see L{smtpsource.measure.summary.Summary}.
    @param isScheduled: is there a schedule?
    """
    phase = RESPONSE if isScheduled else _PHASES[exercise]
    return Figure("rate", _rate), _high(phase), Figure("errors", _errors, perCent=True)
