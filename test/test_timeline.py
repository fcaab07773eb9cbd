"""
Tests for L{smtpsource.measure.timeline} and L{smtpsource.measure.step}.
"""

from __future__ import annotations

import time
from math import floor, log10
from unittest import mock

from hypothesis import strategies as st
from properties import given, settings
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.measure import timeline as timeline_
from smtpsource.measure.counters import Counters
from smtpsource.measure.frame import Frame
from smtpsource.measure.histogram import HIGHEST_MICROSECONDS, indexOf, lowestOf, percentilesOf
from smtpsource.measure.step import PERCENTILES, Step, joined, rowOf, stepOf
from smtpsource.measure.timeline import LIMIT, Timeline, tableOf
from smtpsource.phases import MAIL, NAMES, TRANSACTION

#: Buckets of a frame.
BUCKETS = st.dictionaries(
    st.one_of(st.integers(0, 3000), st.integers(0, indexOf(HIGHEST_MICROSECONDS))), st.integers(1, 1 << 40), max_size=12
)

#: What happened in a second: latencies, replies, errors, what was watched.
SECONDS = st.tuples(
    BUCKETS,
    st.dictionaries(st.sampled_from(["250", "451"]), st.integers(1, 9)),
    st.dictionaries(st.sampled_from(["timeout"]), st.integers(1, 9)),
    st.dictionaries(st.sampled_from(["rss", "queue"]), st.floats(0, 1e9)),
)


def frame(number, buckets=None, replies=None, errors=None, watched=None, phases=(TRANSACTION,), seconds=1.0):
    """
    @return: a second of a run, in which this happened in each of these phases.
    """
    tallies = {code: (count, f"{code} text") for code, count in (replies or {}).items()}
    return Frame(
        number=number,
        epoch=0,
        at=number + seconds,
        seconds=seconds,
        counters=Counters(),
        buckets=[dict(buckets or {}) if phase in phases else {} for phase in range(len(NAMES))],
        replies=[tallies if phase == MAIL else {} for phase in range(len(NAMES))],
        errors={kind: (count, "text") for kind, count in (errors or {}).items()},
        watched=watched or {},
    )


def total(those):
    """
    @return: mappings as one.
    """
    found = {}
    for one in those:
        for key, count in one.items():
            found[key] = found.get(key, 0) + count
    return found


class StepTests(SynchronousTestCase):
    """
    What is kept of a second, or of some.
    """

    def test_rows(self):
        """
        Each row of a heat map has latencies from 10**(r/8) microseconds on.
        """
        for index in range(indexOf(HIGHEST_MICROSECONDS) + 1):
            self.assertEqual(rowOf(index), floor(8 * log10(max(1, lowestOf(index))) + 1e-9), index)

    @given(SECONDS)
    def test_encoded(self, second):
        """
        A step is the same again when it was encoded; a frame as a step says exactly what the frame says.
        """
        step = stepOf(frame(0, *second))
        self.assertEqual(Step.decode(step.encode()), step)
        buckets, replies, errors, watched = second
        self.assertEqual(step.phases.keys(), {TRANSACTION} if buckets else set())
        for spread in step.phases.values():
            self.assertEqual(list(spread.figures), percentilesOf(buckets, tuple(PERCENTILES.values())))
            rows = total([{rowOf(index): count} for index, count in buckets.items()])
            self.assertEqual((spread.total, spread.heat), (sum(buckets.values()), rows))
        self.assertEqual((step.replies.get(MAIL, {}), step.errors, step.watched), (replies, errors, watched))

    @given(st.lists(BUCKETS, min_size=1, max_size=5))
    def test_joined(self, seconds):
        """
        Of steps that are joined, in whatever order, percentiles are no lower than those of all latencies together, and
        less than 1 per cent higher, or a microsecond; all else is exact.
        """
        steps = [stepOf(frame(number, buckets)) for number, buckets in enumerate(seconds)]
        buckets = total(seconds)
        exact = stepOf(frame(len(seconds) - 1, buckets))
        for both in (joined(steps), joined([joined(steps[:1]), *([joined(steps[1:])] if steps[1:] else [])])):
            self.assertEqual((both.at, both.phases.keys()), (exact.at, exact.phases.keys()))
            for phase, spread in both.phases.items():
                wanted = exact.phases[phase]
                self.assertEqual((spread.total, spread.heat), (wanted.total, wanted.heat))
                self.assertEqual(spread.figures[-1], wanted.figures[-1])
                for found, figure in zip(spread.figures, wanted.figures, strict=True):
                    self.assertGreaterEqual(found, figure)
                    self.assertLess(found, figure * 1.01 + 1e-6)


