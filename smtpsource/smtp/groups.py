"""
Transactions in groups of commands (RFC 2920): several replies are owed at once, to this message and the next.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from smtpsource.phases import DATA, MAIL, MESSAGE, RCPT
from smtpsource.smtp import commands
from smtpsource.smtp.opening import MORE, YES
from smtpsource.smtp.replies import closesChannel
from smtpsource.smtp.transactions import Transactions

if TYPE_CHECKING:
    from smtpsource.interfaces import IMessage


class Groups(Transactions):
    """
    A client that sends the envelope of the next message along with the content of this one.
    """

    # With chunks: the server may refuse what comes for no other reason than that it has refused a content before.
    _spoiled = False
    # With chunks: something was refused, so that more has to be looked at.
    _disturbed = False

    def connectionMade(self) -> None:
        """
        Begin, with no message.
        """
        # The messages after C{_message} whose commands are out already, when they were written, and with chunks how
        # many bytes, about; 0 if the content is to come later.
        self._outstanding: deque[tuple[IMessage, float, int]] = deque()
        # The messages that are to be sent again.
        self._again: deque[IMessage] = deque()
        self._disturbed = False
        super().connectionMade()

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
        owed.append((MAIL, self._groupMailReplied, now))
        for _ in recipients:
            owed.append((RCPT, self._groupRcptReplied, now))
        owed.append((DATA, self._groupDataReplied, now))
        self.writeGroup((content, message.mail, *recipients, commands.DATA), content)

    def _sendContent(self) -> None:
        assert self._message is not None
        own, shared = self._message.content()
        following = self._session.following() if self._grouped and not shared else None
        if following is not None:
            self._writeGroup(own, following)
            return
        self.write(own, MESSAGE, self._contentReplied)
        if self._dialogue.lmtp:
            self._awaitRecipients(self.lastActivity)
        if shared:
            self._stream(shared)

    def usualReplies(self, recipients: int) -> bool:
        """
        A content was accepted, and so was all of the group of commands that went along with it: nearly all that there
        is with pipelining, and worth a shorter way than the answers one by one, which do the same.
        """
        owed = self._owed
        # Then what is owed is one MESSAGE, MAIL, every RCPT and DATA: nothing else is sent in this way.
        if len(owed) != recipients + 3 or not self._outstanding or self._chunked or self._dialogue.lmtp:
            return False
        now = self._clock()
        if not self._recorder.group(recipients, now - owed[0][2]):
            return False
        self.lastActivity = now
        owed.clear()
        self._session.accepted(now - self._begun, self._recipientsAccepted, self._recipientsRejected)
        self._message, self._begun, _ = self._outstanding.popleft()
        self._mailAccepted = True
        self._recipientsAccepted = recipients
        self._recipientsRejected = self._recipientsDelivered = 0
        self._sendContent()
        return True

    # The replies to a group of commands: the next ones are out already, whatever these say (RFC 2920 section 3.1)

    def _groupMailReplied(self, code: bytes, reply: bytes) -> None:
        self._mailAccepted = code[0] == YES
        if not self._mailAccepted and not self._spoiled:
            self._refusedInGroup(MAIL, code, reply)

    def _groupRcptReplied(self, code: bytes, reply: bytes) -> None:
        if not self._mailAccepted:
            return  # it is refused for that reason, and that was told
        if code[0] == YES:
            self._recipientsAccepted += 1
        else:
            self._recipientsRejected += code[0] != MORE
            self._refusedInGroup(RCPT, code, reply)

    def _groupDataReplied(self, code: bytes, reply: bytes) -> None:
        wanted = self._mailAccepted and self._recipientsAccepted > 0
        spoiled = self._recipientsRejected > 0 and not self._dialogue.tolerant
        if wanted and not spoiled:
            if code == b"354":
                self._sendContent()
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
        elif self._mailAccepted:
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
