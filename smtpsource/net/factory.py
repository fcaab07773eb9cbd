"""
The factory of a session's connections.
"""

from __future__ import annotations

import socket
import typing
from collections.abc import Callable

from twisted.internet.interfaces import IConnector
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.python.failure import Failure


class Reconnecting(typing.Protocol):
    """
    Whom the factory tells how connecting went: L{smtpsource.net.reconnecting.ReconnectingConnector}.
    """

    def connected(self) -> None:
        """
        An address has answered, and there is a protocol for the connection.
        """

    def endTimeout(self) -> None:
        """
        An address has answered, whatever comes of that.
        """

    def failed(self, reason: Failure) -> None:
        """
        An address has not answered, or there is no protocol for the connection.
        """

    def closed(self) -> None:
        """
        The connection is gone, and another can be made.
        """


class SMTPSourceFactory(ClientFactory):
    """
    Makes the protocol of each of one session's connections, and tells the session's connector how connecting went.

    There is one for each session, not one for all: C{buildProtocol} is not told which connector it is
    for.
    """

    noisy = False

    def __init__(self, connector: Reconnecting, build: Callable[[], Protocol], windowSize: int | None) -> None:
        """
        @param build: makes the protocol of a connection.
        @param windowSize: bytes for each of the socket's buffers (SO_RCVBUF, SO_SNDBUF), or C{None} for the system's
            choice.
        """
        self._connector = connector
        self._build = build
        self._windowSize = windowSize
        self._failure: Failure | None = None

    def startedConnecting(self, connector: IConnector) -> None:
        """
        The socket is there and connect(2) comes next: what it offers as its window is settled now.
        """
        if self._windowSize is not None:
            transport: typing.Any = connector.transport  # type: ignore[attr-defined]
            try:
                transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._windowSize)
                transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._windowSize)
            except Exception:
                pass  # such as that no socket could be had: the reactor reports that as a failed connection

    def buildProtocol(self, addr: object) -> Protocol | None:
        """
        The connection is made.
        """
        try:
            protocol = self._build()
        except Exception:
            # Then it is closed at once.
            self._failure = Failure()
            self._connector.endTimeout()
            return None
        self._connector.connected()
        protocol.factory = self
        return protocol

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        """
        The connection could not be made.
        """
        self._connector.failed(reason)

    def clientConnectionLost(self, connector: IConnector, reason: Failure) -> None:
        """
        The connection is gone. Only now, not when its protocol is told, can the connector make another.
        """
        if self._failure is None:
            self._connector.closed()
        else:
            failure, self._failure = self._failure, None
            self._connector.failed(failure)
