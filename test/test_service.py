"""
Tests for L{smtpsource.load.service}: as a stranger's harness uses it, over real sockets in this process's reactor, and
what is hard to see there in memory.
"""

from __future__ import annotations

import os
import socket
from io import BytesIO
from unittest import mock

from patience import TEST_LIMIT
from twisted.application.service import MultiService
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks, maybeDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.mail import smtp
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from smtpsource import SinkPlan, SinkService, SourcePlan, SourceService
from smtpsource.load.marking import MOST_EVENTS, Marking
from smtpsource.sink.factory import SinkFactory
from smtpsource.testing import FakeReactor, runInMemory


@implementer(smtp.IMessage)
class Letter:
    """
    What Twisted's own server does with a message: keep it.
    """

    def __init__(self, letters):
        self.letters = letters
        self.file = BytesIO()

    def lineReceived(self, line):
        self.file.write(line + b"\n")

    def eomReceived(self):
        from twisted.internet.defer import succeed

        self.letters.append(self.file.getvalue())
        return succeed(None)

    def connectionLost(self):
        pass


@implementer(smtp.IMessageDelivery)
class Delivery:
    """
    Takes mail for everybody but C{nobody}.
    """

    def __init__(self, letters):
        self.letters = letters

    def receivedHeader(self, helo, origin, recipients):
        return None

    def validateFrom(self, helo, origin):
        return origin

    def validateTo(self, user):
        if user.dest.local == b"nobody":
            raise smtp.SMTPBadRcpt(user)
        return lambda: Letter(self.letters)


class TwistedServer(smtp.SMTPFactory):
    """
    Twisted's own ESMTP server.
    """

    noisy = False

    def __init__(self):
        super().__init__()
        self.letters = []

    def buildProtocol(self, address):
        protocol = smtp.ESMTP()
        protocol.factory = self
        protocol.host = b"server"
        protocol.delivery = Delivery(self.letters)
        return protocol


class Silent(Protocol):
    """
    Accepts connections and says nothing, ever.
    """

    def connectionMade(self):
        self.factory.connections.append(self)

    def connectionLost(self, reason):
        self.factory.connections.remove(self)
        if self.factory.whenEmpty is not None and not self.factory.connections:
            self.factory.whenEmpty.callback(None)


