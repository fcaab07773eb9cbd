"""
What a dashboard asks of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from smtpsource.measure.frame import Frame
from smtpsource.measure.marks import Mark
from smtpsource.measure.progress import Progress
from smtpsource.measure.series import Sample
from smtpsource.measure.step import Step
from smtpsource.measure.summary import Summary


class Shown(Protocol):
    """
    A run that a dashboard can show: a L{smtpsource.load.service.SourceService}.
    """

    @property
    def marks(self) -> Sequence[Mark]:
        """
        What was marked so far.
        """

    @property
    def percentiles(self) -> Sequence[float]:
        """
        Those that are told of latencies.
        """

    @property
    def latest(self) -> Sample | None:
        """
        What happened in the last second.
        """

    @property
    def latestStep(self) -> Step | None:
        """
        The same as a step.
        """

    def mark(self, text: str) -> Mark:
        """
        Mark this moment.
        """

    def onFrame(self, listener: Callable[[Frame], None]) -> None:
        """
        Have something called with each second.
        """

    def progress(self) -> Progress:
        """
        How far it has come.
        """

    def summaryNow(self) -> Summary:
        """
        What has happened so far.
        """

    def whenDone(self) -> Deferred[Any]:
        """
        @return: fires when it is over.
        """
