"""
The part of a worker that is lost: the schedule goes on to ask for it.
"""

from __future__ import annotations

from sys import maxsize

from smtpsource.load import parts
from smtpsource.pacing.schedule import Schedule
from smtpsource.pacing.share import Share
from smtpsource.plan import SourcePlan

#: Seconds after its last frame for which a worker may have gone on that is lost: it would have told a second later.
_SILENCE = 1.5


class LostPart:
    """
    What is asked for of it that nobody has told of.

    @ivar begun: how many messages it was to start since it has told last, while it may still have run.
    """

    def __init__(
        self, schedule: Schedule, asked: int, told: float, now: float, *, warmUp: float = 0.0, epoch: int = 0
    ) -> None:
        """
        @param schedule: the part's own, in its own seconds as all that follows.
        @param asked: how many messages of it the worker has told of in this epoch.
        @param told: up to when that was.
        @param now: up to when it may have gone on.
        @param warmUp: when measuring begins.
        @param epoch: 0; 1 if that was after a warm-up.
        """
        self._schedule = schedule
        self._warmUp = warmUp
        self._ofWarmUp = schedule.before(warmUp) if warmUp else 0
        before = asked + epoch * self._ofWarmUp
        self._asked = max(before, self._wanted(epoch, max(told, min(now, told + _SILENCE))))
        self.begun = self._asked - before

    @classmethod
    def of(cls, plan: SourcePlan, share: Share, epoch: int, asked: int, told: float, now: float) -> LostPart:
        """
        The part of a run in an open loop that is this share.
        """
        schedule = parts.arrivalsOf(plan, share)
        if plan.messageLimit < maxsize:
            schedule.limit(plan.messageLimit, plan.warmUp)
        return cls(schedule, asked, told, now, warmUp=plan.warmUp, epoch=epoch)

    def asks(self, epoch: int, seconds: float) -> int:
        """
        How many messages are asked for that nobody starts, since this was asked last.

        @param epoch: 0; 1 after the warm-up.
        @param seconds: up to when, from the beginning of the epoch.
        """
        before = max(self._asked, epoch * self._ofWarmUp)
        self._asked = max(before, self._wanted(epoch, seconds + epoch * self._warmUp))
        return self._asked - before

    def _wanted(self, epoch: int, time: float) -> int:
        """
        How many are wanted up to this time. What is measured begins with none of it.
        """
        found = 0 if time <= 0 else self._schedule.asked(time)
        return min(found, self._ofWarmUp) if self._warmUp and not epoch else found
