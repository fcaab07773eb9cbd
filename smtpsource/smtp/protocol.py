"""
The whole client: one message after the other, in lock-step, in groups, or with the content in the group as well (RFC
2920 and RFC 3030 together), which makes a window of several possible.
"""

from __future__ import annotations

from sys import maxsize
from typing import TYPE_CHECKING, Any

from smtpsource.phases import BDAT, MAIL, MESSAGE, RCPT, RSET
from smtpsource.smtp import commands, script
from smtpsource.smtp.chunking import bdat, chunks
from smtpsource.smtp.groups import Groups
from smtpsource.smtp.replies import MORE, YES, closesChannel

if TYPE_CHECKING:
    from smtpsource.interfaces import IMessage
    from smtpsource.smtp.connection import Answer

#: With a window: a group gets no further message when it has about so many bytes, and the next group is written when
#: half of the messages have their answers. So what a connection holds is little, whatever the window is.
_MOST_AT_ONCE = 262144

#: How much of that a recipient is, whatever its name: half of the longest command of RFC 5321 section 4.5.3.1.4.
_RECIPIENT = 256

#: What a script takes the place of: who overrides one of these wants to see each command, each reply or each answer.
_STEPS = frozenset(
    {
        "dataReceived",
        "replyReceived",
        "repliesReceived",
        "write",
        "writeGroup",
        "_mailReplied",
        "_rcptReplied",
        "_dataReplied",
        "_contentReplied",
        "_recipientReplied",
        "_groupMailReplied",
        "_groupRcptReplied",
        "_groupDataReplied",
        "_chunkedMailReplied",
        "_chunkedRcptReplied",
        "_lastChunkReplied",
    }
)


