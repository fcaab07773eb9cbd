"""
One session of the sink: RFC 5321 (SMTP) or RFC 2033 (LMTP), seen from the server, with everything accepted.

This is what a load generator is measured against, so it must cost less than the generator does. A chunk of
input is looked at once, from left to right; every reply is a constant; the replies to one chunk go out in one
write; and message content is searched for its end, or counted if its size was told, but never kept.

The verbs of extensions are functions in modules of their own; L{smtpsource.sink.dialogue} knows them all.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from smtpsource.sink import secrets
from smtpsource.sink.connection import UNAVAILABLE, SinkConnection
from smtpsource.speedups import compiled

if TYPE_CHECKING:
    from smtpsource.sink.authenticator import Exchange
    from smtpsource.sink.interfaces import Command

#: The last line of a message, with the end of the line before it.
END_OF_CONTENT = b"\r\n.\r\n"

OK = b"250 2.0.0 Ok\r\n"
MAIL_OK = b"250 2.1.0 Ok\r\n"
RCPT_OK = b"250 2.1.5 Ok\r\n"
ENVELOPE_OK = MAIL_OK + RCPT_OK
DELIVERED = b"250 2.2.0 Ok\r\n"
START_CONTENT = b"354 Start mail input; end with <CRLF>.<CRLF>\r\n"
FULL = b"452 4.3.1 No room to keep the message\r\n"
BYE = b"221 2.0.0 Bye\r\n"
LINE_TOO_LONG = b"500 5.5.2 Command line too long, closing connection\r\n"
UNKNOWN = b"500 5.5.1 Command unknown\r\n"
PLAIN_TEXT = b"503 5.5.1 STARTTLS must be the last command of a group, closing connection\r\n"
NEED_EHLO = b"503 5.5.1 Say EHLO again first\r\n"
NESTED_MAIL = b"503 5.5.1 MAIL inside a transaction\r\n"
NEED_MAIL = b"503 5.5.1 RCPT needs MAIL first\r\n"
NEED_RCPT = b"503 5.5.1 DATA needs RCPT first\r\n"
DATA_AFTER_BDAT = b"503 5.5.1 DATA after BDAT\r\n"
RCPT_AFTER_BDAT = b"503 5.5.1 RCPT after BDAT\r\n"
BAD_MAIL = b"501 5.5.4 Syntax: MAIL FROM:<reverse-path>\r\n"
BAD_RCPT = b"501 5.5.4 Syntax: RCPT TO:<forward-path>\r\n"
BAD_DATA = b"501 5.5.4 Syntax: DATA\r\n"

# A space after the colon is against RFC 5321 section 4.1.1.2 and common.
# Spelled out because it is a third faster than the flag that ignores case.
_isMAIL = re.compile(rb"[Mm][Aa][Ii][Ll] [Ff][Rr][Oo][Mm]: ?<[^>]*>").fullmatch
_isRCPT = re.compile(rb"[Rr][Cc][Pp][Tt] [Tt][Oo]: ?<[^>]*>").fullmatch
# With parameters, and with a path that may have a bracket between quotes.
_PATH = rb'<(?:[^">]|"(?:[^"\\]|\\.)*+")*+>(?: +(.*))?'
_isLongMAIL = re.compile(rb"[Mm][Aa][Ii][Ll] [Ff][Rr][Oo][Mm]: ?" + _PATH, re.DOTALL).fullmatch
_isLongRCPT = re.compile(rb"[Rr][Cc][Pp][Tt] [Tt][Oo]: ?" + _PATH, re.DOTALL).fullmatch

# What a client that pipelines says for each message: the envelope and the beginning of the content. All lines are
# short enough, and no path has quotes.
_isGroup = re.compile(
    rb"MAIL FROM:<[^\r\n\">]{0,500}>(?: ([^\r\n]{1,500}))?\r\n"
    rb"((?:RCPT TO:<[^\r\n\">]{0,500}>\r\n)+)"
    rb"(?:DATA|BDAT ([0-9]{1,18}) LAST)\r\n"
).match


@compiled
class SMTPSinkProtocol(SinkConnection):
    """
    The server's side of one session.

    Each verb is a C{command_*} method or function that takes the command line and returns the reply;
    L{smtpsource.sink.dialogue} says which verbs there are. A command that begins content, DATA or BDAT, sets
    C{line_mode} to 0.

    @ivar recipients: the RCPT commands accepted in this transaction.
    @ivar authenticated: whether AUTH was accepted (RFC 4954).
    @ivar user: who has logged in; empty if nobody has.
    @ivar mechanism: the latest that AUTH has named.
    @ivar exchange: of AUTH, while it waits for a response.
    @ivar hasSecrets: whether a line that is no command may be a password.
    """

    #: A command line without its CRLF. RFC 5321 section 4.5.3.1.4 asks for 510 at least.
    MAX_LENGTH = 2046

    recipients = 0
    authenticated = False
    user = ""
    mechanism = ""
    exchange: Exchange | None = None
    hasSecrets = False

    # Of a chunk (RFC 3030): its octets that are still to come, the reply that refuses it, and whether it is the last
    # one; and whether there was one in this transaction.
    _octets = 0
    _refusal: bytes | None = None
    _isLast = False
    _chunked = False
    # The last bytes of the content so far, at most 4: a terminator can be split anywhere.
    _tail = b""

    def beginAnew(self) -> None:
        """
        Forget the client: it must say EHLO again (RFC 3207 section 4.2; XCLIENT).
        """
        self._forgetTransaction()
        self.authenticated = False
        self.user = ""
        self.commands = self.dialogue.toGreet

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
        # At the end of a message, which is where groups begin.
        between = True
        while start < length and not self._ended:
            if not self.line_mode:
                begun = start
                if not self._octets:
                    start = self._findEndOfContent(data, start)
                    self._contentCame(data, begun, start)
                    if self.line_mode:
                        replies.append(self._contentReceived())
                elif self._octets > length - start:
                    self._contentCame(data, start, length)
                    self._octets -= length - start
                    break
                else:
                    start += self._octets
                    self._contentCame(data, begun, start)
                    self._octets = 0
                    self.line_mode = 1
                    replies.append(self._chunkReceived())
                between = True
                continue
            if between:
                between = False
                group = _isGroup(data, start)
                if group is not None:
                    reply = self._beginMessage(group[1], group[2].count(b"\n"), group[3])
                    if reply:
                        replies.append(reply)
                        start = group.end()
                        continue
            end = data.find(b"\r\n", start)
            # A CR at the end of the chunk may be half of the line's end.
            if (end if end >= 0 else length - 1) - start > self.MAX_LENGTH and self._isTooLong(data, start, end):
                self._ended = True
                replies.append(self.refuse("line-too-long", LINE_TOO_LONG, data[start:]))
            elif end < 0:
                self._buffer = data[start:]
                break
            else:
                line = data[start:end]
                start = end + 2
                replies.append((self.commands.get(line[:5]) or self._commandFor(line))(self, line))
        if self._wantsTLS and start < length:
            # RFC 3207 section 6: it was not sent in TLS and must not be taken for it, whoever has put it there.
            self._wantsTLS = False
            replies[-1] = self.refuse("plain-text-after-starttls", PLAIN_TEXT, data[start:])
        return b"".join(replies)

    def _beginMessage(self, parameters: bytes | None, recipients: int, size: bytes | None) -> bytes | None:
        """
        Do at once what the commands of a group do one after the other, as far as nothing is wrong with them.

        @param parameters: of MAIL.
        @param recipients: how many.
        @param size: of BDAT, without which it was DATA.
        @return: the replies; C{None} if something is, and nothing was done.
        """
        if (
            self.commands is not self.dialogue.grouped
            or self.inTransaction
            or (size is not None and not self.dialogue.chunking)
            or (parameters is not None and self._mailParameters(parameters) is not None)
        ):
            return None
        self.inTransaction = True
        self.recipients = recipients
        replies = ENVELOPE_OK if recipients == 1 else MAIL_OK + RCPT_OK * recipients
        if size is None:
            self.line_mode = 0
            self._tail = b"\r\n"
            return replies + START_CONTENT
        return replies + self.beginChunk(int(size), True)

    def _isTooLong(self, data: bytes, start: int, end: int) -> bool:
        """
        Is a line too long even for the responses of AUTH?
        """
        if self.exchange is None and not secrets.isAuth(data[start : start + 10]):
            return True
        return (end if end >= 0 else len(data) - 1) - start > secrets.LONGEST_LINE

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

    def _contentCame(self, data: bytes, start: int, end: int) -> None:
        """
        A part of a content has come, with its stuffed dots; or of a chunk, if C{_octets} are still to come. It is
        passed over.
        """

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

    def beginChunk(self, size: int, isLast: bool, refusal: bytes | None = None) -> bytes:
        """
        Begin to skip the octets of a chunk.

        @param refusal: the reply that refuses it.
        @return: the reply if there are no octets.
        """
        self._isLast = isLast
        self._refusal = refusal
        if not size:
            return self._chunkReceived()
        self._octets = size
        self.line_mode = 0
        return b""

    def _chunkReceived(self) -> bytes:
        """
        A chunk is complete (RFC 3030 section 2), and with the last one the message.
        """
        if self._refusal is not None:
            return self._refusal
        self.counts.chunks += 1
        if self._isLast:
            self._chunked = False
            return self._contentReceived()
        self._chunked = True
        return OK

    def refuse(self, kind: str, reply: bytes, line: bytes) -> bytes:
        """
        Count a line as an error.

        @param kind: of the error, as reports name it.
        @param reply: what the client is told.
        @return: just that.
        """
        self.counts.error(kind, self.withoutSecrets(line, kind in ("unknown", "line-too-long")))
        return reply

    def withoutSecrets(self, line: bytes, unknown: bool) -> bytes:
        """
        What people may see of a line.

        @param unknown: it is no command, so it may be a response of AUTH that has come too late.
        """
        if secrets.isAuth(line):
            return secrets.masked(line)
        return secrets.HIDDEN if self.exchange is not None or (unknown and self.hasSecrets) else line

    def _forgetTransaction(self) -> None:
        self.inTransaction = self._chunked = False
        self.recipients = 0

    # The commands.

    def command_HELO(self, line: bytes) -> bytes:
        """
        RFC 5321 section 4.1.1.1; abandons a transaction.
        """
        self._forgetTransaction()
        self.commands = self.dialogue.commands
        return self.dialogue.helo

    def command_EHLO(self, line: bytes) -> bytes:
        """
        EHLO and, in LMTP, LHLO: RFC 5321 section 4.1.1.1, RFC 2033 section 4.1; abandons a transaction.
        """
        self._forgetTransaction()
        self.commands = self.dialogue.commands
        return self.dialogue.ehloInTLS if self.inTLS else self.dialogue.ehlo

    def command_MAIL(self, line: bytes) -> bytes:
        """
        RFC 5321 section 4.1.1.2.
        """
        if self.inTransaction:
            return self.refuse("sequence", NESTED_MAIL, line)
        if not _isMAIL(line):
            match = _isLongMAIL(line)
            if match is None:
                return self.refuse("syntax", BAD_MAIL, line)
            if match[1]:
                refusal = self._mailParameters(match[1])
                if refusal is not None:
                    return self.refuse("parameter", refusal, line)
        self.inTransaction = True
        return MAIL_OK

    def _mailParameters(self, text: bytes) -> bytes | None:
        """
        @return: the reply that refuses them, if one does.
        """
        parameters = self.factory.parameters
        return (parameters.mailInTLS if self.inTLS else parameters.mail).refusal(text)

    def command_RCPT(self, line: bytes) -> bytes:
        """
        RFC 5321 section 4.1.1.3.
        """
        if not self.inTransaction:
            return self.refuse("sequence", NEED_MAIL, line)
        if self._chunked:
            return self.refuse("sequence", RCPT_AFTER_BDAT, line)
        if not _isRCPT(line):
            match = _isLongRCPT(line)
            if match is None:
                return self.refuse("syntax", BAD_RCPT, line)
            if match[1]:
                refusal = self.factory.parameters.rcpt.refusal(match[1])
                if refusal is not None:
                    return self.refuse("parameter", refusal, line)
        self.recipients += 1
        return RCPT_OK

    def command_DATA(self, line: bytes) -> bytes:
        """
        RFC 5321 section 4.1.1.4.
        """
        if not self.recipients:
            return self.refuse("sequence", NEED_RCPT, line)
        if self._chunked:
            # RFC 3030 section 3.
            return self.refuse("sequence", DATA_AFTER_BDAT, line)
        if len(line) != 4:
            return self.refuse("syntax", BAD_DATA, line)
        self.line_mode = 0
        # The end of the DATA line counts as the one before a dot that comes first (RFC 5321 section 4.1.1.4).
        self._tail = b"\r\n"
        return START_CONTENT

    def command_RSET(self, line: bytes) -> bytes:
        """
        RFC 5321 section 4.1.1.5.
        """
        self._forgetTransaction()
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
        if secrets.isAuth(line):
            # A client that doesn't wait for our reply sends a password next.
            self.hasSecrets = True
        return self.refuse("unknown", UNKNOWN, line)

    def command_ungreeted(self, line: bytes) -> bytes:
        """
        Anything else when the client must introduce itself again.
        """
        self.hasSecrets = self.hasSecrets or secrets.isAuth(line)
        return self.refuse("sequence", NEED_EHLO, line)

    def command_unavailable(self, line: bytes) -> bytes:
        """
        Anything else while the sink is ending: RFC 5321 section 3.8.
        """
        self._ended = True
        return UNAVAILABLE