class HarnessTests(TestCase):
    """
    A stranger's tests of a server of theirs, in the same process.
    """

    timeout = TEST_LIMIT

    def sink(self, **plan):
        """
        @return: a sink that ends with the test, and its plan's address.
        """
        service = SinkService(reactor, SinkPlan(**plan))
        service.startService()
        self.addCleanup(service.stopService)
        return service, service.listening()[0]

    def listen(self, factory):
        """
        @return: the address of a server of this factory, that ends with the test.
        """
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return f"127.0.0.1:{port.getHost().port}"

    def run_(self, destination, **plan):
        """
        @return: a source that has been started.
        """
        service = SourceService(reactor, SourcePlan(destination=destination, **plan))
        service.startService()
        self.addCleanup(service.stopService)
        return service

    @inlineCallbacks
    def test_sink(self):
        """
        Both sides count the same.
        """
        sink, address = self.sink()
        plan = {"messageCount": 200, "sessionCount": 10, "keepConnections": True, "recipientCount": 2, "length": 5000}
        summary = yield self.run_(address, **plan).whenDone()
        counts = sink.factory.counts
        self.assertEqual((summary.messages.started, summary.messages.accepted, counts.messages), (200, 200, 200))
        self.assertEqual((summary.recipientsAccepted, counts.recipients), (400, 400))
        self.assertEqual((summary.connectionsOpened, counts.sessions, summary.connectionsLost), (10, 10, 0))
        self.assertEqual(summary.bytesSent, counts.bytesReceived)
        self.assertEqual((summary.exit, summary.ended, summary.reason), (0, "done", None))
        self.assertGreater(summary.elapsed, 0)
        self.assertApproximates(summary.rate, 200 / summary.elapsed, 1e-6)
        self.assertEqual(summary.latency["transaction"].count, 200)

    @inlineCallbacks
    def test_newConnections(self):
        """
        A connection for each message; large content is streamed.
        """
        sink, address = self.sink(lmtp=True)
        summary = yield self.run_(address, messageCount=20, sessionCount=4, lmtp=True, length=300_000).whenDone()
        self.assertEqual((summary.messages.accepted, sink.factory.counts.sessions), (20, 20))
        self.assertEqual(summary.bytesSent, sink.factory.counts.bytesReceived)

    @inlineCallbacks
    def test_UNIX(self):
        """
        A UNIX socket is as good.
        """
        path = os.path.join(os.path.relpath(self.mktemp()))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        sink, address = self.sink(path=path)
        self.assertTrue(address.startswith("unix:"))
        summary = yield self.run_(address, messageCount=10).whenDone()
        self.assertEqual((summary.messages.accepted, sink.factory.counts.messages), (10, 10))

    @inlineCallbacks
    def test_name(self):
        """
        A host may be given by name.
        """
        sink, address = self.sink()
        port = address.rpartition(":")[2]
        summary = yield self.run_(f"localhost:{port}", messageCount=3, family=socket.AF_INET).whenDone()
        self.assertEqual((summary.messages.accepted, sink.factory.counts.messages), (3, 3))

    @inlineCallbacks
    def test_twistedMail(self):
        """
        Twisted's own server gets every message whole.
        """
        server = TwistedServer()
        body = b"Subject: hi\n\n.one\n..two\nthree\n"
        summary = yield self.run_(self.listen(server), messageCount=12, sessionCount=3, message=body).whenDone()
        self.assertEqual(summary.messages.accepted, 12)
        self.assertEqual(server.letters, [body + b"\n"] * 12)

    @inlineCallbacks
    def test_twistedMailRefuses(self):
        """
        A refusal of Twisted's server ends the run, and says so.
        """
        run = self.run_(self.listen(TwistedServer()), messageCount=12, sessionCount=2, recipient=b"nobody@here")
        summary = yield run.whenDone()
        self.assertEqual((summary.exit, summary.ended), (1, "aborted"))
        self.assertTrue(summary.reason.startswith("rcpt refused: 550 "), summary.reason)
        self.assertEqual(summary.messages.accepted, 0)
        self.assertEqual(summary.messages.started, summary.messages.rejected + summary.messages.failed)

    @inlineCallbacks
    def test_nobodyListens(self):
        """
        A port where nobody listens is a failed message, not an exception.
        """
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            summary = yield self.run_(f"127.0.0.1:{port}", messageCount=5).whenDone()
        self.assertEqual((summary.exit, summary.messages.failed), (1, 1))
        self.assertEqual(summary.reason, f"connect-refused: inet:127.0.0.1:{port}: connection refused")

    @inlineCallbacks
    def test_noSuchSocket(self):
        """
        Neither is a UNIX socket that is not there.
        """
        path = os.path.abspath(self.mktemp())
        summary = yield self.run_(f"unix:{path}", messageCount=5, tolerant=True).whenDone()
        self.assertEqual((summary.exit, summary.messages.failed, summary.connectionsFailed), (1, 5, 5))
        self.assertEqual(summary.errors["connect-failed"].sample, f"unix:{path}: No such file or directory")

    @inlineCallbacks
    def test_stopBounded(self):
        """
        Stopping ends within the grace period, though the server is silent.
        """
        factory = Factory.forProtocol(Silent)
        factory.noisy = False
        factory.connections = []
        factory.whenEmpty = None
        service = self.run_(self.listen(factory), messageCount=50, sessionCount=3, grace=0.2)
        from peers import eventually

        yield eventually(lambda: len(factory.connections) == 3, "the connections")
        begun = reactor.seconds()
        done = service.whenDone()
        yield service.stopService()
        self.assertLess(reactor.seconds() - begun, 5)
        self.assertGreater(reactor.seconds() - begun, 0.15)
        summary = yield done
        self.assertEqual((summary.ended, summary.exit, summary.messages.failed), ("signal", 1, 3))
        self.assertEqual(summary.errors["stopped"].count, 3)
        yield eventually(lambda: not factory.connections, "the end of the connections")

    @inlineCallbacks
    def test_stopWhileRunning(self):
        """
        A run that is stopped has finished what it began, and nothing is lost: both sides agree.
        """
        sink, address = self.sink()
        service = self.run_(address, messageCount=1_000_000, sessionCount=5, keepConnections=True)
        from peers import eventually

        yield eventually(lambda: sink.factory.counts.messages > 20, "some messages")
        yield service.stopService()
        summary = yield service.whenDone()
        self.assertEqual((summary.ended, summary.exit), ("signal", 1))
        self.assertEqual(summary.messages.started, summary.messages.accepted)
        self.assertEqual(summary.messages.accepted, sink.factory.counts.messages)
        self.assertEqual(sink.factory.counts.quits, 5)

    @inlineCallbacks
    def test_twoAtOnce(self):
        """
        Two services in one process don't get into each other's way.
        """
        sink, address = self.sink()
        first = self.run_(address, messageCount=30).whenDone()
        second = self.run_(address, messageCount=20, sessionCount=5).whenDone()
        one, two = yield gatherResults([first, second])
        self.assertEqual((one.messages.accepted, two.messages.accepted), (30, 20))
        self.assertEqual(sink.factory.counts.messages, 50)


