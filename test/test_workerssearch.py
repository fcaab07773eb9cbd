"""
Tests for L{smtpsource.load.workerssearch}: a search for a rate by several workers.
"""

from __future__ import annotations

from fakeworkers import FakeWorker, frame
from patience import PATIENCE
from slowserver import SlowFactory
from twisted.internet import defer
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource.load.service import SourceService
from smtpsource.load.workersrun import LEAD, WorkersRun
from smtpsource.measure.counters import Counters
from smtpsource.measure.recorder import Recorder
from smtpsource.measure.snapshot import Snapshot
from smtpsource.measure.trial import Trial
from smtpsource.net.destination import TCPAddress
from smtpsource.phases import NAMES
from smtpsource.plan import SourcePlan
from smtpsource.workers.wire import Kind


def held(asked, *, accepted=None, failed=0, started=None, seconds=2.0, waited=0.0, unanswered=0, errors=None):
    """
    @return: what a worker says of its part of a step.
    """
    started = asked if started is None else started
    counters = Counters(started=started, accepted=started - failed if accepted is None else accepted, failed=failed)
    happened = Snapshot(seconds + waited, float(asked), counters, ([],) * len(NAMES))
    return Trial(happened, started, unanswered, waited, errors or {}).frame().encode()


class WorkersSearchTests(SynchronousTestCase):
    """
    L{WorkersSearch}, with workers that say what a test wants them to.
    """

    def begin(self, promise="errors < 10%", **plan):
        self.clock, self.recorder, self.ended = Clock(), Recorder(), []
        self.workers = [FakeWorker() for _ in range(2)]
        plan = SourcePlan(destination="127.0.0.1", sessionCount=4, findRate=promise, holdStep=2.0, rate=50.0, **plan)
        self.run_ = run = WorkersRun(
            *(self.clock, plan, self.recorder, self.clock.seconds, lambda: self.ended.append(1)),
            *(lambda began: {}, lambda line: None, self.workers),
        )
        ready = run.prepare()
        for worker in self.workers:
            worker.ready()
        self.successResultOf(ready)
        run.begin([TCPAddress("127.0.0.1", 25)], run.beginsAt())
        return run

    def steps(self):
        """
        @return: the steps that were asked for: when, the rate and the seconds; all workers heard the same.
        """
        first, second = ([tuple(body.values()) for kind, body in one.told if kind is Kind.STEP] for one in self.workers)
        self.assertEqual(first, second)
        return first

    def say(self, *bodies):
        for worker, body in zip(self.workers, bodies, strict=True):
            worker.says(Kind.STEPPED, body)

    def test_steps(self):
        """
        All hold the same rate from the same time on; when all have told what came of it, the next one is decided by
        what came of all parts together.
        """
        run = self.begin()
        self.assertEqual([kind for kind, _ in self.workers[0].told], [Kind.SHARE, Kind.PLAN, Kind.GO, Kind.STEP])
        self.assertEqual(self.steps(), [(LEAD, 50.0, 2.0)])
        self.assertEqual((run.askedRate(), run.searching.rate), (0.0, 50.0))
        self.clock.advance(1.0)
        self.assertEqual((run.askedRate(), run.found.steps, run.givesUpAt()), (50.0, (), None))
        self.clock.advance(1.5)
        self.workers[0].says(Kind.STEPPED, held(50))
        self.assertEqual(len(self.steps()), 1)
        self.workers[1].says(Kind.STEPPED, held(50, failed=4, waited=0.5))
        self.assertEqual(self.steps()[1:], [(2.5 + LEAD, 100.0, 2.0)])
        (step,) = run.found.steps
        self.assertEqual((step.rate, step.passed, step.achieved), (50.0, True, 96 / 2.5))
        # One part of it that breaks the promise for both.
        self.say(held(100), held(100, failed=30))
        self.assertEqual(self.steps()[2][1], 70.7)
        self.assertEqual([step.passed for step in run.found.steps], [True, False])
        # One that could not start its messages: the rate was not reached.
        self.say(held(71), held(70, started=60))
        self.assertIn("only 131 of 141 messages could be started", run.found.steps[2].actual)
        self.assertFalse(run.found.steps[2].passed)

    def test_over(self):
        """
        When the rate is known, all are told that there will be no more.
        """
        run = self.begin()
        while run.searching.rate is not None:
            rate, seconds = self.steps()[-1][1:]
            failed = 10 if rate > 70 else 0
            self.clock.advance(seconds)
            self.say(*(held(20, failed=failed, seconds=seconds) for _ in self.workers))
        self.assertEqual([worker.told[-1] for worker in self.workers], [(Kind.EXPIRE, {})] * 2)
        self.assertTrue(60 < run.found.rate <= 70, run.found)
        for worker in self.workers:
            worker.ends()
        self.assertEqual((self.ended, run.reason, self.clock.getDelayedCalls()), ([1], None, []))

    def test_hopeless(self):
        """
        Where nothing is accepted all are told to end.
        """
        run = self.begin()
        self.say(held(50, accepted=0), held(50, accepted=0, errors={"refused": (50, "they say no")}))
        self.assertEqual(run.reason, "nothing was accepted at 50 messages/s: they say no")
        self.assertEqual([worker.told[-1][0] for worker in self.workers], [Kind.DRAIN] * 2)

    def test_lost(self):
        """
        Without one of them the others would hold less than the rate: that is the end of the search, and no pass.
        """
        run = self.begin()
        self.workers[0].says(Kind.STEPPED, held(50))
        self.workers[1].dies("was killed by signal 9")
        self.assertEqual(run.reason, "worker 2 of 2 was killed by signal 9")
        self.assertEqual(self.workers[0].told[-1][0], Kind.DRAIN)
        self.workers[0].ends()
        self.assertEqual((self.ended, run.found.rate, len(run.incomplete)), ([1], None, 1))

    def test_lostInStep(self):
        """
        What the lost one was to start of the step, and has not told, has failed, as in any run.
        """
        self.begin()
        self.workers[0].says(Kind.FRAME, frame(1, 25, 25, gauges={}, asked=25, scheduledSeconds=1.0))
        self.workers[1].says(Kind.FRAME, frame(1, 24, 20, gauges={"inFlight": 4}, asked=25, scheduledSeconds=1.0))
        self.clock.advance(LEAD + 1.41)
        self.workers[1].dies("was killed by signal 9")
        self.workers[0].ends()
        counts = self.recorder
        self.assertEqual((counts.started, counts.accepted, counts.failed, counts.dropped), (59, 45, 14, 1))

    def test_hangs(self):
        """
        One that never tells what came of its part is waited for no longer than it may take.
        """
        self.begin()
        self.workers[0].says(Kind.STEPPED, held(50))
        for number in range(1, 21):
            for worker in self.workers:
                worker.says(Kind.FRAME, frame(number))
            self.clock.pump([0.5, 0.5])
        self.assertEqual([worker.killed for worker in self.workers], [None, "did not end its step in time"])

    def test_senseless(self):
        """
        A frame that is none of a step is not taken for one.
        """
        run = self.begin()
        self.workers[0].says(Kind.FRAME, held(50))
        self.assertEqual(run.found.steps, ())
        self.workers[1].says(Kind.STEPPED, b"?")
        self.assertIn("in a way that makes no sense", self.workers[1].killed)

    def test_stopped(self):
        """
        A search that is stopped asks for nothing more, and nothing of it is left.
        """
        run = self.begin()
        run.drain()
        self.say(held(50), held(50))
        self.assertEqual(len(self.steps()), 1)
        for worker in self.workers:
            worker.ends()
        self.assertEqual((self.ended, self.clock.getDelayedCalls()), ([1], []))


class ProcessesTests(TestCase):
    """
    The same with processes.
    """

    @defer.inlineCallbacks
    def test_found(self):
        """
        Two workers find what a server can do.
        """
        from twisted.internet import reactor

        port = reactor.listenTCP(0, SlowFactory(reactor, 50.0), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        plan = SourcePlan(
            destination=f"127.0.0.1:{port.getHost().port}",
            findRate="p99(response) < 600ms and errors == 0",
            rate=12.0,
            holdStep=0.5,
            sessionCount=60,
            keepConnections=True,
            workers=2,
        )
        service = SourceService(reactor, plan)
        service.startService()
        summary = yield service.whenDone().addTimeout(PATIENCE, reactor)
        yield service.stopService()
        self.assertEqual((summary.exit, summary.reason), (0, None))
        self.assertTrue(5 < summary.search.rate < 100, summary.search)
        self.assertEqual(summary.messages.started, summary.messages.accepted)
