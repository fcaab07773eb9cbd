"""
A run in an open loop: messages start when the schedule says so, whatever the server does.

What a slow server makes wait is counted: a message's response time begins when it was wanted, not when there was a
connection for it.
"""

from __future__ import annotations

import math
from collections import deque
from sys import maxsize
from typing import TYPE_CHECKING, Any

from smtpsource.load import parts
from smtpsource.load.run import BATCH, Run
from smtpsource.load.session import LATE_AFTER, Session
from smtpsource.measure.progress import CATCHING_UP, RUNNING
from smtpsource.pacing.schedule import Profile, Schedule
from smtpsource.pacing.timer import ExactTimer, Timer, timer
from smtpsource.phases import LATE, RESPONSE

if TYPE_CHECKING:
    from smtpsource.interfaces import IMessage


class OpenLoop(Run):
    """
    Starts messages by a schedule, on connections that are free; there are as many sessions as it takes, up to the
    plan's.

    What is measured are the messages that the schedule wants in the measured time, whenever they are started and
    answered. Those that it wanted in the warm-up belong to that, even if they are late.

    @ivar schedule: when messages are wanted.
    @ivar scheduleStart: when it began, on C{clock}'s scale.
    @ivar wanted: when the message was wanted that was taken last, on C{clock}'s scale.
    @ivar measuredFrom: when the first message may have been wanted that is measured, likewise.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.wanted = 0.0
        self._rng = parts.generator(self.plan, "arrivals", self.share)
        self.schedule = self._newSchedule(parts.profile(self.plan))
        if not self.warmingUp and self.plan.messageLimit < maxsize:
            self.schedule.limit(self.plan.messageLimit)
        # How many sessions there may be.
        self._most = self.share.of(self.plan.sessionCount)
        self.scheduleStart = math.inf  # not before the run begins
        self.measuredFrom = -math.inf
        # Less is not late.
        self._maxLate = math.inf if self.plan.maxLate is None else max(LATE_AFTER, self.plan.maxLate)
        # For how long after the end of the schedule a message may start: what is too late then never does.
        self._patience = min(self.plan.catchUpTime, self._maxLate)
        # When it was over with them, if that was after the end of the schedule.
        self._caughtUp = 0.0
        # Those that are free; the one that was busy last is taken first.
        self._parked: list[Session] = []
        self._timer: Timer | ExactTimer | None = None
        self._waiting = False
        # In the schedule's seconds: the warm-up ends before a message is taken that is wanted then or later.
        self._warmUntil = self.plan.warmUp if self.warmingUp else math.inf
        # How many messages were wanted in the warm-up, what became of them, and how many of them are on their way.
        self._before = self._unanswered = 0
        self._warmUp: dict[str, Any] = {}

    def take(self) -> IMessage | None:
        """
        The message that is wanted next, if it is time for it.
        """
        schedule = self.schedule
        now = self.clock()
        while self.remaining:
            next_ = schedule.next
            wanted = self.scheduleStart + next_
            lateness = now - wanted
            if lateness < 0:
                return None
            if next_ >= self._warmUntil:
                self._endWarmUp()
                continue
            isLate = lateness > LATE_AFTER
            if isLate and lateness > self._maxLate:
                # At least this one, however that is rounded.
                until = max(math.nextafter(next_, math.inf), now - self.scheduleStart - self._maxLate)
                self._drop(min(until, self._warmUntil))
                continue
            schedule.advance()
            self.wanted = wanted
            self.remaining -= 1
            if not self.remaining:
                # Others may wait for a message.
                self._later(self._scheduleOver)
            if wanted < self.measuredFrom:
                self._unanswered += 1
                return self._nextMessage()
            recorder = self.recorder
            recorder.started += 1
            if isLate:
                recorder.late += 1
                recorder.duration(LATE, lateness)
            return self._nextMessage()
        return None

    def idle(self, session: Session) -> None:
        """
        This session waits until there is a message for it.
        """
        session.parked = True
        self._parked.append(session)
        if not self._waiting:
            self._wait()

    def scheduledMessages(self) -> float | None:
        """
        How many messages the schedule has asked for since measuring began.
        """
        return self.schedule.asked(self._passed()) - self._before

    def scheduledSeconds(self) -> float | None:
        """
        For how many seconds of what is measured the schedule has asked.
        """
        begin = 0.0 if self.warmingUp else self.plan.warmUp
        return max(0.0, self.schedule.lasted(self._passed()) - begin)

    def askedRate(self) -> float | None:
        """
        The rate that the schedule asks for now, in messages per second.
        """
        passed = self._passed()
        return 0.0 if self.schedule.isOver(passed) else self.schedule.rateAt(passed)

    def overdue(self) -> int | None:
        """
        How many messages the schedule has asked for that are not started.
        """
        return self.schedule.asked(self._passed()) - self.schedule.taken

    def ofWarmUp(self) -> int:
        """
        How many messages have no outcome yet that are not measured, though the warm-up is over.
        """
        return self._unanswered

    def givesUpAt(self) -> float | None:
        """
        How many seconds after the run's start the last overdue message may be started, if that is known.
        """
        schedule, passed = self.schedule, self._passed()
        until = schedule.lasted(passed) if schedule.isOver(passed) else schedule.end
        until += self.scheduleStart - self.startTime + self._patience
        return until if until < math.inf else None

    @property
    def catchUp(self) -> float | None:
        """
        For how many seconds after the end of the schedule messages were started.
        """
        return self._caughtUp

    @property
    def state(self) -> str:
        """
        See L{Run.state}.
        """
        state = super().state
        return CATCHING_UP if state == RUNNING and self._catchesUp() else state

    def _catchesUp(self) -> bool:
        """
        Is the schedule over, while there are messages to start?
        """
        return self.schedule.isOver(self._passed())

    def early(self, outcome: str) -> bool:
        """
        A message has an outcome that was wanted before measuring began.

        @param outcome: C{"accepted"}, C{"rejected"} or C{"failed"}.
        @return: is it to be counted as any other, too?
        """
        self._unanswered -= 1
        self._warmUp[outcome] += 1
        return False

    def _passed(self) -> float:
        """
        The seconds of the schedule.
        """
        return self.endedAt() - self.scheduleStart

    def _kindOfSession(self) -> type[Session]:
        return ScheduledSession

    def _newSchedule(self, profile: Profile) -> Schedule:
        return Schedule(profile, self.plan.arrivals, self._rng, self.share)

    def _beginSessions(self) -> None:
        self.scheduleStart = self.startTime
        self._startDue()
        if self.schedule.end + self._patience < math.inf:
            self._later(self._giveUp, self.schedule.end + self._patience)

    def _sweep(self) -> None:
        super()._sweep()
        # That of so many messages is over when they were asked for; else, there is a timer.
        if self.plan.messageLimit < maxsize and self._patience < math.inf and self._catchesUp():
            passed = self._passed()
            if passed >= self.schedule.lasted(passed) + self._patience:
                self._giveUp()

    def _giveUp(self) -> None:
        """
        The schedule is over, and there was time to catch up: drop what is still overdue.
        """
        if self.remaining:
            self._drop(min(self._passed(), self.schedule.end))
            self._scheduleOver()

    def _drop(self, time: float) -> None:
        """
        Start none of those that were wanted before this time of the schedule.
        """
        schedule = self.schedule
        ofWarmUp = max(0, self._before - schedule.taken)
        number = min(schedule.skip(time), self.remaining)
        self.remaining -= number
        self.recorder.dropped += max(0, number - ofWarmUp)
        if number and not self.remaining:
            self._later(self._scheduleOver)

    def _endWarmUp(self) -> None:
        if self.draining or not self.warmingUp:
            self._warmUntil = math.inf
            return
        self.warmingUp = False
        self._warmUntil = math.inf
        self.measuredFrom = self.scheduleStart + self.plan.warmUp
        self._before = self.schedule.before(self.plan.warmUp)
        self._unanswered = self.recorder.inFlight
        self._warmUp = self._whenWarm(self.measuredFrom)
        self._warmUp["overdue"] = self._before - self.schedule.taken
        self.recorder.started = 0  # those on their way are not the first that are measured
        if self.plan.messageLimit < maxsize:
            self.schedule.limit(self.plan.messageLimit, self.plan.warmUp)
            self.remaining = self.schedule.last - self.schedule.taken

    def endInWarmUp(self) -> dict[str, Any]:
        """
        See L{Run.endInWarmUp}.
        """
        self._before = self.schedule.asked(self._passed())
        return super().endInWarmUp()

    def _startDue(self) -> None:
        """
        Start what is due: on free sessions, then on new ones. A few in a turn: replies must not wait for it.
        """
        self._waiting = False
        schedule = self.schedule
        now = self.clock()
        for _ in range(BATCH):
            # In the words of take: another way to compute the same could be rounded otherwise.
            if not self.remaining or now - (self.scheduleStart + schedule.next) < 0:
                break
            if self._parked:
                self._parked.pop().resume()
            elif len(self.open) < self._most:
                self._beginSession(self._newSession())
            else:
                # The next one that is free takes it.
                self.exhausted = self._most
                return
        else:
            self._wait(0.0)
            return
        if self.remaining and schedule.next == math.inf and now >= self.scheduleStart + schedule.end:
            self._scheduleOver()
        elif not self._waiting:
            self._wait()

    def _wait(self, when: float = math.inf) -> None:
        """
        Until a message is wanted or, after the last one, until the schedule is over; or until this time of the
        schedule, if that is earlier.
        """
        when = min(when, self.schedule.next, self.schedule.end)
        if self.remaining and when < math.inf:
            self._waiting = True
            if self._timer is None:
                self._timer = timer(self._reactor, self.clock, self._startDue, self.broken)
            self._timer.at(self.scheduleStart + when)

    def _scheduleOver(self) -> None:
        """
        All were started that are to be.
        """
        passed = self._passed()
        late = passed - self.schedule.lasted(passed)
        # Less is what a timer takes.
        self._caughtUp = late if late > LATE_AFTER else 0.0
        self.expire()

    def _endIfOver(self) -> None:
        if not self.remaining:
            if not self.open and self._timer is not None:
                self._timer.close()
            super()._endIfOver()


class ScheduledSession(Session):
    """
    A session of an L{OpenLoop}: it knows when each of its messages was wanted.
    """

    __slots__ = ("wanted",)

    def __init__(self, run: OpenLoop, *others: Any) -> None:
        super().__init__(run, *others)
        self._run: OpenLoop
        self.wanted: deque[float] = deque()
        self._take = self._takeWanted

    def accepted(self, seconds: float, recipientsAccepted: int, recipientsRejected: int) -> None:
        """
        See L{ISession.accepted}.
        """
        if self._isMeasured("accepted"):
            self.wanted.popleft()
            super().accepted(seconds, recipientsAccepted, recipientsRejected)
        else:
            self._answered()

    def rejected(self, recipientsRejected: int) -> None:
        """
        See L{ISession.rejected}.
        """
        if self._isMeasured("rejected"):
            super().rejected(recipientsRejected)
        else:
            self._answered()

    def exercised(self) -> None:
        """
        See L{ISession.exercised}.
        """
        if self._isMeasured("accepted"):
            super().exercised()
        else:
            self._answered()

    def postponed(self, code: bytes) -> None:
        """
        See L{ISession.postponed}.
        """
        super().postponed(code)
        self.wanted.rotate(-1)

    def unanswered(self, recipientsAccepted: int, recipientsRejected: int) -> None:
        """
        See L{ISession.unanswered}.
        """
        if self.wanted[0] >= self._run.measuredFrom:
            super().unanswered(recipientsAccepted, recipientsRejected)

    def _takeWanted(self) -> IMessage | None:
        message = self._run.take()
        if message is not None:
            self.wanted.append(self._run.wanted)
        return message

    def _isMeasured(self, outcome: str) -> bool:
        """
        The next message has an answer: is it measured? Then count how long that took.
        """
        wanted, run = self.wanted[0], self._run
        if wanted < run.measuredFrom and not run.early(outcome):
            return False
        run.recorder.duration(RESPONSE, run.clock() - wanted)
        return True

    def _answered(self) -> None:
        self.wanted.popleft()
        super()._answered()

    def _endMessage(self) -> None:
        run = self._run
        while self.message is not None:
            run.recorder.failed += self.wanted[0] >= run.measuredFrom or run.early("failed")
            self._answered()
