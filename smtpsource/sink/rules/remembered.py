"""
What is remembered of those who have come, within bounds.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

_Value = TypeVar("_Value")

#: Of how many keys something is remembered, for each rule. It takes some 200 MB to fill that.
MOST_KEYS = 1_000_000


class Remembered(Generic[_Value]):
    """
    Values by their keys. Never more than L{MOST_KEYS}, and always those of the half of them that were used last: who
    is forgotten is as one who comes for the first time. So attempts begin at 1 again, C{times} allows as many again, a
    bucket is full, and a greylist does not know its triplet any more. For that, half a million others must have come
    meanwhile.

    Instead of a key its hash is kept, which is smaller: of a million, two have the same with a chance of 1 in
    37 million.
    """

    def __init__(self) -> None:
        self._half = max(1, MOST_KEYS // 2)
        self._young: dict[int, _Value] = {}
        self._old: dict[int, _Value] = {}

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def get(self, key: Hashable, default: _Value) -> _Value:
        """
        @return: what was set last, or the default.
        """
        number = hash(key)
        value = self._young.get(number)
        if value is not None:
            return value
        value = self._old.get(number)
        if value is None:
            return default
        self._keep(number, value)
        return value

    def set(self, key: Hashable, value: _Value) -> None:
        """
        Remember a value, which is not C{None}.
        """
        self._keep(hash(key), value)

    def next(self: Remembered[int], key: Hashable) -> int:
        """
        Count one more.

        @return: the count, from 1 on.
        """
        number = hash(key)
        count = (self._young.get(number) or self._old.get(number) or 0) + 1
        self._keep(number, count)
        return count

    def _keep(self, number: int, value: _Value) -> None:
        young = self._young
        if len(young) >= self._half and number not in young:
            self._old = young
            self._young = young = {}
        young[number] = value
