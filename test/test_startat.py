"""
Tests for C{--start-at}: a run that begins at a time of day.
"""

from __future__ import annotations

import os
import signal
import time
from datetime import UTC, datetime, timedelta

from commandlines import CommandTestCase
from subprocesses import loadAndReport, reported, smtpsource
from twisted.internet.defer import inlineCallbacks
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from smtpsource import SinkPlan, SourcePlan
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
    def test_begins(self):
        """
        The run begins then: nothing is sent, and nothing measured, before.
        """
        at = datetime.now(UTC) + timedelta(seconds=3)
        result, report = yield loadAndReport(self, "--start-at", at.isoformat(), "-m", "5", "sink:")
        self.assertEqual((result.status, report["messages"]["accepted"]), (0, 5), result)
        self.assertGreaterEqual(datetime.fromisoformat(report["started"]) + timedelta(milliseconds=1), at)
        self.assertGreaterEqual(result.seconds - report["elapsed"], 1.0)  # what was waited is no part of it

    @inlineCallbacks
    def test_workers(self):
        """
        So does one of several workers, who are ready by then.
        """
        at = datetime.now(UTC) + timedelta(seconds=5)
        options = ("--start-at", at.isoformat(), "--workers", "2", "-s", "2", "-m", "50")
        result, report = yield loadAndReport(self, *options, "sink:")
        self.assertEqual((result.status, report["messages"]["accepted"]), (0, 50), result)
        self.assertGreaterEqual(datetime.fromisoformat(report["started"]) + timedelta(milliseconds=25), at)
        self.assertGreaterEqual(result.seconds - report["elapsed"], 2.0)

    @inlineCallbacks
    def test_workerIsLost(self):
        """
        While it is waited for a worker may be lost: if it was the last, nobody waits any longer.
        """
        server = self.serve()
        at = f"@{time.time() + 3600:.0f}"
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
        for child in command.children():
            os.kill(child, signal.SIGKILL)
        result = yield command.whenEnded()
        report = reported(result.out, result)
        self.assertEqual((result.status, report["messages"]["started"]), (1, 0), result)
        self.assertNoTraceback(result)

    @inlineCallbacks
    def test_stopped(self):
        """
        While it is waited for, that is told; and a signal ends the run in order, with nothing sent.
        """
        server = self.serve()
        at = f"@{time.time() + 3600:.0f}"
        command = smtpsource(self, "--start-at", at, "--live", "on", "--report", "-", "--quiet", server.destination)
        told = yield command.whenPrinted(rb"^.* waiting, begins in (\d+):.*", "err")
        self.assertIn(int(told[1]), (59, 60))
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
