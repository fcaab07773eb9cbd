"""
What is known of one worker of a run, by what it has told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from re import sub
from sys import maxsize
from typing import Any

from smtpsource.load.parts import arrivalsOf
from smtpsource.load.workerwords import WorkerEnd
from smtpsource.measure.counters import Counters
from smtpsource.measure.frame import Frame, Tallies
from smtpsource.pacing.share import Share
from smtpsource.phases import NAMES
from smtpsource.plan import SourcePlan

#: Seconds after its last frame for which a worker may have gone on that is lost.
_SILENCE = 1.5


class WorkerFacts:
    """
    The sum of its frames, and what it has said in the end.

    @ivar counters: what it has counted since measuring began, as far as it knows.
    @ivar epoch: that of its last frame.
    @ivar at: when that ended, in seconds from the beginning of the epoch.
    @ivar cpu: by epoch, the CPU seconds that it has used: in user mode and in the kernel.
    @ivar gauges: those of its last frame.
    @ivar end: what it has said in the end; C{None} if it has not.
    """

    def __init__(self) -> None:
        self.counters = Counters()
        self.epoch = 0
        self.at = 0.0
        self.cpu: dict[int, tuple[float, float]] = {}
        self.gauges: Mapping[str, float] = {}
        self.end: WorkerEnd | None = None
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

    def last(self, begun: int, errors: Tallies) -> Frame:
        """
        The frame that a lost worker would have ended with: all that it may have begun and that has no outcome has
        failed.

        @param begun: how many messages that is.
        """
        counters = self.counters
        begun = max(begun, counters.started)
        known = counters.accepted + counters.rejected + counters.failed
        missing = Counters(started=begun - counters.started, failed=max(0, begun - known))
        nothing: tuple[Any, ...] = ({},) * len(NAMES)
        return Frame(
            *(0, self.epoch, self.at, 0.0, missing, nothing, nothing, errors),
            asked=0.0 if "overdue" in self.gauges else None,
            last=True,
        )

    def askedOf(self, plan: SourcePlan, share: Share, passed: float) -> int:
        """
        How many messages of a schedule the worker may have begun, if it is lost: those that it has told, and those that
        it was to start since. It would have told a second later: after that it did not run.

        @param share: the worker's.
        @param passed: seconds since the run began.
        """
        told = self.at + (plan.warmUp if self.epoch else 0.0)
        schedule = arrivalsOf(plan, share)
        since = schedule.asked(min(passed, told + _SILENCE)) - schedule.asked(told)
        if plan.messageLimit < maxsize:
            since = min(since, share.of(plan.messageLimit) - self.counters.started)
        return self.counters.started + max(0, since)

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
        told = None if self.end is None else self.end.warmUp.get(name)
        return int(getattr(self._before, name, 0)) if told is None else told


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
