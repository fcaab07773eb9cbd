"""
What came of a search for the highest rate.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """
    One rate that was tried.

    @ivar purpose: C{"climb"}, C{"bisect"} or C{"confirm"}.
    @ivar rate: messages per second that were asked for.
    @ivar achieved: messages per second that were accepted.
    @ivar passed: was the promise kept, at that rate?
    @ivar actual: what there was, in words.
    """

    purpose: str
    rate: float
    achieved: float
    passed: bool
    actual: str


@dataclass(frozen=True)
class Found:
    """
    What came of a search.

    @ivar promise: what was to be kept.
    @ivar rate: the highest rate, in messages per second, that kept it, or C{None}.
    @ivar steps: all that was tried, in order.
    """

    promise: str
    rate: float | None
    steps: tuple[Step, ...]
