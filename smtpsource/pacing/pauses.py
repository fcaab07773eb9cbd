"""
When a session starts its next message.
"""

from __future__ import annotations

import random

from zope.interface import implementer

from smtpsource.interfaces import IPacer


@implementer(IPacer)
class FixedPacer:
    """
    The same pause before every message but a session's first.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def pause(self) -> float:
        """
        See L{IPacer.pause}.
        """
        return self._seconds


@implementer(IPacer)
class RandomPacer:
    """
    A pause drawn evenly between 0 and C{longest} seconds.
    """

    def __init__(self, longest: float, rng: random.Random | None = None) -> None:
        self._longest = longest
        self._rng = random.Random() if rng is None else rng

    def pause(self) -> float:
        """
        See L{IPacer.pause}.
        """
        return self._rng.uniform(0.0, self._longest)
