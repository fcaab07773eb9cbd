"""
One comparison of a threshold: a figure of a run, and what it is to be.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from smtpsource.measure.figures import ACCEPTED, COUNT, RATE, STARTED, Metric, Unmeasured, digits, metricOf
from smtpsource.measure.snapshot import Snapshot

if TYPE_CHECKING:
    from fractions import Fraction

#: How a figure can be compared.
OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True)
class Comparison:
    """
    @ivar factor: of C{other}; without it, what C{metric} is compared with: in seconds, per second, a number, or per
        cent.
    """

    metric: Metric
    sign: str
    factor: Fraction
    other: Metric | None = None
    perCent: bool = False

    def check(self, figures: Snapshot, others: Snapshot | None = None) -> tuple[bool, str, float | None]:
        """
        @param others: where C{other} is taken from, if that is not C{figures}.
        @return: is it so, the figure as text, and as a number.
        """
        compare = OPERATORS[self.sign]
        show = self.metric.kind.show
        try:
            value = self.metric.read(figures)
            if self.perCent:
                started = figures.counters.started
                if not started:
                    raise Unmeasured("no message was started")
                # Whole numbers on both sides: 7 of 1000 are exactly 0.7 per cent.
                share = value * 100 / started
                passed = compare(value * 100 * self.factor.denominator, self.factor.numerator * started)
                return passed, f"{digits(share)}% ({digits(value)} of {started})", share
            if self.other is None:
                return compare(value, float(self.factor)), show(value), value
            limit = float(self.factor) * self.other.read(others or figures)
        except Unmeasured as e:
            return False, str(e), None
        factor = "" if self.factor == 1 else f"{digits(float(self.factor))} * "
        return compare(value, limit), f"{show(value)} ({factor}{self.other.name} is {show(limit)})", value

    def cannotPass(self, figures: Snapshot) -> bool:
        """
        While a run goes on: has it failed, whatever is still to come?

        What is not measured yet may come. Messages on their way may be accepted. Counts grow: one that is to be high is
        no failure before the end, only C{accepted} as a part of others is. Other parts, rates and latencies are taken
        for what they will be.
        """
        if self.sign == "!=":
            return False
        if self.sign == "==":
            return any(replace(self, sign=sign).cannotPass(figures) for sign in ("<=", ">="))
        atBest = _atBest(figures, self.metric)
        part = self.perCent or self.other is not None
        if self.sign in ("<", "<="):
            if self.metric.kind is COUNT and self.other not in (None, ACCEPTED, STARTED):
                return False
            passed, _, value = self.check(figures, atBest)
        else:
            if self.metric.kind is COUNT and not (self.metric is ACCEPTED and part):
                return False
            if self.metric.kind is RATE and not part and not self._asked(figures):
                return False
            passed, _, value = self.check(atBest, figures)
        return not passed and value is not None

    def _asked(self, figures: Snapshot) -> bool:
        """
        Has a schedule, if there is one, asked for so much up to now? Its rate may rise.
        """
        return figures.asked is None or replace(self, metric=metricOf("asked")).check(figures)[0]


def _atBest(figures: Snapshot, metric: Metric) -> Snapshot:
    """
    These figures, if all messages on their way had been accepted; for a rate with the one that a schedule may have
    asked for this very moment.
    """
    due = metric.kind is RATE and figures.asked is not None
    now = figures.counters
    best = replace(now, accepted=now.started - now.rejected - now.failed + due)
    return replace(figures, counters=best)
