"""
What is left to chance, and yet the same whenever it is asked again.
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import Any

from smtpsource.sink.rules.facts import Facts, Step
from smtpsource.sink.rules.remembered import Remembered
from smtpsource.sink.rules.subjects import identity

_THREE = struct.Struct(">QQQ")

#: Of each number of 64 bits, 52 make a fraction that is exact.
_UNIT = 2.0**-52

#: Three numbers between 0 and 1, neither included: for the chance, the delay and the text.
Draw = tuple[float, float, float]


class Draws:
    """
    The numbers that a rule draws. They come from a hash of the seed, the rule, what is asked about (see
    L{subjects.identity}), and which attempt it is: how often this rule has drawn for the same, from 1 on. Nothing
    depends on the order in which different ones come, on the process, or on other rules.

    @ivar memory: the attempts.
    """

    def __init__(self, canonical: str) -> None:
        """
        @param canonical: the text of the rule, its name left out.
        """
        self._canonical = canonical.encode("utf-8", "surrogatepass")
        self.memory: Remembered[Any] = Remembered()
        self.seed("")

    def seed(self, seed: str) -> None:
        """
        @param seed: by what to draw.
        """
        # Keys have 64 bytes at most, and texts of rules more.
        self._base = blake2b(b"%b\0%b\0" % (seed.encode(), self._canonical), digest_size=24)

    def inherit(self, other: Draws) -> None:
        """
        Go on with the attempts of another one.
        """
        self.memory = other.memory

    def next(self, step: Step, facts: Facts) -> Draw:
        """
        Draw for the next attempt.
        """
        about = identity(step, facts)
        digest = self._base.copy()
        digest.update(f"{about}\0{self.memory.next(about)}".encode("utf-8", "surrogatepass"))
        first, second, third = _THREE.unpack(digest.digest())
        return ((first >> 12) + 0.5) * _UNIT, ((second >> 12) + 0.5) * _UNIT, ((third >> 12) + 0.5) * _UNIT
