"""
A run while it goes on: the pool of messages and the sessions that share it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sys import maxsize
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall

from smtpsource.interfaces import IMessage, IReactor
from smtpsource.measure.recorder import Recorder
from smtpsource.net.destination import Address
from smtpsource.net.reconnecting import ConnectQueue, Route
from smtpsource.net.sources import Sources
from smtpsource.patience import Deadline, Standstills
from smtpsource.plan import SourcePlan
from smtpsource.session import Session
from smtpsource.smtp.protocol import SMTPSourceProtocol
from smtpsource.smtp.trace import TracedProtocol

if TYPE_CHECKING:
    from smtpsource.measure.search import Found

#: How many sessions begin in one turn of the reactor.
_BATCH = 100


class Run:
    """
    Hands out messages until there are none left, or until the run is told to stop. This one is a closed loop: a session
    takes its next message when the one before it is answered.

    @ivar plan: what was asked for.
    @ivar recorder: what is counted.
    @ivar traffic: where its messages come from.
    @ivar remaining: messages that any session may take.
    @ivar perConnection: how many messages a session may send on one connection.
    @ivar sources: the addresses to connect from; C{None} for the system's choice.
    @ivar draining: no further message is started.
    @ivar warmingUp: what is counted now will not be kept.
    @ivar clock: seconds, on a scale that never goes backward.
    @ivar startTime: when the first session began, on that scale.
    @ivar pause: draws the seconds before a session's next message; C{None} if there is no pause at all.
    @ivar endsInTime: it has an end, however few messages are started.
    @ivar reason: the first fault or refusal that ended the run before its time, or C{None}.
    @ivar open: sessions that are not over.
    @ivar seeking: those of them that could not connect, and have no message until they try again or can.
    """

    def __init__(
        self,
        reactor: IReactor,
        plan: SourcePlan,
        recorder: Recorder,
        clock: Callable[[], float],
        whenEnded: Callable[[], None],
        show: Callable[[str], None],
        whenWarm: Callable[[], None] = lambda: None,
    ) -> None:
        """
        @param whenEnded: called once, when the last session is over.
        @param show: called with each line of the dialogue if the plan asks for a trace.
        @param whenWarm: called at the end of the warm-up, if there is one.
        """
        self.plan = plan
        self.recorder = recorder
        self.endsInTime = plan.duration is not None or bool(plan.stages)
        self.warmingUp = plan.warmUp > 0
        self.remaining = maxsize if self.warmingUp else plan.messageLimit
        self.perConnection = plan.messagesPerConnection or (maxsize if plan.keepConnections else 1)
        self.sources = Sources(plan.bind) if plan.bind else None
        self.clock = clock
        self.startTime = clock()
        self.reason: str | None = None
        self.open: set[Session] = set()
        self.seeking: set[Session] = set()
        pacer = plan.pacer()
        self.pause = None if pacer is None else pacer.pause
        self._reactor = reactor
        self._whenEnded = whenEnded
        self._whenWarm = whenWarm
        self._show = show
        self._dialogue = plan.dialogue()
        self.traffic = traffic = plan.traffic()
        traffic.onProblem = lambda text: recorder.error("unreadable-message", text)
        self._nextMessage = traffic.next
        self._sessionsBegun = 0
        self._sweeping = LoopingCall(self._sweep)
        self._sweeping.clock = reactor
        self._sweepInterval = min(1.0, plan.timeout / 10)
        self._standstills = Standstills(self._sweepInterval)
        self._toBegin = 0
        self.draining = False
        self._calls: list[IDelayedCall | Deadline] = []
        self._over = False

    def begin(self, addresses: Sequence[Address]) -> None:
        """
        Start the sessions.
        """
        plan = self.plan
        self._route = Route(addresses)
        self._queue = ConnectQueue(plan.connectParallelism)
        self._standstills.look(self.clock())
        self._sweeping.start(self._sweepInterval, now=False)
        self.startTime = self.clock()
        if self.warmingUp:
            self._later(self._endWarmUp, plan.warmUp)
        if plan.duration is not None and not plan.openLoop:
            self._later(self.expire, plan.warmUp + plan.duration)
        self._beginSessions()

    def take(self) -> IMessage | None:
        """
        The next message, now started; C{None} if there is none.
        """
        if not self.remaining:
            return None
        self.remaining -= 1
        if not self.remaining and (self.pause is not None or self.seeking):
            self._later(self._endPauses)
        self.recorder.started += 1
        return self._nextMessage()

    def idle(self, session: Session) -> None:
        """
        There are messages left, but none now for this session. In a closed loop that can't be.
        """
        session.finish()

    def asked(self) -> float | None:
        """
        How many messages the schedule has asked for up to now; C{None}, because there is no schedule.
        """
        return None

    def askedFor(self) -> float | None:
        """
        For how many seconds of what is measured the schedule has asked; C{None}, because there is no schedule.
        """
        return None

    def askedRate(self) -> float | None:
        """
        The rate that the schedule asks for now, in messages per second; C{None}, because there is no schedule.
        """
        return None

    @property
    def found(self) -> Found | None:
        """
        What came of a search for a rate; C{None}, because this is none.
        """
        return None

    @property
    def limitOfSessions(self) -> int | None:
        """
        How many sessions there were, if a schedule would have had a use for more; C{None}, because there is none.
        """
        return None

    def trouble(self, text: str, *, tolerable: bool = True) -> None:
        """
        A refusal or a fault happened: it ends the run, unless the plan tolerates what is C{tolerable} or the run is
        ending anyhow.
        """
        if not (tolerable and self.plan.tolerant) and not self.draining and not self._over:
            self.reason = text
            self.drain()

    def expire(self) -> None:
        """
        The time is over: start no further message, and let those that are on their way end as they would.
        """
        self.remaining = 0
        self._toBegin = 0
        for session in list(self.open):
            session.noMessageLeft()
            if session.parked:
                session.resume()
            session.connectNoMore()
        self._endIfOver()

    def drain(self) -> None:
        """
        Start no further message; let those that are on their way end within the plan's grace period, and close every
        connection in order.
        """
        self.remaining = 0
        self._toBegin = 0
        if not self.draining and not self._over:
            self.draining = True
            self._calls.append(Deadline(self._reactor, self.plan.grace, self.abort))
        # On a later turn: the session that is in trouble has yet to come to its own end.
        self._later(self._stopSessions)

    def abort(self) -> None:
        """
        End now, whatever is on its way.
        """
        self.remaining = 0
        self._toBegin = 0
        for session in list(self.open):
            session.abort()
        self._endIfOver()

    def ended(self, session: Session) -> None:
        """
        This session is over.
        """
        self.open.discard(session)
        self.seeking.discard(session)
        self._endIfOver()

    def build(self, session: Session) -> SMTPSourceProtocol:
        """
        The protocol of a session's new connection.
        """
        if not self.plan.trace:
            return SMTPSourceProtocol(session, self._dialogue, self.recorder, self.clock)
        protocol = TracedProtocol(session, self._dialogue, self.recorder, self.clock)
        protocol.show = self._show
        return protocol

    def _beginSessions(self) -> None:
        """
        No more of them than there are messages: each one's first message is kept for it.
        """
        self._toBegin = min(self.plan.sessionCount, self.plan.messageLimit)
        self.remaining -= self._toBegin
        if self.plan.rampUp:
            self._toJoin = self._toBegin
            self._joinSome()
        else:
            self._beginSome()

    def _beginSome(self) -> None:
        """
        A few sessions a turn: thousands of them must not keep the first from its banner.
        """
        for _ in range(min(_BATCH, self._toBegin)):
            self._join()
        if self._toBegin:
            self._later(self._beginSome)

    def _joinSome(self) -> None:
        """
        As many sessions as there should be by now, so that they join evenly.
        """
        number, rampUp = self._toJoin, self.plan.rampUp
        due = 1 + int((self.clock() - self.startTime) / rampUp * number)
        while self._toBegin and number - self._toBegin < due:
            self._join()
        if self._toBegin:
            next_ = self.startTime + (number - self._toBegin) * rampUp / number
            self._later(self._joinSome, max(0.001, next_ - self.clock()))

    def _join(self) -> None:
        self._toBegin -= 1
        self.remaining += 1
        self._beginSession(Session(self, self._reactor, self._route, self._queue))

    def _beginSession(self, session: Session) -> None:
        self.open.add(session)
        self._sessionsBegun += 1
        if self.traffic.wantsSession:
            session.sign(self._sessionsBegun)
        session.start()

    def _endWarmUp(self) -> None:
        """
        Measure from now on. Messages that are on their way are the first that are measured.
        """
        if self.draining or not self.warmingUp:
            return
        self.warmingUp = False
        self._whenWarm()
        limit = self.plan.messageLimit
        if limit < maxsize:
            self.remaining = max(0, limit - self.recorder.started - self._toBegin)
            if not self.remaining:
                self.expire()

    def _later(self, call: Callable[[], None], seconds: float = 0.0) -> None:
        """
        Call this after so long, unless the run is over by then.
        """
        self._calls = [pending for pending in self._calls if pending.active()]
        self._calls.append(self._reactor.callLater(seconds, call))

    def _endPauses(self) -> None:
        """
        The pool is empty: those who wait to take a message from it need not wait any longer.
        """
        for session in list(self.open):
            session.noMessageLeft()

    def _stopSessions(self) -> None:
        for session in list(self.open):
            session.stop()
        self._endIfOver()

    def _sweep(self) -> None:
        """
        Look for servers that are silent: in the next turn of the reactor, when all has been read that has come by now.
        """
        now = self.clock()
        self._standstills.look(now)
        self._later(lambda: self._endSilent(now))

    def _endSilent(self, now: float) -> None:
        for session in list(self.open):
            session.sweep(now, self.plan.timeout, self._standstills)

    @property
    def phase(self) -> str:
        """
        What the run does now, a word of L{smtpsource.measure.progress.PHASES}.
        """
        if self._over:
            return "over"
        if self.draining or not self.remaining:
            return "draining"
        if self.warmingUp:
            return "warm-up"
        return "ramp-up" if self._toBegin else "running"

    def _endIfOver(self) -> None:
        if not self.open and not self._toBegin and not self._over:
            self._over = True
            if self._sweeping.running:
                self._sweeping.stop()
            for call in self._calls:
                if call.active():
                    call.cancel()
            self._whenEnded()
