"""
Messages that a sink has kept, as tests look at them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.parser import Parser
from typing import Any, cast

#: The lines that the parser takes for a header.
_header = re.compile(rb"(?:(?:From |[!-9;-~]*:|[\t ])[^\r\n]*(?:\r\n?|\n|\Z))*").match


@dataclass(frozen=True)
class Envelope:
    """
    What MAIL and RCPT have said.

    @ivar mail_from: the sender; empty is the null sender.
    @ivar rcpt_tos: the recipients that were accepted.
    @ivar parameters: those of MAIL, such as C{{"SIZE": "120", "SMTPUTF8": ""}}: keywords in capitals.
    @ivar rcpt_parameters: those of each RCPT, likewise.
    """

    mail_from: str
    rcpt_tos: list[str]
    parameters: Mapping[str, str]
    rcpt_parameters: list[Mapping[str, str]]


@dataclass(frozen=True)
class SessionFacts:
    """
    Whom a message came from.

    @ivar number: of the session, from 1 on.
    @ivar client: the address of the client.
    @ivar helo: the name that it has introduced itself by.
    @ivar protocol: C{"SMTP"}, C{"ESMTP"} or C{"LMTP"}.
    @ivar tls: whether it came in TLS.
    @ivar user: who had logged in; empty if nobody had.
    """

    number: int
    client: str
    helo: str
    protocol: str
    tls: bool
    user: str


class ReceivedMessage(EmailMessage):
    """
    A message, with its envelope and session beside it. Its lines end as those of other messages in Python do; C{raw}
    has them as they came.

    @ivar number: of this sink, from 1 on.
    @ivar envelope: what MAIL and RCPT have said.
    @ivar session: whom it came from.
    @ivar received: when.
    @ivar raw: its octets.
    @ivar size: how many it had.
    @ivar truncated: whether C{raw} is only the beginning, as it was larger than all that may be kept.
    @ivar fate: what a rule did to it on purpose, such as C{"duplicate"}; empty if nothing.
    """

    number: int
    envelope: Envelope
    session: SessionFacts
    received: datetime
    raw: bytes
    size: int
    truncated: bool
    fate: str

    def __repr__(self) -> str:
        if not hasattr(self, "envelope"):
            # A part of one.
            return super().__repr__()
        return f"<{type(self).__name__} {described(self)}>"


def received(document: Mapping[str, Any], raw: bytes) -> ReceivedMessage:
    """
    @param document: what is known of the message, as the control of a sink tells it.
    @param raw: its octets.
    """
    content = raw.replace(b"\r\n", b"\n")
    header = _header(content)
    assert header is not None  # it may be empty
    end = header.end()
    # Python takes headers for ASCII; with SMTPUTF8 they are more than that (RFC 6532).
    text = content[:end].decode("utf-8", "surrogateescape") + content[end:].decode("ascii", "surrogateescape")
    message: ReceivedMessage = Parser(ReceivedMessage, policy=cast("Any", policy.default)).parsestr(text)
    message.number = document["number"]
    message.envelope = Envelope(
        document["from"], document["to"], document["mailParameters"], document["recipientParameters"]
    )
    message.session = SessionFacts(
        document["session"],
        document["client"],
        document["helo"],
        document["protocol"],
        document["tls"],
        document["user"],
    )
    message.received = datetime.fromisoformat(document["received"])
    message.raw, message.size, message.truncated = raw, document["size"], document["truncated"]
    message.fate = document["fate"]
    return message


def described(message: ReceivedMessage) -> str:
    """
    A message, in one line.
    """
    try:
        subject = message["subject"]
    except Exception:
        # The parser has errors of many kinds for what is no subject.
        subject = "?"
    envelope = message.envelope
    part = f", the first {len(message.raw)} of {message.size} octets" if message.truncated else ""
    sent = f"from {envelope.mail_from!r} to {', '.join(envelope.rcpt_tos)}"
    return f"{message.number} {sent}: {str(subject or '')!r}{part}"
