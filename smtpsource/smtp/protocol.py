"""
The dialogue of one connection.

The protocol keeps a queue of the replies it is owed: each entry says which phase the reply answers and what to do with
it. Whatever is written, an entry is put there for each reply that it asks for; that is all the state there is.

This is the hot path: four to eight replies a message, and nothing here may cost more than it must.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from smtpsource.phases import BANNER, DATA, HELO, MAIL, MESSAGE, QUIT, RCPT, RSET
from smtpsource.smtp import commands
from smtpsource.smtp.replies import LONGEST, capabilities, closesChannel, goesOn, isReplyLine, wholeReply
from smtpsource.smtp.replies import codes as _codes
from smtpsource.smtp.streaming import BodyProducer

if TYPE_CHECKING:
    from smtpsource.interfaces import IMessage, ISession
    from smtpsource.measure.recorder import Recorder

#: The first digit of a reply that says yes, and of one that says no for good.
_YES = ord("2")
_NO = ord("5")

#: What a reply is answered with: its code and its text.
Answer = Callable[[bytes, bytes], None]


class SMTPSourceProtocol(LineReceiver):
    """
    An SMTP or LMTP client that sends the messages its session gives it, and tells it of every outcome.

    @ivar over: nothing more can be sent: the connection is closed, or is being closed.
    @ivar lastActivity: when the last reply came or the last content was taken, on C{clock}'s scale; see L{overdue}.
    """

    # A reply's line ends with LF here; the CR before it is stripped. A bare LF is what broken servers send.
    delimiter = b"\n"
    MAX_LENGTH = LONGEST

    _message: IMessage | None = None
    # With pipelining, the message whose commands went out along with the content of C{_message}.
    _following: IMessage | None = None
    _producer: BodyProducer | None = None
    _quitting = False
    over = False
    _unsolicited: bytes | None = None
    _replySoFar = b""
    # Nothing of a reply was received yet that is not answered, and the connection is of use.
    _atStart = True

    def __init__(
        self,
        session: ISession,
        dialogue: commands.Dialogue,
        recorder: Recorder,
        clock: Callable[[], float],
    ) -> None:
        """
        @param session: whom to ask and tell.
        @param dialogue: how to talk.
        @param recorder: where replies and bytes are counted.
        @param clock: gives seconds on a scale that never goes backward.
        """
        self._session = session
        self._dialogue = dialogue
        # Commands go out in groups: from the start, or when the server has announced that it takes them so.
        self._grouped = dialogue.pipelining == "force"
        self._recorder = recorder
        self._recordReply = recorder.reply
        self._clock = clock
        self._owed: deque[tuple[int, Answer, float]] = deque()

    # What the session asks for

    def send(self, message: IMessage) -> None:
        """
        Send this message; its outcome comes to the session. Only when the connection is C{ready}.
        """
        self._begin(message, self._clock())
        if self._grouped:
            self._writeGroup(b"", message)
        else:
            self.write(message.mail, MAIL, self._mailReplied)

    def _begin(self, message: IMessage, now: float) -> None:
        self._message = message
        self._begun = now
        self._recipientsAccepted = self._recipientsRejected = self._recipientsDelivered = 0

    def quit(self) -> None:
        """
        End the connection in order. Only when the connection is C{ready}.
        """
        self._quitting = True
        self.write(commands.QUIT, QUIT, self._quitReplied)

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

    # What comes from the server

    def connectionMade(self) -> None:
        """
        The server speaks first.
        """
        self.lastActivity = self._clock()
        self._owed.append((BANNER, self._bannerReplied, self.lastActivity))

    def dataReceived(self, data: bytes) -> None:
        """
        One whole reply of one line, with nothing before it, is nearly all that ever comes; anything else takes the
        long way through L{LineReceiver}.
        """
        self._recorder.bytesReceived += len(data)
        if self._atStart:
            code = _codes.get(data) or wholeReply(data)
            if code is not None:
                self.replyReceived(data, code)
                return
            if self._grouped:
                data = self.repliesReceived(data)
                if not data:
                    return
        super().dataReceived(data)
        self._atStart = not (self.over or self._replySoFar or self._buffer)  # the last is LineReceiver's

    def repliesReceived(self, data: bytes) -> bytes:
        """
        Several replies at once. Takes whole ones of one line from the beginning, as long as there are such and they are
        owed; the last that is owed only if nothing comes after it.

        @return: the rest, which takes the long way.
        """
        owed = self._owed
        self.lastActivity = now = self._clock()
        start = 0
        while (end := data.find(b"\n", start) + 1) and (len(owed) > 1 or end == len(data)):
            reply = data[start:end]
            code = _codes.get(reply) or wholeReply(reply)
            if code is None or not owed:
                break
            start = end
            phase, answer, written = owed.popleft()
            self._recordReply(phase, now - written, code, reply)
            answer(code, reply)
            if self.over:
                return b""
        return data[start:]

    def lineReceived(self, line: bytes) -> None:
        """
        One line of a reply came, not all of a reply at once.
        """
        if self.over:
            return
        line = line.rstrip(b"\r")
        if not isReplyLine(line):
            if self._quitting:
                self._close()  # nobody cares what a server says to QUIT
                return
            self._fault("garbage-reply", _shown(line))
            return
        reply = self._replySoFar + line + b"\r\n"
        if goesOn(line):
            if len(reply) > LONGEST:
                self._fault("reply-too-long", f"more than {LONGEST} bytes: {_shown(reply)}")
            else:
                self._replySoFar = reply
            return
        self._replySoFar = b""
        if len(self._owed) == 1:
            # All that was asked for is answered: what else is there answers nothing.
            self._unsolicited = self.clearLineBuffer() or None
        self.replyReceived(reply, line[:3])
        if self._unsolicited is not None and not self.over:
            self._fault("unexpected-reply", _shown(self._unsolicited))

    def _ready(self) -> None:
        """
        This message has ended. With pipelining, the next one is under way already.
        """
        if self._following is not None:
            message, self._following = self._following, None
            self._begin(message, self._followingBegun)
        elif self._unsolicited is None:
            self._session.ready(self)

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
            self._fault("reply-too-long", f"a line of more than {LONGEST} bytes: {_shown(line)}")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The connection is gone, by our doing or not.
        """
        if not self.over:
            self.over = True
            self._atStart = False
            if not self._quitting:
                if reason.check(ConnectionDone):
                    self._session.fault("connection-lost", self._lostWhile("the server closed the connection"))
                elif reason.check(ConnectionLost, ConnectionAborted):
                    self._session.fault("connection-reset", self._lostWhile("connection reset"))
                else:
                    # Not the server's doing: something in this process raised it, and the reactor has logged it.
                    self._session.fault("internal-error", repr(reason.value))
        self._owed.clear()
        if self._message is not None:
            self._message = None
            if self._recipientsDelivered or self._recipientsRejected:
                self._session.unanswered(self._recipientsDelivered, self._recipientsRejected)
        self._session.disconnected(not self._quitting)

    def replyReceived(self, reply: bytes, code: bytes) -> None:
        """
        A whole reply came, with all its lines.

        @param code: the last line's.
        """
        if not self._owed:
            self._fault("unexpected-reply", _shown(reply))
            return
        phase, answer, written = self._owed.popleft()
        self.lastActivity = now = self._clock()
        self._recordReply(phase, now - written, code, reply)
        answer(code, reply)

    # One answer for each kind of reply

    def _bannerReplied(self, code: bytes, reply: bytes) -> None:
        if code[0] != _YES and not self._goOnAfterRefusal(BANNER, code, reply):
            return
        greeting = self._dialogue.greeting
        if greeting is None:
            self._ready()
        else:
            self.write(greeting, HELO, self._greetingReplied)

    def _greetingReplied(self, code: bytes, reply: bytes) -> None:
        if code[0] == _YES:
            if self._dialogue.extended and not self._takeCapabilities(capabilities(reply)):
                return
        elif code[0] == _NO and self._dialogue.fallback is not None and not closesChannel(code):
            self.write(self._dialogue.fallback, HELO, self._fallbackReplied)
            return
        elif not self._goOnAfterRefusal(HELO, code, reply):
            return
        self._ready()

    def _takeCapabilities(self, announced: dict[str, str]) -> bool:
        """
        @return: can the dialogue go on? If what is required is not announced, it can't.
        """
        self._recorder.announced(announced)
        pipelining = self._dialogue.pipelining
        if pipelining != "off" and "PIPELINING" in announced:
            self._grouped = True
        elif pipelining == "require":
            self._session.fault("not-announced", "PIPELINING is required, and the server does not announce it")
            self.quit()
            return False
        return True

    def _fallbackReplied(self, code: bytes, reply: bytes) -> None:
        if code[0] == _YES or self._goOnAfterRefusal(HELO, code, reply):
            self._ready()

    def _goOnAfterRefusal(self, phase: int, code: bytes, reply: bytes) -> bool:
        """
        A refused greeting: a tolerant client tries its luck all the same, as long as the server stays.
        """
        self._session.refused(phase, reply)
        if self._dialogue.tolerant and not closesChannel(code):
            return True
        self._session.rejected(0)
        self._leave(code)
        return False

    def _mailReplied(self, code: bytes, reply: bytes) -> None:
        if code[0] == _YES:
            assert self._message is not None
            self._recipients = self._message.recipientCommands()
            self._recipient = 0
            self.write(self._recipients[0], RCPT, self._rcptReplied)
        else:
            self._refused(MAIL, code, reply)

    def _rcptReplied(self, code: bytes, reply: bytes) -> None:
        if code[0] == _YES:
            self._recipientsAccepted += 1
        else:
            self._recipientsRejected += 1
            if closesChannel(code) or not self._dialogue.tolerant:
                self._refused(RCPT, code, reply)
                return
            self._session.refused(RCPT, reply)
        self._recipient += 1
        if self._recipient < len(self._recipients):
            self.write(self._recipients[self._recipient], RCPT, self._rcptReplied)
        elif self._recipientsAccepted:
            self.write(commands.DATA, DATA, self._dataReplied)
        else:
            self._reject()
            self._reset()

    def _dataReplied(self, code: bytes, reply: bytes) -> None:
        if code != b"354":
            self._refused(DATA, code, reply)
            return
        self._sendContent()

    def _sendContent(self) -> None:
        assert self._message is not None
        own, shared = self._message.content()
        following = self._session.following() if self._grouped and not shared else None
        if following is None:
            self.write(own, MESSAGE, self._contentReplied)
            now = self.lastActivity
        else:
            now = self._clock()
            self._owed.append((MESSAGE, self._contentReplied, now))
        if self._dialogue.lmtp:
            self._recipientsAwaited = self._recipientsAccepted
            for _ in range(1, self._recipientsAccepted):
                self._owed.append((MESSAGE, self._contentReplied, now))
        if following is not None:
            self._following = following
            self._followingBegun = now
            self._writeGroup(own, following)
        elif shared:
            self._producer = BodyProducer(self, shared)
            self._producer.start()

    def _contentReplied(self, code: bytes, reply: bytes) -> None:
        if self._producer is not None:
            self._repliedTooEarly(code, reply)
            return
        if self._dialogue.lmtp:
            self._recipientReplied(code, reply)
        elif code[0] == _YES:
            self._message = None
            self._session.accepted(self.lastActivity - self._begun, self._recipientsAccepted, self._recipientsRejected)
            self._ready()
        else:
            self._recipientsRejected += self._recipientsAccepted
            self._session.refused(MESSAGE, reply)
            self._reject()
            self._nextOrLeave(code)

    def _repliedTooEarly(self, code: bytes, reply: bytes) -> None:
        """
        A server may refuse while the content still flows. There is no way to stop but to close.
        """
        if code[0] == _YES:
            self._fault("unexpected-reply", f"before all of the content was sent: {_shown(reply)}")
            return
        self._recipientsRejected += self._recipientsAccepted
        self._session.refused(MESSAGE, reply)
        self._reject()
        self._close()

    def _recipientReplied(self, code: bytes, reply: bytes) -> None:
        """
        LMTP: what became of one recipient (RFC 2033 section 4.2).
        """
        self._recipientsAwaited -= 1
        if code[0] == _YES:
            self._recipientsDelivered += 1
        else:
            self._recipientsRejected += 1
            self._session.refused(MESSAGE, reply)
            if closesChannel(code):
                self._recipientsRejected += self._recipientsAwaited
                self._recipientsAwaited = 0
        if self._recipientsAwaited:
            return
        if self._recipientsDelivered:
            self._message = None
            self._session.accepted(self.lastActivity - self._begun, self._recipientsDelivered, self._recipientsRejected)
        else:
            self._reject()
        self._nextOrLeave(code)

    def _resetReplied(self, code: bytes, reply: bytes) -> None:
        if code[0] != _YES:
            self._session.refused(RSET, reply)
        self._nextOrLeave(code)

    def _quitReplied(self, code: bytes, reply: bytes) -> None:
        self._close()

    # The replies to a group of commands: the next ones are out already, whatever these say (RFC 2920 section 3.1)

    def _groupMailReplied(self, code: bytes, reply: bytes) -> None:
        self._mailAccepted = code[0] == _YES
        if not self._mailAccepted:
            self._refusedInGroup(MAIL, code, reply)

    def _groupRcptReplied(self, code: bytes, reply: bytes) -> None:
        if not self._mailAccepted:
            return  # it is refused for that reason, and that was told
        if code[0] == _YES:
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
        self._session.refused(phase, reply)
        if closesChannel(code):
            self._reject()
            self._close()

    # What follows from a refusal or a fault

    def _refused(self, phase: int, code: bytes, reply: bytes) -> None:
        """
        The transaction is refused before its content was sent.
        """
        self._session.refused(phase, reply)
        self._reject()
        if self._dialogue.tolerant and not closesChannel(code):
            self._reset()
        else:
            self._leave(code)

    def _reject(self) -> None:
        self._message = None
        self._session.rejected(self._recipientsRejected)

    def _reset(self) -> None:
        self.write(commands.RSET, RSET, self._resetReplied)

    def _nextOrLeave(self, code: bytes) -> None:
        if closesChannel(code):
            self._leave(code)
        else:
            self._ready()

    def _leave(self, code: bytes) -> None:
        """
        No further message on this connection: QUIT, unless the server has said that it hangs up itself.
        """
        if closesChannel(code):
            self._close()
        else:
            self.quit()

    def _fault(self, kind: str, text: str) -> None:
        """
        The dialogue can't go on.
        """
        self._session.fault(kind, self._lostWhile(text), self._quitting)
        self._close()

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

    # Writing

    def _writeGroup(self, before: bytes, message: IMessage) -> None:
        """
        Write MAIL, every RCPT and DATA of a message at once, and C{before} before them.
        """
        recipients = message.recipientCommands()
        self.lastActivity = now = self._clock()
        owed = self._owed
        owed.append((MAIL, self._groupMailReplied, now))
        for _ in recipients:
            owed.append((RCPT, self._groupRcptReplied, now))
        owed.append((DATA, self._groupDataReplied, now))
        self.writeGroup(before, b"".join((message.mail, *recipients, commands.DATA)))

    def writeGroup(self, content: bytes, group: bytes) -> None:
        """
        Write a group of commands, and the content of the message before it, if there is one.
        """
        data = content + group
        self._recorder.bytesSent += len(data)
        self.transport.write(data)  # type: ignore[union-attr]

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


#: What a reply answers, in words.
_PHRASES: dict[int, str] = {
    BANNER: "the greeting",
    HELO: "the reply to HELO or LHLO",
    MAIL: "the reply to MAIL",
    RCPT: "the reply to RCPT",
    DATA: "the reply to DATA",
    MESSAGE: "the reply to the content",
    RSET: "the reply to RSET",
    QUIT: "the reply to QUIT",
}


def _shown(text: bytes) -> str:
    return repr(text[:100].decode("utf-8", "replace"))
