"""
Header values with places in them that are filled in for each message, such as C{{n}}: compiled once.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from smtpsource.messages.content import date

_EXPECTED = (
    "expected {run}, {n}, {session}, {size}, {date} or {random:8} (1 to 99 digits) between braces, and {{ or }} for a "
    "brace itself"
)
_TOKEN = re.compile(rb"\{\{|\}\}|\{(run|n|session|size|date|random:([1-9][0-9]?))\}|[{}]")


class Place(NamedTuple):
    """
    A place that is filled in.

    @ivar name: with what: C{"run"}, C{"date"}, C{"random"}, or the name of one of a message's values.
    @ivar conversion: how that is written: C{"d"} for a number, C{"x"} for one in hexadecimal, C{"b"} for bytes.
    @ivar digits: how many there are of C{"random"}.
    """

    name: str
    conversion: str = "b"
    digits: int = 0


Part = bytes | Place

RUN = Place("run")
DATE = Place("date")
SENDER = Place("sender")
RECIPIENT = Place("recipient")
ID = Place("id")
NUMBER_IN_HEXADECIMAL = Place("n", "x")
_PLACES = {"run": RUN, "date": DATE, **{name: Place(name, "d") for name in ("n", "session", "size")}}


def parse(text: bytes) -> tuple[Part, ...]:
    """
    The value of a header as a user writes it: C{{run}}, the run's id; C{{n}}, the message's number in the run;
    C{{session}}, that of the session that sends it; C{{size}}, of its body, in bytes; C{{date}}, as in a Date header;
    C{{random:8}}, so many random hexadecimal digits; C{{{} and C{}}} are braces.

    @raise ValueError: there is something else between braces; the text says what was expected.
    """
    parts: list[Part] = []
    end = 0
    for match in _TOKEN.finditer(text):
        parts.append(text[end : match.start()])
        end = match.end()
        if match[1] is not None:
            parts.append(Place("random", digits=int(match[2])) if match[2] else _PLACES[match[1].decode()])
        elif len(match[0]) == 2:
            parts.append(match[0][:1])
        else:
            raise ValueError(_EXPECTED)
    return (*parts, text[end:])


def parseSubject(text: bytes) -> tuple[Part, ...]:
    """
    A subject of C{-S}, which smtp-source(1) sends as it is. So is what is between braces here if it is nothing that
    L{parse} knows, and all of it, doubled braces included, if nothing is.
    """
    if not any(match[1] for match in _TOKEN.finditer(text)):
        return (text,)
    single = (match for match in _TOKEN.finditer(text) if match[1] is None and len(match[0]) == 1)
    starts = {match.start() for match in single}
    return parse(b"".join(text[n : n + 1] * (2 if n in starts else 1) for n in range(len(text))))


def isLiteral(parts: Sequence[Part]) -> bool:
    """
    Is there nothing to fill in?
    """
    return all(isinstance(part, bytes) for part in parts)


class Template:
    """
    Lines with places in them.

    @ivar randoms: what is to be drawn for each message: the names of values, and how many hexadecimal digits each has.
    @ivar wantsSession: is the number of the session among what is filled in?
    """

    def __init__(self, parts: Sequence[Part], run: bytes) -> None:
        """
        @param run: the run's id.
        """
        self.randoms: tuple[tuple[bytes, int], ...] = ()
        self.wantsSession = any(isinstance(part, Place) and part.name == "session" for part in parts)
        # The places are those of a format by now, but for that of the date.
        pieces = [b""]
        for part in parts:
            if part == DATE:
                pieces.append(b"")
            elif isinstance(part, bytes):
                pieces[-1] += part.replace(b"%", b"%%")
            elif part == RUN:
                pieces[-1] += run.replace(b"%", b"%%")
            else:
                pieces[-1] += b"%%(%b)%b" % (self._key(part), part.conversion.encode())
        self._pieces = pieces
        self._format = pieces[0]
        self._dated = len(pieces) > 1
        self._second = -1

    def _key(self, place: Place) -> bytes:
        if place.name != "random":
            return place.name.encode()
        key = b"random%d" % len(self.randoms)
        self.randoms += ((key, place.digits),)
        return key

    def fill(self, values: Mapping[bytes, bytes | int]) -> bytes:
        """
        The lines for one message.

        @param values: by the names of the places.
        """
        if self._dated and (second := int(time.time())) != self._second:
            self._second = second
            self._format = date(second).replace(b"%", b"%%").join(self._pieces)
        return self._format % values
