"""
Numbers of a page's data: as exact as can be seen, and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10

#: Digits of a number: more are not to be seen.
_DIGITS = 4


def timesOf(times: Sequence[float]) -> list[float | None]:
    """
    Times of a run, as exact as can be seen.
    """
    longest = max(times, default=0)
    decimals = 3 if longest < 60 else 2 if longest < 600 else 1
    return [_whole(round(time, decimals)) for time in times]


def rounded(value: float | None) -> float | None:
    """
    A number with as many digits as can be seen.
    """
    if not value:
        return value if value is None else 0
    return _whole(round(value, _DIGITS - 1 - floor(log10(abs(value)))))


def _whole(value: float) -> float:
    """
    The same, as C{4} if it is C{4.0}.
    """
    return int(value) if value == int(value) else value
