"""
A server that can't be connected to for a while, under C{-A}: sessions wait, and so do messages.
"""

from __future__ import annotations

import signal

from conversations import ACCEPTING, GREETING
from peers import freePort
from recording import RecordingServer
from sessions import Going, Server, SessionCase
from slowserver import SlowFactory
from subprocesses import reported, smtpsource
from twisted.internet import defer
from twisted.internet.error import ConnectionLost
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource.load import session as module
from smtpsource.load.service import SourceService
from smtpsource.plan import SourcePlan
from smtpsource.testing import FakeReactor


class SessionTests(SessionCase):
    """
    One session, that waits for one second, then for two, and so on.
    """

    def setUp(self):
        self.patch(module, "sessionDelay", lambda failures: failures + 1.0)

    def beginAndLose(self, **plan):
        """
        A session whose server goes away in its first message, and does not take the connection for the second.
        """
        self.begin(tolerant=True, **{"messageCount": 9, **plan})
        self.accept(*GREETING)
        self.wire.drop(ConnectionLost())
        self.reactor.attempts[0].refuse()
        self.assertEqual(self.counts(), (2, 0, 0, 2))

    def test_waits(self):
        """
        Attempts come less and less often, and cost no message: it is started when there is a connection for it.
        """
        self.beginAndLose()
        for seconds in (1, 2, 3, 4):
            self.reactor.advance(seconds - 0.1)
            self.assertEqual(len(self.reactor.attempts), 0)
            self.reactor.advance(0.1)
            self.assertEqual(len(self.reactor.attempts), 1)
            self.reactor.attempts[0].refuse()
        self.assertEqual(self.counts(), (2, 0, 0, 2))
        self.reactor.advance(5)
        self.accept(*GREETING, *ACCEPTING)
        self.assertEqual(self.counts(), (3, 1, 0, 2))
        self.assertEqual(self.recorder.errors, {"connection-reset": 1, "connect-refused": 5})

    def test_success(self):
        """
        A connection ends that: the next failure waits as the first did.
        """
        self.beginAndLose()
        for seconds in (1, 2):
            self.reactor.advance(seconds)
            if seconds == 1:
                self.reactor.attempts[0].refuse()
        self.accept(*GREETING)
        self.wire.drop(ConnectionLost())
        self.reactor.attempts[0].refuse()
        self.reactor.advance(0.9)
        self.assertEqual(len(self.reactor.attempts), 0)
        self.reactor.advance(0.1)
        self.assertEqual(len(self.reactor.attempts), 1)

    def test_forLong(self):
        """
        A server that does not come back: in the end nothing is waited for, and all messages that are left have failed.
        """
        self.beginAndLose()
        for seconds in range(1, 18):
            self.assertEqual(self.counts(), (2, 0, 0, 2))
            self.reactor.advance(seconds)
            self.reactor.attempts[0].refuse()
        while self.reactor.attempts:
            self.reactor.attempts[0].refuse()
        self.assertEqual((self.ended, self.counts(), self.reactor.getDelayedCalls()), ([1], (9, 0, 0, 9), []))

    def test_duration(self):
        """
        With an end in time it is waited for as long.
        """
        self.beginAndLose(messageCount=None, duration=1000.0)
        for seconds in range(1, 40):
            self.reactor.advance(seconds)
            self.reactor.attempts[0].refuse()
        self.assertEqual(self.counts(), (2, 0, 0, 2))

    def test_never(self):
        """
        Where nobody has ever answered, each attempt has a message, which waits with the others before it.
        """
        self.begin(tolerant=True, messageCount=3)
        self.reactor.attempts[0].refuse()
        self.reactor.advance(0.9)
        self.assertEqual((self.counts(), len(self.reactor.attempts)), ((1, 0, 0, 1), 0))
        self.reactor.advance(0.1)
        self.assertEqual((self.counts(), len(self.reactor.attempts)), ((2, 0, 0, 1), 1))
        self.reactor.attempts[0].refuse()
        self.reactor.advance(2)
        self.reactor.attempts[0].refuse()
        self.assertEqual((self.ended, self.counts()), ([1], (3, 0, 0, 3)))

    def test_pause(self):
        """
        The wait is at least as long as the pause between two messages.
        """
        self.begin(tolerant=True, messageCount=3, fixedInterval=5.0)
        self.reactor.attempts[0].refuse()
        self.reactor.advance(4.9)
        self.assertEqual(len(self.reactor.attempts), 0)
        self.reactor.advance(0.1)
        self.assertEqual(len(self.reactor.attempts), 1)

    def test_notTolerant(self):
        """
        Without -A the first refused connection ends the run, as ever.
        """
        self.begin(messageCount=3)
        self.reactor.attempts[0].refuse()
        self.reactor.advance(0)
        self.assertEqual((self.ended, self.counts()), ([1], (1, 0, 0, 1)))

    def test_ended(self):
        """
        Whatever ends a run ends the wait at once, and the attempt that has no message; that one is no error.
        """
        for method in ("drain", "expire", "abort"):
            for seconds in (0.5, 1.5):
                self.beginAndLose()
                self.reactor.advance(seconds)
                getattr(self.run_, method)()
                self.reactor.advance(0)
                self.assertEqual((self.ended, self.counts()), ([1], (2, 0, 0, 2)), (method, seconds))
                self.assertEqual(self.recorder.errors, {"connection-reset": 1, "connect-refused": 1})
                self.assertEqual((list(self.reactor.attempts), self.reactor.getDelayedCalls()), ([], []))

    def test_endedWithMessage(self):
        """
        The attempt that has one goes on when time is over, as any.
        """
        self.begin(tolerant=True, messageCount=9)
        self.reactor.attempts[0].refuse()
        self.reactor.advance(1)
        self.run_.expire()
        self.reactor.advance(0)
        self.assertEqual((self.ended, self.counts(), len(self.reactor.attempts)), ([], (2, 0, 0, 1), 1))
        self.accept(*GREETING, *ACCEPTING, b"221 bye\r\n")
        self.assertEqual((self.ended, self.counts()), ([1], (2, 1, 0, 1)))


