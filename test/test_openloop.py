"""
Tests for L{smtpsource.load.openloop}, L{smtpsource.load.staged} and L{smtpsource.load.searched}: load that a schedule
makes, on a fake clock.
"""

from __future__ import annotations

from itertools import count

from attrs import evolve
from hypothesis import strategies as st
from properties import given, settings
from slowserver import SlowFactory, SlowServer
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.load.service import SourceService
from smtpsource.plan import SourcePlan
from smtpsource.report.live.figures import Course
from smtpsource.report.live.picture import line, picture
from smtpsource.report.text import render
from smtpsource.testing import FakeReactor, runInMemory


def ran(perSecond=1e6, freezes=(), **plan):
    """
    A run against a server of this speed, in no time.

    @return: the summary and the server.
    """
    reactor = FakeReactor()
    server = SlowFactory(reactor, perSecond, freezes)
    plan.setdefault("keepConnections", True)
    return runInMemory(SourcePlan(**plan), server, reactor=reactor), server


class OpenLoopTests(SynchronousTestCase):
    """
    C{--rate}.
    """

    def test_count(self):
        """
        As many messages as the rate and the time make, all of them the server's, over as few connections as it takes.
        """
        summary, server = ran(rate=50.0, duration=10.0, sessionCount=20)
        self.assertEqual((summary.messages.started, summary.messages.accepted, server.served), (500, 500, 500))
        self.assertEqual((summary.asked, summary.late, summary.dropped, summary.exit), (500, 0, 0, 0))
        self.assertLess(summary.connectionsOpened, 3)
        # The run is as long as was asked for, not as long as the last message.
        self.assertApproximates(summary.elapsed, 10.0, 0.01)

    def test_freeze(self):
        """
        A server of 1,000 a second that stands still for two seconds, at 500 a second: the time from the intended start
        shows it in the 99th percentile; the time of the transaction alone does not.
        """
        summary, _ = ran(1000.0, [(3.0, 2.0)], rate=500.0, duration=10.0, sessionCount=20)
        self.assertEqual(summary.messages.accepted, 5000)
        response, transaction = summary.latency["response"], summary.latency["transaction"]
        self.assertGreater(response.p99, 1.5)
        self.assertLess(transaction.p99, 0.1)
        # A thousand were wanted while it stood still, and as many while it caught up: nearly all of them late.
        self.assertGreater(summary.late, 1500)
        self.assertApproximates(response.maximum, 2.0, 0.1)
        self.assertEqual(summary.exhausted, 20)
        self.assertIn("all 20 sessions were busy", render(summary))

    def test_closedLoopHidesIt(self):
        """
        The same without a schedule: only those messages notice that were on their way.
        """
        summary, _ = ran(1000.0, [(3.0, 2.0)], duration=10.0, sessionCount=20)
        self.assertLess(summary.latency["transaction"].p99, 0.1)
        self.assertNotIn("response", summary.latency)

    def test_maxLate(self):
        """
        What can't start in time is dropped when the user wants that; the others are not late by more.
        """
        summary, server = ran(1000.0, [(3.0, 2.0)], rate=500.0, duration=10.0, sessionCount=20, maxLate=0.5)
        self.assertGreater(summary.dropped, 500)
        self.assertEqual(summary.messages.started + summary.dropped, 5000)
        self.assertEqual((summary.messages.accepted, server.served), (summary.messages.started,) * 2)
        self.assertLess(summary.latency["late"].maximum, 0.501)
        self.assertEqual(summary.exit, 1)
        # What a timer takes is not late, however little that may be.
        reactor = FakeReactor()
        reactor.server = SlowFactory(reactor, 1e6)
        plan = SourcePlan(destination="127.0.0.1:25", rate=30.0, duration=2.0, maxLate=0.0, keepConnections=True)
        service = SourceService(reactor, plan, clock=reactor.seconds)
        service.startService()
        reactor.pump([0.007] * 400)
        summary = self.successResultOf(service.whenDone())
        self.assertEqual((summary.messages.accepted, summary.dropped), (60, 0))

    def test_overload(self):
        """
        Twice as much as the server takes: nothing is dropped while there is time to catch up, the run is longer, and
        the last ones are the latest.
        """
        summary, server = ran(100.0, rate=200.0, duration=5.0, sessionCount=10, catchUp=6.0)
        self.assertEqual((summary.messages.accepted, server.served, summary.dropped), (1000, 1000, 0))
        self.assertApproximates(summary.elapsed, 10.0, 0.1)
        self.assertApproximates(summary.catchUp, 4.9, 0.1)
        self.assertIn("4.9", render(summary).split("s more to catch up with what was overdue at its end")[0][-10:])
        self.assertApproximates(summary.latency["response"].maximum, 5.0, 0.2)

    def test_catchUp(self):
        """
        There is a limit to that: a fifth of the time, at least 5 seconds, or what the user wants, whatever the timeout;
        no longer than a message may be late. What is overdue then is dropped and counted.
        """
        stages = ((0.0, 200.0), (30.0, 200.0))
        for load, seconds in (
            ({"rate": 200.0, "duration": 5.0}, 5.0),
            ({"rate": 200.0, "duration": 30.0}, 6.0),
            ({"stages": stages}, 6.0),
            ({"stages": stages, "arrivals": "poisson"}, 6.0),
            ({"rate": 200.0, "duration": 5.0, "warmUp": 2.0}, 5.0),
            ({"rate": 200.0, "duration": 5.0, "catchUp": 1.0}, 1.0),
            ({"rate": 200.0, "duration": 5.0, "catchUp": 0}, 0.0),
            ({"rate": 200.0, "duration": 5.0, "maxLate": 2.0}, 2.0),
            ({"rate": 200.0, "duration": 5.0, "messageCount": 1200}, 5.0),
        ):
            summary, server = ran(40.0, sessionCount=10, **load)
            length = load.get("duration", 30.0)
            # Those that were on their way then have ended as they would.
            self.assertApproximates(summary.elapsed, length + seconds, 0.6)
            self.assertApproximates(summary.catchUp, seconds, 0.3)
            self.assertEqual(summary.asked, summary.messages.started + summary.dropped)
            self.assertGreater(summary.dropped, 100)
            served = summary.messages.accepted + (summary.warmUp or {"accepted": 0})["accepted"]
            self.assertEqual((served, summary.exit), (server.served, 1))

    def test_catchUpWithMessages(self):
        """
        So many messages are all sent, however long that takes; unless the user wants an end to it.
        """
        for arrivals in ("constant", "poisson"):
            load = {"rate": 100.0, "messageCount": 500, "sessionCount": 10, "arrivals": arrivals, "seed": 1}
            summary, _ = ran(20.0, **load)
            self.assertEqual((summary.messages.accepted, summary.dropped, summary.exit), (500, 0, 0))
            self.assertApproximates(summary.catchUp, 20, 1.5)
            summary, server = ran(20.0, **load, catchUp=3.0)
            self.assertEqual((summary.messages.accepted, summary.exit), (server.served, 1))
            self.assertEqual(summary.asked, summary.messages.accepted + summary.dropped)
            # The run looks once a second.
            self.assertApproximates(summary.catchUp, 3.5, 0.7)

    def test_noCatchUp(self):
        """
        A run that keeps up has nothing to catch up with.
        """
        summary, _ = ran(rate=50.0, duration=10.0, sessionCount=20)
        self.assertEqual(summary.catchUp, 0)
        summary, _ = ran(messageCount=50)
        self.assertIsNone(summary.catchUp)

    def test_progress(self):
        """
        Whoever watches such a run sees that it is behind, and how long that will take; and for a run that is stopped,
        no more than what is on its way.
        """
        reactor = FakeReactor()
        reactor.server = SlowFactory(reactor, 40.0)
        plan = SourcePlan(
            destination="127.0.0.1:25", rate=100.0, duration=4.0, sessionCount=5, keepConnections=True, catchUp=9.0
        )
        service = SourceService(reactor, plan, clock=reactor.seconds)
        service.startService()
        course = Course(service)
        seen = {}

        def look(seconds):
            for _ in range(round(seconds / 0.25)):
                reactor.pump([0.01] * 25)
                course.look()
                seen.setdefault(course.progress.state, len(seen))

        look(3.5)
        self.assertEqual(course.progress.state, "running")
        self.assertApproximates(course.done(), 0.875, 1e-6)
        self.assertApproximates(course.progress.overdue, 205, 15)
        self.assertIn(" overdue", line(course))
        look(2.5)
        # 160 of 400 were sent by the end, and 80 since.
        self.assertApproximates(course.progress.overdue, 160, 10)
        self.assertApproximates(course.done(), 240 / 400, 0.03)
        self.assertApproximates(course.left(), 4.0, 0.5)
        shown = line(course)
        self.assertRegex(shown, r"^0:0[56] catching up, 0:0[345] left; .* 0 dropped, 1[56][0-9] overdue; ")
        (first, *_) = picture(course, 99, 40)
        self.assertRegex(first.plain, r"^catching up \S+  [56][0-9] %  0:0[56], 0:0[345] left$")
        service.stopService()
        look(0.5)
        self.assertEqual(list(seen), ["running", "catching up", "over"])
        summary = self.successResultOf(service.whenDone())
        self.assertEqual(summary.ended, "signal")
        # With a server that is slower than that, the limit is what is known.
        service = SourceService(reactor, evolve(plan, catchUp=2.0), clock=reactor.seconds)
        reactor.server = SlowFactory(reactor, 2.0)
        service.startService()
        course = Course(service)
        look(5.0)
        self.assertApproximates(course.left(), 1.0, 0.01)
        look(1.5)
        # Nothing more is started: so much is on its way, and nobody knows how long the server takes.
        self.assertEqual((course.progress.state, service.recorder.inFlight), ("draining", 4))
        self.assertLess(course.done(), 1)
        self.assertApproximates(course.left(), 2.0, 0.5)
        look(10.0)
        self.assertEqual(self.successResultOf(service.whenDone()).ended, "done")

    def test_idle(self):
        """
        A server that hangs up on clients that are silent for long: between two messages that is no fault. It is
        counted, and the next message has a connection of its own.
        """
        for patience in (50.0, 20.0):
            reactor = FakeReactor()
            server = SlowFactory(reactor, 1000.0, patience=patience)
            plan = SourcePlan(rate=1 / 30, duration=300.0, keepConnections=True)
            summary = runInMemory(plan, server, reactor=reactor)
            self.assertEqual((summary.messages.accepted, summary.reason, summary.exit), (10, None, 0))
            lost = 0 if patience > 30 else 10
            self.assertEqual(summary.connectionsOpened, lost or 1)
            counts = {kind: tally.count for kind, tally in summary.errors.items()}
            self.assertEqual(counts, {"closed-while-idle": lost} if lost else {})

    def test_newConnections(self):
        """
        Without kept connections each message has one of its own, made when it is wanted.
        """
        summary, _ = ran(rate=20.0, duration=5.0, sessionCount=5, keepConnections=False)
        self.assertEqual((summary.messages.accepted, summary.connectionsOpened), (100, 100))

    def test_messageCount(self):
        """
        A number of messages ends it as well.
        """
        summary, _ = ran(rate=10.0, messageCount=25, sessionCount=5)
        self.assertEqual((summary.messages.accepted, summary.asked, summary.exit), (25, 25, 0))
        self.assertApproximates(summary.elapsed, 2.4, 0.1)
        # With sessions that wait for a message while another takes the last one.
        summary, _ = ran(200.0, [(0.5, 0.5)], rate=20.0, messageCount=60, sessionCount=20)
        self.assertEqual((summary.messages.accepted, summary.exit), (60, 0))
        self.assertGreater(summary.connectionsOpened, 5)
        summary, _ = ran(20.0, rate=150.0, messageCount=300, sessionCount=3, maxLate=0.1)
        self.assertEqual(summary.messages.accepted + summary.dropped, 300)

    def test_stages(self):
        """
        A rate that changes; the series shows it, second by second.
        """
        summary, _ = ran(stages=((0, 0), (5, 100), (5, 100), (5, 0)), sessionCount=10)
        self.assertEqual(summary.messages.accepted, 1000)
        perSecond = [sample.started for sample in summary.series]
        for second, expected in enumerate((10, 30, 50, 70, 90, 100, 100, 100, 100, 100, 90, 70, 50, 30, 10)):
            self.assertApproximates(perSecond[second], expected, 2)
        self.assertEqual(sum(sample.asked for sample in summary.series), summary.asked)

    def test_warmUp(self):
        """
        What is sent in the warm-up is the server's, but no figure of ours; then all is as if it had begun there.
        """
        summary, server = ran(rate=100.0, warmUp=3.0, duration=5.0, sessionCount=10)
        self.assertEqual((summary.messages.started, summary.messages.accepted), (500, 500))
        self.assertApproximates(summary.asked, 500, 1)  # one is wanted at the very moment
        self.assertApproximates(summary.askedRate, 100, 0.21)
        self.assertEqual(server.served, 800)
        self.assertEqual(summary.latency["response"].count, 500)
        self.assertEqual(sum(sample.accepted for sample in summary.series), 500)
        self.assertApproximates(summary.elapsed, 5.0, 0.01)
        self.assertEqual((summary.warmUp["accepted"], summary.exit), (300, 0))
        self.assertEqual(sum(tally.count for tally in summary.replies["mail"].values()), 500)

    def test_warmUpBehind(self):
        """
        A server that is behind at the end of the warm-up: what is asked for from then on is still the rate.
        """
        summary, server = ran(50.0, rate=100.0, warmUp=2.0, duration=2.0, sessionCount=5)
        self.assertApproximates(summary.askedRate, 100, 1)
        self.assertEqual(summary.messages.accepted + summary.warmUp["accepted"], server.served)
        self.assertEqual(server.served, 400)

    def test_poissonBehind(self):
        """
        A server that is behind: how many were asked for never gets less, and stays when the schedule is over.
        """
        summary, _ = ran(50.0, rate=200.0, arrivals="poisson", duration=4.0, sessionCount=3, seed=3, catchUp=60.0)
        asked = [sample.asked for sample in summary.series]
        self.assertGreaterEqual(min(asked), 0)
        self.assertEqual(sum(asked[5:]), 0)
        self.assertEqual(sum(asked), summary.messages.started)

    def test_stoppedInWarmUp(self):
        """
        A run that is stopped in its warm-up has measured nothing, for no time.
        """
        for load, asked in (({"rate": 100.0}, 0), ({"fixedInterval": 0.03}, None)):
            reactor = FakeReactor()
            reactor.server = SlowFactory(reactor, 1000.0)
            plan = SourcePlan(
                **load, destination="127.0.0.1:25", warmUp=3.0, duration=3.0, sessionCount=3, keepConnections=True
            )
            # Time goes on between any two looks at it.
            looks = count()
            service = SourceService(reactor, plan, clock=lambda: reactor.seconds() + next(looks) * 1e-6)  # noqa: B023
            service.startService()
            reactor.pump([0.01] * 100)
            service.stopService()
            reactor.pump([0.1] * 60)
            summary = self.successResultOf(service.whenDone())
            self.assertEqual((summary.messages.started, summary.messages.accepted, summary.exit), (0, 0, 1))
            self.assertApproximates(summary.warmUp["accepted"], 100, 5)
            self.assertApproximates(summary.warmUp["seconds"], 1.0, 0.2)
            self.assertEqual((summary.elapsed, summary.series, summary.asked, summary.rate), (0.0, [], asked, 0.0))
            self.assertGreaterEqual(min(summary.user, summary.system), 0)
            self.assertEqual(reactor.getDelayedCalls(), [])

    def test_hour(self):
        """
        An hour at 20 a second: the last message starts where it should.
        """
        summary, server = ran(rate=20.0, duration=3600.0, sessionCount=2)
        self.assertEqual((summary.messages.accepted, server.served, summary.late), (72_000, 72_000, 0))
        self.assertApproximates(summary.elapsed, 3600.0, 0.01)
        self.assertLess(summary.latency["response"].maximum, 0.01)

    def test_stopped(self):
        """
        A run that is told to stop ends soon, and what it had started has its outcome.
        """
        reactor = FakeReactor()
        reactor.server = SlowFactory(reactor, 1000.0)
        plan = SourcePlan(destination="127.0.0.1:25", rate=10.0, duration=1e6, sessionCount=3, keepConnections=True)
        service = SourceService(reactor, plan, clock=reactor.seconds)
        service.startService()
        reactor.pump([0.01] * 1000)
        service.stopService()
        reactor.pump([0.1] * 60)
        summary = self.successResultOf(service.whenDone())
        self.assertEqual((summary.ended, summary.exit), ("signal", 1))
        self.assertApproximates(summary.messages.accepted, 100, 1)
        self.assertEqual(summary.messages.started, summary.messages.accepted)
        self.assertEqual(reactor.getDelayedCalls(), [])

    def test_neverBegun(self):
        """
        A run that is stopped before it began has asked for nothing, and leaves nothing behind in the reactor.
        """
        reactor = FakeReactor()
        plan = SourcePlan(destination="127.0.0.1:25", rate=10.0, duration=5.0)
        service = SourceService(reactor, plan, clock=reactor.seconds)
        reactor.advance(100)
        service.stopService()
        reactor.advance(1)
        summary = self.successResultOf(service.whenDone())
        self.assertEqual((summary.messages.started, summary.asked, summary.late), (0, 0, 0))
        self.assertEqual(reactor.getDelayedCalls(), [])

    @settings(max_examples=40, deadline=None)
    @given(
        st.floats(1, 300),
        st.integers(1, 10),
        st.floats(5, 500),
        st.booleans(),
        st.sampled_from(["constant", "poisson"]),
        st.sampled_from([None, 0.0, 0.2]),
        st.sampled_from(["off", "force"]),
    )
    def test_nothingIsLost(self, rate, sessions, capacity, keep, arrivals, maxLate, pipelining):
        """
        Whatever the rate and the server: all that was asked for was started or dropped, and what was started was
        answered.
        """
        summary, server = ran(
            capacity,
            [(1.0, 1.0)],
            rate=rate,
            duration=5.0,
            sessionCount=sessions,
            keepConnections=keep,
            arrivals=arrivals,
            maxLate=maxLate,
            pipelining=pipelining,
        )
        self.assertEqual(summary.asked, summary.messages.started + summary.dropped)
        self.assertEqual(summary.messages.started, summary.messages.accepted)
        self.assertEqual(summary.messages.accepted, server.served)
        if summary.messages.started:
            self.assertEqual(summary.latency["response"].count, summary.messages.accepted)
            self.assertGreaterEqual(summary.latency["response"].maximum, summary.latency["transaction"].maximum)


