"""
Tests for L{smtpsource.measure.histogram}, against HdrHistogram, numpy and exact percentiles.
"""

from __future__ import annotations

import numpy
from hdrh.histogram import HdrHistogram
from hypothesis import strategies as st
from properties import given, settings
from results import MICROSECONDS, recorded
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.measure.encoding import added, usedLength
from smtpsource.measure.histogram import HIGHEST_MICROSECONDS, LatencyRecorder, lowestOf, percentiles

#: HdrHistogram's own idea of which latencies are the same.
REFERENCE = HdrHistogram(1, HIGHEST_MICROSECONDS, 3)


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
        converted = HdrHistogram(1, HIGHEST_MICROSECONDS, 3)
        for place, count in enumerate(recorded(values).counts):
            if count:
                converted.record_value(lowestOf(place), count)
        self.assertEqual(converted.get_total_count(), len(values))
        for percentile, found in ((50, latency.p50), (90, latency.p90), (99, latency.p99), (99.9, latency.p999)):
            expected = reference.get_value_at_percentile(percentile)
            self.assertEqual(round(found * 1e6), expected)
            self.assertEqual(converted.get_value_at_percentile(percentile), expected)
        self.assertApproximates(latency.mean * 1e6, reference.get_mean_value(), reference.get_mean_value() * 1e-3 + 0.5)
        self.assertEqual(round(latency.maximum * 1e6), reference.get_max_value())


class NumpyTests(SynchronousTestCase):
    """
    Percentiles of many latencies, against numpy's sorting of them.
    """

    #: Of thousands of latencies, each of these is one of them.
    PERCENTILES = (*(number / 10 for number in range(1, 1000)), 100)

    def latencies(self, seed):
        """
        @return: some thousands of them, in seconds: of a server that is quick, or slow now and then, or all over.
        """
        random = numpy.random.default_rng(seed)
        quick = random.lognormal(-8, random.uniform(0.1, 1.5), 1000)
        slow = random.exponential(random.uniform(0.01, 10), 1000)
        anything = numpy.exp(random.uniform(numpy.log(2e-6), numpy.log(3599), 1000))
        return random.permutation(numpy.concatenate([quick, slow, anything])[: 1000 * random.integers(1, 4)])

    def recorded(self, latencies):
        recorder = LatencyRecorder()
        for seconds in latencies:
            recorder.record(float(seconds))
        return recorder.counts

    @given(st.integers(0, 2**32))
    @settings(deadline=None, max_examples=15)
    def test_exact(self, seed):
        """
        Every percentile is right to 3 digits and one microsecond.
        """
        latencies = self.latencies(seed)
        ranks = numpy.rint(numpy.array(self.PERCENTILES) / 100 * len(latencies)).astype(int)
        exact = numpy.sort(latencies)[numpy.maximum(ranks, 1) - 1]
        found = percentiles(self.recorded(latencies), self.PERCENTILES)
        numpy.testing.assert_allclose(found, exact, rtol=0.001, atol=1e-6)

    @given(st.integers(0, 2**32), st.integers(0, 1000))
    @settings(deadline=None, max_examples=15)
    def test_merged(self, seed, place):
        """
        The histograms of two parts, added, are that of the whole, and so are all percentiles.
        """
        latencies = self.latencies(seed)
        whole = self.recorded(latencies)
        parts = added(self.recorded(part) for part in (latencies[:place], latencies[place:]))
        self.assertEqual(parts[: usedLength(parts)], whole[: usedLength(whole)])
        self.assertEqual(percentiles(parts, self.PERCENTILES), percentiles(whole, self.PERCENTILES))
