"""
When messages are to start in an open loop, whatever the server does; and how many sessions there are to be.

Nothing here looks at a clock or adds up intervals: every time is computed from the start of the run, so that there is
no drift, however long it goes on.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple


class _Piece(NamedTuple):
    """
    A part of a profile.

    @ivar start: when it begins, in seconds.
    @ivar value: the profile's value there.
    @ivar slope: by how much it grows in a second.
    @ivar end: when it ends.
    @ivar before: the area below the profile up to its beginning.
    @ivar area: the same up to its end.
    """

    start: float
    value: float
    slope: float
    end: float
    before: float
    area: float


class Profile:
    """
    A value that changes with time, linearly from point to point; with one point, it never changes.

    @ivar end: when it is over, in seconds from its beginning.
    @ivar area: the area below it: for a rate, how much there is in all.
    """

    def __init__(self, points: Sequence[tuple[float, float]], end: float = math.inf) -> None:
        """
        @param points: for each the seconds from the point before it, and the value from 0. The first's are 0.
        @param end: with one point, when it is over.
        """
        pieces = []
        start = area = 0.0
        value = points[0][1]
        for seconds, following in points[1:]:
            if seconds:
                grown = (value + following) / 2 * seconds
                slope = (following - value) / seconds
                pieces.append(_Piece(start, value, slope, start + seconds, area, area + grown))
                start += seconds
                area += grown
            value = following
        if len(points) == 1:
            area = value * end if value else 0.0
            end = end if value else math.inf
            pieces.append(_Piece(0.0, value, 0.0, end, 0.0, area))
            start = end
        self._pieces = pieces
        self.end = start
        self.area = area

    def valueAt(self, time: float) -> float:
        """
        The value at a time; the last one's after the end.
        """
        for piece in self._pieces:
            if time < piece.end:
                return piece.value + piece.slope * (time - piece.start)
        last = self._pieces[-1]
        return last.value + last.slope * (last.end - last.start)

    def areaAt(self, time: float) -> float:
        """
        The area up to a time: for a rate, how much was due by then.
        """
        if time >= self.end:
            return self.area
        for piece in self._pieces:
            if time < piece.end:
                passed = max(0.0, time - piece.start)
                return piece.before + (piece.value + piece.slope * passed / 2) * passed
        return self.area

    def timeOf(self, area: float) -> float:
        """
        When the area below the profile grows beyond this; infinite if it never does.
        """
        for piece in self._pieces:
            if area < piece.area:
                rest = area - piece.before
                if not piece.slope:
                    return piece.start + rest / piece.value
                root = math.sqrt(max(0.0, piece.value * piece.value + 2 * piece.slope * rest))
                # This form keeps its digits where the slope is small.
                return piece.start + (2 * rest / (piece.value + root) if rest else 0.0)
        return math.inf


#: The ways in which arrivals may follow a rate.
ARRIVALS = ("constant", "poisson")


class Schedule:
    """
    The times at which messages are wanted, one after the other.

    @ivar next: when the next one is wanted, in seconds from the start of the run; infinite if there is none.
    @ivar taken: how many were wanted before that.
    @ivar end: when all is over, which may be after the last.
    """

    def __init__(self, profile: Profile, arrivals: str = "constant", rng: random.Random | None = None) -> None:
        """
        @param profile: the rate, in messages per second.
        @param arrivals: C{"constant"}: as evenly as can be; C{"poisson"}: independent of each other, with intervals
            that are exponentially distributed (where the rate is constant).
        """
        self._profile = profile
        self.end = profile.end
        self._even = arrivals == "constant"
        self._interval: Callable[[float], float] = (rng or random.Random()).expovariate
        self._reached = 0.0
        # Those after the next one that somebody has already asked about.
        self._ahead: deque[float] = deque()
        self.taken = 0
        self.next = profile.timeOf(0.0) if self._even else self._draw()

    def advance(self) -> None:
        """
        The next one was taken: find the one after it.
        """
        self.taken += 1
        if self._even:
            self._reached = float(self.taken)
            self.next = self._profile.timeOf(self._reached)
        else:
            self.next = self._ahead.popleft() if self._ahead else self._draw()

    def _draw(self) -> float:
        """
        The time of another one: as if the rate were 1; the profile makes the real time of it.
        """
        self._reached += self._interval(1.0)
        return self._profile.timeOf(self._reached)

    def asked(self, time: float) -> int:
        """
        How many were wanted up to this time: those that were taken, and those that have waited since then.
        """
        if self.next > time or self.next == math.inf:
            return self.taken
        if self._even:
            waiting = 1 + int(self._profile.areaAt(time) - self._reached)
            rest = self._profile.area - self._reached
            return self.taken + (waiting if rest == math.inf else min(waiting, math.ceil(rest)))
        ahead = self._ahead
        while not ahead or (ahead[-1] <= time and ahead[-1] < math.inf):
            ahead.append(self._draw())
        later = next(
            (place for place, wanted in enumerate(reversed(ahead)) if wanted <= time and wanted < math.inf), len(ahead)
        )
        return self.taken + 1 + len(ahead) - later

    def rateAt(self, time: float) -> float:
        """
        The rate that is wanted at this time, in messages per second; 0 when all is over.
        """
        return self._profile.valueAt(time) if time < self._profile.end else 0.0
