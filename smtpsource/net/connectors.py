"""
Connectors that make no more calls than a connection needs.

To an address literal or a UNIX path there is nothing to resolve and nothing to put off: one non-blocking
connect(2) within C{connect()}, registered for writing, and changed to reading by one epoll_ctl(2) when it is
established. Host names go through Twisted's own resolver and connecting code, and get an eager transport too.

All that L{IConnector<twisted.internet.interfaces.IConnector>} and
L{ClientFactory<twisted.internet.protocol.ClientFactory>} promise holds. In particular
C{factory.startedConnecting(connector)} runs before connect(2), with the socket made and bound:
C{connector.transport.getHandle()} is the place to set C{SO_RCVBUF} and C{SO_SNDBUF}, here and on Twisted's own
reactors. (If making or binding the socket failed, C{getHandle} raises C{AttributeError} there, and
C{clientConnectionFailed} follows.)
"""

from __future__ import annotations

import socket
from errno import EAGAIN, EINPROGRESS
from os import strerror
from typing import TYPE_CHECKING, Any

from twisted.internet import error, tcp, unix
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.protocol import Protocol
from twisted.python import lockfile
from twisted.python.failure import Failure

from smtpsource.net.transports import EagerDescriptor, EagerTransport, UNIXMixin

if TYPE_CHECKING:
    from smtpsource.net.reactor import LeanReactor

_STREAM = socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0)

# Seconds between attempts while the queue of a listening UNIX socket is full.
_RETRY = 0.005


class ConnectTimeouts:
    """
    When to give up connecting, for many connectors, without a timed call for each.

    The connectors of one timeout value expire in the order they began: each value has a queue, a dictionary
    from which whoever is done removes itself, and of which only the first entry is ever looked at.

    @ivar due: When the next one may expire, in seconds of the reactor's clock; C{None} if nobody waits. It may
        be too early, never too late.
    """

    def __init__(self) -> None:
        self.due: float | None = None
        self._queues: dict[float, dict[Any, float]] = {}

    def add(self, connector: Any, timeout: float, now: float) -> dict[Any, float]:
        """
        Let C{connector} fail in C{timeout} seconds.

        @return: The queue it is in: deleting it from there is to give it all the time in the world.
        """
        queue = self._queues.get(timeout)
        if queue is None:
            queue = self._queues[timeout] = {}
        deadline = queue[connector] = now + timeout
        if self.due is None or deadline < self.due:
            self.due = deadline
        return queue

    def expire(self, now: float) -> None:
        """
        Fail all whose time is up, and work out C{due} anew.
        """
        self.due = None
        expired = []
        for timeout, queue in list(self._queues.items()):
            for connector, deadline in queue.items():
                if deadline > now:
                    if self.due is None or deadline < self.due:
                        self.due = deadline
                    break
                expired.append(connector)
            else:
                del self._queues[timeout]
        # Each leaves its queue by cancelTimeout as it fails; one may stop another from within its callback.
        for connector in expired:
            if connector.state == "connecting":
                connector.transport.failIfNotConnected(error.TimeoutError())


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

    def _whyNotConnected(self, reason: Failure) -> Exception:
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


