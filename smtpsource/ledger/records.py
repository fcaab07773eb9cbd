"""
A ledger on the disk: a line of JSON that says whose it is, and then records of one size, one after the other. They are
only ever added, each in one write(2), so what was written before a process was killed is there.

A ledger of the generator has an C{INTENT} for each recipient before the content's end leaves, and an C{OUTCOME} when
there is one. A ledger of a server has an C{ARRIVAL} for each recipient before its reply leaves. A message without an
outcome is one that nobody knows about: the connection was lost, or the generator was.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from struct import Struct
from typing import Any

#: The version of this layout.
VERSION = 1

#: Bytes of a record.
SIZE = 64

#: Whose ledger it may be.
ROLES = ("source", "sink")

#: The most bytes that a header may have.
LONGEST_HEADER = 1 << 20

# Kinds of records. What a field has no meaning for is 0.
#
#: A message is about to be sent to a recipient. C{flag}: which attempt this is, from 1. C{index}: of the recipient in
#: its message, from 0. C{address}, C{raw}, C{canonical}, C{size}: its address, and of the body.
INTENT = 1
#: What came of it. C{flag}: one of the outcomes below. C{index}: of the recipient it is about, or L{WHOLE} for all of
#: whom nothing else is said before. C{code}: of the reply; 250 for any that accepts. C{raw}: when the message was
#: due, if there was a schedule. C{session}: the generator's.
OUTCOME = 2
#: A message has come for a recipient. C{flag}: one of the deeds below. C{index}: which attempt this is, from 1, if the
#: sink knows. C{code}: of the reply that it gets. C{run}, C{number}: of its id; 0 if it has none. C{address}: of RCPT.
#: C{size}: of the whole message. C{session}: the sink's.
ARRIVAL = 3
#: The next arrival was for this address (C{address}) when it was sent: ORCPT (RFC 3461 section 4.2) says so.
ORIGINAL = 4
#: The connection of a C{session} was lost, and the replies to its C{size} latest arrivals may not have been seen. Who
#: says more after a reply was written is thought to have seen it, as of a group of commands only the last one's is
#: waited for (RFC 2920 section 3.1). Of one that waits for nothing, and says QUIT a moment later, that is not true.
UNSEEN = 5
#: A report about a message has come (RFC 3464). C{flag}: one of the actions below. C{code}: its status, such as 511 for
#: 5.1.1. C{address}: whom it is about; 0 if it does not say.
REPORT = 6
#: Nothing was written for a second, but somebody was there to say so. C{flag}: 1 if clients were heard in that second:
#: a queue whose messages are put off is none that has drained.
ALIVE = 7
#: The end. C{flag}: 1 if it was in order.
END = 8
#: The text behind a number: C{size} bytes in the records that follow. C{flag}: what it is, see below. C{address}: the
#: number; of L{FROM} it is the session.
NAME = 9
#: Up to L{PIECE} bytes of a text: C{flag} says how many. They take the place of all other fields.
TEXT = 10
#: Octets of an id were found that don't belong together: it was damaged, or made up.
DAMAGED = 11
#: An L{ARRIVAL} of this session before is none: it could not be made sure that it stays on the disk, and its reply was
#: C{code}. All other fields are those of the arrival.
TAKEN_BACK = 12
#: A C{session} that had arrivals has ended, and all replies to them were seen.
LEFT = 13
#: All kinds.
KINDS = range(INTENT, LEFT + 1)

#: C{index} of an outcome that is about all recipients that none was told of before.
WHOLE = 0xFFFF

#: Outcomes: the server has taken responsibility; it has refused; nobody knows; it was never sent.
ACKNOWLEDGED, REFUSED, UNKNOWN, UNSENT = 1, 2, 3, 4
#: What a rule of the sink did on purpose, by what L{smtpsource.sink.rules.facts.Deceit} calls it; 0 is nothing.
DEEDS = ("", "accept-but-lose", "duplicate", "corrupt", "reject-but-keep")
#: The actions of reports (RFC 3464 section 2.3.3).
ACTIONS = ("", "failed", "delayed", "delivered", "relayed", "expanded")
#: What a text is: an address; where a session comes from; the name of a rule; a reply.
ADDRESS, FROM, RULE, REPLY = 1, 2, 3, 4

#: The fields of a record, in their order, each with its letter for L{struct} and its type for numpy. C{time} is in
#: nanoseconds of the clock of the header's C{monotonic}.
FIELDS = (
    ("kind", "B", "u1"),
    ("flag", "B", "u1"),
    ("index", "H", "<u2"),
    ("code", "I", "<u4"),
    ("run", "Q", "<u8"),
    ("number", "Q", "<u8"),
    ("time", "q", "<i8"),
    ("address", "Q", "<u8"),
    ("raw", "Q", "<u8"),
    ("canonical", "Q", "<u8"),
    ("size", "I", "<u4"),
    ("session", "I", "<u4"),
)

_record = Struct("<" + "".join(letter for _, letter, _ in FIELDS))
assert _record.size == SIZE

#: Makes a record of all its fields.
pack = _record.pack

#: Bytes of text in a record.
PIECE = SIZE - 2
_text = Struct(f"<BB{PIECE}s")

#: C{size} can say no more than this.
LARGEST_SIZE = 0xFFFFFFFF


def named(what: int, number: int, text: bytes, now: int) -> bytes:
    """
    The records that say what is behind a number.

    @param what: such as L{ADDRESS}.
    """
    head = pack(NAME, what, 0, 0, 0, 0, now, number, 0, 0, len(text), 0)
    if 0 < len(text) <= PIECE:  # as nearly all are
        return head + _text.pack(TEXT, len(text), text)
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    return head + b"".join(_text.pack(TEXT, len(piece), piece) for piece in pieces)


def takenBack(octets: bytes, code: int) -> bytes:
    """
    The records that take all arrivals among these back.

    @param code: of the reply.
    """
    found = []
    for at in range(0, len(octets), SIZE):
        if octets[at] == ARRIVAL:
            _, flag, index, _, *others = _record.unpack_from(octets, at)
            found.append(pack(TAKEN_BACK, flag, index, code, *others))
    return b"".join(found)


def fields(record: bytes) -> dict[str, int]:
    """
    The fields of one record, by their names.
    """
    return dict(zip((name for name, _, _ in FIELDS), _record.unpack(record), strict=True))


def headerOf(content: Mapping[str, Any]) -> bytes:
    """
    A header: as long as some records, and a line for people.
    """
    text = json.dumps({"ledger": VERSION, **content}, ensure_ascii=True).encode()
    return text.ljust(-(-(len(text) + 1) // SIZE) * SIZE - 1) + b"\n"


def parseHeader(beginning: bytes) -> tuple[dict[str, Any], int]:
    """
    The other way round.

    @param beginning: of a file.
    @return: what it says, and how long it is.
    @raise ValueError: it is none; the text says why.
    """
    line, end, _ = beginning.partition(b"\n")
    try:
        content = json.loads(line) if end else None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or "ledger" not in content or (len(line) + 1) % SIZE:
        raise ValueError("expected a ledger, which begins with a line that says so")
    if content["ledger"] != VERSION:
        raise ValueError(f"expected a ledger of version {VERSION}, not {content['ledger']!r}")
    if content.get("role") not in ROLES or not _isOffset(content.get("offset")):
        raise ValueError(f"expected a ledger that says its role, one of {', '.join(ROLES)}, and its clocks' offset")
    return content, len(line) + 1


def _isOffset(value: object) -> bool:
    return type(value) is int and abs(value) < 1 << 62


def textsOf(records: bytes) -> Iterator[tuple[int, int, bytes]]:
    """
    The texts in a row of records.

    @return: for each, what it is, the number that it is behind, and the text.
    """
    found: tuple[int, int, int] | None = None
    text = b""
    for at in range(0, len(records) - SIZE + 1, SIZE):
        kind = records[at]
        if kind == TEXT and found is not None:
            text += records[at + 2 : at + 2 + records[at + 1]]
            if len(text) >= found[2]:
                yield found[0], found[1], text
                found = None
        elif kind == NAME:
            one = fields(records[at : at + SIZE])
            found, text = (one["flag"], one["address"], one["size"]), b""
            if not one["size"]:
                yield one["flag"], one["address"], b""
                found = None