class RunTests(SynchronousTestCase):
    """
    Many sessions.
    """

    def advance(self, going, seconds, *, refuse, step=0.01):
        """
        Let time pass, in which each attempt is refused, or not answered.
        """
        end = going.reactor.seconds() + seconds
        while going.reactor.seconds() < end and not going.ended:
            while refuse and going.reactor.attempts:
                going.reactor.attempts[0].refuse()
            going.reactor.advance(step)

    def restarted(self, seconds, **plan):
        """
        A run whose server is gone for so long.
        """
        server = Server()
        plan = {"messageCount": 50_000, "sessionCount": 20, "keepConnections": True, "fixedInterval": 0.1, **plan}
        going = Going(server, tolerant=True, **plan)
        going.reactor.advance(1)
        going.reactor.server = None
        for connection in server.connections:
            connection.transport.abortConnection()
        self.advance(going, seconds, refuse=True)
        going.reactor.server = server
        going.reactor.advance(3)
        self.assertGreater(going.recorder.accepted, 20 * 20)
        return going

    def test_restart(self):
        """
        A restart costs each session the message that is on its way, and the one with which it finds out; however long
        it takes, up to some twenty seconds.
        """
        for seconds, keep in ((0.5, True), (1.0, False), (12.0, True)):
            going = self.restarted(seconds, keepConnections=keep)
            self.assertLessEqual(going.recorder.failed, 2 * 20)
            going.run.drain()
            going.reactor.advance(1)
            self.assertEqual(going.ended, [1])
            started, accepted, rejected, failed = going.counts()
            self.assertEqual(started, accepted + rejected + failed)

    def test_attempts(self):
        """
        There are no more than a few attempts in a second.
        """
        going = self.restarted(12.0)
        self.assertLess(going.recorder.connectionsFailed, 20 * 14)

    def test_othersTakeTheRest(self):
        """
        When others have taken the last message, those that wait for a connection don't keep the run.
        """
        for seconds in (0.15, 1.0):
            server = Server()
            plan = {"messageCount": 40, "sessionCount": 2, "keepConnections": True, "fixedInterval": 0.1}
            going = Going(server, tolerant=True, **plan)
            going.reactor.advance(0.05)
            going.reactor.server = None
            server.connections[0].transport.abortConnection()
            self.advance(going, seconds, refuse=True)
            # From now on nobody answers: an attempt would take half a minute.
            self.advance(going, 8, refuse=False)
            self.assertEqual((going.ended, going.counts()), ([1], (40, 39, 0, 1)))
            self.assertEqual(going.reactor.getDelayedCalls(), [])

    def test_nobody(self):
        """
        There is no server at all: a run with a number of messages ends after some time, when all of them have failed;
        one with a duration lasts as long as it should.
        """
        going = Going(messageCount=5_000, sessionCount=20, tolerant=True)
        self.advance(going, 600, refuse=True)
        self.assertTrue(10 < going.reactor.seconds() < 30, going.reactor.seconds())
        self.assertEqual((going.counts(), going.run.reason), ((5000, 0, 0, 5000), None))
        going = Going(duration=100.0, sessionCount=20, tolerant=True)
        self.advance(going, 600, refuse=True)
        self.assertApproximates(going.reactor.seconds(), 100, 0.1)
        self.assertLess(going.recorder.failed, 20 * 110)

    def test_fewMessages(self):
        """
        With a few messages for each session all of them are tried, soon.
        """
        going = Going(messageCount=50, sessionCount=10, tolerant=True)
        self.advance(going, 600, refuse=True)
        self.assertLess(going.reactor.seconds(), 3)
        self.assertEqual((going.counts(), going.run.reason), ((50, 0, 0, 50), None))

    def test_neverBack(self):
        """
        The same if it goes away for good.
        """
        server = Server()
        plan = {"messageCount": 5_000, "sessionCount": 5, "keepConnections": True, "fixedInterval": 0.1}
        going = Going(server, tolerant=True, **plan)
        going.reactor.advance(1)
        going.run.pause = None
        going.reactor.server = None
        for connection in server.connections:
            connection.transport.abortConnection()
        self.advance(going, 600, refuse=True)
        self.assertTrue(10 < going.reactor.seconds() < 30, going.reactor.seconds())
        started, accepted, rejected, failed = going.counts()
        self.assertEqual((started, rejected, failed, going.run.reason), (5000, 0, 5000 - accepted, None))

    def test_lastOnes(self):
        """
        When nothing is waited for any more, and the last messages wait for a connection, each has its outcome.
        """
        for refused in (True, False):
            going = Going(messageCount=200, sessionCount=4, tolerant=True)
            # Somebody has answered, once.
            going.reactor.attempts[0].accept()[1].drop(ConnectionLost())
            while going.recorder.started < 200:
                while going.reactor.attempts and going.recorder.started < 200:
                    going.reactor.attempts[0].refuse()
                going.reactor.advance(0.5)
            # The pool is empty, and has told so; attempts are under way.
            self.assertTrue(going.reactor.attempts)
            while going.reactor.attempts and refused:
                going.reactor.attempts[0].refuse()
            going.finish()
            self.assertEqual(going.counts(), (200, 0, 0, 200))

    def test_oneIsEnough(self):
        """
        A server that takes only one connection: the other sessions wait for as long as there is one.
        """
        server = Server()
        going = Going(server, messageCount=3000, sessionCount=5, keepConnections=True, tolerant=True, fixedInterval=0.1)
        going.reactor.server = None
        going.reactor.acceptFrom, accept = (lambda attempt: None), going.reactor.acceptFrom
        going.reactor.server = server
        accept(going.reactor.attempts[0])
        going.reactor.server = None
        self.advance(going, 3600, refuse=True, step=0.5)
        self.assertEqual(going.recorder.started, 3000)
        self.assertLess(going.recorder.failed, 5 * 40)


