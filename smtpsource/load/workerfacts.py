"""
What is known of one worker of a run, by what it has told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from re import sub
from typing import Any

from smtpsource.measure.counters import AddressCounts, Counters
from smtpsource.measure.frame import Frame, Tallies
from smtpsource.phases import NAMES


class WorkerFacts:
    """
    The sum of its frames, and what it has said in the end.

    @ivar counters: what it has counted since measuring began, as far as it knows.
    @ivar epoch: that of its last frame.
    @ivar at: when that ended, in seconds from the beginning of the epoch.
    @ivar cpu: by epoch, the CPU seconds that it has used: in user mode and in the kernel.
    @ivar gauges: those of its last frame.
    @ivar end: what it has said in the end; empty if it has not.
    """

    def __init__(self) -> None:
        self.counters = Counters()
        self.epoch = 0
        self.at = 0.0
        self.cpu: dict[int, tuple[float, float]] = {}
        self.gauges: Mapping[str, float] = {}
        self.end: Mapping[str, Any] = {}
        self._before = Counters()

    def add(self, frame: Frame) -> None:
        """
        Another frame has come.
        """
        if frame.epoch != self.epoch:
            self.epoch, self._before, self.counters = frame.epoch, self.counters, Counters()
        self.counters += frame.counters
        self.at, self.gauges = frame.at, frame.gauges
        user, system = self.cpu.get(frame.epoch, (0.0, 0.0))
        self.cpu[frame.epoch] = user + frame.cpu[0], system + frame.cpu[1]

    def last(self, missing: Counters, errors: Tallies) -> Frame:
        """
        The frame that a lost worker would have ended with.

        @param missing: what it has not told.
        """
        nothing: tuple[Any, ...] = ({},) * len(NAMES)
        return Frame(
            *(0, self.epoch, self.at, 0.0, missing, nothing, nothing, errors),
            asked=0.0 if "overdue" in self.gauges else None,
            last=True,
        )

    @property
    def inFlight(self) -> int:
        """
        How many messages had no outcome at the end of the last frame.
        """
        return int(self.gauges.get("inFlight", 0))

    def ofWarmUp(self, name: str) -> int:
        """
        What became of the messages of the warm-up that is over.

        @param name: C{"accepted"}, C{"rejected"}, C{"failed"} or C{"overdue"}.
        """
        told = self.end.get("warmUp")
        return int(told[name] if told and name in told else getattr(self._before, name, 0))

    def addresses(self) -> Iterator[tuple[str, AddressCounts]]:
        """
        How often it has used each address.
        """
        for where, counts in self.end.get("addresses", {}).items():
            yield where, AddressCounts(*counts)


def together(lines: Sequence[tuple[str, Iterable[str]]]) -> list[str]:
    """
    What several workers say of themselves, so that what is the same but for the figures is said once.

    @param lines: for each worker its name, and what it says.
    """
    found: dict[str, tuple[str, list[str]]] = {}
    for name, those in lines:
        for line in those:
            found.setdefault(sub(r"[0-9.]+", "0", line), (line, []))[1].append(name)
    return [f"{_named(names)}: {line}" for line, names in found.values()]


def _named(names: Sequence[str]) -> str:
    first, *others = names
    return first if not others else f"{first}, and {len(others)} other{'s' * (len(others) > 1)} likewise"
