"""
What a recorder had counted at one moment, and what happened between two of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING

from smtpsource.measure.counters import Counters
from smtpsource.measure.histogram import indexOf
from smtpsource.measure.recorder import Recorder
from smtpsource.phases import LATE, RESPONSE
from smtpsource.records import dataclass

if TYPE_CHECKING:
    from smtpsource.measure.drift import Drifts
    from smtpsource.measure.judgement import Delivered, Judgement


@dataclass(frozen=True)
class Snapshot:
    """
    Counters at one moment or, made by L{since}, of the time between two.

    @ivar at: seconds from the start of the run; of a difference, how long it is.
    @ivar asked: how many messages the schedule had asked for by then; C{None} if there is no schedule (closed loop).
    @ivar scheduledSeconds: for how many seconds it has asked. A run may be longer than its schedule; it may be shorter,
        too, as the time of the last of so many messages ends when another one would be wanted. C{None} is C{at}.
    @ivar delivered: how far the server had come with delivering; C{None} if nobody looked.
    @ivar buckets: for each phase, the buckets of its latencies; see L{smtpsource.measure.histogram}.
    @ivar judgement: what became of all messages until then, if there are ledgers of both ends.
    @ivar minutes: the minutes of the run until then, if somebody asks for them.
    """

    at: float
    asked: float | None
    counters: Counters
    buckets: tuple[Sequence[int], ...]
    scheduledSeconds: float | None = None
    delivered: Delivered | None = None
    judgement: Judgement | None = None
    minutes: Drifts | None = None

    @property
    def seconds(self) -> float:
        """
        The seconds that a rate is over: no fewer than those of the schedule, or it would be more than was asked for.
        """
        return max(self.at, self.scheduledSeconds or 0.0)

    def since(self, earlier: Snapshot) -> Snapshot:
        """
        What happened between an earlier snapshot of the same recorder and this one.
        """
        seconds = self.scheduledSeconds
        return Snapshot(
            at=self.at - earlier.at,
            asked=None if self.asked is None or earlier.asked is None else self.asked - earlier.asked,
            counters=self.counters - earlier.counters,
            buckets=tuple(map(_difference, self.buckets, earlier.buckets)),
            scheduledSeconds=None if seconds is None else seconds - (earlier.scheduledSeconds or 0.0),
            judgement=self.judgement,
        )

    def withUnanswered(self, count: int, seconds: float) -> Snapshot:
        """
        The same, where so many messages that have no answer count as failed, and as having waited so long in each phase
        that there was: the least that can be said of them.

        @param seconds: since the last of them was wanted.
        """
        if not count:
            return self
        index = indexOf(max(0, int(seconds * 1e6)))
        buckets = list(self.buckets)
        for phase, counts in enumerate(buckets):
            if phase != LATE and (phase == RESPONSE or any(counts)):
                longer = [*counts, *[0] * (index + 1 - len(counts))]
                longer[index] += count
                buckets[phase] = longer
        return replace(self, counters=self.counters + Counters(failed=count), buckets=tuple(buckets))


def take(
    recorder: Recorder,
    at: float,
    asked: float | None,
    scheduledSeconds: float | None = None,
    delivered: Delivered | None = None,
) -> Snapshot:
    """
    What this recorder has counted now.

    @param at: seconds from the start of the run.
    @param asked: as in L{Snapshot}.
    @param scheduledSeconds: as in L{Snapshot}.
    @param delivered: as in L{Snapshot}.
    """
    return Snapshot(
        at=at,
        asked=asked,
        counters=recorder.copy(),
        buckets=tuple(counts.copy() for counts in recorder.buckets),
        scheduledSeconds=scheduledSeconds,
        delivered=delivered,
    )


def _difference(now: Sequence[int], earlier: Sequence[int]) -> Sequence[int]:
    if not any(earlier):
        return now
    return [a - b for a, b in zip_longest(now, earlier, fillvalue=0)]
