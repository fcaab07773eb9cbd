"""
What the rules of all workers remember together.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Hashable
from hashlib import blake2b

from smtpsource.sink.rules import remembered
from smtpsource.sink.rules.remembered import Remembered
from smtpsource.sink.workers.shared import BEFORE_TABLE, TABLE, Shared

#: Slots of each half of the table, a power of two; no more than half of them are in use. A slot is two numbers: the
#: hash of a key, 0 if there is none, and a value.
SLOTS = 1 << 20

_SLOT = 16

#: Octets of all.
SIZE = BEFORE_TABLE + 2 * SLOTS * _SLOT

_FIRST = BEFORE_TABLE // 8

#: Slots that are looked at for a key. Half of a table in use, no key of a million is farther than some hundred from its
#: place.
_MOST_STEPS = 1024

_hash = struct.Struct("=Q").unpack


class Table:
    """
    Values by the hashes of their keys, as L{Remembered} has them: when the half where new ones go is full, the other
    one is forgotten, and takes its place. Whoever asks holds the lock.

    One number says which half that is, and how many keys are in it, so there is never a half with the number of the
    other: a worker may be killed between any two writes. And wherever something is not as it should be, a half that has
    no place for a key is full.
    """

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self._numbers, self._fractions = shared.numbers, shared.fractions
        self._most = max(1, min(remembered.MOST_KEYS, SLOTS) // 2)

    def get(self, key: int) -> float | None:
        """
        @return: the value, or C{None}.
        """
        young = self._numbers[TABLE] & 1
        place = self._find(young, key)
        if place is not None and self._numbers[place]:
            return self._fractions[place + 1]
        place = self._find(1 - young, key)
        if place is None or not self._numbers[place]:
            return None
        value = self._fractions[place + 1]
        self.set(key, value)
        return value

    def set(self, key: int, value: float) -> None:
        """
        Remember a value.
        """
        numbers = self._numbers
        place = self._find(numbers[TABLE] & 1, key)
        if place is not None and numbers[place]:
            self._fractions[place + 1] = value
            return
        if place is None or numbers[TABLE] >> 1 >= self._most:
            place = self._find(self._turned(), key)
        if place is not None:
            # It counts before it is there, and its value is there before its key.
            numbers[TABLE] += 2
            self._fractions[place + 1] = value
            numbers[place] = key

    def _find(self, half: int, key: int) -> int | None:
        """
        Where a key is in one half, or would be; C{None} if there is no place for it.
        """
        first = _FIRST + half * 2 * SLOTS
        start = key & (SLOTS - 1)
        numbers = self._numbers
        for slot in range(start, start + min(_MOST_STEPS, SLOTS)):
            place = first + 2 * (slot & (SLOTS - 1))
            found = numbers[place]
            if found == key or not found:
                return place
        return None

    def _turned(self) -> int:
        """
        @return: the half where new ones go from now on.
        """
        other = 1 - (self._numbers[TABLE] & 1)
        self.shared.clear(BEFORE_TABLE + other * SLOTS * _SLOT, SLOTS * _SLOT)
        self._numbers[TABLE] = other
        return other


class SharedRemembered(Remembered[float]):
    """
    What one rule remembers, the same for all workers. Half a million keys of all rules are remembered for certain.
    """

    def __init__(self, table: Table, scope: str) -> None:
        """
        @param scope: tells this rule from the others.
        """
        super().__init__()
        self._table = table
        self._base = blake2b(scope.encode("utf-8", "surrogatepass"), digest_size=8)

    def _number(self, key: Hashable) -> int:
        digest = self._base.copy()
        digest.update(b"\0" + str(key).encode("utf-8", "surrogatepass"))
        number: int = _hash(digest.digest())[0]
        return number or 1

    def get(self, key: Hashable, default: float) -> float:
        """
        See L{Remembered.get}.
        """
        value = self._table.get(self._number(key))
        return default if value is None else value

    def set(self, key: Hashable, value: float) -> None:
        """
        See L{Remembered.set}.
        """
        self._table.set(self._number(key), value)

    def next(self, key: Hashable) -> int:
        """
        See L{Remembered.next}.
        """
        number = self._number(key)
        count = int(self._table.get(number) or 0) + 1
        self._table.set(number, count)
        return count


def memory(table: Table, revision: int) -> Callable[[str], Remembered[float]]:
    """
    What gives each rule its L{SharedRemembered}.

    @param revision: how often there were other rules: one that comes again begins anew.
    """
    return lambda scope: SharedRemembered(table, f"{revision}\0{scope}")
