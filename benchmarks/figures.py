"""
The arithmetic: from what processes used to figures per message, and from those to ratios.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """
    What one run of a contender used.

    @ivar messages: how many were sent.
    @ivar user: seconds of CPU in user mode, of the client and of all children that it waited for.
    @ivar system: the same in the kernel.
    @ivar wall: seconds from its start to its end.
    @ivar peak: most memory resident at a time, in bytes; L{None} if it ended before it could be seen.
    @ivar serverCPU: seconds of CPU that the server used meanwhile.
    @ivar serverPeak: most memory that the server ever had resident, in bytes.
    @ivar connections: most connections that the server was seen to have at a time, if that was watched.
    """

    messages: int
    user: float
    system: float
    wall: float
    peak: int | None
    serverCPU: float
    serverPeak: int | None = None
    connections: int | None = None

    @property
    def cpu(self) -> float:
        """
        Seconds of CPU, in all.
        """
        return self.user + self.system


@dataclass(frozen=True)
class Pair:
    """
    A run with many messages, and one with few, which is what starting, connecting and ending costs.

    @ivar small: L{None} if the measure needs none.
    """

    large: Run
    small: Run | None = None


@dataclass(frozen=True)
class Spread:
    """
    Least, middle and greatest of some values.
    """

    min: float
    median: float
    max: float


def spread(values: Iterable[float | None]) -> Spread | None:
    """
    @param values: those that are L{None} don't count.
    @return: L{None} if there is no value.
    """
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Spread(min(known), statistics.median(known), max(known))


def _difference(pair: Pair, used: Callable[[Run], float]) -> float | None:
    if pair.small is None:
        return None
    messages = pair.large.messages - pair.small.messages
    return (used(pair.large) - used(pair.small)) / messages if messages > 0 else None


def clientCPU(pair: Pair) -> float | None:
    """
    Microseconds of the client's CPU for one message more.
    """
    each = _difference(pair, lambda run: run.cpu)
    return None if each is None else each * 1e6


def serverCPU(pair: Pair) -> float | None:
    """
    Microseconds of the server's CPU for one message more.
    """
    each = _difference(pair, lambda run: run.serverCPU)
    return None if each is None else each * 1e6


def rate(pair: Pair) -> float | None:
    """
    Messages in a second, once everything runs.
    """
    each = _difference(pair, lambda run: run.wall)
    return 1 / each if each is not None and each > 0 else None


def memory(pair: Pair) -> float | None:
    """
    Peak memory of the client, in MiB.
    """
    return None if pair.large.peak is None else pair.large.peak / 2**20


def serverMemory(pair: Pair) -> float | None:
    """
    Peak memory of the server, in MiB.
    """
    return None if pair.large.serverPeak is None else pair.large.serverPeak / 2**20


def wall(pair: Pair) -> float | None:
    """
    Milliseconds from start to end.
    """
    return pair.large.wall * 1000


@dataclass(frozen=True)
class Measure:
    """
    What a case is about.

    @ivar unit: for people.
    @ivar value: computes it from a pair of runs.
    @ivar differential: it needs a small run.
    @ivar ofServer: it is about the server, not the client.
    @ivar moreIsBetter: a bar is a floor, not a ceiling.
    """

    unit: str
    value: Callable[[Pair], float | None]
    differential: bool = True
    ofServer: bool = False
    moreIsBetter: bool = False


MEASURES = {
    "cpu": Measure("us CPU/message", clientCPU),
    "server-cpu": Measure("us CPU/message", serverCPU, ofServer=True),
    "rate": Measure("messages/s", rate, moreIsBetter=True),
    "memory": Measure("MiB peak", memory, differential=False),
    "wall": Measure("ms wall", wall, differential=False),
}


def ratios(ours: Sequence[float | None], theirs: Sequence[float | None]) -> list[float | None]:
    """
    Each value divided by the one measured next to it. A pair that lacks one, or in which one isn't more than 0, gives
    L{None}.
    """
    return [
        None if one is None or other is None or one <= 0 or other <= 0 else one / other
        for one, other in zip(ours, theirs, strict=False)
    ]


@dataclass(frozen=True)
class Bar:
    """
    What must be reached.

    @ivar must: the ratio, or the value itself.
    @ivar aim: what we would like.
    @ivar absolute: it is about our own value, not about the ratio.
    """

    must: float
    aim: float
    absolute: bool = False

    def met(self, measure: Measure, value: Spread | None, ratio: Spread | None) -> bool | None:
        """
        Was it? By the median; L{None} if there is no figure.
        """
        figure = value if self.absolute else ratio
        if figure is None:
            return None
        return figure.median >= self.must if measure.moreIsBetter else figure.median <= self.must


def enough(perSecond: Iterable[float | None], seconds: float, few: int) -> int:
    """
    How many messages make the fastest contender run for about so long.

    @param perSecond: what each contender did in the warm-up; L{None} if that isn't known.
    @param few: the messages of the small run.
    @return: C{few} and a multiple of it that has no more than two digits before its zeros.
    """
    fastest = max((value for value in perSecond if value is not None), default=0.0)
    times = max(1, round(fastest * seconds / few))
    magnitude: int = 10 ** max(0, len(str(times)) - 2)
    return few + few * round(times / magnitude) * magnitude
