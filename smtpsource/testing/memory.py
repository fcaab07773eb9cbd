"""
A reactor, connectors and transports in memory: the wire for those who test without one. The public names are in
L{smtpsource.testing}.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet import error
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IConnector
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from smtpsource.interfaces import IReactor

#: As in Twisted: a producer is paused when so much is written and not taken.
BUFFER_SIZE = 65536


class FakeTransport(StringTransport):
    """
    One end of a connection in memory, that ends as a real one does: on a later turn of the reactor.

    What is written waits for the test to L{take} it or, if there is a C{peer}, goes to that on a later turn.

    @ivar peer: the other end, or C{None}: the test is the other end.
    @ivar aborted: was L{abortConnection} called?
    """

    producer: Any = None

    def __init__(self, reactor: Any, lost: Callable[[Failure], None] | None = None, address: object = None) -> None:
        """
        @param reactor: provides C{callLater}.
        @param lost: called when the protocol has been told that the connection is gone.
        @param address: for C{getHost} and C{getPeer}.
        """
        super().__init__(address, address)
        self.protocol: Any = None
        self.peer: FakeTransport | None = None
        self.aborted = False
        self._reactor = reactor
        self._afterwards = lost
        self._producerPaused = False

    def take(self) -> bytes:
        """
        All that was written since this was last called; a producer that was paused resumes.
        """
        data: bytes = self.value()
        self.clear()
        if self._producerPaused:
            self._producerPaused = False
            self.attempt(self.producer.resumeProducing)
        return data

    def deliver(self, data: bytes) -> None:
        """
        Let the protocol receive C{data}, unless it has closed the connection. What it raises ends the connection, if it
        is one that tells of it: as with a real transport.
        """
        if self.connected and not self.aborted:
            self.attempt(self.protocol.dataReceived, data)

    def attempt(self, call: Callable[..., object], *arguments: Any) -> None:
        """
        Make a call of the protocol's.
        """
        try:
            call(*arguments)
        except Exception as e:
            if not getattr(self.protocol, "explainsFailures", False):
                raise
            self.drop(e)

    def drop(self, reason: BaseException | None = None) -> None:
        """
        The connection is gone, now; nothing happens if it was gone before.

        @param reason: C{ConnectionLost()} for a reset; without one it was closed in order.
        """
        if not self.connected:
            return
        self.connected = False
        self.disconnecting = True
        producer, self.producer, self._producerPaused = self.producer, None, False
        if producer is not None:
            producer.stopProducing()
        failure = Failure(error.ConnectionDone() if reason is None else reason)
        self.protocol.connectionLost(failure)
        if self._afterwards is not None:
            self._afterwards(failure)
        if self.peer is not None:
            self._reactor.callLater(0, self.peer.drop, error.ConnectionLost() if self.aborted else None)

    # What a protocol asks of its transport

    def write(self, data: bytes) -> None:
        """
        Send, unless it is over.
        """
        if (self.disconnecting and self.producer is None) or not self.connected or self.aborted:
            return
        super().write(data)
        if self.producer is not None and not self._producerPaused and self.io.tell() > BUFFER_SIZE:
            self._producerPaused = True
            self.producer.pauseProducing()
        self._later()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """
        Send all of these.
        """
        self.write(b"".join(data))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """See C{IConsumer}."""
        if self.aborted or not self.connected:
            producer.stopProducing()
        else:
            super().registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """
        See C{IConsumer}; as with real transports, without a producer nothing happens.
        """
        self.producer = None
        self._producerPaused = False
        self._later()

    def resumeProducing(self) -> None:
        """
        Let the protocol receive again.
        """
        super().resumeProducing()
        if self.peer is not None:
            self.peer._later()

    def loseConnection(self) -> None:
        """
        Close when all is sent.
        """
        self.disconnecting = True
        if self.peer is not None:
            self._later()
        else:
            self._reactor.callLater(0, self.drop)

    def abortConnection(self) -> None:
        """
        Close with a reset, on a later turn.
        """
        if not self.aborted:
            self.aborted = self.disconnecting = True
            self.clear()
            self._reactor.callLater(0, self.drop, error.ConnectionAborted())

    def _later(self) -> None:
        if self.peer is not None:
            self._reactor.callLater(0, self._flush)

    def _flush(self) -> None:
        peer = self.peer
        assert peer is not None
        if self.connected and peer.producerState != "paused":
            data = self.take()
            if data:
                peer.deliver(data)
        if self.disconnecting and not self.aborted and not self.value() and self.producer is None:
            self.drop()


@implementer(IConnector)
class FakeConnector:
    """
    A connector that goes through the states of a real one, and can connect again; each time is an L{Attempt}.

    @ivar state: C{"disconnected"}, C{"connecting"} or C{"connected"}: the latter until the protocol has been told that
        the connection is gone.
    """

    def __init__(self, reactor: FakeReactor, factory: Any, address: Any, timeout: float | None) -> None:
        self.state = "disconnected"
        self.transport: FakeTransport | None = None
        self._reactor = reactor
        self._factory = factory
        self._address = address
        self._timeout = timeout
        self._attempt: Attempt | None = None
        self._timer: Any = None
        self._factoryStarted = False

    def connect(self) -> None:
        """
        Queue an attempt.

        @raise RuntimeError: it is connected, or about to be.
        """
        if self.state != "disconnected":
            raise RuntimeError("can't connect in this state")
        self.state = "connecting"
        if not self._factoryStarted:
            self._factory.doStart()
            self._factoryStarted = True
        self.transport = FakeTransport(self._reactor, self._connectionLost, self._address)
        self._attempt = Attempt(self, self._address, self._timeout)
        self._reactor.attempts.append(self._attempt)
        if self._timeout is not None:
            self._timer = self._reactor.callLater(self._timeout, self._attempt.refuse, error.TimeoutError())
        self._factory.startedConnecting(self)
        if self._reactor.server is not None:
            self._reactor.callLater(0, self._reactor.acceptFrom, self._attempt)

    def stopConnecting(self) -> None:
        """
        Give the attempt up: it fails with C{UserError}.

        @raise error.NotConnectingError: there is none.
        """
        if self.state != "connecting" or self._attempt is None:
            raise error.NotConnectingError("we're not trying to connect")
        self._attempt.refuse(error.UserError())

    def disconnect(self) -> None:
        """
        Whatever it does, end it.
        """
        if self.state == "connecting":
            self.stopConnecting()
        elif self.transport is not None:
            self.transport.loseConnection()

    def getDestination(self) -> Any:
        """
        Where to.
        """
        return self._address

    def _decide(self) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            raise error.NotConnectingError("this attempt is over")
        self._reactor.attempts.remove(attempt)
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _accept(self) -> tuple[Any, FakeTransport]:
        self._decide()
        self.state = "connected"
        transport = self.transport
        assert transport is not None
        try:
            protocol = self._factory.buildProtocol(self._address)
        except Exception as e:
            transport.connected = False
            if transport.peer is not None:
                self._reactor.callLater(0, transport.peer.drop, error.ConnectionLost())
            self._fail(Failure(e))
            return None, transport
        transport.protocol = Protocol() if protocol is None else protocol
        if protocol is None:
            transport.loseConnection()
        else:
            transport.attempt(protocol.makeConnection, transport)
        return protocol, transport

    def _connectionFailed(self, reason: Failure) -> None:
        self._decide()
        self._fail(reason)

    def _fail(self, reason: Failure) -> None:
        self.transport = None
        self.state = "disconnected"
        self._factory.clientConnectionFailed(self, reason)
        self._stopFactory()

    def _connectionLost(self, reason: Failure) -> None:
        self.state = "disconnected"
        self._factory.clientConnectionLost(self, reason)
        self._stopFactory()

    def _stopFactory(self) -> None:
        if self.state == "disconnected":
            self._factory.doStop()
            self._factoryStarted = False


class Attempt:
    """
    An attempt to connect, until the test has decided what becomes of it; undecided, it times out.

    @ivar connector: whose it is.
    @ivar address: where to.
    @ivar timeout: in so many seconds it fails by itself.
    """

    def __init__(self, connector: FakeConnector, address: Any, timeout: float | None) -> None:
        self.connector = connector
        self.address = address
        self.timeout = timeout

    def accept(self) -> tuple[Any, FakeTransport]:
        """
        The connection is made.

        @return: the client's protocol, and its transport: the test talks to it by L{FakeTransport.deliver}, and
            listens by L{FakeTransport.take}.
        """
        return self.connector._accept()

    def refuse(self, reason: BaseException | None = None) -> None:
        """
        The connection can't be made.

        @param reason: connection refused, unless given.
        """
        self.connector._connectionFailed(Failure(error.ConnectionRefusedError() if reason is None else reason))


@implementer(IReactor)
class FakeReactor(MemoryReactorClock):
    """
    A reactor in memory, that runs from the start, with a clock to be advanced and connectors that can connect again.

    @ivar attempts: the attempts to connect that are not decided, the oldest first.
    @ivar server: if it is not C{None}, the factory of a server that accepts every attempt on the next turn.
    """

    def __init__(self, server: Any = None) -> None:
        super().__init__()
        self.running = True
        self.hasStopped = False  # the oldest Twisted's begins with True
        self.attempts: deque[Attempt] = deque()
        self.server = server

    def advance(self, amount: float) -> None:
        """
        Let time pass. Each call comes at its own time, as on a real reactor.
        """
        end = self.rightNow + amount
        while self.calls and (due := min(call.getTime() for call in self.calls)) <= end:
            self.rightNow = max(self.rightNow, due)
            super().advance(0)
        self.rightNow = end

    def standStill(self, seconds: float) -> None:
        """
        Let time pass in which nothing is called, as if this process were stopped; all that was due comes late, with the
        next L{advance}.
        """
        self.rightNow += seconds

    def connectTCP(
        self, host: str, port: int, factory: Any, timeout: float | None = 30, bindAddress: Any = None
    ) -> FakeConnector:
        """
        Begin to connect.
        """
        address = (IPv6Address if ":" in host else IPv4Address)("TCP", host, port)
        return self._connect(factory, address, timeout)

    def connectUNIX(
        self, address: str, factory: Any, timeout: float | None = 30, checkPID: bool = False
    ) -> FakeConnector:
        """
        Begin to connect.
        """
        return self._connect(factory, UNIXAddress(address), timeout)

    def _connect(self, factory: Any, address: Any, timeout: float | None) -> FakeConnector:
        connector = FakeConnector(self, factory, address, timeout)
        self.connectors.append(connector)
        connector.connect()
        return connector

    def acceptFrom(self, attempt: Attempt) -> None:
        """
        Let C{server} accept this attempt, if that is still wanted.
        """
        if attempt not in self.attempts:
            return
        protocol = self.server.buildProtocol(attempt.address)
        if protocol is None:
            attempt.refuse()
            return
        theirs = FakeTransport(self, None, attempt.address)
        theirs.protocol = protocol
        ours = attempt.connector.transport
        assert ours is not None
        ours.peer, theirs.peer = theirs, ours
        attempt.accept()
        protocol.makeConnection(theirs)

    def callWhenRunning(self, callable: Callable[..., object], *args: Any, **kw: Any) -> None:
        """
        Call it now: the reactor runs, unless C{running} was set to say otherwise.
        """
        if self.running:
            callable(*args, **kw)
        else:
            self.whenRunningHooks.append((callable, args, kw))

    # Threads: there is one, and it is this one

    def getThreadPool(self) -> Any:
        """
        Something that calls at once what a real pool would call in a thread.
        """
        return self

    def callInThreadWithCallback(self, onResult: Any, func: Any, *args: Any, **kw: Any) -> None:
        """See L{twisted.python.threadpool.ThreadPool.callInThreadWithCallback}."""
        try:
            success, result = True, func(*args, **kw)
        except Exception:
            success, result = False, Failure()
        onResult(success, result)

    def callInThread(self, callable: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        """
        Call it.
        """
        callable(*args, **kwargs)

    def startThread(self, run: Callable[[], None]) -> None:
        """
        What a thread would do, at once.
        """
        run()

    def callFromThread(self, callable: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        """
        Call it on the next turn.
        """
        self.callLater(0, callable, *args, **kwargs)

    def suggestThreadPoolSize(self, size: int) -> None:
        """
        There is nothing to size.
        """
