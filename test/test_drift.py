"""
Tests for L{smtpsource.measure.drift}: how often it finds what is not there, and what is.
"""

from __future__ import annotations

import math
from random import Random

from hypothesis import strategies as st
from properties import given
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.drift import cycle, firstLook, noise
from smtpsource.measure.drift import FEWEST, LEVEL, Drift, driftOf, wordsOf

SEEDS = range(200)


def drift(values, seconds=60.0):
    return driftOf([seconds * (number + 0.5) for number in range(len(values))], values, seconds)


def found(make):
    """
    @param make: makes the values of a run of a generator of random numbers.
    @return: in which part of the runs a drift was found.
    """
    return sum(drift(make(Random(seed))).isSignificant for seed in SEEDS) / len(SEEDS)


class FalseAlarmTests(SynchronousTestCase):
    """
    Of 200 runs of an hour that do not drift, fewer than L{LEVEL} are said to.
    """

    def check(self, make):
        self.assertLess(found(make), LEVEL)

    def test_flat(self):
        """
        Minutes that have nothing to do with each other.
        """
        self.check(lambda random: noise(random, 60))

    def test_short(self):
        """
        As few of them as there may be.
        """
        self.check(lambda random: noise(random, FEWEST))

    def test_autocorrelated(self):
        """
        Minutes that take after the one before, a little or a lot.
        """
        for correlation in (0.3, 0.6):
            self.check(lambda random, correlation=correlation: noise(random, 60, correlation=correlation))

    def test_cycles(self):
        """
        Cycles of ten minutes; and of a day, in a run of two days.
        """
        for period in (10, 30):
            self.check(lambda random, period=period: cycle(random, 60, period))

    def test_rare(self):
        """
        Something that happens in one minute of ten.
        """
        self.check(lambda random: [float(random.random() < 0.1) for _ in range(60)])

    def test_looks(self):
        """
        Nor does a run end early that is looked at each minute, where minutes take after each other a lot.
        """
        runs = [noise(Random(seed), 60, correlation=0.6) for seed in range(100)]
        self.assertEqual([values for values in runs if firstLook(values) is not None], [])


class PowerTests(SynchronousTestCase):
    """
    A drift that is there is found.
    """

    def planted(self, perHour, deviation, count=60, seconds=60.0):
        """
        @return: in which part of the runs a drift of so many per cent was found, and its median.
        """
        slopes = []

        def make(random):
            values = [
                value + perHour * number * seconds / 3600
                for number, value in enumerate(noise(random, count, deviation))
            ]
            slopes.append(drift(values, seconds).perHour)
            return values

        part = found(make)
        return part, sorted(slopes)[len(slopes) // 2]

    def test_hour(self):
        """
        In an hour: 2 % where minutes differ by 1 %, 10 % where they do by 5 %, in seven of ten runs; half as
        much again in nearly all.
        """
        for perHour, deviation, least in ((2, 1, 0.7), (10, 5, 0.7), (3, 1, 0.99), (15, 5, 0.99)):
            part, slope = self.planted(perHour, deviation)
            self.assertGreaterEqual(part, least)
            self.assertLess(abs(slope / perHour - 1), 0.1)

    def test_hours(self):
        """
        2 % in an hour where minutes differ by 5 %: in four hours, in nearly all runs. These are of windows of two
        minutes, whose differences are as much smaller.
        """
        part, slope = self.planted(2, 5 / math.sqrt(2), 120, 120.0)
        self.assertGreater(part, 0.99)
        self.assertLess(abs(slope - 2), 0.1)

    def test_outages(self):
        """
        Minutes in which something else went wrong do not hide it, and do not bend it.
        """
        values = [100 + number / 6 + (500 if number % 10 == 9 else 0) for number in range(60)]
        self.assertTrue(drift(values).isSignificant)
        self.assertLess(abs(drift(values).perHour - 10), 0.1)


class DriftTests(SynchronousTestCase):
    """
    What is said of one.
    """

    def test_few(self):
        """
        Of too few windows nothing is said.
        """
        self.assertIsNone(drift([float(number) for number in range(FEWEST - 1)]))
        self.assertTrue(drift([float(number) for number in range(FEWEST)]).isSignificant)

    def test_constant(self):
        """
        What is the same in all windows does not drift, be it 0.
        """
        for value, of in ((0.0, 0.0), (7.0, 0.0)):
            self.assertEqual(drift([value] * 20), Drift(0.0, of, 1.0, 20, 60.0))

    def test_perCent(self):
        """
        Per cent are of the median; what is per cent already stays so; and of 0 there are none.
        """
        values = [100.0 + number for number in range(61)]
        rising = drift(values)
        self.assertAlmostEqual(rising.perHour, 60)
        self.assertAlmostEqual(rising.perCent, 60 / 130 * 100)
        times = [60.0 * number for number in range(61)]
        self.assertAlmostEqual(driftOf(times, values, 60.0, perCent=True).perCent, 60)
        self.assertIsNone(drift([float(number) for number in range(-10, 11)]).perCent)

    def test_negative(self):
        """
        What is below 0 and grows has grown by so many per cent, as what is above.
        """
        rising = drift([-160.0 + number for number in range(61)])
        self.assertAlmostEqual(rising.perHour, 60)
        self.assertAlmostEqual(rising.perCent, 60 / 130 * 100)

    @given(st.lists(st.integers(-(10**6), 10**6), min_size=FEWEST, max_size=40), st.integers(-20, 20))
    def test_scale(self, values, exponent):
        """
        Whatever it is measured in, it is as likely; and what falls is what rises, turned around.
        """
        one = drift(values)
        self.assertTrue(0 <= one.p <= 1)
        for factor in (2.0**exponent, -1.0):
            other = drift([value * factor for value in values])
            self.assertEqual((other.p, other.perHour), (one.p, one.perHour * factor))
            self.assertEqual(other.perCent, one.perCent if factor > 0 or not one.perCent else -one.perCent)

    def test_words(self):
        """
        How sure it is, in words.
        """
        self.assertEqual(wordsOf(Drift(1.0, 2.0, 0.4, 58, 60.0)), "not significant: p = 0.4, 58 minutes")
        self.assertEqual(wordsOf(Drift(1.0, 2.0, 0.0012, 96, 900.0)), "p = 0.001, 96 windows of 15 minutes")
        self.assertEqual(wordsOf(Drift(1.0, 2.0, 1e-9, 58, 60.0)), "p < 0.0001, 58 minutes")
