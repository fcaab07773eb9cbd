"""
The numbers of messages, as indexes of arrays: few of them may be in use, far from each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Numbers of messages are below this: a ledger with others was damaged.
HIGHEST = 1 << 31

#: If a number is further than this above the others, numbers get their room in blocks of so many, as they are met.
_GAP = 1_000_000
_BLOCK = 1024

#: What stands for a number that was never met.
_NOWHERE = 1 << 40


class Numbers:
    """
    What stands for each number: itself, as long as few are left out.
    """

    def __init__(self) -> None:
        # By the block of numbers the block of indexes, and back.
        self._blocks: NDArray[np.int32] | None = None
        self._outside = np.zeros(0, np.int32)
        self._met = self._top = 0

    def room(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """
        Have room for some numbers.

        @return: what stands for them.
        """
        self._met += len(numbers)
        top = int(numbers.max()) + 1
        if self._blocks is None:
            if top <= _GAP + 16 * self._met:
                self._top = max(self._top, top)
                return numbers
            self._outside = np.arange(-(-self._top // _BLOCK), dtype=np.int32)
            self._blocks = self._outside.copy()
        known = len(self._blocks)
        self._blocks = grown(self._blocks, -(-top // _BLOCK))
        self._blocks[known:] = -1
        blocks = np.unique(numbers // _BLOCK)
        new = blocks[self._blocks[blocks] < 0].astype(np.int32)
        self._blocks[new] = len(self._outside) + np.arange(len(new))
        self._outside = np.concatenate((self._outside, new))
        found: NDArray[np.int64] = self.inside(numbers)
        return found

    def inside(self, numbers: Any) -> Any:
        """
        What stands for some numbers.
        """
        if self._blocks is None:
            return numbers
        block = np.minimum(numbers // _BLOCK, HIGHEST // _BLOCK).astype(np.int64)
        known = block < len(self._blocks)
        inside = np.where(known, self._blocks[np.where(known, block, 0)], -1).astype(np.int64)
        return np.where(inside < 0, _NOWHERE, inside * _BLOCK + (numbers % _BLOCK).astype(np.int64))

    def outside(self, found: NDArray[np.int64]) -> NDArray[np.int64]:
        """
        The other way round.
        """
        if self._blocks is None:
            return found
        return self._outside[found // _BLOCK].astype(np.int64) * _BLOCK + found % _BLOCK


def grown(array: Any, size: int) -> Any:
    """
    An array that has room for so many; new places are 0.
    """
    if size <= len(array):
        return array
    # In place, as far as the memory allows it: there are no two of the same.
    array.resize(size + size // 32 + 1024, refcheck=False)
    return array
