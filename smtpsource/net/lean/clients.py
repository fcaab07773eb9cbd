"""
The transports of clients, from connect(2) on.

To an address literal or a UNIX path there is nothing to resolve and nothing to put off: one non-blocking
connect(2), registered for writing, and changed to reading by one epoll_ctl(2) when it is established.

Of Twisted's private names these are used: C{FileDescriptor._tempDataBuffer}, C{_tempDataLen},
C{Client._addressType}, C{_stopReadingAndWriting} and C{tcp._resolveIPv6}. All of them are the same from 22.10
to 26.10.
"""

from __future__ import annotations

import socket
from errno import EAGAIN, EINPROGRESS
from os import strerror
from typing import TYPE_CHECKING, Any

from twisted.internet import error, tcp, unix
from twisted.internet.abstract import isIPv6Address
from twisted.internet.address import IPv6Address, UNIXAddress
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from smtpsource.net.lean.descriptor import EagerDescriptor
from smtpsource.net.lean.transports import EagerTransport, UNIXMixin
from smtpsource.speedups import compiled

if TYPE_CHECKING:
    from smtpsource.net.lean.interfaces import TransportReactor

_STREAM = socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0)

# Python 3.11 has no name for it. IPv6 sockets take it, too.
_BIND_ADDRESS_NO_PORT = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24)

# Seconds between attempts while the queue of a listening UNIX socket is full.
_RETRY = 0.005


class _ClientMixin(EagerTransport):
    """
    How a client transport ends.
    """

    connector: Any

    def connectionLost(self, reason: Failure) -> None:
        """
        Tell the connector, and if there was a connection first the protocol.
        """
        if self.connected:
            EagerDescriptor.connectionLost(self, reason)
            self.connector.connectionLost(reason)
        else:
            self.failIfNotConnected(self._whyNotConnected(reason))

    def _whyNotConnected(self, reason: Failure) -> Any:
        """
        What the kernel says about the attempt, or what the reactor says.
        """
        try:
            number = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        except (AttributeError, OSError):
            number = 0
        if number:
            return error.getConnectError((number, strerror(number)))
        return error.ConnectError(string=reason)

    if TYPE_CHECKING:

        def failIfNotConnected(self, err: Any) -> None: ...


class EagerClient(_ClientMixin, tcp.Client):
    """
    The transport of a TCP connection to a host name, made by Twisted's own connecting code.
    """

    begun = True