class _LeanClientMixin(_ClientMixin):
    """
    A transport that connects to an address which needs no resolving.

    @ivar failure: Why there will be no connection, where that is known before the kernel had its say.
    """

    failure: Exception | None = None
    addressFamily: Any
    realAddress: Any
    _peer: Any

    def __init__(self, connector: Any, reactor: LeanReactor) -> None:
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

        @param bindAddress: What C{connectTCP} was given: an address and port, or a C{Binding} of newer Twisteds.
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
            self.socket.bind(tcp._resolveIPv6(host, port) if isIPv6Address(host) else (host, port))
        except OSError as e:
            self.failure = error.ConnectBindError(e.args[0], e.args[1])

    def begin(self) -> None:
        """
        Call connect(2). Whatever comes of it, nobody is told before this turn's events are handled.
        """
        if self.failure is None:
            try:
                number = self.socket.connect_ex(self.realAddress)
            except OSError as e:
                number = e.errno or EAGAIN
            except (OverflowError, ValueError) as e:  # An impossible port number, a path that is too long.
                number = 0
                self.failure = e
            if number == EINPROGRESS:
                self.reactor.watchConnecting(self.fileno(), self)
                return
            if number == EAGAIN:
                # The queue of the UNIX socket is full, and nobody will tell when it is not.
                self.reactor.callLater(_RETRY, self._beginAgain)
                return
            if number:
                self.failure = error.getConnectError((number, strerror(number)))
        self.reactor.finishSoon(self)

    def _beginAgain(self) -> None:
        if hasattr(self, "socket"):
            self.begin()

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
        Finish an attempt whose outcome was known at once, or close.

        @return: C{None}, or why the connection is over.
        """
        if self.connected:
            return EagerDescriptor.doSoon(self)
        if self.failure is not None:
            self.failIfNotConnected(self.failure)
        elif hasattr(self, "connector") and not self.disconnected:
            self._connected()
        return None

    def _connected(self) -> None:
        """
        Build the protocol and start reading.
        """
        # If this raises the reactor calls connectionLost, and the connector is told that connecting failed.
        protocol = self.connector.buildProtocol(self._peer)
        self.protocol = protocol
        self.connected = 1
        if protocol is None:
            self.protocol = Protocol()
            self.loseConnection()
            return
        self.reactor.watchReading(self.fileno(), self)
        protocol.makeConnection(self)

    def _stopReadingAndWriting(self) -> None:
        if hasattr(self, "socket"):
            self.reactor.forget(self.socket.fileno())


class LeanTCPClient(_LeanClientMixin, tcp.Client):
    """
    The transport of a TCP connection to an address literal.
    """

    def __init__(self, connector: TCPConnector, reactor: LeanReactor) -> None:
        self.addr, self.realAddress = connector.addr, connector.realAddress
        self._peer = connector.peer
        if len(self.realAddress) != 2:
            self.addressFamily = socket.AF_INET6
            self._addressType = IPv6Address
        _LeanClientMixin.__init__(self, connector, reactor)


class LeanUNIXClient(UNIXMixin, _LeanClientMixin, unix.Client):
    """
    The transport of a connection to a UNIX socket.
    """

    def __init__(self, connector: UNIXConnector, reactor: LeanReactor) -> None:
        self._sendmsgQueue: list[int] = []
        self._peer = connector.peer
        self.addr = self.realAddress = self._peer.name
        _LeanClientMixin.__init__(self, connector, reactor)


class _LeanConnectorMixin:
    """
    L{BaseConnector<twisted.internet.base.BaseConnector>} without a timed call for each connection.
    """

    reactor: Any
    factory: Any
    timeout: float | None
    state: str
    factoryStarted: int
    transport: Any
    _waiting: dict[Any, float] | None = None

    if TYPE_CHECKING:

        def _makeTransport(self) -> Any: ...

    def connect(self) -> None:
        """
        Start to connect, for the first time or again.

        @raise RuntimeError: There is a connection, or one being made.
        """
        if self.state != "disconnected":
            raise RuntimeError("can't connect in this state")
        self.state = "connecting"
        if not self.factoryStarted:
            self.factory.doStart()
            self.factoryStarted = 1
        transport = self.transport = self._makeTransport()
        if self.timeout is not None:
            reactor = self.reactor
            self._waiting = reactor.connectTimeouts.add(self, self.timeout, reactor.seconds())
        self.factory.startedConnecting(self)
        # The factory may have stopped this attempt, and even have started another.
        if self.state == "connecting" and self.transport is transport and isinstance(transport, _LeanClientMixin):
            transport.begin()

    def stopConnecting(self) -> None:
        """
        Stop attempting to connect: C{clientConnectionFailed} is called with L{UserError<error.UserError>}.

        @raise error.NotConnectingError: There is nothing to stop.
        """
        if self.state != "connecting":
            raise error.NotConnectingError("we're not trying to connect")
        self.state = "disconnected"
        self.transport.failIfNotConnected(error.UserError())

    def cancelTimeout(self) -> None:
        """
        Take all the time in the world to connect.
        """
        if self._waiting is not None:
            self._waiting.pop(self, None)
            self._waiting = None


class TCPConnector(_LeanConnectorMixin, tcp.Connector):
    """
    Connects to an address literal without detours, to a host name as Twisted does.

    @ivar realAddress: The address as connect(2) wants it; C{None} for a host name.
    @ivar peer: The same as C{getPeer()} of a connection says it.
    @ivar failure: What is wrong with the address, if anything is.
    """

    realAddress: tuple[Any, ...] | None = None
    addr: tuple[Any, ...] = ()
    peer: Any = None
    failure: Exception | None = None
    _knownHost: Any = None
    _knownPort: Any = None

    def _lookAt(self) -> None:
        """
        Prepare what depends on host and port. Both are plain attributes, which a factory may have changed
        before it connects again.
        """
        self._knownHost, self._knownPort = host, port = self.host, self.port
        self.realAddress = self.failure = None
        if isIPAddress(host):
            self.addr = self.realAddress = (host, port)
            self.peer = IPv4Address("TCP", host, port)
        elif isIPv6Address(host):
            self.addr = self.realAddress = address = tcp._resolveIPv6(host, port)
            try:
                # With the name of the interface, for a link-local address.
                self.realAddress = (*tcp._getrealname(address)[:1], *address[1:])
            except (OSError, OverflowError) as e:  # An impossible port number.
                self.failure = e
            self.peer = IPv6Address("TCP", *self.realAddress)

    def _makeTransport(self) -> Any:
        if self.host is not self._knownHost or self.port is not self._knownPort:
            self._lookAt()
        if self.realAddress is None:
            return EagerClient(self.host, self.port, self.bindAddress, self, self.reactor)
        client = LeanTCPClient(self, self.reactor)
        client.failure = client.failure or self.failure
        if self.bindAddress is not None:
            client.bindTo(self.bindAddress)
        return client


class UNIXConnector(_LeanConnectorMixin, unix.Connector):
    """
    Connects to a UNIX socket without detours.

    @ivar peer: The address, as C{getPeer()} of a connection says it.
    """

    def __init__(self, address: Any, factory: Any, timeout: float, reactor: Any, checkPID: bool) -> None:
        unix.Connector.__init__(self, address, factory, timeout, reactor, checkPID)
        self.peer = UNIXAddress(address)

    def _makeTransport(self) -> Any:
        client = LeanUNIXClient(self, self.reactor)
        if self.checkPID and not lockfile.isLocked(self.peer.name + b".lock"):
            client.failure = error.BadFileError(self.peer.name)
        return client
