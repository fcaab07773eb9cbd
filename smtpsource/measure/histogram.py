"""
Latencies: a log-linear recorder for the hot path, HdrHistogram for everything after it.

The buckets are those of an HdrHistogram of 3 significant digits from 1 microsecond: one each up to 2047 us, then 1024
for every doubling. Converting one into the other loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hdrh.histogram import HdrHistogram

#: The highest latency that is told apart from higher ones: one hour.
HIGHEST_MICROSECONDS = 3600 * 1000 * 1000

#: Latencies of fewer microseconds than this have a bucket each.
LINEAR = 2048

_HALF = LINEAR // 2
_LINEAR_BITS = LINEAR.bit_length() - 1

#: Room made at once: up to about 8 seconds; what is slower than that makes the list longer.
_FIRST_LENGTH = LINEAR + 12 * _HALF


@dataclass(frozen=True)
class Latency:
    """
    What a histogram says of one phase; all times in seconds, right to 3 digits.
    """

    count: int
    minimum: float
    mean: float
    p50: float
    p90: float
    p99: float
    p999: float
    maximum: float


class LatencyRecorder:
    """
    Counts latencies by bucket.

    @ivar counts: how many latencies fell into each bucket.
    """

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: list[int] = []  # grows in place: the recorder holds it, too

    def record(self, seconds: float, count: int = 1) -> None:
        """
        Count a latency, once or several times. A negative one (no clock we use gives one) counts as 0, one of over an hour as an hour.
        """
        microseconds = int(seconds * 1e6)
        if microseconds >= LINEAR:
            if microseconds > HIGHEST_MICROSECONDS:
                microseconds = HIGHEST_MICROSECONDS
            shift = microseconds.bit_length() - _LINEAR_BITS
            index = shift * _HALF + (microseconds >> shift)
        else:
            index = microseconds if microseconds > 0 else 0
        try:
            self.counts[index] += count
        except IndexError:
            self._grow(index)
            self.counts[index] += count

    def _grow(self, index: int) -> None:
        length = max(index + 1, _FIRST_LENGTH)
        self.counts.extend([0] * (length - len(self.counts)))

    def toHdr(self) -> HdrHistogram:
        """
        The same latencies as an HdrHistogram, in microseconds.
        """
        from hdrh.histogram import HdrHistogram  # 50 ms: not before there is something to report

        histogram = HdrHistogram(1, HIGHEST_MICROSECONDS, 3)
        for index, count in enumerate(self.counts):
            if count:
                histogram.record_value(lowestOf(index), count)
        return histogram

    def summarize(self) -> Latency | None:
        """
        The figures of a report, or C{None} if nothing was recorded.
        """
        total = sum(self.counts)
        if not total:
            return None
        histogram = self.toHdr()
        percentiles = histogram.get_percentile_to_value_dict([50, 90, 99, 99.9])
        return Latency(
            count=total,
            minimum=histogram.get_min_value() / 1e6,
            # HdrHistogram's own way takes 50 ms: it looks at every bucket that there could be.
            mean=sum(middleOf(index) * count for index, count in enumerate(self.counts) if count) / total / 1e6,
            p50=percentiles[50] / 1e6,
            p90=percentiles[90] / 1e6,
            p99=percentiles[99] / 1e6,
            p999=percentiles[99.9] / 1e6,
            maximum=histogram.get_max_value() / 1e6,
        )


def lowestOf(index: int) -> int:
    """
    The lowest latency, in microseconds, that is counted in bucket C{index}.
    """
    if index < LINEAR:
        return index
    shift = index // _HALF - 1
    return (index - shift * _HALF) << shift


def middleOf(index: int) -> float:
    """
    The latency, in microseconds, that those in bucket C{index} are taken for in a mean.
    """
    return (lowestOf(index) + lowestOf(index + 1) - 1) / 2
