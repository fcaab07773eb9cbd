"""
Frames as bytes: they go from process to process, and from machine to machine. Whatever somebody else may send instead
is told from them in little time and memory; no more than the longest of ours takes.

All is compressed: the length of a header, the header in JSON, and then for all buckets that are used their indexes,
each as its distance from the one before in its phase, and how many latencies there are in each, both as
L{smtpsource.measure.planes} has numbers.
"""

from __future__ import annotations

import json
import zlib
from array import array
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, chain, islice
from operator import sub
from typing import Any

from smtpsource.measure.counters import COUNTERS, Counters
from smtpsource.measure.histogram import HIGHEST_MICROSECONDS, indexOf
from smtpsource.measure.planes import fill, planesOf
from smtpsource.measure.watched import LARGEST
from smtpsource.phases import NAMES

#: The layout of what L{encode} gives. Whoever reads another one says so.
VERSION = 3

#: The most bytes of a header. What is longer is so by the texts of a server's replies, and is sent without them.
_LONGEST_HEADER = 1 << 20

#: How many buckets a phase has, and the bytes of one that is used.
_LENGTH = indexOf(HIGHEST_MICROSECONDS) + 1
_INDEX, _COUNT = array("I").itemsize, array("q").itemsize

_LONGEST = 4 + _LONGEST_HEADER + len(NAMES) * _LENGTH * (_INDEX + _COUNT)

#: No number is more than this, and no time, in seconds, more than that: nor are they in a report.
MOST, LATEST = 10**18, 1e10

#: What may be taken back: all other counts only grow.
_FALLING = ("accepted", "recipientsAccepted")


def encode(fields: Mapping[str, Any]) -> bytes:
    """
    @param fields: those of a L{Frame<smtpsource.measure.frame.Frame>}.
    """
    buckets = fields["buckets"]
    # Those of a recorder are in order.
    inOrder = [of if list(of) == sorted(of) else dict(sorted(of.items())) for of in buckets]
    distances = array("I", chain.from_iterable(map(sub, of, chain((0,), of)) for of in inOrder))
    counts = array("q", chain.from_iterable(of.values() for of in inOrder))
    counters = {name: value for name in COUNTERS if (value := getattr(fields["counters"], name))}
    lengths = [len(of) for of in buckets]
    head = {"version": VERSION, **fields, "counters": counters, "buckets": lengths}
    text = _dump(head)
    if len(text) > _LONGEST_HEADER:
        bare = {"replies": [_withoutTexts(of) for of in fields["replies"]], "errors": _withoutTexts(fields["errors"])}
        text = _dump(head | bare)
    return zlib.compress(b"".join((len(text).to_bytes(4), text, planesOf(distances), planesOf(counts))), 1)


def decode(data: bytes) -> dict[str, Any]:
    """
    The opposite of L{encode}.

    @raise ValueError: it is no frame, or one of another version; the text is one line.
    """
    try:
        return _fields(data)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, zlib.error) as e:
        raise ValueError(f"expected a frame of this version of smtpsource, not one that is bad: {e}") from None


def _fields(data: bytes) -> dict[str, Any]:
    stream = zlib.decompressobj()
    whole = stream.decompress(data, _LONGEST)
    if not stream.eof or stream.unused_data:
        raise ValueError("it is longer or shorter than any")
    end = 4 + int.from_bytes(whole[:4])
    if end > min(len(whole), 4 + _LONGEST_HEADER):
        raise ValueError("its header is longer than it may be")
    head: dict[str, Any] = json.loads(whole[4:end])
    if head.pop("version", None) != VERSION:
        raise ValueError("it has another version")
    wrong = head.keys() ^ _CHECKS.keys() or [name for name, check in _CHECKS.items() if not check(head[name])]
    if wrong:
        raise ValueError(f"of its fields {min(wrong)[:40]!a} is missing, unknown, or not what it should be")
    return head | {
        "counters": Counters(**head["counters"]),
        "buckets": _buckets(memoryview(whole)[end:], head["buckets"]),
        "replies": [_tallies(codes) for codes in head["replies"]],
        "errors": _tallies(head["errors"]),
        "cpu": tuple(head["cpu"]),
    }


