"""
The search for the highest rate that keeps a promise.

A step of some seconds can be lucky, or unlucky. So no single one decides: each rate has its record of steps that kept
the promise and of steps that broke it, and what comes next follows from all records. It goes up in large steps until
one breaks the promise, then closer and closer; then the highest that kept it and the lowest that broke it are tried
again, until each has done so twice and more often than not. Where that overturns what was thought, the search goes on
from what is known now, up or down.
"""

from __future__ import annotations

from math import ceil, log, log2, sqrt

#: By how much the rate grows from step to step, until a step fails; and falls, until the first one passes.
FACTOR = 2.0

#: The search is close enough when the lowest rate that failed is this much higher than the highest that passed.
CLOSE = 1.05

#: So often a rate must have kept the promise, or broken it, to be sure.
SURE = 2

#: A rate so low is no rate: the search gives up. Messages per second.
LOWEST = 0.1

#: No process of ours makes more.
HIGHEST = 1e5

#: A rate is held so many times as long where it is tried again: a queue that grows slowly takes time to be seen.
LONGER = 2

#: After so many steps the search is over, sure or not.
MOST = 50

#: The part of the messages asked for that a step must start, or its rate was not reached.
REACHED = 0.99


class Record:
    """
    What became of a rate.

    @ivar kept: how often it kept the promise.
    @ivar broken: how often it broke it.
    """

    def __init__(self) -> None:
        self.kept = self.broken = 0

    @property
    def passed(self) -> bool:
        """
        Has it kept the promise more often than not?
        """
        return self.kept > self.broken

    @property
    def failed(self) -> bool:
        """
        Has it broken the promise more often than not? A rate may have done neither.
        """
        return self.broken > self.kept

    @property
    def sure(self) -> bool:
        """
        Is that beyond doubt?
        """
        return max(self.kept, self.broken) >= SURE and self.kept != self.broken


class RateSearch:
    """
    Says which rate to try next, until it knows.

    @ivar rate: to be tried now, in messages per second; C{None}: the search is over.
    @ivar purpose: as in L{smtpsource.measure.search.Step}.
    @ivar records: of all rates that were tried.
    """

    def __init__(self, first: float, lowest: float = LOWEST) -> None:
        """
        @param first: the rate to try first.
        @param lowest: no rate below that is tried.
        """
        self._lowest = lowest
        self.rate: float | None = first
        self.purpose = "climb"
        self.records: dict[float, Record] = {}
        self._steps = 0

    def tried(self, passed: bool) -> None:
        """
        The rate was tried; find the next one.
        """
        assert self.rate is not None
        record = self.records.setdefault(self.rate, Record())
        if passed:
            record.kept += 1
        else:
            record.broken += 1
        self._steps += 1
        self.purpose, self.rate = self._next() if self._steps < MOST else ("confirm", None)

    @property
    def best(self) -> float | None:
        """
        The highest rate that has kept the promise for sure; or, while there is none, that has kept it at all. C{None}:
        none has.
        """
        passed = [(record.sure, rate) for rate, record in self.records.items() if record.passed]
        return max(passed)[1] if passed else None

    @property
    def high(self) -> float | None:
        """
        The lowest rate that has broken the promise.
        """
        return min((rate for rate, record in self.records.items() if record.failed), default=None)

    @property
    def low(self) -> float | None:
        """
        The highest rate below that which has kept it.
        """
        high = self.high
        passed = (rate for rate, record in self.records.items() if record.passed and (high is None or rate < high))
        return max(passed, default=None)

    @property
    def left(self) -> tuple[int, int] | None:
        """
        How many steps it takes from here, this one included, if none of them is a surprise: those at new rates, and
        those that try one again. C{None}: nobody knows, as one of the two bounds is not found.
        """
        low, high = self.low, self.high
        if low is None or high is None:
            return (0, 0) if self.rate is None else None
        closer = max(0, ceil(log2(log(high / low) / log(CLOSE)))) if high / low > CLOSE else 0
        if closer:
            return closer, 2 * (SURE - 1)
        return 0, max(0, SURE - self.records[low].kept) + max(0, SURE - self.records[high].broken)

    def _next(self) -> tuple[str, float | None]:
        low, high = self.low, self.high
        undecided = [
            rate
            for rate, record in self.records.items()
            if not record.passed and not record.failed and (high is None or rate < high) and (low is None or rate > low)
        ]
        if undecided:
            return "confirm", undecided[0]
        if low is None:
            assert high is not None
            if high / FACTOR >= self._lowest:
                return "climb", high / FACTOR
            return "confirm", None if self.records[high].sure else high
        if high is None and low < HIGHEST:
            return "climb", min(low * FACTOR, HIGHEST)
        if high is not None and high / low > CLOSE:
            return "bisect", float(f"{sqrt(low * high):.3g}")
        for rate in (low, high):
            if rate is not None and not self.records[rate].sure:
                return "confirm", rate
        return "confirm", None
