"""
What the rules of all workers remember together.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Hashable
from hashlib import blake2b

from smtpsource.sink.rules import remembered
from smtpsource.sink.rules.remembered import Remembered
from smtpsource.sink.workers.shared import BEFORE_TABLE, USED, YOUNG, Shared

#: Slots of each half of the table, a power of two; no more than half of them are in use. A slot is two numbers: the
#: hash of a key, 0 if there is none, and a value.
SLOTS = 1 << 20

_SLOT = 16

#: Octets of all.
SIZE = BEFORE_TABLE + 2 * SLOTS * _SLOT

_FIRST = BEFORE_TABLE // 8

_hash = struct.Struct("=Q").unpack


class Table:
    """
    Values by the hashes of their keys, as L{Remembered} has them: when the half where new ones go is full, the other
    one is forgotten, and takes its place. Whoever asks holds the lock.
    """

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self._numbers, self._fractions = shared.numbers, shared.fractions
        self._most = max(1, min(remembered.MOST_KEYS, SLOTS) // 2)

    def get(self, key: int) -> float | None:
        """
        @return: the value, or C{None}.
        """
        young = self._numbers[YOUNG]
        place = self._find(young, key)
        if self._numbers[place]:
            return self._fractions[place + 1]
        place = self._find(1 - young, key)
        if not self._numbers[place]:
            return None
        value = self._fractions[place + 1]
        self.set(key, value)
        return value

    def set(self, key: int, value: float) -> None:
        """
        Remember a value.
        """
        numbers = self._numbers
        place = self._find(numbers[YOUNG], key)
        if not numbers[place]:
            if numbers[USED] >= self._most:
                self._turn()
                place = self._find(numbers[YOUNG], key)
            numbers[USED] += 1
            # The value first: a worker may be killed at any time.
            self._fractions[place + 1] = value
            numbers[place] = key
        else:
            self._fractions[place + 1] = value

    def _find(self, half: int, key: int) -> int:
        """
        Where a key is in one half, or would be.
        """
        first = _FIRST + half * 2 * SLOTS
        slot = key & (SLOTS - 1)
        numbers = self._numbers
        while True:
            place = first + 2 * slot
            found = numbers[place]
            if found == key or not found:
                return place
            slot = (slot + 1) & (SLOTS - 1)

    def _turn(self) -> None:
        other = 1 - self._numbers[YOUNG]
        self.shared.clear(BEFORE_TABLE + other * SLOTS * _SLOT, SLOTS * _SLOT)
        self._numbers[USED] = 0
        self._numbers[YOUNG] = other


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
