"""
Transactions in groups of commands (RFC 2920): several replies are owed at once, to more than one message.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from smtpsource.phases import BDAT, DATA, MAIL, MESSAGE, NAMES, RCPT, RSET
from smtpsource.smtp import commands
from smtpsource.smtp.chunking import bdat, chunks
from smtpsource.smtp.opening import MORE, YES
from smtpsource.smtp.owed import shown
from smtpsource.smtp.replies import closesChannel
from smtpsource.smtp.transactions import Transactions

if TYPE_CHECKING:
    from smtpsource.interfaces import IMessage


#: With a window: a group gets no further message when it has about so many bytes, and the next group is written when half
#: of the messages have their answers. So what a connection holds is little, whatever the window is.
_MOST_AT_ONCE = 262144

#: How much of that a recipient is, whatever its name: half of the longest command of RFC 5321 section 4.5.3.1.4.
_RECIPIENT = 256


class SMTPSourceProtocol(Transactions):
    """
    An SMTP or LMTP client that sends the messages its session gives it, one command at a time or in groups, and tells
    it of every outcome.
    """

    # With chunks in groups, of this message: a chunk was refused; the last one has had an answer; all recipients up to
    # now were refused, and of their answers to the content one is still in the queue; each recipient has one there.
    _chunkRefused = _lastReplied = _refusedAndOwed = _answeredEach = False
    # With a window: a chunk was refused, and what came after it may be refused for no other reason.
    _spoiled = False
    # It was so once: from then on each group begins with RSET.
    _cautious = False
    # With a window: when no more than so many messages are outstanding, it is filled again.
    _refillAt = 0

    def connectionMade(self) -> None:
        """
        Begin, with no message.
        """
        # The messages after C{_message} whose commands are out already, when they were written, and with chunks how
        # many bytes, about; 0 if the content is to come later.
        self._outstanding: deque[tuple[IMessage, float, int]] = deque()
        # The messages that are to be sent again.
        self._again: deque[IMessage] = deque()
        super().connectionMade()

    def _sendFirst(self, message: IMessage) -> None:
        if not self._grouped:
            self.write(message.mail, MAIL, self._mailReplied)
        elif self._chunked:
            self._writeChunkedGroups(message)
        else:
            self._writeGroup(b"", message)

    def _ready(self) -> None:
        """
        This message has ended. With pipelining, the next one is under way already.
        """
        if self._outstanding:
            message, now, size = self._outstanding.popleft()
            self._begin(message, now)
            if self._chunked:
                self._beginChunked(size)
                if size and not self._spoiled and len(self._outstanding) <= self._refillAt:
                    self._writeChunkedGroups(None)
        elif self._unsolicited is None:
            self._spoiled = False
            if self._again:
                self.send(self._again.popleft())
            else:
                self._session.ready(self)

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

    def _groupResetReplied(self, code: bytes, reply: bytes) -> None:
        if code[0] != YES:
            self._refusedInGroup(RSET, code, reply)

    def _groupRcptReplied(self, code: bytes, reply: bytes) -> None:
        if not self._mailAccepted:
            return  # it is refused for that reason, and that was told
        if code[0] == YES:
            self._recipientsAccepted += 1
        else:
            self._recipientsRejected += 1
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
            # Only DATA may be answered so: replies are out of step.
            self._fault("unexpected-reply", f"to {NAMES[phase].upper()}: {shown(reply)}")
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

    def _quitReplied(self, code: bytes, reply: bytes) -> None:
        if self._grouped and code != b"221" and not closesChannel(code):
            # A reply to something else, which was taken for that of the command before: they are out of step.
            self._fault("unexpected-reply", f"to QUIT: {shown(reply)}")
        else:
            self._close()

    # The same with the content in chunks: it is out, too, and so are other messages' groups

    def _chunkedRcptReplied(self, code: bytes, reply: bytes) -> None:
        if code[0] == YES:
            # Even if MAIL was refused, for instance because the server has not ended the transaction before it:
            # what it says to the last chunk decides, and who gets the message was decided here.
            if self._refusedAndOwed:
                self._refusedAndOwed = False
                self._oweLess(1)
            self._recipientsAccepted += 1
            return
        if self._refusedAndOwed or self._recipientsAccepted:
            self._oweLess(1)
        else:
            self._refusedAndOwed = True
        if self._mailAccepted:
            self._recipientsRejected += 1
            self._refusedInGroup(RCPT, code, reply)

    def _oweLess(self, number: int) -> None:
        """
        By LMTP, the last chunk will be answered so many times less than was thought when it was sent: there is an
        answer for each recipient that was accepted, and one if there is none.
        """
        if self._answeredEach:
            for _ in range(number):
                self._owed.remove((MESSAGE, self._lastChunkReplied, self._begun))

    def _largeRcptReplied(self, code: bytes, reply: bytes) -> None:
        """
        The last recipient's, before a content that is too large for the group.
        """
        self._chunkedRcptReplied(code, reply)
        if self.over:
            return
        if self._recipientsAccepted and not (self._recipientsRejected and not self._dialogue.tolerant):
            self._sendChunks()
        else:
            self._reject()
            if closesChannel(code) or not self._dialogue.tolerant:
                self._leave(code)
            else:
                self._reset()

    def _groupChunkReplied(self, code: bytes, reply: bytes) -> None:
        if code[0] != YES and not self._chunkRefused:
            self._chunkRefused = True
            self._oweLess(max(0, self._recipientsAccepted - 1))
            if self._recipientsAccepted:
                self._refusedInGroup(BDAT, code, reply)

    def _lastChunkReplied(self, code: bytes, reply: bytes) -> None:
        """
        The reply that decides; by LMTP, there is one for each accepted recipient.
        """
        if self._dialogue.lmtp and self._recipientsAccepted and not self._chunkRefused:
            if not self._lastReplied:
                self._lastReplied = True
                self._recipientsAwaited = self._recipientsAccepted
            self._recipientReplied(code, reply)
        elif code[0] == YES and self._recipientsAccepted and not self._chunkRefused:
            self._message = None
            self._session.accepted(self.lastActivity - self._begun, self._recipientsAccepted, self._recipientsRejected)
            self._ready()
        elif self._spoiled and not self._mailAccepted and not closesChannel(code):
            # The server is still in the transaction before; so it never had a chance to accept this one.
            assert self._message is not None
            self._again.append(self._message)
            self._message = None
            self._afterRefusedContent(code)
        else:
            if self._recipientsAccepted and not self._chunkRefused:
                self._session.refused(MESSAGE, reply)
            self._recipientsRejected += self._recipientsAccepted
            self._reject()
            self._afterRefusedContent(code)

    def _afterRefusedContent(self, code: bytes) -> None:
        if not self._outstanding or closesChannel(code):
            super()._afterRefusedContent(code)
            return
        if self._chunked and self._dialogue.tolerant and not self._cautious:
            self._spoiled = self._cautious = True
        self._ready()

    # Writing groups

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
        self.writeGroup(content, (message.mail, *recipients, commands.DATA))

    def _writeChunkedGroups(self, message: IMessage | None) -> None:
        """
        Write MAIL, every RCPT and BDAT with the content, of as many messages as the window and a write have room for,
        at once.

        @param message: the first of them; C{None}: as many as there are follow those that are out.
        """
        self.lastActivity = now = self._clock()
        parts: list[bytes] = []
        outstanding = self._outstanding
        room = self._dialogue.window - 1
        left = _MOST_AT_ONCE
        if message is not None:
            self._begun = now
            size = self._addChunkedGroup(parts, message, now)
            self._beginChunked(size)
            left = left - size if size else 0
        elif outstanding and not outstanding[-1][2]:
            left = 0  # a large content has yet to come
        while left > 0 and len(outstanding) < room:
            following = self._again.popleft() if self._again else self._session.following()
            if following is None:
                break
            size = self._addChunkedGroup(parts, following, now)
            outstanding.append((following, now, size))
            left = left - size if size else 0
        # Half of them at a time: fewer writes, and the server never waits for us.
        self._refillAt = (room if left > 0 else len(outstanding)) // 2
        if parts:
            self.writeGroup(b"", parts)

    def _addChunkedGroup(self, parts: list[bytes], message: IMessage, now: float) -> int:
        """
        Add a message's commands to a group, and what is owed for them to the queue.

        @return: its size, about; 0 if its content is to come later, because it is large.
        """
        recipients = message.recipientCommands()
        own, shared = message.octets()
        owed = self._owed
        if self._cautious:
            parts.append(commands.RSET)
            owed.append((RSET, self._groupResetReplied, now))
        parts.append(message.mail)
        parts.extend(recipients)
        owed.append((MAIL, self._groupMailReplied, now))
        for _ in recipients:
            owed.append((RCPT, self._chunkedRcptReplied, now))
        if shared:
            owed[-1] = (RCPT, self._largeRcptReplied, now)
            return 0
        if self._dialogue.chunkSize is None:
            parts.append(bdat(len(own), True))
            parts.append(own)
        else:
            for command, piece, _, last in chunks(own, b"", self._dialogue.chunkSize):
                parts.append(command)
                parts.append(piece)
                if not last:
                    owed.append((BDAT, self._groupChunkReplied, now))
        for _ in recipients if self._dialogue.lmtp else recipients[:1]:
            owed.append((MESSAGE, self._lastChunkReplied, now))
        return len(own) + _RECIPIENT * len(recipients)

    def _beginChunked(self, size: int) -> None:
        self._chunkRefused = self._lastReplied = self._refusedAndOwed = False
        self._answeredEach = self._dialogue.lmtp and size > 0