class MeasuredTests(SynchronousTestCase):
    """
    Which messages are measured, and over which seconds a rate is.
    """

    def test_border(self):
        """
        A message that is wanted exactly when the warm-up ends is measured, whether its timer comes first or the
        warm-up's: as many are asked for and started as rate and time make.
        """
        for rate, warmUp, duration in ((50.0, 0.5, 2.0), (1000.0, 1.0, 1.0), (0.5, 4.0, 4.0), (30.0, 0.1, 0.9)):
            summary, server = ran(rate=rate, duration=duration, warmUp=warmUp, sessionCount=20)
            number = round(rate * duration)
            self.assertEqual((summary.asked, summary.messages.started, summary.messages.accepted), (number,) * 3)
            self.assertEqual(summary.warmUp["accepted"], round(rate * warmUp))
            self.assertEqual(server.served, round(rate * (warmUp + duration)))
            self.assertApproximates(summary.askedRate, rate, 1e-9 * rate)
            self.assertLessEqual(summary.rate, summary.askedRate)
            self.assertApproximates(summary.rate, rate, 0.01 * rate)
            self.assertEqual(summary.latency["response"].count, number)
            self.assertEqual(summary.latency["transaction"].count, number)

    def test_onTheirWay(self):
        """
        Messages that are on their way when the warm-up ends belong to it, however they end.
        """
        load = {"rate": 10.0, "duration": 2.0, "warmUp": 1.0, "sessionCount": 50}
        summary, server = ran(10.0, [(0.3, 1.5)], **load)
        self.assertEqual((summary.asked, summary.messages.started, summary.messages.accepted), (20, 20, 20))
        self.assertEqual((summary.warmUp["accepted"], server.served), (10, 30))
        self.assertLessEqual(summary.rate, 10)
        # They are no part of what is measured, but they have made others wait.
        self.assertEqual(summary.latency["response"].count, 20)
        self.assertGreater(summary.latency["response"].minimum, 0.5)
        # The server falls silent in the warm-up: those on their way fail, and they are the warm-up's.
        summary, _ = ran(10.0, [(0.3, 1e4)], **load, timeout=5.0, tolerant=True, keepConnections=False)
        messages, warmUp = summary.messages, summary.warmUp
        self.assertEqual((messages.started, messages.failed, summary.asked), (20, 20, 20))
        self.assertEqual(warmUp["accepted"] + warmUp["failed"], 10)

    def test_behind(self):
        """
        A server that is behind at the end of the warm-up comes to what was wanted in it first. It is said how much that
        was.
        """
        summary, server = ran(50.0, rate=100.0, warmUp=2.0, duration=2.0, sessionCount=5)
        self.assertEqual((summary.askedRate, summary.asked, summary.messages.accepted), (100, 200, 200))
        self.assertEqual((summary.warmUp["accepted"], server.served), (200, 400))
        self.assertApproximates(summary.warmUp["overdue"], 100, 6)
        self.assertIn(f"{summary.warmUp['overdue']} of them were overdue at its end", render(summary))
        self.assertGreater(summary.latency["response"].minimum, 1.5)

    def test_messageCount(self):
        """
        So many messages at a rate are as much time as they take at this rate; and no longer, if the server is slow.
        """
        for warmUp in (0.0, 1.0):
            summary, _ = ran(rate=50.0, messageCount=100, warmUp=warmUp, sessionCount=9)
            self.assertApproximates(summary.askedRate, 50, 1e-6)
            self.assertEqual((summary.asked, summary.messages.accepted), (100, 100))
            self.assertLessEqual(summary.rate, summary.askedRate)
            limits = ("rate >= 0.99 * asked", "asked == 50")
            summary, _ = ran(25.0, rate=50.0, messageCount=100, warmUp=warmUp, sessionCount=9, thresholds=limits)
            self.assertApproximates(summary.askedRate, 50, 1e-6)
            self.assertLess(summary.rate, 26)
            self.assertEqual([outcome.passed for outcome in summary.thresholds], [False, True])

    def test_stall(self):
        """
        A process that stood still when its warm-up ended: still, only what was wanted after that is measured.
        """
        reactor = FakeReactor()
        reactor.server = SlowFactory(reactor, 1e6)
        for maxLate in (None, 0.1):
            plan = SourcePlan(
                destination="127.0.0.1:25",
                rate=100.0,
                duration=2.0,
                warmUp=1.0,
                keepConnections=True,
                maxLate=maxLate,
                sessionCount=9,
            )
            service = SourceService(reactor, plan, clock=reactor.seconds)
            service.startService()
            reactor.pump([0.001] * 700)
            reactor.standStill(1.0)
            reactor.pump([0.001] * 2000)
            summary = self.successResultOf(service.whenDone())
            self.assertEqual((summary.asked, summary.messages.started + summary.dropped), (200, 200))
            # What was dropped of the warm-up is in no figure, as all of it.
            self.assertApproximates(summary.warmUp["accepted"], 100 if maxLate is None else 70, 1)
            self.assertEqual(summary.dropped > 50, maxLate is not None)
            self.assertLessEqual(summary.rate, summary.askedRate)

    @settings(max_examples=30, deadline=None)
    @given(st.data())
    def test_all(self, data):
        """
        Whatever the rate, the server and the time: asked is started and dropped; started is what has ended; no rate is
        higher than the one asked for, which is the one that was wanted; seconds add up to the whole; and what the
        server has is ours and the warm-up's.
        """
        rate = data.draw(st.floats(0.3, 100))
        warmUp = data.draw(st.sampled_from([0.0, 0.25, 0.7]) | st.floats(0.01, 3))
        arrivals = data.draw(st.sampled_from(["constant", "constant", "poisson"]))
        length = data.draw(st.sampled_from([0.5, 1.0, 2.0]) | st.floats(0.1, 4))
        way = data.draw(st.sampled_from(["duration", "count", "stages"]))
        number = max(1, round(rate * length))
        if way == "duration":
            load = {"rate": rate, "duration": length}
        elif way == "count":
            load = {"rate": rate, "messageCount": number}
        else:
            load = {"stages": ((0, rate), (warmUp + length / 2, rate), (length / 2, 0.0))}
        summary, server = ran(
            data.draw(st.sampled_from([1e6, 1e6, 1e3]) | st.floats(5, 500)),
            data.draw(st.sampled_from([(), [(0.2, 0.6)], [(0.0, 0.3)]])),
            **load,
            warmUp=warmUp,
            sessionCount=data.draw(st.integers(1, 20)),
            arrivals=arrivals,
            maxLate=data.draw(st.sampled_from([None, None, 0.0, 0.1])),
            keepConnections=data.draw(st.booleans()),
            pipelining=data.draw(st.sampled_from(["off", "force"])),
            timeout=1000.0,
        )
        messages, before = summary.messages, summary.warmUp or {"accepted": 0}
        self.assertEqual(summary.asked, messages.started + summary.dropped)
        self.assertEqual(messages.started, messages.accepted)
        self.assertEqual(messages.accepted + before["accepted"], server.served)
        if arrivals == "constant":
            wanted = {"duration": rate * length, "count": number, "stages": rate * length * 0.75}[way]
            self.assertApproximates(summary.asked, wanted, 1 + 1e-6)
            if way == "duration":
                self.assertApproximates(summary.askedRate, rate, 1.001 / length)
            elif way == "count" and not warmUp:
                self.assertApproximates(summary.askedRate, rate, 1e-6 * rate)
        if summary.asked:
            self.assertLessEqual(summary.rate, summary.askedRate * (1 + 1e-9))
        for name in ("started", "accepted", "late", "dropped", "asked"):
            total = getattr(messages if name in ("started", "accepted") else summary, name)
            self.assertEqual(sum(getattr(sample, name) for sample in summary.series), total, name)
        for phase in ("response", "transaction"):
            count = summary.latency[phase].count if phase in summary.latency else 0
            self.assertEqual(count, messages.accepted)


