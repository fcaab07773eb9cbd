"""
Tests for L{smtpsource.messages.draws}: random numbers that are found by the number of a message.
"""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import strategies as st
from properties import given
from twins import pure
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.messages.draws import Draws, draws

KEYS = st.integers(0, 2**64 - 1)
NUMBERS = st.one_of(st.integers(1, 1000), st.integers(1, 2**63 - 1))

#: So many of them are looked at, in so many cells; and what chi-squared with one degree of freedom less than there are
#: cells exceeds once in a million, and what it stays below as often.
MANY, CELLS = 20_000, 100
MOST, LEAST = 181.0, 45.7

#: Of a mean of so many independent things, in standard deviations: once in a million.
FAR = 4.9


class PositionTests(SynchronousTestCase):
    """
    What is drawn depends on the number, and on nothing else.
    """

    @given(KEYS, st.lists(NUMBERS, min_size=1, max_size=20), st.integers(1, 5))
    def test_anyOrder(self, key, numbers, several):
        """
        Whatever was drawn before, and for whichever messages.
        """
        one, other = Draws(key), Draws(key)
        expected = {}
        for number in numbers:
            one.at(number)
            expected[number] = [one.random() for _ in range(several)], one.getrandbits(100), one.normal()
        for number in reversed(numbers):
            other.at(number)
            found = [other.random() for _ in range(several)], other.getrandbits(100), other.normal()
            self.assertEqual(found, expected[number])

    @given(KEYS, st.lists(NUMBERS, max_size=20))
    def test_twin(self, key, numbers):
        """
        The compiled twin draws what its reference draws, to the last bit.
        """
        one, other = Draws(key), pure("smtpsource.messages.draws").Draws(key)
        for number in numbers:
            one.at(number)
            other.at(number)
            for bits in (0, 1, 4, 31, 63, 64, 65, 396):
                found = one.getrandbits(bits)
                self.assertEqual(found, other.getrandbits(bits))
                self.assertLess(found, 1 << bits)
            self.assertEqual([one.random() for _ in range(3)], [other.random() for _ in range(3)])
            self.assertEqual([one.normal() for _ in range(3)], [other.normal() for _ in range(3)])

    def test_purposes(self):
        """
        Each seed and each purpose have others; the same have the same, in whatever process.
        """
        found = set()
        for seed in range(3):
            for purpose in ("sizes", "senders"):
                each = draws(seed, purpose)
                each.at(1)
                found.add(each.getrandbits(64))
        self.assertEqual(len(found), 6)
        again = draws(7, "sizes")
        again.at(12_345)
        self.assertEqual(again.getrandbits(64), 0xF449F6254A73E8B4)

    def test_apart(self):
        """
        What is drawn for one message is not drawn for its neighbors.
        """
        each = Draws(1)
        found = set()
        for number in range(1, 101):
            each.at(number)
            found |= {each.getrandbits(64) for _ in range(100)}
        self.assertEqual(len(found), 10_000)


class ChanceTests(SynchronousTestCase):
    """
    They are as random as any.
    """

    def ways(self):
        """
        @return: by name, ways to go from one to the next, each with many of them.
        """
        each = draws(1, "sizes")

        def first(number):
            each.at(number)
            return each.random()

        def further(number, place):
            each.at(number)
            for _ in range(place):
                each.random()
            return each.random()

        found = {f"every {step}": [first(step * n + 1) for n in range(MANY)] for step in (1, 2, 3, 16, 64, 1024)}
        found["far away"] = [first(2**40 + n) for n in range(MANY)]
        for place in (1, 2, 7):
            found[f"place {place}"] = [further(number, place) for number in range(MANY)]
        each.at(5)
        found["one message"] = [each.random() for _ in range(MANY)]
        found["seeds"] = []
        for seed in range(MANY):
            other = Draws(seed)
            other.at(1)
            found["seeds"].append(other.random())
        return found

    def test_even(self):
        """
        Each cell has its share, with as much scatter as chance has and no less, whichever messages they are of.
        """
        for name, found in self.ways().items():
            cells = [0] * CELLS
            for one in found:
                cells[int(one * CELLS)] += 1
            expected = MANY / CELLS
            squared = sum((number - expected) ** 2 / expected for number in cells)
            self.assertTrue(LEAST < squared < MOST, (name, squared))

    def test_independent(self):
        """
        None tells of the next, nor of the one after it; nor does the first that is drawn for a message of the second.
        """
        each = draws(1, "sizes")
        pairs = {}
        for name, found in self.ways().items():
            pairs[name] = list(pairwise(found))
            pairs[f"{name}, after it"] = list(zip(found, found[2:], strict=False))
        pairs["two of a message"] = []
        for number in range(MANY):
            each.at(number)
            pairs["two of a message"].append((each.random(), each.random()))
        for name, found in pairs.items():
            cells = [0] * CELLS
            for one, next_ in found:
                cells[int(one * 10) * 10 + int(next_ * 10)] += 1
            expected = len(found) / CELLS
            squared = sum((number - expected) ** 2 / expected for number in cells)
            self.assertTrue(LEAST < squared < MOST, (name, squared))

    def test_bits(self):
        """
        Each bit is set in half of them, and so is whether it differs from the same bit of the next message.
        """
        each = Draws(99)
        found = []
        for number in range(MANY):
            each.at(number)
            found.append(each.getrandbits(64))
        for bit in range(64):
            for words in (found, [one ^ next_ for one, next_ in pairwise(found)]):
                number = sum(word >> bit & 1 for word in words)
                self.assertLess(abs(number - len(words) / 2), FAR * math.sqrt(len(words)) / 2, bit)

    def test_normal(self):
        """
        The normal ones have the mean, the variance, the skewness and the tails of that distribution, for neighbors as
        for several of one message.
        """
        each = draws(1, "sizes")
        neighbors = []
        for number in range(MANY):
            each.at(number)
            neighbors.append(each.normal())
        for found in (neighbors, [each.normal() for _ in range(MANY)]):
            # The moments of this distribution, and how far those of so many scatter.
            for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
                mean = sum(one**power for one in found) / MANY
                self.assertLess(abs(mean - expected), FAR * math.sqrt(variance / MANY), (power, mean))
            for sigma in (1, 2, 3):
                chance = math.erfc(sigma / math.sqrt(2))
                outside = sum(abs(one) > sigma for one in found)
                self.assertLess(abs(outside - MANY * chance), FAR * math.sqrt(MANY * chance), (sigma, outside))
