"""
The numbers of a run's messages, as they are lent to its workers.
"""

from __future__ import annotations


class Leases:
    """
    One pool of numbers, from 1 on, of which workers take as many as they can soon use. The less there is left, the less
    each one gets: so no worker sits on messages that another could send, and all come to the end at about the same time
    (guided self-scheduling). No number is lent twice.

    @ivar rest: how many are not lent yet.
    """

    def __init__(self, total: int, workers: int) -> None:
        """
        @param total: how many there are.
        @param workers: how many share them.
        """
        self.rest = total
        self._next = 1
        self._workers = workers
        # Of each: how many it was lent, those that it has given back not included.
        self._lent = [0] * workers

    def grant(self, worker: int, wanted: int) -> tuple[int, int]:
        """
        Lend some to a worker.

        @param wanted: how many it can use; it may get fewer, but at least one as long as there are any.
        @return: the first of them, and how many: they follow each other.
        """
        count = min(wanted, self.rest, max(1, self.rest // (2 * self._workers)))
        first = self._next
        self._next += count
        self.rest -= count
        self._lent[worker] += count
        return first, count

    def lent(self, worker: int) -> int:
        """
        How many a worker was lent.
        """
        return self._lent[worker]

    def leave(self) -> None:
        """
        There is a worker less: what is left is for the others.
        """
        self._workers = max(1, self._workers - 1)

    def recall(self, rest: int, kept: list[int]) -> None:
        """
        What was lent and is not started is lent no more, and nobody will send it; there are others.

        @param rest: how many may be lent from now on.
        @param kept: of each worker, how many it has of those that were lent before.
        """
        self.rest = rest
        self._lent = list(kept)
