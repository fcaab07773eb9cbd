"""
Where strangers come in, and when nobody does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from typing import Any

from smtpsource.web.budget import Budget

#: The part of a processor's time that they may take where something else is at work.
SHARE = 0.01

#: So many seconds of it may be taken at once: a page comes with all that it needs.
CREDIT = 0.1

#: Seconds that one costs besides what is done for them here: turns of the reactor, and what the system does.
PRICE = 0.0005


class Door:
    """
    A port that is closed while there is no room for another one, and while those who came have taken more than their
    share of the processor's time. Who comes then waits outside, where it costs nothing.

    @ivar port: takes the connections.
    """

    port: Any = None

    def __init__(self, reactor: Any, share: float = inf, clock: Callable[[], float] = time.thread_time) -> None:
        """
        @param reactor: provides C{IReactorTime}.
        @param share: the part of the time that may be spent on all who come.
        @param clock: for the seconds that it takes.
        """
        self._reactor = reactor
        self._budget = Budget(reactor.seconds, share, clock)
        self._credit = CREDIT / share
        self._isOpen, self._isFull = True, False
        self._pause: Any = None

    @property
    def isFull(self) -> bool:
        """
        Is there no room for another one?
        """
        return self._isFull

    @isFull.setter
    def isFull(self, value: bool) -> None:
        self._isFull = value
        self._move()

    @contextmanager
    def spend(self) -> Iterator[None]:
        """
        Something is done for somebody.
        """
        try:
            with self._budget.spend():
                yield
        finally:
            self._count()

    def enter(self) -> None:
        """
        Somebody has come in.
        """
        self._budget.add(PRICE)
        self._count()

    def _count(self) -> None:
        late = self._budget.ahead - self._credit
        if late > 0 and self._pause is None and self.port is not None:
            self._pause = self._reactor.callLater(late, self._countAgain)
            self._move()

    def _countAgain(self) -> None:
        self._pause = None
        self._count()
        self._move()

    def _move(self) -> None:
        isOpen = not self._isFull and self._pause is None
        if isOpen != self._isOpen and self.port is not None:
            self._isOpen = isOpen
            if isOpen:
                self.port.resumeProducing()
            else:
                self.port.pauseProducing()

    def oneByOne(self) -> None:
        """
        In a turn of the reactor let in but one: the next may find it closed. Twisted's ports, and ours, take more in a
        turn the more came in the last.
        """
        if self.port is not None:
            self.port.numberAccepts = 1

    def leave(self) -> None:
        """
        Whether it is open is somebody else's business from now on.
        """
        self.port = None
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
