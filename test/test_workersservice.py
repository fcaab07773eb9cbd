"""
Tests for runs by workers that are none, as a service: from the first that is lost up to the summary.
"""

from __future__ import annotations

import datetime
from itertools import zip_longest

from fakeworkers import FakeWorker, frame
from twisted.trial.unittest import SynchronousTestCase

from smtpsource._version import __version__
from smtpsource.locust.coordinated import LEAD, CoordinatedService
from smtpsource.plan import SourcePlan
from smtpsource.testing import FakeReactor
from smtpsource.workers.band import SILENCE
from smtpsource.workers.wire import Kind


class WorkersServiceTests(SynchronousTestCase):
    """
    L{SourceService<smtpsource.load.service.SourceService>} of several workers. Which ones does not matter to it: here
    they are those that others would have started.
    """

    def begin(self, workers=2, *, goes=True, versions=(), **plan):
        """
        Begin a run, up to its first second.
        """
        self.reactor = FakeReactor()
        self.workers = [FakeWorker() for _ in range(workers)]
        self.service = CoordinatedService(
            *(self.reactor, SourcePlan(destination="127.0.0.1", **{"sessionCount": 6, **plan}), self.workers),
            lambda kind, body: None,
            clock=self.reactor.seconds,
            tell=lambda line: None,
        )
        self.service.startService()
        self.reactor.advance(0)
        for worker, version in zip_longest(self.workers, versions, fillvalue=__version__):
            worker.ready(version=version)
        self.reactor.advance(0.1)
        self.assertEqual([Kind.GO in worker.kinds() for worker in self.workers], [goes] * workers)
        if goes:
            self.reactor.advance(LEAD - 0.1)

    def summary(self):
        """
        @return: that of the run, which is over.
        """
        summary = self.successResultOf(self.service.whenDone())
        counts = summary.messages
        self.assertEqual(counts.started, counts.accepted + counts.rejected + counts.failed)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        return summary

    def test_allLostInWarmUp(self):
        """
        A run whose workers are all lost in its warm-up has measured nothing, and is no pass.
        """
        self.begin(rate=200.0, warmUp=20.0, duration=5.0)
        for number in range(1, 4):
            self.reactor.advance(1)
            for worker in self.workers:
                worker.says(Kind.FRAME, frame(number, 100, 99, asked=100.0, gauges={"overdue": 0}))
        self.reactor.advance(0.5)
        for worker in self.workers:
            worker.dies("was ended by SIGKILL")
        summary = self.summary()
        self.assertEqual((summary.exit, summary.messages.started, len(summary.incomplete)), (1, 0, 2))
        self.assertEqual(summary.errors["worker-lost"].count, 2)
        self.assertEqual((summary.warmUp["seconds"], summary.warmUp["accepted"]), (3.0, 594))
        told = [(one["started"], one["cpu"]["user"]) for one in summary.environment["workers"]]
        self.assertEqual(told, [(0, 0.0), (0, 0.0)])
        # What was on its way, and what they were to start since.
        self.assertGreater(summary.warmUp["failed"], 6)

    def test_lostBeforeItBegins(self):
        """
        One that is lost before the run begins ends it: nothing was sent.
        """
        self.begin(goes=False, rate=1000.0, messageCount=4000, startAt=4e9)
        self.reactor.advance(5)
        self.workers[0].dies("was ended by SIGKILL")
        summary = self.summary()
        self.assertEqual((summary.exit, summary.ended, summary.messages.started), (1, "aborted", 0))
        self.assertEqual(summary.reason, "worker 1 of 2 was ended by SIGKILL")
        self.assertEqual(summary.elapsed, 0.0)
        self.assertEqual(summary.incomplete, (summary.reason,))
        self.assertEqual(summary.errors["worker-lost"].count, 1)
        self.assertTrue(self.workers[1].isGone)

    def test_otherVersion(self):
        """
        Where a worker is of another version there is no run, and both are named.
        """
        self.begin(goes=False, versions=[__version__, "0.0.1"], messageCount=10)
        summary = self.summary()
        expected = f"worker 2 of 2 is of version 0.0.1, and this is {__version__}: expected the same"
        self.assertEqual((summary.exit, summary.reason), (1, expected))
        self.assertEqual(
            ([worker.isGone for worker in self.workers], summary.errors["no-workers"].count), ([True] * 2, 1)
        )

    def test_nothing(self):
        """
        A run that is stopped before it begins, or before anybody has done anything, has taken no time.
        """
        self.begin(goes=False, startAt=4e9, messageCount=9)
        self.reactor.advance(2)
        self.service.stopService()
        summary = self.summary()
        self.assertEqual((summary.exit, summary.ended, summary.elapsed), (1, "signal", 0.0))
        self.begin(messageCount=9)
        self.reactor.advance(2)
        for worker in self.workers:
            worker.dies("was ended by SIGKILL")
        summary = self.summary()
        self.assertEqual((summary.exit, summary.elapsed, summary.rate), (1, 0.0, 0.0))

    def test_stoppedInWarmUp(self):
        """
        A warm-up in which the run was stopped has lasted as long as it did, and nothing was measured.
        """
        self.begin(warmUp=20.0, duration=5.0)
        for number in range(1, 5):
            self.reactor.advance(1)
            for worker in self.workers:
                worker.says(Kind.FRAME, frame(number, 10, 10))
        self.service.stopService()
        for worker, at in zip(self.workers, (4.0625, 4.125), strict=True):
            worker.says(Kind.FRAME, frame(5, 1, 1, at=at))
            worker.says(Kind.FRAME, frame(6, at=0.0, epoch=1, last=True))
            worker.ends(warmUp={"accepted": 41, "rejected": 0, "failed": 0})
        summary = self.summary()
        self.assertEqual((summary.exit, summary.ended, summary.messages.started), (1, "signal", 0))
        self.assertEqual((summary.warmUp["seconds"], summary.warmUp["accepted"]), (4.125, 82))
        self.assertEqual((summary.elapsed, summary.rate), (0.0, 0.0))

    def test_oneLostInWarmUp(self):
        """
        What one has done that is lost in the warm-up is of the warm-up, also of the figures of that worker.
        """
        self.begin(warmUp=1.0, duration=2.0)
        first, second = self.workers
        first.wants(10)
        self.reactor.advance(1)
        first.says(Kind.FRAME, frame(1, 9, 7, gauges={"inFlight": 2}))
        first.dies("was ended by SIGKILL")
        second.says(Kind.FRAME, frame(1, 5, 4, gauges={"inFlight": 1}))
        second.says(Kind.FRAME, frame(2, 3, 3, at=2.0, epoch=1, last=True))
        second.ends(warmUp={"accepted": 4, "rejected": 0, "failed": 0})
        summary = self.summary()
        self.assertEqual((summary.exit, summary.messages.accepted), (1, 3))
        found = {name: summary.warmUp[name] for name in ("seconds", "accepted", "rejected", "failed")}
        # It may have begun all that it was lent.
        self.assertEqual(found, {"seconds": 1.0, "accepted": 11, "rejected": 0, "failed": 3})
        told = [(one["started"], one["accepted"]) for one in summary.environment["workers"]]
        self.assertEqual(told, [(0, 0), (3, 3)])
        self.assertEqual(summary.errors["worker-lost"].count, 1)

    def test_lostAfterWarmUp(self):
        """
        One that is lost before it tells of its first second after the warm-up may have begun all that it was lent for
        that; or, if there is no limit, all that it was lent before and has not begun in it.
        """
        for load, asks, lost in (({"messageCount": 50}, True, None), ({"duration": 9.0}, False, 5)):
            self.begin(warmUp=1.0, **load)
            first, second = self.workers
            self.assertEqual(len(first.wants(12)), 12)
            self.reactor.advance(1)
            first.says(Kind.FRAME, frame(1, 9, 7, gauges={"inFlight": 2}))
            second.says(Kind.FRAME, frame(1, 5, 5, gauges={"inFlight": 0}))
            if asks:
                before = len(first.told)
                first.wants(10, epoch=1)
            second.says(Kind.FRAME, frame(2, 0, 0, at=1.0, epoch=1))
            if asks:
                lost = 2 + len(first.lent(before))
            else:
                first.says(Kind.FRAME, frame(2, 2, 0, at=1.0, epoch=1, gauges={"inFlight": 2}))
            first.dies("was ended by SIGKILL")
            second.says(Kind.FRAME, frame(3, 3, 3, at=2.0, epoch=1, last=True))
            second.ends(warmUp={"accepted": 5, "rejected": 0, "failed": 0})
            summary = self.summary()
            self.assertGreater(lost, 2)
            self.assertEqual((summary.messages.accepted, summary.messages.failed), (3, lost))
            self.assertEqual((summary.warmUp["accepted"], summary.warmUp["failed"]), (12, 0))

    def test_lostAroundItsEnd(self):
        """
        Each lost one is counted once, whether its warm-up was over or not, and whether that of the others was.
        """
        self.begin(3, warmUp=1.0, duration=9.0)
        first, second, third = self.workers
        first.dies("was ended by SIGKILL")
        self.reactor.advance(1)
        second.says(Kind.FRAME, frame(1, 5, 5))
        second.says(Kind.FRAME, frame(2, 5, 5, at=1.0, epoch=1))
        second.dies("was ended by SIGKILL")
        third.says(Kind.FRAME, frame(1, 5, 5))
        third.says(Kind.FRAME, frame(2, 5, 5, at=9.0, epoch=1, last=True))
        third.ends()
        summary = self.summary()
        self.assertEqual((len(summary.incomplete), summary.errors["worker-lost"].count), (2, 2))
        self.assertEqual((summary.exit, summary.messages.accepted), (1, 10))

    def test_hangsInWarmUp(self):
        """
        A worker that hangs in the warm-up does not keep the others from their messages, nor the run from its end, and
        is counted although nobody has waited for it.
        """
        for hasAsked in (False, True):
            lent = 0
            self.begin(messageCount=20, warmUp=1.0)
            first, second = self.workers
            if hasAsked:
                first.wants(10)
            second.wants(10)
            self.reactor.advance(1)
            second.says(Kind.FRAME, frame(1, 10, 10))
            while found := second.wants(100, epoch=1):
                lent += len(found)
            self.assertLess(lent, 20)
            before = len(second.told)
            number = 1
            while first.killed is None and number < 2 * SILENCE:
                number += 1
                second.says(Kind.FRAME, frame(number, at=number - 1.0, epoch=1))
                self.reactor.advance(1)
            # The first of these was asked for before.
            lent += len(second.lent(before))
            while found := second.wants(100, epoch=1):
                lent += len(found)
            self.assertRegex(first.killed, r"was silent for \d+ seconds")
            self.assertEqual(lent, 20)
            second.says(Kind.FRAME, frame(number + 1, 20, 20, at=number + 0.0, epoch=1, last=True))
            second.ends()
            summary = self.summary()
            self.assertEqual((summary.exit, summary.messages.accepted, len(summary.incomplete)), (1, 20, 1))
            self.assertEqual(summary.errors["worker-lost"].count, 1)

    def test_started(self):
        """
        The run has started when its workers began, and not when they were told to.
        """
        before = datetime.datetime.now().astimezone()
        self.begin(messageCount=10)
        for worker in self.workers:
            worker.ends()
        started = datetime.datetime.fromisoformat(self.summary().started)
        self.assertGreater(started, before + datetime.timedelta(seconds=LEAD - 0.01))
