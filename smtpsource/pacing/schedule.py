"""
When messages are to start in an open loop, whatever the server does; and how many sessions there are to be.

Nothing here looks at a clock or adds up intervals: every time is computed from the start of the run, so that there is
no drift, however long it goes on. Nor does anything take longer where there is more of it: how many messages are wanted
up to a time is known without a look at each of them, and so many can be passed over.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter
from sys import maxsize
from typing import NamedTuple

from smtpsource.pacing.share import WHOLE, Share


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
    @ivar highest: its highest value.
    """

    def __init__(self, points: Sequence[tuple[float, float]], end: float = math.inf) -> None:
        """
        @param points: for each the seconds from the point before it, and the value from 0. The first's are 0.
        @param end: with one point, when it is over.
        """
        self._points, self._until = points, end
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
        self._latest = pieces[0]
        self.end = start
        self.area = area
        self.highest = max(value for _, value in points)

    def divided(self, number: int) -> Profile:
        """
        One of so many equal ones that come to this one together.
        """
        return Profile([(seconds, value / number) for seconds, value in self._points], self._until)

    def valueAt(self, time: float) -> float:
        """
        The value at a time; the last one's after the end.
        """
        piece = self._first(time, _end)
        if piece is None:
            last = self._pieces[-1]
            return last.value + last.slope * (last.end - last.start)
        return piece.value + piece.slope * (time - piece.start)

    def areaAt(self, time: float) -> float:
        """
        The area up to a time: for a rate, how much was due by then.
        """
        piece = self._first(time, _end)
        if piece is None:
            return self.area
        passed = max(0.0, time - piece.start)
        return piece.before + (piece.value + piece.slope * passed / 2) * passed

    def timeOf(self, area: float) -> float:
        """
        When the area below the profile grows beyond this; infinite if it never does.
        """
        piece = self._latest  # nearly always it is in the same one again
        if not piece.before <= area < piece.area:
            found = self._first(area, _area)
            if found is None:
                return math.inf
            self._latest = piece = found
        rest = area - piece.before
        if not rest:
            return piece.start
        if not piece.slope:
            return piece.start + rest / piece.value
        # This form keeps its digits where the slope is small.
        double = piece.value + math.sqrt(max(0.0, piece.value * piece.value + 2 * piece.slope * rest))
        # Of rates that are nearly nothing no digits may be left.
        return min(piece.end, piece.start + 2 * rest / double) if double else piece.end

    def _first(self, value: float, of: attrgetter[float]) -> _Piece | None:
        """
        The first piece of which this is more than C{value}; C{None} if there is none.
        """
        pieces = self._pieces
        place = bisect_right(pieces, value, key=of)
        return pieces[place] if place < len(pieces) else None


_end, _area = attrgetter("end"), attrgetter("area")


class _Part(NamedTuple):
    """
    So many arrivals, one after the other.

    @ivar begin: all come after that.
    @ivar end: the last one comes there.
    @ivar seed: what decides where the others come.
    """

    begin: float
    end: float
    number: int
    seed: int


#: So many arrivals are drawn at once.
_FEW = 256


