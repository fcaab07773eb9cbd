"""
A run that looks for the highest rate at which the server keeps a promise.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

from smtpsource.load.openloop import OpenLoop
from smtpsource.measure.counters import OUTCOMES, Counters
from smtpsource.measure.search import Found, Searching, Step
from smtpsource.measure.snapshot import Snapshot, take
from smtpsource.measure.thresholds import Threshold
from smtpsource.pacing.ratesearch import LONGER, LOWEST, REACHED, RateSearch
from smtpsource.pacing.schedule import Profile, Schedule

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

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        promise = self.plan.findRate
        assert isinstance(promise, Threshold)
        self._promise = promise
        self._search = RateSearch(self.plan.rate or FIRST, max(LOWEST, 1 / self.plan.holdStep))
        self._steps: list[Step] = []
        # How many messages were asked for in the steps that were held to their end, and for how many seconds.
        self._askedBefore = 0
        self._heldBefore = 0.0
        # For how many seconds this step is held.
        self._hold = self.plan.holdStep
        # Of the messages of earlier steps: what became of them in this one.
        self._ofEarlier = dict.fromkeys(OUTCOMES, 0)

    @property
    def found(self) -> Found:
        """
        What came of it, up to now.
        """
        return Found(self._promise.text, self._search.best, tuple(self._steps))

    @property
    def searching(self) -> Searching:
        """
        How far it has come.
        """
        search, left = self._search, self._search.left
        seconds = None
        if left is not None:
            steps, again = left
            seconds = self.plan.holdStep * (steps + LONGER * again)
            if self.scheduleStart < inf and search.rate is not None:
                seconds = max(0.0, seconds - min(self._hold, self.clock() - self.scheduleStart))
        return Searching(
            len(self._steps) + (search.rate is not None),
            search.rate,
            search.purpose,
            search.low,
            search.high,
            seconds,
            self._steps,
        )

    def scheduledMessages(self) -> float | None:
        """
        How many messages the schedules have asked for up to now.
        """
        return self._askedBefore + self.schedule.asked(self.clock() - self.scheduleStart)

    def scheduledSeconds(self) -> float | None:
        """
        For how many seconds of all steps the schedules have asked.
        """
        now = min(self.clock() - self.scheduleStart, self.schedule.end) if self.schedule.end < inf else 0.0
        return self._heldBefore + now

    def overdue(self) -> int | None:
        """
        How many messages this step has asked for that are not started.
        """
        return self.schedule.asked(self._passed()) - self.schedule.taken

    def ofWarmUp(self) -> int:
        """
        See L{OpenLoop.ofWarmUp}. There is no warm-up.
        """
        return 0

    def givesUpAt(self) -> float | None:
        """
        See L{OpenLoop.givesUpAt}. Nobody knows how many steps there will be.
        """
        return None

    @property
    def catchUp(self) -> float | None:
        """
        See L{OpenLoop.catchUp}. There is no such time after a step.
        """
        return None

    def _catchesUp(self) -> bool:
        """
        What is overdue at the end of a step is dropped.
        """
        return False

    def early(self, outcome: str) -> bool:
        """
        See L{OpenLoop.early}. This one is of an earlier step, which has long been judged.
        """
        self._unanswered -= 1
        self._ofEarlier[outcome] += 1
        return True

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
        self.scheduleStart = self.measuredFrom = self.clock()
        self._unanswered = self.recorder.inFlight
        self._ofEarlier = dict.fromkeys(self._ofEarlier, 0)
        self._hold = self.plan.holdStep * (LONGER if self._search.purpose == "confirm" else 1)
        self.schedule = self._newSchedule(Profile(((0.0, rate),), self._hold))
        self._beforeStep = self._now()
        self._startDue()
        self._later(self._heldStep, self._hold)

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
        asked = self.schedule.asked(inf)
        step = replace(self._now().since(self._beforeStep), asked=asked)
        self._askedBefore += asked
        self._heldBefore += self._hold
        self.recorder.dropped += asked - self.schedule.taken
        self.schedule = Schedule(Profile(((0.0, 0.0),)))
        self._waiting = False
        if self._timer is not None:
            self._timer.cancel()
        self._awaitEnd(step, self.clock() + max(self._hold, 10.0))

    def _awaitEnd(self, step: Snapshot, deadline: float, looksLeft: int = 1) -> None:
        if not self.remaining:
            return
        if self.recorder.inFlight > self._unanswered and self.clock() < deadline:
            self._later(lambda: self._awaitEnd(step, deadline), _LOOK)
        elif self.recorder.inFlight and looksLeft:
            # In the next turn of the reactor: in this one it reads what has come.
            self._later(lambda: self._awaitEnd(step, deadline, looksLeft - 1))
        else:
            self._judge(step)

    def _judge(self, held: Snapshot) -> None:
        """
        Was the promise kept, and the rate reached?

        @param held: what happened while the rate was held, when nothing had to be ended yet.
        """
        rate = self._search.rate
        assert rate is not None and held.asked is not None
        # What was on its way counts, and so does the time that it took, as in a run of this rate alone; but not the
        # time for which nobody has looked.
        ended = self._now().since(self._beforeStep)
        own = ended.counters - Counters(**self._ofEarlier)
        unanswered = self.recorder.inFlight - self._unanswered
        waited = max(0.0, self.clock() - self.scheduleStart - self._hold - _LOOK)
        seconds = held.at + waited
        ended = replace(ended, at=seconds, asked=held.asked, counters=own).withUnanswered(unanswered, waited)
        outcome = self._promise.check(ended)
        started = held.counters.started
        actual = outcome.actual
        if unanswered:
            actual = f"{unanswered} of {started} messages had no answer {waited:.0f} s later; {actual}"
        reached = held.asked - started <= max(1, (1 - REACHED) * held.asked)
        if not reached:
            actual = f"only {started} of {held.asked:.0f} messages could be started; {actual}"
        passed = outcome.passed and reached
        achieved = own.accepted / seconds
        step = Step(self._search.purpose, rate, achieved, passed, actual, outcome.passed, outcome.value)
        self._steps.append(step)
        if outcome.value is None and own.accepted:
            self.trouble(f"{self._promise.text}: {outcome.actual}: no step will tell", tolerable=False)
            return
        if held.asked and not any(step.achieved for step in self._steps):
            errors = self.recorder.errorSamples.values()
            self.trouble(f"nothing was accepted at {rate:g} messages/s: {next(iter(errors), actual)}", tolerable=False)
            return
        self._search.tried(passed)
        self._step()

    def _now(self) -> Snapshot:
        return take(self.recorder, self.clock() - self.startTime, self.scheduledMessages(), self.scheduledSeconds())
