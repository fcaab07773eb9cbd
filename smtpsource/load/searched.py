"""
A run that looks for the highest rate at which the server keeps a promise.
"""

from __future__ import annotations

from math import inf
from typing import Any

from smtpsource.load.search import Search
from smtpsource.load.stepped import SteppedRun
from smtpsource.measure.search import Found, Searching
from smtpsource.measure.trial import Trial


class SearchedRun(SteppedRun):
    """
    Asks itself for one step after the other, until it knows.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._search = Search(self.plan)
        self.whenStepped = self._stepped

    @property
    def found(self) -> Found:
        """
        What came of it, up to now.
        """
        return self._search.found

    @property
    def searching(self) -> Searching:
        """
        How far it has come.
        """
        return self._search.searching(self.clock() - self.scheduleStart if self.scheduleStart < inf else None)

    def _beginSessions(self) -> None:
        self._next()

    def _next(self) -> None:
        """
        Try the next rate.
        """
        step = self._search.next
        if step is None:
            self.expire()
        else:
            self.step(self.clock(), *step)

    def _stepped(self, trial: Trial) -> None:
        problem = self._search.judge(trial)
        if problem is None:
            self._next()
        else:
            self.trouble(problem, tolerable=False)
