"""
A message that is kept in memory, with its envelope.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from email.message import EmailMessage
from functools import cached_property
from typing import Any

from smtpsource.sink.keeping.message import Arrival, KeptMessage
from smtpsource.sink.summary import moment

#: What stands after a path (RFC 5321 section 4.1.2), which may have a bracket between quotes.
_afterPath = re.compile(rb'\s*<(?:[^">]|"(?:[^"\\]|\\.)*+")*+>(.*)', re.DOTALL).match

#: What a recipient is taken to need besides its two texts.
_RECIPIENT = 100

#: Octets of a message in which its header is looked for.
_HEADER = 64 * 1024

#: Characters of a subject and of a Message-Id.
_VALUE = 4096

#: The empty line after a header, with the end of the line before it.
_endOfHeader = re.compile(rb"\n\r?\n|\A\r?\n").search


@dataclass(kw_only=True)
class Entry(Arrival):
    """
    A message in memory.

    @ivar raw: the content, or its first part.
    @ivar truncated: there was more.
    """

    raw: bytes
    truncated: bool

    @property
    def headers(self) -> EmailMessage:
        """
        The header, with nothing after it; whatever it has. Of a very large one only the first 64 KiB are looked at.
        """
        from email import policy
        from email.parser import BytesHeaderParser

        beginning = self.raw[:_HEADER]
        end = _endOfHeader(beginning)
        header = beginning[: end.end()] if end else beginning
        return BytesHeaderParser(policy=policy.default).parsebytes(header)

    @property
    def subject(self) -> str:
        """
        What it is about, decoded (RFC 2047); empty without a subject. A very long one is cut.
        """
        return self._named["subject"]

    @property
    def messageId(self) -> str:
        """
        Its Message-Id without brackets; empty without one. A very long one is cut.
        """
        return self._named["message-id"].strip().removeprefix("<").removesuffix(">")

    @cached_property
    def _named(self) -> dict[str, str]:
        """
        By what messages are found. The header itself is not kept: it may need many times its size.
        """
        found = {"message-id": "", "subject": ""}
        for name, value in reversed(list(self.headers.raw_items())):
            if name.lower() in found:
                found[name.lower()] = _decodedValue(name, value[:_VALUE])
        return found

    @property
    def cost(self) -> int:
        """
        The octets that it is taken to need.
        """
        recipients = _RECIPIENT * len(self.rcpts) + 2 * sum(map(len, self.rcpts))
        return len(self.raw) + len(self.helo) + len(self.mail) + recipients

    def asDict(self) -> dict[str, Any]:
        """
        All of it but the content, for JSON.
        """
        return {
            "number": self.number,
            "session": self.session,
            "from": _legible(self.sender),
            "to": [_legible(recipient) for recipient in self.recipients],
            "subject": _legible(self.subject),
            "messageId": _legible(self.messageId),
            "started": moment(self.started),
            "received": moment(self.received),
            "client": self.client,
            "protocol": self.protocol,
            "helo": _decoded(self.helo),
            "tls": self.tls,
            "user": _legible(self.user),
            "size": self.size,
            "truncated": self.truncated,
            "mailParameters": parameters(self.mail),
            "recipientParameters": [parameters(rcpt) for rcpt in self.rcpts],
            "fate": self.fate,
            "rule": self.rule,
        }


_OF_MESSAGE = [field.name for field in fields(Entry) if field.name not in ("raw", "truncated")]


def entry(message: KeptMessage, most: int) -> Entry:
    """
    Make an entry of a message.

    @param most: the octets of its content that are kept.
    """
    message.content.seek(0)
    said = {name: getattr(message, name) for name in _OF_MESSAGE}
    return Entry(**said, raw=message.content.read(most), truncated=message.size > most)


def parameters(said: bytes) -> dict[str, str]:
    """
    The parameters of MAIL or RCPT (RFC 5321 section 4.1.2).

    @param said: what followed the colon.
    @return: their values by their keywords in capitals; a value is empty if there is none.
    """
    match = _afterPath(said)
    words = (word.partition(b"=") for word in match[1].split()) if match else ()
    return {_decoded(keyword).upper(): _decoded(value) for keyword, _, value in words}


def _decodedValue(name: str, value: str) -> str:
    from email import policy

    try:
        return str(policy.default.header_fetch_parse(name, value))
    except Exception:
        # The parser has errors of many kinds for what is no Message-Id.
        return " ".join(value.split())


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _legible(text: str) -> str:
    """
    A text without surrogates, which UTF-8 and so JSON has no code for.
    """
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
