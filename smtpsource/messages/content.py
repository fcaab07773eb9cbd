"""
Message content: generated, or from a file.

All content leaves here as it goes over the wire: every line ended by CRLF, dots stuffed (RFC 5321 section 4.5.2), the
final dot at its end.
"""

from __future__ import annotations

import os
import time

from zope.interface import implementer

from smtpsource.interfaces import IContentSource
from smtpsource.smtp.streaming import LARGEST_WRITE

#: A body for those who don't care: four short lines.
DEFAULT_BODY = b"".join(b"smtp-source line%d\r\n" % n for n in range(1, 5))

#: What ends a content.
END = b".\r\n"

_RECORD = 80


def bodyOfSize(size: int) -> bytes:
    """
    A body of exactly C{size} bytes, and a line end after it: lines of 80 bytes with their ends, each of a digit and
    77 C{X}; the last one, of 1 to 80 bytes, is all C{X}. The layout is smtp-source(1)'s.
    """
    lines, rest = divmod(size - 1, _RECORD)
    line = b"X" * (_RECORD - 3) + b"\r\n"
    ten = b"".join(b"%d" % (n % 10) + line for n in range(1, 11))
    whole = ten * (lines // 10) + ten[: lines % 10 * _RECORD]
    return whole + b"X" * (rest + 1) + b"\r\n"


def lines(text: bytes) -> bytes:
    """
    A file's bytes as a message's: LF or CRLF ends a line, the last one with or without; whatever else is in a line
    stays as it is. A line end is added after the file, like smtp-source(1) does.
    """
    return withCRLF(text) + b"\r\n"


def withCRLF(text: bytes) -> bytes:
    """
    The same without the line end that is added, but with one at the end of the last line.
    """
    return text.replace(b"\r\n", b"\n").removesuffix(b"\n").replace(b"\n", b"\r\n") + b"\r\n"


def stuffed(text: bytes) -> bytes:
    """
    A file's bytes as L{lines} has them, dot-stuffed.
    """
    return dotted(lines(text))


def dotted(text: bytes) -> bytes:
    """
    A message with a dot before each that begins a line (RFC 5321 section 4.5.2).
    """
    text = text.replace(b"\n.", b"\n..")
    return b"." + text if text.startswith(b".") else text


@implementer(IContentSource)
class GeneratedContent:
    """
    Headers made for each message, and one body for all of them.
    """

    def __init__(
        self,
        sender: bytes,
        myhostname: bytes,
        body: bytes,
        *,
        subject: bytes | None = None,
        headers: bool = True,
        run: bytes | None = None,
    ) -> None:
        """
        @param sender: for the From header.
        @param myhostname: for the right side of the Message-Id.
        @param body: with line ends, without the final dot, no line of it beginning with one.
        @param subject: for the Subject header, or C{None} for no such header.
        @param headers: are there headers at all, and the empty line after them?
        @param run: what makes this run's Message-Ids differ from all others; random unless given.
        """
        self._from = b"From: <" + sender + b">\r\nTo: <"
        run = os.urandom(8).hex().encode() if run is None else run
        self._afterNumber = b"@" + myhostname + b">\r\n"
        if subject is not None:
            self._afterNumber += b"Subject: " + subject + b"\r\n"
        self._afterNumber += b"\r\n"
        self._headers = headers
        body += END
        self._streamed = len(body) > LARGEST_WRITE
        if self._streamed:
            self._shared = body
        else:
            self._shared = b""
            self._afterNumber += body
        self._bodyAlone = (body, b"") if not self._streamed else (b"", body)
        self._second = 0
        self._beforeNumber = b""
        self._beforeId = b"\r\nMessage-Id: <" + run + b"."

    def content(self, number: int, recipient: bytes) -> tuple[bytes, bytes]:
        """
        See L{IContentSource.content}.
        """
        if not self._headers:
            return self._bodyAlone
        second = int(time.time())
        if second != self._second:
            self._begin(second)
        own = b"%b%b%b%x%b" % (self._from, recipient, self._beforeNumber, number, self._afterNumber)
        return own, self._shared

    def _begin(self, second: int) -> None:
        """
        Another second of the Date header.
        """
        self._second = second
        self._beforeNumber = b">\r\nDate: " + date(second) + self._beforeId

    def bdatContent(self, number: int, recipient: bytes) -> tuple[bytes, bytes | memoryview]:
        """
        See L{IContentSource.bdatContent}.
        """
        own, shared = self.content(number, recipient)
        return (own, memoryview(shared)[: -len(END)]) if shared else (own[: -len(END)], b"")


@implementer(IContentSource)
class FileContent:
    """
    The same bytes for every message.
    """

    def __init__(self, text: bytes) -> None:
        """
        @param text: a message as it is in a file, headers and all.
        """
        self._content = _inTwo(stuffed(text) + END)
        self._bdatContent = _inTwo(lines(text))

    def content(self, number: int, recipient: bytes) -> tuple[bytes, bytes]:
        """
        See L{IContentSource.content}.
        """
        return self._content

    def bdatContent(self, number: int, recipient: bytes) -> tuple[bytes, bytes | memoryview]:
        """
        See L{IContentSource.bdatContent}.
        """
        return self._bdatContent


def _inTwo(content: bytes) -> tuple[bytes, bytes]:
    return (content, b"") if len(content) <= LARGEST_WRITE else (b"", content)


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def date(second: float) -> bytes:
    """
    A Date header's value (RFC 5322 section 3.3), in local time, with the zone's name as a comment.

    @param second: since the epoch.
    """
    t = time.localtime(second)
    zone = time.strftime("%z (%Z)", t)
    return (
        f"{_DAYS[t.tm_wday]}, {t.tm_mday:02d} {_MONTHS[t.tm_mon - 1]} {t.tm_year} "
        f"{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} {zone}"
    ).encode("ascii", "replace")