class ClosedLoopTests(SynchronousTestCase):
    """
    C{--duration}, C{--warmup}, C{--ramp-up}, and stages of sessions.
    """

    def test_duration(self):
        """
        Messages without a limit, until the time is over; what is on its way then ends as it would.
        """
        summary, server = ran(100.0, duration=10.0, sessionCount=5)
        self.assertApproximates(summary.messages.accepted, 1000, 10)
        self.assertEqual(summary.messages.started, summary.messages.accepted)
        self.assertEqual((server.served, summary.exit, summary.ended), (summary.messages.accepted, 0, "done"))

    def test_durationOrCount(self):
        """
        Whichever comes first.
        """
        summary, _ = ran(100.0, duration=10.0, messageCount=50, sessionCount=5)
        self.assertEqual((summary.messages.accepted, summary.exit), (50, 0))
        summary, _ = ran(100.0, duration=1.0, messageCount=5000, sessionCount=5)
        self.assertApproximates(summary.messages.accepted, 100, 10)
        self.assertEqual(summary.exit, 0)

    def test_pauses(self):
        """
        A session that waits for its next message when the time is over does not wait any longer.
        """
        summary, _ = ran(1000.0, duration=10.0, sessionCount=2, fixedInterval=8.0)
        self.assertEqual(summary.messages.accepted, 4)
        self.assertApproximates(summary.elapsed, 10.0, 0.1)

    def test_warmUp(self):
        """
        With a number of messages, that many are measured, beside those of the warm-up.
        """
        summary, server = ran(100.0, warmUp=2.0, messageCount=300, sessionCount=5)
        self.assertEqual((summary.messages.started, summary.messages.accepted, summary.exit), (300, 300, 0))
        self.assertEqual(server.served, 300 + summary.warmUp["accepted"])
        self.assertApproximates(summary.warmUp["accepted"], 200, 10)
        self.assertApproximates(summary.elapsed, 3.0, 0.1)

    def test_rampUp(self):
        """
        Sessions join evenly.
        """
        summary, _ = ran(1e6, rampUp=10.0, duration=15.0, sessionCount=10, fixedInterval=0.1)
        opened = [sample.open for sample in summary.series]
        for second in range(10):
            self.assertApproximates(opened[second], second + 1.5, 0.5)
        self.assertEqual(summary.connectionsOpened, 10)

    def test_stages(self):
        """
        Sessions join and leave as the stages say; none of their messages is lost.
        """
        stages = ((0, 0), (10, 20), (5, 20), (10, 0))
        summary, server = ran(500.0, stages=stages, stagesOf="sessions")
        opened = [sample.open for sample in summary.series]
        for second, expected in ((4, 10), (9, 20), (14, 20), (19, 10)):
            self.assertApproximates(opened[second], expected, 1)
        self.assertEqual((summary.messages.started, server.served), (summary.messages.accepted,) * 2)
        self.assertEqual(summary.connectionsLost, 0)
        self.assertApproximates(summary.elapsed, 25.0, 0.2)

    def test_stagesUpAndDown(self):
        """
        With no session for a while, and a new connection for each message.
        """
        stages = ((0, 3), (2, 3), (0, 0), (2, 0), (0, 2), (2, 2))
        summary, server = ran(100.0, stages=stages, stagesOf="sessions", keepConnections=False)
        started = [sample.started for sample in summary.series]
        self.assertTrue(all(started[:2]) and all(started[4:6]), started)
        self.assertEqual(started[3], 0)
        self.assertEqual(summary.messages.accepted, server.served)


