"""
Tests for L{smtpsource.tools.merging}.
"""

from __future__ import annotations

import json

from hypothesis import strategies as st
from properties import given, settings
from results import ADDRESSES, EVERYTHING, JUDGED, example, latencies, second
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.measure.counters import AddressCounts
from smtpsource.measure.judgement import Judgement
from smtpsource.measure.marks import Mark
from smtpsource.measure.summary import Messages, Tally
from smtpsource.measure.thresholds import Outcome
from smtpsource.report.document import documentOf
from smtpsource.report.reading import summaryOf
from smtpsource.report.schema import problems
from smtpsource.tools.merging import merge, mergedSeries


def at(seconds):
    """
    @return: that many seconds after a certain midnight.
    """
    return f"2026-01-02T00:00:{seconds:06.3f}+00:00"


def timeline(*times, **phases):
    """
    @return: a timeline with steps that end then, and these figures of a phase: all percentiles are the same.
    """
    return {
        "time": list(times),
        "phases": {
            phase: {
                "count": [count for count, *_ in steps],
                **{name: [figure for _, figure, _ in steps] for name in ("p50", "p95", "p99", "max")},
                "heat": [heat for *_, heat in steps],
            }
            for phase, steps in phases.items()
        },
        "replies": {},
        "errors": {},
        "watched": {},
    }


class TimelineTests(SynchronousTestCase):
    """
    The timelines and the marks of several runs.
    """

    def merged(self, *runs):
        """
        @return: the report of runs that have begun so many seconds after a certain midnight.
        """
        report = documentOf(merge([example(started=at(begin), **values) for begin, values in runs]))
        self.assertEqual(list(problems(report)), [])
        self.assertEqual(documentOf(summaryOf(report)), report)
        return report

    def test_beside(self):
        """
        Steps of the same time are added up, but of percentiles the highest is kept; a run that began later is later.
        """
        first = timeline(1.0, 2.0, mail=[(5, 0.5, [20, 5]), (1, 0.25, [8, 1])])
        first |= {"errors": {"timeout": [1, 0]}, "watched": {"rss": [1.0, 2.0]}}
        second = timeline(
            1.0, 2.0, mail=[(2, 0.75, [8, 1, 21, 1]), (0, None, [])], rcpt=[(0, None, []), (1, 0.5, [9, 1])]
        )
        second |= {"replies": {"mail": {"250": [2, 0], "451": [0, 1]}}, "watched": {"rss": [None, 7.0], "fds": [3, 4]}}
        table = self.merged((10, {"timeline": first}), (11.2, {"timeline": second}))["timeline"]
        highest = [0.5, 0.75, None]
        self.assertEqual(
            table,
            {
                "time": [1.0, 2.0, 3.0],
                "phases": {
                    "mail": {
                        "count": [5, 3, 0],
                        **dict.fromkeys(("p50", "p95", "p99", "max"), highest),
                        "heat": [[20, 5], [8, 2, 21, 1], []],
                    },
                    "rcpt": {
                        "count": [0, 0, 1],
                        **{name: [None, None, 0.5] for name in ("p50", "p95", "p99", "max")},
                        "heat": [[], [], [9, 1]],
                    },
                },
                "replies": {"mail": {"250": [0, 2, 0], "451": [0, 0, 1]}},
                "errors": {"timeout": [1, 0, 0]},
                "watched": {"fds": [None, 3, 4], "rss": [1.0, 2.0, 7.0]},
            },
        )

    def test_lengths(self):
        """
        If the steps of one run are longer, so are those of all; nothing is lost.
        """
        long = timeline(4.0, 8.0, 9.0, mail=[(4, 0.1, [8, 4]), (4, 0.1, [8, 4]), (1, 0.1, [8, 1])])
        short = timeline(*map(float, range(1, 10)), mail=[(1, 0.2, [9, 1])] * 9)
        table = self.merged((0, {"timeline": long}), (0, {"timeline": short}))["timeline"]
        self.assertEqual(table["time"], [4.0, 8.0, 9.0])
        self.assertEqual(table["phases"]["mail"]["count"], [8, 8, 2])
        self.assertEqual(table["phases"]["mail"]["heat"], [[8, 4, 9, 4], [8, 4, 9, 4], [8, 1, 9, 1]])

    def test_unknown(self):
        """
        Reports of earlier versions have no timeline; then there is none of all. Those of no time have one.
        """
        self.assertNotIn("timeline", self.merged((0, {"timeline": timeline(1.0)}), (0, {})))
        self.assertEqual(
            self.merged((0, {"timeline": timeline()}), (1, {"timeline": timeline()}))["timeline"], timeline()
        )

    def test_marks(self):
        """
        The marks of all runs are there, in order, at the time that they have in the series of all.
        """
        found = self.merged(
            (10, {"marks": (Mark(-1.0, "a"), Mark(5.0, "b", "command", 1, 0.5, "no"))}),
            (13.1, {"marks": (Mark(1.5, "c"),)}),
        )["marks"]
        self.assertEqual([(mark["at"], mark["text"]) for mark in found], [(-1.0, "a"), (4.5, "c"), (5.0, "b")])
        self.assertEqual((found[2]["status"], found[2]["output"]), (1, "no"))

    def test_watched(self):
        """
        What runs have watched is in the series of all.
        """
        series = [(second(1, watched={"rss": 1.0}), second(2)), (second(1, watched={"rss": 2.0, "fds": 3.0}),)]
        found = self.merged(*((0, {"series": each}) for each in series))["series"]
        self.assertEqual([sample.get("watched") for sample in found], [{"rss": 2.0, "fds": 3.0}, None])


