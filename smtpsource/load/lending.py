"""
Messages that a run of workers lends to them, in a closed loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sys import maxsize
from typing import Any

from smtpsource.pacing.share import Share
from smtpsource.plan import SourcePlan
from smtpsource.workers.leases import Leases


class Lending:
    """
    Answers the requests of workers; one of which nobody knows yet whether there is something for it waits until that is
    known.
    """

    def __init__(self, plan: SourcePlan, shares: Sequence[Share], say: Callable[[int, dict[str, Any]], object]) -> None:
        """
        @param shares: those of all workers.
        @param say: called with the index of a worker, and what it is lent: see L{Kind.LEASE
            <smtpsource.workers.wire.Kind.LEASE>}.
        """
        self._leases = _leasesOf(plan, shares)
        # Of a limited number, what was lent in a warm-up is void after it.
        self._isLimited = plan.messageLimit < maxsize
        self._say = say
        self._waiting: dict[int, tuple[int, int]] = {}

    def want(self, index: int, wanted: int, epoch: int) -> None:
        """
        A worker could do with so many messages.

        @param epoch: 0 in its warm-up, if there is one; 1 after it.
        """
        granted = self._leases.grant(index, wanted)
        if granted is None:
            self._waiting[index] = wanted, epoch
        else:
            first, count = granted
            self._say(index, {"first": first, "count": count, "epoch": epoch})
            self._goOn()

    def warm(self, index: int, onTheirWay: int, started: int) -> None:
        """
        The warm-up of a worker is over; that may have been told before.

        @param onTheirWay: how many messages it had on their way then.
        @param started: how many it has started in it.
        """
        if self._leases.isWarmingUp(index):
            unused = 0 if self._isLimited else max(0, self._leases.lent(index) - started)
            self._leases.warm(index, onTheirWay, unused)
            self._goOn()

    def leave(self, index: int) -> int:
        """
        A worker is gone.

        @return: how many messages it was lent: see L{Leases.lent}.
        """
        self._waiting.pop(index, None)
        lent = self._leases.lent(index)
        self._leases.leave(index)
        self._goOn()
        return lent

    def _goOn(self) -> None:
        """
        There may be something now for those who could not be told before.
        """
        waiting, self._waiting = self._waiting, {}
        for index, (wanted, epoch) in waiting.items():
            self.want(index, wanted, epoch)


def _leasesOf(plan: SourcePlan, shares: Sequence[Share]) -> Leases:
    total, count = plan.messageLimit, len(shares)
    if plan.warmUp:
        return Leases(total, count, [share.of(plan.mostSessions) * plan.window for share in shares])
    # Each session has its first message, but where they come and go.
    first = 0 if plan.stages else min(plan.sessionCount, total)
    return Leases(total, count, first=[share.of(first) for share in shares])
