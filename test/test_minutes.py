"""
Tests for L{smtpsource.measure.minutes} and L{smtpsource.measure.drifting}: a run that is not what it was.
"""

from __future__ import annotations

from dataclasses import replace

from slowserver import SlowFactory
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.load.service import SourceService
from smtpsource.measure import minutes
from smtpsource.measure.counters import Counters
from smtpsource.measure.frame import Frame
from smtpsource.measure.histogram import indexOf
from smtpsource.measure.minutes import Figure, Minutes, usual
from smtpsource.measure.snapshot import Snapshot
from smtpsource.measure.thresholds import parse
from smtpsource.phases import NAMES, TRANSACTION
from smtpsource.plan import SourcePlan
from smtpsource.report.document import documentOf, summaryFrom
from smtpsource.report.text import render
from smtpsource.testing import FakeReactor, runInMemory


def frame(at, seconds=1.0, *, epoch=0, accepted=10, rejected=0, latency=0.01, watched=None):
    """
    @param latency: seconds, of each message.
    @return: what happened in a time.
    """
    buckets = [{} for _ in NAMES]
    if accepted:
        buckets[TRANSACTION] = {indexOf(int(latency * 1e6)): accepted}
    counters = Counters(started=accepted + rejected, accepted=accepted, rejected=rejected)
    return Frame(0, epoch, at, seconds, counters, buckets, [{} for _ in NAMES], {}, watched=watched or {})


def outcome(text, course, count=20):
    """
    @param course: gives what there is to be known of each minute.
    @return: what becomes of a threshold after so many minutes.
    """
    threshold = parse(text)
    known = Minutes(threshold.drifting)
    for minute in range(count):
        known.add(frame(60.0 * (minute + 1), 60.0, **course(minute)))
    figures = Snapshot(60.0 * count, None, Counters(), ((),) * len(NAMES), minutes=known)
    return threshold.check(figures), threshold.cannotPass(figures)


class MinutesTests(SynchronousTestCase):
    """
    L{Minutes}.
    """

    def setUp(self):
        self.seen = []
        self.known = Minutes([Figure("rate", self.read, (TRANSACTION,)), *usual("mail", False)[1:]])

    def read(self, minute):
        self.seen.append(minute)
        return minute.counters.accepted / minute.seconds

    def test_minute(self):
        """
        All that has come in a minute, and nothing else, is in it: its latencies as they were, watched figures as they
        were on average.
        """
        for second in range(1, 121):
            self.known.add(frame(second, latency=second / 1000, watched={"rss": second}))
        self.assertEqual(len(self.known), 2)
        for number, minute in enumerate(self.seen):
            self.assertEqual((minute.seconds, minute.counters.accepted), (60, 600))
            expected = {indexOf(second * 1000) for second in range(60 * number + 1, 60 * number + 61)}
            self.assertEqual(set(minute.buckets[TRANSACTION]), expected)
            self.assertEqual(minute.watched, {"rss": 60 * number + 30.5})

    def test_warmUp(self):
        """
        When a warm-up is over nothing is left of it.
        """
        for second in range(1, 100):
            self.known.add(frame(second, accepted=1000))
        for second in range(1, 61):
            self.known.add(frame(second, epoch=1))
        self.assertEqual(len(self.known), 1)
        self.assertEqual(self.seen[-1].counters.accepted, 600)

    def test_heldUp(self):
        """
        A time in which nobody has looked is a minute of its own, however long; those that follow are as they were.
        """
        for at, seconds in ((60.2, 60.2), (250.0, 189.8), (300.1, 50.1), (360.0, 59.9)):
            self.known.add(frame(at, seconds))
        self.assertEqual([round(minute.seconds, 1) for minute in self.seen], [60.2, 189.8, 50.1, 59.9])

    def test_end(self):
        """
        The last minute of a run counts if it is half of one.
        """
        for end, count in ((85.0, 1), (115.0, 2)):
            known = Minutes(usual("mail", False))
            for at in (60.0, end):
                known.add(frame(at))
            known.end(end)
            self.assertEqual(len(known), count)

    def test_days(self):
        """
        However long a run is, there are not many windows, and the drift is the same.
        """
        for minute in range(3 * 24 * 60):
            self.known.add(frame(60.0 * (minute + 1), 60.0, accepted=60_000 + minute))
        self.assertTrue(minutes.LIMIT / 2 <= len(self.known) < minutes.LIMIT)
        drift = self.known.drift("rate")
        self.assertEqual((drift.windows, drift.seconds), (len(self.known), 64 * 60.0))
        self.assertAlmostEqual(drift.perHour, 1.0)
        self.assertTrue(drift.isSignificant)
        self.assertFalse(self.known.drift("errors").isSignificant)

    def test_gaps(self):
        """
        Minutes without a latency have none, be they ever so many.
        """
        for minute in range(30):
            self.known.add(frame(60.0 * (minute + 1), 60.0, accepted=10 * (minute % 3)))
        self.assertEqual(self.known.drift("p99(transaction)").windows, 20)
        for minute in range(30, 200):
            self.known.add(frame(60.0 * (minute + 1), 60.0, accepted=0))
        self.assertEqual(self.known.drift("p99(transaction)").windows, 15)


