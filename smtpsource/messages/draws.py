"""
Random numbers that are found by the number of a message: what is drawn for it is the same, whichever messages this
process has drawn before.
"""

from __future__ import annotations

import math

from smtpsource.messages import seeds
from smtpsource.speedups import compiled

# SplitMix64 (G. L. Steele, D. Lea, C. H. Flood: Fast splittable pseudorandom number generators, 2014): its numbers are
# those of a counter, mixed. Here the counter is that of messages, and what is drawn for one message is so far apart
# that it meets no other's: not before the 2**40th message, or before 2**23 numbers of one.
_WORD = 2**64 - 1
_STEP = 0x9E3779B97F4A7C15
_NEXT = _STEP * (2**40 + 1) & _WORD


@compiled
class Draws:
    """
    Random numbers for one purpose. Before any are drawn, L{at} says for which message.
    """

    def __init__(self, key: int) -> None:
        """
        @param key: what makes these differ from all others: 64 bits.
        """
        self._key = key
        self._state = key

    def at(self, number: int) -> None:
        """
        From now on they are those of this message, from the first.

        @param number: the message's, up to 2**63.
        """
        self._state = self._key + number * _STEP & _WORD

    def random(self) -> float:
        """
        One that is less than 1, and no less than 0.
        """
        return (self._bits() >> 11) * 2.0**-53

    def normal(self) -> float:
        """
        One of the standard normal distribution, by the method of Box and Muller.
        """
        # The first is never 0 here.
        return math.sqrt(-2.0 * math.log(1.0 - self.random())) * math.cos(2.0 * math.pi * self.random())

    def getrandbits(self, number: int) -> int:
        """
        So many bits, as a whole number.
        """
        found = 0
        for place in range(0, number, 64):
            found |= self._bits() << place
        return found & (1 << number) - 1

    def _bits(self) -> int:
        self._state = mixed = self._state + _NEXT & _WORD
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _WORD
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _WORD
        return mixed ^ mixed >> 31


def draws(seed: int, purpose: str) -> Draws:
    """
    Such numbers for each purpose: what is drawn for one does not depend on what is drawn for another.
    """
    return Draws(seeds.generator(seed, purpose).getrandbits(64))