class Arrivals:
    """
    Arrivals that are independent of each other, at a mean rate of 1 (a Poisson process). The same seed gives the same
    ones, whether they are taken one by one or any number of them is passed over at once: the distance of many, which
    has a gamma distribution, is drawn before those between; and where the middle one of them is, which has a beta
    distribution, before those on both sides of it. What nobody asks for is not drawn.

    @ivar next: where the next one is.
    @ivar taken: how many were before it.
    """

    def __init__(self, seed: int, atOnce: int) -> None:
        """
        @param atOnce: how many of them may be passed over in one step.
        """
        self._draw = random.Random(seed)
        self._atOnce = max(_FEW, atOnce)
        self._reached = 0.0
        # What is known of those to come, and the places of the very next ones; the first of them is the last here.
        self._parts: list[_Part] = []
        self._places: list[float] = []
        self.taken = 0
        self._reach()

    def advance(self) -> None:
        """
        The next one was taken.
        """
        self.taken += 1
        places = self._places
        places.pop()
        if places:
            self.next = places[-1]
        else:
            self._reach()

    def passOver(self, place: float, most: int = maxsize) -> None:
        """
        Take all up to this place at once, but no more than so many from the beginning.
        """
        places = self._places
        if self.next > place:
            return
        if places[0] <= place and self.taken + len(places) <= most:
            self.taken += len(places)
            places.clear()
            while (part := self._part()).end <= place or part.number > _FEW:
                if part.end <= place and self.taken + part.number <= most:
                    self.taken += part.number
                elif part.number > _FEW:
                    self._parts += _halves(part)
                else:
                    break
            self._places = places = _placesOf(part)
        while places and places[-1] <= place and self.taken < most:
            self.taken += 1
            places.pop()
        self._reach()

    def _reach(self) -> None:
        """
        See where the next one is.
        """
        if not self._places:
            part = self._part()
            while part.number > _FEW:
                later, part = _halves(part)
                self._parts.append(later)
            self._places = _placesOf(part)
        self.next = self._places[-1]

    def _part(self) -> _Part:
        """
        The next ones of which no place is known.
        """
        if self._parts:
            return self._parts.pop()
        begin = self._reached
        self._reached = end = begin + self._draw.gammavariate(self._atOnce, 1.0)
        return _Part(begin, end, self._atOnce, self._draw.getrandbits(64))


def _halves(part: _Part) -> tuple[_Part, _Part]:
    """
    The second half of these arrivals, and the first.
    """
    draw = random.Random(part.seed)
    half = part.number // 2
    middle = part.begin + (part.end - part.begin) * draw.betavariate(half, part.number - half)
    return (
        _Part(middle, part.end, part.number - half, draw.getrandbits(64)),
        _Part(part.begin, middle, half, draw.getrandbits(64)),
    )


def _placesOf(part: _Part) -> list[float]:
    """
    Where these arrivals are, the last one first.
    """
    draw = random.Random(part.seed).random
    length = part.end - part.begin
    return [part.end, *sorted([part.begin + length * draw() for _ in range(part.number - 1)], reverse=True)]


