"""
Tests for L{smtpsource.measure.histogram}, against HdrHistogram and against exact percentiles.
"""

from __future__ import annotations

from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.measure.histogram import HIGHEST_MICROSECONDS, LatencyRecorder, lowestOf

#: HdrHistogram's own idea of which latencies are the same.
REFERENCE = HdrHistogram(1, HIGHEST_MICROSECONDS, 3)

MICROSECONDS = st.one_of(
    st.integers(0, 5000),
    st.integers(0, HIGHEST_MICROSECONDS),
    st.integers(1, 31).flatmap(lambda bits: st.integers(2**bits - 2, 2**bits + 2)),
)


def recorded(values):
    """
    @return: a recorder of these microseconds.
    """
    recorder = LatencyRecorder()
    for value in values:
        # A hair more, so that the way to seconds and back does not round down.
        recorder.record((value + 0.25) / 1e6)
    return recorder


def index(microseconds):
    """
    @return: the one bucket into which this fell.
    """
    counts = recorded([microseconds]).counts
    assert sum(counts) == 1
    return counts.index(1)


class BucketTests(SynchronousTestCase):
    """
    Which latencies are told apart.
    """

    @given(MICROSECONDS)
    @settings(deadline=None)
    def test_sameAsHdr(self, microseconds):
        """
        Each bucket begins where one of HdrHistogram's does, so that converting loses nothing.
        """
        self.assertEqual(lowestOf(index(microseconds)), REFERENCE.get_lowest_equivalent_value(microseconds))

    @given(MICROSECONDS)
    @settings(deadline=None)
    def test_threeDigits(self, microseconds):
        """
        Three digits are right.
        """
        lowest = lowestOf(index(microseconds))
        self.assertTrue(lowest <= microseconds <= lowest * 1.001 + 0.5, (lowest, microseconds))

    def test_everyIndex(self):
        """
        No bucket is skipped and none is shared: bucket after bucket, the latencies go up without a gap.
        """
        last = index(HIGHEST_MICROSECONDS)
        edges = [lowestOf(number) for number in range(last + 1)]
        self.assertEqual((edges[0], sorted(set(edges))), (0, edges))
        self.assertEqual(recorded(edges).counts[: last + 1], [1] * (last + 1))
        self.assertEqual(recorded(edge - 1 for edge in edges[1:]).counts[:last], [1] * last)

    def test_bounds(self):
        """
        Negative is 0; more than an hour is an hour.
        """
        recorder = LatencyRecorder()
        recorder.record(-1.0)
        recorder.record(1e9)
        latency = recorder.summarize()
        self.assertEqual((latency.count, latency.minimum), (2, 0.0))
        self.assertApproximates(latency.maximum, 3600, 4)

    def test_growsInPlace(self):
        """
        However slow a latency is, the list of counts stays the same list: the recorder of a run holds it.
        """
        recorder = LatencyRecorder()
        counts = recorder.counts
        for seconds in (0.001, 5.0, 100.0, 3000.0):
            recorder.record(seconds)
        self.assertIs(recorder.counts, counts)
        self.assertEqual(sum(counts), 4)


def exact(values, percentile):
    """
    @return: the value of that rank, as HdrHistogram sees it: the nearest, of at least 1.
    """
    return sorted(values)[max(1, int(percentile / 100 * len(values) + 0.5)) - 1]


class SummaryTests(SynchronousTestCase):
    """
    The figures of a report.
    """

    def test_nothing(self):
        """
        Where nothing was recorded there are no figures.
        """
        self.assertIs(LatencyRecorder().summarize(), None)

    @given(st.lists(MICROSECONDS, min_size=1, max_size=300))
    @settings(deadline=None, max_examples=40)
    def test_exact(self, values):
        """
        Count, least, mean, most and percentiles agree with exact ones to three digits.
        """
        latency = recorded(values).summarize()
        self.assertEqual(latency.count, len(values))
        for found, expected in (
            (latency.minimum, min(values)),
            (latency.mean, sum(values) / len(values)),
            (latency.p50, exact(values, 50)),
            (latency.p90, exact(values, 90)),
            (latency.p99, exact(values, 99)),
            (latency.p999, exact(values, 99.9)),
            (latency.maximum, max(values)),
        ):
            self.assertApproximates(found * 1e6, expected, expected * 0.001 + 1)

    @given(st.lists(MICROSECONDS, min_size=1, max_size=100))
    @settings(deadline=None, max_examples=15)
    def test_sameAsHdr(self, values):
        """
        They are what HdrHistogram says of the same latencies.
        """
        reference = HdrHistogram(1, HIGHEST_MICROSECONDS, 3)
        for value in values:
            reference.record_value(value)
        latency = recorded(values).summarize()
        converted = recorded(values).toHdr()
        self.assertEqual(converted.get_total_count(), len(values))
        for percentile, found in ((50, latency.p50), (90, latency.p90), (99, latency.p99), (99.9, latency.p999)):
            expected = reference.get_value_at_percentile(percentile)
            self.assertEqual(round(found * 1e6), expected)
            self.assertEqual(converted.get_value_at_percentile(percentile), expected)
        self.assertApproximates(latency.mean * 1e6, reference.get_mean_value(), reference.get_mean_value() * 1e-3 + 0.5)
        self.assertEqual(round(latency.maximum * 1e6), reference.get_max_value())
