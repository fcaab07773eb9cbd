"""
What came of a search for the highest rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Step:
    """
    One rate that was tried.

    @ivar purpose: C{"climb"}, up or down in large steps; C{"bisect"}, between two rates; or C{"confirm"}, once more,
        and for longer.
    @ivar rate: messages per second that were asked for.
    @ivar achieved: messages per second that were accepted, until the last one was answered.
    @ivar passed: was the promise kept, at that rate?
    @ivar actual: what there was, in words.
    @ivar kept: was the promise kept by what was started? Where C{passed} is not so, the rate was not reached.
        C{None} in reports of earlier versions.
    @ivar value: the figure that decided: see L{smtpsource.measure.thresholds.Outcome}.
    """

    purpose: str
    rate: float
    achieved: float
    passed: bool
    actual: str
    kept: bool | None = None
    value: float | None = None


class Tried(NamedTuple):
    """
    What is known of a rate.

    @ivar rate: messages per second.
    @ivar kept: how many steps at that rate kept the promise.
    @ivar times: how many there were.
    @ivar unreached: how many of them broke it only as too few of their messages could be started.
    """

    rate: float
    kept: int
    times: int
    unreached: int = 0


@dataclass(frozen=True)
class Found:
    """
    What came of a search.

    @ivar promise: what was to be kept.
    @ivar rate: the highest rate, in messages per second, for which the steps speak: that kept it twice, and more often
        than not; where there is none yet, that kept it at all; or C{None}.
    @ivar steps: all that was tried, in order.
    """

    promise: str
    rate: float | None
    steps: tuple[Step, ...]

    @property
    def tried(self) -> tuple[Tried, ...]:
        """
        What speaks for and against each rate, the lowest first.
        """
        rates: dict[float, list[Step]] = {}
        for step in sorted(self.steps, key=lambda step: step.rate):
            rates.setdefault(step.rate, []).append(step)
        return tuple(
            Tried(
                rate,
                sum(step.passed for step in steps),
                len(steps),
                sum(step.kept is True and not step.passed for step in steps),
            )
            for rate, steps in rates.items()
        )


@dataclass(frozen=True)
class Searching:
    """
    A search while it goes on.

    @ivar number: of the step that is tried now, from 1.
    @ivar rate: what is tried, in messages per second; C{None} when it is over.
    @ivar purpose: as in L{Step}.
    @ivar low: the highest rate that has kept the promise, below...
    @ivar high: ...the lowest that has broken it; C{None} while there is none.
    @ivar secondsLeft: about how long it takes from here; C{None} while nobody knows.
    @ivar steps: what was tried, in order.
    """

    number: int
    rate: float | None
    purpose: str
    low: float | None
    high: float | None
    secondsLeft: float | None
    steps: Sequence[Step]
