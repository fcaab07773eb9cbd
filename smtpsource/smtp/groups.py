"""
Transactions in groups of commands (RFC 2920): several replies are owed at once, to this message and the next.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from smtpsource.phases import DATA, MAIL, MESSAGE, RCPT
from smtpsource.smtp import commands, script
from smtpsource.smtp.replies import MORE, YES, closesChannel
from smtpsource.smtp.transactions import Transactions

if TYPE_CHECKING:
    from smtpsource.interfaces import IMessage
    from smtpsource.smtp.connection import Answer


class Groups(Transactions):
    """
    A client that sends the envelope of the next message along with the content of this one.
    """

    def connectionMade(self) -> None:
        """
        Begin, with no message.
        """
        # The messages after that of C{_state} whose commands are out already, when these were written, and how many
        # bytes they are, about, if the content is among them; else 0.
        self._outstanding: deque[tuple[IMessage, float, int]] = deque()
        # Messages that have no outcome yet and are to be sent once more, if a subclass has such.
        self._again: deque[IMessage] = deque()
        super().connectionMade()

    def _sendFirst(self, message: IMessage) -> None:
        if self._grouped:
            self._sendGroup(message)
        else:
            self._sendMail(message)

    def _sendGroup(self, message: IMessage) -> None:
        """
        Write the group of a message when no other is outstanding.
        """
        self._writeGroup(b"", message)

    def _ready(self) -> None:
        """
        This message has ended. The next one may be under way already.
        """
        if self._outstanding:
            message, now, size = self._outstanding.popleft()
            self._state.begin(message, now)
            if size:
                self._refill()
        elif self._unsolicited is None:
            if self._again:
                self.send(self._again.popleft())
            else:
                self._session.ready(self)

    def _refill(self) -> None:
        """
        The group of the message that is now to be answered has the content in it: for a subclass that sends such
        groups. It may send more of them.
        """

    def _writeGroup(self, content: bytes, message: IMessage) -> None:
        """
        Write MAIL, every RCPT and DATA of a message at once.

        @param content: of the message before it, to be written before them; empty if there is none.
        """
        recipients = message.recipientCommands()
        self.lastActivity = now = self._clock()
        owed = self._owed
        if content:
            owed.append((MESSAGE, self._contentReplied, now))
            if self._dialogue.lmtp:
                self._awaitRecipients(now)
            self._outstanding.append((message, now, 0))
        if self.performs and not owed:
            self.perform(script.envelope(len(recipients)), now=now)
        else:
            owed.append((MAIL, self._groupMailReplied, now))
            for _ in recipients:
                owed.append((RCPT, self._groupRcptReplied, now))
            owed.append((DATA, self._groupDataReplied, now))
        self.writeGroup([content, message.mail, *recipients, commands.DATA], content)

    def _sendContentAndNext(self, message: IMessage) -> None:
        """
        Write the content of this message and, if there is a next one, its group along with it.
        """
        own, shared = message.content()
        following = None if shared else self._session.following()
        if following is not None:
            self._writeGroup(own, following)
        else:
            self._sendContent(own, shared)

    # The usual course

    def _writeContentAndGroup(self, recipients: int, content: bytes, message: IMessage) -> None:
        following = message.recipientCommands()
        now = self._clock()
        self._outstanding.append((message, now, 0))
        self.perform(script.content(recipients, recipients if self._dialogue.lmtp else 1), now=now)
        group = b"".join((content, message.mail, *following, commands.DATA))
        self.perform(script.envelope(len(following)), group, now=now)

    def answerTo(self, phase: int) -> Answer:
        """
        See L{OwedReplies.answerTo}.
        """
        if not self._grouped or phase == MESSAGE:
            return super().answerTo(phase)
        return {MAIL: self._groupMailReplied, RCPT: self._groupRcptReplied, DATA: self._groupDataReplied}[phase]

    # The replies to a group of commands: the next ones are out already, whatever these say (RFC 2920 section 3.1)

    def _groupMailReplied(self, code: bytes, reply: bytes) -> None:
        if code[0] == YES:
            self._state.mailAccepted = True
        else:
            self._refusedInGroup(MAIL, code, reply)

    def _groupRcptReplied(self, code: bytes, reply: bytes) -> None:
        state = self._state
        if not state.mailAccepted:
            return  # it is refused for that reason, and that was told
        if code[0] == YES:
            state.recipientsAccepted += 1
        else:
            self._session.recipientRefused(RCPT, state.recipientsAccepted + state.recipientsRejected, code)
            state.recipientsRejected += code[0] != MORE
            self._refusedInGroup(RCPT, code, reply)

    def _groupDataReplied(self, code: bytes, reply: bytes) -> None:
        state = self._state
        wanted = state.mailAccepted and state.recipientsAccepted > 0
        spoiled = state.recipientsRejected > 0 and not self._dialogue.tolerant
        if wanted and not spoiled:
            if code == b"354":
                assert state.message is not None
                self._sendContentAndNext(state.message)
            else:
                self._refused(DATA, code, reply)
            return
        self._reject()
        if code == b"354":
            if wanted:
                # Even an empty content would be delivered to those recipients that were accepted.
                self._close()
            else:
                self.write(b".\r\n", MESSAGE, self._loneDotReplied)
        elif closesChannel(code) or not self._dialogue.tolerant:
            self._leave(code)
        elif state.mailAccepted:
            self._reset()
        else:
            self._ready()

    def _loneDotReplied(self, code: bytes, reply: bytes) -> None:
        """
        A server that took DATA without a recipient was sent nothing but the dot. Its answer, most likely a refusal, is
        about no message of ours.
        """
        if self._dialogue.tolerant:
            self._nextOrLeave(code)
        else:
            self._leave(code)

    def _refusedInGroup(self, phase: int, code: bytes, reply: bytes) -> None:
        if code[0] == MORE:
            self._outOfStep(phase, reply)
            return
        self._session.refused(phase, reply)
        if closesChannel(code):
            self._reject()
            self._leave(code)

    def _leave(self, code: bytes) -> None:
        """
        The messages that are out, or to be sent again, have failed.
        """
        number = len(self._outstanding) + len(self._again)
        if number:
            self._session.fault("connection-lost", f"after a {code.decode()} reply, with {number} more messages out")
        super()._leave(code)
