"""
Tests for L{smtpsource.testing}: what it fakes behaves as the real thing does.
"""

from __future__ import annotations

from twisted.internet import error
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from smtpsource import SinkPlan, SourcePlan
from smtpsource.sink.factory import SinkFactory
from smtpsource.testing import FakeReactor, FakeTransport, runInMemory
from smtpsource.testing.memory import BUFFER_SIZE


class Noting(Protocol):
    """
    Tells its factory everything.
    """

    def connectionMade(self):
        self.factory.note("made")

    def dataReceived(self, data):
        self.factory.note(data)

    def connectionLost(self, reason):
        self.factory.note("lost", reason.type)


class NotingFactory(ClientFactory):
    """
    Notes all events, each with the state of the connector.
    """

    noisy = False
    protocol = Noting
    connector = None
    again = 0

    def __init__(self):
        self.notes = []

    def note(self, event, *more):
        self.notes.append((event, self.connector and self.connector.state, *more))

    def doStart(self):
        self.note("doStart")

    def doStop(self):
        self.note("doStop")

    def startedConnecting(self, connector):
        self.connector = connector
        self.note("startedConnecting")

    def buildProtocol(self, address):
        self.note("buildProtocol")
        return super().buildProtocol(address)

    def clientConnectionFailed(self, connector, reason):
        self.note("failed", reason.type)
        if self.again:
            self.again -= 1
            connector.connect()

    def clientConnectionLost(self, connector, reason):
        self.note("closed", reason.type)
        if self.again:
            self.again -= 1
            connector.connect()


class ClockTests(SynchronousTestCase):
    """
    Time in memory.
    """

    def test_advance(self):
        """
        However much time passes at once, each call comes at its own time, and so does what it asks for.
        """
        reactor = FakeReactor()
        times = []

        def call():
            times.append(reactor.seconds())
            if len(times) < 5:
                reactor.callLater(0.1, call)

        reactor.callLater(1, call)
        reactor.advance(1.35)
        self.assertEqual([round(time, 6) for time in times], [1.0, 1.1, 1.2, 1.3])
        self.assertEqual(reactor.seconds(), 1.35)
        reactor.advance(10)
        self.assertEqual((len(times), reactor.seconds()), (5, 11.35))

    def test_standStill(self):
        """
        Time in which nothing happens.
        """
        reactor = FakeReactor()
        times = []
        reactor.callLater(1, lambda: times.append(reactor.seconds()))
        reactor.standStill(5)
        self.assertEqual((times, reactor.seconds()), ([], 5))
        reactor.advance(0)
        self.assertEqual(times, [5])


class ConnectorTests(SynchronousTestCase):
    """
    Events and states in the order of a real connector.
    """

    def setUp(self):
        self.reactor = FakeReactor()
        self.factory = NotingFactory()

    def connect(self, timeout=30):
        return self.reactor.connectTCP("127.0.0.1", 25, self.factory, timeout=timeout)

    def test_life(self):
        """
        Connecting, connected until the protocol has been told, disconnected when the factory is.
        """
        self.connect()
        _, wire = self.reactor.attempts[0].accept()
        wire.drop()
        self.assertEqual(
            self.factory.notes,
            [
                ("doStart", None),
                ("startedConnecting", "connecting"),
                ("buildProtocol", "connected"),
                ("made", "connected"),
                ("lost", "connected", error.ConnectionDone),
                ("closed", "disconnected", error.ConnectionDone),
                ("doStop", "disconnected"),
            ],
        )
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_again(self):
        """
        It connects again, from within the event too; the factory is not stopped then.
        """
        self.factory.again = 2
        connector = self.connect()
        self.reactor.attempts[0].refuse()
        self.assertEqual((connector.state, len(self.reactor.attempts)), ("connecting", 1))
        self.reactor.attempts[0].accept()[1].drop()
        self.assertEqual((connector.state, len(self.reactor.attempts)), ("connecting", 1))
        self.reactor.attempts[0].refuse()
        events = [note[0] for note in self.factory.notes]
        self.assertEqual((events.count("doStart"), events.count("doStop"), events[-1]), (1, 1, "doStop"))

    def test_states(self):
        """
        What a real one refuses is refused.
        """
        connector = self.connect()
        self.assertRaises(RuntimeError, connector.connect)
        attempt = self.reactor.attempts[0]
        attempt.accept()
        self.assertRaises(RuntimeError, connector.connect)
        self.assertRaises(error.NotConnectingError, connector.stopConnecting)
        self.assertRaises(error.NotConnectingError, attempt.accept)

    def test_stopConnecting(self):
        """
        It fails at once, by the user's wish.
        """
        self.connect().stopConnecting()
        self.assertIn(("failed", "disconnected", error.UserError), self.factory.notes)
        self.assertEqual((len(self.reactor.attempts), self.reactor.getDelayedCalls()), (0, []))

    def test_timeout(self):
        """
        It fails when its time is over; without one it waits.
        """
        self.connect(7)
        self.reactor.advance(7)
        self.assertIn(("failed", "disconnected", error.TimeoutError), self.factory.notes)
        self.connect(None)
        self.reactor.advance(1e6)
        self.assertEqual(len(self.reactor.attempts), 1)

    def test_noProtocol(self):
        """
        A factory that builds no protocol gets a connection that is closed.
        """
        self.factory.buildProtocol = lambda address: None
        self.connect()
        self.assertIs(self.reactor.attempts[0].accept()[0], None)
        self.reactor.advance(0)
        self.assertEqual(self.factory.notes[-2][0], "closed")

    def test_disconnect(self):
        """
        C{disconnect} ends whatever it does.
        """
        connector = self.connect()
        connector.disconnect()
        self.assertEqual(connector.state, "disconnected")
        connector.connect()
        self.reactor.attempts[0].accept()
        connector.disconnect()
        self.reactor.advance(0)
        self.assertEqual(connector.state, "disconnected")
        self.assertEqual(connector.getDestination().port, 25)


