"""
An open loop in steps, each of which somebody asks for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import inf
from typing import Any

from smtpsource.load.openloop import OpenLoop
from smtpsource.measure.counters import OUTCOMES, Counters
from smtpsource.measure.snapshot import Snapshot, take
from smtpsource.measure.trial import Trial
from smtpsource.pacing.schedule import Profile, Schedule

#: Seconds between looks at whether all messages of a step have ended.
_LOOK = 0.05

#: What is on its way at the end of a step may take as long as that, but at least so many seconds.
LEAST_WAIT = 10.0


class SteppedRun(OpenLoop):
    """
    Holds a rate for as long as it is told, or its share of it, and tells what came of that. What is overdue at the end
    of a step is not started any more; what is on its way may end.

    @ivar whenStepped: called at the end of each step, with what came of it.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.whenStepped: Callable[[Trial], object] = lambda trial: None
        self.schedule = _nothing()
        # How many messages were asked for in the steps that were held to their end, and for how many seconds.
        self._askedBefore = 0
        self._heldBefore = 0.0
        # For how many seconds this step is held.
        self._hold = 0.0
        # Of the messages of earlier steps: what became of them in this one.
        self._ofEarlier = dict.fromkeys(OUTCOMES, 0)

    def step(self, at: float, rate: float, seconds: float) -> None:
        """
        Hold a rate; not before the step before is over.

        @param at: from when on, on C{clock}'s scale.
        @param rate: messages per second, of all shares together.
        @param seconds: for how long.
        """
        begin = partial(self._beginStep, at, rate, seconds)
        wait = at - self.clock()
        if wait > 0:
            self._later(begin, wait)
        else:
            begin()

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
        """
        There are none before the first step.
        """

    def _beginStep(self, at: float, rate: float, seconds: float) -> None:
        if not self.remaining:
            return
        self.scheduleStart = self.measuredFrom = at
        self._unanswered = self.recorder.inFlight
        self._ofEarlier = dict.fromkeys(self._ofEarlier, 0)
        self._hold = seconds
        self.schedule = self._newSchedule(Profile(((0.0, rate),), seconds))
        self._beforeStep = self._now()
        self._startDue()
        self._later(self._heldStep, max(0.0, at + seconds - self.clock()))

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
        held = replace(self._now().since(self._beforeStep), asked=asked)
        self._askedBefore += asked
        self._heldBefore += self._hold
        self.recorder.dropped += asked - self.schedule.taken
        self.schedule = _nothing()
        self._waiting = False
        if self._timer is not None:
            self._timer.cancel()
        self._awaitEnd(held, self.clock() + max(self._hold, LEAST_WAIT))

    def _awaitEnd(self, held: Snapshot, deadline: float, looksLeft: int = 1) -> None:
        if not self.remaining:
            return
        if self.recorder.inFlight > self._unanswered and self.clock() < deadline:
            self._later(lambda: self._awaitEnd(held, deadline), _LOOK)
        elif self.recorder.inFlight and looksLeft:
            # In the next turn of the reactor: in this one it reads what has come.
            self._later(lambda: self._awaitEnd(held, deadline, looksLeft - 1))
        else:
            self.whenStepped(self._trial(held))

    def _trial(self, held: Snapshot) -> Trial:
        """
        What came of the step.

        @param held: what happened while the rate was held, when nothing had to be ended yet.
        """
        # What was on its way counts, and so does the time that it took, as in a run of this rate alone; but not the
        # time for which nobody has looked.
        ended = self._now().since(self._beforeStep)
        waited = max(0.0, self.clock() - self.scheduleStart - self._hold - _LOOK)
        own = ended.counters - Counters(**self._ofEarlier)
        recorder = self.recorder
        return Trial(
            replace(ended, at=held.at + waited, asked=held.asked, counters=own),
            held.counters.started,
            recorder.inFlight - self._unanswered,
            waited,
            {kind: (count, recorder.errorSamples[kind]) for kind, count in recorder.errors.items()},
        )

    def _now(self) -> Snapshot:
        return take(self.recorder, self.clock() - self.startTime, self.scheduledMessages(), self.scheduledSeconds())


def _nothing() -> Schedule:
    """
    A schedule that never wants a message.
    """
    return Schedule(Profile(((0.0, 0.0),)))
