"""
Histograms as text: HdrHistogram's own encoding, version 2, compressed and in base64, which its tools in any language
read. Nothing is lost on the way there and back, and what is read can be added up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest

from smtpsource.measure.histogram import HIGHEST_MICROSECONDS

#: The lowest latency, the highest, and the digits that are right.
_BOUNDS = (1, HIGHEST_MICROSECONDS, 3)


def encode(counts: Sequence[int]) -> str:
    """
    The latencies in these buckets, in microseconds.

    @param counts: as L{smtpsource.measure.histogram} has them: in the order of HdrHistogram's own buckets.
    """
    from hdrh.histogram import HdrHistogram

    histogram = HdrHistogram(*_BOUNDS)
    used = usedLength(counts)
    if used:
        histogram.counts[:used] = counts[:used]
        first = next(index for index, count in enumerate(counts) if count)
        histogram.set_internal_tacking_values(first, used - 1, sum(counts))
    return histogram.encode().decode("ascii")  # type: ignore[no-any-return]


def decode(text: str) -> list[int]:
    """
    The buckets that such a text has.

    @raise ValueError: it is none, or one of a histogram with other buckets than ours; the text is one line.
    """
    from hdrh.codec import HdrHistogramEncoder
    from hdrh.histogram import HdrHistogram

    try:
        payload = HdrHistogramEncoder.decode(text)
        header = payload.payload
        bounds = header.lowest_trackable_value, header.highest_trackable_value, header.significant_figures
        counts = list(HdrHistogram(*bounds, hdr_payload=payload).counts) if bounds == _BOUNDS else None
    except Exception:  # of binascii, zlib, ctypes and hdrh: there are many ways to be no histogram
        raise ValueError("expected an HdrHistogram in base64, version 2")
    if counts is None:
        raise ValueError("expected an HdrHistogram of 1 us to 1 hour with 3 digits")
    return counts[: usedLength(counts)]


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
    length = len(counts)
    while length and not counts[length - 1]:
        length -= 1
    return length
