"""
Tests for L{smtpsource.tools.noise}.
"""

from __future__ import annotations

from itertools import combinations, zip_longest
from random import Random

from hypothesis import strategies as st
from properties import given, settings
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.tools.noise import LEVEL, chance


def unlike(numbers):
    """
    @return: the same numbers in an order in which neighbours are not alike.
    """
    ordered = sorted(numbers)
    half = (len(ordered) + 1) // 2
    return [number for pair in zip_longest(ordered[:half], ordered[half:]) for number in pair if number is not None]


def drifting(random, length, likeness):
    """
    @return: numbers of which each is like the one before.
    """
    numbers, number = [], random.gauss(0, 1)
    for _ in range(length):
        number = likeness * number + (1 - likeness**2) ** 0.5 * random.gauss(0, 1)
        numbers.append(number)
    return numbers


class ChanceTests(SynchronousTestCase):
    """
    How likely a difference is by chance.
    """

    def test_allOrders(self):
        """
        For few numbers it is the part of all orders that are at least as far from the middle.
        """
        for n, m in ((5, 5), (5, 6), (7, 5)):
            places = range(n + m)
            orders = [(set(mine), sum(mine) - n * (n - 1) / 2) for mine in combinations(places, n)]
            for mine, u in orders[::37]:
                first, second = [p for p in places if p in mine], [p for p in places if p not in mine]
                distance = abs(u - n * m / 2)
                wanted = sum(abs(other - n * m / 2) >= distance for _, other in orders) / len(orders)
                found = chance(unlike(first), unlike(second))
                self.assertApproximates(found, wanted, 1e-12)

    def test_published(self):
        """
        For more, with equal ones among them, it is what the manual of R's wilcox.test has: ozone in New York in May and
        August of 1973, W = 127.5, p-value = 0.0001208.
        """
        may = [41, 36, 12, 18, 28, 23, 19, 8, 7, 16, 11, 14, 18, 14, 34, 6, 30, 11, 1, 11, 4, 32, 23, 45, 115, 37]
        august = [39, 9, 16, 78, 35, 66, 122, 89, 110, 44, 28, 65, 22, 59, 23, 31, 44, 21, 9, 45, 168, 73, 76, 118]
        august += [84, 85]
        self.assertApproximates(chance(unlike(may), unlike(august)), 0.0001208, 5e-8)

    @given(st.lists(st.integers(0, 9), max_size=60), st.lists(st.integers(0, 9), max_size=60))
    @settings(deadline=None)
    def test_anything(self, first, second):
        """
        It is a probability, whatever the numbers are, and the same whichever comes first.
        """
        found = chance(first, second)
        if found is not None:
            self.assertTrue(0 <= found <= 1, found)
            self.assertApproximates(chance(second, first), found, 1e-12)

    def test_tooFew(self):
        """
        Of a few numbers nothing can be told, however different they are.
        """
        for n, m in ((0, 0), (0, 1000), (1, 100), (3, 3), (4, 5)):
            self.assertIs(chance([1.0] * n, [2.0 + place for place in range(m)]), None, (n, m))
        for n, m in ((5, 5), (3, 12), (1, 1000)):
            self.assertIsNot(chance(list(range(n)), list(range(100, 100 + m))), None, (n, m))

    def test_same(self):
        """
        What is always the same does not differ.
        """
        self.assertEqual(chance([3.0] * 20, [3.0] * 30), 1.0)

    def test_many(self):
        """
        A day of seconds is no problem.
        """
        random = Random(1)
        first = [random.random() for _ in range(50_000)]
        self.assertLess(chance(first, [number + 0.02 for number in first]), 1e-6)
        self.assertGreater(chance(first, [random.random() for _ in range(50_000)]), 0.001)

    def test_alike(self):
        """
        Where each second is like the one before, as with a server that has slow minutes, two runs of the same are
        seldom found to differ: the seconds are taken for fewer than they are. A real difference is still found.
        """
        random = Random(2)
        same = [chance(drifting(random, 60, 0.6), drifting(random, 60, 0.6)) for _ in range(200)]
        self.assertLess(sum(found < LEVEL for found in same), 14)
        different = [
            chance(drifting(random, 60, 0.6), [number + 2 for number in drifting(random, 60, 0.6)]) for _ in range(50)
        ]
        self.assertGreater(sum(found < LEVEL for found in different), 45)
