"""
A run in an open loop: messages start when the schedule says so, whatever the server does.

What a slow server makes wait is counted: a message's response time begins when it was wanted, not when there was a
connection for it.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

from smtpsource.net.timer import ExactTimer, Timer, timer
from smtpsource.phases import LATE, RESPONSE
from smtpsource.run import Run
from smtpsource.session import Session
from smtpsource.traffic.schedule import Profile, Schedule

if TYPE_CHECKING:
    from smtpsource.interfaces import IMessage

#: A message that starts so many seconds after it was wanted is late. Less than that is what a timer and a turn of the
#: reactor take.
LATE_AFTER = 0.01


class OpenLoop(Run):
    """
    Starts messages by a schedule, on connections that are free; there are as many sessions as it takes, up to the
    plan's.

    @ivar schedule: when messages are wanted.
    @ivar scheduleStart: when it began, on C{clock}'s scale.
    @ivar wanted: when the message was wanted that was taken last, on C{clock}'s scale.
    @ivar exhausted: a message had to wait because all sessions were busy, and there may be no more of them.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.wanted = 0.0
        self.exhausted = False
        self._rng = self.plan.generator("arrivals")
        self.schedule = self._newSchedule(self.plan.profile())
        self.scheduleStart = math.inf  # not before the run begins
        self._maxLate = math.inf if self.plan.maxLate is None else self.plan.maxLate
        # Those that are free; the one that was busy last is taken first.
        self._parked: list[Session] = []
        self._timer: Timer | ExactTimer | None = None
        self._waiting = False
        # How many messages were wanted when measuring began.
        self._before = 0

    def take(self) -> IMessage | None:
        """
        The message that is wanted next, if it is time for it.
        """
        schedule = self.schedule
        now = self.clock()
        while self.remaining:
            wanted = self.scheduleStart + schedule.next
            lateness = now - wanted
            if lateness < 0:
                return None
            schedule.advance()
            if self.remaining == 1:
                # Others may wait for a message.
                self._later(self.expire)
            if lateness > LATE_AFTER:
                if lateness > self._maxLate:
                    self.remaining -= 1
                    self.recorder.dropped += 1
                    continue
                self.recorder.late += 1
                self.recorder.duration(LATE, lateness)
            self.wanted = wanted
            return super().take()
        return None

    def idle(self, session: Session) -> None:
        """
        This session waits until there is a message for it.
        """
        session.parked = True
        self._parked.append(session)
        if not self._waiting:
            self._wait()

    def asked(self) -> float | None:
        """
        How many messages the schedule has asked for since measuring began.
        """
        asked = self.schedule.asked(self.clock() - self.scheduleStart) - self._before
        return min(asked, self.plan.messageLimit)

    @property
    def limitOfSessions(self) -> int | None:
        """
        How many sessions there were, if all of them were busy when a message was wanted.
        """
        return self.plan.sessionCount if self.exhausted else None

    def askedFor(self) -> float | None:
        """
        For how many seconds of what is measured the schedule has asked.
        """
        begin = 0.0 if self.warmingUp else self.plan.warmUp
        return max(0.0, min(self.clock() - self.scheduleStart, self.schedule.end) - begin)

    def askedRate(self) -> float | None:
        """
        The rate that the schedule asks for now, in messages per second.
        """
        return self.schedule.rateAt(self.clock() - self.scheduleStart)

    def _newSchedule(self, profile: Profile) -> Schedule:
        return Schedule(profile, self.plan.arrivals, self._rng)

    def _beginSessions(self) -> None:
        self.scheduleStart = self.startTime
        self._startDue()
        if self.schedule.end < math.inf:
            self._later(self._giveUp, self.schedule.end + self.plan.timeout)

    def _giveUp(self) -> None:
        """
        The schedule ended long ago, and the server is still not done with what is overdue: drop it.
        """
        while self.remaining and self.schedule.next < math.inf:
            self.schedule.advance()
            self.remaining -= 1
            self.recorder.dropped += 1
        self.expire()

    def _endWarmUp(self) -> None:
        self._before = self.schedule.asked(self.clock() - self.scheduleStart)
        super()._endWarmUp()

    def _startDue(self) -> None:
        """
        Start what is due: on free sessions, then on new ones.
        """
        self._waiting = False
        schedule = self.schedule
        now = self.clock()
        # In the words of take: another way to compute the same could be rounded otherwise.
        while self.remaining and now - (self.scheduleStart + schedule.next) >= 0:
            if self._parked:
                self._parked.pop().resume()
            elif len(self.open) < self.plan.sessionCount:
                self._beginSession(ScheduledSession(self, self._reactor, self._route, self._queue))
            else:
                # The next one that is free takes it.
                self.exhausted = True
                return
        if self.remaining and schedule.next == math.inf and now >= self.scheduleStart + schedule.end:
            self._scheduleOver()
        elif not self._waiting:
            self._wait()

    def _wait(self) -> None:
        """
        Until a message is wanted or, after the last one, until the schedule is over.
        """
        when = min(self.schedule.next, self.schedule.end)
        if self.remaining and when < math.inf:
            self._waiting = True
            if self._timer is None:
                self._timer = timer(self._reactor, self.clock, self._startDue, self.broken)
            self._timer.at(self.scheduleStart + when)

    def _scheduleOver(self) -> None:
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

    __slots__ = ("_wanted",)

    def __init__(self, run: OpenLoop, *others: Any) -> None:
        super().__init__(run, *others)
        self._run: OpenLoop
        self._wanted: deque[float] = deque()
        self._take = self._takeWanted

    def accepted(self, seconds: float, recipientsAccepted: int, recipientsRejected: int) -> None:
        """
        See L{ISession.accepted}.
        """
        self._responded(self._wanted.popleft())
        super().accepted(seconds, recipientsAccepted, recipientsRejected)

    def rejected(self, recipientsRejected: int) -> None:
        """
        See L{ISession.rejected}.
        """
        self._responded(self._wanted[0])
        super().rejected(recipientsRejected)

    def exercised(self) -> None:
        """
        See L{ISession.exercised}.
        """
        self._responded(self._wanted[0])
        super().exercised()

    def fault(self, kind: str, text: str, quitting: bool = False, doubtful: int = 0) -> None:
        """
        See L{ISession.fault}. A server may end a connection that waits for its next message for long (RFC 5321 section
        4.5.3.2.7); the next message makes another.
        """
        if self.parked and kind == "closed-while-idle":
            self._run.recorder.error(kind, text)
        else:
            super().fault(kind, text, quitting, doubtful)

    def _takeWanted(self) -> IMessage | None:
        message = self._run.take()
        if message is not None:
            self._wanted.append(self._run.wanted)
        return message

    def _responded(self, wanted: float) -> None:
        self._run.recorder.duration(RESPONSE, self._run.clock() - wanted)

    def _answered(self) -> None:
        self._wanted.popleft()
        super()._answered()