class LifeTests(SynchronousTestCase):
    """
    The life of a service, in memory.
    """

    def service(self, reactor, **plan):
        """
        @return: a service for a literal address.
        """
        plan.setdefault("destination", "127.0.0.1")
        return SourceService(reactor, SourcePlan(**plan), clock=reactor.seconds)

    def test_swapped(self):
        """
        A reactor and a plan the other way round are refused, in words.
        """
        error = str(self.assertRaises(TypeError, SourceService, SourcePlan(), FakeReactor()))
        self.assertEqual(error, "expected SourceService(reactor, plan) with a SourcePlan, not FakeReactor")
        error = str(self.assertRaises(TypeError, SinkService, SinkPlan(), FakeReactor()))
        self.assertEqual(error, "expected SinkService(reactor, plan) with a SinkPlan, not FakeReactor")

    def test_whenDone(self):
        """
        Everybody who asks gets the same summary, before the end and after it.
        """
        reactor = FakeReactor(SinkFactory(SinkPlan(), lambda: 0.0))
        service = self.service(reactor)
        early = [service.whenDone(), service.whenDone()]
        service.startService()
        for _ in range(3):
            reactor.advance(0)
        summary = self.successResultOf(early[0])
        self.assertIs(self.successResultOf(early[1]), summary)
        self.assertIs(self.successResultOf(service.whenDone()), summary)
        self.assertEqual(summary.exit, 0)
        self.assertIs(self.successResultOf(service.stopService()), None)
        self.assertEqual(reactor.getDelayedCalls(), [])
        self.assertFalse(reactor.hasStopped)

    def test_onEnd(self):
        """
        The summary waits for what goes on beside the run, which is told once how long it may take; marks that are made
        by then are in it.
        """
        for stops in (False, True):
            reactor = FakeReactor(SinkFactory(SinkPlan(), lambda: 0.0))
            service = self.service(reactor, grace=7.0, **({"messageCount": 5, "fixedInterval": 60.0} if stops else {}))
            asked, over = [], Deferred()
            service.onEnd(lambda seconds, asked=asked, over=over: asked.append(seconds) or over)
            service.startService()
            reactor.advance(1)
            if stops:
                service.stopService()
                reactor.advance(0)
            self.assertEqual(asked, [7.0])
            done = service.whenDone()
            self.assertNoResult(done)
            mark = service.mark("x", "command")
            service.remark(mark, status=0)
            over.callback(None)
            self.assertEqual([mark.status for mark in self.successResultOf(done).marks], [0])
            self.assertEqual(asked, [7.0])

    def test_onEndRaises(self):
        """
        Whatever becomes of that, there is a summary.
        """
        reactor = FakeReactor(SinkFactory(SinkPlan(), lambda: 0.0))
        service = self.service(reactor)
        service.onEnd(lambda seconds: 1 / 0)
        service.startService()
        reactor.advance(1)
        self.assertEqual(self.successResultOf(service.whenDone()).exit, 0)

    def test_stoodStill(self):
        """
        A process that stood still for seconds is a mark, at the time when that began.
        """
        reactor, held = FakeReactor(SinkFactory(SinkPlan(), lambda: 0.0)), [0.0]
        plan = SourcePlan(destination="127.0.0.1", messageCount=20, fixedInterval=1.0)
        service = SourceService(reactor, plan, clock=lambda: reactor.seconds() + held[0])
        service.startService()
        reactor.advance(5.0)
        held[0] = 4.0
        reactor.advance(0.2)
        [mark] = service.marks
        self.assertRegex(mark.text, r"^the generator stood still for [34]\.\d s$")
        self.assertEqual(mark.kind, "event")
        self.assertLess(abs(mark.at - 5.0), 0.3)
        service.stopService()
        reactor.advance(10)

    def test_manyEvents(self):
        """
        There is an end to the events of a run, and the last one says so.
        """
        marking = Marking(lambda: 5.0)
        for number in range(MOST_EVENTS + 10):
            marking.event(f"other addresses {number}", 1.0)
        marking.mark("a note", "note")
        self.assertEqual([mark.kind for mark in marking.marks], ["event"] * MOST_EVENTS + ["note"])
        self.assertTrue(marking.marks[-2].text.endswith("; no more events are marked"), marking.marks[-2].text)

    def test_reactorNotYetRunning(self):
        """
        Nothing is connected before the reactor runs.
        """
        reactor = FakeReactor()
        reactor.running = False
        service = self.service(reactor)
        service.startService()
        self.assertEqual(len(reactor.attempts), 0)
        reactor.run()
        self.assertEqual(len(reactor.attempts), 1)

    def test_stoppedBeforeTheReactorRuns(self):
        """
        A service stopped before the reactor runs asks for no address and never connects.
        """
        reactor = FakeReactor()
        reactor.running = False
        service = self.service(reactor, destination="some.name.invalid")
        service.startService()
        stopped = service.stopService()
        with mock.patch("socket.getaddrinfo") as asked:
            reactor.run()
            reactor.advance(0)
        self.assertFalse(asked.called)
        self.successResultOf(stopped)
        self.assertEqual(len(reactor.attempts), 0)
        self.assertEqual(self.successResultOf(service.whenDone()).messages.started, 0)

    def test_stopBeforeStart(self):
        """
        A service stopped before it was started is done, and has done nothing.
        """
        reactor = FakeReactor()
        service = self.service(reactor)
        self.successResultOf(service.stopService())
        summary = self.successResultOf(service.whenDone())
        self.assertEqual((summary.messages.started, summary.exit, summary.ended), (0, 1, "signal"))

    def test_startTwice(self):
        """
        Another run needs another service.
        """
        reactor = FakeReactor()
        service = self.service(reactor)
        service.startService()
        self.assertRaises(RuntimeError, service.startService)
        self.assertEqual(len(reactor.attempts), 1)
        reactor.attempts[0].refuse()
        self.assertRaises(RuntimeError, service.startService)

    def test_stopTwice(self):
        """
        Stopping twice is stopping once: both wait for the same end, and the grace period is not prolonged.
        """
        reactor = FakeReactor()
        service = self.service(reactor, grace=4.0)
        service.startService()
        reactor.attempts[0].accept()
        first = service.stopService()
        reactor.advance(3)
        second = service.stopService()
        self.assertNoResult(first)
        self.assertNoResult(second)
        reactor.advance(1)
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertEqual(reactor.getDelayedCalls(), [])

    def test_parent(self):
        """
        It works as the child of another service, whose end waits for its.
        """
        reactor = FakeReactor()
        parent = MultiService()
        self.service(reactor, grace=4.0).setServiceParent(parent)
        parent.startService()
        reactor.attempts[0].accept()
        stopped = parent.stopService()
        self.assertNoResult(stopped)
        reactor.advance(4)
        self.successResultOf(stopped)

    def test_noAddress(self):
        """
        A name without an address is told of in the summary; no message was started.
        """
        reactor = FakeReactor()
        service = self.service(reactor, destination="no.such.name.invalid", messageCount=5)
        atOnce = mock.patch("smtpsource.net.destination.inThread", lambda reactor, call: maybeDeferred(call))
        with atOnce, mock.patch("socket.getaddrinfo", side_effect=socket.gaierror(-2, "Name or service not known")):
            service.startService()
            reactor.advance(0)
        summary = self.successResultOf(service.whenDone())
        self.assertEqual(summary.reason, "no address for no.such.name.invalid: Name or service not known")
        self.assertEqual((summary.exit, summary.ended, summary.messages.started), (1, "aborted", 0))
        self.assertEqual(summary.errors["no-destination"].sample, summary.reason)
        self.assertEqual(reactor.getDelayedCalls(), [])

    def test_noThread(self):
        """
        A name can't be looked up because there can be no further thread: the run ends, and says so.
        """
        reactor = FakeReactor()
        service = self.service(reactor, destination="some.name.invalid")
        reactor.startThread = mock.Mock(side_effect=RuntimeError("can't start new thread"))
        service.startService()
        reactor.advance(0)
        summary = self.successResultOf(service.whenDone())
        self.assertEqual(summary.reason, "can't look for the destination's address: can't start new thread")

    def test_resolvingRaises(self):
        """
        Whatever is raised by looking for the destination ends the run.
        """
        reactor = FakeReactor()
        service = self.service(reactor)
        with mock.patch("smtpsource.load.whereabouts.resolve", side_effect=ValueError("what is wrong")):
            service.startService()
        reactor.advance(0)
        reason = self.successResultOf(service.whenDone()).reason
        self.assertTrue(reason.startswith("internal-error: ValueError('what is wrong')"), reason)

    def test_stoppedWhileResolving(self):
        """
        A service stopped while its name is looked up does not connect when the answer comes.
        """
        reactor = FakeReactor()
        service = self.service(reactor, destination="some.name.invalid")
        answer = Deferred()
        with mock.patch("smtpsource.net.destination.inThread", lambda reactor, call: answer):
            service.startService()
        stopped = service.stopService()
        reactor.advance(0)
        self.successResultOf(stopped)
        from smtpsource.net.destination import TCPAddress

        answer.callback([TCPAddress("127.0.0.1", 25)])
        reactor.advance(0)
        self.assertEqual(len(reactor.attempts), 0)
        self.assertEqual(reactor.getDelayedCalls(), [])

    def test_elapsed(self):
        """
        The time to find the destination is not the server's.
        """
        reactor = FakeReactor()
        service = self.service(reactor, destination="some.name.invalid")
        answer = Deferred()
        with mock.patch("smtpsource.net.destination.inThread", lambda reactor, call: answer):
            service.startService()
        reactor.advance(60)
        from smtpsource.net.destination import TCPAddress

        answer.callback([TCPAddress("127.0.0.1", 25)])
        reactor.advance(0)
        reactor.advance(2)
        reactor.attempts[0].refuse()
        reactor.advance(0)
        self.assertEqual(self.successResultOf(service.whenDone()).elapsed, 2.0)

    def test_trace(self):
        """
        C{show} gets the dialogue.
        """
        shown = []
        reactor = FakeReactor(SinkFactory(SinkPlan(), lambda: 0.0))
        service = SourceService(reactor, SourcePlan(destination="127.0.0.1", trace=1), show=shown.append)
        service.startService()
        reactor.advance(0)
        self.assertIn("QUIT", shown)
        self.assertTrue(shown[0].startswith("<<< 220 "))

    def test_recipientRefusedIsNoSuccess(self):
        """
        A run in which a recipient was refused does not exit 0, though every message was accepted.
        """
        server = TwistedServer()
        plan = SourcePlan(recipient=b"nobody@here", recipientCount=2, tolerant=True)
        summary = runInMemory(plan, server)
        # 2nobody is somebody.
        self.assertEqual((summary.messages.accepted, summary.recipientsRejected, summary.exit), (1, 1, 1))

    def test_command(self):
        """
        The report has the command line, and says when the run began.
        """
        summary = runInMemory(SourcePlan(command=("x", "y")), SinkFactory(SinkPlan(), lambda: 0.0))
        self.assertEqual(summary.command, ("x", "y"))
        self.assertRegex(summary.started, r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d$")
