"""
A run that looks for the highest rate at which the server keeps a promise.
"""

from __future__ import annotations

from math import inf
from typing import Any

from smtpsource.measure.search import REACHED, Found, RateSearch, Step
from smtpsource.measure.snapshot import Snapshot, take
from smtpsource.measure.thresholds import Threshold
from smtpsource.openloop import OpenLoop
from smtpsource.traffic.schedule import Profile, Schedule

#: The rate to begin with, in messages per second, where the plan has none.
FIRST = 100.0

#: Seconds between looks at whether all messages of a step have ended.
_LOOK = 0.05


class SearchedRun(OpenLoop):
    """
    An open loop in steps, each with a rate of its own. What is overdue at the end of a step is not started any more;
    what is on its way may end.

    @ivar found: what came of it, up to now.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        promise = self.plan.findRate
        assert isinstance(promise, Threshold)
        self._promise = promise
        self._search = RateSearch(self.plan.rate or FIRST)
        self._steps: list[Step] = []
        self._askedBefore = 0

    @property
    def found(self) -> Found:
        """
        What came of it, up to now.
        """
        best = self._search.best
        confirmed = [step for step in self._steps if step.purpose == "confirm" and best and step.rate <= best]
        if confirmed:
            # A rate that fails when it is tried again was luck.
            best = max((step.rate for step in confirmed if step.passed), default=None)
        return Found(self._promise.text, best, tuple(self._steps))

    def asked(self) -> float | None:
        """
        How many messages the schedules have asked for up to now.
        """
        return self._askedBefore + self.schedule.asked(self.clock() - self.scheduleStart)

    def askedFor(self) -> float | None:
        """
        For how many seconds of all steps the schedules have asked.
        """
        now = min(self.clock() - self.scheduleStart, self.schedule.end) if self.schedule.end < inf else 0.0
        return len(self._steps) * self.plan.holdStep + now

    def _beginSessions(self) -> None:
        self._step()

    def _step(self) -> None:
        """
        Try the next rate.
        """
        rate = self._search.rate
        if rate is None:
            self.expire()
            return
        self.scheduleStart = self.clock()
        self.schedule = self._newSchedule(Profile(((0.0, rate),), self.plan.holdStep))
        self._beforeStep = self._now()
        self._startDue()
        self._later(self._heldStep, self.plan.holdStep)

    def _scheduleOver(self) -> None:
        """
        The step goes on to its end.
        """

    def _heldStep(self) -> None:
        """
        The step was held for as long as it should.
        """
        if not self.remaining:
            return
        step = self._now().since(self._beforeStep)
        self._askedBefore += self.schedule.asked(inf)
        self.schedule = Schedule(Profile(((0.0, 0.0),)))
        self._waiting = False
        if self._timer is not None:
            self._timer.cancel()
        self._awaitEnd(step, self.clock() + max(self.plan.holdStep, 10.0))

    def _awaitEnd(self, step: Snapshot, deadline: float) -> None:
        if not self.remaining:
            return
        if self.recorder.inFlight and self.clock() < deadline:
            self._later(lambda: self._awaitEnd(step, deadline), _LOOK)
        else:
            self._judge(step)

    def _judge(self, held: Snapshot) -> None:
        """
        Was the promise kept, and the rate reached?

        @param held: what happened while the rate was held, when nothing had to be ended yet.
        """
        rate = self._search.rate
        assert rate is not None and held.asked is not None
        outcome = self._promise.check(self._now().since(self._beforeStep))
        reached = held.started >= REACHED * held.asked
        actual = outcome.actual
        if not reached:
            actual += f", and only {held.started} of {held.asked:.0f} messages could be started"
        passed = outcome.passed and reached
        self._steps.append(Step(self._search.purpose, rate, held.accepted / held.at, passed, actual))
        self._search.tried(passed)
        self._step()

    def _now(self) -> Snapshot:
        return take(self.recorder, self.clock() - self.startTime, self.asked(), self.askedFor())
