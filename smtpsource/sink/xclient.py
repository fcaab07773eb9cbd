"""
XCLIENT: a client speaks for another one. Postfix's extension
(U{https://www.postfix.org/XCLIENT_README.html}).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smtpsource.sink.interfaces import Session

_BAD = b"501 5.5.4 Syntax: XCLIENT attribute=value...\r\n"
_IN_TRANSACTION = b"503 5.5.1 XCLIENT inside a transaction\r\n"

_isXtext = re.compile(rb"(?:[!-*,-<>-~\x80-\xff]|\+[0-9A-Fa-f]{2})+").fullmatch
_encoded = re.compile(rb"\+([0-9A-Fa-f]{2})")
_UNKNOWN = (b"[UNAVAILABLE]", b"[TEMPUNAVAIL]")


def _isAny(value: bytes) -> bool:
    return True


def _isAddress(value: bytes) -> bool:
    family = socket.AF_INET
    if value[:5].upper() == b"IPV6:":
        family, value = socket.AF_INET6, value[5:]
    try:
        socket.inet_pton(family, value.decode("ascii"))
    except (OSError, ValueError):
        return False
    return True


def _isPort(value: bytes) -> bool:
    return value.isdigit() and len(value) <= 5 and int(value) <= 65535


def _isProtocol(value: bytes) -> bool:
    return value.upper() in (b"SMTP", b"ESMTP", b"LMTP")


_ATTRIBUTES: dict[bytes, Callable[[bytes], bool]] = {
    b"NAME": _isAny,
    b"ADDR": _isAddress,
    b"PORT": _isPort,
    b"PROTO": _isProtocol,
    b"HELO": _isAny,
    b"LOGIN": _isAny,
    b"DESTADDR": _isAddress,
    b"DESTPORT": _isPort,
}

#: The line of the reply to EHLO.
KEYWORD = b" ".join([b"XCLIENT", *_ATTRIBUTES])


def attributes(line: bytes) -> dict[str, bytes] | None:
    """
    What an XCLIENT command says.

    @return: the values by the names of the attributes, in capitals; C{None} if it is badly written.
    """
    found: dict[str, bytes] = {}
    for word in line.split()[1:]:
        name, _, text = word.partition(b"=")
        isRight = _ATTRIBUTES.get(name.upper())
        if isRight is None or not _isXtext(text):
            return None
        value = _encoded.sub(lambda match: bytes([int(match[1], 16)]), text)
        if value.upper() not in _UNKNOWN and not isRight(value):
            return None
        found[name.upper().decode("ascii")] = value
    return found or None


def command_XCLIENT(session: Session, line: bytes) -> bytes:
    """
    Take it as it is, and begin anew, with a banner that is the reply.
    """
    if session.inTransaction:
        return session.refuse("sequence", _IN_TRANSACTION, line)
    found = attributes(line)
    if found is None:
        return session.refuse("syntax", _BAD, line)
    session.counts.introduced(found)
    session.beginAnew()
    return session.dialogue.banner
