"""
A run while it goes on: the pool of messages and the sessions that share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from operator import methodcaller
from sys import maxsize
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from zope.interface import implementer

from smtpsource.interfaces import IMessage, IReactor, IRun
from smtpsource.load import parts
from smtpsource.load.oneprocess import OneProcess
from smtpsource.load.session import Session
from smtpsource.load.traffic import traffic as newTraffic
from smtpsource.measure.counters import AddressCounts
from smtpsource.measure.progress import RUNNING
from smtpsource.measure.recorder import Recorder
from smtpsource.messages import seeds
from smtpsource.net.destination import Address
from smtpsource.net.patience import Deadline, Standstills
from smtpsource.net.route import ConnectQueue
from smtpsource.pacing.share import WHOLE, Share
from smtpsource.phases import BANNER
from smtpsource.plan import SourcePlan
from smtpsource.process.threads import inThread
from smtpsource.process.turns import FEW, inTurns
from smtpsource.process.unexpected import (
    ENOUGH_TO_END,
    INTERNAL_ERROR,
    OUT_OF_MEMORY,
    SPARE,
    Reserve,
    checkHeadroom,
)
from smtpsource.smtp.protocol import SMTPSourceProtocol
from smtpsource.smtp.trace import TracedProtocol

if TYPE_CHECKING:
    from smtpsource.ledger.notes import Notes
    from smtpsource.load.hints import Refusals
    from smtpsource.load.messagelog import MessageLog
    from smtpsource.measure.search import Found, Searching
    from smtpsource.smtp.commands import Dialogue

#: How many sessions begin, or go on, in one turn of the reactor.
BATCH = FEW

#: For how many sessions, or connections, there is a look whether there is memory.
_CHECKED = 32

#: Seconds without a banner after which there is a hint.
_SILENCE = 5.0

#: Where C{--timeout} is no longer than that, the hint comes after half of it, but not before so many seconds: a shorter
#: silence says nothing.
_SHORTEST_SILENCE = 1.0


def _expire(session: Session) -> None:
    """
    The time is over.
    """
    session.noMessageLeft()
    if session.parked:
        session.resume()
    session.connectNoMore()


#: Seconds that sessions have to end when they are aborted, or some of them. If nothing is wrong, it takes them a turn
#: of the reactor.
_STRUCK_OFF_AFTER = 1.0


@implementer(IRun)
class Run(OneProcess):
    """
    Hands out messages until there are none left, or until the run is told to stop. This one is a closed loop: a session
    takes its next message when the one before it is answered.

    @ivar plan: what was asked for.
    @ivar recorder: what is counted.
    @ivar share: which part of it is done here, where several processes share a run.
    @ivar traffic: where its messages come from.
    @ivar remaining: messages that any session may take.
    @ivar perConnection: how many messages a session may send on one connection.
    @ivar sources: the addresses to connect from; C{None} for the system's choice.
    @ivar draining: no further message is started.
    @ivar warmingUp: what is counted now will not be kept.
    @ivar clock: seconds, on a scale that never goes backward.
    @ivar reached: has anybody ever taken a connection? The recorder forgets that with the warm-up.
    @ivar startTime: when the first session began, on that scale.
    @ivar pause: draws the seconds before a session's next message; C{None} if there is no pause at all.
    @ivar exhausted: how many sessions there were, if a schedule would have had a use for more; else C{None}.
    @ivar endsInTime: it has an end, however few messages are started.
    @ivar reason: the first fault or refusal that ended the run before its time, or C{None}.
    @ivar open: sessions that are not over.
    @ivar hints: what may be wrong with what was asked for.
    @ivar reserve: memory for the end of the run.
    @ivar notes: where messages are noted before they leave; C{None} if there is no ledger. Who begins the run opens
        and closes it.
    @ivar log: where a line is written for each message; C{None} if there is no such log. Opened and closed likewise.
    @ivar seeking: those of them that could not connect, and have no message until they try again or can.
    """

    exhausted: int | None = None

    def __init__(
        self,
        reactor: IReactor,
        plan: SourcePlan,
        recorder: Recorder,
        clock: Callable[[], float],
        whenEnded: Callable[[], None],
        show: Callable[[str], None],
        whenWarm: Callable[[float], dict[str, Any]] = lambda began: {},
        tell: Callable[[str], None] = lambda line: None,
        *,
        share: Share = WHOLE,
        runId: bytes | None = None,
        whenTrouble: Callable[[str], None] | None = None,
        whenBroken: Callable[[str, str], None] = lambda kind, text: None,
    ) -> None:
        """
        @param whenEnded: called once, when the last session is over.
        @param show: called with each line of the dialogue if the plan asks for a trace.
        @param whenWarm: called at the end of the warm-up, if there is one, with the time at which measuring began.
            Gives the counts of the warm-up.
        @param tell: called with each hint, a line for the user.
        @param share: which part of it is done here. There are no fewer sessions, and messages, than shares.
        @param runId: where something is said about the run as a whole, its name; C{None} for one of its own.
        @param whenTrouble: called with the first refusal or fault that is to end the run: whoever is told sees to that.
            Without it the run does so itself.
        @param whenBroken: told in the words of L{breakDown} that this run ends as it can't go on.
        """
        self.plan = plan
        self.share = share
        self.recorder = recorder
        self.endsInTime = plan.duration is not None or bool(plan.stages)
        self.warmingUp = plan.warmUp > 0
        self.remaining = maxsize if self.warmingUp else share.of(plan.messageLimit)
        self.perConnection = plan.messagesPerConnection or (maxsize if plan.keepConnections else 1)
        self.sources = parts.sources(plan, share)
        self.clock = clock
        self.startTime = clock()
        self.reason: str | None = None
        self.open: set[Session] = set()
        self.seeking: set[Session] = set()
        pacer = parts.pacer(plan, share)
        self.pause = None if pacer is None else pacer.pause
        self._reactor = reactor
        self._whenEnded = whenEnded
        self._whenWarm = whenWarm
        self._show = show
        self._tell = tell
        self._whenTrouble = whenTrouble
        self._whenBroken = whenBroken
        self.hints: list[str] = []
        self._silence: str | None = None
        self._refusals: Refusals | None = None
        self._looksForBanner = plan.tls != "implicit"
        self._dialogue = self._withKeys(parts.dialogue(plan, share))
        self._sessionKind = self._kindOfSession()
        self.notes: Notes | None = None
        runId = seeds.runId(plan.seed) if runId is None else runId
        if plan.ledger is not None:
            self._note(runId)
        self.log: MessageLog | None = None
        self._isPlain = not plan.trace and plan.logMessages is None
        self._protocolKind: type[SMTPSourceProtocol] = TracedProtocol if plan.trace else SMTPSourceProtocol
        if plan.logMessages is not None:
            self._logMessages(runId)
        self.traffic = traffic = newTraffic(plan, runId, self.notes, self._numbers())
        traffic.onProblem = lambda text: recorder.error("unreadable-message", text)
        self._nextMessage = traffic.next
        self._sessionsBegun = 0
        self.reserve = Reserve(ENOUGH_TO_END)
        self._spare = Reserve(SPARE)
        self._brokenDown = False
        self._sweeping = LoopingCall(self.guarded, self._sweep)
        self._sweeping.clock = reactor
        self._sweepInterval = min(1.0, plan.timeout / 10)
        self._standstills = Standstills(self._sweepInterval)
        self._toBegin = self._mostOpen = 0
        self.draining = self.reached = False
        self._calls: list[IDelayedCall | Deadline] = []
        self._over = False

    def begin(self, addresses: Sequence[Address], at: float | None = None) -> None:
        """
        Start the sessions.

        @param at: when, on C{clock}'s scale, so that all who share a run begin together; C{None} is now.
        """
        plan = self.plan
        self._route = parts.route(plan, addresses, self.share)
        self._queue = ConnectQueue(max(1, self.share.of(plan.connectParallelism)))
        now = self.clock()
        self.startTime = now if at is None else at
        if self.log is not None:
            self.log.zero = self.startTime
        if self.startTime > now:
            self._later(self._start, self.startTime - now)
        else:
            self._start()

    def _start(self) -> None:
        plan, now = self.plan, self.clock()
        self._standstills.look(now)
        self._sweeping.start(self._sweepInterval, now=False)
        passed = now - self.startTime
        if self.warmingUp:
            self._later(self._endWarmUp, max(0.0, plan.warmUp - passed))
        if plan.duration is not None and not plan.openLoop:
            self._later(self.expire, max(0.0, plan.warmUp + plan.duration - passed))
        self._beginSessions()

    def reroute(self, addresses: Sequence[Address]) -> None:
        """
        Connect to these addresses from now on. Connections to others stay as long as there is a use for them.
        """
        self._route.change(addresses)

    def byAddress(self) -> dict[str, AddressCounts]:
        """
        How often each address was used, once the run has begun.
        """
        found: dict[str, AddressCounts] = {}
        for target in self._route.known.values():
            name = getattr(target.address, "name", None)
            counts = AddressCounts(target.opened, target.failed, target.accepted, name)
            where = str(target.address)
            found[where] = counts + found[where] if where in found else counts
        return found

    def restartAddresses(self) -> None:
        """
        Forget how often each address was used: the warm-up is over.
        """
        for session in self.open:
            session.settle()
        for target in self._route.known.values():
            target.forget()

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

    def scheduledMessages(self) -> float | None:
        """
        How many messages the schedule has asked for up to now; C{None}, because there is no schedule.
        """
        return None

    def scheduledSeconds(self) -> float | None:
        """
        For how many seconds of what is measured the schedule has asked; C{None}, because there is no schedule.
        """
        return None

    def askedRate(self) -> float | None:
        """
        The rate that the schedule asks for now, in messages per second; C{None}, because there is no schedule.
        """
        return None

    def overdue(self) -> int | None:
        """
        How many messages the schedule has asked for that are not started; C{None}, because there is no schedule.
        """
        return None

    def ofWarmUp(self) -> int:
        """
        How many messages have no outcome yet that are not measured, though the warm-up is over.
        """
        return 0

    def givesUpAt(self) -> float | None:
        """
        How many seconds after the run's start the last overdue message may be started; C{None}, because there are
        none.
        """
        return None

    @property
    def catchUp(self) -> float | None:
        """
        For how many seconds after the end of the schedule messages were started; C{None}, because there is no schedule.
        """
        return None

    @property
    def found(self) -> Found | None:
        """
        What came of a search for a rate; C{None}, because this is none.
        """
        return None

    @property
    def searching(self) -> Searching | None:
        """
        How far the search for a rate has come; C{None} likewise.
        """
        return None

    def trouble(self, text: str, *, tolerable: bool = True) -> None:
        """
        A refusal or a fault happened: it ends the run, unless the plan tolerates what is C{tolerable} or the run is
        ending anyhow.
        """
        if (tolerable and self.plan.tolerant) or self.draining or self._over:
            return
        if self._whenTrouble is None:
            self.reason = text
            self.drain()
        elif self.reason is None:
            self.reason = text
            self._whenTrouble(text)

    @property
    def standingHints(self) -> tuple[str, ...]:
        """
        The hints that nothing has refuted: a banner shows that silence was only that.
        """
        refuted = self._silence if self.recorder.replies[BANNER] else None
        return tuple(hint for hint in self.hints if hint != refuted)

    def hint(self, text: str | None) -> None:
        """
        Something may be wrong with what was asked for: tell the user of it, once.

        @param text: one line about it; C{None} if nothing is.
        """
        if text is not None and text not in self.hints:
            self.hints.append(text)
            self._tell(text)

    def refused(self, phase: int, reply: bytes) -> None:
        """
        See L{IRun.refused}.
        """
        if self._refusals is None:
            from smtpsource.load.hints import Refusals  # for those who need it

            self._refusals = Refusals(self.plan, self.recorder)
        self.hint(self._refusals.hint(phase, reply))

    def breakDown(self, kind: str, text: str) -> None:
        """
        This run can't go on, and it is no server's fault: end it as a refusal does, whatever the plan tolerates; or at
        once, if there is no more memory even for that. From now on nobody can be sure that every session still knows
        what it does: those that don't even end when they are aborted are struck off.

        @param kind: one of L{smtpsource.process.unexpected.OURS}.
        @param text: one line about it.
        """
        self._brokenDown = True
        self.recorder.error(kind, text)
        self._whenBroken(kind, text)
        if self._over:
            return
        if self.reason is None or not self.draining:
            self.reason = self.reason or f"{kind}: {text}"
            self.drain()
        if kind == OUT_OF_MEMORY and self.recorder.errors[kind] == 2:
            self._later(self.abort)

    def expire(self) -> None:
        """
        The time is over: start no further message, and let those that are on their way end as they would.
        """
        self.remaining = 0
        self._toBegin = 0
        self._each(_expire)

    def drain(self) -> None:
        """
        Start no further message; let those that are on their way end within the plan's grace period, and close every
        connection in order.
        """
        self.remaining = 0
        self._toBegin = 0
        if not self.draining and not self._over:
            self.draining = True
            self._calls.append(Deadline(self._reactor, self.plan.grace, self.guarded, self.abort))
        # On a later turn: the session that is in trouble has yet to come to its own end.
        self._later(self._stopSessions)

    def abort(self) -> None:
        """
        End now, whatever is on its way.
        """
        self.remaining = 0
        self._toBegin = 0
        self._each(methodcaller("abort"))
        self._strikeOff(len(self.open) + 1)

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
        if self.recorder.open >= self._mostOpen:
            self._mostOpen = self.recorder.open + _CHECKED
            checkHeadroom()
        if self._isPlain:
            return SMTPSourceProtocol(session, self._dialogue, self.recorder, self.clock)
        protocol = self._protocolKind(session, self._dialogue, self.recorder, self.clock)
        if isinstance(protocol, TracedProtocol):
            protocol.show = self._show
        return protocol

    def _withKeys(self, dialogue: Dialogue) -> Dialogue:
        """
        A dialogue in which all connections share what is worked out for their logins.
        """
        if "SCRAM-SHA-256" not in dialogue.mechanisms:
            return dialogue
        from smtpsource.load.derivedkeys import DerivedKeys  # for those who need it

        reactor = self._reactor
        return replace(dialogue, keys=DerivedKeys(partial(inThread, reactor), reactor.callFromThread))

    def _note(self, runId: bytes) -> None:
        """
        Keep a ledger.
        """
        from smtpsource.load import noted

        self.notes = noted.notesOf(runId, self._reactor, self.guarded)
        self._sessionKind = noted.sessionKind(self._sessionKind)

    def _logMessages(self, runId: bytes) -> None:
        """
        Write a line for each message.
        """
        from smtpsource.load import logged, messagelog

        idOf = None if self.notes is None else self.notes.idOf
        self.log = log = messagelog.MessageLog(self.plan, self.share, runId, idOf, self.clock, self.hint)
        self._sessionKind = logged.sessionKind(self._sessionKind)
        self._protocolKind = logged.protocolKind(self.plan.trace)
        whenWarm = self._whenWarm

        def warm(began: float) -> dict[str, Any]:
            log.zero = began
            return whenWarm(began)

        self._whenWarm = warm

    def _numbers(self) -> Iterator[int] | None:
        """
        The numbers of its messages, in the order in which they are started; C{None}: those of all.
        """
        return None if self.share == WHOLE else count(self.share.index + 1, self.share.count)

    def _beginSessions(self) -> None:
        """
        No more of them than there are messages: each one's first message is kept for it.
        """
        self._toBegin = self.share.of(min(self.plan.sessionCount, self.plan.messageLimit))
        self._reserve()
        if self.plan.rampUp:
            self._toJoin = self._toBegin
            self._joinSome()
        else:
            self._beginSome()

    def _reserve(self) -> None:
        self.remaining -= self._toBegin

    def _beginSome(self) -> None:
        """
        A few sessions a turn: thousands of them must not keep the first from its banner.
        """
        for _ in range(min(BATCH, self._toBegin)):
            self._join()
        if self._toBegin:
            self._later(self._beginSome)

    def _joinSome(self) -> None:
        """
        As many sessions as there should be by now, so that those of all shares together join evenly.
        """
        share, rampUp = self.share, self.plan.rampUp
        number = min(self.plan.sessionCount, self.plan.messageLimit)
        due = share.of(min(number, 1 + int((self.clock() - self.startTime) / rampUp * number)))
        for _ in range(min(BATCH, due - self._toJoin + self._toBegin)):
            self._join()
        if self._toBegin:
            next_ = self.startTime + share.number(self._toJoin - self._toBegin) * rampUp / number
            self._later(self._joinSome, max(0.001, next_ - self.clock()))

    def _join(self) -> None:
        self._toBegin -= 1
        self.remaining += 1
        self._beginSession(self._newSession())

    def _newSession(self) -> Session:
        return self._sessionKind(self, self._reactor, self._route, self._queue)

    def _kindOfSession(self) -> type[Session]:
        return Session

    def _beginSession(self, session: Session) -> None:
        if self._sessionsBegun % _CHECKED == 0:
            checkHeadroom()
        self.open.add(session)
        self._sessionsBegun += 1
        if self.traffic.wantsSession:
            session.sign(1 + self.share.number(self._sessionsBegun - 1))
        session.start()

    def _endWarmUp(self) -> None:
        """
        Measure from now on. Messages that are on their way are the first that are measured.
        """
        if self.draining or not self.warmingUp:
            return
        self.warmingUp = False
        self._whenWarm(self.clock())
        if self.plan.messageLimit < maxsize:
            self._limit()

    def endInWarmUp(self) -> dict[str, Any]:
        """
        The run is over before its warm-up: that has ended as well, and nothing is measured.

        @return: the warm-up's counts.
        """
        self.warmingUp = False
        return self._whenWarm(self.endedAt())

    def _limit(self) -> None:
        """
        From now on there are no more messages than the plan says.
        """
        self.remaining = max(0, self.plan.messageLimit - self.recorder.started - self._toBegin)
        if not self.remaining:
            self.expire()

    def _later(self, call: Callable[[], None], seconds: float = 0.0) -> None:
        """
        Call this after so long, unless the run is over by then.
        """
        if self._over:
            return
        self._calls = [pending for pending in self._calls if pending.active()]
        self._calls.append(self._reactor.callLater(seconds, self.guarded, call))

    def _endPauses(self) -> None:
        """
        The pool is empty: those who wait to take a message from it need not wait any longer.
        """
        self._each(methodcaller("noMessageLeft"))

    def _stopSessions(self) -> None:
        self._each(methodcaller("stop"))

    def _strikeOff(self, before: int) -> None:
        """
        Wait for sessions that were aborted, as long as there are fewer of them each time. Those that are left then have
        lost their way.

        @param before: how many there were the last time.
        """
        number = len(self.open)
        if number < before:
            self._later(lambda: self._strikeOff(number), _STRUCK_OFF_AFTER)
            return
        if not self._brokenDown:
            self.breakDown(INTERNAL_ERROR, f"sessions that did not end when they were aborted: {number}")
        self.open.clear()
        self._endIfOver()

    def _sweep(self) -> None:
        """
        Look for servers that are silent: in the next turn of the reactor, when all has been read that has come by now.
        """
        now = self.clock()
        self._standstills.look(now)
        self._later(lambda: self._endSilent(now))

    def _endSilent(self, now: float) -> None:
        timeout, standstills = self.plan.timeout, self._standstills
        if self._looksForBanner:
            self._lookForBanner(now)
        self._each(lambda session: session.sweep(now, timeout, standstills))

    def _lookForBanner(self, now: float) -> None:
        """
        Until the first server has spoken: does one wait for us to speak?
        """
        if self.recorder.replies[BANNER]:
            self._looksForBanner = False
            return
        timeout = self.plan.timeout
        seconds = _SILENCE if timeout > _SILENCE else max(_SHORTEST_SILENCE, timeout / 2)
        if any(session.awaitsBanner(now, seconds, self._standstills) for session in self.open):
            from smtpsource.load import hints  # for those who need it

            self._looksForBanner = False
            self._silence = hints.ofSilence(seconds)
            self.hint(self._silence)

    def _each(self, tell: Callable[[Session], object]) -> None:
        """
        Tell every session something, whatever it comes to with one of them. Then the run is over, if none is left.
        """
        sessions = list(self.open)
        there = (one for one in sessions if one in self.open)
        inTurns(there, partial(self.guarded, tell), self._later, self._endIfOver)

    @property
    def state(self) -> str:
        """
        What the run does now, a word of L{smtpsource.measure.progress.STATES}.
        """
        if self._over:
            return "over"
        if self.draining or not self.remaining:
            return "draining"
        if self.warmingUp:
            return "warm-up"
        return "ramp-up" if self._toBegin else RUNNING

    def _endIfOver(self) -> None:
        if not self.open and not self._toBegin and not self._over:
            self._over = True
            if self._brokenDown:
                # What was started and has no outcome now, nobody knows of any more.
                self.recorder.failed += max(0, self.recorder.inFlight)
            if self._sweeping.running:
                self._sweeping.stop()
            for call in self._calls:
                if call.active():
                    call.cancel()
            self._endedAt = self.clock()
            self._whenEnded()
