"""
Tests for L{smtpsource.process.turns}, and for runs of so many sessions that not all of them are told something at once.
"""

from __future__ import annotations

from hypothesis import strategies as st
from properties import given, settings
from slowserver import SlowFactory
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.load.run import BATCH
from smtpsource.load.service import SourceService
from smtpsource.plan import SourcePlan
from smtpsource.process import turns
from smtpsource.testing import FakeReactor, runInMemory


class InTurnsTests(SynchronousTestCase):
    """
    C{inTurns}.
    """

    def test_few(self):
        """
        What is done in no time is done at once, in its order, and then it is over.
        """
        done = []
        turns.inTurns(range(30), done.append, self.fail, lambda: done.append("over"))
        self.assertEqual(done, [*range(30), "over"])
        turns.inTurns((), self.fail, self.fail, lambda: done.append("nothing"))
        self.assertEqual(done[-1], "nothing")

    @given(st.integers(0, 1000))
    def test_many(self, number):
        """
        What takes longer goes on in later turns, each of them a part; nothing is left out or done twice.
        """
        clock = [0.0]
        self.patch(turns, "perf_counter", lambda: clock[0])
        done, later, over = [], [], []

        def do(thing):
            clock[0] += 0.001
            done.append(thing)

        turns.inTurns(range(number), do, later.append, lambda: over.append(len(done)))
        most = 0
        while later:
            (call,) = later
            later.clear()
            before = len(done)
            self.assertEqual(over, [])
            call()
            most = max(most, len(done) - before)
        self.assertEqual((done, over), (list(range(number)), [number]))
        self.assertLessEqual(most, turns.FEW)


class CountingReactor(FakeReactor):
    """
    Notes how much a number of the test's choice changes in each timed call.
    """

    def __init__(self):
        super().__init__()
        self.number = lambda: 0
        self.steps = []

    def callLater(self, delay, call, *arguments, **keywords):
        def counted():
            before = self.number()
            call(*arguments, **keywords)
            self.steps.append(abs(self.number() - before))

        return super().callLater(delay, counted)


