"""
Tests for L{smtpsource.load.doubts}: which messages are in doubt, and how many are remembered.
"""

from __future__ import annotations

import sys

from hypothesis import strategies as st
from properties import given
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.load.doubts import Doubts


class DoubtsTests(SynchronousTestCase):
    """
    A connection accepts messages, and then its replies are found to be out of step.
    """

    def accepting(self, doubts, inPart):
        """
        @param inPart: of each message, from 1, was it accepted in part?
        @return: how many the protocol says are in doubt.
        """
        before = 0
        for number, isInPart in enumerate(inPart, 1):
            before += isInPart
            doubts.accepted(before + 1, number)
        return min(before + 1, len(inPart))

    @given(st.lists(st.booleans(), max_size=40))
    def test_asMany(self, inPart):
        """
        There are as many as the protocol says. The last one is among them, and each that was followed by one that was
        accepted in part.
        """
        doubts = Doubts(1)
        number = self.accepting(doubts, inPart)
        found = [int(each) for (each,) in doubts.take(number)]
        self.assertEqual((len(found), found), (number, sorted(set(found))))
        wanted = {place for place in range(1, len(inPart)) if inPart[place]} | set(range(1, len(inPart) + 1)[-1:])
        self.assertEqual(wanted - set(found), set())

    def test_another(self):
        """
        What another connection has accepted is not in doubt, nor is what was where no reply can be out of step.
        """
        doubts = Doubts(1)
        self.accepting(doubts, [False, True, False])
        doubts.clear()
        self.assertEqual(doubts.take(10), [])
        doubts.accepted(0, 1)
        self.assertEqual(doubts.take(10), [])
        self.assertEqual(doubts.take(self.accepting(doubts, [False, False])), [(2,)])

    def test_little(self):
        """
        Of messages that are not in doubt nothing is kept.
        """
        doubts = Doubts(4)
        for number in range(100_000):
            doubts.accepted(1, number, 0.5, 1, 1000)
        self.assertEqual(len(doubts._kept), 0)
        self.assertEqual(doubts.take(1), [(99_999, 0.5, 1, 1000)])

    @given(st.integers(1, 50), st.integers(0, 500))
    def test_bounded(self, most, number):
        """
        Where all are in doubt, the latest are kept, and it is known how many are not.
        """
        doubts = Doubts(2, most)
        for each in range(number):
            doubts.accepted(sys.maxsize, each, each / 2)
            self.assertLessEqual(len(doubts._kept), 2 * 2 * most)
        found = doubts.take(sys.maxsize)
        self.assertEqual(found, [(each, each / 2) for each in range(number - len(found), number)])
        self.assertGreaterEqual(len(found), min(most, number))
        self.assertEqual(doubts.forgotten, number - len(found))
