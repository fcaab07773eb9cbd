"""
Tests for L{smtpsource.measure.series} and L{smtpsource.measure.intervals}.
"""

from __future__ import annotations

import time
from unittest import mock

from hdrh.histogram import HdrHistogram
from hypothesis import strategies as st
from properties import given, settings
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.measure import series as series_
from smtpsource.measure.frame import Frames
from smtpsource.measure.histogram import LatencyRecorder
from smtpsource.measure.intervals import Intervals
from smtpsource.measure.recorder import Recorder
from smtpsource.measure.series import Sample, Series, joined
from smtpsource.measure.snapshot import take
from smtpsource.phases import CONNECT, NAMES, RESPONSE, TRANSACTION


def sample(time=1.0, **values):
    """
    @return: a second in which nothing happened but this.
    """
    usual = dict.fromkeys(Sample.__slots__, 0)
    unknown = dict.fromkeys(("asked", "p50", "p95", "p99", "max", "watched"))
    return Sample(**{**usual, "time": time, "seconds": 1.0, **unknown, **values})


class SeriesTests(SynchronousTestCase):
    """
    What happened in each second.
    """

    def setUp(self):
        self.count()

    def count(self):
        """
        Count anew.
        """
        self.recorder = Recorder()
        self.frames = Frames(self.recorder)

    def add(self, series, at, asked=None, cpu=0.5, lag=0.001):
        seconds = at - (series.samples[-1].time if series.samples else 0.0)
        return series.add(self.frames.cut(take(self.recorder, at, asked), cpu=(cpu * seconds, 0.0), lag=lag))

    def test_first(self):
        """
        The first sample is about all since the beginning.
        """
        recorder = self.recorder
        recorder.started, recorder.rejected, recorder.failed, recorder.late, recorder.dropped = 7, 1, 2, 3, 4
        recorder.open, recorder.bytesSent, recorder.bytesReceived = 5, 600, 70
        for milliseconds in (1, 2, 3, 100):
            recorder.transaction(milliseconds / 1000, 1)
        self.assertEqual(
            self.add(Series(), 1.25, 8.0),
            Sample(
                time=1.25,
                seconds=1.25,
                asked=8.0,
                started=7,
                accepted=4,
                rejected=1,
                failed=2,
                late=3,
                dropped=4,
                open=5,
                p50=0.002,
                p95=0.100031,
                p99=0.100031,
                max=0.100031,
                bytesSent=600,
                bytesReceived=70,
                cpu=0.5,
                lag=0.001,
            ),
        )

    def test_following(self):
        """
        Each of the others is about what happened since the one before; open connections are those at its end.
        """
        series = Series()
        self.recorder.transaction(5.0, 1)
        self.recorder.open = 3
        self.add(series, 1.0, 10.0)
        self.recorder.transaction(0.001, 1)
        self.recorder.started = 2
        second = self.add(series, 2.5, 25.0, 0.25, 0.002)
        self.assertEqual((second.time, second.seconds, second.asked), (2.5, 1.5, 15.0))
        self.assertEqual((second.started, second.accepted, second.open), (2, 1, 3))
        self.assertEqual((second.p50, second.p99, second.max), (0.001, 0.001, 0.001))
        self.assertEqual((second.cpu, second.lag), (0.25, 0.002))
        self.assertEqual(series.samples[1:], [second])

    def test_nothing(self):
        """
        A second without a transaction has no latencies.
        """
        series = Series()
        self.recorder.transaction(5.0, 1)
        self.add(series, 1.0)
        second = self.add(series, 2.0)
        self.assertEqual((second.accepted, second.p50, second.p99, second.max), (0, None, None, None))

    @given(st.lists(st.lists(st.floats(0, 3700), max_size=60), min_size=1, max_size=4))
    @settings(deadline=None, max_examples=50)
    def test_latencies(self, seconds):
        """
        Percentiles are those of the transactions of just that second, however many buckets there are.
        """
        recorder, series = Recorder(), Series()
        frames = Frames(recorder)
        for number, latencies in enumerate(seconds):
            alone = LatencyRecorder()
            for latency in latencies:
                recorder.transaction(latency, 1)
                alone.record(latency)
            found = series.add(frames.cut(take(recorder, number + 1.0, None)))
            wanted = alone.summarize()
            if wanted is None:
                self.assertIs(found.p50, None)
            else:
                self.assertEqual((found.p50, found.p99, found.max), (wanted.p50, wanted.p99, wanted.maximum))

    def test_long(self):
        """
        However long a run is, there are no more samples than the limit. They are of one length and follow each other;
        what can be added up is complete.
        """
        for atOnce, looks in ((500, False), (1, False), (1, True)):
            # However many become one in one go, and whoever looks at them in between.
            self.patch(series_, "_AT_ONCE", atOnce)
            self.count()
            self.long(looks)

    def long(self, looks):
        """
        A hundred seconds.
        """
        series = Series(limit=8)
        for number in range(1, 101):
            self.recorder.started += number
            if number == 50:
                self.recorder.transaction(2.0, 1)
            self.add(series, float(number), 10.0 * number, lag=1.0 if number == 33 else 0.001)
            if looks and number % 7 == 0:
                self.assertLessEqual(len(series.samples), 8)
                self.assertEqual(series.samples[-1].time, number)
        samples = series.samples
        self.assertLessEqual(len(samples), 8)
        self.assertEqual([one.seconds for one in samples[:-1]], [16.0] * (len(samples) - 1))
        self.assertEqual([one.time - one.seconds for one in samples], [0.0, *(one.time for one in samples[:-1])])
        self.assertEqual(samples[-1].time, 100.0)
        self.assertEqual(sum(one.started for one in samples), 5050)
        self.assertEqual(sum(one.asked for one in samples), 1000)
        self.assertEqual([one.accepted for one in samples], [0, 0, 0, 1, 0, 0, 0])
        self.assertEqual([one.lag for one in samples], [0.001, 0.001, 1.0, 0.001, 0.001, 0.001, 0.001])
        self.assertEqual(samples[3].max, samples[3].p50)

    def test_joined(self):
        """
        Of two that become one the CPU time is the mean, and the latencies and the lag are the higher ones.
        """
        first = sample(1.0, cpu=1.0, lag=0.1, open=7, p50=0.2, p99=0.3, max=0.9, asked=5.0)
        second = sample(4.0, seconds=3.0, cpu=0.2, lag=0.2, open=8, p50=0.1, p99=0.4, max=0.4, asked=6.0)
        both = joined(first, second)
        self.assertEqual((both.time, both.seconds, both.open, both.asked), (4.0, 4.0, 8, 11.0))
        self.assertEqual((both.p50, both.p99, both.max, both.lag), (0.2, 0.4, 0.9, 0.2))
        self.assertApproximates(both.cpu, 0.4, 1e-9)
        self.assertEqual(joined(first, sample(2.0)).p99, 0.3)

    def test_cheap(self):
        """
        With every phase in use and latencies of up to an hour, a sample takes a few milliseconds at the most: it is
        taken while the run goes on. (Of CPU: others may be busy.)
        """
        for phase in range(len(NAMES)):
            for number in range(3000):
                self.recorder.duration(phase, 1.003**number * 1e-4)
        series, best = Series(), 1.0
        self.add(series, 1.0)
        for second in range(2, 8):
            for number in range(3000):
                self.recorder.duration(TRANSACTION, 1.003**number * 1e-4)
            before = time.thread_time()
            self.add(series, float(second))
            best = min(best, time.thread_time() - before)
        self.assertLess(best, 0.01)


