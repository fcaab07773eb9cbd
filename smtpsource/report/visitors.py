"""
Strangers who come to an HTTP server of ours: whoever they are, they take little from what goes on here.
"""

from __future__ import annotations

from typing import Any

from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request
from twisted.web.server import Site

#: Seconds that a connection may take, from its beginning to the end of the answer.
LONGEST = 10.0


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

    @ivar isGuest: its request is known and wanted: it waits for something, and does not give way to others.
    """

    factory: Visitors
    isGuest = False
    _received = 0

    def connectionMade(self) -> None:
        """
        The time begins.
        """
        super().connectionMade()
        self._begin(LONGEST)

    def _begin(self, seconds: float) -> None:
        self._end = self.factory.reactor.callLater(seconds, self.abortConnection)

    def dataReceived(self, data: bytes) -> None:
        """
        A part of the request.
        """
        self._received += len(data)
        if self._received > self.factory.largest:
            self.abortConnection()
        else:
            super().dataReceived(data)

    def welcome(self) -> None:
        """
        It may stay until it is dismissed.
        """
        self.isGuest = True
        self._stop()

    def dismiss(self, seconds: float) -> None:
        """
        It has its answer.

        @param seconds: how long it may take to read that.
        """
        self._stop()
        self._begin(seconds)

    def _stop(self) -> None:
        if self._end.active():
            self._end.cancel()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """
        It is over.
        """
        self._stop()
        super().connectionLost(reason)


class Visitors(WrappingFactory):
    """
    All connections, and no more than so many: whoever has been there for longest goes for one who has just come.
    """

    noisy = False
    protocol = Visitor

    def __init__(self, site: Site, reactor: Any, most: int, largest: int) -> None:
        """
        @param reactor: provides C{IReactorTime}.
        @param most: connections at once.
        @param largest: the most bytes that a request may have, its body included.
        """
        super().__init__(site)
        self.reactor = reactor
        self.largest = largest
        self._most = most

    def serveAt(self, port: Any) -> None:
        """
        Take no more connections in one turn of the reactor than can go in it.
        """
        self.port = port
        port.numberAccepts = self._most // 2

    def buildProtocol(self, addr: Any) -> Any:
        """
        Take another connection.

        @return: C{None} if too many come at once: those that have to go are there until the next turn of the reactor.
        """
        half = self._most // 2
        strangers = [each for each in self.protocols if not each.isGuest]
        if len(strangers) >= half:
            strangers[len(strangers) - half].abortConnection()
        # Twisted's ports, and ours, take more in a turn the more came in the last.
        self.reactor.callLater(0, setattr, self.port, "numberAccepts", half)
        return super().buildProtocol(addr) if len(self.protocols) < self._most else None

    def abort(self) -> None:
        """
        End all connections.
        """
        for connection in list(self.protocols):
            connection.abortConnection()
