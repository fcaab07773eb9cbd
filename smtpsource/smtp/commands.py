"""
Commands of a client (RFC 5321 section 4.1, RFC 2033 section 4.1): their bytes, built once.
"""

from __future__ import annotations

from dataclasses import dataclass

DATA = b"DATA\r\n"
RSET = b"RSET\r\n"
QUIT = b"QUIT\r\n"


def mail(sender: bytes) -> bytes:
    """
    MAIL for a reverse-path, pasted as it is between the brackets; empty for the null reverse-path.
    """
    return b"MAIL FROM:<" + sender + b">\r\n"


def rcpt(recipient: bytes) -> bytes:
    """
    RCPT for a forward-path, pasted as it is between the brackets.
    """
    return b"RCPT TO:<" + recipient + b">\r\n"


@dataclass(frozen=True)
class Dialogue:
    """
    How a client talks to this server, whatever the message.

    @ivar greeting: HELO or LHLO with our name, or C{None}: go straight to MAIL.
    @ivar lmtp: each accepted recipient gets its own reply to the content (RFC 2033 section 4.2).
    @ivar tolerant: a refused greeting, recipient or transaction is abandoned and the connection used further;
        otherwise any refusal ends in QUIT.
    """

    greeting: bytes | None
    lmtp: bool = False
    tolerant: bool = False


def dialogue(myhostname: bytes, *, lmtp: bool = False, oldMode: bool = False, tolerant: bool = False) -> Dialogue:
    """
    The dialogue of a client of this name.

    @param oldMode: say no HELO or LHLO at all.
    """
    if oldMode:
        greeting = None
    else:
        greeting = (b"LHLO " if lmtp else b"HELO ") + myhostname + b"\r\n"
    return Dialogue(greeting, lmtp, tolerant)
