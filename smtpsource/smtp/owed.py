"""
The queue of owed replies: what a server says, matched with what was asked.

Whatever is written, an entry is put into the queue for each reply that it asks for: which phase the reply answers, what
to do with it, and when it was asked for. That is all the state there is of a dialogue, and it is the same whether
commands go out one by one or in groups.

This is the hot path: four to eight replies a message, and nothing here may cost more than it must.
"""

from __future__ import annotations

from collections.abc import Sequence

from smtpsource.measure.histogram import LINEAR
from smtpsource.smtp.connection import Answer
from smtpsource.smtp.lines import ReplyLines
from smtpsource.smtp.replies import codes as _codes
from smtpsource.smtp.replies import groups as _groups
from smtpsource.smtp.replies import usual as _usual
from smtpsource.smtp.replies import wholeReplies, wholeReply


class OwedReplies(ReplyLines):
    """
    Writes, reads replies, and gives each to who asked for it.
    """

    # What comes from the server

    def dataReceived(self, data: bytes) -> None:
        """
        One whole reply of one line, with nothing before it, is nearly all that ever comes; anything else takes the
        long way, line by line.
        """
        self._recorder.bytesReceived += len(data)
        if self._atStart:
            if self._grouped:
                recipients = _usual.get(data)
                if recipients is not None and self.usualReplies(recipients):
                    return
                data = self.repliesReceived(data)
                if not data:
                    return
            else:
                code = _codes.get(data) or wholeReply(data)
                if code is not None:
                    self.replyReceived(data, code)
                    return
        self._linesReceived(data)
        self._atStart = not (self.over or self._replySoFar or self._buffer)

    def repliesReceived(self, data: bytes) -> bytes:
        """
        Several replies at once. Takes whole ones of one line from the beginning, as long as there are such and they are
        owed; the last that is owed only if nothing comes after it.

        @return: the rest, which takes the long way.
        """
        owed = self._owed
        recorder = self._recorder
        buckets = recorder.buckets
        counts = recorder.replies
        self.lastActivity = now = self._clock()
        togetherWritten = -1.0
        microseconds = 0
        rest = len(data)
        for code, reply in _groups.get(data) or wholeReplies(data):
            rest -= len(reply)
            if not owed or (rest and len(owed) == 1):
                rest += len(reply)
                break
            phase, answer, written = owed.popleft()
            # As Recorder.reply does; what was written together has waited for the same time.
            if written != togetherWritten:
                togetherWritten = written
                microseconds = int((now - written) * 1e6)
            if 0 <= microseconds < LINEAR and buckets[phase]:
                buckets[phase][microseconds] += 1
            else:
                recorder.duration(phase, now - written)
            try:
                counts[phase][code] += 1
            except KeyError:
                recorder.firstReply(phase, code, reply)
            answer(code, reply)
            if self.over:
                return b""
        return data[-rest:] if rest else b""

    def usualReplies(self, recipients: int) -> bool:
        """
        What came are exactly these whole replies: 250 to a content, 250 to MAIL and to so many RCPTs, 354 to DATA. For
        a subclass that has asked for them and knows a shorter way than one by one.

        @return: were they taken?
        """
        return False

    def replyReceived(self, reply: bytes, code: bytes) -> None:
        """
        A whole reply came, with all its lines.

        @param code: the same in all of them.
        """
        if not self._owed:
            self._unexpected(reply)
            return
        phase, answer, written = self._owed.popleft()
        self.lastActivity = now = self._clock()
        self._recorder.reply(phase, now - written, code, reply)
        answer(code, reply)

    # Writing

    def write(self, data: bytes, phase: int, answer: Answer) -> None:
        """
        Write C{data}, which asks for one reply.

        @param phase: what the reply answers.
        @param answer: called with the reply's code and text.
        """
        self.lastActivity = now = self._clock()
        self._owed.append((phase, answer, now))
        self._recorder.bytesSent += len(data)
        self.transport.write(data)  # type: ignore[union-attr]

    def writeGroup(self, parts: Sequence[bytes], content: bytes = b"") -> None:
        """
        Write a group of commands at once; what is owed for it is in the queue already.

        @param parts: commands, each with its line end, and after each BDAT its chunk.
        @param content: of the message before it, with the final dot; it is the first of the parts, if it is not empty.
        """
        data = b"".join(parts)
        self._recorder.bytesSent += len(data)
        self.transport.write(data)  # type: ignore[union-attr]

    def bodyWritten(self, size: int) -> None:
        """
        The transport took C{size} more bytes of a streamed content.
        """
        self._recorder.bytesSent += size
        self.lastActivity = self._clock()

    def bodyDone(self) -> None:
        """
        All of a streamed content is written.
        """
        self._producer = None

    def bodyLost(self, text: str) -> None:
        """
        The rest of a content can't be had. The server must not take what it has got for all of it.
        """
        self._session.fault("unreadable-message", text)
        self._close()
