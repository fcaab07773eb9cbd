"""
Histograms as text: HdrHistogram's own encoding, version 2, compressed and in base64, which its tools in any language
read. Nothing is lost on the way there and back, and what is read can be added up.

HdrHistogram's Python package would do it, too. But its objects lead back to themselves, so the 200 kB of each are not
free before the garbage collector comes, which it hardly does in a run; and it unpacks whatever is in a text, however
much that is.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterable, Sequence
from itertools import compress, groupby, zip_longest
from operator import not_

from smtpsource.measure.histogram import HIGHEST_MICROSECONDS, indexOf

#: The digits that are right, the lowest latency, and the highest.
_BOUNDS = (3, 1, HIGHEST_MICROSECONDS)

#: Before what is compressed: a cookie, and the length.
_OUTER = struct.Struct(">II")
_OUTER_COOKIE = 0x1C849314

#: In it, before the counts: a cookie, their length, an offset of which no use is made, L{_BOUNDS}, and what a value is
#: multiplied by.
_HEADER = struct.Struct(">IIIIQQd")
_COOKIE = 0x1C849313

#: How many buckets there are, and the bytes that a count takes at the most.
_LENGTH = indexOf(HIGHEST_MICROSECONDS) + 1
_LONGEST = 9


def encode(counts: Sequence[int]) -> str:
    """
    The latencies in these buckets, in microseconds.

    @param counts: as L{smtpsource.measure.histogram} has them: in the order of HdrHistogram's own buckets.
    """
    words = bytearray()
    for isEmpty, group in groupby(counts[: usedLength(counts)], not_):
        if isEmpty:
            _append(words, -len(list(group)))  # so many
            continue
        for count in group:
            if count < 0x40:
                words.append(count << 1)
            else:
                _append(words, count)
    body = zlib.compress(_HEADER.pack(_COOKIE, len(words), 0, *_BOUNDS, 1.0) + words)
    return base64.b64encode(_OUTER.pack(_OUTER_COOKIE, len(body)) + body).decode("ascii")


def decode(text: str) -> list[int]:
    """
    The buckets that such a text has.

    @raise ValueError: it is none, or one of a histogram with other buckets than ours; the text is one line.
    """
    try:
        header, counts = _read(base64.b64decode(text, validate=True))
    except (ValueError, IndexError, struct.error, zlib.error):
        raise ValueError("expected an HdrHistogram in base64, version 2") from None
    if header != _BOUNDS:
        raise ValueError("expected an HdrHistogram of 1 us to 1 hour with 3 digits")
    return counts[: usedLength(counts)]


def _read(text: bytes) -> tuple[tuple[int, ...], list[int]]:
    cookie, length = _OUTER.unpack_from(text)
    if cookie != _OUTER_COOKIE or length != len(text) - _OUTER.size:
        raise ValueError("it begins in another way")
    stream = zlib.decompressobj()
    body = stream.decompress(text[_OUTER.size :], _HEADER.size + _LENGTH * _LONGEST)
    cookie, _, _, *bounds, _ = _HEADER.unpack_from(body)
    if cookie != _COOKIE or not stream.eof:
        raise ValueError("something else is compressed, or more, or not all of it")
    counts: list[int] = []
    place = _HEADER.size
    while place < len(body):
        count, place = _next(body, place)
        if len(counts) + max(1, -count) > _LENGTH:
            raise ValueError("more buckets than there are")
        counts += [count] if count >= 0 else [0] * -count
    return tuple(bounds), counts


# A count is written in ZigZag (the lowest bit is the sign), seven bits a byte, the lowest first; the eighth bit says
# that there are more. Of a ninth byte all eight bits count.


def _append(words: bytearray, count: int) -> None:
    value = count << 1 if count >= 0 else -count * 2 - 1
    for _ in range(_LONGEST - 1):
        if value < 0x80:
            break
        words.append(value & 0x7F | 0x80)
        value >>= 7
    words.append(value)


def _next(body: bytes, place: int) -> tuple[int, int]:
    """
    The count that begins there, and where the next one does.
    """
    value = shift = 0
    while True:
        byte = body[place]
        place += 1
        if shift == 7 * (_LONGEST - 1) or byte < 0x80:
            value |= byte << shift
            return (value >> 1) ^ -(value & 1), place
        value |= (byte & 0x7F) << shift
        shift += 7


def added(histograms: Iterable[Sequence[int]]) -> list[int]:
    """
    The buckets of several histograms added up.
    """
    total: list[int] = []
    for counts in histograms:
        total = [a + b for a, b in zip_longest(total, counts, fillvalue=0)]
    return total


def usedLength(counts: Sequence[int]) -> int:
    """
    How many buckets there are up to the last that is not empty.
    """
    # There are thousands to look at, so it is the interpreter who looks.
    return next(compress(range(len(counts), 0, -1), reversed(counts)), 0)