class ManySessionsTests(SynchronousTestCase):
    """
    Runs that have more sessions than are told something in one turn.
    """

    def setUp(self):
        # There is no time for more than the least.
        self.patch(turns, "TURN", -1.0)

    def begun(self, perSecond=1e6, **values):
        """
        A run that goes on; the reactor counts its sessions.
        """
        reactor = CountingReactor()
        reactor.server = SlowFactory(reactor, perSecond)
        plan = SourcePlan(destination="127.0.0.1:25", keepConnections=True, connectParallelism=10_000, **values)
        service = SourceService(reactor, plan, clock=reactor.seconds)
        service.startService()
        reactor.number = lambda: service.progress().sessions
        return reactor, service

    def assertStepwise(self, reactor, number):
        """
        So many have changed since this was asked last, and not too many in any turn.
        """
        steps, reactor.steps = reactor.steps, []
        self.assertEqual(sum(steps), number)
        self.assertLessEqual(max(steps), BATCH)

    def test_stop(self):
        """
        They are stopped in turns, and aborted in turns when the grace period is over.
        """
        reactor, service = self.begun(sessionCount=450, duration=100.0, fixedInterval=50.0)
        reactor.pump([0.1] * 5)
        self.assertStepwise(reactor, 450 - BATCH)  # the first ones begin before there is a turn
        before = service.recorder.bytesSent
        ended = service.stopService()
        reactor.number = lambda: (service.recorder.bytesSent - before) // len("QUIT\r\n")
        reactor.pump([0.001] * 10)
        self.assertStepwise(reactor, 450)
        summary = self.successResultOf(service.whenDone())
        self.successResultOf(ended)
        self.assertEqual((summary.messages.accepted, summary.connectionsOpened, summary.connectionsLost), (450, 450, 0))
        # A server that takes no mail any more.
        reactor, service = self.begun(0.001, sessionCount=450, duration=100.0)
        reactor.pump([0.1] * 5)
        service.stopService()
        reactor.number = lambda: service.recorder.errors.get("stopped", 0)
        reactor.pump([1.0] * 4)
        reactor.steps = []
        reactor.pump([1.0, 0.001])
        self.assertStepwise(reactor, 450)
        summary = self.successResultOf(service.whenDone())
        self.assertEqual((summary.messages.started, summary.messages.failed), (450, 450))

    def test_due(self):
        """
        Messages that are due at once start in turns, on new sessions and on those that are free.
        """
        reactor, service = self.begun(rate=450.0, duration=2.0, sessionCount=1000)
        reactor.number = lambda: service.recorder.started
        begun = service.recorder.started
        reactor.standStill(1.0)
        reactor.advance(0)
        self.assertStepwise(reactor, 451 - begun)
        self.assertGreater(service.progress().sessions, 400)
        reactor.standStill(0.9)
        reactor.advance(0)
        self.assertStepwise(reactor, 405)
        reactor.pump([0.001] * 300)
        summary = self.successResultOf(service.whenDone())
        self.assertEqual((summary.asked, summary.messages.accepted), (900, 900))

    def test_joining(self):
        """
        Sessions join in turns: by stages with a jump, and in a ramp-up after the process stood still.
        """
        stages = ((0, 1), (1, 1), (0, 450), (5, 450))
        reactor, service = self.begun(stages=stages, stagesOf="sessions", fixedInterval=0.5)
        reactor.pump([0.1] * 9)
        self.assertEqual(service.progress().sessions, 1)
        reactor.steps = []
        reactor.advance(0.2)
        self.assertStepwise(reactor, 449)
        reactor, service = self.begun(sessionCount=450, rampUp=1.0, duration=10.0, fixedInterval=5.0)
        begun = service.progress().sessions
        reactor.advance(0.9)
        reactor.pump([0.002] * 10)
        self.assertGreater(service.progress().sessions, 400)
        self.assertStepwise(reactor, service.progress().sessions - begun)

    @settings(max_examples=25)
    @given(st.data())
    def test_nothingIsLost(self, data):
        """
        Even if each session has a turn of its own: every message that was started has its outcome, whenever the run is
        stopped.
        """
        self.patch(turns, "FEW", 1)
        values = data.draw(
            st.sampled_from(
                [
                    {"rate": 100.0, "duration": 2.0},
                    {"messageCount": 200},
                    {"duration": 2.0},
                    {"duration": 1.0, "warmUp": 0.5},
                ]
            )
        )
        reactor, service = self.begun(
            data.draw(st.floats(5, 500)), sessionCount=data.draw(st.integers(1, 40)), **values
        )
        for _ in range(data.draw(st.integers(0, 300))):
            reactor.advance(0.01)
        service.stopService()
        for _ in range(800):
            reactor.advance(0.01)
        messages = self.successResultOf(service.whenDone()).messages
        self.assertEqual(messages.started, messages.accepted + messages.rejected + messages.failed)
        self.assertEqual((service.recorder.open, reactor.getDelayedCalls()), (0, []))


class TooMuchTests(SynchronousTestCase):
    """
    Rates that nobody can keep.
    """

    def test_dropped(self):
        """
        What is too late is dropped without a look at each message: of hundreds of millions, too.
        """
        stages = ((0.0, 0.0), (10.0, 2e7), (10.0, 2e7))
        for load in ({"rate": 2e7, "duration": 20.0}, {"stages": stages}, {"rate": 2e7, "messageCount": 10**8}):
            for arrivals in ("constant", "poisson"):
                reactor = FakeReactor()
                plan = SourcePlan(
                    **load, arrivals=arrivals, maxLate=0.05, sessionCount=5, keepConnections=True, tolerant=True
                )
                summary = runInMemory(plan, SlowFactory(reactor, 20.0), reactor=reactor)
                self.assertEqual(summary.asked, summary.messages.started + summary.dropped)
                self.assertGreater(summary.asked, 0.99e8)
                self.assertLess(summary.latency["late"].maximum, 0.0501)
                self.assertGreater(summary.messages.accepted, 90)
