"""
Tests for L{smtpsource.pacing.pauses}.
"""

from __future__ import annotations

import random

from hypothesis import strategies as st
from properties import given
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.load import parts
from smtpsource.pacing.pauses import FixedPacer, RandomPacer
from smtpsource.plan import SourcePlan


class PacerTests(SynchronousTestCase):
    """
    How long a session waits.
    """

    @given(st.floats(0.001, 1e6))
    def test_fixed(self, seconds):
        """
        Always the same.
        """
        pacer = FixedPacer(seconds)
        self.assertEqual([pacer.pause() for _ in range(3)], [seconds] * 3)

    @given(st.floats(0.001, 1e6), st.integers())
    def test_random(self, longest, seed):
        """
        Within the bounds, and the same again for the same seed.
        """
        one, two = (RandomPacer(longest, random.Random(seed)) for _ in range(2))
        pauses = [one.pause() for _ in range(20)]
        self.assertTrue(all(0 <= pause <= longest for pause in pauses))
        self.assertEqual([two.pause() for _ in range(20)], pauses)

    def test_spread(self):
        """
        Evenly: each tenth of the time gets about a tenth of the pauses.
        """
        pacer = RandomPacer(10.0, random.Random(1))
        tenths = [0] * 10
        for _ in range(10_000):
            tenths[int(pacer.pause())] += 1
        self.assertTrue(all(800 < tenth < 1200 for tenth in tenths), tenths)

    def test_different(self):
        """
        Two pacers don't go in step.
        """
        self.assertNotEqual(RandomPacer(10.0).pause(), RandomPacer(10.0).pause())

    def test_plans(self):
        """
        Which pacer belongs to which values.
        """
        self.assertIs(parts.pacer(SourcePlan()), None)
        self.assertEqual(parts.pacer(SourcePlan(fixedInterval=2.5)).pause(), 2.5)
        self.assertIsInstance(parts.pacer(SourcePlan(randomInterval=2.5)), RandomPacer)
