"""
What is known of one worker of a run, by what it has told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from re import sub
from typing import Any

from smtpsource.load.workerwords import WorkerEnd
from smtpsource.measure.counters import Counters
from smtpsource.measure.frame import Frame, Tallies
from smtpsource.phases import NAMES


class WorkerFacts:
    """
    The sum of its frames, and what it has said in the end.

    @ivar epoch: that of its last frame, or of what it has begun since.
    @ivar cpu: by epoch, the CPU seconds that it has used: in user mode and in the kernel.
    @ivar gauges: those of its last frame.
    @ivar end: what it has said in the end; C{None} if it has not.
    @ivar missing: it is lost, and so many messages that are measured have failed by that; C{None} if it is not.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self.cpu: dict[int, tuple[float, float]] = {}
        self.gauges: Mapping[str, float] = {}
        self.end: WorkerEnd | None = None
        self.missing: int | None = None
        # The gauges of its last frame about the log of messages.
        self._logged: tuple[int, int, int] | None = None
        self._counted: dict[int, Counters] = {}
        self._asked: dict[int, int] = {}
        self._endedAt: dict[int, float] = {}

    def add(self, frame: Frame) -> None:
        """
        Another frame has come.
        """
        self.epoch, self.gauges = frame.epoch, frame.gauges
        if "logLines" in frame.gauges:
            lines, dropped, waiting = (frame.gauges.get(f"log{name}", 0) for name in ("Lines", "Dropped", "Waiting"))
            self._logged = int(lines), int(dropped), int(waiting)
        self._counted[frame.epoch] = self.counted(frame.epoch) + frame.counters
        self._asked[frame.epoch] = self.asked(frame.epoch) + round(frame.asked or 0)
        self._endedAt[frame.epoch] = frame.at
        user, system = self.cpu.get(frame.epoch, (0.0, 0.0))
        self.cpu[frame.epoch] = user + frame.cpu[0], system + frame.cpu[1]

    def counted(self, epoch: int) -> Counters:
        """
        What it has counted in this epoch.
        """
        return self._counted.get(epoch, Counters())

    def asked(self, epoch: int) -> int:
        """
        How many messages a schedule has asked it for in this epoch, as far as it has told.
        """
        return self._asked.get(epoch, 0)

    def endedAt(self, epoch: int) -> float:
        """
        When the last frame of this epoch ended, in seconds from its beginning; 0 if there is none.
        """
        return self._endedAt.get(epoch, 0.0)

    def last(self, begun: int, errors: Tallies, asked: int | None = None) -> Frame:
        """
        The frame that a lost worker would have ended with: all that it may have begun and that has no outcome has
        failed, and what a schedule has asked it for besides is never started.

        @param begun: how many messages that is, in all.
        @param asked: how many messages the schedule has asked it for since its last frame; C{None} without one.
        """
        counters = self.counted(self.epoch)
        begun = max(begun, counters.started)
        known = counters.accepted + counters.rejected + counters.failed
        dropped = 0 if asked is None else max(0, self.asked(self.epoch) + asked - begun - counters.dropped)
        missing = Counters(started=begun - counters.started, failed=max(0, begun - known), dropped=dropped)
        nothing: tuple[Any, ...] = ({},) * len(NAMES)
        return Frame(
            *(0, self.epoch, self.endedAt(self.epoch), 0.0, missing, nothing, nothing, errors), asked=asked, last=True
        )

    @property
    def inFlight(self) -> int:
        """
        How many messages had no outcome at the end of the last frame.
        """
        return int(self.gauges.get("inFlight", 0))

    @property
    def messageLog(self) -> Mapping[str, Any] | None:
        """
        What came of its part of the log of messages, if there is one; C{None} if nothing is known of that. If it was
        lost: what its last frame knew, and how many lines may be there besides.
        """
        if self.end is not None:
            return self.end.messageLog
        if self._logged is None and self.missing is None:
            return None
        lines, dropped, waiting = self._logged or (0, 0, 0)
        unknown = 0 if self.missing is None else waiting + self.missing
        problem = "a worker was lost" if unknown else None
        return {"file": None, "lines": lines, "dropped": dropped, "unknown": unknown, "problem": problem}

    def ofWarmUp(self, name: str) -> int:
        """
        What became of the messages of the warm-up.

        @param name: C{"accepted"}, C{"rejected"}, C{"failed"} or C{"overdue"}.
        """
        told = None if self.end is None else self.end.warmUp.get(name)
        return int(getattr(self.counted(0), name, 0)) if told is None else told


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
