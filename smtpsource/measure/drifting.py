"""
What a user wants of a drift, such as C{drift(p99(response)) < 2%/h}.

A drift that is no more than chance counts as none: as 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smtpsource.measure.comparisons import OPERATORS
from smtpsource.measure.drift import FEWEST, Drift, perCentOf, wordsOf
from smtpsource.measure.figures import COUNT, RATE, TIME, Kind, Metric, Unmeasured, digits, metricOf
from smtpsource.measure.minutes import WINDOW, Figure, Minute, shareOf
from smtpsource.measure.snapshot import Snapshot
from smtpsource.phases import NAMES
from smtpsource.values import numbers

if TYPE_CHECKING:
    from fractions import Fraction

#: The seconds that a run must be measured for.
LEAST = FEWEST * WINDOW

_WATCHED = re.compile(r"watched\s*\(\s*(.*?)\s*\)")
_LIMIT = re.compile(r"(-?)\s*(.*?)\s*(%?)\s*/\s*h", re.DOTALL)


def _exactGauge(text: str) -> Fraction:
    try:
        return numbers.exactNumber(text)
    except ValueError:
        return numbers.exactCount(text)


_GAUGE = Kind("a number", "10M", _exactGauge, digits)

_COUNTED = ("rejected", "failed", "errors", "late", "dropped", "connectionsLost", "connectFailures")


def _unavailable(figures: Snapshot) -> float:
    raise Unmeasured("no drift is known of it")


@dataclass(frozen=True)
class Drifting:
    """
    A comparison of a drift with a limit.

    @ivar metric: the drift, as a figure that nobody but this can read.
    @ivar sign: how it is compared.
    @ivar figure: what drifts.
    @ivar limit: in per cent or the figure's unit, an hour.
    """

    metric: Metric
    sign: str
    figure: Figure
    kind: Kind
    limit: Fraction
    perCent: bool
    other: None = None

    def check(self, figures: Snapshot) -> tuple[bool, str, float | None]:
        """
        @return: is it so, the drift as text, and as a number.
        """
        try:
            drift, value = self._read(figures)
        except Unmeasured as e:
            return False, str(e), None
        return self._holds(drift, value), f"{self._shown(value)} ({wordsOf(drift)})", value

    def cannotPass(self, figures: Snapshot) -> bool:
        """
        While a run goes on: is there a drift now that is too much, and far more than chance? This is asked each minute.
        """
        if self.sign == "!=":
            return False
        try:
            drift, value = self._read(figures)
        except Unmeasured:
            return False
        return drift.isSure and not self._holds(drift, value)

    def _holds(self, drift: Drift, value: float) -> bool:
        return OPERATORS[self.sign](value if drift.isSignificant else 0.0, float(self.limit))

    def _read(self, figures: Snapshot) -> tuple[Drift, float]:
        """
        The drift, and what is compared.
        """
        minutes = figures.minutes
        if minutes is None:
            raise Unmeasured("nothing is known of its minutes")
        drift = minutes.drift(self.figure.name)
        if drift is None:
            known = minutes.known(self.figure.name)
            if len(minutes) < FEWEST:
                raise Unmeasured(f"a drift needs at least {FEWEST} minutes, and there were {len(minutes)}")
            raise Unmeasured(f"{self.figure.name} is known of {known} windows, and a drift needs {FEWEST}")
        value = drift.perCent if self.perCent else drift.perHour
        if value is None and not drift.isSignificant:
            value = 0.0
        if value is None:
            raise Unmeasured(
                f"its median is 0, of which there are no per cent: {self._shown(drift.perHour, False)} "
                f"({wordsOf(drift)})"
            )
        return drift, value

    def _shown(self, value: float, perCent: bool | None = None) -> str:
        if self.perCent if perCent is None else perCent:
            return f"{perCentOf(value)}/h"
        return f"{'-' * (value < 0)}{self.kind.show(abs(value))}/h"


def drifting(text: str, sign: str, limit: str) -> Drifting:
    """
    Understand a comparison.

    @param text: what drifts, as a user wrote it.
    @param limit: likewise.
    @raise ValueError: it is none; the text says what was expected.
    """
    figure, kind, scheduled = _figure(text)
    metric = Metric(f"drift({figure.name})", kind, _unavailable, scheduled)
    example = "-2%/h" if kind in (COUNT, RATE) else f"{'1ms' if kind is TIME else '10M'}/h"
    wrong = ValueError(
        f"expected a change in an hour after {metric.name} {sign}, such as 2%/h or {example}, not {limit!r}"
    )
    match = _LIMIT.fullmatch(limit)
    if match is None or (kind is COUNT and not match[3]):
        raise wrong
    try:
        value = numbers.exactNumber(match[2]) if match[3] else kind.value(match[2])
    except ValueError:
        raise wrong
    return Drifting(metric, sign, figure, kind, -value if match[1] else value, bool(match[3]))


def _figure(text: str) -> tuple[Figure, Kind, bool]:
    """
    What drifts, its kind, and whether only a run with a schedule has it.
    """
    match = _WATCHED.fullmatch(text)
    if match is not None and match[1]:
        name = match[1]
        return Figure(f"watched({name})", lambda minute: minute.watched.get(name)), _GAUGE, False
    wrong = (
        f"expected drift() of rate, of a latency such as p99(message), of messages that went wrong (one of "
        f"{', '.join(_COUNTED)}) or of watched(NAME), not {text!r}"
    )
    try:
        metric = metricOf(text)
    except ValueError as e:
        raise ValueError(wrong if str(e).startswith("expected a metric") else f"{e}, in drift()")
    isLatency = metric.kind is TIME and metric.phase is not None
    if not (isLatency or metric.name == "rate" or metric.name in _COUNTED):
        raise ValueError(wrong)
    phases = () if metric.phase is None else (metric.phase,)
    return Figure(metric.name, _reading(metric), phases, metric.kind is COUNT), metric.kind, metric.scheduled


def _reading(metric: Metric) -> Callable[[Minute], float | None]:
    """
    How a metric is read of a minute; a count in per cent of the messages.
    """

    def read(minute: Minute) -> float | None:
        buckets: list[Any] = [()] * len(NAMES)
        for phase, used in minute.buckets.items():
            buckets[phase] = dense = [0] * (max(used, default=-1) + 1)
            for index, count in used.items():
                dense[index] = count
        try:
            value = metric.read(Snapshot(minute.seconds, minute.asked, minute.counters, tuple(buckets)))
        except Unmeasured:
            return None
        return shareOf(value, minute) if metric.kind is COUNT else value

    return read
