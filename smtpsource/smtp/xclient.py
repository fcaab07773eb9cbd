"""
Postfix's XCLIENT (U{https://www.postfix.org/XCLIENT_README.html}): tell a server that trusts us who the client is.

The server answers 220 and is where it was when the connection was made: it wants a greeting again.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from smtpsource.smtp.parameters import xtext
from smtpsource.values import names

#: The attributes that there are.
NAMES = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT")

#: The longest command, with its line end (RFC 5321 section 4.5.3.1.4, as the README repeats).
LONGEST_COMMAND = 512

#: The longest value of NAME and HELO.
LONGEST_VALUE = 255

_UNAVAILABLE = "[UNAVAILABLE]"
_TEMPUNAVAIL = "[TEMPUNAVAIL]"

_EXPECTED = f"expected attributes such as NAME=spike.example, of {', '.join(NAMES)}"

#: An attribute's name, in capitals, and its value, before it is encoded.
Attributes = tuple[tuple[str, str], ...]


def parse(text: str) -> Attributes:
    """
    Attributes as a user writes them: C{NAME=spike.example ADDR=192.0.2.1}, separated by blanks or commas. Names may be
    in any case.

    C{[UNAVAILABLE]} may stand for any value but that of PROTO, and C{[TEMPUNAVAIL]} for that of NAME; elsewhere servers
    don't know it.

    @return: in the order in which they were given; IPv6 addresses with the prefix C{IPV6:} that they are sent with.
    @raise ValueError: there is none; one is unknown, has a wrong value or comes twice; or they don't fit into one
        command.
    """
    words = [word.partition("=") for word in text.replace(",", " ").split()]
    if not all(equals for _, equals, _ in words):
        raise ValueError(_EXPECTED)
    return checked((name, value) for name, _, value in words)


def checked(pairs: Iterable[tuple[str, str]]) -> Attributes:
    """
    The same of pairs, each an attribute and its value: this may have blanks and commas in it, as it is not encoded yet.

    @raise ValueError: see L{parse}.
    """
    attributes: dict[str, str] = {}
    for name, value in pairs:
        if not isinstance(name, str) or not isinstance(value, str):
            raise ValueError("expected attributes and values that are texts")
        name = name.upper()
        if name not in NAMES:
            raise ValueError(_EXPECTED)
        if name in attributes:
            raise ValueError(f"expected {name} only once")
        attributes[name] = _value(name, value)
    if not attributes:
        raise ValueError("expected attributes such as NAME=spike.example ADDR=192.0.2.1")
    found = tuple(attributes.items())
    if len(command(found)) > LONGEST_COMMAND:
        raise ValueError(f"expected attributes that fit into a command of {LONGEST_COMMAND} bytes")
    return found


def _value(name: str, value: str) -> str:
    if value.upper() == _UNAVAILABLE and name != "PROTO":
        return _UNAVAILABLE
    if value.upper() == _TEMPUNAVAIL and name == "NAME":
        return _TEMPUNAVAIL
    if name in ("ADDR", "DESTADDR"):
        return _addressValue(name, value)
    if name in ("PORT", "DESTPORT"):
        if value.isascii() and value.isdigit() and len(value) <= 5 and 1 <= int(value) <= 65535:
            return str(int(value))
        raise ValueError(f"expected {name} to be a port from 1 to 65535, or {_UNAVAILABLE}")
    if name == "PROTO":
        if value.upper() in ("SMTP", "ESMTP"):
            return value.upper()
        raise ValueError("expected PROTO to be SMTP or ESMTP")
    if name == "NAME":
        if value.startswith("["):
            raise ValueError(f"expected NAME to be a host name, {_UNAVAILABLE} or {_TEMPUNAVAIL}, not an address")
        try:
            return names.hostname(value)
        except ValueError as e:
            raise ValueError(f"{e}, for NAME")
    return _textValue(name, value)


def _addressValue(name: str, value: str) -> str:
    text = value[5:] if value[:5].upper() == "IPV6:" else value
    try:
        address = ipaddress.ip_address(text)
        if "%" in text or (text is not value and address.version == 4):
            raise ValueError("a zone means nothing to a server, and IPV6: is for IPv6")
    except ValueError:
        raise ValueError(f"expected {name} to be an IPv4 or IPv6 address without brackets, or {_UNAVAILABLE}")
    return f"IPV6:{text}" if address.version == 6 else text


def _textValue(name: str, value: str) -> str:
    """
    HELO and LOGIN: whatever a client may say.
    """
    if not value:
        raise ValueError(f"expected {name} to have a value, or {_UNAVAILABLE}")
    try:
        length = len(value.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        raise ValueError(f"expected {name} to be a text that can be written in UTF-8")
    if name == "HELO" and length > LONGEST_VALUE:
        raise ValueError(f"expected HELO to have at most {LONGEST_VALUE} bytes")
    return value


def command(attributes: Iterable[tuple[str, str]]) -> bytes:
    """
    XCLIENT with its attributes and its line end.
    """
    return (
        b"XCLIENT" + b"".join(b" " + name.encode("ascii") + b"=" + xtext(value) for name, value in attributes) + b"\r\n"
    )


def missing(attributes: Iterable[tuple[str, str]], announced: str) -> list[str]:
    """
    Names of attributes that a server does not take.

    @param announced: what follows the keyword XCLIENT in the server's reply to EHLO.
    """
    known = announced.upper().split()
    return [name for name, _ in attributes if name not in known]
