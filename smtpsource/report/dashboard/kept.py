"""
What is made for whoever asks, and kept for all who ask soon after: however often they do, making it takes little time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: The least seconds between two times.
INTERVAL = 2.0

#: The part of the time that may be spent on one thing; it is made less often where it would be more.
SHARE = 0.005


class Allowance:
    """
    The time that may be spent on one thing.
    """

    def __init__(self, seconds: Callable[[], float], clock: Callable[[], float], share: float) -> None:
        """
        @param seconds: the time.
        @param clock: for the seconds that it takes.
        @param share: the part of the time that may be spent.
        """
        self._seconds = seconds
        self._clock = clock
        self._share = share
        # When the interval is over, and when what was spent is no more than the share.
        self._soonest = self._even = 0.0

    @property
    def isDue(self) -> bool:
        """
        May it be made anew?
        """
        return self._seconds() >= max(self._soonest, self._even)

    def begin(self) -> None:
        """
        It is made anew.
        """
        self._soonest = self._seconds() + INTERVAL

    @contextmanager
    def spend(self) -> Iterator[None]:
        """
        A part of it is made.
        """
        began = self._clock()
        try:
            yield
        finally:
            self._even = max(self._even, self._seconds()) + (self._clock() - began) / self._share


class Kept:
    """
    Something in pieces.
    """

    def __init__(self, make: Callable[[], Iterator[bytes]], allowance: Allowance) -> None:
        """
        @param make: gives the pieces.
        @param allowance: the time for that.
        """
        self._make = make
        self._allowance = allowance
        self._latest: _Copy | None = None

    def pieces(self) -> Iterator[bytes]:
        """
        The pieces: of what is kept, or made anew if that may be.
        """
        if self._latest is None or self._latest.isBroken or self._allowance.isDue:
            self._allowance.begin()
            self._latest = None
            with self._allowance.spend():
                self._latest = _Copy(self._make())
        return self._latest.read(self._allowance)

    def dropOld(self) -> None:
        """
        Keep nothing that nobody would be given any more: a report of a long run is large.
        """
        if self._allowance.isDue:
            self._latest = None

    def drop(self) -> None:
        """
        Something has happened that everybody is to know.
        """
        self._latest = None


class _Copy:
    """
    What is made once: each piece when the first one comes to it.

    @ivar isBroken: could it not be made to its end?
    """

    isBroken = False

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source = source
        self._made: list[bytes] = []

    def read(self, allowance: Allowance) -> Iterator[bytes]:
        """
        All of it, from the beginning.
        """
        place = 0
        while True:
            if place == len(self._made):
                try:
                    with allowance.spend():
                        piece = next(self._source, None)
                except BaseException:
                    self.isBroken = True
                    raise
                if piece is None:
                    return
                self._made.append(piece)
            yield self._made[place]
            place += 1
