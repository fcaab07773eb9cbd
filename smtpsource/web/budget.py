"""
A part of a processor's time, for what is no part of the work that goes on here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Budget:
    """
    What may be spent on one thing.
    """

    def __init__(
        self, seconds: Callable[[], float], share: float, clock: Callable[[], float] = time.thread_time
    ) -> None:
        """
        @param seconds: the time.
        @param share: the part of the time that may be spent.
        @param clock: for the seconds that it takes.
        """
        self._seconds = seconds
        self._share = share
        self._clock = clock
        # When what was spent is no more than the share.
        self._even = 0.0
        self._isWithin = False

    @property
    def ahead(self) -> float:
        """
        How many seconds from now what was spent is no more than the share.
        """
        return max(0.0, self._even - self._seconds())

    @contextmanager
    def spend(self) -> Iterator[None]:
        """
        A part of it is done; what is done within that is counted once.
        """
        if self._isWithin:
            yield
            return
        self._isWithin, began = True, self._clock()
        try:
            yield
        finally:
            self._isWithin = False
            self.add(self._clock() - began)

    def add(self, spent: float) -> None:
        """
        So many seconds were spent.
        """
        self._even = max(self._even, self._seconds()) + spent / self._share
