"""
How far a run has come, from the finding of its destination to what comes after the load.
"""

from __future__ import annotations

from sys import maxsize
from typing import TYPE_CHECKING

from smtpsource.measure.progress import DELIVERING, WAITING, Progress

if TYPE_CHECKING:
    from smtpsource.load.beginning import Beginning
    from smtpsource.load.measuring import Measuring
    from smtpsource.load.run import Run
    from smtpsource.load.workersrun import WorkersRun
    from smtpsource.plan import SourcePlan


def progressOf(
    plan: SourcePlan,
    run: Run | WorkersRun,
    beginning: Beginning,
    measuring: Measuring,
    *,
    isOver: bool,
) -> Progress:
    """
    @param isOver: is there a summary?
    """
    begun, delivery = measuring.hasBegun, beginning.delivery
    if isOver:
        state = "over"
    elif delivery is not None and delivery.waiting:
        state = DELIVERING
    elif beginning.startsIn is not None:
        state = WAITING
    else:
        state = run.state if begun else "starting"
    # When the load is over nothing is asked for.
    asks = begun and state != DELIVERING
    duration = sum(seconds for seconds, _ in plan.stages) or plan.duration
    if duration is not None and not plan.stages:
        duration += plan.warmUp
    return Progress(
        at=max(0.0, run.clock() - run.startTime) if begun else 0.0,
        state=state,
        sessions=run.openSessions,
        asked=run.scheduledMessages() if asks else measuring.figures.asked if begun else None,
        askedRate=run.askedRate() if asks else None,
        overdue=run.overdue() if asks else None,
        ofWarmUp=run.ofWarmUp(),
        givesUpAt=run.givesUpAt() if begun else None,
        total=plan.messageLimit if plan.messageLimit < maxsize else None,
        duration=duration,
        exercise=plan.exercise,
        search=run.searching,
        hints=run.standingHints,
        delivered=None if delivery is None else delivery.delivered(),
        awaited=None if delivery is None else delivery.awaited(),
        workers=run.working,
        startsIn=beginning.startsIn,
    )