@compiled
class _LeanClientMixin(_ClientMixin):
    """
    A transport that connects to an address which needs no resolving.

    @ivar failure: Why there will be no connection, where that is known before the kernel had its say.
    @ivar begun: Whether connect(2) has been called.
    """

    begun = False
    _established = False  # connect(2) has succeeded at once.
    _retry: Any = None
    failure: Exception | None = None
    addressFamily: Any
    realAddress: Any
    _addressType: Any
    _peer: Any

    def __init__(self, connector: Any, reactor: TransportReactor) -> None:
        """
        Make the socket. Failing to is reported like any other failure to connect.
        """
        self.connector = connector
        self.reactor = reactor
        self.protocol = None
        self._tempDataBuffer = []
        self._tempDataLen = 0
        try:
            skt = socket.socket(self.addressFamily, _STREAM)
        except OSError as e:
            self.failure = error.ConnectBindError(e.args[0], e.args[1])
        else:
            self.socket = skt
            self.fileno = skt.fileno  # type: ignore[method-assign]

    def bindTo(self, bindAddress: Any) -> None:
        """
        Bind the local end.

        @param bindAddress: What C{connectTCP} was given: an address and port, or a C{Binding}, which newer
            Twisteds have.
        """
        if self.failure is not None:
            return
        try:
            if not isinstance(bindAddress, tuple):
                if bindAddress._reuseAddress:
                    self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if bindAddress._reusePort:
                    self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                bindAddress = bindAddress._address, bindAddress._port
            host, port = bindAddress[:2]
            if not port:
                # So connect(2) picks it, and may use one for each destination; see ip(7).
                self.socket.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
            self.socket.bind(tcp._resolveIPv6(host, port) if isIPv6Address(host) else (host, port))
        except OSError as e:
            self.failure = error.ConnectBindError(e.args[0], e.args[1])

    def begin(self) -> None:
        """
        Call connect(2). Whatever comes of it, nobody is told before this turn's events are handled.
        """
        self.begun = True
        self._retry = None
        self.reactor.retrying.discard(self)
        if self.failure is None:
            try:
                number = self.socket.connect_ex(self.realAddress)
                if number == EINPROGRESS:
                    self.reactor.watchConnecting(self.fileno(), self)
                    return
                if number == EAGAIN:
                    # The queue of the UNIX socket is full, and nobody will tell when it is not.
                    self._retry = self.reactor.callLater(_RETRY, self.begin)
                    self.reactor.retrying.add(self)
                    return
                self._established = not number
            except Exception as e:
                # An impossible port number, a path that is too long: Python has not even asked the kernel. Or there is
                # nobody who could wait for this connection.
                number = max(0, getattr(e, "errno", None) or 0)
                self.failure = e
            if number:
                self.failure = error.getConnectError((number, strerror(number)))
        self.reactor.finishSoon(self)

    def doWrite(self) -> Any:
        """
        Finish connecting, or send what was queued.

        @return: C{None}, or why the connection is over.
        """
        if self.connected:
            return EagerDescriptor.doWrite(self)
        if self.connector.state == "connecting":
            self._connected()
        return None

    def doSoon(self) -> Any:
        """
        Begin, finish an attempt whose outcome was known at once, or close.

        @return: C{None}, or why the connection is over.
        """
        if self.connected:
            return EagerDescriptor.doSoon(self)
        if self._aborting:
            self.failIfNotConnected(error.ConnectError(string="Connection was aborted locally"))
        elif self.failure is not None:
            self.failIfNotConnected(self.failure)
        elif hasattr(self, "connector") and not self.disconnected:
            if self._established:
                self._connected()
            else:
                self.begin()
        return None

    def _connected(self) -> None:
        """
        Build the protocol and start reading.
        """
        # If this raises the reactor calls connectionLost, and the connector is told that connecting failed.
        protocol = self.connector.buildProtocol(self._peer)
        self.protocol = Protocol() if protocol is None else protocol
        self.connected = 1
        if protocol is None:
            self.loseConnection()
            return
        self.reactor.watchReading(self.fileno(), self)
        protocol.makeConnection(self)

    def _stopReadingAndWriting(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
            self.reactor.retrying.discard(self)
        if hasattr(self, "socket"):
            self.reactor.forget(self.socket.fileno())


class LeanTCPClient(_LeanClientMixin, tcp.Client):
    """
    The transport of a TCP connection to an address literal.
    """

    def __init__(
        self, connector: Any, reactor: TransportReactor, addr: tuple[Any, ...], realAddress: tuple[Any, ...], peer: Any
    ) -> None:
        """
        @param addr: the address, as C{repr()} shows it.
        @param realAddress: the same as connect(2) wants it.
        @param peer: the same as C{getPeer()} says it.
        """
        self.addr, self.realAddress = addr, realAddress
        self._peer = peer
        if len(realAddress) != 2:
            self.addressFamily = socket.AF_INET6
            self._addressType = IPv6Address
        _LeanClientMixin.__init__(self, connector, reactor)


class LeanUNIXClient(UNIXMixin, _LeanClientMixin, unix.Client):
    """
    The transport of a connection to a UNIX socket.
    """

    def __init__(self, connector: Any, reactor: TransportReactor, peer: UNIXAddress) -> None:
        """
        @param peer: the address, as C{getPeer()} says it.
        """
        self._sendmsgQueue: list[int] = []
        self._peer = peer
        self.addr: Any = peer.name
        self.realAddress = self.addr
        _LeanClientMixin.__init__(self, connector, reactor)
