"""
STARTTLS: the rest of a connection is TLS (RFC 3207).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smtpsource.sink.interfaces import Session

_READY = b"220 2.0.0 Ready to start TLS\r\n"
_BAD = b"501 5.5.4 Syntax: STARTTLS\r\n"
_TWICE = b"503 5.5.1 TLS is active already\r\n"
_IN_TRANSACTION = b"503 5.5.1 STARTTLS inside a transaction\r\n"
_NOT_NOW = b"454 4.7.0 TLS is not available here\r\n"


def command_STARTTLS(session: Session, line: bytes) -> bytes:
    """
    RFC 3207 section 4.
    """
    if session.inTLS:
        return session.refuse("sequence", _TWICE, line)
    if session.inTransaction:
        return session.refuse("sequence", _IN_TRANSACTION, line)
    if len(line) != 8:
        return session.refuse("syntax", _BAD, line)
    if not hasattr(session.transport, "startTLS") or not session.factory.tls.prepare():
        return _NOT_NOW
    session.startTLSAfterReply()
    return _READY
