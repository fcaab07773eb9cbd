"""
AUTH (RFC 4954): the command, and the lines of an exchange; L{smtpsource.sink.authenticator} has the mechanisms.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from smtpsource.sink.secrets import HIDDEN

if TYPE_CHECKING:
    from smtpsource.sink.interfaces import Session

_ACCEPTED = b"235 2.7.0 Authentication successful\r\n"
_REFUSED = b"535 5.7.8 Authentication credentials invalid\r\n"
_CANCELLED = b"501 5.7.0 Authentication cancelled\r\n"
_BAD_AUTH = b"501 5.5.4 Syntax: AUTH mechanism [initial-response]\r\n"
_BAD_BASE64 = b"501 5.5.2 Response is no base64\r\n"
_BAD_RESPONSE = b"501 5.5.2 Badly written response\r\n"
_NO_INITIAL = b"501 5.5.4 This mechanism begins with a challenge\r\n"
_UNKNOWN = b"504 5.5.4 Unknown mechanism\r\n"
_TWICE = b"503 5.5.1 Already authenticated\r\n"
_IN_TRANSACTION = b"503 5.5.1 AUTH inside a transaction\r\n"


def decoded(text: bytes) -> bytes:
    """
    @raise ValueError: it is no base64.
    """
    return base64.b64decode(text, validate=True)


def command_AUTH(session: Session, line: bytes) -> bytes:
    """
    RFC 4954 section 4.
    """
    session.hasSecrets = True
    if session.authenticated:
        return session.refuse("sequence", _TWICE, line)
    if session.inTransaction:
        return session.refuse("sequence", _IN_TRANSACTION, line)
    words = line.split()
    if not 2 <= len(words) <= 3:
        return session.refuse("syntax", _BAD_AUTH, line)
    name = words[1].upper()
    mechanism = session.factory.authenticator.mechanisms.get(name)
    if mechanism is None:
        return session.refuse("unknown", _UNKNOWN, line)
    session.mechanism = name.decode("ascii")
    exchange = mechanism()
    challenge = next(exchange)
    if len(words) == 3:
        if name == b"CRAM-MD5":
            return session.refuse("syntax", _NO_INITIAL, line)
        session.exchange = exchange
        return _proceed(session, b"" if words[2] == b"=" else words[2])
    session.exchange = exchange
    session.commands = session.dialogue.toRespond
    return _challenged(challenge)


def respond(session: Session, line: bytes) -> bytes:
    """
    A line in an exchange.
    """
    if line == b"*":
        _over(session)
        return _CANCELLED
    return _proceed(session, line)


def _challenged(challenge: bytes) -> bytes:
    return b"334 %b\r\n" % base64.b64encode(challenge)


def _over(session: Session) -> None:
    assert session.exchange is not None
    session.exchange.close()
    session.exchange = None
    session.commands = session.dialogue.commands


def _proceed(session: Session, text: bytes) -> bytes:
    exchange = session.exchange
    assert exchange is not None
    try:
        response = decoded(text)
    except ValueError:
        _over(session)
        return session.refuse("syntax", _BAD_BASE64, HIDDEN)
    try:
        challenge = exchange.send(response)
    except StopIteration as e:
        _over(session)
        session.authenticated = accepted = e.value is not None
        session.user = (e.value or b"").decode("utf-8", "backslashreplace")
        session.counts.loggedIn(accepted)
        return _ACCEPTED if accepted else _REFUSED
    except ValueError:
        _over(session)
        return session.refuse("syntax", _BAD_RESPONSE, HIDDEN)
    session.commands = session.dialogue.toRespond
    return _challenged(challenge)
