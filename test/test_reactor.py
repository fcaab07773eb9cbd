"""
Tests for L{smtpsource.net.reactor}: what is special about it. That it is a reactor like any other is for
C{conformance.py} to show.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
from importlib.util import find_spec
from typing import Any
from unittest.mock import Mock, patch

from patience import PATIENCE
from twisted.application.reactors import getReactorTypes
from twisted.internet import error
from twisted.internet.interfaces import IPullProducer, IPushProducer, ITLSTransport
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.internet.test.reactormixins import ReactorBuilder
from twisted.python import log
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from smtpsource.net.lean import clients, transports
from smtpsource.process.unexpected import FATAL

try:
    from smtpsource.net.lean import connectors
    from smtpsource.net.reactor import LeanReactor
except ImportError:
    LeanReactor = None  # type: ignore[assignment, misc]
    connectors = None  # type: ignore[assignment]


class Recorder(Protocol):
    """
    Keeps what happens to it, and does what a test tells it to.
    """

    explainsFailures = False

    def __init__(self) -> None:
        self.received = b""
        self.reasons: list[Any] = []

    def connectionMade(self) -> None:
        self.factory.made(self)

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self.factory.heard(self)

    def connectionLost(self, reason: Any = None) -> None:
        self.reasons.append(reason.value)
        self.factory.lost(self)


class Client(ClientFactory):
    """
    Keeps what happens to its connector; C{made}, C{heard}, C{lost} and C{failed} are for tests to replace.
    """

    noisy = False
    protocol = Recorder

    def __init__(self) -> None:
        self.events: list[str] = []
        self.failures: list[Any] = []
        self.made = self.heard = self.lost = self.failed = self.starting = lambda it: None

    def doStart(self) -> None:
        self.events.append("start")
        super().doStart()

    def doStop(self) -> None:
        self.events.append("stop")
        super().doStop()

    def startedConnecting(self, connector: Any) -> None:
        self.events.append("connecting")
        self.starting(connector)

    def buildProtocol(self, addr: Any) -> Any:
        self.events.append("build")
        return super().buildProtocol(addr)

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        self.events.append("failed")
        self.failures.append(reason.value)
        self.failed(connector)

    def clientConnectionLost(self, connector: Any, reason: Any) -> None:
        self.events.append("lost")


class Counting:
    """
    An epoll object that counts how often its set is changed.
    """

    def __init__(self, poller: Any) -> None:
        self.poll = poller.poll
        self.poller = poller
        self.changes: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        def change(fd: int, *arguments: int) -> Any:
            self.changes.append((name, fd))
            return getattr(self.poller, name)(fd, *arguments)

        return change


class ReactorTestCase(ReactorBuilder, SynchronousTestCase):
    """
    A test with a reactor of its own and a plain socket for the other end, so that what arrives there can be
    looked at without giving the reactor a turn.
    """

    if LeanReactor is None:
        skip = "there is no epoll(7) here"

    reactorFactory = LeanReactor

    def setUp(self) -> None:
        super().setUp()
        self.reactor: Any = self.buildReactor()
        self.client = Client()

    def listen(self, family: int = socket.AF_INET, address: Any = ("127.0.0.1", 0), backlog: int = 5) -> Any:
        listener = socket.socket(family)
        self.addCleanup(listener.close)
        listener.bind(address)
        listener.listen(backlog)
        self.listener = listener
        return listener.getsockname()

    def accept(self) -> socket.socket:
        peer, _ = self.listener.accept()
        self.addCleanup(peer.close)
        peer.settimeout(PATIENCE)
        return peer

    def run_(self) -> None:
        self.runReactor(self.reactor, PATIENCE)

    def connected(self, test: Any) -> None:
        """
        Run the reactor, with C{test} called with a connected protocol and the socket of its peer.
        """
        self.client.made = lambda protocol: test(protocol, self.accept())
        host, port = self.listen()
        self.connector = self.reactor.connectTCP(host, port, self.client)
        self.run_()

    def stopLater(self, *ignored: Any) -> None:
        if self.reactor.running and not self.reactor._stopped:
            self.reactor.stop()


def reset(peer: socket.socket) -> None:
    """
    Close a connection the rude way.
    """
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


class WritingTests(ReactorTestCase):
    """
    Transports send at once.
    """

    def test_pushProducerTakesTurns(self) -> None:
        """
        A push producer is paused after what a transport buffers, though its peer reads as fast as it writes: others
        have their turn.
        """
        written = []

        @implementer(IPushProducer)
        class Producer:
            def __init__(self, transport: Any, peer: socket.socket) -> None:
                self.transport, self.peer = transport, peer

            def pauseProducing(self) -> None:
                self.paused = True

            def stopProducing(self) -> None:
                self.paused = True

            def resumeProducing(self) -> None:
                self.paused = False
                written.append(0)
                while not self.paused and written[-1] < 2**22:
                    self.transport.write(bytes(4096))
                    written[-1] += 4096
                    self.peer.setblocking(False)
                    try:
                        self.peer.recv(65536)
                    except BlockingIOError:
                        pass

        def test(protocol: Any, peer: socket.socket) -> None:
            producer = Producer(protocol.transport, peer)
            protocol.transport.registerProducer(producer, True)
            producer.resumeProducing()
            self.reactor.callLater(0.1, self.reactor.stop)

        self.connected(test)
        self.assertGreater(len(written), 3)
        self.assertLessEqual(max(written), 4 * 65536)

    def test_atOnce(self) -> None:
        """
        What is written has left the process when C{write} returns, and the epoll set needed no change.
        """
        arrived = []

        def test(protocol: Any, peer: socket.socket) -> None:
            poller = self.reactor._poller = Counting(self.reactor._poller)
            protocol.transport.write(b"one")
            protocol.transport.writeSequence([b"t", b"wo"])
            arrived.append(peer.recv(100))
            self.assertEqual(poller.changes, [])
            self.reactor.stop()

        self.connected(test)
        self.assertEqual(arrived, [b"onetwo"])

    def test_remainder(self) -> None:
        """
        What the kernel doesn't take at once is sent later, in order, and before the connection is closed.
        """
        pieces = [bytes([65 + n]) * (1 << 20) for n in range(16)]
        arrived = bytearray()

        def test(protocol: Any, peer: socket.socket) -> None:
            for piece in pieces[:8]:
                protocol.transport.write(piece)
            protocol.transport.writeSequence(pieces[8:])
            protocol.transport.loseConnection()
            peer.settimeout(0)
            read(peer)

        def read(peer: socket.socket) -> None:
            try:
                data = peer.recv(1 << 18)
            except BlockingIOError:
                data = None
            if data == b"":
                self.reactor.stop()
            else:
                arrived.extend(data or b"")
                self.reactor.callLater(0, read, peer)

        self.connected(test)
        self.assertTrue(arrived == b"".join(pieces))

    def test_failure(self) -> None:
        """
        An error while sending is no business of who writes: the protocol loses its connection later.
        """
        seen: list[Any] = []

        def test(protocol: Any, peer: socket.socket) -> None:
            reset(peer)
            protocol.transport.write(b"one")
            protocol.transport.write(b"two")
            seen.append(list(protocol.reasons))

        self.client.lost = lambda protocol: (seen.append(protocol.reasons), self.reactor.stop())
        self.connected(test)
        self.assertEqual(seen[0], [])
        self.assertEqual([type(reason) for reason in seen[1]], [error.ConnectionLost])
        self.assertEqual(self.client.events[-2:], ["lost", "stop"])

    def test_failureAfterData(self) -> None:
        """
        What the peer said before it reset the connection is still heard, even if the reset is noticed first.
        """
        heard: list[Any] = []

        def test(protocol: Any, peer: socket.socket) -> None:
            protocol.transport.pauseProducing()
            peer.sendall(b"421 Bye")
            peer.shutdown(socket.SHUT_WR)
            reset(peer)
            protocol.transport.write(b"one")
            protocol.transport.resumeProducing()

        self.client.heard = lambda protocol: heard.append(protocol.received)
        self.client.lost = lambda protocol: (heard.append(type(protocol.reasons[0])), self.reactor.stop())
        self.connected(test)
        self.assertEqual(heard, [b"421 Bye", error.ConnectionLost])

    def test_afterAbort(self) -> None:
        """
        Writing to an aborted connection does nothing.
        """

        peers: list[socket.socket] = []

        def test(protocol: Any, peer: socket.socket) -> None:
            peers.append(peer)
            protocol.transport.abortConnection()
            protocol.transport.write(b"one")
            protocol.transport.loseConnection()

        self.client.lost = self.stopLater
        self.connected(test)
        self.assertRaises(ConnectionResetError, peers[0].recv, 100)

    def test_notBytes(self) -> None:
        """
        Only bytes can be written; a sequence with something else in it is refused as a whole.
        """

        def test(protocol: Any, peer: socket.socket) -> None:
            self.assertRaises(TypeError, protocol.transport.write, "text")
            self.assertRaises(TypeError, protocol.transport.writeSequence, [b"one", "text"])
            peer.settimeout(0)
            self.assertRaises(BlockingIOError, peer.recv, 100)
            self.reactor.stop()

        self.connected(test)


class TurnTests(ReactorTestCase):
    """
    How many turns there are.
    """

    def test_iterate(self) -> None:
        """
        Who asks for one turn has it back as soon as something has happened.
        """
        began = time.monotonic()

        def test(protocol: Any, peer: socket.socket) -> None:
            # The limit is for hangs: what comes ends it.
            self.reactor.callLater(0, iterate)
            self.peer = peer
            peer.send(b"x")

        def iterate() -> None:
            self.reactor.iterate(PATIENCE)
            self.reactor.stop()

        self.connected(test)
        self.assertLess(time.monotonic() - began, PATIENCE)


class ProducerTests(ReactorTestCase):
    """
    Producers are paused and resumed as on any transport.
    """

    def test_pull(self) -> None:
        """
        A pull producer is asked for more whenever what it wrote is sent.
        """
        case = self

        @implementer(IPullProducer)
        class Producer:
            left = 5

            def resumeProducing(self) -> None:
                self.transport.write(b"x")
                self.left -= 1
                if not self.left:
                    self.transport.unregisterProducer()
                    self.transport.loseConnection()

            def stopProducing(self) -> None:
                case.fail("stopped")

            transport: Any

        peers = []

        def test(protocol: Any, peer: socket.socket) -> None:
            peers.append(peer)
            producer = Producer()
            producer.transport = protocol.transport
            protocol.transport.registerProducer(producer, False)

        self.client.lost = self.stopLater
        self.connected(test)
        self.assertEqual(peers[0].recv(100), b"xxxxx")

    def stream(self, head: int, ends: Any) -> bytes:
        """
        Write so much, and then a large content, without a copy.

        @param ends: what to do with the transport when all of the content is written.
        @return: what came.
        """
        body = bytes(range(256)) * 4000

        @implementer(IPushProducer)
        class Producer:
            rest = memoryview(body)

            def resumeProducing(self) -> None:
                self.rest = self.rest[self.transport.sendSome(self.rest) :]
                if not self.rest:
                    self.transport.unregisterProducer()

            def pauseProducing(self) -> None:
                pass

            def stopProducing(self) -> None:
                pass

            transport: Any

        def test(protocol: Any, peer: socket.socket) -> None:
            transport = protocol.transport
            transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
            transport.write(b"h" * head)
            producer = Producer()
            producer.transport = transport
            transport.registerProducer(producer, True)
            producer.resumeProducing()
            ends(transport)

            def read() -> None:
                found = b""
                while len(found) < head + len(body) and (piece := peer.recv(1 << 16)):
                    found += piece
                came.append(found)
                reactor.callFromThread(reactor.stop)

            reactor = self.reactor
            peer.setblocking(True)
            reactor.callInThread(read)

        came: list[bytes] = []
        self.connected(test)
        self.assertEqual(came[0], b"h" * head + body)
        return came[0]

    def test_sendSome(self) -> None:
        """
        What a producer sends without a copy comes whole, also after something that the kernel did not take at once.
        """
        self.stream(10, lambda transport: None)

    def test_sendSomeAfterQueue(self) -> None:
        """
        The same after something that the kernel did not take at once.
        """
        self.stream(500_000, lambda transport: None)

    def test_sendSomeAndLose(self) -> None:
        """
        A connection that is to be lost meanwhile is, when all was sent.
        """
        self.stream(500_000, lambda transport: transport.loseConnection())

    def test_push(self) -> None:
        """
        A push producer is paused while more than C{bufferSize} bytes wait, and resumed when they are sent.
        """
        calls: list[str] = []
        size = 1 << 24

        @implementer(IPushProducer)
        class Producer:
            def pauseProducing(self) -> None:
                calls.append("pause")

            def resumeProducing(self) -> None:
                calls.append("resume")

            def stopProducing(self) -> None:
                calls.append("stop")

        def test(protocol: Any, peer: socket.socket) -> None:
            protocol.transport.registerProducer(Producer(), True)
            protocol.transport.write(b"x" * 100)
            self.assertEqual(calls, [])
            protocol.transport.write(b"x" * size)
            self.assertEqual(calls, ["pause"])
            peer.settimeout(0)
            read(peer, size + 100)

        def read(peer: socket.socket, left: int) -> None:
            try:
                left -= len(peer.recv(1 << 18))
            except BlockingIOError:
                pass
            if left:
                self.reactor.callLater(0, read, peer, left)
            else:
                peer.close()

        self.client.lost = self.stopLater
        self.connected(test)
        self.assertEqual(calls, ["pause", "resume", "stop"])


class ReadingTests(ReactorTestCase):
    """
    Events are handled without a logging context around each, which nobody notices.
    """

    def test_exception(self) -> None:
        """
        An exception from a protocol is logged once, and costs it its connection.
        """

        def fail(protocol: Any) -> None:
            raise ZeroDivisionError("protocol is broken")

        self.client.heard = fail
        self.client.lost = self.stopLater
        protocols: list[Any] = []
        self.connected(lambda protocol, peer: (protocols.append(protocol), peer.send(b"x")))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual([type(it) for it in protocols[0].reasons], [ZeroDivisionError])

    def test_logPrefix(self) -> None:
        """
        What a protocol logs says whose message it is; what a timed call logs doesn't say it is a protocol's.
        """
        events: list[Any] = []
        log.addObserver(events.append)
        self.addCleanup(log.removeObserver, events.append)

        def heard(protocol: Any) -> None:
            log.msg("from protocol")
            self.reactor.callLater(0, timed)

        def timed() -> None:
            log.msg("from timed call")
            self.reactor.stop()

        self.client.heard = heard
        self.connected(lambda protocol, peer: peer.send(b"x"))
        systems = [it["system"] for it in events if str(it.get("message")).startswith("('from")]
        self.assertEqual(systems, ["Recorder,client", "-"])

    def test_staleEvent(self) -> None:
        """
        An event for a socket that was closed in the same turn is not taken for one of the socket that got
        its number.
        """
        case = self
        called: list[Any] = []

        class Reader:
            def __init__(self, number: int | None = None) -> None:
                self.end, self.other = socket.socketpair()
                if number not in (None, self.end.fileno()):
                    # Garbage that is collected in between has given back lower numbers.
                    with self.end as first:
                        self.end = socket.socket(fileno=os.dup2(first.fileno(), number))
                case.addCleanup(self.end.close)
                case.addCleanup(self.other.close)
                self.fileno = self.end.fileno
                case.reactor.addReader(self)

            def doRead(self) -> None:
                called.append(self)
                for reader in readers:
                    if reader is not self:
                        number = reader.fileno()
                        case.reactor.removeReader(reader)
                        reader.end.close()
                        heirs.append(Reader(number))
                        case.assertEqual(heirs[0].fileno(), number)
                case.reactor.removeReader(self)
                case.reactor.callLater(0, case.reactor.stop)

            def logPrefix(self) -> str:
                return "reader"

            def connectionLost(self, reason: Any) -> None:
                pass

        heirs: list[Any] = []
        readers = [Reader(), Reader()]
        for reader in readers:
            reader.other.send(b"x")
        self.run_()
        self.assertEqual(len(called), 1)
        self.assertIn(called[0], readers)


class FailingPoller:
    """
    An epoll object that can't wait for events, if a test says so.
    """

    def __init__(self, poller: Any, fails: Any) -> None:
        self._poller = poller
        self._fails = fails
        self.polls: list[float] = []

    def poll(self, timeout: float, most: int) -> Any:
        self.polls.append(time.monotonic())
        self._fails(most)
        return self._poller.poll(timeout, most)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._poller, name)


class TroubleTests(ReactorTestCase):
    """
    The reactor goes on when events can't be waited for, and when much is raised.
    """

    def failing(self, fails: Any) -> FailingPoller:
        """
        Let C{fails} be called with the number of events that are asked for, and raise something.
        """
        poller = self.reactor._poller = FailingPoller(self.reactor._poller, fails)
        self.events: list[Any] = []
        log.addObserver(self.events.append)
        self.addCleanup(log.removeObserver, self.events.append)
        return poller

    def test_noRoomForEvents(self) -> None:
        """
        No memory for the events of all connections: a few at a time are enough, and nobody is told.
        """

        def fails(most: int) -> None:
            if most != 16:
                raise MemoryError

        poller = self.failing(fails)
        self.client.heard = self.stopLater
        self.connected(lambda protocol, peer: peer.send(b"x"))
        self.assertGreater(len(poller.polls), 1)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_noEvents(self) -> None:
        """
        Events can't be waited for at all: there is no busy loop, the log has that once or twice and is not filled by
        it, and timed calls, other threads and the closing of connections go on.
        """
        for exception in (MemoryError(), OSError(9, "Bad file descriptor"), RuntimeError("poll")):
            self.reactor = self.buildReactor()
            self.client = Client()
            done: list[str] = []

            def fails(most: int, exception: Exception = exception) -> None:
                raise exception

            def test(protocol: Any, peer: socket.socket, fails: Any = fails, done: list[str] = done) -> None:
                self.poller = self.failing(fails)
                protocol.transport.abortConnection()
                self.reactor.callLater(0.2, done.append, "timed")
                self.reactor.callInThread(self.reactor.callFromThread, done.append, "thread")
                self.reactor.callLater(0.8, self.reactor.stop)

            self.connected(test)
            self.assertEqual(self.client.events[-2:], ["lost", "stop"])
            self.assertEqual(sorted(done), ["thread", "timed"])
            self.assertLess(len(self.poller.polls), 100)
            logged = self.flushLoggedErrors(type(exception))
            self.assertTrue(1 <= len(logged) <= 3, logged)
            self.assertTrue(any(event.get(FATAL) for event in self.events))
            self.reactor._poller = self.reactor._poller._poller

    def test_flood(self) -> None:
        """
        What every connection raises, in the same place, is logged a few times only.
        """

        def fail(protocol: Any) -> None:
            raise ZeroDivisionError("protocol is broken")

        self.client.heard = fail
        lost: list[Any] = []
        peers: list[socket.socket] = []

        def made(protocol: Any) -> None:
            peers.append(self.accept())
            peers[-1].send(b"x")

        def gone(protocol: Any) -> None:
            lost.append(protocol)
            if len(lost) == 50:
                self.reactor.stop()

        self.client.made, self.client.lost = made, gone
        host, port = self.listen(backlog=60)
        for _ in range(50):
            self.reactor.connectTCP(host, port, self.client)
        self.run_()
        self.assertEqual(len(lost), 50)
        self.assertTrue(1 <= len(self.flushLoggedErrors(ZeroDivisionError)) <= 5)

    def test_explained(self) -> None:
        """
        A protocol that tells itself what it was told when it was lost need not be logged.
        """

        def fail(protocol: Any) -> None:
            raise ZeroDivisionError("protocol is broken")

        self.patch(Recorder, "explainsFailures", True)
        self.client.heard = fail
        self.client.lost = self.stopLater
        protocols: list[Any] = []
        self.connected(lambda protocol, peer: (protocols.append(protocol), peer.send(b"x")))
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual([type(it) for it in protocols[0].reasons], [ZeroDivisionError])

    def test_memoryFirst(self) -> None:
        """
        When one connection has met the end of memory, timed calls come before the others of that turn: they may end
        what needs so much. And none of those is forgotten.
        """
        order: list[str] = []
        peers: list[socket.socket] = []

        def heard(protocol: Any) -> None:
            order.append("heard")
            self.reactor.callLater(0, order.append, "timed")
            raise MemoryError

        def made(protocol: Any) -> None:
            peers.append(self.accept())
            if len(peers) == 3:
                for peer in peers:
                    peer.send(b"x")

        def gone(protocol: Any) -> None:
            if order.count("heard") == 3:
                self.reactor.stop()

        self.patch(Recorder, "explainsFailures", True)
        self.client.heard, self.client.made, self.client.lost = heard, made, gone
        host, port = self.listen()
        for _ in range(3):
            self.reactor.connectTCP(host, port, self.client)
        self.run_()
        self.assertEqual(order[:5], ["heard", "timed", "heard", "timed", "heard"])


class ClosingTests(ReactorTestCase):
    """
    Connections are closed in the turn they are done with.
    """

    def closed(self, close: str) -> tuple[Any, Any]:
        """
        Close a connection.

        @return: The reason the protocol gets, and what the peer gets.
        """
        turns: list[Any] = []
        peers: list[socket.socket] = []

        def test(protocol: Any, peer: socket.socket) -> None:
            peers.append(peer)
            self.reactor.callLater(0, lambda: (turns.append(list(protocol.reasons)), self.reactor.stop()))
            getattr(protocol.transport, close)()
            self.assertEqual(protocol.reasons, [])

        self.connected(test)
        self.assertEqual(len(turns[0]), 1)
        self.assertEqual(self.client.events, ["start", "connecting", "build", "lost", "stop"])
        try:
            return type(turns[0][0]), peers[0].recv(100)
        except OSError as e:
            return type(turns[0][0]), type(e)

    def test_abort(self) -> None:
        """
        An aborted connection is gone by the end of the turn, and was reset.
        """
        self.assertEqual(self.closed("abortConnection"), (error.ConnectionAborted, ConnectionResetError))

    def test_lose(self) -> None:
        """
        A connection with nothing left to send is closed by the end of the turn.
        """
        self.assertEqual(self.closed("loseConnection"), (error.ConnectionDone, b""))

    def test_writeAfterLose(self) -> None:
        """
        C{loseConnection} closes when all is sent, even if there is something to send only afterwards.
        """
        peers: list[socket.socket] = []

        def test(protocol: Any, peer: socket.socket) -> None:
            peers.append(peer)
            protocol.transport.loseConnection()
            protocol.transport.write(b"one")

        self.client.lost = self.stopLater
        self.connected(test)
        self.assertEqual((peers[0].recv(100), peers[0].recv(100)), (b"one", b""))


class ConnectingTests(ReactorTestCase):
    """
    Connecting takes few calls and keeps every promise.
    """

    def test_again(self) -> None:
        """
        A connector connects again when told to, and the factory is started and stopped once.
        """
        rounds: list[Any] = []

        def made(protocol: Any) -> None:
            self.accept()
            rounds.append(protocol)
            protocol.transport.loseConnection()

        def lost(connector: Any, reason: Any) -> None:
            if len(rounds) < 3:
                connector.connect()
            else:
                self.reactor.stop()

        self.client.made = made
        self.client.clientConnectionLost = lost  # type: ignore[method-assign]
        host, port = self.listen()
        self.reactor.connectTCP(host, port, self.client)
        self.run_()
        self.assertEqual(self.client.events, ["start", *["connecting", "build"] * 3, "stop"])
        self.assertEqual(len(set(rounds)), 3)

    def test_changes(self) -> None:
        """
        A connection changes the epoll set three times in its life.
        """
        host, port = self.listen()
        poller = self.reactor._poller = Counting(self.reactor._poller)
        self.client.made = lambda protocol: protocol.transport.abortConnection()
        self.client.lost = self.stopLater
        fd = self.reactor.connectTCP(host, port, self.client).transport.fileno()
        self.run_()
        changes = [name for name, changed in poller.changes if changed == fd]
        self.assertEqual(changes, ["register", "modify", "unregister"])

    def test_notBeforeRunning(self) -> None:
        """
        Nobody is bothered before the reactor runs.
        """
        address = self.listen()
        self.listener.setblocking(False)
        self.reactor.connectTCP(*address, self.client)
        self.assertRaises(BlockingIOError, self.listener.accept)
        self.client.made = self.stopLater
        self.run_()
        self.accept()

    def test_refused(self) -> None:
        """
        A refused connection is reported, later, with what the kernel said.
        """
        host, port = self.listen()
        self.listener.close()
        self.client.failed = self.stopLater
        connector = self.reactor.connectTCP(host, port, self.client)
        self.assertEqual((self.client.events, connector.state), (["start", "connecting"], "connecting"))
        self.run_()
        self.assertEqual([type(it) for it in self.client.failures], [error.ConnectionRefusedError])
        self.assertEqual((self.client.events[2:], connector.state), (["failed", "stop"], "disconnected"))

    def test_noMemoryForNobody(self) -> None:
        """
        Where there is no protocol, and no memory for what stands in its place either, connecting has failed.
        """
        self.patch(clients, "Protocol", Mock(side_effect=MemoryError))
        self.client.buildProtocol = lambda address: None  # type: ignore[method-assign]
        self.client.failed = self.stopLater
        connector = self.reactor.connectTCP(*self.listen(), self.client)
        self.run_()
        self.assertEqual((self.client.events[2:], connector.state), (["failed", "stop"], "disconnected"))
        self.assertEqual([type(one.value) for one in self.flushLoggedErrors()], [MemoryError])

    def full(self, *where: Any) -> Any:
        """
        Listen where nobody accepts: once the queue is full, those who come are not answered.
        """
        address = self.listen(*where, backlog=0)
        for _ in range(4):
            filler = socket.socket(self.listener.family)
            self.addCleanup(filler.close)
            filler.setblocking(False)
            filler.connect_ex(address)
        return address

    def test_timeoutsOfOthers(self) -> None:
        """
        An exception from one factory whose connection takes too long is logged, and costs no other its timeout.
        """
        address = self.full()
        clients = [Client() for _ in range(3)]

        def fail(connector: Any) -> None:
            raise ValueError("a bug in a factory")

        clients[0].failed = fail
        clients[2].failed = self.stopLater
        for client in clients:
            self.reactor.connectTCP(*address, client, timeout=0.05)
        self.run_()
        self.assertEqual([[type(it) for it in client.failures] for client in clients], [[error.TimeoutError]] * 3)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_timeoutOfNewAttempt(self) -> None:
        """
        An attempt that replaces another does not end when that one would have.
        """
        address = self.full()
        first, second = Client(), Client()
        times: list[float] = []
        connectors: list[Any] = []

        def again(connector: Any) -> None:
            connectors[1].stopConnecting()
            connectors[1].connect()
            times.append(self.reactor.seconds())

        def ended(connector: Any) -> None:
            times.append(self.reactor.seconds())
            if len(second.failures) == 2:
                self.reactor.stop()

        first.failed, second.failed = again, ended
        connectors += [self.reactor.connectTCP(*address, client, timeout=0.2) for client in (first, second)]
        self.run_()
        self.assertEqual([type(it) for it in second.failures], [error.UserError, error.TimeoutError])
        self.assertGreaterEqual(times[-1] - times[0], 0.19)

    def test_abortWhileConnecting(self) -> None:
        """
        A connection that is aborted before it is made was never there.
        """
        address = self.full()
        self.client.failed = self.stopLater
        connector = self.reactor.connectTCP(*address, self.client, timeout=5)
        self.reactor.callLater(0.05, lambda: connector.transport.abortConnection())
        self.run_()
        self.assertEqual(self.client.events, ["start", "connecting", "failed", "stop"])
        self.assertEqual([type(it) for it in self.client.failures], [error.ConnectError])

    def test_stoppedWhileQueueIsFull(self) -> None:
        """
        Who asks a UNIX socket with a full queue again and again is told when the reactor stops.
        """
        self.full(socket.AF_UNIX, self.mktemp()[-90:])
        self.reactor.connectUNIX(self.listener.getsockname(), self.client, timeout=30)
        self.reactor.callLater(0.05, self.reactor.stop)
        self.run_()
        self.assertEqual(self.client.events, ["start", "connecting", "failed", "stop"])

    def test_pathTooLong(self) -> None:
        """
        The path of a UNIX socket that is too long fails at once.
        """
        self.client.failed = self.stopLater
        self.reactor.connectUNIX("/" + "x" * 200, self.client, timeout=30)
        self.run_()
        self.assertEqual(self.client.events, ["start", "connecting", "failed", "stop"])
        self.assertIn("too long", str(self.client.failures[0]))

    def test_noSuchInterface(self) -> None:
        """
        A link-local address with the name of an interface that is not there: connecting fails, each time anew.
        """
        self.client.failed = lambda connector: (
            connector.connect() if len(self.client.failures) < 3 else self.stopLater()
        )
        self.reactor.connectTCP("fe80::1%nosuch0", 25, self.client)
        self.run_()
        self.assertEqual([type(it) for it in self.client.failures], [socket.gaierror] * 3)
        self.assertEqual(self.client.events, ["start", *["connecting", "failed"] * 3, "stop"])

    def test_notWatched(self) -> None:
        """
        A connection that can't be waited for, because epoll_ctl(2) refuses, has failed; nothing is logged.
        """

        def refuse(fd: int, descriptor: Any) -> None:
            raise OSError(28, "No space left on device")

        self.patch(self.reactor, "watchConnecting", refuse)
        self.client.failed = self.stopLater
        self.reactor.connectTCP(*self.listen(), self.client)
        self.run_()
        self.assertEqual(
            [str(it) for it in self.client.failures], [str(error.getConnectError((28, "No space left on device")))]
        )
        self.assertEqual(self.client.events, ["start", "connecting", "failed", "stop"])

    def test_timeout(self) -> None:
        """
        A connection that takes longer than the timeout fails. Nothing shows among the timed calls.
        """
        address = self.full()
        self.client.failed = self.stopLater
        self.reactor.connectTCP(*address, self.client, timeout=0.05)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.run_()
        self.assertEqual([type(it) for it in self.client.failures], [error.TimeoutError])

    def test_stop(self) -> None:
        """
        C{stopConnecting} works from C{startedConnecting} on.
        """
        self.client.starting = lambda connector: connector.stopConnecting()
        connector = self.reactor.connectTCP(*self.listen(), self.client)
        self.assertEqual(self.client.events, ["start", "connecting", "failed", "stop"])
        self.assertEqual([type(it) for it in self.client.failures], [error.UserError])
        self.assertRaises(error.NotConnectingError, connector.stopConnecting)

    def test_socketOptions(self) -> None:
        """
        In C{startedConnecting} the socket is there and not yet connected: the time to set buffer sizes.
        """
        states: list[Any] = []

        def starting(connector: Any) -> None:
            skt = connector.transport.getHandle()
            self.assertRaises(OSError, skt.getpeername)
            skt.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 10000)
            states.append(skt.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))

        def test(protocol: Any, peer: socket.socket) -> None:
            handle = protocol.transport.getHandle()
            states.append(handle.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))
            self.reactor.stop()

        self.client.starting = starting
        self.connected(test)
        self.assertEqual(states, [20000, 20000])

    def test_bindAddress(self) -> None:
        """
        The local address is the one that was asked for; one that can't be had is reported.
        """
        hosts: list[str] = []

        def made(protocol: Any) -> None:
            hosts.append(protocol.transport.getHost().host)
            self.reactor.connectTCP(*self.listener.getsockname(), self.client, bindAddress=("192.0.2.1", 0))

        self.client.made = made
        self.client.failed = self.stopLater
        self.reactor.connectTCP(*self.listen(), self.client, bindAddress=("127.0.0.9", 0))
        self.run_()
        self.assertEqual(hosts, ["127.0.0.9"])
        self.assertEqual([type(it) for it in self.client.failures], [error.ConnectBindError])

    def test_hostName(self) -> None:
        """
        A host name is resolved as ever, and the transport sends at once.
        """
        self.client.made = lambda protocol: (protocol.transport.write(b"x"), self.reactor.stop())
        _, port = self.listen()
        self.reactor.connectTCP("localhost", port, self.client)
        self.run_()
        self.assertEqual(self.accept().recv(100), b"x")


class UNIXTests(ReactorTestCase):
    """
    UNIX sockets connect without waiting, and nobody is surprised by it.
    """

    def test_connect(self) -> None:
        """
        The protocol is not built before C{connectUNIX} has returned.
        """
        path = self.listen(socket.AF_UNIX, self.mktemp())
        peers: list[Any] = []

        def made(protocol: Any) -> None:
            peers.append(protocol.transport.getPeer().name)
            protocol.transport.write(b"x")
            self.reactor.stop()

        self.client.made = made
        connector = self.reactor.connectUNIX(path, self.client)
        self.assertEqual((self.client.events, connector.state), (["start", "connecting"], "connecting"))
        self.run_()
        self.assertEqual(peers, [os.fsencode(path)])
        self.assertEqual(self.accept().recv(100), b"x")

    def test_missing(self) -> None:
        """
        A path where nobody listens is reported after C{connectUNIX} has returned.
        """
        self.client.failed = self.stopLater
        self.reactor.connectUNIX(self.mktemp(), self.client)
        self.assertEqual(self.client.failures, [])
        self.run_()
        self.assertEqual(len(self.client.failures), 1)
        self.assertIsInstance(self.client.failures[0], error.ConnectError)

    def test_queueFull(self) -> None:
        """
        Who comes while the queue of the listening socket is full gets in when there is room.
        """
        path = self.listen(socket.AF_UNIX, self.mktemp(), 0)
        fillers = []
        while True:
            filler = socket.socket(socket.AF_UNIX)
            self.addCleanup(filler.close)
            filler.setblocking(False)
            if filler.connect_ex(path):
                break
            fillers.append(filler)
        self.client.made = self.stopLater
        self.reactor.connectUNIX(path, self.client)
        self.reactor.callLater(0, self.accept)
        self.run_()
        self.assertEqual(self.client.events[:3], ["start", "connecting", "build"])
        self.assertEqual(self.client.failures, [])

    def test_stopWhileQueueFull(self) -> None:
        """
        Waiting for room can be stopped, and leaves no timed call behind.
        """
        path = self.listen(socket.AF_UNIX, self.mktemp(), 0)
        filler = socket.socket(socket.AF_UNIX)
        self.addCleanup(filler.close)
        filler.connect(path)
        self.reactor.callLater(0.02, lambda: (connector.stopConnecting(), self.reactor.stop()))
        connector = self.reactor.connectUNIX(path, self.client)
        self.run_()
        self.assertEqual([type(it) for it in self.client.failures], [error.UserError])
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class ListeningTests(ReactorTestCase):
    """
    Accepted connections send at once, too.
    """

    def test_echo(self) -> None:
        """
        A server answers, over TCP and UNIX sockets, any number of connections made at once.
        """

        class Echo(Protocol):
            def dataReceived(self, data: bytes) -> None:
                self.transport.write(data)  # type: ignore[union-attr]

        factory = Factory.forProtocol(Echo)
        path = self.mktemp()
        port = self.reactor.listenTCP(0, factory, interface="127.0.0.1").getHost().port
        self.reactor.listenUNIX(path, factory)
        self.echoed = 0

        def heard(protocol: Any) -> None:
            self.echoed += protocol.received == b"x"
            if self.echoed == 60:
                self.reactor.stop()

        self.client.made = lambda protocol: protocol.transport.write(b"x")
        self.client.heard = heard
        for _ in range(30):
            self.reactor.connectTCP("127.0.0.1", port, self.client)
            self.reactor.connectUNIX(path, self.client)
        self.run_()
        self.assertEqual(self.echoed, 60)


class ConnectTimeoutsTests(SynchronousTestCase):
    """
    Tests for L{smtpsource.net.lean.connectors.ConnectTimeouts}.
    """

    if LeanReactor is None:
        skip = "there is no epoll(7) here"

    class Connector:
        state = "connecting"

        def __init__(self) -> None:
            self.failures: list[Any] = []
            self.transport = self

        def failIfNotConnected(self, reason: Any) -> None:
            self.state = "disconnected"
            self.failures.append(type(reason))

    def test_expire(self) -> None:
        """
        Each fails at its own time, the others don't; C{due} is never too late.
        """
        timeouts = connectors.ConnectTimeouts()
        self.assertIsNone(timeouts.due)
        slow, quick, done = self.Connector(), self.Connector(), self.Connector()
        timeouts.add(slow, 30, 100)
        self.assertEqual(timeouts.due, 130)
        timeouts.add(done, 5, 100).pop(done)
        timeouts.add(quick, 5, 101)
        self.assertEqual(timeouts.due, 105)
        timeouts.expire(105)
        self.assertEqual((quick.failures, timeouts.due), ([], 106))
        timeouts.expire(106)
        self.assertEqual((quick.failures, timeouts.due), ([error.TimeoutError], 130))
        timeouts.expire(131)
        self.assertEqual((slow.failures, timeouts.due), ([error.TimeoutError], None))
        self.assertEqual(done.failures, [])


class StartTLSTests(SynchronousTestCase):
    """
    What there is of TLS before anybody starts it.
    """

    def test_lazy(self):
        """
        Who does not start TLS has not loaded its layer.
        """
        code = "import sys, smtpsource.net.reactor; sys.exit('smtpsource.net.lean.tls' in sys.modules)"
        with patch.dict("os.environ", PYTHONPATH=":".join(sys.path)):
            self.assertEqual(subprocess.run([sys.executable, "-c", code], timeout=PATIENCE).returncode, 0)

    def test_told(self):
        """
        Where OpenSSL is, all transports say that they can start TLS, and which end of it each is.
        """
        for kind, client in (
            (clients.EagerClient, True),
            (clients.LeanTCPClient, True),
            (clients.LeanUNIXClient, True),
            (transports.EagerServer, False),
            (transports.EagerUNIXServer, False),
        ):
            self.assertEqual(ITLSTransport.implementedBy(kind), find_spec("OpenSSL") is not None, kind)
            self.assertIs(kind._tlsClientDefault, client, kind)
            self.assertIs(kind.__new__(kind).TLS, False, kind)


class PluginTests(SynchronousTestCase):
    """
    Tests for the plugin.
    """

    def test_listed(self) -> None:
        """
        C{twistd --help-reactors} lists the reactor.
        """
        found = [it for it in getReactorTypes() if it.shortName == "smtpsource"]
        self.assertEqual([it.moduleName for it in found], ["smtpsource.net.reactor"])
