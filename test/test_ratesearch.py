"""
Tests for L{smtpsource.pacing.ratesearch}.
"""

from __future__ import annotations

from hypothesis import strategies as st
from properties import given
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.pacing.ratesearch import CLOSE, HIGHEST, LOWEST, MOST, SURE, RateSearch


def searched(first, passes):
    """
    Search a server.

    @param passes: is called with each rate; says whether that keeps the promise.
    @return: the search, and all that was tried: purpose and rate.
    """
    search = RateSearch(first)
    tried = []
    while search.rate is not None:
        rate = search.rate
        tried.append((search.purpose, round(rate, 1)))
        search.tried(passes(rate))
    return search, tried


def upTo(capacity):
    return lambda rate: rate <= capacity


def unlucky(capacity, *surprises):
    """
    A server that keeps the promise up to a rate, but for these steps, by their number.
    """
    number = 0

    def passes(rate):
        nonlocal number
        number += 1
        return (rate <= capacity) != (number in surprises)

    return passes


class SearchTests(SynchronousTestCase):
    """
    Which rates are tried.
    """

    def test_course(self):
        """
        Up by doubling, then closer, then both bounds once more.
        """
        search, tried = searched(100.0, upTo(700.0))
        self.assertEqual([rate for purpose, rate in tried if purpose == "climb"], [100, 200, 400, 800])
        self.assertEqual([rate for purpose, rate in tried if purpose == "bisect"], [566, 673, 734, 703])
        self.assertEqual([rate for purpose, rate in tried if purpose == "confirm"], [673, 703])
        self.assertEqual(search.best, 673)

    def test_tooHighAtFirst(self):
        """
        When the first rate is too high already, it goes down.
        """
        search, tried = searched(100.0, upTo(20.0))
        self.assertEqual([rate for purpose, rate in tried if purpose == "climb"], [100, 50, 25, 12.5])
        self.assertTrue(20 / CLOSE <= search.best <= 20)

    def test_unluckyStep(self):
        """
        A step failed by bad luck, far below what the server takes: that comes out when it is tried again, and the
        search goes on from there.
        """
        search, _ = searched(100.0, unlucky(3000.0, 2))
        self.assertTrue(3000 / CLOSE <= search.best <= 3000)

    def test_luckyStep(self):
        """
        A rate that was too high kept the promise once: that comes out, too, and the search goes down again.
        """
        search, tried = searched(100.0, unlucky(500.0, 4))
        self.assertIn(("climb", 800), tried)
        self.assertTrue(500 / CLOSE <= search.best <= 500)

    def test_confirmationFails(self):
        """
        The highest rate breaks the promise when it is tried again: the answer is one below it that keeps it, not none.
        """
        search, tried = searched(100.0, unlucky(200.0, 3, 4, 5))
        self.assertGreater(max(rate for _, rate in tried), 400)
        self.assertTrue(200 / CLOSE <= search.best <= 200)

    def test_none(self):
        """
        A server that keeps the promise at no rate: the search gives up.
        """
        search, tried = searched(100.0, upTo(0.0))
        self.assertIsNone(search.best)
        self.assertLess(len(tried), 20)
        self.assertGreaterEqual(tried[-1][1], LOWEST)

    def test_endless(self):
        """
        A server that takes everything: there is a highest rate to try.
        """
        search, tried = searched(100.0, upTo(float("inf")))
        self.assertLessEqual(max(rate for _, rate in tried), HIGHEST)
        self.assertGreater(search.best * 2, HIGHEST)
        self.assertEqual(tried[-1][0], "confirm")

    def test_left(self):
        """
        Without surprises it takes as many steps as were announced, once both bounds are known.
        """
        search = RateSearch(100.0)
        announced = []
        while search.rate is not None:
            announced.append(search.left)
            search.tried(search.rate <= 700)
        self.assertEqual([None] * 4, announced[:4])
        self.assertEqual([(4, 2), (3, 2), (2, 2), (1, 2), (0, 2), (0, 1)], announced[4:])
        self.assertEqual((0, 0), search.left)

    @given(st.floats(1, 1e5), st.floats(1, 1e5))
    def test_anyServer(self, first, capacity):
        """
        Whatever the server takes, the rate that is found is not above it, and not much below.
        """
        search, tried = searched(first, upTo(capacity))
        self.assertTrue(capacity / CLOSE <= search.best <= capacity)
        self.assertLess(len(tried), 40)

    @given(st.floats(1, 1e5), st.lists(st.booleans(), min_size=MOST, max_size=MOST))
    def test_anyLuck(self, first, outcomes):
        """
        Whatever the steps say, there is an end, and the answer is what speaks for it best: a rate that has kept the
        promise more often than not, for sure if there is one; none only where no rate has done that.
        """
        left = iter(outcomes)
        search, _ = searched(first, lambda rate: next(left))
        passed = [(record.kept >= SURE, rate) for rate, record in search.records.items() if record.kept > record.broken]
        self.assertEqual(max(passed)[1] if passed else None, search.best)