def _buckets(numbers: memoryview, lengths: Sequence[int]) -> list[dict[int, int]]:
    total = sum(lengths)
    if len(numbers) != total * (_INDEX + _COUNT):
        raise ValueError("it has more or fewer buckets than it says")
    distances = iter(fill(array("I"), numbers[: total * _INDEX]))
    counts = iter(fill(array("q"), numbers[total * _INDEX :]))
    buckets = [
        dict(zip(accumulate(islice(distances, length)), islice(counts, length), strict=True)) for length in lengths
    ]
    for of, length in zip(buckets, lengths, strict=True):
        if len(of) != length or (of and (max(of) >= _LENGTH or min(of.values()) < 0 or max(of.values()) > MOST)):
            raise ValueError("it has buckets that there are not")
    return buckets


def _dump(head: Mapping[str, Any]) -> bytes:
    return json.dumps(head, separators=(",", ":")).encode("ascii")


def _withoutTexts(tallies: Mapping[str, tuple[int, str]]) -> dict[str, tuple[int, str]]:
    return {key: (count, "") for key, (count, _) in tallies.items()}


def _tallies(found: Mapping[str, Sequence[Any]]) -> dict[str, tuple[int, str]]:
    return {key: (count, text) for key, (count, text) in found.items()}


# What each field must be in JSON.


def isWhole(value: Any) -> bool:
    """
    Is it a whole number, and no larger than any?
    """
    return type(value) is int and -MOST <= value <= MOST


def _isCount(value: Any) -> bool:
    return isWhole(value) and bool(value >= 0)


def _isNumber(value: Any) -> bool:
    return type(value) in (int, float) and bool(-MOST <= value <= MOST)


def _isFigure(value: Any) -> bool:
    return type(value) in (int, float) and bool(abs(value) <= LARGEST)


def isMoment(value: Any) -> bool:
    """
    Is it a time from a moment of a run, in seconds, less than 0 before that?
    """
    return _isNumber(value) and bool(-LATEST <= value <= LATEST)


def isTime(value: Any) -> bool:
    """
    Is it a time, in seconds, that something can take?
    """
    return isMoment(value) and bool(value >= 0)


def _isText(value: Any) -> bool:
    return isinstance(value, str)


def _isOctets(value: Any) -> bool:
    """
    Is it what a server said, a character for each byte?
    """
    return isinstance(value, str) and (value.isascii() or max(value) <= "\xff")


def _areCounters(value: Any) -> bool:
    return isinstance(value, dict) and all(
        name in COUNTERS and (isWhole if name in _FALLING else _isCount)(count) for name, count in value.items()
    )


def maybe(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """
    The same of what may be C{None}.
    """
    return lambda value: value is None or check(value)


def _each(check: Callable[[Any], bool], length: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and len(value) == length and all(map(check, value))


def _table(key: Callable[[Any], bool], check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(key, value)) and all(map(check, value.values()))


def _tally(text: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return _table(
        text, lambda value: isinstance(value, list) and len(value) == 2 and _isCount(value[0]) and text(value[1])
    )


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "number": _isCount,
    "epoch": lambda value: type(value) is int and value in (0, 1),
    "at": isTime,
    "seconds": isTime,
    "counters": _areCounters,
    "buckets": _each(_isCount, len(NAMES)),
    "replies": _each(_tally(_isOctets), len(NAMES)),
    "errors": _tally(_isText),
    "tls": _table(_isText, _isCount),
    "capabilities": maybe(_table(_isText, _isText)),
    "asked": maybe(_isNumber),
    "scheduledSeconds": maybe(isTime),
    "cpu": _each(isTime, 2),
    "lag": isTime,
    "waited": maybe(isTime),
    "gauges": _table(_isText, _isNumber),
    "watched": _table(_isText, _isFigure),
    "last": lambda value: isinstance(value, bool),
}
