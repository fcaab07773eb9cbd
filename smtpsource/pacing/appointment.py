"""
Waiting for a time of day.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds between two looks at the time of day, which may be set meanwhile.
_LOOK = 1.0


class Appointment:
    """
    Something that begins at a time of day: on several machines at once, as well as their clocks agree.
    """

    def __init__(self, reactor: IReactorTime, at: float, now: Callable[[], float] = time.time) -> None:
        """
        @param at: when: seconds since the epoch.
        @param now: the time of day, likewise.
        """
        self._reactor = reactor
        self._at = at
        self._now = now
        self._call: IDelayedCall | None = None
        self._whenDue: Deferred[float] = Deferred()

    @property
    def left(self) -> float:
        """
        How many seconds there are left.
        """
        return max(0.0, self._at - self._now())

    def wait(self) -> Deferred[float]:
        """
        Wait for it. To be called once.

        @return: fires when it is time, or at once if it was; with the seconds by which that is late.
        """
        self._look()
        return self._whenDue

    def breakOff(self) -> None:
        """
        Wait no longer.
        """
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._fire(0.0)

    def _look(self) -> None:
        left = self._at - self._now()
        if left > 0:
            self._call = self._reactor.callLater(min(left, _LOOK), self._look)
        else:
            self._fire(-left)

    def _fire(self, late: float) -> None:
        if not self._whenDue.called:
            self._whenDue.callback(late)
