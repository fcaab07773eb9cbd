"""
Times of several ledgers on one scale, and how many messages were under way at each of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smtpsource.ledger.reading import LedgerFile
from smtpsource.measure.histogram import HIGHEST_MICROSECONDS, LINEAR, indexOf

_LINEAR_BITS = LINEAR.bit_length() - 1
_BUCKETS = indexOf(HIGHEST_MICROSECONDS) + 1

#: Nanoseconds between two looks at how many are under way, and how many looks there may be: a run that takes longer is
#: looked at less often.
_STEP = 10_000_000
_MOST_STEPS = 1 << 18


class Clocks:
    """
    Monotonic clocks of one boot of a machine are the same; those of others are compared by their distance from the wall
    clock when the ledger was begun.
    """

    def __init__(self) -> None:
        self._offsets: dict[str, int] = {}

    def shift(self, file: LedgerFile) -> int:
        """
        What is to be added to the times of a ledger: then they are nanoseconds of the epoch.
        """
        offset = int(file.header.get("offset", 0))
        boot = str(file.header.get("boot") or "")
        return self._offsets.setdefault(boot, offset) if boot else offset


class Timing:
    """
    How long it took from acknowledgements to arrivals, and how many were between the two at each moment.

    @ivar early: how many have arrived before their acknowledgement was read.
    """

    def __init__(self) -> None:
        self.early = 0
        self._step = _STEP
        self._changes: dict[int, int] = {}
        self._new: dict[str, list[NDArray[np.float64]]] = {"delivery": [], "arrival": []}
        self._counts = {name: np.zeros(_BUCKETS, np.int64) for name in (*self._new, "early")}

    def add(self, acknowledged: Any, arrived: Any, waits: Any) -> None:
        """
        Some that were acknowledged and have arrived.

        @param acknowledged: when, in nanoseconds; C{arrived} as well.
        @param waits: nanoseconds from when each was due to its acknowledgement; 0 if there was no schedule.
        """
        taken = arrived - acknowledged
        self._count("delivery", taken)
        if (scheduled := waits > 0).any():
            self._count("arrival", (taken + waits)[scheduled])
        late, early = taken > 0, taken < 0
        if early.any():
            self.early += int(early.sum())
            self._bucket("early", -taken[early])
        self._change(self._changes, acknowledged[late], 1)
        self._change(self._changes, arrived[late], -1)
        while len(self._changes) > _MOST_STEPS:
            self._step *= 2
            finer, self._changes = self._changes, {}
            for step, change in finer.items():
                self._changes[step // 2] = self._changes.get(step // 2, 0) + change

    def _count(self, name: str, taken: Any) -> None:
        self._new[name].append(taken / 1e9)
        self._bucket(name, taken)

    def _bucket(self, name: str, taken: Any) -> None:
        self._counts[name] += np.bincount(indexesOf(taken // 1000), minlength=_BUCKETS)

    def told(self) -> dict[str, NDArray[np.float64]]:
        """
        The latencies since this was last asked, in seconds.
        """
        new = {name: np.concatenate(parts) if parts else np.zeros(0) for name, parts in self._new.items()}
        for parts in self._new.values():
            parts.clear()
        return new

    def buckets(self) -> dict[str, list[int]]:
        """
        All of them, and by how much some were C{"early"}, in the buckets of L{smtpsource.measure.histogram}; none where
        there are none.
        """
        used = {name: np.flatnonzero(counts) for name, counts in self._counts.items()}
        return {name: self._counts[name][: at[-1] + 1].tolist() for name, at in used.items() if len(at)}

    def peak(self, waiting: Any) -> int:
        """
        The most that were between the two at the end of any step.

        @param waiting: when those were acknowledged that have not arrived.
        """
        changes = dict(self._changes)
        self._change(changes, waiting, 1)
        sums = np.cumsum([changes[step] for step in sorted(changes)])
        return int(sums.max(initial=0))

    def _change(self, changes: dict[int, int], times: Any, sign: int) -> None:
        steps, counts = np.unique(times // self._step, return_counts=True)
        for step, count in zip(steps.tolist(), counts.tolist(), strict=True):
            changes[step] = changes.get(step, 0) + sign * count


def indexesOf(microseconds: Any) -> NDArray[np.int64]:
    """
    The buckets in which latencies are counted, as L{smtpsource.measure.histogram.indexOf} has it, for all of them at
    once. What is below 0 is in that of 0.
    """
    whole = np.clip(microseconds, 0, HIGHEST_MICROSECONDS).astype(np.int64)
    shift = np.maximum(np.frexp(whole.astype(np.float64))[1] - _LINEAR_BITS, 0)
    indexes: NDArray[np.int64] = shift * (LINEAR // 2) + (whole >> shift)
    return indexes
