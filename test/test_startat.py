"""
Tests for C{--start-at}: a run that begins at a time of day.
"""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime

from commandlines import CommandTestCase
from subprocesses import reported, smtpsource
from twisted.internet.defer import inlineCallbacks
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from smtpsource import SinkPlan, SourcePlan, SourceService
from smtpsource.pacing.appointment import Appointment
from smtpsource.sink.factory import SinkFactory
from smtpsource.testing import runInMemory
from smtpsource.values import moments


class MomentTests(SynchronousTestCase):
    """
    What users write for a time of day.
    """

    def test_same(self):
        """
        There are several ways to say the same, and none depends on where this machine stands.
        """
        for text in (
            *("2030-01-31T12:00:00Z", "2030-01-31T12:00Z", "2030-01-31 13:00:00+01:00", "20300131T120000Z"),
            *("2030-01-31T06:30:00-05:30", "@1896091200", "@1896091200.0", "2030-01-31T12:00:00.000Z"),
        ):
            self.assertEqual(moments.moment(text), 1896091200.0)

    def test_words(self):
        """
        What can't be used is told in one line that says what would be right.
        """
        for ago, said in ((5, "5.0 s ago"), (600, "10 minutes ago"), (86400, "24 hours ago")):
            self.patch(time, "time", lambda ago=ago: 1000000.0 + ago)
            error = str(self.assertRaises(ValueError, moments.momentToCome, "@1000000"))
            self.assertEqual(error, f"expected a time to come: this was {said}, by the clock of this machine")
        self.assertIn("; this one has no zone", str(self.assertRaises(ValueError, moments.moment, "2030-01-31T12:00")))


class AppointmentTests(SynchronousTestCase):
    """
    Waiting for it.
    """

    def setUp(self):
        self.reactor = Clock()
        # How much the time of day is ahead.
        self.ahead = 1000.0
        self.appointment = Appointment(self.reactor, 1010.0, lambda: self.reactor.seconds() + self.ahead)
        self.late = []

    def wait(self):
        self.appointment.wait().addCallback(self.late.append)

    def test_waits(self):
        """
        It is time when it is, and not before; meanwhile one can see how long that is.
        """
        self.wait()
        self.reactor.pump([0.5] * 19 + [0.375])
        self.assertEqual((self.late, self.appointment.left), ([], 0.125))
        self.reactor.advance(0.125)
        self.assertEqual((self.late, self.appointment.left, self.reactor.getDelayedCalls()), ([0.0], 0.0, []))

    def test_clockIsSet(self):
        """
        The time of day may be set while it is waited for, forward or back: it counts as it is then.
        """
        self.wait()
        self.ahead -= 100
        self.reactor.pump([0.5] * 60)
        self.assertEqual(self.late, [])
        self.ahead += 90
        self.reactor.advance(1)
        self.assertEqual(self.late, [11.0])

    def test_past(self):
        """
        If it is over, nobody waits.
        """
        self.reactor.advance(12)
        self.wait()
        self.assertEqual((self.late, self.reactor.getDelayedCalls()), ([2.0], []))

    def test_brokenOff(self):
        """
        Whoever has no use for it any more does not wait.
        """
        self.wait()
        self.appointment.breakOff()
        self.assertEqual((self.late, self.reactor.getDelayedCalls()), ([0.0], []))
        self.appointment.breakOff()


class StartAtTests(CommandTestCase):
    """
    Runs.
    """

    def test_past(self):
        """
        For a program, a time that is over is now.
        """
        summary = runInMemory(SourcePlan(startAt=1.0), SinkFactory(SinkPlan(), time.perf_counter))
        self.assertEqual((summary.exit, summary.messages.accepted), (0, 1))

    @inlineCallbacks
    def begins(self, soon, **plan):
        """
        A run that is to begin so many seconds from now begins no earlier, and what was waited is no part of it.
        """
        from twisted.internet import reactor

        server, asked = self.serve(), time.perf_counter()
        at = time.time() + soon
        service = SourceService(reactor, SourcePlan(destination=server.destination, startAt=at, **plan))
        service.startService()
        summary = yield service.whenDone()
        lasted = time.perf_counter() - asked
        self.assertEqual((summary.exit, summary.messages.accepted), (0, plan["messageCount"]), summary)
        # Workers are told some milliseconds before.
        self.assertGreaterEqual(datetime.fromisoformat(summary.started).timestamp(), at - 0.025)
        self.assertGreaterEqual(lasted - summary.elapsed, soon - 0.025)

    @inlineCallbacks
    def test_begins(self):
        """
        The run begins then: nothing is sent, and nothing measured, before.
        """
        yield self.begins(0.5, messageCount=5)

    @inlineCallbacks
    def test_workers(self):
        """
        So does one of several workers, who are ready by then.
        """
        yield self.begins(3.0, messageCount=50, sessionCount=2, workers=2)

    @inlineCallbacks
    def test_workerIsLost(self):
        """
        While it is waited for a worker may be lost: then there is no run of less than was asked for.
        """
        server = self.serve()
        at = f"@{time.time() + 3500:.0f}"
        options = (
            "--start-at",
            at,
            "--workers",
            "2",
            "-s",
            "2",
            "-m",
            "50",
            "--live",
            "on",
            "--report",
            "-",
            "--quiet",
        )
        command = smtpsource(self, *options, server.destination)
        yield command.whenPrinted(rb"waiting, begins in", "err")
        os.kill(command.children()[0], signal.SIGKILL)
        result = yield command.whenEnded()
        report = reported(result.out, result)
        self.assertEqual((result.status, report["ended"], report["messages"]["started"]), (1, "aborted", 0), result)
        self.assertRegex(report["reason"], r"^worker [12] of 2 was killed by SIGKILL$")
        self.assertNoTraceback(result)

    @inlineCallbacks
    def test_stopped(self):
        """
        While it is waited for, that is told; and a signal ends the run in order, with nothing sent.
        """
        server = self.serve()
        at = f"@{time.time() + 3500:.0f}"
        command = smtpsource(self, "--start-at", at, "--live", "on", "--report", "-", "--quiet", server.destination)
        told = yield command.whenPrinted(rb"^.* waiting, begins in (\d+):.*", "err")
        self.assertIn(int(told[1]), range(50, 59))
        command.signal(signal.SIGTERM)
        result = yield command.whenEnded()
        report = reported(result.out, result)
        self.assertEqual((result.status, report["ended"], report["messages"]["started"]), (1, "signal", 0))
        self.assertEqual(server.connections, [])
        self.assertNoTraceback(result)

    @inlineCallbacks
    def test_refused(self):
        """
        On a command line, it must be a time to come.
        """
        result = yield smtpsource(self, "--start-at", "2020-01-01T00:00Z", "sink:").whenEnded()
        self.assertEqual(result.status, 2)
        self.assertOneLine(
            result.err, b"smtpsource: --start-at: '2020-01-01T00:00Z' is not usable: expected a time to come"
        )
