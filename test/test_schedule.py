"""
Tests for L{smtpsource.pacing.schedule}.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from random import Random

from hypothesis import example
from hypothesis import strategies as st
from properties import given, settings
from sessions import times
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.pacing.schedule import Profile, Schedule

POINTS = st.lists(
    st.tuples(st.floats(0.01, 1000), st.floats(0, 5000)),
    min_size=1,
    max_size=6,
).map(lambda points: [(0.0, points[0][1]), *points])


#: Not too many in all.
COURSES = st.lists(
    st.tuples(st.sampled_from([0.0, 0.01, 0.3, 2.0, 5.0]), st.sampled_from([0.0, 0.1, 7.0, 100 / 3, 900.0])),
    min_size=1,
    max_size=5,
).map(lambda points: [(0.0, points[0][1]), *points, (1.0, 3.0)])


class ProfileTests(SynchronousTestCase):
    """
    A value that changes with time.
    """

    def test_constant(self):
        """
        One point never changes, and is over when it is said to be.
        """
        profile = Profile([(0.0, 50.0)], 10.0)
        self.assertEqual((profile.end, profile.area), (10.0, 500.0))
        self.assertEqual((profile.valueAt(0.0), profile.valueAt(9.0)), (50.0, 50.0))
        self.assertEqual((profile.areaAt(2.0), profile.areaAt(11.0)), (100.0, 500.0))
        self.assertEqual((profile.timeOf(0.0), profile.timeOf(250.0)), (0.0, 5.0))
        self.assertEqual(profile.timeOf(500.0), math.inf)

    def test_stages(self):
        """
        0:0,30s:1000,5m:1000,30s:0, by hand.
        """
        profile = Profile([(0.0, 0.0), (30.0, 1000.0), (300.0, 1000.0), (30.0, 0.0)])
        self.assertEqual((profile.end, profile.area), (360.0, 330_000.0))
        for time, value in ((0, 0), (15, 500), (30, 1000), (200, 1000), (345, 500), (360, 0)):
            self.assertApproximates(profile.valueAt(time), value, 1e-9)
        for time, area in ((15, 3750), (30, 15_000), (330, 315_000), (345, 326_250)):
            self.assertApproximates(profile.areaAt(time), area, 1e-6)
        self.assertApproximates(profile.timeOf(3750), 15.0, 1e-9)
        self.assertApproximates(profile.timeOf(326_250), 345.0, 1e-9)

    def test_jump(self):
        """
        A stage of no time is a jump; where the value is 0, the area waits.
        """
        profile = Profile([(0.0, 10.0), (10.0, 10.0), (0.0, 0.0), (10.0, 0.0), (0.0, 10.0), (10.0, 10.0)])
        self.assertEqual(profile.area, 200.0)
        self.assertEqual([profile.valueAt(t) for t in (9.9, 10.0, 19.9, 20.0)], [10, 0, 0, 10])
        # What is due exactly when the break begins comes after it.
        self.assertEqual((profile.timeOf(99.0), profile.timeOf(100.0)), (9.9, 20.0))

    @example([(0.0, 0.0), (1.0, 0.0), (1.0, 2.225073858507203e-309)], 0.5)
    @example([(0.0, 5e-324), (1.0, 5e-324), (1.0, 2.225073858507203e-309)], 0.5)
    @given(POINTS, st.floats(0, 1))
    def test_inverse(self, points, part):
        """
        C{timeOf} is where C{areaAt} comes to that area.
        """
        profile = Profile(points)
        area = part * profile.area
        when = profile.timeOf(area)
        if when < math.inf:
            self.assertTrue(0 <= when <= profile.end)
            self.assertApproximates(profile.areaAt(when), area, 1e-6 * max(1.0, profile.area))


class ScheduleTests(SynchronousTestCase):
    """
    When messages are wanted.
    """

    def test_constant(self):
        """
        Evenly, from the first moment on.
        """
        self.assertEqual(times(Schedule(Profile([(0.0, 4.0)], 2.0))), [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75])

    def test_hour(self):
        """
        Ten thousand a second for an hour: 36 million, and the last is where it should be to the microsecond. There is
        no drift, because nothing is added up.
        """
        schedule = Schedule(Profile([(0.0, 10_000.0)], 3600.0))
        self.assertEqual(schedule.skip(3600 - 2.5e-4), 35_999_998)
        schedule.advance()
        self.assertApproximates(schedule.next, 3600 - 1e-4, 1e-6)
        schedule.advance()
        self.assertEqual((schedule.taken, schedule.next), (36_000_000, math.inf))

    def test_oddRate(self):
        """
        A rate whose interval no float has exactly.
        """
        found = times(Schedule(Profile([(0.0, 1000 / 3)], 600.0)))
        self.assertEqual(len(found), 200_000)
        self.assertApproximates(found[-1], 199_999 * 3 / 1000, 1e-9)

    def test_stages(self):
        """
        As many as the area says, in order, and close together where the rate is high.
        """
        found = times(Schedule(Profile([(0.0, 0.0), (10.0, 100.0), (10.0, 0.0)])))
        self.assertEqual(len(found), 1000)
        self.assertEqual(found, sorted(found))
        self.assertEqual(sum(9 <= t < 11 for t in found), 190)
        self.assertEqual(sum(t < 1 for t in found), 5)

    def test_poisson(self):
        """
        Intervals are exponentially distributed: the largest distance between their distribution and the theory's is
        what chance allows (Kolmogorov-Smirnov, 1 in 1000).
        """
        found = times(Schedule(Profile([(0.0, 1000.0)], 20.0), "poisson", Random(5)))
        self.assertApproximates(len(found), 20_000, 4 * math.sqrt(20_000))
        intervals = sorted(b - a for a, b in zip([0.0, *found], found, strict=False))
        number = len(intervals)
        distance = max(
            max(abs((place + 1) / number - p), abs(place / number - p))
            for place, p in enumerate(1 - math.exp(-1000 * interval) for interval in intervals)
        )
        self.assertLess(distance, 1.95 / math.sqrt(number))

    def test_poissonStages(self):
        """
        With stages the number in each part follows the rate.
        """
        found = times(Schedule(Profile([(0.0, 0.0), (10.0, 1000.0), (10.0, 1000.0)]), "poisson", Random(6)))
        for begin, end, expected in ((0, 5, 1250), (5, 10, 3750), (10, 20, 10_000)):
            came = sum(begin <= t < end for t in found)
            self.assertApproximates(came, expected, 4 * math.sqrt(expected))

    def test_seed(self):
        """
        The same random numbers, the same times; others, other times.
        """
        first, second, third = (
            times(Schedule(Profile([(0.0, 10.0)], 10.0), "poisson", Random(seed))) for seed in (1, 1, 2)
        )
        self.assertEqual(first, second)
        self.assertNotEqual(first, third)

    def test_asked(self):
        """
        How many were wanted up to a time, whether they were taken or not.
        """
        schedule = Schedule(Profile([(0.0, 10.0)], 10.0))
        self.assertEqual([schedule.asked(t) for t in (0.0, 0.05, 0.1001, 9.99, 20.0)], [1, 1, 2, 100, 100])
        # Before a run has begun.
        poisson = Schedule(Profile([(0.0, 10.0)], 10.0), "poisson", Random(1))
        self.assertEqual((schedule.asked(-math.inf), poisson.asked(-math.inf)), (0, 0))
        for _ in range(50):
            schedule.advance()
        self.assertEqual([schedule.asked(t) for t in (4.9, 5.0, 20.0)], [50, 51, 100])

    @settings(max_examples=150)
    @given(COURSES, st.sampled_from(["constant", "poisson"]), st.integers(0, 2**32), st.data())
    def test_numbers(self, points, arrivals, seed, data):
        """
        How many are wanted before a time, or up to it, is what comes of counting them one by one; so is where the
        schedule stands when they were passed over. It makes no difference who has asked what before.
        """

        def schedule():
            return Schedule(Profile(points), arrivals, Random(seed))

        found = times(schedule(), 20_000)
        end = sum(seconds for seconds, _ in points)
        moment = st.one_of(st.floats(0, 1.2 * end), st.sampled_from(found or [0.0]))
        asked, passed = schedule(), schedule()
        for _ in range(data.draw(st.integers(1, 6))):
            time = data.draw(moment)
            most = data.draw(st.integers(1, 500) | st.just(10**9))
            asked.limit(most)
            self.assertEqual(asked.asked(time), min(most, max(asked.taken, bisect_right(found, time))))
            self.assertEqual(asked.before(time), bisect_left(found, time))
            if data.draw(st.booleans()) and asked.next < math.inf:
                asked.advance()
            before = passed.taken
            self.assertEqual(passed.skip(time), passed.taken - before)
            self.assertEqual(passed.taken, max(before, bisect_left(found, time)))
            self.assertEqual(passed.next, (*found, math.inf)[passed.taken])
        rest = times(passed)
        self.assertEqual(rest, found[len(found) - len(rest) :])

    def test_millions(self):
        """
        So many that nobody could look at each of them: they are counted and passed over all the same.
        """
        for arrivals in ("constant", "poisson"):
            for points, end in (([(0.0, 2e9)], 3600.0), ([(0.0, 0.0), (1800.0, 2e9), (1800.0, 2e9)], math.inf)):
                profile = Profile(points, end)
                schedule = Schedule(profile, arrivals, Random(1))
                self.assertApproximates(schedule.asked(1800.0) / profile.areaAt(1800.0), 1, 1e-4)
                self.assertApproximates(schedule.skip(3599.0) / profile.areaAt(3599.0), 1, 1e-4)
                self.assertApproximates(schedule.next, 3599.0, 1e-6)
                schedule.advance()
                self.assertApproximates(schedule.next, 3599.0, 1e-6)

    def test_manyStages(self):
        """
        A course of very many stages costs no more than one of few.
        """
        points = [(0.0, 0.0), *((0.01, float(n % 7)) for n in range(100_000))]
        schedule = Schedule(Profile(points))
        found = times(schedule)
        self.assertEqual((len(found), found), (3000, sorted(found)))

    def test_poissonCounts(self):
        """
        How many there are in a time has the mean and the variance of a Poisson distribution, if they are passed over.
        """
        counts = [Schedule(Profile([(0.0, 5000.0)], 9.0), "poisson", Random(n)).skip(2.0) for n in range(1000)]
        mean = sum(counts) / 1000
        variance = sum((count - mean) ** 2 for count in counts) / 999
        self.assertApproximates(mean, 10_000, 4 * 100 / math.sqrt(1000))
        self.assertApproximates(variance, 10_000, 4 * 10_000 * math.sqrt(2 / 1000))

    def test_lasted(self):
        """
        For how long it has asked: up to now, up to its end, or up to where one more than there are would be wanted.
        """
        schedule = Schedule(Profile([(0.0, 5.0)], 4.0))
        self.assertEqual([schedule.lasted(t) for t in (0.0, 3.5, 9.0)], [0.0, 3.5, 4.0])
        schedule.limit(10)
        self.assertEqual([schedule.lasted(t) for t in (1.0, 1.8, 9.0)], [1.0, 2.0, 2.0])
        schedule.limit(20)
        self.assertEqual(schedule.lasted(9.0), 4.0)
        schedule = Schedule(Profile([(0.0, 5.0)]), "poisson", Random(1))
        schedule.limit(10)
        eleventh = times(Schedule(Profile([(0.0, 5.0)]), "poisson", Random(1)), 11)[-1]
        self.assertEqual([schedule.lasted(t) for t in (0.1, 100.0)], [0.1, eleventh])

    def test_rate(self):
        """
        The rate that is wanted now, until all is over.
        """
        schedule = Schedule(Profile([(0.0, 0.0), (10.0, 100.0)]))
        self.assertEqual([schedule.rateAt(t) for t in (0, 5, 10)], [0, 50, 0])
        self.assertEqual([schedule.rateAt(t) for t in (-1, -math.inf)], [0, 0])
        self.assertEqual(schedule.end, 10)
