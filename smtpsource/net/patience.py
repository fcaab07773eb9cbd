"""
How long others are waited for.

This process may stand still itself: stopped by Ctrl-Z, swapped out, its machine paused. When it goes on every deadline
is over, and what others have said in time lies unread in its sockets. So nobody is given up before all that had come by
then was read; and the time in which nothing was done here is not held against anybody.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: A call that is so many seconds late is so because this process stood still.
LATE = 1.0

#: How many standstills are remembered.
_MOST = 1000


class Deadline:
    """
    A delayed call for giving somebody up.
    """

    def __init__(self, reactor: IReactorTime, seconds: float, call: Callable[..., object], *arguments: Any) -> None:
        """
        Call C{call} in C{seconds}, and up to as many later if this process stands still at the end of them.
        """
        self._reactor = reactor
        self._call = call
        self._arguments = arguments
        self._more = seconds
        self._wait(seconds)

    def active(self) -> bool:
        """
        Will it be called yet?
        """
        return self._delayed.active()

    def cancel(self) -> None:
        """
        Don't call.

        @raise twisted.internet.error.AlreadyCalled: it was called.
        @raise twisted.internet.error.AlreadyCancelled: it was cancelled.
        """
        self._delayed.cancel()

    def _wait(self, seconds: float) -> None:
        self._due = self._reactor.seconds() + seconds
        self._delayed: IDelayedCall = self._reactor.callLater(seconds, self._over)

    def _over(self) -> None:
        late = min(self._reactor.seconds() - self._due, self._more)
        if late > LATE:
            self._more -= late
            self._wait(late)
        else:
            # In the next turn of the reactor: in this one it reads what has come.
            self._delayed = self._reactor.callLater(0, self._call, *self._arguments)


class Standstills:
    """
    When and for how long this process stood still, as far as somebody who looks regularly can tell.
    """

    def __init__(self, interval: float) -> None:
        """
        @param interval: how many seconds there are to be between two looks.
        """
        self._interval = interval
        self._last: float | None = None
        self._ends: list[float] = []
        # How many seconds were lost before the first of them, up to the end of the first, and so on.
        self._lost = [0.0]

    def look(self, now: float) -> None:
        """
        It is time to look, or was.
        """
        if self._last is not None:
            late = now - self._last - self._interval
            if late > self._interval:
                self._ends.append(now)
                self._lost.append(self._lost[-1] + late)
                if len(self._ends) > _MOST:
                    del self._ends[: _MOST // 2], self._lost[: _MOST // 2]
        self._last = now

    def since(self, time: float) -> float:
        """
        How many seconds were lost since then.
        """
        return self._lost[-1] - self._lost[bisect_right(self._ends, time)]
