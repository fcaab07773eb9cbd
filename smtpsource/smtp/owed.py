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
from typing import TYPE_CHECKING

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from smtpsource.measure.histogram import LINEAR
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
from smtpsource.smtp.replies import (
    LONGEST,
    closesChannel,
    goesOn,
    isReplyLine,
    linesThatGoOn,
    mayClose,
    wholeReplies,
    wholeReply,
)
from smtpsource.smtp.replies import codes as _codes
from smtpsource.smtp.replies import groups as _groups
from smtpsource.smtp.replies import usual as _usual

if TYPE_CHECKING:
    from smtpsource.interfaces import ISession
    from smtpsource.measure.recorder import Recorder
    from smtpsource.smtp.streaming import BodyProducer

#: What a reply is answered with: its code and its text.
Answer = Callable[[bytes, bytes], None]


class OwedReplies(LineReceiver):
    """
    One connection's side of the wire: it writes, reads replies, gives each to who asked for it, and ends what can't
    go on.

    @ivar over: nothing more can be sent: the connection is closed, or is being closed.
    @ivar lastActivity: when the last reply came or the last content was taken, on C{clock}'s scale; see L{overdue}.
    """

    # A reply's line ends with LF here; the CR before it is stripped. A bare LF is what broken servers send.
    delimiter = b"\n"
    MAX_LENGTH = LONGEST

    #: For our reactor: what this raises is told to the session, and need not be logged.
    explainsFailures = True

    over = False
    lastActivity = 0.0
    # Replies may come several at once, as they do to a group of commands.
    _grouped = False
    _quitting = False
    _producer: BodyProducer | None = None
    _unsolicited: bytes | None = None
    # The lines of a reply that goes on. They are added up in place, for there may be many.
    _replySoFar: bytes | bytearray = b""
    # How much of the buffer was given to lineReceived.
    _taken = 0
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
        self._owed: deque[tuple[int, Answer, float]] = deque()

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

    def _linesReceived(self, data: bytes) -> None:
        """
        Give each line to L{lineReceived}, as L{LineReceiver} does; but in a time that does not grow with the square of
        their number: a reply may have ten thousand.
        """
        self._buffer += data  # LineReceiver's, as what follows is
        if self._busyReceiving:
            return
        self._busyReceiving = True
        try:
            while not self.over and (end := self._buffer.find(b"\n", self._taken)) >= 0:
                line = self._buffer[self._taken : end]
                self._taken = end + 1
                if len(line) > self.MAX_LENGTH:
                    self.lineLengthExceeded(line)
                else:
                    self.lineReceived(line)
            rest = self.clearLineBuffer()
            if self.over:
                return
            if len(rest) > self.MAX_LENGTH:
                self.lineLengthExceeded(rest)
            else:
                self._buffer = rest
        finally:
            self._busyReceiving = False

    def clearLineBuffer(self) -> bytes:
        """
        Forget what was received and not looked at yet.

        @return: just that.
        """
        rest = self._buffer[self._taken :]
        self._buffer = b""
        self._taken = 0
        return rest

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

    def lineReceived(self, line: bytes) -> None:
        """
        One line of a reply came, not all of a reply at once.
        """
        if self.over:
            return
        line = line.rstrip(b"\r")
        code = line[:3]
        if not isReplyLine(line):
            self._garbage(shown(line))
            return
        soFar = self._replySoFar
        if soFar and code != soFar[:3]:
            if not closesChannel(code):
                # RFC 5321 section 4.2.1: what was meant, yes or no?
                self._garbage(f"lines of one reply with different codes: {shown(bytes(soFar) + line)}")
                return
            # The server breaks off what it was about to say, as postscreen(8) does with its banner.
            soFar = self._replySoFar = b""
        if goesOn(line):
            self._replyGoesOn(line)
            return
        reply = bytes(soFar) + line + b"\r\n"
        self._replySoFar = b""
        if len(self._owed) == 1 and self._taken < len(self._buffer) and not self._takesLeave(reply):
            return
        self.replyReceived(reply, code)
        if self._unsolicited is not None and not self.over:
            self._unexpected(self._unsolicited)

    def _replyGoesOn(self, line: bytes) -> None:
        """
        A line of a reply came that is not its last. Those after it that are none either are taken at once: there may be
        thousands.
        """
        if not self._replySoFar:
            self._replySoFar = bytearray()
        self._replySoFar += line + b"\r\n"
        more = linesThatGoOn(line[:3]).match(self._buffer, self._taken)
        assert more is not None  # or it is empty
        self._replySoFar += more[0]
        self._taken = more.end()
        if len(self._replySoFar) > LONGEST:
            self._fault("reply-too-long", f"more than {LONGEST} bytes: {shown(bytes(self._replySoFar))}")

    def _takesLeave(self, reply: bytes) -> bool:
        """
        There is more than the last reply that is owed, and it answers nothing. Does the server take its leave with it?

        @param reply: the last that is owed.
        @return: is it the answer that it seems to be? If not, this is the end.
        """
        rest = self._buffer[self._taken :]
        isDialogue = self._owed[0][0] != STARTTLS
        closing = mayClose(rest)
        if closing and isDialogue and b"\n" not in rest:
            return True  # it will be seen when there is more of it
        self._unsolicited = self.clearLineBuffer()
        if closing or not isDialogue or not self._grouped or self._quitting:
            return True
        # Which one is too many? Perhaps an earlier one: then this is not the answer that it seems to be.
        self._unexpected(rest, f"one of these answers nothing: {shown(reply + rest)}")
        return False

    def lineLengthExceeded(self, line: bytes) -> None:
        """
        A line that does not end.
        """
        self.clearLineBuffer()
        if self.over:
            return
        if self._quitting:
            self._close()
        else:
            self._fault("reply-too-long", f"a line of more than {LONGEST} bytes: {shown(line)}")

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

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The connection is gone, by our doing or not.
        """
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

    def explained(self, reason: Failure) -> tuple[str, str] | None:
        """
        Why the connection was lost, if a subclass knows better: the kind of fault and one line about it.
        """
        return None

    def ended(self) -> None:
        """
        The connection is gone, and the session is to be told; for subclasses to tell more before that.
        """

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

    # The end

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
        if self.over or not self._owed or now - self.lastActivity < timeout:
            return False
        what = "no reply" if self._producer is None else "no content taken"
        self._fault("timeout", f"{what} within {timeout:g} seconds")
        return True

    def _garbage(self, text: str) -> None:
        if self._quitting:
            self._close()  # nobody cares what a server says to QUIT
        else:
            self._fault("garbage-reply", text)

    def _unexpected(self, reply: bytes, text: str = "") -> None:
        """
        This answers nothing; or the server takes its leave, as it may at any time (RFC 5321 section 3.8).

        @param text: what to say of it, if it is no leave.
        """
        if not (closesChannel(reply[:3]) and isReplyLine(reply.partition(b"\n")[0])):
            self._fault("unexpected-reply", text or shown(reply))
        else:
            kind = "connection-lost" if self._owed else "closed-while-idle"
            self._fault(kind, f"the server closed the channel: {shown(reply)}")

    def _fault(self, kind: str, text: str) -> None:
        """
        The dialogue can't go on.
        """
        doubtful = self._inDoubt() if kind == "unexpected-reply" else 0
        self._session.fault(kind, self._lostWhile(text), self._quitting, doubtful)
        self._close()

    def _inDoubt(self) -> int:
        """
        Replies are out of step, nobody knows since when: how many messages of this connection that were told to be
        accepted may not be? At least as many as are, for a subclass that can have been wrong.
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


def shown(text: bytes) -> str:
    """
    A piece of what a server said, for an error's text.
    """
    return repr(text[:100].decode("utf-8", "replace"))
