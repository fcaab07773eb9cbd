"""
The queue of owed replies: what a server says, matched with what was asked.

Whatever is written, an entry is put into the queue for each reply that it asks for: which phase the reply answers, what
to do with it, and when it was asked for. That is all the state there is of a dialogue, and it is the same whether
commands go out one by one or in groups.

This is the hot path: four to eight replies a message, and nothing here may cost more than it must.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from smtpsource.measure.histogram import LINEAR
from smtpsource.smtp.connection import Answer
from smtpsource.smtp.lines import ReplyLines
from smtpsource.smtp.replies import MORE, wholeReplies, wholeReply
from smtpsource.smtp.replies import codes as _codes
from smtpsource.smtp.replies import groups as _groups
from smtpsource.speedups import compiled

if TYPE_CHECKING:
    from smtpsource.interfaces import ISession
    from smtpsource.measure.recorder import Recorder
    from smtpsource.smtp.script import Script


@compiled
class OwedReplies(ReplyLines):
    """
    Writes, reads replies, and gives each to who asked for it.

    The usual course of a message needs no queue: it is a L{Script}, which L{perform} begins. Whatever is unusual
    interrupts it: then what it still waits for is put into the queue, and answered from there. While a script is
    performed the queue is empty.

    @ivar plain: for the compiled twin: each step is as it stands here.
    """

    plain = True

    # What is performed, which of its replies comes next, and when what that answers was written.
    _script: Script | None = None
    _step = 0
    _written = 0.0
    # The commands that are still to be written, each when the reply before it has come.
    _commands: tuple[bytes, ...] = ()

    def __init__(self, session: ISession, recorder: Recorder, clock: Callable[[], float]) -> None:
        super().__init__(session, recorder, clock)
        # What is performed after this script, and when that was written: all of it is out.
        self._following: deque[tuple[Script, float]] = deque()

    # What comes from the server

    def dataReceived(self, data: bytes) -> None:
        """
        Whole replies of one line, as many as are owed, are nearly all that ever comes; anything else takes the long
        way, line by line.
        """
        self._recorder.bytesReceived += len(data)
        if self._script is not None:
            code = _codes.get(data) or wholeReply(data) if self._atStart and not self._grouped else None
            if code is not None:
                if self._performOne(data, code):
                    return
            elif not self._commands:
                data = self._performTogether(data)
                if not data:
                    return
            self.interrupt()
        if self._atStart:
            if self._grouped:
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

    # The usual course

    def perform(
        self, script: Script, data: bytes = b"", commands: tuple[bytes, ...] = (), now: float | None = None
    ) -> float:
        """
        Write something, and wait for the replies of a script: when all have come, L{envelopeAccepted} or
        L{messageAccepted} is called. If another script is performed already, this one comes after it.

        @param data: what is written; nothing if it is to be written later, along with more.
        @param commands: what is still to be written, one at a time, when the reply before it has come. With such,
            this is the only script.
        @param now: the time, on C{clock}'s scale, if somebody has just looked at it.
        @return: the time.
        """
        if now is None:
            now = self._clock()
        if self._script is not None:
            self._following.append((script, now))
        else:
            self._script = script
            self._step = 0
            self._commands = commands
            self._written = self.lastActivity = now
        if size := len(data):
            self._recorder.bytesSent += size
            self.transport.write(data)  # type: ignore[union-attr]
        return now

    def _performOne(self, reply: bytes, code: bytes) -> bool:
        """
        A whole reply came: is it the one that the script wants? Then go on with it.
        """
        script: Any = self._script
        step = self._step
        phases = script.phases
        digit = code[0]
        if digit != script.digits[step] or (digit == MORE and code != b"354"):
            return False
        now = self._clock()
        recorder = self._recorder
        phase = phases[step]
        # As Recorder.reply does: this is for nearly every reply.
        microseconds = int((now - self._written) * 1e6)
        buckets, codes = recorder.buckets[phase], recorder.replies[phase]
        if 0 <= microseconds < LINEAR and buckets and code in codes:
            buckets[microseconds] += 1
            codes[code] += 1
        else:
            recorder.reply(phase, now - self._written, code, reply)
        self.lastActivity = self._written = now
        self._step = step + 1
        if step < len(self._commands):
            command = self._commands[step]
            recorder.bytesSent += len(command)
            self.transport.write(command)  # type: ignore[union-attr]
        elif step + 1 == len(phases):
            self._script = None
            if script.isEnvelope:
                self.envelopeAccepted(script.recipients)
            else:
                self.messageAccepted(script.recipients, now)
        return True

    def _performTogether(self, data: bytes) -> bytes:
        """
        Several replies at once, or not all of one: take whole ones of one line, as long as the scripts want such; the
        last that is owed only if nothing comes after it.

        @return: the rest, if it is unusual.
        """
        if not self._atStart:
            if self._replySoFar:
                return data
            data = self.clearLineBuffer() + data
            self._atStart = True
        self.lastActivity = now = self._clock()
        recorder = self._recorder
        buckets, counts = recorder.buckets, recorder.replies
        following = self._following
        rest = len(data)
        script: Any = None
        for code, reply in _groups.get(data) or wholeReplies(data):
            if script is None:
                script = self._script
                if script is None:
                    break
                step, phases, digits = self._step, script.phases, script.digits
                last = len(phases) - 1
                # What was written together has waited for the same time.
                seconds = now - self._written
                microseconds = int(seconds * 1e6)
            digit = code[0]
            if digit != digits[step] or (digit == MORE and code != b"354"):
                break
            if step == last and len(reply) != rest and not following:
                break
            rest -= len(reply)
            # As Recorder.reply does.
            phase = phases[step]
            if 0 <= microseconds < LINEAR and buckets[phase]:
                buckets[phase][microseconds] += 1
            else:
                recorder.duration(phase, seconds)
            try:
                counts[phase][code] += 1
            except KeyError:
                recorder.firstReply(phase, code, reply)
            self._step = step = step + 1
            if step > last:
                self._step = 0
                self._script = None
                if following:
                    self._script, self._written = following.popleft()
                if script.isEnvelope:
                    self.envelopeAccepted(script.recipients)
                else:
                    self.messageAccepted(script.recipients, now)
                if self.over:
                    return b""
                script = None
        data = data[-rest:] if rest else b""
        if self._script is not None and len(data) <= self.MAX_LENGTH and b"\n" not in data:
            self._buffer = data  # LineReceiver's: the beginning of a reply, or nothing
            self._atStart = not data
            return b""
        return data

    def interrupt(self) -> None:
        """
        If a script is performed, perform it no more: what it waits for is owed in the usual way.
        """
        script = self._script
        if script is None:
            return
        self._script = None
        self.interrupted(script, self._step, self._written)
        while self._following:
            script, written = self._following.popleft()
            for phase in script.phases:
                self._owed.append((phase, self.answerTo(phase), written))

    def envelopeAccepted(self, recipients: int) -> None:
        """
        All replies of a script have come that ends with that to DATA.

        @param recipients: the message's.
        """
        raise NotImplementedError

    def messageAccepted(self, recipients: int, now: float) -> None:
        """
        All replies of a script have come that ends with the message.

        @param recipients: the message's.
        @param now: when the last one came.
        """
        raise NotImplementedError

    def interrupted(self, script: Script, step: int, written: float) -> None:
        """
        A script was interrupted: put into the queue what it waits for.

        @param step: how many of its replies have come.
        @param written: when what the next one answers was written.
        """
        raise NotImplementedError

    def answerTo(self, phase: int) -> Answer:
        """
        What to call with a reply that a script has waited for.

        @param phase: what it answers.
        """
        raise NotImplementedError

    # All else

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
