"""
How much of the time may be spent on what is made again and again beside a run.
"""

from __future__ import annotations

from collections.abc import Callable

from smtpsource.web.budget import Budget

#: The least seconds between two times.
INTERVAL = 2.0

#: The part of the time that may be spent on one thing; it is made less often where it would be more.
SHARE = 0.005


class Allowance(Budget):
    """
    The time that may be spent on one thing, and when it may be made anew.
    """

    def __init__(
        self,
        seconds: Callable[[], float],
        share: float,
        clock: Callable[[], float],
        interval: float = INTERVAL,
    ) -> None:
        """
        @param seconds: the time.
        @param share: the part of the time that may be spent.
        @param clock: for the seconds that it takes.
        @param interval: the least seconds between two times.
        """
        super().__init__(seconds, share, clock)
        self._interval = interval
        # When the interval is over.
        self._soonest = 0.0

    @property
    def isDue(self) -> bool:
        """
        May it be made anew?
        """
        return self._seconds() >= self._soonest and not self.ahead

    def begin(self) -> None:
        """
        It is made anew.
        """
        self._soonest = self._seconds() + self._interval
