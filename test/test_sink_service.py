"""
Tests for L{smtpsource.sink.service} and what it listens with: real sockets in this process's reactor.
"""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys

from patience import PATIENCE, TEST_LIMIT
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, UNIXClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase, TestCase

import smtpsource
from smtpsource.sink.service import ListenError, SinkPlan, SinkService

TRANSACTION = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"


class Client(Protocol):
    """
    A client that is told by a test what to say.
    """

    def __init__(self):
        self.received = b""
        self.lost = Deferred()
        self._waiting = None

    def lines(self, number):
        """
        @return: fires with all that was received, when it is that many lines.
        """
        self._waiting = (number, Deferred())
        result = self._waiting[1]
        self.dataReceived(b"")
        return result

    def say(self, data, number):
        """
        @return: fires when that many more lines were received.
        """
        self.received = b""
        self.transport.write(data)
        return self.lines(number)

    def dataReceived(self, data):
        self.received += data
        if self._waiting is not None and self.received.count(b"\n") >= self._waiting[0]:
            waiting, self._waiting = self._waiting[1], None
            waiting.callback(self.received)

    def connectionLost(self, reason):
        self.lost.callback(None)


class ServiceTests(TestCase):
    """
    A sink in a process that has other things to do as well.
    """

    timeout = TEST_LIMIT

    def start(self, **plan):
        """
        Start a sink that ends with the test.
        """
        self.service = SinkService(reactor, SinkPlan(**plan))
        self.service.startService()
        self.addCleanup(self.service.stopService)

    @inlineCallbacks
    def connect(self):
        """
        @return: fires with a client that has seen the banner.
        """
        client = yield self.open()
        yield client.lines(1)
        return client

    def open(self):
        """
        @return: fires with a client that has connected.
        """
        return connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", self.service.address().port), Client())

    @inlineCallbacks
    def test_transaction(self):
        """
        A message is taken and counted; the summary says so, as a document and as text.
        """
        self.start(command=("smtp-sink", "x"))
        client = yield self.connect()
        self.assertEqual(client.received, b"220 smtp-sink ESMTP\r\n")
        yield client.say(TRANSACTION, 3)
        yield client.say(b"x\r\n.\r\n", 1)
        yield client.say(b"QUIT\r\n", 1)
        yield client.lost
        summary = yield self.service.finish()
        document = summary.asDict()
        self.assertEqual(
            {key: document[key] for key in ("schema", "command", "ended", "exit", "messages", "recipients", "errors")},
            {
                "schema": 1,
                "command": ["smtp-sink", "x"],
                "ended": "done",
                "exit": 0,
                "messages": 1,
                "recipients": 1,
                "errors": {},
            },
        )
        self.assertEqual(document["sessions"], {"total": 1, "open": 0, "max": 1, "quit": 1})
        self.assertEqual(document["bytes"]["received"], len(TRANSACTION + b"x\r\n.\r\nQUIT\r\n"))
        self.assertGreater(document["elapsed"], 0)
        self.assertGreater(document["rate"], 0)
        self.assertRegex(summary.asText(), r"(?m)^messages +1$")

    @inlineCallbacks
    def test_messageLimit(self):
        """
        The client of the last message has its reply and may quit; then the sink is done.
        """
        self.start(messageLimit=1)
        done = self.service.whenDone()
        client = yield self.connect()
        yield client.say(TRANSACTION, 3)
        reply = yield client.say(b"x\r\n.\r\n", 1)
        self.assertEqual(reply, b"250 2.0.0 Ok\r\n")
        reply = yield client.say(b"QUIT\r\n", 1)
        self.assertEqual(reply[:3], b"221")
        summary = yield done
        self.assertEqual((summary.messages, summary.ended, summary.quits), (1, "done", 1))
        yield client.lost

    @inlineCallbacks
    def test_messageLimitAndSilence(self):
        """
        A client that does not quit after the last message is told 421.
        """
        self.start(messageLimit=1)
        client = yield self.connect()
        yield client.say(TRANSACTION, 3)
        yield client.say(b"x\r\n.\r\n", 1)
        reply = yield client.say(b"", 1)
        self.assertEqual(reply[:3], b"421")
        summary = yield self.service.whenDone()
        self.assertEqual((summary.messages, summary.ended, summary.sessionsOpen), (1, "done", 1))
        yield client.lost

    @inlineCallbacks
    def test_sessionLimit(self):
        """
        The sink is done when so many sessions have ended, in whatever way.
        """
        self.start(sessionLimit=2)
        done = self.service.whenDone()
        client = yield self.connect()
        yield client.say(b"QUIT\r\n", 1)
        client = yield self.connect()
        client.transport.loseConnection()
        summary = yield done
        self.assertEqual((summary.sessions, summary.quits, summary.ended), (2, 1, "done"))
        yield client.lost

    @inlineCallbacks
    def test_maxSessions(self):
        """
        Clients over the limit connect, and wait for their banner until there is room.
        """
        self.start(maxSessions=1)
        first = yield self.connect()
        others = yield gatherResults([self.open() for _ in range(3)])
        yield first.say(b"NOOP\r\n", 1)
        self.assertEqual([client.received for client in others], [b"", b"", b""])
        first.transport.loseConnection()
        for client in others:
            yield client.lines(1)
            yield client.say(b"QUIT\r\n", 1)
            yield client.lost
        summary = yield self.service.finish()
        self.assertEqual((summary.sessions, summary.sessionsMax), (4, 1))

    @inlineCallbacks
    def test_stopIdle(self):
        """
        Idle clients, and those that wait for their banner, are told 421 when the sink is stopped.
        """
        self.start(maxSessions=1)
        clients = [(yield self.connect()), (yield self.open())]
        yield clients[0].say(b"NOOP\r\n", 1)
        replies = [client.say(b"", 1) for client in clients]
        yield self.service.stopService()
        for reply, client in zip(replies, clients, strict=True):
            self.assertEqual((yield reply)[:3], b"421")
            yield client.lost
        summary = yield self.service.whenDone()
        self.assertEqual((summary.ended, summary.sessionsOpen), ("signal", 1))

    @inlineCallbacks
    def test_stopInTransaction(self):
        """
        A client in a transaction may complete it, within the grace period.
        """
        self.start()
        client = yield self.connect()
        yield client.say(TRANSACTION, 3)
        stopped = self.service.stopService()
        reply = yield client.say(b"x\r\n.\r\n", 2)
        self.assertEqual([line[:3] for line in reply.splitlines()], [b"250", b"421"])
        yield stopped
        yield client.lost
        summary = yield self.service.whenDone()
        self.assertEqual(summary.messages, 1)

    @inlineCallbacks
    def test_stopIsBounded(self):
        """
        A client that does not complete its transaction is dropped after the grace period.
        """
        self.start(grace=0.05)
        client = yield self.connect()
        yield client.say(TRANSACTION, 3)
        yield self.service.stopService()
        yield client.lost
        self.assertEqual(client.received.count(b"\n"), 3)

    @inlineCallbacks
    def test_stopTwice(self):
        """
        Stopping again changes nothing, and each one who asks has the summary.
        """
        self.start()
        results = [self.service.finish("done"), self.service.finish("signal"), self.service.whenDone()]
        yield self.service.stopService()
        results.append(self.service.whenDone())
        summaries = yield gatherResults(results)
        self.assertEqual({id(summary) for summary in summaries}, {id(summaries[0])})
        self.assertEqual(summaries[0].ended, "done")

    @inlineCallbacks
    def test_neverStarted(self):
        """
        A sink that was never started can be stopped.
        """
        service = SinkService(reactor, SinkPlan())
        self.assertRaises(RuntimeError, service.address)
        yield service.stopService()
        summary = yield service.whenDone()
        self.assertEqual(summary.sessions, 0)

    @inlineCallbacks
    def test_manyAtOnce(self):
        """
        Hundreds of sessions at the same time, each with its message.
        """
        self.start(backlog=500)
        clients = yield gatherResults([self.open() for _ in range(300)])
        done = [client.lines(6) for client in clients]
        for client in clients:
            client.transport.write(TRANSACTION + b"x\r\n.\r\nQUIT\r\n")
        for reply, client in zip(done, clients, strict=True):
            yield reply
            yield client.lost
        summary = yield self.service.finish()
        self.assertEqual((summary.messages, summary.sessionsMax, summary.errors), (300, 300, {}))


