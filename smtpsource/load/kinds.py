"""
The kind of run that does a plan, or a share of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smtpsource.pacing.share import WHOLE, Share

if TYPE_CHECKING:
    from smtpsource.load.run import Run
    from smtpsource.plan import SourcePlan


def kindOf(plan: SourcePlan, share: Share = WHOLE) -> type[Run]:
    """
    Which kind of run that is: each is imported by those who want it.
    """
    if plan.findRate is not None:
        if share is not WHOLE:  # whoever shares it out looks for the rate, also if there is one share
            from smtpsource.load.stepped import SteppedRun

            return SteppedRun
        from smtpsource.load.searched import SearchedRun

        return SearchedRun
    if plan.openLoop:
        from smtpsource.load.openloop import OpenLoop

        return OpenLoop
    if share.count > 1:
        from smtpsource.load.leased import LeasedRun, LeasedStagedRun

        return LeasedStagedRun if plan.stages else LeasedRun
    if plan.stages:
        from smtpsource.load.staged import StagedRun

        return StagedRun
    from smtpsource.load.run import Run

    return Run
