"""
Strangers who come to an HTTP server of ours: whoever they are, they take little from what goes on here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from math import inf
from typing import Any

from twisted.internet.defer import Deferred
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request
from twisted.web.server import Site

from smtpsource.web.door import Door

#: Seconds that a connection may take, from its beginning to the end of the answer.
LONGEST = 10.0

#: Seconds of silence after which one who has not asked yet gives way, where others wait to come in.
SILENCE = 0.25

#: A part of a request counts as so many bytes at least: however small it is, it is work.
_SMALLEST = 64


class OneRequestChannel(HTTPChannel):
    """
    A connection for one request.
    """

    def checkPersistence(self, request: Request, version: bytes) -> bool:
        """
        It ends with the answer.
        """
        request.responseHeaders.setRawHeaders(b"connection", [b"close"])
        return False


class QuietSite(Site):
    """
    One that writes nothing into the log.
    """

    noisy = False
    protocol: Any = OneRequestChannel

    def log(self, request: Request) -> None:
        """
        A request is no news.
        """


class Visitor(ProtocolWrapper):
    """
    A connection that takes neither too long nor too much, whoever it is: silent, slow, or one who never ends.

    @ivar staysUntil: the time, in the reactor's seconds, before which it does not give way to others.
    """

    factory: Visitors
    staysUntil = inf
    _received = 0

    def makeConnection(self, transport: Any) -> None:
        """
        Somebody comes.
        """
        with self.factory.door.spend():
            super().makeConnection(transport)

    def connectionMade(self) -> None:
        """
        The time begins.
        """
        super().connectionMade()
        self._begin(LONGEST)
        self._stayFor(SILENCE)

    def _stayFor(self, seconds: float) -> None:
        self.staysUntil = self.factory.reactor.seconds() + seconds

    def _begin(self, seconds: float) -> None:
        self._end = self.factory.reactor.callLater(seconds, self.abortConnection)

    def dataReceived(self, data: bytes) -> None:
        """
        A part of the request.
        """
        self._received += max(len(data), _SMALLEST)
        if self._received > self.factory.largest:
            self.abortConnection()
            return
        if self.staysUntil != inf:
            self._stayFor(SILENCE)
        with self.factory.door.spend():
            super().dataReceived(data)

    def write(self, data: bytes) -> None:
        """
        Send something.
        """
        with self.factory.door.spend():
            super().write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """
        The same in parts.
        """
        self.write(b"".join(data))

    def welcome(self) -> None:
        """
        It may stay until it is dismissed: its request is known and wanted, and it waits for something.
        """
        self.staysUntil = inf
        self._stop()

    def dismiss(self, seconds: float) -> None:
        """
        It has its answer.

        @param seconds: how long it may take to read that.
        """
        self._stop()
        self._begin(seconds)
        self._stayFor(min(seconds, LONGEST))

    def _stop(self) -> None:
        if self._end.active():
            self._end.cancel()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """
        It is over.
        """
        self._stop()
        with self.factory.door.spend():
            super().connectionLost(reason)


class Visitors(WrappingFactory):
    """
    All connections. When there are as many as may be, others wait until one of these is over. If one of them has been
    silent for too long then, it gives way: so nobody is sent away who has just come.

    @ivar door: where they come in.
    """

    noisy = False
    protocol = Visitor

    def __init__(
        self,
        site: Site,
        reactor: Any,
        most: int,
        largest: int,
        share: float = inf,
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        """
        @param reactor: provides C{IReactorTime}.
        @param most: connections at once.
        @param largest: the most bytes that a request may have, its body included.
        @param share: the part of the processor's time that may be spent on them all.
        @param clock: for the seconds that it takes.
        """
        super().__init__(site)
        self.reactor = reactor
        self.largest = largest
        self.door = Door(reactor, share, clock)
        self._most = most
        self._look: Any = None
        self._suspect: Visitor | None = None
        self._waiting: list[Deferred[None]] = []

    def serveAt(self, port: Any) -> None:
        """
        Take connections from a port.
        """
        self.door.port = port
        self.door.oneByOne()

    def registerProtocol(self, p: Any) -> None:
        """
        There is another connection.
        """
        super().registerProtocol(p)
        self.door.enter()
        if len(self.protocols) == self._most:
            self.door.isFull = True
            self._lookAt(self._first())
        self.reactor.callLater(0, self.door.oneByOne)

    def unregisterProtocol(self, p: Any) -> None:
        """
        One of them is gone.
        """
        super().unregisterProtocol(p)
        if len(self.protocols) == self._most - 1:
            self._look.cancel()
            self.door.isFull = False
        if not self.protocols:
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                one.callback(None)

    def _lookAt(self, first: Visitor) -> None:
        """
        Look when somebody may have been silent for too long.
        """
        self._suspect = None
        left = first.staysUntil - self.reactor.seconds()
        self._look = self.reactor.callLater(min(SILENCE, max(0.0, left)), self._makeRoom)

    def _makeRoom(self) -> None:
        """
        If somebody has been silent for too long, it goes. What it has said may not be read yet, so it has another turn
        of the reactor.
        """
        first = self._first()
        if first.staysUntil > self.reactor.seconds():
            self._lookAt(first)
        elif first is self._suspect:
            self._look = self.reactor.callLater(SILENCE, self._makeRoom)
            first.abortConnection()
        else:
            self._suspect = first
            self._look = self.reactor.callLater(0, self._makeRoom)

    def _first(self) -> Visitor:
        visitors: list[Visitor] = list(self.protocols)
        return min(visitors, key=lambda each: each.staysUntil)

    def whenEmpty(self) -> Deferred[None]:
        """
        @return: fires when there is no connection; may be cancelled.
        """
        empty: Deferred[None] = Deferred(lambda cancelled: self._waiting.remove(cancelled))
        if self.protocols:
            self._waiting.append(empty)
        else:
            empty.callback(None)
        return empty

    def abort(self) -> None:
        """
        End all connections: nobody is let in any more.
        """
        self.door.leave()
        for connection in list(self.protocols):
            connection.abortConnection()
