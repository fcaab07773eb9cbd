"""
Checkpoints: all that is known of a run, second by second, in a directory that is right whenever it is read.

There are two files in it. C{run.json} says whose it is. C{records} is added to as the run goes, and only the end of
what was written last can be missing from it. A record is: four octets by which it is found where others are damaged; a
letter that says what it is; the length of its content; a checksum of these two and the content; and the content.
Numbers have the lowest octet first.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from smtpsource.measure.frame import Frame
from smtpsource.measure.frameformat import isMoment, isTime, isWhole, maybe
from smtpsource.measure.histogram import arePercentiles
from smtpsource.measure.marks import KINDS, Mark

#: The layout of both files. Whoever reads another one says so.
LAYOUT = 1

#: The files.
HEADER, RECORDS = "run.json", "records"

#: What begins a record. No text in JSON has it.
START = b"\x01\xf5SR"

_HEAD, _SUM = struct.Struct("<4scI"), struct.Struct("<I")

#: So many octets are before a content.
BEFORE = _HEAD.size + _SUM.size

#: The most octets of a content, packed and not.
_LONGEST, _UNPACKED = 1 << 24, 1 << 26

# What records are of, by the letters that say so.
FRAME, FACTS, MARK, END = "frame", "facts", "mark", "end"
_LETTERS = {FRAME: b"F", FACTS: b"K", MARK: b"M", END: b"E"}
_KINDS = {letter: kind for kind, letter in _LETTERS.items()}


class Record(NamedTuple):
    """
    A record.

    @ivar kind: C{FRAME}: a L{Frame}. C{FACTS}: what else is known of the run since, by the names of a report's fields;
        what has not changed is left out. C{MARK}: the place of a mark, from 0 on, and what is there now. C{END}: the
        run has ended in order: its report without what its frames say.
    @ivar content: that.
    """

    kind: str
    content: Any


def encoded(kind: str, content: Any) -> bytes:
    """
    @param kind: see L{Record}, and so is the other one.
    @raise ValueError: it is too long.
    """
    if kind == FRAME:
        octets = content.encode()
    elif kind == MARK:
        place, mark = content
        octets = _packed({"place": place, **{name: getattr(mark, name) for name in _OF_MARK}})
    else:
        octets = _packed(content)
    if len(octets) > _LONGEST:
        raise ValueError("expected a shorter record")
    head = _HEAD.pack(START, _LETTERS[kind], len(octets))
    return b"".join((head, _SUM.pack(_sumOf(head, octets)), octets))


def headerOf(content: Mapping[str, Any]) -> bytes:
    """
    The file that says whose checkpoint it is.

    @param content: C{"tool"}, C{"version"}; C{"run"}, the run's id; C{"command"}; C{"begun"}, when it was begun, in
        seconds since the epoch; C{"exercise"}, what is counted as a message; C{"thresholds"}, what must be so of the
        run; C{"warmUp"}, how many seconds are not measured; C{"percentiles"}, those that are told of latencies.
    """
    return json.dumps({"checkpoint": LAYOUT, **content}, indent=2).encode("ascii") + b"\n"


def decoded(head: bytes, content: bytes) -> Record | None:
    """
    The opposite of L{encoded}; C{None} if it is none.

    @param head: as many octets as L{BEFORE} says.
    @param content: as many as L{lengthIn} says.
    """
    letter, expected = _KINDS.get(head[len(START) : len(START) + 1]), _SUM.unpack_from(head, _HEAD.size)[0]
    if letter is None or expected != _sumOf(head[: _HEAD.size], content):
        return None
    try:
        return Record(letter, _contentOf(letter, content))
    except ValueError:
        return None


def lengthIn(head: bytes) -> int | None:
    """
    How long the content is that comes after these octets; C{None} if they are before no record.
    """
    if len(head) < BEFORE:
        return None
    start, letter, length = _HEAD.unpack_from(head)
    isOne = start == START and letter in _KINDS and length <= _LONGEST
    return int(length) if isOne else None


def headerIn(octets: bytes) -> dict[str, Any]:
    """
    The opposite of L{headerOf}.

    @raise ValueError: it is none; the text is one line.
    """
    try:
        header = json.loads(octets)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or "checkpoint" not in header:
        raise ValueError(f"expected a checkpoint of a run, but {HEADER} is none's")
    if header["checkpoint"] != LAYOUT:
        raise ValueError(f"expected a checkpoint of layout {LAYOUT}, not {str(header['checkpoint'])[:20]}")
    wrong = [name for name, check in _FIELDS.items() if not check(header.get(name))]
    if wrong:
        raise ValueError(f"expected a checkpoint of a run, but in {HEADER} {wrong[0]} is not what it should be")
    return header


def _sumOf(head: bytes, content: bytes) -> int:
    return zlib.crc32(content, zlib.crc32(head[len(START) :]))


def _packed(content: Mapping[str, Any]) -> bytes:
    return zlib.compress(json.dumps(content, separators=(",", ":")).encode("ascii"), 1)


def _contentOf(kind: str, octets: bytes) -> Any:
    if kind == FRAME:
        return Frame.decode(octets)
    stream = zlib.decompressobj()
    try:
        text = stream.decompress(octets, _UNPACKED)
        content = json.loads(text, parse_constant=_noNumber)
    except (zlib.error, RecursionError) as e:
        raise ValueError(str(e))
    if not stream.eof or not isinstance(content, dict):
        raise ValueError("it is longer than any, or no object")
    return _markOf(content) if kind == MARK else content


def _markOf(content: dict[str, Any]) -> tuple[int, Mark]:
    place = content.get("place")
    fields = {name: content[name] for name, check in _OF_MARK.items() if name in content and check(content[name])}
    if type(place) is not int or place < 0 or fields.keys() != _OF_MARK.keys():
        raise ValueError("it is no mark")
    return place, Mark(**fields)


def _noNumber(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _isText(value: object) -> bool:
    return isinstance(value, str)


def _isNumber(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value < 1e12  # type: ignore[operator]


def _areTexts(value: object) -> bool:
    return isinstance(value, list) and all(map(_isText, value))


# What is written of a mark; what has come of the run after it is found again.
_OF_MARK: Mapping[str, Callable[[Any], bool]] = {
    "at": isMoment,
    "text": _isText,
    "kind": lambda value: value in KINDS,
    "status": maybe(isWhole),
    "seconds": maybe(isTime),
    "output": _isText,
}

_FIELDS = {
    "tool": _isText,
    "version": _isText,
    "run": _isText,
    "command": _areTexts,
    "begun": _isNumber,
    "exercise": lambda value: value in ("mail", "noop", "connect"),
    "thresholds": _areTexts,
    "warmUp": _isNumber,
    "percentiles": arePercentiles,
}
