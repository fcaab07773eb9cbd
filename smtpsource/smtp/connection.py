"""
One connection, and how it ends: in order, by the server's doing, or because its dialogue can't go on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from smtpsource.phases import (
    AUTH,
    BANNER,
    BDAT,
    DATA,
    HELO,
    MAIL,
    MESSAGE,
    NOOP,
    QUIT,
    RCPT,
    RSET,
    STARTTLS,
    TLS,
    XCLIENT,
)
from smtpsource.process.unexpected import isOutOfMemory, named

if TYPE_CHECKING:
    from smtpsource.interfaces import ISession
    from smtpsource.measure.recorder import Recorder
    from smtpsource.smtp.streaming import BodyProducer

#: What a reply is answered with: its code and its text.
Answer = Callable[[bytes, bytes], None]


class Connection(LineReceiver):
    """
    Knows what the server owes, ends what can't go on, and tells the session why.

    @ivar over: nothing more can be sent: the connection is closed, or is being closed.
    @ivar lastActivity: when the last reply came or the last content was taken, on C{clock}'s scale; see L{overdue}.
    """

    #: For our reactor: what this raises is told to the session, and need not be logged.
    explainsFailures = True

    over = False
    lastActivity = 0.0
    _quitting = False
    _producer: BodyProducer | None = None
    # Nothing of a reply was received yet that is not answered, and the connection is of use.
    _atStart = True

    def __init__(self, session: ISession, recorder: Recorder, clock: Callable[[], float]) -> None:
        """
        @param session: whom to tell of faults, and of the end.
        @param recorder: where replies and bytes are counted.
        @param clock: gives seconds on a scale that never goes backward.
        """
        self._session = session
        self._recorder = recorder
        self._clock = clock
        # For each reply that is owed: the phase that it answers, what to call with it, and when it was asked for.
        self._owed: deque[tuple[int, Answer, float]] = deque()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The connection is gone, by our doing or not.
        """
        self.interrupt()
        if not self.over:
            self.over = True
            self._atStart = False
            if not self._quitting:
                self._tellLoss(reason)
        self._owed.clear()
        self.ended()
        self._session.disconnected(not self._quitting)

    def _tellLoss(self, reason: Failure) -> None:
        explained = self.explained(reason)
        if isOutOfMemory(reason.value):
            self._session.fault(*named(reason.value))
            return
        if explained is not None:
            kind, text = explained
        elif reason.check(ConnectionDone):
            kind, text = "connection-lost", "the server closed the connection"
        elif reason.check(ConnectionLost, ConnectionAborted):
            kind, text = "connection-reset", "connection reset"
        else:
            # Not the server's doing: something in this process raised it.
            self._session.fault(*named(reason.value))
            return
        self._session.fault(kind if self._owed else "closed-while-idle", self._lostWhile(text))

    def interrupt(self) -> None:
        """
        Let all replies that the server owes be in the queue, if a subclass keeps some elsewhere.
        """

    def explained(self, reason: Failure) -> tuple[str, str] | None:
        """
        Why the connection was lost, if a subclass knows better: the kind of fault and one line about it.
        """
        return None

    def ended(self) -> None:
        """
        The connection is gone, and the session is to be told; for subclasses to tell more before that.
        """

    def abort(self) -> None:
        """
        End the connection at once, whatever is on its way.
        """
        if not self.over:
            self._close()

    def overdue(self, now: float, timeout: float) -> bool:
        """
        Has the server kept us waiting for a reply, or taken no content, for C{timeout} seconds? Then this ends the
        connection: it is asked from time to time, so that waiting costs no timer of its own.

        @param now: the time, on C{clock}'s scale.
        """
        if self.over or now - self.lastActivity < timeout:
            return False
        self.interrupt()
        if not self._owed:
            return False
        what = "no reply" if self._producer is None else "no content taken"
        self._fault("timeout", f"{what} within {timeout:g} seconds")
        return True

    def awaits(self, phase: int) -> bool:
        """
        Is the reply that the server owes us first the one to this phase, outside of the usual course of a message?
        """
        return not self.over and bool(self._owed) and self._owed[0][0] == phase

    def _fault(self, kind: str, text: str) -> None:
        """
        The dialogue can't go on.
        """
        self.interrupt()
        doubtful = self.inDoubt() if kind == "unexpected-reply" else 0
        self._session.fault(kind, self._lostWhile(text), self._quitting, doubtful)
        self._close()

    def inDoubt(self) -> int:
        """
        Replies are out of step, nobody knows since when: how many messages of this connection that were told to be
        accepted may not be? At least as many as are, for a subclass that can have been wrong; C{sys.maxsize} for all.
        """
        return 0

    def _close(self) -> None:
        """
        Close with RST: it keeps our port out of TIME_WAIT, and the server has said its last word or is no use.
        """
        self.over = True
        self._atStart = False
        if self._producer is not None:
            self._producer.stopProducing()
        self.transport.abortConnection()  # type: ignore[union-attr]

    def _lostWhile(self, text: str) -> str:
        if not self._owed:
            return text
        return f"{text} (waiting for {_PHRASES[self._owed[0][0]]})"


#: What is waited for, in words.
_PHRASES: dict[int, str] = {
    TLS: "the TLS handshake",
    BANNER: "the greeting",
    HELO: "the reply to HELO, EHLO or LHLO",
    STARTTLS: "the reply to STARTTLS",
    XCLIENT: "the reply to XCLIENT",
    AUTH: "the reply to AUTH",
    NOOP: "the reply to NOOP",
    MAIL: "the reply to MAIL",
    RCPT: "the reply to RCPT",
    DATA: "the reply to DATA",
    BDAT: "the reply to BDAT",
    MESSAGE: "the reply to the content",
    RSET: "the reply to RSET",
    QUIT: "the reply to QUIT",
}
