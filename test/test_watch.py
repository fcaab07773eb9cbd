"""
Tests for L{smtpsource.load.watch}.
"""

from __future__ import annotations

from slowserver import SlowFactory
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.load import watch
from smtpsource.load.service import SourceService
from smtpsource.plan import SourcePlan
from smtpsource.testing import FakeReactor, runInMemory


class WatchTests(SynchronousTestCase):
    """
    What is seen of a run from beside it.
    """

    def test_series(self):
        """
        A sample a second, without gaps, and they add up to the totals.
        """
        reactor = FakeReactor()
        plan = SourcePlan(messageCount=1000, sessionCount=5, keepConnections=True)
        summary = runInMemory(plan, SlowFactory(reactor, 200.0), reactor=reactor)
        self.assertEqual(summary.messages.accepted, 1000)
        self.assertTrue(5 <= len(summary.series) <= 6, summary.series)
        self.assertApproximates(sum(sample.seconds for sample in summary.series), summary.elapsed, 1e-6)
        for name, total in (
            ("started", 1000),
            ("accepted", 1000),
            ("bytesSent", summary.bytesSent),
            ("bytesReceived", summary.bytesReceived),
        ):
            self.assertEqual(sum(getattr(sample, name) for sample in summary.series), total, name)
        for sample in summary.series[1:4]:
            self.assertApproximates(sample.accepted, 200, 25)
            self.assertApproximates(sample.p50, 0.025, 0.003)

    def test_busy(self):
        """
        A process that has no time left is told from a slow server.
        """
        used = iter(range(1000))
        self.patch(watch, "processTime", lambda: (float(next(used)), 0.0))
        reactor = FakeReactor()
        plan = SourcePlan(messageCount=1000, sessionCount=5, keepConnections=True)
        summary = runInMemory(plan, SlowFactory(reactor, 200.0), reactor=reactor)
        self.assertIn("100% of a processor", summary.limits[0])

    def test_lag(self):
        """
        A reactor that was held up: how long is in the sample of that second, and in a line. Whether it was held up by
        work of its own is told by the CPU time that it used.
        """
        for used, limited in ((0.0, False), (0.6, True)):
            self.heldUp(used, limited)

    def test_lagOfLooking(self):
        """
        A process that is stopped just while it looks has been held up as well: the next look sees it.
        """
        self.patch(watch, "processTime", lambda: (0.0, 0.0))
        reactor = FakeReactor()
        reactor.server = SlowFactory(reactor, 10.0)
        plan = SourcePlan(destination="127.0.0.1:25", messageCount=40, keepConnections=True)
        service = SourceService(reactor, plan, clock=reactor.seconds)
        stops = [0.7]
        self.patch(service._watch, "_whenSampled", lambda snapshot: stops and reactor.standStill(stops.pop()))
        service.startService()
        reactor.pump([0.01] * 600)
        summary = self.successResultOf(service.whenDone())
        self.assertRegex(summary.disturbances[0], "did not run for 6[0-9][0-9] ms")
        self.assertEqual(summary.limits, ())

    def heldUp(self, used, limited):
        """
        A run whose process does nothing else for 0.7 seconds.

        @param used: the CPU seconds that it uses in this time.
        @param limited: is it the generator that was the limit?
        """
        cpu = [0.0]
        self.patch(watch, "processTime", lambda: (cpu[0], 0.0))
        reactor = FakeReactor()
        reactor.server = SlowFactory(reactor, 10.0)
        plan = SourcePlan(destination="127.0.0.1:25", messageCount=40, keepConnections=True)
        service = SourceService(reactor, plan, clock=reactor.seconds)
        service.startService()
        reactor.pump([0.01] * 252)
        cpu[0] += used
        reactor.standStill(0.7)
        reactor.pump([0.01] * 300)
        summary = self.successResultOf(service.whenDone())
        self.assertEqual([round(sample.lag, 1) for sample in summary.series].count(0.6), 1)
        if limited:
            self.assertRegex(summary.limits[0], "held up for 6[0-9][0-9] ms by work of its own")
            self.assertEqual(summary.disturbances, ())
        else:
            self.assertRegex(summary.disturbances[0], "did not run for 6[0-9][0-9] ms")
            self.assertEqual(summary.limits, ())
        self.assertEqual(reactor.getDelayedCalls(), [])
