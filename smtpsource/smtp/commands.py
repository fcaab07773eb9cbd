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

    @ivar greeting: HELO, EHLO or LHLO with our name, or C{None}: go straight to MAIL.
    @ivar fallback: HELO, to be said where EHLO is refused with 5xx (RFC 5321 section 3.2); C{None} if there is nothing
        else to say.
    @ivar extended: the greeting asks which extensions the server has: EHLO and LHLO do.
    @ivar pipelining: send commands in groups (RFC 2920): C{"off"}; C{"auto"}, if the server announces it;
        C{"require"}, a server that does not is a fault; C{"force"}, whatever it announces.
    @ivar lmtp: each accepted recipient gets its own reply to the content (RFC 2033 section 4.2).
    @ivar tolerant: a refused greeting, recipient or transaction is abandoned and the connection used further;
        otherwise any refusal ends in QUIT.
    """

    greeting: bytes | None
    lmtp: bool = False
    tolerant: bool = False
    fallback: bytes | None = None
    pipelining: str = "off"
    extended: bool = False


def dialogue(
    myhostname: bytes,
    *,
    lmtp: bool = False,
    oldMode: bool = False,
    tolerant: bool = False,
    esmtp: bool = False,
    pipelining: str = "off",
) -> Dialogue:
    """
    The dialogue of a client of this name.

    @param oldMode: say no HELO or LHLO at all.
    @param esmtp: say EHLO; asking for an extension that is announced there implies it.
    """
    esmtp = esmtp or pipelining in ("auto", "require")
    line = myhostname + b"\r\n"
    greeting: bytes | None
    fallback = None
    if oldMode:
        greeting = None
    elif lmtp:
        greeting = b"LHLO " + line
    elif esmtp:
        greeting = b"EHLO " + line
        fallback = None if pipelining == "require" else b"HELO " + line
    else:
        greeting = b"HELO " + line
    return Dialogue(greeting, lmtp, tolerant, fallback, pipelining, greeting is not None and (lmtp or esmtp))
