"""
Sessions of a run that keeps a ledger: each tells what has come of its messages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smtpsource.interfaces import IMessage, IReactor, IRun
from smtpsource.ledger.notes import Notes
from smtpsource.ledger.records import ACKNOWLEDGED, REFUSED, UNKNOWN, UNSENT, WHOLE
from smtpsource.load.doubts import Doubts
from smtpsource.load.session import Session
from smtpsource.phases import RCPT
from smtpsource.plan import SourcePlan
from smtpsource.process.unexpected import OURS

#: What a header says of the plan leaves out longer texts: a message is one.
_LONGEST = 200


def notesOf(run: bytes, reactor: IReactor, guarded: Callable[..., None]) -> Notes:
    """
    Where a run notes its messages.

    @param guarded: makes a call whose exception ends the run.
    """
    return Notes(run, lambda seconds, call: reactor.callLater(seconds, guarded, call))


def prepare() -> None:
    """
    Import what such a run needs: for a process that may become another user.
    """
    from smtpsource.messages import identified, identifiedvaried  # noqa: F401


def headerOf(plan: SourcePlan) -> dict[str, Any]:
    """
    What the header of a ledger says of the plan: what was asked for, but for who logs in.
    """
    return {"command": plan.command, "seed": plan.seedInUse, "plan": dict(_said(plan))}


def _said(plan: SourcePlan) -> Any:
    for name, declared in plan.declared.items():
        value = getattr(plan, name)
        if declared.secret or name == "command" or value == declared.default or value is None:
            continue
        if isinstance(value, bytes):
            value = value[:_LONGEST].decode("ascii", "backslashreplace")
        yield name, value if isinstance(value, bool | int | float) else str(value)[:_LONGEST]


class _Noting(Session):
    """
    What is more in such a session, whatever kind it is of.
    """

    def __init__(self, run: IRun, *others: Any) -> None:
        super().__init__(run, *others)
        self._notes: Notes = run.notes
        self._outcome = run.notes.outcome
        self._notes.sessions += 1
        self._number = self._notes.sessions
        # Of this message: the last refusal's code; and those of single recipients: for a reply to RCPT by the index,
        # for one to the content by -1 less the place among those that were accepted at RCPT.
        self._code = 0
        self._single: dict[int, int] = {}
        # The numbers of those that were accepted, where it may turn out that they were not.
        self._notedInDoubt = Doubts(1)
        self._mayDoubt = run.plan.pipelining != "off" and run.plan.chunking != "off"

    # What super() would find, which is slower.
    _tellAccepted = Session.accepted

    def accepted(self, seconds: float, recipientsAccepted: int, recipientsRejected: int) -> None:
        """
        See L{ISession.accepted}. A code that accepts is noted as 250, whatever it was.
        """
        message: Any = self.message
        if self._single:
            self._noteRecipients(message)
        due = int(self.wanted[0] * 1e9) if self.wanted else 0
        self._outcome(message.number, ACKNOWLEDGED, WHOLE, 250, due, self._number)
        if self._mayDoubt:
            self._notedInDoubt.accepted(self.protocol.inDoubt(), message.number)  # type: ignore[union-attr]
        self._tellAccepted(seconds, recipientsAccepted, recipientsRejected)

    def rejected(self, recipientsRejected: int) -> None:
        """
        See L{ISession.rejected}.
        """
        self._note(self.message, REFUSED, self._code)
        super().rejected(recipientsRejected)

    def refused(self, phase: int, text: bytes, what: str = "") -> None:
        """
        See L{ISession.refused}.
        """
        self._code = int(text[:3])
        super().refused(phase, text, what)

    def recipientRefused(self, phase: int, recipient: int, code: bytes) -> None:
        """
        See L{ISession.recipientRefused}.
        """
        self._single[recipient if phase == RCPT else -1 - recipient] = int(code)

    def postponed(self, code: bytes) -> None:
        """
        See L{ISession.postponed}.
        """
        message: Any = self.message
        self._single.clear()
        self._note(message, REFUSED, int(code))
        message.attempt = -message.attempt
        super().postponed(code)

    def contentLeaves(self) -> None:
        """
        See L{ISession.contentLeaves}.
        """
        self._notes.write()

    def unanswered(self, recipientsAccepted: int, recipientsRejected: int) -> None:
        """
        See L{ISession.unanswered}.
        """
        message: Any = self.message
        if message.attempt > 0:
            refused = sum(1 for key in self._single if key < 0)
            for place in range(recipientsAccepted + refused):
                self._single.setdefault(-1 - place, 0)
            self._noteRecipients(message)
        super().unanswered(recipientsAccepted, recipientsRejected)

    def fault(self, kind: str, text: str, quitting: bool = False, doubtful: int = 0) -> None:
        """
        See L{ISession.fault}.
        """
        if doubtful and kind not in OURS:
            for (number,) in self._notedInDoubt.take(doubtful):
                self._outcome(int(number), UNKNOWN, WHOLE, 0, 0, self._number)
            # Nor is anything known of this one, whatever was said of it.
            self._single.clear()
            self._note(self.message, UNKNOWN, 0)
            if self.message is not None:
                message: Any = self.message
                message.attempt = 0
        super().fault(kind, text, quitting, doubtful)

    def _endMessage(self) -> None:
        for place, message in enumerate((self.message, *self._following)):
            self._note(message, UNKNOWN, 0, place)
        super()._endMessage()

    def _build(self) -> Any:
        self._notedInDoubt.clear()
        return super()._build()

    def _note(self, message: IMessage | None, flag: int, code: int, place: int = 0) -> None:
        """
        Note what a message comes to, if its content has left or was about to. Of one that waits to be sent again it is
        known that the server did not take it.

        @param place: how many of those that have no outcome are before it.
        """
        noted: Any = message
        if message is not None and noted.attempt:
            self._noteRecipients(message)
            if noted.attempt < 0:
                flag, code = UNSENT, 0
            self._outcome(noted.number, flag, WHOLE, code, self._dueInNanoseconds(place), self._number)
        self._code = 0
        self._single.clear()

    def _noteRecipients(self, message: Any) -> None:
        """
        Note what is known of single recipients; a code of 0 stands for one that was accepted.
        """
        single, due = self._single, self._dueInNanoseconds()
        if single:
            others = [index for index in range(len(message.recipientCommands())) if index not in single]
            for key, code in single.items():
                # As in the intents, from the 65,535th on they share an index.
                index = min(key if key >= 0 else others[-1 - key], WHOLE - 1)
                flag = REFUSED if code else ACKNOWLEDGED
                self._outcome(message.number, flag, index, code or 250, due, self._number)
            single.clear()

    def _dueInNanoseconds(self, place: int = 0) -> int:
        """
        When a message was due, in nanoseconds; 0 if there is no schedule.
        """
        return int(self.wanted[place] * 1e9) if self.wanted else 0


def sessionKind(kind: type[Session]) -> type[Session]:
    """
    The kind of session that tells of its messages, and is as this one otherwise.
    """
    bases = (_Noting,) if kind is Session else (_Noting, kind)
    return type(f"Noted{kind.__name__}", bases, {"_tellAccepted": kind.accepted})
