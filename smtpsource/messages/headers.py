"""
The headers of messages: those that are generated, those that a user adds, and those before a message of a corpus.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from smtpsource.messages import templates
from smtpsource.messages.templates import DATE, ID, NUMBER_IN_HEXADECIMAL, RECIPIENT, RUN, SENDER, Part
from smtpsource.values import checks, names

#: A header's name (RFC 5322's ftext), a colon, and a value.
_HEADER = re.compile(rb"([!-9;-~]+):(.*)", re.DOTALL)

#: The longest line of a message, without its end (RFC 5322 section 2.1.1).
_LONGEST = 998


def header(line: bytes) -> bytes:
    """
    A header as a user writes it: a name, a colon and a value that L{templates.parse} takes.

    @raise ValueError: it is something else; the text says what was expected.
    """
    match = _HEADER.fullmatch(names.oneLine(line))
    if match is None:
        raise ValueError("expected a name of printable ASCII characters, a colon and a value, such as X-Test: yes")
    if len(line) > _LONGEST:
        raise ValueError(f"expected a header of at most {_LONGEST} bytes")
    templates.parse(match[2])
    return line


def given(value: Any) -> tuple[bytes, ...]:
    """
    What a program may give for C{headers}: a sequence of them, each a text or bytes.
    """
    if not isinstance(value, list | tuple):
        raise ValueError("expected a sequence of headers, each such as X-Test: yes")
    return tuple(header(checks.encoded(line)) for line in value)


def name(line: bytes) -> str:
    """
    A header's name, in lower case.
    """
    return line.partition(b":")[0].decode("ascii").lower()


def haveId(added: Sequence[bytes]) -> bool:
    """
    Is there one among these headers that is the ledger's?
    """
    from smtpsource.ledger.identity import HEADER  # for those who keep a ledger

    return HEADER.decode("ascii").lower() in map(name, added)


def generated(myhostname: bytes, subject: bytes | None, added: Sequence[bytes], *, noted: bool = False) -> list[Part]:
    """
    The headers of a generated message, with the empty line after them.

    @param myhostname: for the right side of the Message-Id.
    @param subject: for a Subject header; C{None} for none.
    @param added: headers; one with the name of a generated header takes its place.
    @param noted: is there a ledger? Then a header with the message's id comes before all others, here and below.
    """
    lines: list[tuple[Part, ...]] = [
        *_id(noted),
        (b"From: <", SENDER, b">"),
        (b"To: <", RECIPIENT, b">"),
        (b"Date: ", DATE),
        (b"Message-Id: ", *_messageId(myhostname, noted)),
    ]
    if subject is not None:
        lines.append((b"Subject: ", *templates.parseSubject(subject)))
    return [*_lines(lines, added), b"\r\n"]


def beforeStored(myhostname: bytes, added: Sequence[bytes], identified: bool, *, noted: bool = False) -> list[Part]:
    """
    What is put before a message that has headers of its own, so that it can be found again: a Message-Id if it has
    none, else those of a message that is sent again (RFC 5322 section 3.6.6).

    @param identified: has it a Message-Id?
    """
    if identified:
        lines: list[tuple[Part, ...]] = [
            (b"Resent-Date: ", DATE),
            (b"Resent-From: <", SENDER, b">"),
            (b"Resent-Message-Id: ", *_messageId(myhostname, noted)),
        ]
    else:
        lines = [(b"Message-Id: ", *_messageId(myhostname, noted))]
    return _lines([*_id(noted), *lines], added)


def alone(added: Sequence[bytes], *, noted: bool = False) -> list[Part]:
    """
    What is put before a message that is sent as it is.
    """
    return _lines(_id(noted), added)


def _messageId(myhostname: bytes, noted: bool) -> tuple[Part, ...]:
    own = (ID,) if noted else (RUN, b".", NUMBER_IN_HEXADECIMAL)
    return b"<", *own, b"@" + myhostname + b">"


def _id(noted: bool) -> list[tuple[Part, ...]]:
    if not noted:
        return []
    from smtpsource.ledger.identity import HEADER  # for those who keep a ledger

    return [(HEADER + b": ", ID)]


def _lines(own: Sequence[tuple[Part, ...]], added: Sequence[bytes]) -> list[Part]:
    """
    One after the other, each with its end.
    """
    lines = list(own)
    places = {name(line[0]): n for n, line in enumerate(own) if isinstance(line[0], bytes)}
    for line in added:
        place = places.pop(name(line), None)
        start, colon, value = line.partition(b":")
        parts: tuple[Part, ...] = (start + colon, *templates.parse(value))
        if place is None:
            lines.append(parts)
        else:
            lines[place] = parts
    return [part for line in lines for part in (*line, b"\r\n")]
