"""
One session of the sink: RFC 5321 (SMTP) or RFC 2033 (LMTP), seen from the server, with everything accepted.

This is what a load generator is measured against, so it must cost less than the generator does. A chunk of
input is looked at once, from left to right; every reply is a constant; the replies to one chunk go out in one
write; and message content is searched for its end but never kept.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

if TYPE_CHECKING:
    from smtpsource.sink.dialogue import Command
    from smtpsource.sink.factory import SinkFactory

#: The last line of a message, with the end of the line before it.
END_OF_CONTENT = b"\r\n.\r\n"

OK = b"250 2.0.0 Ok\r\n"
MAIL_OK = b"250 2.1.0 Ok\r\n"
RCPT_OK = b"250 2.1.5 Ok\r\n"
DELIVERED = b"250 2.2.0 Ok\r\n"
START_CONTENT = b"354 Start mail input; end with <CRLF>.<CRLF>\r\n"
BYE = b"221 2.0.0 Bye\r\n"
UNAVAILABLE = b"421 4.3.2 Service not available, closing connection\r\n"
IDLE = b"421 4.4.2 Idle for too long, closing connection\r\n"
LINE_TOO_LONG = b"500 5.5.2 Command line too long, closing connection\r\n"
UNKNOWN = b"500 5.5.1 Command unknown\r\n"
NESTED_MAIL = b"503 5.5.1 MAIL inside a transaction\r\n"
NEED_MAIL = b"503 5.5.1 RCPT needs MAIL first\r\n"
NEED_RCPT = b"503 5.5.1 DATA needs RCPT first\r\n"
BAD_MAIL = b"501 5.5.4 Syntax: MAIL FROM:<reverse-path>\r\n"
BAD_RCPT = b"501 5.5.4 Syntax: RCPT TO:<forward-path>\r\n"
BAD_DATA = b"501 5.5.4 Syntax: DATA\r\n"

# A space after the colon is against RFC 5321 section 4.1.1.2 and common. Parameters are whatever they are.
# Spelled out because it is a third faster than the flag that ignores case.
_isMAIL = re.compile(rb"[Mm][Aa][Ii][Ll] [Ff][Rr][Oo][Mm]: ?<[^>]*>").match
_isRCPT = re.compile(rb"[Rr][Cc][Pp][Tt] [Tt][Oo]: ?<[^>]*>").match


@implementer(IHalfCloseableProtocol)
class SMTPSinkProtocol(LineReceiver):
    """
    The server's side of one connection.

    Each verb is a C{command_*} method that takes the command line and returns the reply; L{Dialogue}
    says which verbs there are. A command that begins content, now only DATA, sets C{line_mode} to 0.

    @ivar factory: gives the dialogue, the counters and the limits.
    @ivar active: whether anything was received since L{SinkFactory.sweep} last looked. A flag instead of a
        time: reading a clock for each chunk is not free.
    @ivar quietSince: when the sweep first found nothing received, in the reactor's seconds.
    @ivar begun: whether the banner was sent, which is when a session begins to count.
    @ivar inTransaction: whether MAIL was accepted (RFC 5321 section 3.3).
    @ivar recipients: the RCPT commands accepted in this transaction.
    """

    #: A command line without its CRLF. RFC 5321 section 4.5.3.1.4 asks for 510 at least.
    MAX_LENGTH = 2046

    factory: SinkFactory
    # In real life an ITCPTransport and IConsumer, such as tcp.Server.
    transport: Any

    active = True
    quietSince = 0.0
    begun = False
    inTransaction = False
    recipients = 0

    # The last bytes of the content so far, at most 4: a terminator can be split anywhere.
    _tail = b""
    # Nothing that follows in this connection is looked at; it closes once the replies are out.
    _ended = False
    # The sink is ending: no new transaction; and none may be completed if _refusing.
    _ending = False
    _refusing = False

    def connectionMade(self) -> None:
        """
        Ask for a place; the factory says L{begin} when there is one.
        """
        factory = self.factory
        self.counts = factory.counts
        self.dialogue = factory.dialogue
        self.commands = factory.dialogue.commands
        # A client that doesn't read its replies is not read from either: see pauseProducing.
        self.transport.registerProducer(self, True)
        factory.connected(self)

    def begin(self) -> None:
        """
        Send the banner: the session begins.
        """
        self.begun = True
        self._send(self.dialogue.banner)

    def dataReceived(self, data: bytes) -> None:
        """
        Answer all that is complete in a chunk, in one write.
        """
        counts = self.counts
        length = len(data)
        counts.bytesReceived += length
        self.active = True
        if (
            self.line_mode
            and not self._buffer
            and not self._ended
            and -1 < data.find(b"\r\n") == length - 2 <= self.MAX_LENGTH
        ):
            # What a client sends that waits for each reply: one command line. _answer would do the same.
            line = data[:-2]
            reply = (self.commands.get(line[:5]) or self._commandFor(line))(self, line)
        else:
            reply = self._answer(self._buffer + data)
        if reply:
            counts.bytesSent += len(reply)
            self.transport.write(reply)
        if self._ended:
            self._close()

    def _answer(self, data: bytes) -> bytes:
        """
        Answer whatever it is, and keep the beginning of a line that isn't complete.
        """
        self._buffer = b""
        replies = []
        start = 0
        length = len(data)
        while start < length and not self._ended:
            if not self.line_mode:
                start = self._findEndOfContent(data, start)
                if self.line_mode:
                    replies.append(self._contentReceived())
                continue
            end = data.find(b"\r\n", start)
            # A CR at the end of the chunk may be half of the line's end.
            if (end if end >= 0 else length - 1) - start > self.MAX_LENGTH:
                self._ended = True
                replies.append(self._refuse("line-too-long", LINE_TOO_LONG, data[start:]))
            elif end < 0:
                self._buffer = data[start:]
                break
            else:
                line = data[start:end]
                start = end + 2
                replies.append((self.commands.get(line[:5]) or self._commandFor(line))(self, line))
        return b"".join(replies)

    def _commandFor(self, line: bytes) -> Command:
        """
        The long way, for a verb that isn't four capital letters.
        """
        return self.commands.get(line.partition(b" ")[0].upper()) or self.commands[b""]

    def _findEndOfContent(self, data: bytes, start: int) -> int:
        """
        Look for the end of the message, and go back to commands if it is there.

        @return: the index after it, or of the end of the data.
        """
        tail = self._tail + data[start : start + 4]
        found = tail.find(END_OF_CONTENT)
        if found >= 0:
            self.line_mode = 1
            return start + found + 5 - len(self._tail)
        # Looking for a single byte is many times faster, and large test messages have few dots.
        dot = data.find(b".", start)
        found = data.find(END_OF_CONTENT, max(start, dot - 2)) if dot >= 0 else -1
        if found >= 0:
            self.line_mode = 1
            return found + 5
        self._tail = data[-4:] if len(data) - start >= 4 else tail[-4:]
        return len(data)

    def _contentReceived(self) -> bytes:
        """
        Accept the message: one reply, or in LMTP one for each recipient (RFC 2033 section 4.2).
        """
        counts = self.counts
        recipients = self.recipients
        self.inTransaction = False
        self.recipients = 0
        if self._refusing:
            self._ended = True
            return UNAVAILABLE
        counts.messages += 1
        counts.recipients += recipients
        reply = DELIVERED * recipients if self.dialogue.lmtp else OK
        if counts.messages >= self.factory.messageLimit:
            self.factory.limitReached()
        elif self._ending:
            self._ended = True
            return reply + UNAVAILABLE
        return reply

    def _refuse(self, kind: str, reply: bytes, line: bytes) -> bytes:
        self.counts.error(kind, line)
        return reply

    # The commands.

    def command_HELO(self, line: bytes) -> bytes:
        """
        RFC 5321 section 4.1.1.1; abandons a transaction.
        """
        self.inTransaction = False
        self.recipients = 0
        return self.dialogue.helo

    def command_EHLO(self, line: bytes) -> bytes:
        """
        EHLO and, in LMTP, LHLO: RFC 5321 section 4.1.1.1, RFC 2033 section 4.1; abandons a transaction.
        """
        self.inTransaction = False
        self.recipients = 0
        return self.dialogue.ehlo

    def command_MAIL(self, line: bytes) -> bytes:
        """
        RFC 5321 section 4.1.1.2; any parameters are fine.
        """
        if self.inTransaction:
            return self._refuse("sequence", NESTED_MAIL, line)
        if not _isMAIL(line):
            return self._refuse("syntax", BAD_MAIL, line)
        self.inTransaction = True
        return MAIL_OK

    def command_RCPT(self, line: bytes) -> bytes:
        """
        RFC 5321 section 4.1.1.3; any parameters are fine.
        """
        if not self.inTransaction:
            return self._refuse("sequence", NEED_MAIL, line)
        if not _isRCPT(line):
            return self._refuse("syntax", BAD_RCPT, line)
        self.recipients += 1
        return RCPT_OK

    def command_DATA(self, line: bytes) -> bytes:
        """
        RFC 5321 section 4.1.1.4.
        """
        if not self.recipients:
            return self._refuse("sequence", NEED_RCPT, line)
        if len(line) != 4:
            return self._refuse("syntax", BAD_DATA, line)
        self.line_mode = 0
        # The end of the DATA line counts as the one before a dot that comes first (RFC 5321 section 4.1.1.4).
        self._tail = b"\r\n"
        return START_CONTENT

    def command_RSET(self, line: bytes) -> bytes:
        """
        RFC 5321 section 4.1.1.5.
        """
        self.inTransaction = False
        self.recipients = 0
        return OK

    def command_NOOP(self, line: bytes) -> bytes:
        """
        NOOP, and VRFY, which is as happy with everything: RFC 5321 sections 4.1.1.9 and 4.1.1.6.
        """
        return OK

    def command_QUIT(self, line: bytes) -> bytes:
        """
        RFC 5321 section 4.1.1.10.
        """
        self.counts.quits += 1
        self._ended = True
        return BYE

    def command_unknown(self, line: bytes) -> bytes:
        """
        Anything else.
        """
        return self._refuse("unknown", UNKNOWN, line)

    def command_unavailable(self, line: bytes) -> bytes:
        """
        Anything else while the sink is ending: RFC 5321 section 3.8.
        """
        self._ended = True
        return UNAVAILABLE

    # The end of a session that isn't the client's own wish.

    def endSoon(self) -> None:
        """
        The sink is stopping: a session without a transaction ends now, another one after its transaction.
        """
        self._ending = True
        if self.inTransaction and not self._refusing:
            self.commands = self.dialogue.toComplete
        elif not self._ended:
            self._end(UNAVAILABLE)

    def refuseMore(self) -> None:
        """
        The sink has all the messages it wants: the client may only quit.
        """
        self._ending = self._refusing = True
        self.commands = self.dialogue.toQuit

    def idledOut(self) -> None:
        """
        Nothing was received for too long: say so and close, or abort if that was of no use.
        """
        if self._ended:
            self.abort()
        else:
            self.counts.error("timeout", b"")
            self._end(IDLE)

    def abort(self) -> None:
        """
        Drop the connection, whatever is in the way of an orderly end.
        """
        self._ended = self._ending = True
        self.transport.abortConnection()

    def readConnectionLost(self) -> None:
        """
        The client has said all it wants to; it may still be reading replies, as C{nc -N} does.
        """
        if self.inTransaction and not self._ending:
            self.counts.error("lost", b"the client closed the connection in a transaction")
        self._ended = True
        self._close()

    def writeConnectionLost(self) -> None:
        """
        Never happens: this side closes both directions at once.
        """

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The session is over.
        """
        if self.inTransaction and not (self._ended or self._ending):
            self.counts.error("lost", reason.getErrorMessage().encode())
        self._ended = True
        self.factory.disconnected(self)

    def _send(self, reply: bytes) -> None:
        self.counts.bytesSent += len(reply)
        self.transport.write(reply)

    def _end(self, reply: bytes) -> None:
        self._ended = True
        self._send(reply)
        self._close()

    def _close(self) -> None:
        if not self.transport.disconnecting:
            # A transport does not close as long as it has a producer that is paused.
            self.transport.unregisterProducer()
            self.transport.loseConnection()