class MergeTests(SynchronousTestCase):
    """
    Runs that went on side by side, as one.
    """

    def test_counts(self):
        """
        Everything that is counted is added.
        """
        first = example(messages=Messages(10, 7, 2, 1), tls={"a": 1, "b": 2})
        second = example(
            messages=Messages(100, 70, 20, 10),
            tls={"b": 3},
            replies={"quit": {"221": Tally(5, "bye")}, "mail": {"250": Tally(4, "fine"), "451": Tally(1, "no")}},
            errors={"timeout": Tally(2, "later"), "connection-lost": Tally(1, "gone")},
            late=1,
            dropped=2,
        )
        both = merge([first, second])
        self.assertEqual(both.messages, Messages(110, 77, 22, 11))
        self.assertEqual((both.recipientsAccepted, both.recipientsRejected), (8, 10))
        self.assertEqual((both.connectionsOpened, both.connectionsFailed, both.connectionsLost), (12, 14, 16))
        self.assertEqual((both.bytesSent, both.bytesReceived, both.late, both.dropped), (6_000_000, 1800, 1, 2))
        self.assertEqual((both.user, both.system), (0.5, 1.0))
        self.assertEqual(both.tls, {"a": 1, "b": 5})
        self.assertEqual(list(both.replies), ["mail", "message", "quit"])
        self.assertEqual(both.replies["mail"], {"250": Tally(5, "250 ok"), "451": Tally(1, "no")})
        self.assertEqual(both.errors, {"connection-lost": Tally(1, "gone"), "timeout": Tally(3, "no reply")})

    @given(st.lists(st.lists(st.floats(1e-6, 3000), max_size=30), min_size=1, max_size=4))
    @settings(deadline=None, max_examples=30)
    def test_latencies(self, parts):
        """
        All figures of the latencies are those of one run with all messages, even when each part has gone through a
        report.
        """
        runs = [summaryOf(json.loads(json.dumps(documentOf(example(**latencies(*part)))))) for part in parts]
        both, whole = merge(runs), latencies(*(each for part in parts for each in part))
        self.assertEqual(both.latency, whole["latency"])
        self.assertEqual(both.buckets, whole["buckets"])

    def test_time(self):
        """
        The time is that in which any of them ran, and the rate is over that.
        """
        for intervals, elapsed in (
            ([(0, 10)], 10),
            ([(0, 10), (0, 10)], 10),
            ([(0, 10), (5, 10)], 15),
            ([(5, 10), (0, 10)], 15),
            ([(0, 10), (2, 3)], 10),
            ([(0, 10), (20, 5)], 15),
            ([(0, 0)], 0),
        ):
            runs = [example(started=at(begin), elapsed=float(length)) for begin, length in intervals]
            both = merge(runs)
            self.assertApproximates(both.elapsed, elapsed, 1e-6, intervals)
            self.assertApproximates(both.rate, len(runs) / elapsed if elapsed else 0.0, 1e-6)
            self.assertEqual(both.started, at(0))

    def test_zones(self):
        """
        Machines may be in different time zones.
        """
        here, there = "2026-01-02T12:00:00+00:00", "2026-01-02T14:00:01+02:00"
        both = merge([example(started=there, elapsed=2.0), example(started=here, elapsed=2.0)])
        self.assertEqual((both.started, both.elapsed), (here, 3.0))

    def test_warmUp(self):
        """
        Time begins with measuring, when the warm-up is over; what it counted is added.
        """
        warmUp = {"seconds": 5.0, "accepted": 100, "rejected": 1, "failed": 2}
        runs = [example(started=at(0), warmUp=warmUp), example(started=at(4), warmUp={**warmUp, "seconds": 1.0})]
        both = merge([*runs, example(started=at(5))])
        self.assertEqual(both.warmUp, {"seconds": 5.0, "accepted": 200, "rejected": 2, "failed": 4})
        self.assertEqual((both.started, both.elapsed), (at(0), 2.0))
        self.assertIs(merge([example()]).warmUp, None)

    def test_schedules(self):
        """
        What the schedules asked for is added, and its rate is over the time of any of them. If one has none, there is
        no rate that was asked for.
        """
        runs = [example(asked=500.0, askedRate=100.0, elapsed=9.0, started=at(begin)) for begin in (0, 0, 2)]
        both = merge(runs)
        self.assertEqual(both.asked, 1500.0)
        self.assertApproximates(both.askedRate, 1500 / 7, 1e-6)
        both = merge([*runs, example()])
        self.assertEqual((both.asked, both.askedRate), (None, None))

    def test_ends(self):
        """
        It ended as well as the worst of them did; as in a run, a threshold that failed comes before all else.
        """
        for ends, ended in (
            ([(0, "done", None), (0, "done", None)], (0, "done", None)),
            ([(0, "done", None), (3, "done", None)], (3, "done", None)),
            ([(1, "signal", None), (3, "done", None)], (3, "signal", None)),
            ([(1, "signal", None), (1, "aborted", "refused")], (1, "aborted", "refused")),
        ):
            runs = [example(exit=status, ended=how, reason=reason) for status, how, reason in ends]
            both = merge(runs)
            self.assertEqual((both.exit, both.ended, both.reason), ended)

    def test_rest(self):
        """
        Outcomes and limits of each are kept; so are ids and what each ran on.
        """
        outcome = Outcome("late == 0", False, "4", 4.0)
        first = example(**EVERYTHING)
        second = example(
            started=first.started.replace("T03", "T04"),
            run="r2",
            seed=42,
            reactor="x.Other",
            limits=(*first.limits, "more"),
            thresholds=(outcome,),
        )
        both = merge([first, second])
        self.assertEqual(both.thresholds, (*first.thresholds, outcome))
        self.assertEqual(both.limits, (*first.limits, "more"))
        self.assertEqual((both.run, both.seed), ("r1,r2", 42))
        self.assertEqual(both.reactor, "twisted.internet.selectreactor.SelectReactor, x.Other")
        runs = both.environment["runs"]
        self.assertEqual([run["run"] for run in runs], ["r1", "r2"])
        self.assertEqual(
            (runs[0]["host"], runs[0]["command"], runs[1]["elapsed"]), ("load.example", ["smtp-source", "x"], 2.0)
        )
        self.assertIs(merge([first, example(seed=43)]).seed, None)

    def test_addresses(self):
        """
        Counts by address are added; what was a hint for one is one for all.
        """
        other = "inet:192.0.2.9:25"
        first = example(addresses=ADDRESSES, hints=("a",))
        second = example(addresses={**ADDRESSES, other: AddressCounts(1, 2, 3)}, hints=("b", "a"))
        both = merge([first, second])
        one, two = ADDRESSES
        expected = {one: AddressCounts(20, 0, 180), two: AddressCounts(0, 10, 0, "mx1.example")}
        self.assertEqual(both.addresses, {**expected, other: AddressCounts(1, 2, 3)})
        self.assertEqual(both.hints, ("a", "b"))

    def test_again(self):
        """
        What was merged can be merged with more: the result is that of all of them.
        """
        runs = [example(**{**EVERYTHING, "run": f"r{n}"}, started=at(n)) for n in range(3)]
        stepwise = merge([merge(runs[:2]), runs[2]])
        atOnce = merge(runs)
        self.assertEqual(stepwise.environment, atOnce.environment)
        self.assertEqual(
            (stepwise.latency, stepwise.messages, stepwise.run), (atOnce.latency, atOnce.messages, atOnce.run)
        )
        self.assertEqual((stepwise.started, stepwise.elapsed), (atOnce.started, atOnce.elapsed))
        self.assertEqual(list(problems(json.loads(json.dumps(documentOf(stepwise))))), [])

    def test_judgements(self):
        """
        What became of messages is added up; the verdict is the worst.
        """
        inconclusive = Judgement(
            verdict="inconclusive", reasons=("stopped",), sent=5, queued=5, duplicatedBy={"rule": 1}
        )
        good = Judgement(verdict="pass", drained=True, sent=3, delivered=3, backlogPeak=2, drain=4.0, duration=2.0)
        for runs, verdict, reasons, drained in (
            ([good, good], "pass", (), True),
            ([good, inconclusive], "inconclusive", ("stopped",), False),
            ([JUDGED, inconclusive, good], "fail", ("1 lost", "stopped"), False),
        ):
            both = merge([example(judgement=one) for one in (*runs, None)]).judgement
            self.assertEqual((both.verdict, both.reasons, both.drained), (verdict, reasons, drained))
        self.assertEqual((both.sent, both.delivered, both.lost, both.queued, both.ghosts), (28, 21, 1, 5, 1))
        self.assertEqual((both.duplicatedBy, both.backlogPeak), ({"rule": 1, "none": 2}, 14))
        self.assertEqual((both.drain, both.duration, both.anomalies), (4.0, 10.0, JUDGED.anomalies))
        self.assertIs(merge([example()]).judgement, None)

    def test_delivered(self):
        """
        So is what has arrived in a second, and what had not at its end.
        """
        first = [second(1, arrived=5, backlog=3), second(2, arrived=-1, backlog=4)]
        merged = mergedSeries([(0.0, first), (0.0, [second(1, arrived=2, backlog=1), second(2)])])
        self.assertEqual([(one.arrived, one.backlog) for one in merged], [(7, 4), (-1, 4)])