class ListenTests(TestCase):
    """
    Where a sink listens.
    """

    timeout = TEST_LIMIT

    def start(self, **plan):
        """
        Start a sink that ends with the test.
        """
        service = SinkService(reactor, SinkPlan(**plan))
        service.startService()
        self.addCleanup(service.stopService)
        return service

    @inlineCallbacks
    def banner(self, endpoint):
        """
        @return: fires with the banner of who listens there.
        """
        client = yield connectProtocol(endpoint, Client())
        banner = yield client.lines(1)
        client.transport.loseConnection()
        yield client.lost
        return banner

    @inlineCallbacks
    def test_allInterfaces(self):
        """
        Without a host the sink listens on all interfaces, in both families where the system has them.
        """
        service = self.start(host="")
        port = service.address().port
        self.assertEqual(service.listening()[0], f"inet:0.0.0.0:{port}")
        yield self.banner(TCP4ClientEndpoint(reactor, "127.0.0.1", port))
        if len(service.listening()) > 1:
            self.assertEqual(service.listening()[1], f"inet:[::]:{port}")
            yield self.banner(TCP6ClientEndpoint(reactor, "::1", port))

    @inlineCallbacks
    def test_ipv6(self):
        """
        An IPv6 address.
        """
        try:
            service = self.start(host="::1")
        except ListenError as e:
            self.skipTest(f"there is no IPv6 here: {e}")
        port = service.address().port
        self.assertEqual(service.listening(), [f"inet:[::1]:{port}"])
        yield self.banner(TCP6ClientEndpoint(reactor, "::1", port))

    def test_family(self):
        """
        A name is listened on in the family that was asked for.
        """
        service = self.start(host="localhost", family=socket.AF_INET)
        self.assertEqual(service.listening(), [f"inet:127.0.0.1:{service.address().port}"])

    @inlineCallbacks
    def test_unix(self):
        """
        A UNIX socket is open to everybody, and gone in the end.
        """
        path = self.mktemp()
        service = self.start(path=path)
        self.assertEqual(service.listening(), [f"unix:{path}"])
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o666)
        yield self.banner(UNIXClientEndpoint(reactor, path))
        yield service.stopService()
        self.assertFalse(os.path.exists(path))

    @inlineCallbacks
    def test_unixStale(self):
        """
        A socket that nobody listens on is replaced.
        """
        path = self.mktemp()
        with socket.socket(socket.AF_UNIX) as old:
            old.bind(path)
        self.start(path=path)
        yield self.banner(UNIXClientEndpoint(reactor, path))

    def test_unixInUse(self):
        """
        A socket that somebody listens on is not.
        """
        path = self.mktemp()
        self.start(path=path)
        error = self.assertRaises(ListenError, self.start, path=path)
        self.assertEqual(str(error), f"can't listen on unix:{path}: Address already in use")

    def test_unixOther(self):
        """
        Nor is a file that is not a socket.
        """
        path = self.mktemp()
        with open(path, "w") as file:
            file.write("precious")
        error = self.assertRaises(ListenError, self.start, path=path)
        self.assertIn("there is something else of that name", str(error))
        with open(path) as file:
            self.assertEqual(file.read(), "precious")

    def test_inUse(self):
        """
        A port that is in use is told in one line.
        """
        port = self.start().address().port
        error = self.assertRaises(ListenError, self.start, port=port)
        self.assertEqual(str(error), f"can't listen on inet:127.0.0.1:{port}: Address already in use")

    def test_unknownHost(self):
        """
        So is a name that does not exist.
        """
        error = self.assertRaises(ListenError, self.start, host="name.invalid", port=1)
        self.assertRegex(str(error), "^can't listen on inet:name.invalid:1: .+")
        self.assertNotIn("\n", str(error))

    def test_windowSize(self):
        """
        The sizes of buffers are set, on the socket that others inherit from, and replies don't wait.
        """
        small = self.start(windowSize=4096).factory.ports[0].socket
        usual = self.start().factory.ports[0].socket
        self.assertLess(
            small.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF),
            usual.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF),
        )
        self.assertTrue(usual.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))