class ScheduleTests(SynchronousTestCase):
    """
    The same where a schedule says what is wanted.
    """

    def run_(self, gone, **plan):
        """
        A run whose server is gone for a while after the first second.

        @param gone: for how long.
        """
        reactor = FakeReactor()
        server = SlowFactory(reactor, 10_000)
        connections = []
        build = server.buildProtocol

        def remembering(address):
            connections.append(build(address))
            return connections[-1]

        server.buildProtocol = remembering
        reactor.server = server
        plan = SourcePlan(destination="127.0.0.1:25", sessionCount=10, keepConnections=True, tolerant=True, **plan)
        service = SourceService(reactor, plan, clock=reactor.seconds)
        service.startService()
        done = service.whenDone()
        reactor.advance(1)
        reactor.server = None
        for connection in connections:
            connection.transport.abortConnection()
        end = reactor.seconds() + gone
        while reactor.seconds() < end:
            while reactor.attempts:
                reactor.attempts[0].refuse()
            reactor.advance(0.01)
        reactor.server = server
        reactor.advance(60)
        self.assertEqual(reactor.getDelayedCalls(), [])
        return self.successResultOf(done)

    def test_openLoop(self):
        """
        Messages wait for the server, and are late; hardly any fails.
        """
        summary = self.run_(3.0, rate=100.0, duration=10.0)
        self.assertEqual(summary.messages.started, 1000)
        self.assertLessEqual(summary.messages.failed, 2 * 10)
        self.assertGreater(summary.late, 200)
        # Nobody says that it was this process that could not keep up.
        self.assertEqual((summary.exhausted, summary.limits), (10, ()))

    def test_stages(self):
        """
        Sessions that come and go.
        """
        summary = self.run_(
            3.0, stages=((0.0, 5.0), (4.0, 5.0), (2.0, 10.0), (4.0, 0.0)), stagesOf="sessions", fixedInterval=0.05
        )
        self.assertLessEqual(summary.messages.failed, 2 * 10)
        self.assertGreater(summary.messages.accepted, 300)
        self.assertApproximates(summary.elapsed, 10.0, 0.1)