class IntervalTests(SynchronousTestCase):
    """
    The latencies of each second.
    """

    def test_none(self):
        """
        Nothing is kept unless it was asked for.
        """
        self.assertIs(Series().intervals, None)

    def test_kept(self):
        """
        Each second has a line for each phase that happened in it, with the latencies of just that second.
        """
        recorder, series = Recorder(), Series(keepBuckets=True)
        frames = Frames(recorder)
        recorder.duration(CONNECT, 0.5)
        recorder.transaction(0.001, 1)
        series.add(frames.cut(take(recorder, 1.0, None)))
        series.add(frames.cut(take(recorder, 2.0, None)))
        recorder.transaction(0.25, 1)
        recorder.duration(RESPONSE, 0.75)
        series.add(frames.cut(take(recorder, 3.25, None)))
        lines = [line.rstrip("\n").split(",") for line in series.intervals.lines()]
        self.assertEqual(
            [line[:4] for line in lines],
            [
                ["Tag=connect", "0.000", "1.000", "500.223"],
                ["Tag=transaction", "0.000", "1.000", "1.000"],
                ["Tag=transaction", "2.000", "1.250", "250.111"],
                ["Tag=response", "2.000", "1.250", "750.079"],
            ],
        )
        self.assertEqual([HdrHistogram.decode(line[4]).get_total_count() for line in lines], [1, 1, 1, 1])
        self.assertEqual(list(series.intervals.lines()), list(series.intervals.lines()))

    def test_noRoom(self):
        """
        If there is no room for them the run goes on, and whoever wants them is told.
        """
        intervals = Intervals()
        with mock.patch("tempfile.TemporaryFile", side_effect=OSError(28, "No space left on device")):
            intervals.add(0.0, 1.0, "transaction", {1: 1})
        intervals.add(1.0, 1.0, "transaction", {1: 1})
        self.assertIn("No space left", str(self.assertRaises(OSError, list, intervals.lines())))
