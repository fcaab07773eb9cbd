"""
Tests for L{smtpsource.load.watch}.
"""

from __future__ import annotations

from types import SimpleNamespace

from slowserver import SlowFactory
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.load import watch
from smtpsource.load.service import SourceService
from smtpsource.load.workerswatch import WorkersWatch
from smtpsource.measure.frame import Frames
from smtpsource.measure.judgement import Delivered
from smtpsource.measure.recorder import Recorder
from smtpsource.measure.snapshot import take
from smtpsource.phases import DELIVERY
from smtpsource.plan import SourcePlan
from smtpsource.testing import FakeReactor, runInMemory


class WorkersWatchTests(SynchronousTestCase):
    """
    L{WorkersWatch}: the same for a run of several workers.
    """

    def test_deliveries(self):
        """
        How long deliveries took is known by this process: of all that it has measured nothing is missing from the
        series, be it of the load, after it, or in between.
        """
        clock, recorder = Clock(), Recorder()
        run = SimpleNamespace(
            recorder=recorder,
            clock=clock.seconds,
            endedAt=lambda: 1.5,
            scheduledMessages=lambda: None,
            scheduledSeconds=lambda: None,
            guarded=lambda call, *arguments: call(*arguments),
        )
        followed = WorkersWatch(clock, run, keepBuckets=True, delivered=lambda: Delivered(4, 4, 4, 4))
        followed.start(0.0)
        kept = []
        self.patch(
            followed.series.intervals,
            "add",
            lambda begin, seconds, tag, buckets: kept.append((begin, sum(buckets.values()))),
        )
        beside = Frames(Recorder())
        for at in (1.0, 1.5):
            clock.advance(at - clock.seconds())
            recorder.duration(DELIVERY, 0.01)
            run.whenSecond(beside.cut(take(Recorder(), at, None)))
        clock.advance(0.25)
        recorder.duration(DELIVERY, 0.02)
        load = followed.finish()
        recorder.duration(DELIVERY, 0.03)
        followed.goOn(load)
        clock.advance(1)
        recorder.duration(DELIVERY, 0.04)
        clock.advance(0.125)
        followed.finish()
        self.assertEqual(kept, [(0.0, 1), (1.0, 1), (1.5, 2), (2.75, 1)])
        self.assertEqual(sum(sample.seconds for sample in followed.series.samples), 2.875)
        self.assertEqual(clock.getDelayedCalls(), [])


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

    def test_wholeSeconds(self):
        """
        A sample ends at each whole second, however often the reactor is a little late: also after it was held up.
        """
        reactor = FakeReactor()
        reactor.server = SlowFactory(reactor, 10.0)
        plan = SourcePlan(destination="127.0.0.1:25", messageCount=80, keepConnections=True)
        service = SourceService(reactor, plan, clock=reactor.seconds)
        service.startService()
        reactor.pump([0.007] * 500)
        reactor.standStill(1.4)
        reactor.pump([0.007] * 700)
        summary = self.successResultOf(service.whenDone())
        self.assertEqual([round(sample.time, 1) for sample in summary.series[:7]], [1.0, 2.0, 3.0, 4.9, 6.0, 7.0, 8.0])
        for sample in (*summary.series[:3], *summary.series[4:7]):
            self.assertApproximates(sample.time, round(sample.time), 0.02)
        self.assertApproximates(sum(sample.seconds for sample in summary.series), summary.elapsed, 1e-6)

    def test_frames(self):
        """
        Who wants frames gets them: added up they are all that was counted, and the last one says so. When the recorder
        begins anew, so do they.
        """
        reactor = FakeReactor()
        reactor.server = SlowFactory(reactor, 100.0)
        plan = SourcePlan(destination="127.0.0.1:25", messageCount=300, sessionCount=3, keepConnections=True)
        service = SourceService(reactor, plan, clock=reactor.seconds)
        frames = []
        beside = watch.Watch(reactor, service._run, whenCut=frames.append)
        service.startService()
        reactor.pump([0.01])
        service._watch.stop()
        beside.start(reactor.seconds())
        reactor.pump([0.01] * 150)
        beside.finish()
        self.assertEqual(frames[-1].gauges, {"sessions": 3, "inFlight": 3, "ofWarmUp": 0})
        before = self.addedUp(frames)
        self.assertEqual((before.started, before.inFlight), (service.recorder.started, 3))
        service.recorder.restart()
        beside.start(reactor.seconds())
        reactor.pump([0.01] * 250)
        self.successResultOf(service.whenDone())
        beside.finish(last=True)
        self.assertEqual([frame.number for frame in frames], list(range(len(frames))))
        self.assertEqual([frame.epoch for frame in frames], sorted(frame.epoch for frame in frames))
        self.assertEqual([frame.last for frame in frames], [False] * (len(frames) - 1) + [True])
        after = [frame for frame in frames if frame.epoch == 1]
        self.assertApproximates(after[0].at, 1.0, 0.02)
        found = self.addedUp(after)
        self.assertEqual(found.copy(), service.recorder.copy())
        self.assertEqual(found.replies, service.recorder.replies)
        self.assertEqual(found.accepted + before.accepted, 300)
        self.assertEqual([sum(counts) for counts in found.buckets], [sum(c) for c in service.recorder.buckets])
        self.assertEqual(reactor.getDelayedCalls(), [])

    def addedUp(self, frames):
        """
        @return: a recorder that counted all of them.
        """
        recorder = Recorder()
        for frame in frames:
            frame.addTo(recorder)
        return recorder

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
