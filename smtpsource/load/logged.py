"""
Sessions of a run that logs its messages: each tells what has come of them, and what their replies took.
"""

from __future__ import annotations

from collections import deque
from sys import maxsize
from typing import Any, NamedTuple

from smtpsource.interfaces import IMessage, IReactor, IRun
from smtpsource.load.doubts import Doubts
from smtpsource.load.messagelog import ACCEPTED, FAILED, REJECTED, MessageLog
from smtpsource.load.session import LATE_AFTER, Session
from smtpsource.messages.logged import LoggedMessage
from smtpsource.net.route import ConnectQueue, Route
from smtpsource.phases import CONNECT, LATE, RESPONSE, TRANSACTION
from smtpsource.process.unexpected import named
from smtpsource.smtp.heard import HeardProtocol
from smtpsource.smtp.protocol import SMTPSourceProtocol
from smtpsource.smtp.trace import TracedProtocol


class TracedHeardProtocol(TracedProtocol, HeardProtocol):
    """
    A protocol that shows its dialogue as well.
    """

    steps = True


class _Accepted(NamedTuple):
    """
    What is kept of a message that was accepted.
    """

    number: int
    mail: bytes = b""


class _Logging(Session):
    """
    What is more in such a session, whatever kind it is of.
    """

    def __init__(self, run: IRun, reactor: IReactor, route: Route, queue: ConnectQueue) -> None:
        super().__init__(run, reactor, route, queue)
        self._log: MessageLog = run.log
        self._logNumber = self._log.session()
        # Of the message whose replies come now: the last refusal, and the recipients of one that gets no outcome.
        self._refusal: tuple[int, bytes] | None = None
        self._unanswered = (0, 0)
        # The fault that ends what is under way.
        self._why: str | None = None
        # What was accepted, where it may turn out that it was not: see L{_Logging._remember}.
        self._loggedInDoubt = Doubts(4, self._log.roomOfSession)
        self._mayDoubt = run.plan.pipelining != "off" and run.plan.chunking != "off"
        take, watched, clock = self._take, self._log.watched, run.clock

        def takeWatched() -> IMessage | None:
            message = take()
            return None if message is None else watched(message, clock())

        self._take = takeWatched

    # What its protocol tells besides

    def hears(self, message: IMessage) -> bool:
        """
        Are the replies to this message to be L{heard}?
        """
        return type(message) is LoggedMessage

    def heard(self, phase: int, seconds: float, code: bytes, reply: bytes) -> None:
        """
        A reply has come, to the message that is the first without an outcome.
        """
        message = self.message
        if type(message) is LoggedMessage:
            message.heard(phase, seconds)
            if code[:1] == b"2":
                message.accepting = phase, reply

    # What it tells any session

    def accepted(self, seconds: float, recipientsAccepted: int, recipientsRejected: int) -> None:
        """
        See L{ISession.accepted}.
        """
        message, due, recorder = self._measured(), self._wantedAt(), self._run.recorder
        before = recorder.accepted
        super().accepted(seconds, recipientsAccepted, recipientsRejected)
        if self._mayDoubt:
            self._remember(message)
        if message is not None and recorder.accepted > before:
            self._tell(
                message,
                ACCEPTED,
                due,
                times={TRANSACTION: seconds},
                accepted=recipientsAccepted,
                rejected=recipientsRejected,
                said=message.accepting,
            )
        self._refusal = None

    def exercised(self) -> None:
        """
        See L{ISession.exercised}.
        """
        message, due, recorder = self._measured(), self._wantedAt(), self._run.recorder
        before = recorder.accepted
        super().exercised()
        if message is not None and recorder.accepted > before:
            self._tell(message, ACCEPTED, due, said=message.accepting)
        self._refusal = None

    def rejected(self, recipientsRejected: int) -> None:
        """
        See L{ISession.rejected}.
        """
        message, due, recorder = self._measured(), self._wantedAt(), self._run.recorder
        before = recorder.rejected
        super().rejected(recipientsRejected)
        if message is not None and recorder.rejected > before:
            self._tell(message, REJECTED, due, rejected=recipientsRejected, said=self._refusal)
        self._refusal = None

    def refused(self, phase: int, text: bytes, what: str = "") -> None:
        """
        See L{ISession.refused}.
        """
        self._refusal = phase, text
        super().refused(phase, text, what)

    def postponed(self, code: bytes) -> None:
        """
        See L{ISession.postponed}.
        """
        message = self.message
        if type(message) is LoggedMessage:
            message.again()
        self._refusal = None
        super().postponed(code)

    def unanswered(self, recipientsAccepted: int, recipientsRejected: int) -> None:
        """
        See L{ISession.unanswered}.
        """
        self._unanswered = recipientsAccepted, recipientsRejected
        super().unanswered(recipientsAccepted, recipientsRejected)

    def fault(self, kind: str, text: str, quitting: bool = False, doubtful: int = 0) -> None:
        """
        See L{ISession.fault}.
        """
        self._why = kind
        recorder = self._run.recorder
        before = recorder.takenBack
        super().fault(kind, text, quitting, doubtful)
        taken = recorder.takenBack - before
        if not taken:
            return
        doubted = self._loggedInDoubt.take(taken)
        for number, begun, recipients, size in doubted:
            if number:
                message = LoggedMessage(_Accepted(int(abs(number))), begun, number > 0)
                message.recipients, message.size = int(recipients), int(size)
                self._tell(message, FAILED, None, error=kind)
        self._log.forgotten += min(taken - len(doubted), self._loggedInDoubt.forgotten)

    def _endMessage(self) -> None:
        recorder = self._run.recorder
        # One at a time: each of them is measured or is not.
        following, self._following = self._following, deque()
        while self.message is not None:
            message, due, before = self._measured(), self._wantedAt(), recorder.failed
            super()._endMessage()
            if message is not None and recorder.failed > before:
                accepted, rejected = self._unanswered
                why = self._why or "stopped"
                self._tell(message, FAILED, due, accepted=accepted, rejected=rejected, error=why)
            self._unanswered = (0, 0)
            self.message = following.popleft() if following else None
        self._why = self._refusal = None

    def _broken(self, exception: Exception) -> None:
        self._why = named(exception)[0]
        super()._broken(exception)

    def _build(self) -> SMTPSourceProtocol:
        self._why = None
        self._loggedInDoubt.clear()
        seconds = self._connector.sinceStarted()
        protocol = super()._build()
        self.heard(CONNECT, seconds, b"", b"")
        return protocol

    def _remember(self, message: LoggedMessage | None) -> None:
        """
        This one was accepted; C{None}: one that has no line. A few bytes of it are kept, as there may be very many.
        """
        inDoubt = self.protocol.inDoubt()  # type: ignore[union-attr]
        if message is not None:
            number = message.number if message.drawn else -message.number
            self._loggedInDoubt.accepted(inDoubt, number, message.begun, message.recipients, message.size or 0)
        elif inDoubt < maxsize:
            self._loggedInDoubt.accepted(inDoubt, 0, 0, 0, 0)

    def _tell(self, message: LoggedMessage, outcome: str, due: float | None, **more: Any) -> None:
        now = self._run.clock()
        if due is not None:
            times = more.setdefault("times", {})
            if message.begun - due > LATE_AFTER:
                times[LATE] = message.begun - due
            if outcome != FAILED:
                times[RESPONSE] = now - due
        self._log.tell(message, self._logNumber, outcome, now, due=due, **more)

    def _measured(self) -> LoggedMessage | None:
        """
        The message that gets its outcome now, if it may have a line: what comes of one in a warm-up does not count.
        """
        message = self.message
        return message if type(message) is LoggedMessage and not self._run.warmingUp else None

    def _wantedAt(self) -> float | None:
        """
        When the next message that gets its outcome was wanted, if there is a schedule.
        """
        return self.wanted[0] if self.wanted else None


def sessionKind(kind: type[Session]) -> type[Session]:
    """
    The kind of session that logs its messages, and is as this one otherwise.
    """
    return type(f"Logged{kind.__name__}", (_Logging,) if kind is Session else (_Logging, kind), {})


def protocolKind(trace: int) -> type[SMTPSourceProtocol]:
    """
    The kind of protocol that such sessions have.
    """
    return TracedHeardProtocol if trace else HeardProtocol
