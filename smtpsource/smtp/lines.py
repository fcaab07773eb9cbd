"""
Replies in lines: the long way to a reply, for all that is not one whole line by itself; and what does not belong there.
"""

from __future__ import annotations

from smtpsource.phases import STARTTLS
from smtpsource.smtp.connection import Connection
from smtpsource.smtp.replies import LONGEST, closesChannel, goesOn, isReplyLine, linesThatGoOn, mayClose, shown


class ReplyLines(Connection):
    """
    Puts replies together, and judges what is none, or one too many.
    """

    # A reply's line ends with LF here; the CR before it is stripped. A bare LF is what broken servers send.
    delimiter = b"\n"
    MAX_LENGTH = LONGEST

    # Replies may come several at once, as they do to a group of commands.
    _grouped = False
    _unsolicited: bytes | None = None
    # The lines of a reply that goes on. They are added up in place, for there may be many.
    _replySoFar: bytes | bytearray = b""
    # How much of the buffer was given to lineReceived.
    _taken = 0

    def replyReceived(self, reply: bytes, code: bytes) -> None:
        """
        A whole reply came, with all its lines.

        @param code: the same in all of them.
        """
        raise NotImplementedError

    def _linesReceived(self, data: bytes) -> None:
        """
        Give each line to L{lineReceived}, as C{LineReceiver} does; but in a time that does not grow with the square of
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
