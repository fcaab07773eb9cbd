"""
Tests for L{smtpsource.pacing.ratesearch}.
"""

from __future__ import annotations

from hypothesis import strategies as st
from properties import given
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.pacing.ratesearch import CLOSE, HIGHEST, LOWEST, RateSearch


def searched(first, capacity):
    """
    Search a server that takes so many messages a second.

    @return: the search, and all that was tried.
    """
    search = RateSearch(first)
    tried = []
    while search.rate is not None:
        rate = search.rate
        tried.append((search.purpose, rate))
        search.tried(rate <= capacity)
    return search, tried


class SearchTests(SynchronousTestCase):
    """
    Which rates are tried.
    """

    def test_course(self):
        """
        Up by doubling, then closer by halves, then 80, 100 and 120 per cent of it.
        """
        search, tried = searched(100.0, 700.0)
        self.assertEqual([rate for purpose, rate in tried if purpose == "climb"], [100, 200, 400, 800])
        self.assertEqual([rate for purpose, rate in tried if purpose == "bisect"], [600, 700, 750, 725])
        self.assertEqual(search.best, 700)
        self.assertEqual([rate for purpose, rate in tried if purpose == "confirm"], [560, 700, 840])

    def test_tooHighAtFirst(self):
        """
        When the first rate is too high already, it goes down.
        """
        search, tried = searched(100.0, 20.0)
        self.assertEqual([rate for purpose, rate in tried if purpose == "climb"], [100, 50, 25, 12.5])
        self.assertTrue(20 / CLOSE <= search.best <= 20)

    def test_more(self):
        """
        A step failed by bad luck, and all that is tried at the end passes: the search goes on from there.
        """
        search = RateSearch(100.0)
        unlucky = [800.0]
        tried = []
        while search.rate is not None:
            tried.append(search.rate)
            passed = search.rate <= 3000 and search.rate not in unlucky
            if not passed:
                unlucky.clear()
            search.tried(passed)
        self.assertTrue(3000 / CLOSE <= search.best <= 3000)

    def test_none(self):
        """
        A server that keeps the promise at no rate: the search gives up.
        """
        search, tried = searched(100.0, 0.0)
        self.assertIsNone(search.best)
        self.assertLess(len(tried), 20)
        self.assertGreaterEqual(tried[-1][1], LOWEST)

    def test_endless(self):
        """
        A server that takes everything: there is a highest rate to try.
        """
        _, tried = searched(100.0, float("inf"))
        self.assertLessEqual(max(rate for purpose, rate in tried if purpose == "climb"), HIGHEST)
        self.assertEqual(tried[-1][0], "confirm")

    @given(st.floats(1, 1e5), st.floats(1, 1e5))
    def test_anyServer(self, first, capacity):
        """
        Whatever the server takes, the rate that is found is not above it, and not much below.
        """
        search, tried = searched(first, capacity)
        self.assertTrue(capacity / CLOSE <= search.best <= capacity)
        self.assertLess(len(tried), 60)