class SeriesTests(SynchronousTestCase):
    """
    The series of several runs.
    """

    def test_sideBySide(self):
        """
        Seconds of the same time are one: counts, connections and CPU time are added, of latencies and lag the highest
        one is kept.
        """
        first = [second(n, accepted=10, p99=0.1) for n in (1, 2)]
        others = [second(n, accepted=5, p99=0.4, p50=None, lag=0.25) for n in (1, 2)]
        found = mergedSeries([(1000.0, first), (1000.3, others)])
        self.assertEqual([(one.time, one.seconds) for one in found], [(1.0, 1.0), (2.0, 1.0)])
        self.assertEqual([(one.accepted, one.open, one.cpu) for one in found], [(15, 10, 0.5), (15, 10, 0.5)])
        self.assertEqual([(one.p50, one.p99, one.lag) for one in found], [(0.001, 0.4, 0.25)] * 2)

    def test_oneAfterTheOther(self):
        """
        A run that began later is where it was.
        """
        found = mergedSeries([(1000.0, [second(1), second(2)]), (1000.9, [second(1), second(2)])])
        self.assertEqual([(one.time, one.accepted) for one in found], [(1.0, 100), (2.0, 200), (3.0, 100)])

    def test_jitter(self):
        """
        Seconds that end a little late, or a short one at the end, stay what they are.
        """
        late = [second(1.004, seconds=1.004), second(2.1, seconds=1.096), second(2.4, seconds=0.3, accepted=30)]
        found = mergedSeries([(1000.0, [second(1), second(2), second(3)]), (1000.0, late)])
        self.assertEqual([one.accepted for one in found], [200, 200, 130])
        self.assertApproximates(found[0].seconds, 1.004, 1e-9)

    def test_lengths(self):
        """
        If the samples of one run are of several seconds, all become as long.
        """
        long = [second(n, seconds=4.0, accepted=400) for n in (4, 8)]
        found = mergedSeries([(1000.0, [second(n) for n in range(1, 9)]), (1000.0, long)])
        self.assertEqual([(one.time, one.seconds, one.accepted) for one in found], [(4.0, 4.0, 800), (8.0, 4.0, 800)])

    @given(
        st.lists(
            st.tuples(st.floats(0, 20), st.lists(st.tuples(st.floats(0.01, 3), st.integers(0, 99)), max_size=20)),
            min_size=1,
            max_size=4,
        )
    )
    @settings(deadline=None, max_examples=50)
    def test_nothingIsLost(self, runs):
        """
        However the seconds lie: every message is in exactly one sample, and these are in order.
        """
        series = []
        for start, samples in sorted(runs):
            time, made = 0.0, []
            for seconds, accepted in samples:
                time += seconds
                made.append(second(time, seconds=seconds, accepted=accepted))
            series.append((start, made))
        found = mergedSeries(series)
        self.assertEqual(sum(one.accepted for one in found), sum(n for _, samples in runs for _, n in samples))
        self.assertEqual([one.time for one in found], sorted(one.time for one in found))
