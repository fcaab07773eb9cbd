"""
Connectors that make no more calls than a connection needs.

They make the transports of L{smtpsource.net.lean.clients}. Host names go through Twisted's own resolver and
connecting code, and get an eager transport too.

All that L{IConnector<twisted.internet.interfaces.IConnector>} and
L{ClientFactory<twisted.internet.protocol.ClientFactory>} promise holds. In particular
C{factory.startedConnecting(connector)} runs before connect(2), with the socket made and bound: there the
options of C{connector.transport.getHandle()} can be set, C{SO_RCVBUF} and C{SO_SNDBUF} above all, here and on
Twisted's own reactors. (If making or binding the socket failed, C{getHandle} raises C{AttributeError} there,
and C{clientConnectionFailed} follows.)
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from twisted.internet import error, tcp, unix
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.python import lockfile, log

from smtpsource.net.lean.clients import EagerClient, LeanTCPClient, LeanUNIXClient
from smtpsource.net.patience import LATE


class ConnectTimeouts:
    """
    When to give up connecting, for many connectors, without a timed call for each.

    The connectors of one timeout value expire in the order they began: each value has a queue, a dictionary
    from which whoever is done removes itself, and of which only the first entry is ever looked at.

    @ivar due: When the next one may expire, in seconds of the reactor's clock; C{None} if nobody waits. It
        may be too early, never too late.
    """

    def __init__(self) -> None:
        self.due: float | None = None
        self._queues: dict[float, dict[Any, float]] = {}
        self._postponed = -inf

    def add(self, connector: Any, timeout: float, now: float) -> dict[Any, float]:
        """
        Let C{connector} fail in C{timeout} seconds.

        @return: The queue it is in: deleting it from there takes the time limit away.
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
        Fail all whose time is up, and work out C{due} anew. If this process stood still, give them time to answer.
        """
        if self._postpone(now):
            return
        self.due = None
        expired = []
        for timeout, queue in list(self._queues.items()):
            for connector, deadline in queue.items():
                if deadline > now:
                    if self.due is None or deadline < self.due:
                        self.due = deadline
                    break
                expired.append((connector, connector.transport))
            else:
                del self._queues[timeout]
        # Each leaves its queue by cancelTimeout as it fails; one may stop another from within its callback.
        for connector, transport in expired:
            if connector.state == "connecting" and connector.transport is transport:
                try:
                    transport.failIfNotConnected(error.TimeoutError())
                except Exception:
                    log.err()

    def _postpone(self, now: float) -> bool:
        """
        Give everybody more time, if this comes late; but not again and again.

        @return: was that done?
        """
        late = 0.0 if self.due is None else now - self.due
        if late <= LATE or now - self._postponed < 10 * late:
            return False
        self._postponed = self.due = now
        for timeout, queue in self._queues.items():
            for connector, deadline in queue.items():
                # No later than that of whoever begins now: a queue stays in order.
                queue[connector] = min(deadline + late + min(late, timeout), now + timeout)
        return True


class _LeanConnectorMixin:
    """
    L{BaseConnector<twisted.internet.base.BaseConnector>} without a timed call for each connection.
    """

    reactor: Any
    factory: Any
    timeout: Any
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
        try:
            transport = self.transport = self._makeTransport()
        except BaseException:
            self.state = "disconnected"
            raise
        if self.timeout is not None:
            reactor = self.reactor
            self._waiting = reactor.connectTimeouts.add(self, self.timeout, reactor.seconds())
        self.factory.startedConnecting(self)
        # The factory may have stopped this attempt, and even have started another.
        if self.state == "connecting" and self.transport is transport and not transport.begun:
            # Timed calls come first: one may be about to close the port that this is not to reach any more.
            # And before the reactor runs nothing is sent anywhere.
            if self.reactor.handlingEvents:
                transport.begin()
            else:
                self.reactor.finishSoon(transport)

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
        Connect without a time limit.
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
            self.addr = self.realAddress = address = (host, port, 0, 0)
            try:
                self.addr = self.realAddress = address = tcp._resolveIPv6(host, port)
                # With the name of the interface, for a link-local address.
                self.realAddress = (*tcp._getrealname(address)[:1], *address[1:])
            except (OSError, OverflowError) as e:  # There is no such interface; an impossible port number.
                self.failure = e
            self.peer = IPv6Address("TCP", *self.realAddress)

    def _makeTransport(self) -> Any:
        if self.host is not self._knownHost or self.port is not self._knownPort or self.failure is not None:
            self._lookAt()
        if self.realAddress is None:
            return EagerClient(self.host, self.port, self.bindAddress, self, self.reactor)
        client = LeanTCPClient(self, self.reactor, self.addr, self.realAddress, self.peer)
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
        client = LeanUNIXClient(self, self.reactor, self.peer)
        if self.checkPID and not lockfile.isLocked(client.addr + b".lock"):
            client.failure = error.BadFileError(client.addr)
        return client