class SearchTests(SynchronousTestCase):
    """
    C{--find-rate}.
    """

    def test_found(self):
        """
        A server of 700 a second keeps its promise up to that, and is found to.
        """
        summary, server = ran(700.0, findRate="p99(message) < 100ms and errors < 0.1%", holdStep=3.0, sessionCount=50)
        self.assertApproximates(summary.search.rate, 700, 35)
        self.assertEqual([step.purpose for step in summary.search.steps[-2:]], ["confirm"] * 2)
        self.assertEqual([step.passed for step in summary.search.steps[-2:]], [True, False])
        tried = {one.rate: one for one in summary.search.tried}
        self.assertEqual((2, 2, 0), tried[summary.search.rate][1:])
        self.assertTrue(all(one.kept == 0 for rate, one in tried.items() if rate > summary.search.rate))
        self.assertEqual(summary.messages.accepted, server.served)
        self.assertEqual(summary.exit, 0)

    def test_saturated(self):
        """
        A promise that the server keeps only because it is not asked any faster: the rate was not reached.
        """
        summary, _ = ran(200.0, findRate="p99(message) < 10s", holdStep=3.0, sessionCount=2, rate=50)
        self.assertApproximates(summary.search.rate, 200, 20)
        failed = next(step for step in summary.search.steps if not step.passed)
        self.assertIn("messages could be started", failed.actual)

    def test_asked(self):
        """
        A promise about the rate itself.
        """
        summary, _ = ran(300.0, findRate="rate >= 0.95 * asked", holdStep=2.0, sessionCount=20, rate=50)
        self.assertApproximates(summary.search.rate, 300, 30)
        self.assertEqual(summary.asked, summary.messages.started + summary.dropped)

    def test_nobodyThere(self):
        """
        A server that refuses all: the search is over at once.
        """
        reactor = FakeReactor()
        plan = SourcePlan(destination="127.0.0.1:25", findRate="errors == 0", holdStep=2.0)
        service = SourceService(reactor, plan, clock=reactor.seconds)
        service.startService()
        for _ in range(400):
            while reactor.attempts:
                reactor.attempts[0].refuse()
            reactor.advance(0.01)
        reactor.pump([0.1] * 100)
        summary = self.successResultOf(service.whenDone())
        self.assertEqual((len(summary.search.steps), summary.search.rate, summary.ended), (1, None, "aborted"))
        self.assertIn("nothing was accepted at 100 messages/s", summary.reason)

    def test_leftOver(self):
        """
        Messages of one rate that are answered only when the next one is tried are not counted for that.
        """
        promise = "accepted >= 1 and accepted <= started and errors == 0"
        summary, server = ran(
            300.0,
            # The first step's last messages are held up for longer than anybody waits for them.
            [(0.5, 11.2)],
            findRate=promise,
            holdStep=1.0,
            rate=50,
            sessionCount=200,
        )
        self.assertEqual(server.served, summary.messages.accepted)
        for step in summary.search.steps:
            self.assertLessEqual(step.achieved, step.rate + 1, step)

    def test_unanswered(self):
        """
        What a server leaves without an answer for longer than anybody waits is no success of the step: it counts as
        failed, and as slow as it has been by then.
        """

        class Forgetful(SlowFactory):
            def work(self, done):
                self.served += 1
                if self.served % 20:
                    super().work(done)
                    self.served -= 1

        for promise in ("errors < 1%", "p99(response) < 250ms"):
            reactor = FakeReactor()
            plan = SourcePlan(findRate=promise, holdStep=2.0, sessionCount=100, keepConnections=True, timeout=600)
            summary = runInMemory(plan, Forgetful(reactor, 1000.0), reactor=reactor)
            first = summary.search.steps[0]
            self.assertFalse(first.passed)
            self.assertTrue(first.actual.startswith("10 of 200 messages had no answer 10 s later; "), first)
            # With few messages there may be none of them.
            self.assertLess(summary.search.rate or 0.0, 15.0)

    def test_refusesAll(self):
        """
        A server that refuses everything when it is asked too much: the search goes on below that.
        """

        class Limited(SlowServer):
            def answer(self, line):
                if line.startswith(b"MAIL") and self.factory.isTooMuch():
                    self.sendLine(b"451 4.7.1 too much")
                else:
                    super().answer(line)

        class Limit(SlowFactory):
            protocol = Limited

            def isTooMuch(self):
                """
                More than 300 a second: then nothing for two seconds.
                """
                now = self.reactor.seconds()
                self.asked = [when for when in getattr(self, "asked", []) if when > now - 1.0] + [now]
                if len(self.asked) > 300:
                    self.closed = now + 2.0
                return now < getattr(self, "closed", 0.0)

        reactor = FakeReactor()
        plan = SourcePlan(findRate="errors < 1%", holdStep=5.0, sessionCount=50, keepConnections=True)
        summary = runInMemory(plan, Limit(reactor, 1e6), reactor=reactor)
        self.assertEqual(("done", 0), (summary.ended, summary.exit))
        self.assertApproximates(summary.search.rate, 300, 30)
        self.assertIn(0.0, [step.achieved for step in summary.search.steps])

    def test_rate(self):
        """
        A rate that is accepted only because the messages that wait are, too, when the step is over, is not kept.
        """
        summary, _ = ran(100.0, findRate="rate >= 0.99 * asked", holdStep=3.0, sessionCount=2000)
        self.assertApproximates(summary.search.rate, 100, 5)
        for step in summary.search.steps:
            self.assertLess(step.achieved, 103)

    def test_notMeasured(self):
        """
        A promise about what never happens ends the search at once.
        """
        summary, _ = ran(100.0, findRate="p99(noop) < 1s", holdStep=1.0, sessionCount=5)
        self.assertEqual(("aborted", 1), (summary.ended, len(summary.search.steps)))
        self.assertIn("p99(noop) < 1s: ", summary.reason)

    def test_none(self):
        """
        No rate will do: exit status 3.
        """
        summary, _ = ran(100.0, findRate="p50(message) < 1ms", holdStep=1.0, sessionCount=2, rate=1)
        self.assertEqual((summary.search.rate, summary.exit), (None, 3))