class TransportTests(SynchronousTestCase):
    """
    One end of a connection.
    """

    def setUp(self):
        self.reactor = FakeReactor()
        self.lost = []
        self.factory = NotingFactory()
        self.transport = FakeTransport(self.reactor, self.lost.append)
        self.transport.protocol = self.factory.buildProtocol(None)
        self.transport.protocol.makeConnection(self.transport)

    def test_abort(self):
        """
        Nothing is received or sent any more; the protocol is told on a later turn, once.
        """
        self.transport.write(b"x")
        self.transport.abortConnection()
        self.transport.abortConnection()
        self.transport.deliver(b"y")
        self.transport.write(b"z")
        self.assertEqual((self.lost, self.transport.take()), ([], b""))
        self.reactor.advance(0)
        self.transport.drop()
        self.assertEqual(len(self.lost), 1)
        self.assertTrue(self.lost[0].check(error.ConnectionAborted))
        self.assertNotIn((b"y", None), self.factory.notes)

    def test_producer(self):
        """
        A producer is paused above a size, resumed when that was taken, and stopped at the end.
        """
        events = []

        class Producer:
            pauseProducing = staticmethod(lambda: events.append("pause"))
            resumeProducing = staticmethod(lambda: events.append("resume"))
            stopProducing = staticmethod(lambda: events.append("stop"))

        self.transport.registerProducer(Producer, True)
        self.transport.write(b"x" * BUFFER_SIZE)
        self.assertEqual(events, [])
        self.transport.write(b"x")
        self.transport.write(b"x")
        self.assertEqual(events, ["pause"])
        self.assertEqual(len(self.transport.take()), BUFFER_SIZE + 2)
        self.assertEqual(events, ["pause", "resume"])
        self.transport.drop()
        self.assertEqual(events[2:], ["stop"])
        self.transport.registerProducer(Producer, True)
        self.assertEqual(events[3:], ["stop"])


class MemoryTests(SynchronousTestCase):
    """
    Whole runs.
    """

    def test_sink(self):
        """
        A run against our own sink: both sides count the same, and all connections are gone.
        """
        server = SinkFactory(SinkPlan(), lambda: 0.0)
        plan = SourcePlan(messageCount=30, sessionCount=3, keepConnections=True, length=200_000, recipientCount=2)
        summary = runInMemory(plan, server)
        self.assertEqual((summary.exit, summary.messages.accepted, server.counts.messages), (0, 30, 30))
        self.assertEqual(summary.bytesSent, server.counts.bytesReceived)
        self.assertEqual(summary.bytesReceived, server.counts.bytesSent)
        self.assertEqual((server.counts.quits, server.connections), (3, set()))

    def test_destinationDoesNotMatter(self):
        """
        Wherever a plan goes to, it goes to the factory.
        """
        for destination in ("unix:/no/such", "no.such.name.invalid", "sink:"):
            server = SinkFactory(SinkPlan(), lambda: 0.0)
            self.assertEqual(runInMemory(SourcePlan(destination=destination), server).messages.accepted, 1)
            self.assertEqual(server.counts.messages, 1)

    def test_noTime(self):
        """
        Pauses and timeouts pass on the fake clock.
        """
        server = SinkFactory(SinkPlan(), lambda: 0.0)
        summary = runInMemory(SourcePlan(messageCount=100, fixedInterval=100.0), server)
        self.assertEqual((summary.elapsed, summary.messages.accepted), (9900.0, 100))

    def test_silent(self):
        """
        A server that never answers is a run that fails after its timeout.
        """
        factory = Factory.forProtocol(Protocol)
        factory.noisy = False
        summary = runInMemory(SourcePlan(timeout=300.0), factory)
        self.assertEqual((summary.exit, summary.errors["timeout"].count), (1, 1))
        self.assertApproximates(summary.elapsed, 300, 1.1)

    def test_limit(self):
        """
        A run that takes longer than it may is an error.
        """
        factory = Factory.forProtocol(Protocol)
        factory.noisy = False
        self.assertRaises(TimeoutError, runInMemory, SourcePlan(timeout=300.0), factory, limit=10.0)

    def test_refused(self):
        """
        A server factory that wants no connection refuses it.
        """

        class Full(Factory):
            noisy = False

            def buildProtocol(self, address):
                return None

        self.assertIn("connect-refused", runInMemory(SourcePlan(), Full()).errors)
