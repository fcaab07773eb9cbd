"""
Which way, and when: the addresses of a destination, whose turn it is to connect, and how long to wait for another try.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from random import uniform

from smtpsource.net.destination import Address


def retryDelay(failures: int) -> float:
    """
    How many seconds to wait before another attempt: about 0.1 at first, growing up to 10, with some jitter.

    @param failures: how many attempts have failed before the last.
    """
    from twisted.application.internet import backoffPolicy  # 20 ms, for those who need it

    delay: float = backoffPolicy(initialDelay=0.1, maxDelay=10.0)(failures)
    return delay


def sessionDelay(failures: int) -> float:
    """
    How many seconds a session waits that could not connect, before it takes another message: at least 0.05 at first,
    then twice as long each time, up to 2; with jitter, so that not all of them come at once.

    @param failures: how many connections could not be had before this one, since it has had one.
    """
    longest = min(2.0, 0.1 * 2 ** min(failures, 10))
    return uniform(longest / 2, longest)


class ConnectQueue:
    """
    Lets a number of sessions connect at once and the others wait, first come first served.
    """

    def __init__(self, parallel: int) -> None:
        """
        @param parallel: how many may connect at the same time.
        """
        self._free = parallel
        # Very many may wait, and any of them may want no more.
        self._waiting: OrderedDict[Callable[[], None], None] = OrderedDict()

    def enter(self, connect: Callable[[], None]) -> None:
        """
        Call C{connect} as soon as there is room, maybe now. Every call of it is to be followed by one of L{leave}.
        """
        if self._free:
            self._free -= 1
            connect()
        else:
            self._waiting[connect] = None

    def withdraw(self, connect: Callable[[], None]) -> bool:
        """
        Wait no longer.

        @return: was it still waiting?
        """
        waiting = connect in self._waiting
        self._waiting.pop(connect, None)
        return waiting

    def leave(self) -> None:
        """
        One that was let in has connected, or given up.
        """
        if self._waiting:
            connect, _ = self._waiting.popitem(last=False)
            connect()
        else:
            self._free += 1


class Route:
    """
    The addresses of a destination, shared by all who connect to it: the one that answered last is tried first.
    """

    def __init__(self, addresses: Sequence[Address]) -> None:
        self.addresses = tuple(addresses)
        self.preferred = 0
