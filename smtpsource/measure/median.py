"""
The median, without Python's own module for it, which is slow to import.
"""

from __future__ import annotations

from collections.abc import Iterable


def medianOf(numbers: Iterable[float]) -> float:
    """
    @param numbers: at least one.
    """
    ordered = sorted(numbers)
    count = len(ordered)
    return (ordered[count // 2] + ordered[(count - 1) // 2]) / 2
