"""
How much of the time may be spent on what is made again and again beside a run.
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

    def __init__(
        self,
        seconds: Callable[[], float],
        clock: Callable[[], float],
        share: float = SHARE,
        interval: float = INTERVAL,
    ) -> None:
        """
        @param seconds: the time.
        @param clock: for the seconds that it takes.
        @param share: the part of the time that may be spent.
        @param interval: the least seconds between two times.
        """
        self._seconds = seconds
        self._clock = clock
        self._share = share
        self._interval = interval
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
        self._soonest = self._seconds() + self._interval

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
