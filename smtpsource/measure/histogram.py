"""
Latencies: a log-linear recorder for the hot path, and the figures that follow from its buckets.

The buckets are those of an HdrHistogram of 3 significant digits from 1 microsecond: one each up to 2047 us, then 1024
for every doubling. L{smtpsource.measure.encoding} makes one of them, which loses nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import accumulate, chain, compress
from operator import sub

from smtpsource.records import dataclass

#: The highest latency that is told apart from higher ones: one hour.
HIGHEST_MICROSECONDS = 3600 * 1000 * 1000

#: Latencies of fewer microseconds than this have a bucket each.
LINEAR = 2048

#: Buckets are looked at in pieces of so many.
PIECE = 512

#: The percentiles that are told of each phase.
PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)


def arePercentiles(value: object) -> bool:
    """
    Are these such, as JSON has them?
    """
    return isinstance(value, list) and all(type(each) in (int, float) and 0 < each <= 100 for each in value)


_HALF = LINEAR // 2
_LINEAR_BITS = LINEAR.bit_length() - 1

#: Room made at once: up to about 8 seconds; what is slower than that makes the list longer.
_FIRST_LENGTH = LINEAR + 12 * _HALF


@dataclass(frozen=True)
class Latency:
    """
    What a histogram says of one phase; all times in seconds, right to 3 digits. Reports of earlier versions have no
    C{p95}.
    """

    count: int
    minimum: float
    mean: float
    p50: float
    p90: float
    p95: float | None
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
        Count a latency, once or several times. A negative one (no clock we use gives one) counts as 0, one of over
        an hour as an hour.
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

    def add(self, buckets: Mapping[int, int]) -> None:
        """
        Count what others have.

        @param buckets: how many more fell into some of the buckets.
        """
        if buckets:
            longest = max(buckets)
            if longest >= len(self.counts):
                self._grow(longest)
            for index, count in buckets.items():
                self.counts[index] += count

    def _grow(self, index: int) -> None:
        length = max(index + 1, _FIRST_LENGTH)
        self.counts.extend([0] * (length - len(self.counts)))

    def summarize(self) -> Latency | None:
        """
        The figures of a report, or C{None} if nothing was recorded.
        """
        return summarize(self.counts)


def summarize(counts: Sequence[int]) -> Latency | None:
    """
    The figures of a report for the latencies in these buckets, or C{None} if there are none.
    """
    # Most buckets are empty, and there are thousands for each phase: that is found out by the interpreter.
    used = list(compress(range(len(counts)), counts))
    if not used:
        return None
    reached = list(accumulate(map(counts.__getitem__, used)))
    total = reached[-1]
    p50, p90, p95, p99, p999 = (highestOf(used[bisect_left(reached, rank)]) / 1e6 for rank in ranks(total, PERCENTILES))
    return Latency(
        count=total,
        minimum=lowestOf(used[0]) / 1e6,
        mean=sum(counts[index] * middleOf(index) for index in used) / total / 1e6,
        p50=p50,
        p90=p90,
        p95=p95,
        p99=p99,
        p999=p999,
        maximum=highestOf(used[-1]) / 1e6,
    )


def nameOf(percentile: float) -> str:
    """
    What a percentile is called: C{"p99.9"}.
    """
    return f"p{percentile:.12g}"


def percentiles(counts: Sequence[int], wanted: Sequence[float]) -> list[float]:
    """
    Percentiles of the latencies in these buckets, in seconds: for each, the highest latency that falls into the bucket
    where so many per cent are reached, as HdrHistogram has it. All are 0 if there are no latencies.

    @param wanted: from 0 to 100, in growing order.
    """
    return _percentiles(list(accumulate(counts)), wanted, range(0, len(counts), PIECE))


def pieces(now: Sequence[int], before: Sequence[int] = ()) -> Iterator[tuple[int, list[int]]]:
    """
    The latencies since then, where there are any: most buckets are empty, and there is no time for thousands of them.

    @param now: buckets.
    @param before: the same, or as many as there were, earlier.
    @return: the bucket with which each piece begins, and the piece, of C{PIECE} buckets if it is not the last.
    """
    for start in range(0, len(now), PIECE):
        piece, known = now[start : start + PIECE], before[start : start + PIECE]
        if piece != known and (known or any(piece)):
            yield start, [*map(sub, piece, known), *piece[len(known) :]]


def percentilesSince(now: Sequence[int], before: Sequence[int], wanted: Sequence[float]) -> list[float]:
    """
    What L{percentiles} says of the latencies since then, in less time; nothing if there are none.
    """
    found = list(pieces(now, before))
    reached = list(accumulate(chain.from_iterable(counts for _, counts in found)))
    return _percentiles(reached, wanted, [start for start, _ in found]) if reached and reached[-1] else []


def percentilesOf(buckets: Mapping[int, int], wanted: Sequence[float]) -> list[float]:
    """
    What L{percentiles} says of the latencies in these buckets; nothing if there are none.

    @param buckets: how many are in each that is used.
    """
    used = sorted(buckets)
    reached = list(accumulate(map(buckets.__getitem__, used)))
    if not reached or not reached[-1]:
        return []
    return [highestOf(used[bisect_left(reached, rank)]) / 1e6 for rank in ranks(reached[-1], wanted)]


def _percentiles(reached: Sequence[int], wanted: Sequence[float], starts: Sequence[int]) -> list[float]:
    """
    @param reached: for each bucket, how many latencies there are up to its end.
    @param starts: where the buckets are from: with which of them each piece begins.
    """
    total = reached[-1] if reached else 0
    if not total:
        return [0.0] * len(wanted)
    places = [divmod(bisect_left(reached, rank), PIECE) for rank in ranks(total, wanted)]
    return [highestOf(starts[number] + place) / 1e6 for number, place in places]


def ranks(total: int, wanted: Sequence[float]) -> list[int]:
    """
    How many latencies must be reached for each of these percentiles: as HdrHistogram has it rounded, and at least one.
    """
    return [max(1, int(percentile / 100 * total + 0.5)) for percentile in wanted]


def indexOf(microseconds: int) -> int:
    """
    The bucket in which a latency is counted.
    """
    shift = max(0, microseconds.bit_length() - _LINEAR_BITS)
    return shift * _HALF + (microseconds >> shift)


def lowestOf(index: int) -> int:
    """
    The lowest latency, in microseconds, that is counted in bucket C{index}.
    """
    if index < LINEAR:
        return index
    shift = index // _HALF - 1
    return (index - shift * _HALF) << shift


def highestOf(index: int) -> int:
    """
    The highest latency, in microseconds, that is counted in bucket C{index}.
    """
    return lowestOf(index + 1) - 1


@cache  # there are few, and a mean is made of them again and again
def middleOf(index: int) -> float:
    """
    The latency, in microseconds, that those in bucket C{index} are taken for in a mean.
    """
    return (lowestOf(index) + lowestOf(index + 1) - 1) / 2
