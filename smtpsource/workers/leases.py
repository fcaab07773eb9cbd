"""
The numbers of a run's messages, as they are lent to its workers.
"""

from __future__ import annotations

from collections.abc import Sequence


class Leases:
    """
    One pool of numbers, from 1 on, of which workers take as many as they can soon use. The less there is left, the less
    each one gets: so no worker sits on messages that another could send, and all come to the end at about the same time
    (guided self-scheduling). No number is lent twice.

    What is sent in a warm-up is not of the limited ones; but what a worker has on its way at the end of its warm-up is.
    How many these are is known of one worker after the other: until then as many as there can be are kept back. So are
    those that a worker has to have for its sessions, until it asks for the first time.
    """

    def __init__(self, total: int, workers: int, onTheirWay: Sequence[int] = (), first: Sequence[int] = ()) -> None:
        """
        @param total: how many there are, the warm-up's not included.
        @param workers: how many share them.
        @param onTheirWay: of each worker, how many it may have on their way at the end of a warm-up; empty if there is
            none.
        @param first: of each worker, how many it gets at least when it asks first; no more than there are.
        """
        self._rest = total - sum(onTheirWay)
        self._next = 1
        self._living = workers
        # Of those whose warm-up is not over, as far as that is known.
        self._kept = dict(enumerate(onTheirWay))
        self._owed = {worker: count for worker, count in enumerate(first) if count}
        self._lent = [0] * workers

    @property
    def rest(self) -> int:
        """
        How many there are that are not lent.
        """
        return max(0, self._rest)

    @property
    def isOver(self) -> bool:
        """
        Is there nothing left for anybody?
        """
        return not (self.rest or self._kept)

    def grant(self, worker: int, wanted: int) -> tuple[int, int] | None:
        """
        Lend some to a worker.

        @param wanted: how many it can use; it may get fewer, but at least one as long as there are any.
        @return: the first of them, and how many: they follow each other. With 0, there are no more; C{None}: nobody
            knows yet whether there are.
        """
        wanted = max(1, wanted)
        if worker in self._kept:
            count = wanted
            self._lent[worker] += count
        elif (free := self._freeFor(worker)) or not (self._kept or self._owed):
            fair = min(wanted, max(1, free // (2 * self._living)))
            count = min(free, max(fair, self._owed.pop(worker, 0)))
            self._rest -= count
            self._lent[worker] += count
        else:
            return None
        first = self._next
        self._next += count
        return first, count

    def _freeFor(self, worker: int) -> int:
        """
        How many are there for this worker?
        """
        return max(0, self._rest - sum(owed for other, owed in self._owed.items() if other != worker))

    def isWarmingUp(self, worker: int) -> bool:
        """
        Is its warm-up not over, as far as that is known?
        """
        return worker in self._kept

    def warm(self, worker: int, onTheirWay: int, unused: int = 0) -> None:
        """
        The warm-up of a worker is over: what it was lent before is lent no more, but for these.

        @param unused: how many it has left that it may still use, if there is no limit.
        """
        kept = self._kept.pop(worker, None)
        if kept is not None:
            self._rest += kept - onTheirWay
            self._lent[worker] = onTheirWay + unused

    def lent(self, worker: int) -> int:
        """
        How many a worker was lent: in its warm-up, or since, with those that were on their way at its end.
        """
        return self._lent[worker]

    def leave(self, worker: int) -> None:
        """
        This worker is gone, and what it was lent with it; what is left is for the others.
        """
        self.warm(worker, 0)
        self._owed.pop(worker, None)
        self._living = max(1, self._living - 1)