class ProcessTests(TestCase):
    """
    The command, and a server that is down for a second.
    """

    timeout = 180

    @defer.inlineCallbacks
    def test_restart(self):
        """
        It costs no more messages than each session has on its way and at hand.
        """
        from twisted.internet import reactor

        server = RecordingServer()
        self.addCleanup(server.stop)
        port = freePort()
        server._port = reactor.listenTCP(port, server, interface="127.0.0.1")
        arguments = ["-A", "-s", "10", "-d", "-w", "0.02", "-m", "1000", "--quiet", "--report", "report"]
        command = smtpsource(self, *arguments, f"127.0.0.1:{port}")
        yield server.when(lambda: len(server.messages) >= 100)
        yield server._port.stopListening()
        for connection in server.connections:
            connection.transport.abortConnection()
        yield deferLater(reactor, 1.0)
        server._port = reactor.listenTCP(port, server, interface="127.0.0.1")
        yield command.whenEnded()
        report = reported((command.directory / "report").read_bytes())
        self.assertEqual(report["messages"]["started"], 1000)
        self.assertLessEqual(report["messages"]["failed"], 20, report)
        self.assertTrue(10 <= report["connections"]["failed"] <= 10 * 12, report["connections"])

    @defer.inlineCallbacks
    def test_terminated(self):
        """
        SIGTERM while all sessions wait ends the run.
        """
        arguments = ["-A", "-s", "10", "--duration", "600s", "-c", "--report", "report", f"127.0.0.1:{freePort()}"]
        command = smtpsource(self, *arguments)
        # After two seconds, most of them wait for long.
        yield command.whenPrinted(rb"^0\n0\n")
        command.signal(signal.SIGTERM)
        yield command.whenEnded()
        report = reported((command.directory / "report").read_bytes())
        self.assertEqual((report["ended"], list(report["errors"])), ("signal", ["connect-refused"]))