class ClockTests(SynchronousTestCase):
    """
    What happens in time, without waiting for it.
    """

    def start(self, **plan):
        """
        Start a sink on a port that does not exist, with one client.
        """
        self.reactor = MemoryReactorClock()
        self.service = SinkService(self.reactor, SinkPlan(**plan))
        self.service.startService()
        self.transport = StringTransport()
        self.transport.abortConnection = self.transport.loseConnection
        self.protocol = self.reactor.tcpServers[0][1].buildProtocol(None)
        self.protocol.makeConnection(self.transport)
        self.transport.clear()

    def test_idle(self):
        """
        Silent clients are told 421 after the time that was asked for, and a second more at the most.
        """
        self.start(idleTimeout=30.0)
        self.reactor.pump([1] * 30)
        self.assertEqual(self.transport.value(), b"")
        self.reactor.pump([1] * 2)
        self.assertEqual(self.transport.value()[:3], b"421")

    def test_idleForever(self):
        """
        Without a limit nobody looks.
        """
        self.start(idleTimeout=None)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_deafTransport(self):
        """
        A sink ends even if one of its connections doesn't.
        """
        self.start(grace=5.0)
        done = self.service.whenDone()
        self.service.stopService()
        self.reactor.pump([1] * 5)
        self.assertNoResult(done)
        self.reactor.advance(1)
        self.assertEqual(self.successResultOf(done).sessionsOpen, 1)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_busy(self):
        """
        The rate counts from the first session to the end of the last one.
        """
        self.start(idleTimeout=None)
        self.protocol.dataReceived(TRANSACTION)
        self.protocol.dataReceived(b".\r\n")
        self.reactor.advance(2)
        self.protocol.connectionLost()
        self.reactor.advance(8)
        summary = self.successResultOf(self.service.finish())
        self.assertEqual((summary.busy, summary.elapsed, summary.rate), (2.0, 10.0, 0.5))


class ImportTests(SynchronousTestCase):
    """
    Who imports this decides on the reactor.
    """

    def test_noReactor(self):
        """
        No module of the sink installs a reactor.
        """
        program = (
            "import sys, smtpsource.sink.tap, smtpsource.sink.service, smtpsource.sink.companion, "
            "smtpsource.sink.__main__\nsys.exit('twisted.internet.reactor' in sys.modules)"
        )
        path = os.path.dirname(os.path.dirname(os.path.abspath(smtpsource.__file__)))
        environment = dict(os.environ, PYTHONPATH=path)
        self.assertEqual(
            subprocess.run([sys.executable, "-c", program], env=environment, timeout=PATIENCE).returncode, 0
        )