class Schedule:
    """
    The times at which messages are wanted, one after the other: all of them, or those of a share.

    @ivar next: when the next one is wanted, in seconds from the start of the run; infinite if there is none.
    @ivar taken: how many were wanted before that.
    @ivar end: when all is over, which may be after the last.
    @ivar last: how many may be wanted.
    """

    def __init__(
        self,
        profile: Profile,
        arrivals: str = "constant",
        rng: random.Random | None = None,
        share: Share = WHOLE,
    ) -> None:
        """
        @param profile: the rate of all shares together, in messages per second.
        @param arrivals: C{"constant"}: as evenly as can be; C{"poisson"}: independent of each other, with intervals
            that are exponentially distributed (where the rate is constant).
        @param share: whose messages these are. Of even arrivals, it has every so-manieth of those that there are in
            all. Independent ones stay so when they are divided: so each share draws its own, at its part of the rate.
        """
        self._share = share
        # At how many times the rate of this share the profile is.
        self._shares = share.count
        if arrivals == "poisson" and share.count > 1:
            profile, self._shares = profile.divided(share.count), 1
        self._profile = profile
        self.end = profile.end
        self.taken = 0
        # Of all shares together: the next one's number, how many may be wanted, and when one more than these would be.
        self._number, self._step = float(share.index), float(share.count)
        self.last = self._allShares = maxsize
        self._beyond = math.inf
        # As if the rate were 1; the profile makes the real times of them. Those that are taken, and the same again for
        # those that somebody asks about before.
        self._arrivals: Arrivals | None = None
        if arrivals == "poisson":
            self._seed = (rng or random.Random()).getrandbits(64)
            self._arrivals, self._ahead = self._drawn(), self._drawn()
            self._aheadOf = 0.0, False
        self.next = self._time()

    def advance(self) -> None:
        """
        The next one was taken: find the one after it.
        """
        self.taken += 1
        if self._arrivals is None:
            self._number += self._step
            self.next = self._profile.timeOf(self._number)
        else:
            self._arrivals.advance()
            self.next = self._profile.timeOf(self._arrivals.next)

    def skip(self, time: float) -> int:
        """
        Pass over all that are wanted before this time, in no time of our own.

        @return: how many these were.
        """
        before = self.taken
        if self.next < time:
            if self._arrivals is None:
                self.taken = max(before, self._share.of(self._even(time, orThen=False)))
                self._number = float(self._share.number(self.taken))
            else:
                self._pass(self._arrivals, time, orThen=False)
                self.taken = self._arrivals.taken
            self.next = self._time()
        return self.taken - before

    def limit(self, number: int, since: float = 0.0) -> None:
        """
        Let no more than so many be wanted.

        @param number: how many, of all shares together.
        @param since: of those that are wanted at this time or later.
        """
        if self._arrivals is None:
            self._allShares = min(maxsize, number + self._even(since, orThen=False))
            self._beyond = self._profile.timeOf(float(self._allShares))
            self.last = self._share.of(self._allShares)
        else:
            self.last = min(maxsize, self._share.of(number) + self.before(since))

    def asked(self, time: float) -> int:
        """
        How many were wanted up to this time: those that were taken, and those that have waited since then.
        """
        return min(self.last, max(self.taken, self._wanted(time, self.last, orThen=True)))

    def before(self, time: float) -> int:
        """
        How many were wanted before this time.
        """
        return self._wanted(time, maxsize, orThen=False)

    def lasted(self, time: float) -> float:
        """
        For how many seconds up to this time it has asked. If messages are limited, the last one's time ends where
        another one would be wanted, though this may be later than C{time}: 10 of them at 5 a second are 2 seconds. Of
        even arrivals all shares say the same.
        """
        if not self._wantedAll(time):
            return min(time, self.end)
        return min(self.end, self._beyond if self._arrivals is None else self._profile.timeOf(self._ahead.next))

    def isOver(self, time: float) -> bool:
        """
        Has it asked for all, up to this time?
        """
        return time >= self.end or self._wantedAll(time)

    def rateAt(self, time: float) -> float:
        """
        The rate that is wanted at this time, in messages per second; 0 when all is over. Before the beginning, which
        may be endlessly far off, it is that of the beginning.
        """
        return self._profile.valueAt(max(0.0, time)) / self._shares if time < self._profile.end else 0.0

    def _wantedAll(self, time: float) -> bool:
        if self._arrivals is None:
            return self._even(time, orThen=True) >= self._allShares
        return self._wanted(time, self.last, orThen=True) >= self.last

    def _time(self) -> float:
        return self._profile.timeOf(self._number if self._arrivals is None else self._arrivals.next)

    def _drawn(self) -> Arrivals:
        return Arrivals(self._seed, math.ceil(self._profile.highest))

    def _wanted(self, time: float, most: int, orThen: bool) -> int:
        if self._arrivals is None:
            return min(most, self._share.of(self._even(time, orThen)))
        if (time, orThen) < self._aheadOf or self._ahead.taken > most:
            self._ahead = self._drawn()
        self._aheadOf = time, orThen
        self._pass(self._ahead, time, orThen, most)
        return self._ahead.taken

    def _pass(self, arrivals: Arrivals, time: float, orThen: bool, most: int = maxsize) -> None:
        """
        Pass over those before this time or, with C{orThen}, up to it.
        """
        profile = self._profile
        area = profile.areaAt(time)
        # These were rounded; so of the last ones the times decide.
        rounded = 4e-15 * (area + profile.highest * max(0.0, min(time, self.end)))
        arrivals.passOver(area - rounded, most)
        while arrivals.taken < most and (at := profile.timeOf(arrivals.next)) <= time < math.inf:
            if at == time and not orThen:
                break
            arrivals.advance()

    def _even(self, time: float, orThen: bool) -> int:
        """
        How many are wanted of all shares before this time or, with C{orThen}, up to it, if they are as even as can be.
        """
        timeOf = self._profile.timeOf
        if time >= self.end:
            return math.ceil(self._profile.area)
        number = int(self._profile.areaAt(time))
        # That was rounded; and where the rate is 0, what is due waits until it grows.
        while number and (timeOf(number - 1.0) > time or (timeOf(number - 1.0) == time and not orThen)):
            number -= 1
        while timeOf(float(number)) < time or (orThen and timeOf(float(number)) == time):
            number += 1
        return number
