"""
The envelope of a message as header lines: what a server writes above the message that it delivers.
"""

from __future__ import annotations

import os
import re
import time

from smtpsource.sink.keeping.message import KeptMessage

#: What would end a line, or a text.
_BREAKS = re.compile(rb"[\r\n\0]")


def header(message: KeptMessage, hostname: str) -> bytes:
    """
    C{Return-Path} (RFC 5321 section 4.4), C{Delivered-To} for each recipient, and C{Received}.

    @param hostname: the name of this host.
    """
    # The words of RFC 3848.
    protocol = message.protocol
    if protocol != "SMTP":
        protocol += "S" * message.tls + "A" * bool(message.user)
    lines = [
        b"Return-Path: <%b>" % addressOf(message.sender),
        *(b"Delivered-To: %b" % addressOf(recipient) for recipient in message.recipients),
        b"Received: from %b ([%b])" % (oneLine(message.helo) or b"unknown", shownClient(message, "IPv6")),
        b"\tby %b with %b; %b" % (os.fsencode(hostname), protocol.encode(), date(message.received)),
    ]
    return b"\n".join(lines) + b"\n"


def addressOf(path: str) -> bytes:
    """
    An address as bytes, in one line.
    """
    return oneLine(path.encode("utf-8", "surrogateescape"))


def oneLine(text: bytes) -> bytes:
    """
    What a client has said, as it may stand in a line: a client could write headers otherwise.
    """
    return _BREAKS.sub(b"?", text)


def shownClient(message: KeptMessage, prefix: str) -> bytes:
    """
    The client's address.

    @param prefix: what IPv6 addresses begin with, before a colon.
    """
    return (f"{prefix}:{message.client}" if ":" in message.client else message.client).encode()


def date(seconds: float) -> bytes:
    """
    A moment as headers have it (RFC 5322 section 3.3), in local time, with the zone's name.
    """
    local = time.localtime(seconds)
    return time.strftime("%a, %d %b %Y %H:%M:%S %z (%Z)", local).encode("utf-8", "surrogateescape")