class ThresholdTests(SynchronousTestCase):
    """
    Thresholds on a drift.
    """

    def test_latency(self):
        """
        One that grows: in per cent of the median, or in time.
        """
        slower = lambda minute: {"latency": 0.1 + minute / 1000}  # noqa: E731
        for text, passed, actual in (
            ("drift(p99(transaction)) < 2%/h", False, "54.8%/h (p < 0.0001, 20 minutes)"),
            ("drift(p99(transaction)) < 60 %/h", True, "54.8%/h (p < 0.0001, 20 minutes)"),
            ("drift(p99(transaction)) < 1ms/h", False, "60 ms/h (p < 0.0001, 20 minutes)"),
            ("drift(p99(transaction)) > -2%/h", True, "54.8%/h (p < 0.0001, 20 minutes)"),
        ):
            found, early = outcome(text, slower)
            self.assertEqual((found.passed, found.actual), (passed, actual), text)
            self.assertEqual(early, None if passed else found)

    def test_rate(self):
        """
        One that falls.
        """
        falling = lambda minute: {"accepted": 1000 - minute}  # noqa: E731
        for text, passed in (
            ("drift(rate) > -2%/h", False),
            ("drift(rate) < 2%/h", True),
            ("drift(rate) > -2/s/h", True),
            ("drift(rate) == 0%/h", False),
            ("drift(rate) != 0%/h", True),
            ("drift(rate) < 2%/h and drift(rate) > -2%/h", False),
        ):
            self.assertEqual(outcome(text, falling)[0].passed, passed, text)

    def test_errors(self):
        """
        What is counted is in per cent of the messages, so it may have been 0.
        """
        found, _ = outcome("drift(errors) < 1%/h", lambda minute: {"accepted": 1000 - minute, "rejected": minute})
        self.assertEqual((found.passed, found.actual), (False, "6%/h (p < 0.0001, 20 minutes)"))
        self.assertTrue(outcome("drift(errors) < 1%/h", lambda minute: {})[0].passed)

    def test_watched(self):
        """
        A figure that is watched, whatever its name is; without one nothing is passed.
        """
        name = "prometheus:http://[::1]:9/m?a=b#this and (that)"
        growing = lambda minute: {"watched": {name: 1e8 + 1e6 * minute}}  # noqa: E731
        found, _ = outcome(f"drift(watched({name})) < 10M/h and drift(rate) < 2%/h", growing)
        self.assertAlmostEqual(found.value, 6e7)
        self.assertIn("60000000/h", found.actual)
        self.assertTrue(outcome(f"drift(watched({name})) < 100M/h", growing)[0].passed)
        found, early = outcome("drift(watched(pid:1 rss)) < 2%/h", growing)
        expected = "watched(pid:1 rss) is known of 0 windows, and a drift needs 10"
        self.assertEqual((found.passed, found.actual, found.value, early), (False, expected, None, None))

    def test_chance(self):
        """
        A slope that may be chance is no drift, whatever it is.
        """
        found, early = outcome("drift(p99(transaction)) < 2%/h", lambda minute: {"latency": 0.1 + minute * 7 % 5 / 100})
        self.assertTrue(found.passed)
        self.assertRegex(found.actual, r"^-?[0-9.]+%/h \(not significant: p = [0-9.]+, 20 minutes\)$")
        self.assertIsNone(early)
        self.assertFalse(outcome("drift(rate) > 2%/h", lambda minute: {})[0].passed)
        self.assertIsNone(outcome("drift(rate) > 2%/h", lambda minute: {})[1])

    def test_early(self):
        """
        What is more than chance at the end of a run is too little to end it before: it is looked at each minute.
        """
        course = lambda minute: {"latency": 0.1 + minute / 1000 + minute * 7 % 5 / 250}  # noqa: E731
        found, early = outcome("drift(p99(transaction)) < 2%/h", course)
        self.assertRegex(found.actual, r"h \(p = 0\.00[0-9]+, 20 minutes\)$")
        self.assertEqual((found.passed, early), (False, None))
        found, early = outcome("drift(p99(transaction)) < 2%/h", course, 40)
        self.assertEqual((found.passed, early), (False, found))

    def test_zero(self):
        """
        Of 0 there are no per cent.
        """
        course = lambda minute: {"watched": {"balance": minute - 10.0}}  # noqa: E731
        found, _ = outcome("drift(watched(balance)) < 2%/h", course, 21)
        self.assertFalse(found.passed)
        self.assertRegex(found.actual, r"^its median is 0, of which there are no per cent: 60/h \(p ")
        self.assertTrue(outcome("drift(watched(queue)) < 2%/h", lambda minute: {"watched": {"queue": 0.0}})[0].passed)

    def test_negative(self):
        """
        A figure below 0 that grows has not fallen.
        """
        course = lambda minute: {"watched": {"balance": minute - 1000.0}}  # noqa: E731
        for text, passed in (("< 2%/h", False), ("> -2%/h", True)):
            found, _ = outcome(f"drift(watched(balance)) {text}", course)
            self.assertEqual((found.passed, found.actual), (passed, "6.06%/h (p < 0.0001, 20 minutes)"), text)

    def test_short(self):
        """
        A run that is too short has failed, and says why; but not before its end.
        """
        found, early = outcome("drift(rate) < 2%/h", lambda minute: {}, 9)
        expected = "a drift needs at least 10 minutes, and there were 9"
        self.assertEqual((found.passed, found.actual, early), (False, expected, None))

    def test_wrong(self):
        """
        What is no comparison of a drift.
        """
        for text, expected in (
            ("drift(lost) < 2%/h", "expected drift() of rate, of a latency such as p99(message), of messages that"),
            ("drift(asked) < 2%/h", "expected drift() of rate, "),
            ("drift(watched()) < 2%/h", "expected drift() of rate, "),
            ("drift(p99(foo)) < 2%/h", "expected a phase, one of connect, "),
            ("drift(rate) => 2%/h", "expected one of <, <=, >, >=, ==, != after drift(rate), not '=>'"),
            ("drift(rate) < 2%", "expected a change in an hour after drift(rate) <, such as 2%/h or -2%/h, not '2%'"),
            ("drift(rate) < -", "expected a change in an hour after drift(rate) <, such as 2%/h or -2%/h, not '-'"),
            ("drift(errors) < 5/h", "expected a change in an hour after drift(errors) <, such as 2%/h or -2%/h"),
            ("drift(p99(mail)) < 2s", "expected a change in an hour after drift(p99(mail)) <, such as 2%/h or 1ms/h"),
            ("drift(rate)", "expected a comparison such as "),
        ):
            error = self.assertRaises(ValueError, parse, text)
            self.assertTrue(str(error).startswith(expected), f"{text}: {error}")


