"""
Tests for L{smtpsource.measure.counters}: whatever is declared there goes all the way to the report.
"""

from __future__ import annotations

import dataclasses
import json

from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from properties import given, settings
from results import Run, example
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.measure.counters import COUNTERS, COUNTS, GAUGES, Counters
from smtpsource.measure.frame import Frames
from smtpsource.measure.recorder import Recorder
from smtpsource.measure.series import COUNTED, Series
from smtpsource.measure.snapshot import take
from smtpsource.measure.summary import countsOf
from smtpsource.report.document import documentOf
from smtpsource.report.prometheus import RunCollector
from smtpsource.report.reading import summaryOf
from smtpsource.tools.merging import merge

#: What is known while a run goes on, and is in no report.
PASSING = ("takenBack", "open")

NUMBERS = st.integers(0, 10**12)
counters = st.builds(Counters, **dict.fromkeys(COUNTERS, NUMBERS))
reported = st.builds(Counters, **dict.fromkeys([name for name in COUNTERS if name not in PASSING], NUMBERS))


def recorded(counters):
    """
    @return: a recorder that has counted this.
    """
    recorder = Recorder()
    for name in COUNTERS:
        setattr(recorder, name, getattr(counters, name))
    return recorder


class CountersTests(SynchronousTestCase):
    """
    What is counted.
    """

    def test_declared(self):
        """
        Each is said to be something, and is either a count or a gauge.
        """
        self.assertEqual([], [name for name in COUNTERS if f"@ivar {name}: " not in Counters.__doc__])
        self.assertEqual(sorted(COUNTERS), sorted([*COUNTS, *GAUGES]))
        self.assertEqual(Counters(), Counters(*(0 for _ in COUNTERS)))

    @given(counters, counters)
    def test_arithmetic(self, one, other):
        """
        What is added can be taken away; of a gauge the last value is kept.
        """
        both = one + other
        for name in COUNTERS:
            self.assertEqual(getattr(both, name), getattr(one, name) + getattr(other, name), name)
        self.assertEqual(both - other, dataclasses.replace(one, **{name: getattr(both, name) for name in GAUGES}))
        self.assertEqual(one + Counters(), one)

    @given(counters)
    def test_copy(self, one):
        """
        A copy stays what it is.
        """
        recorder = recorded(one)
        copy = recorder.copy()
        for name in COUNTERS:
            setattr(recorder, name, -1)
        self.assertEqual(copy, one)

    @given(counters)
    def test_restart(self, one):
        """
        All counts begin anew, but for the messages that are on their way; gauges stay.
        """
        recorder = recorded(one)
        inFlight = recorder.inFlight
        recorder.restart()
        kept = {name: getattr(one, name) for name in GAUGES}
        self.assertEqual(recorder.copy(), Counters(started=inFlight, **kept))


class WayTests(SynchronousTestCase):
    """
    Where a counter has to arrive.
    """

    @given(counters, counters)
    def test_snapshots(self, first, then):
        """
        The difference of two snapshots has all of them.
        """
        earlier, later = take(recorded(first), 1.0, None), take(recorded(first + then), 3.0, None)
        self.assertEqual(later.since(earlier).counters, (first + then) - first)

    @given(st.lists(counters, min_size=1, max_size=12), st.sampled_from([2, 4, 100]))
    def test_series(self, steps, limit):
        """
        The samples add up to all that was counted, however many seconds became one; a gauge is that of the last one.
        """
        series, total, recorder = Series(limit=limit), Counters(), Recorder()
        frames = Frames(recorder)
        for number, step in enumerate(steps, 1):
            total += step
            for name in COUNTERS:
                setattr(recorder, name, getattr(total, name))
            series.add(frames.cut(take(recorder, float(number), None)))
        samples = series.samples
        for name in COUNTED:
            values = [getattr(sample, name) for sample in samples]
            self.assertEqual(values[-1] if name in GAUGES else sum(values), getattr(total, name), name)

    @given(reported)
    @settings(max_examples=50)
    def test_report(self, one):
        """
        What was counted is in the summary, in the report, and in what is made of that again.
        """
        summary = example(**countsOf(recorded(one)))
        self.assertEqual(summary.counters(), one)
        self.assertEqual(summary.figures().counters, one)
        again = summaryOf(json.loads(json.dumps(documentOf(summary))))
        self.assertEqual(again.counters(), one)
        self.assertEqual(again, summary)

    @given(st.lists(reported, min_size=1, max_size=4))
    @settings(max_examples=50)
    def test_merged(self, those):
        """
        Of runs side by side all are added.
        """
        merged = merge([example(**countsOf(one)) for one in those])
        self.assertEqual(merged.counters(), sum(those, Counters()))

    def test_prometheus(self):
        """
        Each is in one of the metrics.
        """
        run = Run()
        for number, name in enumerate(COUNTERS):
            setattr(run.recorder, name, 1000 + number**2)
        registry = CollectorRegistry()
        registry.register(RunCollector(run))
        text = generate_latest(registry).decode()
        accepted = run.recorder.accepted + run.recorder.takenBack
        for name in COUNTERS:
            value = accepted if name in ("accepted", "takenBack") else getattr(run.recorder, name)
            self.assertRegex(text, rf"(?m)^smtpsource_\S+ {value}\.0$", name)
