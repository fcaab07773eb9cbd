"""
Mail transactions, one command at a time: what is said about a message, and what is made of each reply.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smtpsource.phases import BDAT, DATA, MAIL, MESSAGE, NAMES, NOOP, QUIT, RCPT, RSET
from smtpsource.smtp import commands, script
from smtpsource.smtp.authentication import Authentication
from smtpsource.smtp.chunking import chunks
from smtpsource.smtp.replies import MORE, YES, closesChannel, shown
from smtpsource.smtp.state import MessageState
from smtpsource.smtp.streaming import LARGEST_WRITE, BodyProducer, ContentLost

if TYPE_CHECKING:
    from smtpsource.interfaces import IMessage
    from smtpsource.smtp.chunking import Buffer
    from smtpsource.smtp.connection import Answer
    from smtpsource.smtp.script import Script


class Transactions(Authentication):
    """
    A client that sends one message after the other, and waits for each reply.

    @cvar performs: is the usual course of a message a script? See L{OwedReplies.perform}.
    """

    performs = True

    # In lock-step, for the recipients of the last message, which most often are the next one's: the scripts of its
    # envelope, with the commands after MAIL, and of its content.
    _envelope: tuple[Script, tuple[bytes, ...]]
    _content: Script

    def connectionMade(self) -> None:
        """
        Begin, with no message.
        """
        self._state = MessageState()
        self._acceptedNext = getattr(self._session, "acceptedNext", self._acceptedAndReady)
        super().connectionMade()

    # What the session asks for

    def send(self, message: IMessage) -> None:
        """
        Send this message; its outcome comes to the session. Only when the connection is C{ready}.
        """
        if self._dialogue.exercise == "mail":
            self._state.begin(message, self._clock())
            self._sendFirst(message)
        else:
            self._exercise(self._dialogue.exercise)

    def _sendFirst(self, message: IMessage) -> None:
        """
        Write what begins this message's transaction.
        """
        self._sendMail(message)

    def _sendMail(self, message: IMessage) -> None:
        """
        Write MAIL alone.
        """
        state = self._state
        recipients = message.recipientCommands()
        if recipients is not state.recipients:
            state.recipients = recipients
            number = len(recipients)
            self._envelope = script.envelope(number), (*recipients, commands.DATA)
            self._content = script.content(number, number if self._dialogue.lmtp else 1)
        if self.performs and not self._chunked:
            envelope, following = self._envelope
            state.begun = self.perform(envelope, message.mail, following)
        else:
            state.recipient = 0
            self.write(message.mail, MAIL, self._mailReplied)

    def quit(self) -> None:
        """
        End the connection in order. Only when the connection is C{ready}.
        """
        self._quitting = True
        self.write(commands.QUIT, QUIT, self._quitReplied)

    # The beginning and the end

    def opened(self) -> None:
        """
        The connection is ready for messages.
        """
        self._ready()

    def _ready(self) -> None:
        """
        This message has ended.
        """
        if self._unsolicited is None:
            self._session.ready(self)

    def ended(self) -> None:
        """
        The connection is gone. If a message was under way, some of its recipients may have had their answers.
        """
        state = self._state
        if state.message is not None:
            state.message = None
            if state.recipientsDelivered or state.recipientsRejected:
                self._session.unanswered(state.recipientsDelivered, state.recipientsRejected)

    def _exercise(self, exercise: str) -> None:
        """
        What stands for a message, where it is no mail.
        """
        if exercise == "noop":
            self.write(commands.NOOP, NOOP, self._noopReplied)
        else:
            self._session.exercised()
            self._ready()

    def _noopReplied(self, code: bytes, reply: bytes) -> None:
        if code[0] == YES:
            self._session.exercised()
            self._ready()
            return
        self._session.refused(NOOP, reply)
        self._session.rejected(0)
        if self._dialogue.tolerant:
            self._nextOrLeave(code)
        else:
            self._leave(code)

    # The usual course of a message

    def envelopeAccepted(self, recipients: int) -> None:
        """
        See L{OwedReplies.envelopeAccepted}: the content comes next.
        """
        state = self._state
        message: Any = state.message
        own, shared = message.content()
        if shared:
            state.begin(message, state.begun)
            state.recipientsAccepted = recipients
            self._sendContent(own, shared)
            return
        if not self._grouped:
            self.perform(self._content, own)
            return
        following = self._session.following()
        if following is not None:
            self._writeContentAndGroup(recipients, own, following)
        else:
            replies = script.content(recipients, recipients if self._dialogue.lmtp else 1)
            self.perform(replies, own)

    def _writeContentAndGroup(self, recipients: int, content: bytes, message: IMessage) -> None:
        """
        Write a content and, along with it, the next message's group: for a subclass that has such groups.
        """
        raise NotImplementedError

    def messageAccepted(self, recipients: int, now: float) -> None:
        """
        See L{OwedReplies.messageAccepted}: the next one follows, if there is one.
        """
        state = self._state
        state.message = None
        seconds = now - state.begun
        if self._grouped:
            self._session.accepted(seconds, recipients, 0)
            self._ready()
            return
        message = self._acceptedNext(self, seconds, recipients)
        if message is not None:
            state.message = message
            self._sendMail(message)

    def _acceptedAndReady(self, protocol: object, seconds: float, recipients: int) -> None:
        """
        For a session that has no short way of its own.
        """
        self._session.accepted(seconds, recipients, 0)
        self._ready()

    def interrupted(self, script: Script, step: int, written: float) -> None:
        """
        See L{OwedReplies.interrupted}: what has been said so far makes the state.
        """
        state = self._state
        state.begin(state.message, state.begun)
        said, waiting = script.phases[:step], script.phases[step:]
        if script.phases[0] == MAIL:
            state.mailAccepted = MAIL in said
            state.recipientsAccepted = said.count(RCPT)
        else:
            state.recipientsAccepted = script.recipients
        state.recipient = state.recipientsAccepted
        if (self._dialogue.lmtp and script.phases[0] == MESSAGE) or MESSAGE in said:
            state.recipientsDelivered = said.count(MESSAGE)
            state.recipientsAwaited = waiting.count(MESSAGE)
        if script.isEnvelope and not self._grouped:
            waiting = waiting[:1]  # the others are not written yet
        for phase in waiting:
            self._owed.append((phase, self.answerTo(phase), written))

    def answerTo(self, phase: int) -> Answer:
        """
        See L{OwedReplies.answerTo}.
        """
        return {
            MAIL: self._mailReplied,
            RCPT: self._rcptReplied,
            DATA: self._dataReplied,
            MESSAGE: self._contentReplied,
        }[phase]

    # One answer for each kind of reply

    def _mailReplied(self, code: bytes, reply: bytes) -> None:
        if code[0] == YES:
            self.write(self._state.recipients[0], RCPT, self._rcptReplied)
        else:
            self._refused(MAIL, code, reply)

    def _rcptReplied(self, code: bytes, reply: bytes) -> None:
        state = self._state
        if code[0] == YES:
            state.recipientsAccepted += 1
        else:
            state.recipientsRejected += 1
            self._session.recipientRefused(RCPT, state.recipient, code)
            if closesChannel(code) or not self._dialogue.tolerant:
                self._refused(RCPT, code, reply)
                return
            self._session.refused(RCPT, reply)
        state.recipient += 1
        if state.recipient < len(state.recipients):
            self.write(state.recipients[state.recipient], RCPT, self._rcptReplied)
        elif not state.recipientsAccepted:
            self._reject()
            self._reset()
        elif self._chunked:
            self._sendChunks()
        else:
            self.write(commands.DATA, DATA, self._dataReplied)

    def _dataReplied(self, code: bytes, reply: bytes) -> None:
        if code != b"354":
            self._refused(DATA, code, reply)
            return
        message = self._state.message
        assert message is not None
        own, shared = message.content()
        self._sendContent(own, shared)

    def _sendContent(self, own: bytes, shared: Buffer) -> None:
        self.write(own, MESSAGE, self._contentReplied)
        if self._dialogue.lmtp:
            self._awaitRecipients(self.lastActivity)
        if shared:
            self._stream(shared)

    def _awaitRecipients(self, now: float) -> None:
        """
        In LMTP: a reply for each accepted recipient (RFC 2033 section 4.2); the first is awaited already.
        """
        state = self._state
        state.recipientsAwaited = state.recipientsAccepted
        for _ in range(1, state.recipientsAccepted):
            self._owed.append((MESSAGE, self._contentReplied, now))

    def _stream(self, body: Buffer) -> None:
        self._producer = BodyProducer(self, body)
        self._producer.start()

    def _sendChunks(self) -> None:
        """
        The content in chunks (RFC 3030), the next one when the one before it is accepted.
        """
        state = self._state
        assert state.message is not None
        state.chunks = chunks(*state.message.bdatContent(), self._dialogue.chunkSize)
        self._session.contentLeaves()
        self._sendChunk()

    def _sendChunk(self) -> None:
        try:
            command, own, shared, last = next(self._state.chunks)
        except ContentLost as e:
            self.bodyLost(str(e))
            return
        streamed = len(shared) > LARGEST_WRITE
        data = command + own if streamed else b"".join((command, own, shared))
        self.write(data, MESSAGE if last else BDAT, self._contentReplied if last else self._chunkReplied)
        if last and self._dialogue.lmtp:
            self._awaitRecipients(self.lastActivity)
        if streamed:
            self._stream(shared)

    def _chunkReplied(self, code: bytes, reply: bytes) -> None:
        if self._producer is not None:
            self._repliedTooEarly(code, reply)
        elif code[0] == YES:
            self._sendChunk()
        else:
            self._refused(BDAT, code, reply)

    def _contentReplied(self, code: bytes, reply: bytes) -> None:
        if self._producer is not None:
            self._repliedTooEarly(code, reply)
            return
        if self._dialogue.lmtp:
            self._recipientReplied(code, reply)
        elif code[0] == YES:
            state = self._state
            state.message = None
            self._session.accepted(self.lastActivity - state.begun, state.recipientsAccepted, state.recipientsRejected)
            self._ready()
        else:
            state = self._state
            state.recipientsRejected += state.recipientsAccepted
            self._session.refused(MESSAGE, reply)
            self._reject()
            self._afterRefusedContent(code)

    def _afterRefusedContent(self, code: bytes) -> None:
        """
        After BDAT was refused nobody can be sure of the transaction's state (RFC 3030 section 2).
        """
        if self._chunked and self._dialogue.tolerant and not closesChannel(code):
            self._reset()
        else:
            self._nextOrLeave(code)

    def _repliedTooEarly(self, code: bytes, reply: bytes) -> None:
        """
        A server may refuse while the content still flows. There is no way to stop but to close.
        """
        if code[0] == YES:
            self._fault("unexpected-reply", f"before all of the content was sent: {shown(reply)}")
            return
        state = self._state
        state.recipientsRejected += state.recipientsAccepted
        self._session.refused(MESSAGE, reply)
        self._reject()
        self._close()

    def _recipientReplied(self, code: bytes, reply: bytes) -> None:
        """
        In LMTP: what became of one recipient (RFC 2033 section 4.2).
        """
        state = self._state
        state.recipientsAwaited -= 1
        if code[0] == YES:
            state.recipientsDelivered += 1
        else:
            state.recipientsRejected += 1
            self._session.refused(MESSAGE, reply)
            # It is about those as well that have no reply after one that closes the channel.
            last = 0 if closesChannel(code) else state.recipientsAwaited
            for left in range(state.recipientsAwaited, last - 1, -1):
                self._session.recipientRefused(MESSAGE, state.recipientsAccepted - 1 - left, code)
            if closesChannel(code):
                state.recipientsRejected += state.recipientsAwaited
                state.recipientsAwaited = 0
        if state.recipientsAwaited:
            return
        if state.recipientsDelivered:
            state.message = None
            self._session.accepted(self.lastActivity - state.begun, state.recipientsDelivered, state.recipientsRejected)
        else:
            self._reject()
        self._nextOrLeave(code)

    def _resetReplied(self, code: bytes, reply: bytes) -> None:
        if code[0] == YES:
            self._ready()
        elif code[0] == MORE:
            self._outOfStep(RSET, reply)
        else:
            # In that transaction, which it stays in, it would refuse whatever comes next.
            self._session.refused(RSET, reply)
            self._leave(code)

    def _needlessResetReplied(self, code: bytes, reply: bytes) -> None:
        """
        Where MAIL was refused there is no transaction.
        """
        if code[0] in (YES, MORE) or closesChannel(code):
            self._resetReplied(code, reply)
        else:
            self._session.refused(RSET, reply)
            self._ready()

    def _quitReplied(self, code: bytes, reply: bytes) -> None:
        if code == b"221" or closesChannel(code) or (code.startswith(b"50") and not self._grouped):
            self._close()  # those with 50 are about the command itself: a server that does not know it
        else:
            # A second reply to what was before, or one of those was a reply too many.
            self._outOfStep(QUIT, reply)

    # What follows from a refusal or a fault

    def _outOfStep(self, phase: int, reply: bytes) -> None:
        """
        A reply with a code that no server answers this with: it is the answer to something else.
        """
        what = "the content" if phase == MESSAGE else NAMES[phase].upper()
        self._fault("unexpected-reply", f"to {what}: {shown(reply.rstrip())}")

    def _refused(self, phase: int, code: bytes, reply: bytes) -> None:
        """
        The transaction is refused before its content was sent.
        """
        self._session.refused(phase, reply)
        self._reject()
        if closesChannel(code) or not self._dialogue.tolerant:
            self._leave(code)
        elif phase == MAIL:
            self.write(commands.RSET, RSET, self._needlessResetReplied)
        else:
            self._reset()

    def _reject(self) -> None:
        state = self._state
        state.message = None
        self._session.rejected(state.recipientsRejected)

    def _reset(self) -> None:
        self.write(commands.RSET, RSET, self._resetReplied)

    def _nextOrLeave(self, code: bytes) -> None:
        if closesChannel(code):
            self._leave(code)
        else:
            self._ready()
