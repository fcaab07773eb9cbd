"""
The protocol of a run that logs its messages: its session hears how long each reply took.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smtpsource.phases import TLS, TLS_RESUMED
from smtpsource.smtp.protocol import SMTPSourceProtocol
from smtpsource.smtp.replies import groups as _groups
from smtpsource.smtp.replies import wholeReplies

if TYPE_CHECKING:
    from smtpsource.interfaces import IMessage


class HeardProtocol(SMTPSourceProtocol):
    """
    A client whose session has two methods more: C{hears(message)}, does it want to hear of that message? And
    C{heard(phase, seconds, code, reply)}, called before a reply is answered; there is no code for what no reply ends.
    Other messages are sent as by the superclass, with a script, as far as none that is heard is under way.

    @cvar steps: every message is sent step by step: for a subclass that wants to see them all.
    """

    steps = False

    def handshakeCompleted(self) -> None:
        """
        TLS is there.
        """
        begun = self._owed[0][2] if self._owed and self._owed[0][0] == TLS else None
        now = self._clock()
        if begun is not None and not self.over and self._tls is not None:
            phase = TLS_RESUMED if self._tls.resumed else TLS
            session: Any = self._session
            session.heard(phase, now - begun, b"", b"")
        super().handshakeCompleted()

    def replyReceived(self, reply: bytes, code: bytes) -> None:
        """
        A whole reply came, with all its lines.
        """
        if not self._owed:
            self._unexpected(reply)
            return
        phase, answer, written = self._owed.popleft()
        self.lastActivity = now = self._clock()
        seconds = now - written
        self._recorder.reply(phase, seconds, code, reply)
        session: Any = self._session
        session.heard(phase, seconds, code, reply)
        answer(code, reply)

    def repliesReceived(self, data: bytes) -> bytes:
        """
        Several replies at once: those of one line, as in the superclass.
        """
        owed, recorder = self._owed, self._recorder
        session: Any = self._session
        self.lastActivity = now = self._clock()
        rest = len(data)
        for code, reply in _groups.get(data) or wholeReplies(data):
            rest -= len(reply)
            if not owed or (rest and len(owed) == 1):
                rest += len(reply)
                break
            phase, answer, written = owed.popleft()
            recorder.reply(phase, now - written, code, reply)
            session.heard(phase, now - written, code, reply)
            answer(code, reply)
            if self.over:
                return b""
        return data[-rest:] if rest else b""

    # Which messages are sent step by step

    def send(self, message: IMessage) -> None:
        """
        Send this message: nothing else is under way.
        """
        self._begin(message)
        super().send(message)

    def _sendMail(self, message: IMessage) -> None:
        if self._begin(message):
            # The message before it may have been sent by a script, which needs no state.
            self._state.begin(message, self._clock())
        super()._sendMail(message)

    def _begin(self, message: IMessage) -> bool:
        session: Any = self._session
        isHeard: bool = self.steps or session.hears(message)
        self.performs = self.plain = not isHeard
        return isHeard

    def _writeGroup(self, content: bytes, message: IMessage) -> None:
        self._stepIfHeard(message)
        super()._writeGroup(content, message)

    def _writeContentAndGroup(self, recipients: int, content: bytes, message: IMessage) -> None:
        if not self._stepIfHeard(message):
            super()._writeContentAndGroup(recipients, content, message)
            return
        # The message before it was sent by a script: its state is what that has come to.
        state = self._state
        state.begin(state.message, state.begun)
        state.recipientsAccepted = recipients
        self._writeGroup(content, message)

    def _addChunkedGroup(self, parts: list[bytes], message: IMessage, now: float) -> int:
        self._stepIfHeard(message)
        return super()._addChunkedGroup(parts, message, now)

    def _stepIfHeard(self, message: IMessage) -> bool:
        session: Any = self._session
        isHeard: bool = session.hears(message)
        if isHeard:
            self.performs = self.plain = False
        return isHeard
