"""
Steps: what a picture shows of a part of a run, as small as that can be kept.
"""

from __future__ import annotations

import marshal
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from itertools import accumulate, islice, pairwise
from math import ceil
from typing import Any, NamedTuple

from smtpsource.measure.counters import totals
from smtpsource.measure.frame import Buckets, Frame
from smtpsource.measure.histogram import HIGHEST_MICROSECONDS, highestOf, indexOf, lowestOf, ranks
from smtpsource.measure.planes import fill, planesOf
from smtpsource.records import dataclass

#: The percentiles of each step, and their names.
PERCENTILES = {"p50": 50, "p95": 95, "p99": 99, "max": 100}

#: A heat map has so many rows for latencies up to ten times as long.
ROWS = 8

#: How many buckets of L{smtpsource.measure.histogram} become one in a step, by the length of the first one's index in
#: bits: there are 128 to the doubling then, or one for each microsecond.
_WIDTHS = tuple(min(8, max(1, (1 << bits) >> 9)) for bits in range(indexOf(HIGHEST_MICROSECONDS).bit_length() + 1))

#: What does not fit into an index begins at 0 again.
_WRAP = 1 << 8 * array("H").itemsize


class Spread(NamedTuple):
    """
    The latencies of one phase in a step.

    @ivar total: how many they are.
    @ivar figures: their L{PERCENTILES}, in seconds.
    @ivar heat: how many are in each row of a heat map that has some: row r has those from 10**(r/8) microseconds on.
    @ivar coarse: by the lowest of the buckets that became one, how many are in it.
    """

    total: int
    figures: tuple[float, ...]
    heat: Mapping[int, int]
    coarse: Mapping[int, int]


@dataclass(frozen=True)
class Step:
    """
    A part of a run.

    @ivar at: when it ended, in seconds from the start of the run.
    @ivar phases: the latencies, by phase; those that did not happen are left out, here and below.
    @ivar replies: by phase, by code, how many.
    @ivar errors: by kind.
    @ivar watched: what was watched, as it was last known.
    """

    at: float
    phases: Mapping[int, Spread]
    replies: Mapping[int, Mapping[str, int]]
    errors: Mapping[str, int]
    watched: Mapping[str, float]

    def encode(self) -> bytes:
        """
        The same in some kilobytes, for this process: made once, whoever asks.
        """
        return self._encoded

    @cached_property
    def _encoded(self) -> bytes:
        phases = [(phase, len(spread.coarse), *spread[:3]) for phase, spread in self.phases.items()]
        about: Any = self.at, phases, self.replies, self.errors, self.watched
        head = marshal.dumps(about)
        pairs = [pair for spread in self.phases.values() for pair in sorted(spread.coarse.items())]
        # How far each is from the one before, as most are as far as the one before: that takes half the room.
        indexes = planesOf(array("H", [(b - a) % _WRAP for a, b in pairwise((0, *(index for index, _ in pairs)))]))
        counts = planesOf(array("Q", [count for _, count in pairs]))
        return zlib.compress(b"".join((len(head).to_bytes(4), head, indexes, counts)), 1)

    @classmethod
    def decode(cls, data: bytes) -> Step:
        """
        The opposite of L{encode}.
        """
        whole = zlib.decompress(data)
        head = 4 + int.from_bytes(whole[:4])
        at, phases, *others = marshal.loads(whole[4:head])
        indexes = head + array("H").itemsize * sum(length for _, length, *_ in phases)
        apart = fill(array("H"), whole[head:indexes])
        places = (index % _WRAP for index in accumulate(apart))
        pairs = zip(places, fill(array("Q"), whole[indexes:]), strict=True)
        spreads = {
            phase: Spread(total, figures, heat, dict(islice(pairs, length)))
            for phase, length, total, figures, heat in phases
        }
        return cls(at, spreads, *others)


def stepOf(frame: Frame) -> Step:
    """
    A frame as a step. All of it is exact.
    """
    return Step(
        at=frame.at,
        phases={phase: _spread(buckets) for phase, buckets in enumerate(frame.buckets) if buckets},
        replies={
            phase: {code: count for code, (count, _) in codes.items()}
            for phase, codes in enumerate(frame.replies)
            if codes
        },
        errors={kind: count for kind, (count, _) in frame.errors.items()},
        watched=dict(frame.watched),
    )


def joined(steps: Sequence[Step]) -> Step:
    """
    Steps one after the other as one. Percentiles are no lower than they should be, and less than 1 per cent higher; the
    rest is exact.

    @param steps: at least one.
    """
    if len(steps) == 1:
        return steps[0]
    phases = sorted({phase for step in steps for phase in step.phases})
    answering = sorted({phase for step in steps for phase in step.replies})
    return Step(
        at=steps[-1].at,
        phases={phase: _together([step.phases[phase] for step in steps if phase in step.phases]) for phase in phases},
        replies={phase: totals(step.replies.get(phase, {}) for step in steps) for phase in answering},
        errors=totals(step.errors for step in steps),
        watched={name: value for step in steps for name, value in step.watched.items()},
    )


def _spread(buckets: Buckets) -> Spread:
    used = sorted(buckets)
    reached = list(accumulate(map(buckets.__getitem__, used)))
    coarse: dict[int, int] = {}
    for index, count in buckets.items():
        lowest = index & -_WIDTHS[index.bit_length()]
        coarse[lowest] = coarse.get(lowest, 0) + count
    figures = tuple(highestOf(used[bisect_left(reached, rank)]) / 1e6 for rank in ranks(reached[-1], _WANTED))
    return Spread(reached[-1], figures, _heat(used, reached), coarse)


def _together(spreads: Sequence[Spread]) -> Spread:
    if len(spreads) == 1:
        return spreads[0]
    coarse = totals(spread.coarse for spread in spreads)
    used = sorted(coarse)
    reached = list(accumulate(map(coarse.__getitem__, used)))
    longest = max(spread.figures[-1] for spread in spreads)
    found = (used[bisect_left(reached, rank)] for rank in ranks(reached[-1], _WANTED))
    figures = (highestOf(lowest + _WIDTHS[lowest.bit_length()] - 1) / 1e6 for lowest in found)
    return Spread(
        reached[-1],
        tuple(min(figure, longest) for figure in figures),
        totals(spread.heat for spread in spreads),
        coarse,
    )


_WANTED = tuple(PERCENTILES.values())


def _heat(used: Sequence[int], reached: Sequence[int]) -> dict[int, int]:
    """
    @param used: the buckets that are not empty.
    @param reached: how many latencies there are up to each of them.
    """
    heat: dict[int, int] = {}
    place = before = 0
    while place < len(used):
        row = rowOf(used[place])
        place = bisect_left(used, _starts()[row + 1], place)
        heat[row] = reached[place - 1] - before
        before = reached[place - 1]
    return heat


def rowOf(index: int) -> int:
    """
    The row of a heat map that a bucket is in.
    """
    return bisect_right(_starts(), index) - 1


@cache
def _starts() -> list[int]:
    """
    The first bucket of each row, and the one after the last.
    """
    starts, last = [0], indexOf(HIGHEST_MICROSECONDS)
    while starts[-1] <= last:
        lowest = ceil(10 ** (len(starts) / ROWS) - 1e-6)
        starts.append(indexOf(lowest) + (lowestOf(indexOf(lowest)) < lowest))
    return starts