class PlanTests(SynchronousTestCase):
    """
    Runs in which no drift can be seen.
    """

    def check(self, expected, **settings):
        error = self.assertRaises(ValueError, SourcePlan, destination="localhost", **settings)
        self.assertEqual(str(error), expected)

    def test_tooShort(self):
        """
        Of some minutes.
        """
        text = "drift(rate) < 2%/h"
        needs = f"thresholds: {text!r} is not usable: a drift needs at least 10 minutes, and"
        self.check(f"{needs} duration measures 599 seconds", thresholds=[text], duration=599)
        stages = ((0, 1), (700, 1))
        self.check(f"{needs} stages measures 500 seconds", thresholds=[text], stages=stages, warmUp=200)
        SourcePlan(destination="localhost", thresholds=[text], duration=600)
        SourcePlan(destination="localhost", thresholds=[text], messageCount=5)

    def test_search(self):
        """
        With many rates.
        """
        self.check(
            "findRate: 'drift(rate) < 2%/h' is not usable: a drift is of minutes with the same load, and this tries "
            "many rates",
            findRate="drift(rate) < 2%/h",
        )

    def test_schedule(self):
        """
        What only a schedule has needs one.
        """
        self.check(
            "thresholds: 'drift(p99(response)) < 2%/h' is not usable: expected rate or stages along with it",
            thresholds=["drift(p99(response)) < 2%/h"],
        )