class SMTPSourceProtocol(Groups):
    """
    An SMTP or LMTP client that sends the messages its session gives it, one command at a time or in groups, and tells
    it of every outcome.
    """

    # The server may refuse what comes for no other reason than that it has refused a content before.
    _spoiled = False
    # A content was refused once while others were out: from then on each group begins with RSET.
    _cautious = False
    # When no more than so many messages are outstanding, the window is filled again.
    _refillAt = 0
    # Messages that were accepted although MAIL or one of their recipients was refused; see C{inDoubt}.
    _partlyRefused = 0

    def __init_subclass__(cls, **keywords: Any) -> None:
        """
        In a class that overrides a step of a script, nothing is performed.
        """
        super().__init_subclass__(**keywords)
        if any(getattr(cls, name) is not getattr(SMTPSourceProtocol, name) for name in _STEPS):
            cls.performs = False

    def connectionMade(self) -> None:
        """
        Begin. An object that has steps of its own performs nothing, either.
        """
        if not _STEPS.isdisjoint(vars(self)):
            self.performs = self.plain = False
        super().connectionMade()

    def _sendGroup(self, message: IMessage) -> None:
        if self._chunked:
            self._spoiled = False
            self._writeChunkedGroups(message)
        else:
            self._writeGroup(b"", message)  # as the superclass does

    def _refill(self) -> None:
        if len(self._outstanding) <= self._refillAt and not self._spoiled and self._unsolicited is None:
            self._writeChunkedGroups(None)

    # The replies to a group with the content in it: it is out, too, and so are other messages' groups

    def _groupResetReplied(self, code: bytes, reply: bytes) -> None:
        if code[0] != YES:
            self._refusedInGroup(RSET, code, reply)

    def _chunkedMailReplied(self, code: bytes, reply: bytes) -> None:
        if code[0] == YES:
            self._state.mailAccepted = True
        elif not self._spoiled:
            self._refusedInGroup(MAIL, code, reply)

    def _chunkedRcptReplied(self, code: bytes, reply: bytes) -> None:
        state = self._state
        if code[0] == YES:
            # Even if MAIL was refused, for instance because the server has not ended the transaction before it:
            # what it says to the last chunk decides, and who gets the message was decided here.
            state.recipientsAccepted += 1
            if state.rcptsRefused:
                self._awaitFewer()
            return
        self._session.recipientRefused(RCPT, state.recipientsAccepted + state.rcptsRefused, code)
        state.rcptsRefused += 1
        self._awaitFewer()
        if state.mailAccepted:
            state.recipientsRejected += code[0] != MORE
            self._refusedInGroup(RCPT, code, reply)

    def _awaitFewer(self) -> None:
        """
        In LMTP the last chunk is answered once for each recipient that was accepted, and once if there is none. When
        the last RCPT is answered, that is known: the queue has an entry for every recipient.
        """
        # A large content is not sent yet: then nothing is owed after the last RCPT.
        if self._dialogue.lmtp and self._owed and self._owed[0][0] != RCPT:
            state = self._state
            self._oweLess(state.rcptsRefused - (not state.recipientsAccepted))

    def _oweLess(self, number: int) -> None:
        """
        Take so many replies to this message's last chunk out of the queue, where only chunks are before them.
        """
        owed = self._owed
        before = []
        while owed[0][0] == BDAT:
            before.append(owed.popleft())
        for _ in range(number):
            owed.popleft()
        owed.extendleft(reversed(before))

    def _largeRcptReplied(self, code: bytes, reply: bytes) -> None:
        """
        The last recipient's, before a content that is too large for the group.
        """
        self._chunkedRcptReplied(code, reply)
        if self.over:
            return
        state = self._state
        if state.recipientsAccepted and not (state.recipientsRejected and not self._dialogue.tolerant):
            self._sendChunks()
        else:
            self._reject()
            if closesChannel(code) or not self._dialogue.tolerant:
                self._leave(code)
            else:
                self._reset()

    def _groupChunkReplied(self, code: bytes, reply: bytes) -> None:
        state = self._state
        if code[0] != YES and not state.chunkRefused:
            state.chunkRefused = True
            if state.recipientsAccepted:
                if self._dialogue.lmtp:
                    self._oweLess(state.recipientsAccepted - 1)  # the last chunk will be refused, once
                self._refusedInGroup(BDAT, code, reply)

    def _lastChunkReplied(self, code: bytes, reply: bytes) -> None:
        """
        The reply that decides; in LMTP, there is one for each accepted recipient.
        """
        state = self._state
        if self._dialogue.lmtp and state.recipientsAccepted and not state.chunkRefused:
            if not state.recipientsAwaited:
                state.recipientsAwaited = state.recipientsAccepted
            self._recipientReplied(code, reply)
        elif code[0] == YES and state.recipientsAccepted and not state.chunkRefused:
            state.message = None
            if state.recipientsRejected or not state.mailAccepted:
                self._partlyRefused += 1
            self._session.accepted(self.lastActivity - state.begun, state.recipientsAccepted, state.recipientsRejected)
            self._ready()
        elif code[0] == MORE:
            self._outOfStep(MESSAGE, reply)
        elif self._spoiled and not state.mailAccepted and not closesChannel(code):
            # The server is still in the transaction before; so it never had a chance to accept this one.
            assert state.message is not None
            self._again.append(state.message)
            self._session.postponed(code)
            state.message = None
            self._afterRefusedContent(code)
        else:
            if state.recipientsAccepted and not state.chunkRefused:
                self._session.refused(MESSAGE, reply)
            state.recipientsRejected += state.recipientsAccepted
            self._reject()
            self._afterRefusedContent(code)

    def _afterRefusedContent(self, code: bytes) -> None:
        if not self._outstanding or closesChannel(code):
            super()._afterRefusedContent(code)
            return
        if self._chunked and self._dialogue.tolerant and not self._cautious:
            self._spoiled = self._cautious = True
        self._ready()

    def inDoubt(self) -> int:
        """
        With content in the group, a reply too many moves all that follow it to the command after theirs, and is found
        out when all are answered. A refused content was then taken for the refusal of what came next: so for each
        message that was refused in part one is in doubt, and so is the last. In LMTP all are. Which ones these are
        L{smtpsource.load.doubts.Doubts} knows.
        """
        if not (self._chunked and self._grouped):
            return 0
        return maxsize if self._dialogue.lmtp else self._partlyRefused + 1

    def answerTo(self, phase: int) -> Answer:
        """
        See L{OwedReplies.answerTo}.
        """
        if not (self._chunked and self._grouped):
            return super().answerTo(phase)
        return {
            MAIL: self._chunkedMailReplied,
            RCPT: self._chunkedRcptReplied,
            MESSAGE: self._lastChunkReplied,
        }[phase]

    # Writing such groups

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
            size = self._addChunkedGroup(parts, message, now)
            self._state.begun = now
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
            self._session.contentLeaves()
            self.writeGroup(parts)

    def _addChunkedGroup(self, parts: list[bytes], message: IMessage, now: float) -> int:
        """
        Add a message's commands to a group, and what is owed for them to the queue.

        @return: its size, about; 0 if its content is to come later, because it is large.
        """
        recipients = message.recipientCommands()
        own, shared = message.bdatContent()
        owed = self._owed
        dialogue = self._dialogue
        if self._cautious:
            self.interrupt()
            parts.append(commands.RSET)
            owed.append((RSET, self._groupResetReplied, now))
        if self.performs and not owed and not shared and dialogue.chunkSize is None:
            # What follows, for the usual message.
            number = len(recipients)
            parts += (message.mail, *recipients, bdat(len(own), True), own)
            self.perform(script.whole(number, number if dialogue.lmtp else 1), now=now)
            return len(own) + _RECIPIENT * number
        self.interrupt()
        parts.append(message.mail)
        parts.extend(recipients)
        owed.append((MAIL, self._chunkedMailReplied, now))
        for _ in recipients:
            owed.append((RCPT, self._chunkedRcptReplied, now))
        if shared:
            owed[-1] = (RCPT, self._largeRcptReplied, now)
            return 0
        if dialogue.chunkSize is None:
            parts.append(bdat(len(own), True))
            parts.append(own)
        else:
            for command, piece, _, last in chunks(own, b"", dialogue.chunkSize):
                parts.append(command)
                parts.append(piece)
                if not last:
                    owed.append((BDAT, self._groupChunkReplied, now))
        for _ in recipients if dialogue.lmtp else recipients[:1]:
            owed.append((MESSAGE, self._lastChunkReplied, now))
        return len(own) + _RECIPIENT * len(recipients)
