"""
Tests for L{smtpsource.net.patience}, and for all that it is for: nobody else is blamed because this process stood
still.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from unittest import mock

from conversations import ACCEPTING, GREETING
from hypothesis import HealthCheck
from hypothesis import strategies as st
from peers import eventually
from properties import given, settings
from recording import Delay, RecordingServer
from sessions import Going
from subprocesses import processes, reported, smtpsink, smtpsource
from twisted.internet import defer, protocol, threads
from twisted.internet.address import IPv4Address
from twisted.internet.error import AlreadyCalled
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource.net.destination import TCPAddress
from smtpsource.net.lean.connectors import ConnectTimeouts
from smtpsource.net.patience import Deadline, Standstills
from smtpsource.net.reconnecting import ReconnectingConnector
from smtpsource.net.route import ConnectQueue, Route
from smtpsource.sink.plan import SinkPlan
from smtpsource.sink.service import SinkService
from smtpsource.testing import FakeReactor
from smtpsource.tools.runs import Runs


class DeadlineTests(SynchronousTestCase):
    """
    L{Deadline}.
    """

    def setUp(self):
        self.reactor = FakeReactor()
        self.called = []

    def begin(self, seconds=10.0):
        return Deadline(self.reactor, seconds, lambda: self.called.append(self.reactor.seconds()))

    def test_inTime(self):
        """
        It is called when it is time, in a turn after that which finds that out.
        """
        deadline = self.begin()
        self.reactor.advance(9.9)
        self.assertTrue(deadline.active())
        Clock.advance(self.reactor, 0.1)
        self.assertEqual((self.called, deadline.active()), ([10.0], False))
        self.assertRaises(AlreadyCalled, deadline.cancel)

    def test_nextTurn(self):
        """
        What the reactor has to read is read before.
        """
        turns = []
        self.begin(1.0)
        self.reactor.callLater(1.0, turns.append, "same turn")
        self.reactor.callLater(1.0, lambda: self.reactor.callLater(0, turns.append, "read"))
        self.reactor.callLater(1.0, lambda: turns.append(len(self.called)))
        self.reactor.advance(1.0)
        self.assertEqual(turns, ["same turn", 0, "read"])

    def test_standstill(self):
        """
        Time in which this process stood still at the end comes again; the time asked for is at most doubled.
        """
        for lost, end in ((4.0, 9 + 4 + 3.0), (100.0, 9 + 100 + 10.0)):
            reactor = self.reactor = FakeReactor()
            self.called = []
            self.begin()
            reactor.advance(9)
            reactor.standStill(lost)
            reactor.advance(60)
            self.assertEqual(self.called, [end])

    def test_again(self):
        """
        However often it stands still, there is an end.
        """
        self.begin()
        for _ in range(20):
            self.reactor.standStill(5)
            self.reactor.advance(0)
        self.assertEqual(len(self.called), 1)
        self.assertLessEqual(self.called[0], 25.0)

    def test_cancel(self):
        """
        At any time.
        """
        for passed in (0, 5, 12):
            deadline = self.begin()
            self.reactor.standStill(passed)
            self.reactor.advance(0)
            deadline.cancel()
            self.reactor.advance(100)
            self.assertEqual(self.called, [])


class StandstillsTests(SynchronousTestCase):
    """
    L{Standstills}.
    """

    def test_since(self):
        """
        What was lost, for those who have waited all the time and for those who have come later.
        """
        standstills = Standstills(1.0)
        for time in (0, 1, 2.2, 3, 8, 9, 10, 20, 21):
            standstills.look(time)
        found = [standstills.since(time) for time in (0, 2, 7.9, 8, 9.5, 20, 20.5)]
        self.assertEqual(found, [4 + 9, 4 + 9, 4 + 9, 9, 9, 0, 0])

    @settings(suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.integers(1, 2000).map(lambda number: number / 100), max_size=20), st.sampled_from([0.1, 0.5, 1]))
    def test_bounds(self, gaps, interval):
        """
        Never is more lost than there was, and with each look some time counts: whoever is silent is given up some day.
        """
        standstills = Standstills(interval)
        now = 0.0
        standstills.look(now)
        for gap in gaps:
            before = standstills.since(0.0)
            now += gap
            standstills.look(now)
            self.assertTrue(-1e-6 <= standstills.since(0.0) - before <= max(0.0, gap - interval) + 1e-6)
        self.assertEqual(standstills.since(now), 0.0)

    def test_remembered(self):
        """
        A process that is never in time does not grow; what was lost lately is known.
        """
        standstills = Standstills(1.0)
        for time in range(0, 50_000, 5):
            standstills.look(float(time))
        self.assertLess(len(standstills._ends), 2000)
        self.assertEqual(standstills.since(time - 1000.0), 200 * 4)


class RunTests(SynchronousTestCase):
    """
    A run in memory.
    """

    def going(self, **plan):
        going = Going(timeout=30.0, tolerant=True, **plan)
        going.wire = going.reactor.attempts[0].accept()[1]
        return going

    def test_replyWaits(self):
        """
        The reply has come while this process stood still: it is read before anybody is given up.
        """
        going = self.going(messageCount=1)
        for reply in GREETING:
            going.wire.deliver(reply)
        going.reactor.standStill(100)
        # The timer comes first, as it does on a reactor: what it wants done is done in the next turn.
        going.run._sweep()
        for reply in ACCEPTING:
            going.wire.deliver(reply)
        going.reactor.advance(0)
        self.assertEqual((going.counts(), going.recorder.errors), ((1, 1, 0, 0), {}))

    def test_notItsTime(self):
        """
        What was lost does not count, whatever comes afterwards: the server has its time. Then it is over.
        """
        going = self.going(messageCount=1)
        going.reactor.advance(20)
        going.reactor.standStill(100)
        going.reactor.advance(8)
        self.assertEqual(going.recorder.errors, {})
        going.reactor.advance(3)
        self.assertEqual((going.counts(), going.recorder.errors), ((1, 0, 0, 1), {"timeout": 1}))

    def test_grace(self):
        """
        The grace period as well.
        """
        going = self.going(messageCount=1, grace=5.0)
        for reply in GREETING:
            going.wire.deliver(reply)
        going.run.drain()
        going.reactor.advance(1)
        going.reactor.standStill(100)
        going.reactor.advance(1)
        for reply in ACCEPTING:
            going.wire.deliver(reply)
        going.wire.deliver(b"221 bye\r\n")
        going.reactor.advance(0)
        self.assertEqual((going.ended, going.counts(), going.recorder.errors), ([1], (1, 1, 0, 0), {}))


class SinkTests(SynchronousTestCase):
    """
    A sink in memory.
    """

    def start(self, **plan):
        self.reactor = FakeReactor()
        self.service = SinkService(self.reactor, SinkPlan(**plan))
        self.service.startService()
        self.transport = StringTransport()
        self.transport.abortConnection = self.transport.loseConnection
        self.client = self.reactor.tcpServers[0][1].buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        self.client.makeConnection(self.transport)
        self.transport.clear()

    def test_idle(self):
        """
        A client that has spoken while the sink stood still was not idle; another has its time.
        """
        self.start(idleTimeout=30.0)
        self.reactor.advance(20)
        self.reactor.standStill(100)
        self.reactor.advance(5)
        self.assertEqual(self.transport.value(), b"")
        self.client.dataReceived(b"NOOP\r\n")
        self.transport.clear()
        self.reactor.advance(29)
        self.assertEqual(self.transport.value(), b"")
        self.reactor.advance(3)
        self.assertEqual(self.transport.value()[:3], b"421")

    def test_spoken(self):
        """
        What has come is read first.
        """
        self.start(idleTimeout=30.0)
        self.reactor.advance(29.5)
        self.service._sweepSoon()
        self.reactor.standStill(5)
        self.service._sweepSoon()
        self.client.dataReceived(b"NOOP\r\n")
        self.reactor.advance(1)
        self.assertEqual(self.transport.value()[:3], b"250")

    def test_grace(self):
        """
        Who is in a transaction when the sink is told to end has the time to complete it.
        """
        self.start(grace=5.0)
        self.client.dataReceived(b"EHLO x\r\nMAIL FROM:<>\r\n")
        done = self.service.finish()
        self.reactor.advance(4)
        self.reactor.standStill(100)
        self.reactor.advance(3)
        self.assertNoResult(done)
        self.assertFalse(self.transport.disconnecting)
        self.reactor.advance(10)
        self.successResultOf(done)


class ConnectingTests(SynchronousTestCase):
    """
    Timeouts for connecting.
    """

    class Connector:
        state = "connecting"
        failed = False

        def __init__(self):
            self.transport = self

        def failIfNotConnected(self, reason):
            self.failed = True
            self.state = "disconnected"

    def test_ours(self):
        """
        On our reactor: time that was lost is given again, but not for ever.
        """
        timeouts, one, other = ConnectTimeouts(), self.Connector(), self.Connector()
        timeouts.add(one, 30, 100)
        timeouts.expire(150)
        timeouts.add(other, 30, 150)
        timeouts.expire(169)
        self.assertEqual((one.failed, other.failed), (False, False))
        timeouts.expire(171)
        self.assertEqual((one.failed, other.failed), (True, False))
        timeouts.expire(180)
        self.assertTrue(other.failed)
        self.assertIsNone(timeouts.due)

    def test_order(self):
        """
        Those who begin afterwards are not kept waiting by those who have waited before.
        """
        timeouts, one, other, new = ConnectTimeouts(), self.Connector(), self.Connector(), self.Connector()
        timeouts.add(one, 30, 100)
        timeouts.add(other, 30, 129)
        timeouts.expire(150)
        timeouts.add(new, 30, 150)
        timeouts.expire(151)
        self.assertEqual(timeouts.due, 170)
        timeouts.expire(171)
        self.assertEqual((one.failed, other.failed, new.failed, timeouts.due), (True, False, False, 180))
        timeouts.expire(180)
        self.assertTrue(other.failed and new.failed)

    def test_heldUpForEver(self):
        """
        A process that is never in time gives up all the same.
        """
        timeouts, one = ConnectTimeouts(), self.Connector()
        timeouts.add(one, 30, 100)
        now = 100
        while not one.failed:
            now += 7
            if timeouts.due <= now:
                timeouts.expire(now)
            self.assertLess(now, 200)

    def test_others(self):
        """
        On another reactor it is ours to give up, when it has looked whether there was an answer.
        """
        reactor = SelectReactor()
        told = []
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(0)
            waiting = []
            for _ in range(4):
                waiting.append(socket.socket())
                self.addCleanup(waiting[-1].close)
                waiting[-1].setblocking(False)
                waiting[-1].connect_ex(deaf.getsockname())
            connector = ReconnectingConnector(
                reactor,
                Route([TCPAddress(*deaf.getsockname())]),
                ConnectQueue(1),
                reactor.seconds,
                protocol.Protocol,
                lambda: told.append("failed"),
                lambda kind, text: told.append(kind),
                lambda: told.append("closed"),
                timeout=0.1,
            )
            connector.connect()
            begun = reactor.seconds()
            while not told and reactor.seconds() - begun < 60:
                reactor.iterate(0.01)
        self.assertEqual(told, ["failed", "connect-timeout"])
        self.assertEqual(reactor.getDelayedCalls(), [])
        for descriptor in reactor.removeAll():
            descriptor.connectionLost(None)


class ToolTests(SynchronousTestCase):
    """
    A tool that waits for a run of its own.
    """

    def run_(self, program, patience):
        return Runs()._run([sys.executable, "-c", program], patience)

    def test_standstill(self):
        """
        It waits for so many seconds in which it could have seen the end, whatever the clock says when it goes on.
        """
        expired = [subprocess.TimeoutExpired([], 1.0)] * 9

        def communicate(child, timeout):
            if expired:
                raise expired.pop()  # however long that took
            return real(child, timeout=60)

        real = subprocess.Popen.communicate
        with mock.patch("subprocess.Popen.communicate", communicate):
            self.assertEqual(self.run_("print('found')", 10.0), ("found\n", "", 0))

    def test_tooLong(self):
        """
        A run that takes longer is killed.
        """
        self.assertRaises(subprocess.TimeoutExpired, self.run_, "import time; time.sleep(600)", 0.2)


class ProcessTests(TestCase):
    """
    Our commands, stopped by SIGSTOP.
    """

    timeout = 180

    @defer.inlineCallbacks
    def stopped(self, command, seconds):
        """
        Stop a process for so long.
        """
        from twisted.internet import reactor

        os.kill(command.pid, signal.SIGSTOP)
        yield eventually(lambda: processes()[command.pid][1] == "T", "the process to stand still", 60)
        yield deferLater(reactor, seconds)
        os.kill(command.pid, signal.SIGCONT)

    @defer.inlineCallbacks
    def source(self, *arguments):
        server = RecordingServer({"MAIL": (Delay(0.5), None)})
        self.addCleanup(server.stop)
        server.listen("inet")
        arguments = ["-A", "-s", "5", "-m", "10", "--timeout", "3", "--quiet", "--report", "report", *arguments]
        command = smtpsource(self, *arguments, server.destination)
        yield server.when(lambda: server.count("MAIL") >= 5)
        yield self.stopped(command, 5)
        yield command.whenEnded()
        report = reported((command.directory / "report").read_bytes())
        self.assertEqual((report["messages"]["accepted"], report["errors"]), (10, {}), arguments)

    def test_source(self):
        """
        A run that stands still for longer than its timeout, while the server answers in time: on our reactor; on
        another with pipelining; on asyncio's event loop in an open loop.
        """
        kinds = (
            ["-d"],
            ["--reactor", "epoll", "-d", "--pipelining", "force"],
            ["--reactor", "asyncio", "--rate", "1000"],
        )
        return defer.gatherResults([self.source(*kind) for kind in kinds], consumeErrors=True)

    @defer.inlineCallbacks
    def sink(self, *arguments):
        from twisted.internet import reactor

        command = smtpsink(self, *arguments, "-t", "4", "127.0.0.1:0")
        match = yield command.whenPrinted(rb"127\.0\.0\.1:([0-9]+)\n")
        client = socket.create_connection(("127.0.0.1", int(match[1])), timeout=60)
        self.addCleanup(client.close)
        self.assertEqual(client.recv(3), b"220")
        # Silent for a while, but not yet for too long.
        yield deferLater(reactor, 1.5)
        stopped = self.stopped(command, 4)
        client.sendall(b"NOOP\r\n")
        yield stopped
        said = yield threads.deferToThread(lambda: client.makefile("rb").readlines())
        self.assertEqual([line[:3] for line in said[1:]], [b"250", b"421"])
        command.signal(signal.SIGTERM)
        yield command.whenEnded()

    def test_sink(self):
        """
        A client that speaks while the sink stands still is heard; on our reactor, and on another.
        """
        return defer.gatherResults([self.sink(), self.sink("--reactor", "select")], consumeErrors=True)