class ThresholdTests(SynchronousTestCase):
    """
    C{--threshold}.
    """

    def test_outcomes(self):
        """
        Each one's outcome is told; one that failed is exit status 3.
        """
        limits = ("p99(transaction) < 100ms", "accepted == 50", "rejected == 0")
        summary, _ = ran(100.0, messageCount=50, thresholds=limits)
        self.assertEqual([outcome.passed for outcome in summary.thresholds], [True, True, True])
        self.assertEqual(summary.exit, 0)
        summary, _ = ran(100.0, messageCount=50, thresholds=(*limits, "p50(transaction) < 1ms"))
        self.assertEqual([outcome.passed for outcome in summary.thresholds], [True, True, True, False])
        self.assertEqual((summary.exit, summary.messages.accepted), (3, 50))

    def test_abort(self):
        """
        With C{abortOnThreshold} the run ends when it is sure, and says why.
        """
        summary, _ = ran(
            100.0, duration=100.0, thresholds=("p50(transaction) < 1ms",), abortOnThreshold=True, sessionCount=3
        )
        self.assertLess(summary.elapsed, 10)
        self.assertEqual((summary.exit, summary.ended), (3, "aborted"))
        self.assertIn("p50(transaction) < 1ms", summary.reason)

    def test_noAbort(self):
        """
        What may still come ends no run.
        """
        limits = ("accepted >= 700", "max(quit) < 100s", "rate >= 0.9 * asked")
        load = {"rate": 50.0, "duration": 20.0, "sessionCount": 9}
        summary, _ = ran(100.0, thresholds=limits, abortOnThreshold=True, **load)
        self.assertEqual((summary.exit, summary.ended, summary.reason), (0, "done", None))

    def test_abortedBy(self):
        """
        What ended the run stays failed, though it would be so at the end.
        """
        values = {"thresholds": ("max(transaction) < 1s",), "abortOnThreshold": True, "sessionCount": 3}
        summary, _ = ran(100.0, freezes=((6.0, 3.0),), duration=100.0, **values)
        (outcome,) = summary.thresholds
        self.assertFalse(outcome.passed)
        self.assertEqual(summary.reason, f"threshold {outcome.text!r} failed: {outcome.actual}")

    def test_abortAfterWarmUp(self):
        """
        The warm-up has no part in it.
        """
        values = {"thresholds": ("max(transaction) < 1s",), "abortOnThreshold": True, "sessionCount": 3}
        summary, _ = ran(100.0, freezes=((2.0, 3.0),), warmUp=10.0, duration=10.0, **values)
        self.assertEqual((summary.exit, summary.ended), (0, "done"))

    def test_asked(self):
        """
        The rate that was asked for can be compared with.
        """
        summary, _ = ran(100.0, rate=50.0, duration=5.0, sessionCount=9, thresholds=("rate >= 0.99 * asked",))
        self.assertTrue(summary.thresholds[0].passed, summary.thresholds)
        summary, _ = ran(20.0, rate=50.0, duration=5.0, sessionCount=9, thresholds=("rate >= 0.99 * asked",))
        self.assertFalse(summary.thresholds[0].passed, summary.thresholds)