class TimelineTests(SynchronousTestCase):
    """
    A whole run, however long.
    """

    @given(st.lists(SECONDS, max_size=90), st.sampled_from([2, 4, 8, 14]), st.integers(1, 40))
    @settings(max_examples=60)
    def test_any(self, seconds, limit, often):
        """
        Whatever the number of seconds and whoever looks meanwhile: there are no more steps than the limit, they are of
        one length but for the last, follow each other without a gap, and have together all that was in the frames.
        """
        timeline = Timeline(limit)
        for number, second in enumerate(seconds):
            timeline.add(frame(number, *second))
            if number % often == 0:
                self.assertEqual(timeline.steps[-1].at, number + 1)
        steps = timeline.steps
        self.assertLessEqual(len(steps), limit)
        self.assertEqual(steps, timeline.steps)
        ends = [step.at for step in steps]
        lengths = [end - start for start, end in zip([0.0, *ends], ends, strict=False)]
        self.assertEqual(lengths[:-1], lengths[:1] * len(lengths[:-1]))
        self.assertLessEqual(lengths[-1:], lengths[:1])
        self.assertEqual(ends[-1:], [float(len(seconds))] if seconds else [])
        heat = total(step.phases[TRANSACTION].heat for step in steps if TRANSACTION in step.phases)
        self.assertEqual(heat, total({rowOf(i): n} for buckets, *_ in seconds for i, n in buckets.items()))
        self.assertEqual(total(step.errors for step in steps), total(errors for _, _, errors, _ in seconds))
        self.assertEqual(
            total(step.replies.get(MAIL, {}) for step in steps), total(replies for _, replies, *_ in seconds)
        )
        place = 0
        for step, end in zip(steps, ends, strict=True):
            those, place = seconds[place : int(end)], int(end)
            buckets = total(buckets for buckets, *_ in those)
            self.assertEqual(TRANSACTION in step.phases, bool(buckets))
            if buckets:
                for found, wanted in zip(
                    step.phases[TRANSACTION].figures, percentilesOf(buckets, (50, 95, 99, 100)), strict=True
                ):
                    self.assertGreaterEqual(found, wanted)
                    self.assertLess(found, wanted * 1.01 + 1e-6)
            self.assertEqual(step.watched, {name: value for *_, watched in those for name, value in watched.items()})

    def test_spread(self):
        """
        Where there are more steps than the limit, they don't become half as many all at once: in no second are more
        than two pairs joined, one of steps and one of frames.
        """
        timeline, joins = Timeline(40), []
        real = timeline_.joined
        with mock.patch.object(timeline_, "joined", lambda steps: (joins.append(len(steps)), real(steps))[1]):
            for number in range(1000):
                del joins[:]
                timeline.add(frame(number, {100: 1}))
                self.assertLessEqual(len(joins), 2)
                self.assertLessEqual(sum(joins), 7)

    def test_cheap(self):
        """
        A long run in which latencies are spread over hundreds of buckets takes less than 10 MB, and becomes a table in
        less than a second; a second of it takes a few milliseconds. (Of CPU: others may be busy.)
        """
        timeline, least = Timeline(), 1.0
        some = [{100 + (n * n * 7 + k * 13) % 4000: 1 + n % 40 for n in range(300)} for k in range(7)]
        for number in range(3 * LIMIT):
            one = frame(number, some[number % 7], {"250": 9}, {}, {"rss": 1e8}, range(8))
            before = time.thread_time()
            timeline.add(one)
            least = min(least, time.thread_time() - before)
        self.assertLess(least, 0.01)
        self.assertLess(sum(map(len, timeline._joined + timeline._toJoin + timeline._steps)), 10 << 20)
        best = 10.0
        for _ in range(3):
            before = time.thread_time()
            table = tableOf(timeline.steps)
            best = min(best, time.thread_time() - before)
        self.assertLess(best, 1.0)
        wanted = sum(sum(some[number % 7].values()) for number in range(3 * LIMIT))
        self.assertEqual(sum(table["phases"][NAMES[0]]["count"]), wanted)


class TableTests(SynchronousTestCase):
    """
    What a report has of it.
    """

    def test_table(self):
        """
        A list with an entry for each step, in which there is something for each of them.
        """
        frames = [
            frame(0, {1000: 98, 1500: 2}, {"250": 100}, {}, {"rss": 5.0}),
            frame(1, {}, {}, {"timeout": 3}, {}),
            frame(2, {10: 1}, {"451": 1}, {}, {"queue": 7.0}, seconds=0.25),
        ]
        timeline = Timeline()
        for each in frames:
            timeline.add(each)
        table = tableOf(timeline.steps)
        self.assertEqual(
            table,
            {
                "time": [1.0, 2.0, 2.25],
                "phases": {
                    "transaction": {
                        "count": [100, 0, 1],
                        "p50": [0.001, None, 1e-05],
                        "p95": [0.001, None, 1e-05],
                        "p99": [0.0015, None, 1e-05],
                        "max": [0.0015, None, 1e-05],
                        "heat": [[24, 98, 25, 2], [], [8, 1]],
                    }
                },
                "replies": {"mail": {"250": [100, 0, 0], "451": [0, 0, 1]}},
                "errors": {"timeout": [0, 3, 0]},
                "watched": {"queue": [None, None, 7.0], "rss": [5.0, None, None]},
            },
        )
        self.assertEqual(tableOf([stepOf(frame) for frame in frames]), table)

    def test_nothing(self):
        """
        A run of no time has a table, too.
        """
        nothing = {"time": [], "phases": {}, "replies": {}, "errors": {}, "watched": {}}
        self.assertEqual(tableOf(Timeline().steps), nothing)