class Tiring(SlowFactory):
    """
    A server that takes a little longer for each message.
    """

    def __init__(self, reactor, each, more):
        """
        @param each: seconds that the first message takes.
        @param more: how many more each other one takes.
        """
        super().__init__(reactor, 1 / each)
        self._more = more

    def work(self, done):
        self._each += self._more
        super().work(done)


class RunTests(SynchronousTestCase):
    """
    Runs of some minutes.
    """

    def run_(self, more, **settings):
        """
        @return: the summary of a run of a message a second.
        """
        reactor = FakeReactor()
        plan = SourcePlan(sessionCount=3, keepConnections=True, rate=1.0, **settings)
        return runInMemory(plan, Tiring(reactor, 0.1, more), reactor=reactor)

    def test_drifts(self):
        """
        A server that becomes slower: the threshold fails at the end, and all reports say why.
        """
        texts = ("drift(p99(response)) < 2%/h", "drift(rate) > -2%/h")
        summary = self.run_(0.0001, duration=720.0, warmUp=30.0, thresholds=texts)
        self.assertEqual([one.passed for one in summary.thresholds], [False, True])
        self.assertEqual((summary.exit, summary.ended), (3, "done"))
        drift = summary.drift["p99(response)"]
        self.assertEqual((drift.windows, drift.isSignificant), (12, True))
        # 3600 messages in an hour, each of which takes 0.1 ms longer.
        self.assertLess(abs(drift.perHour - 0.36), 0.02)
        self.assertFalse(summary.drift["rate"].isSignificant)
        self.assertNotIn("\ndrift", render(summary))
        text = render(replace(summary, thresholds=()))
        self.assertRegex(text, r"\ndrift +p99\(response\) has grown by 254% an hour \(p = 0.000., 12 minutes\)\n")
        self.assertNotIn("drift        rate", text)
        self.assertEqual(summaryFrom(documentOf(summary)).drift, summary.drift)

    def test_steady(self):
        """
        One that stays as it is: nothing is said but in the report.
        """
        summary = self.run_(0.0, duration=660.0, thresholds=("drift(p99(response)) < 2%/h",))
        self.assertEqual(summary.exit, 0)
        self.assertEqual(set(summary.drift), {"rate", "p99(response)", "errors"})
        self.assertNotIn("\ndrift ", render(summary))

    def test_aborted(self):
        """
        With C{abortOnThreshold} the run ends as soon as the drift is far more than chance.
        """
        text = "drift(p99(response)) < 2%/h"
        summary = self.run_(0.0001, duration=7200.0, thresholds=(text,), abortOnThreshold=True)
        self.assertEqual(summary.ended, "aborted")
        self.assertIn(f"threshold {text!r} failed: ", summary.reason)
        self.assertTrue(600 <= summary.elapsed < 1800, summary.elapsed)

    def test_short(self):
        """
        A run of less than ten minutes has nothing of it.
        """
        self.assertEqual(self.run_(0.0, duration=300.0).drift, {})

    def test_stopped(self):
        """
        One that is stopped has what is known by then.
        """
        reactor = FakeReactor()
        reactor.server = Tiring(reactor, 0.1, 0.0001)
        plan = SourcePlan(destination="127.0.0.1:25", keepConnections=True, rate=1.0, duration=7200.0)
        service = SourceService(reactor, plan, clock=reactor.seconds)
        service.startService()
        reactor.pump([0.25] * 4 * 661)
        service.stopService()
        reactor.pump([0.25] * 40)
        self.assertEqual(self.successResultOf(service.whenDone()).drift["p99(response)"].windows, 11)
