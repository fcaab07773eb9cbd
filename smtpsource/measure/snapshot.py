"""
What a recorder had counted at one moment, and what happened between two of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import zip_longest

from smtpsource.measure.histogram import Latency, summarize
from smtpsource.measure.recorder import Recorder


@dataclass(frozen=True)
class Snapshot:
    """
    Counters at one moment or, made by L{since}, of the time between two.

    @ivar at: seconds from the start of the run; of a difference, how long it is.
    @ivar asked: how many messages the schedule had asked for by then; C{None} if there is no schedule (closed loop).
    @ivar askedFor: for how many seconds it has asked. A run may be longer than its schedule; it may be shorter, too, as
        the time of the last of so many messages ends when another one would be wanted. C{None} is C{at}.
    @ivar open: connections that are open: of a difference, at its end.
    @ivar errors: how many errors there were, of all kinds.
    @ivar buckets: for each phase, the buckets of its latencies; see L{smtpsource.measure.histogram}.

    The others are those of L{Recorder}.
    """

    at: float
    asked: float | None
    open: int
    started: int
    accepted: int
    rejected: int
    failed: int
    late: int
    dropped: int
    recipientsAccepted: int
    recipientsRejected: int
    opened: int
    connectFailures: int
    lost: int
    bytesSent: int
    bytesReceived: int
    errors: int
    buckets: tuple[Sequence[int], ...]
    askedFor: float | None = None

    @property
    def seconds(self) -> float:
        """
        The seconds that a rate is over: no fewer than those of the schedule, or it would be more than was asked for.
        """
        return max(self.at, self.askedFor or 0.0)

    def since(self, earlier: Snapshot) -> Snapshot:
        """
        What happened between an earlier snapshot of the same recorder and this one.
        """
        numbers = {
            field.name: getattr(self, field.name) - getattr(earlier, field.name)
            for field in fields(self)
            if field.name not in ("asked", "askedFor", "open", "buckets")
        }
        asked = None if self.asked is None or earlier.asked is None else self.asked - earlier.asked
        return Snapshot(
            **numbers,
            asked=asked,
            askedFor=None if self.askedFor is None else self.askedFor - (earlier.askedFor or 0.0),
            open=self.open,
            buckets=tuple(map(_difference, self.buckets, earlier.buckets)),
        )

    def latency(self, phase: int) -> Latency | None:
        """
        The figures of a phase, or C{None} if it did not happen.

        @param phase: from L{smtpsource.phases}.
        """
        return summarize(self.buckets[phase])


def take(recorder: Recorder, at: float, asked: float | None, askedFor: float | None = None) -> Snapshot:
    """
    What this recorder has counted now.

    @param at: seconds from the start of the run.
    @param asked: as in L{Snapshot}.
    @param askedFor: as in L{Snapshot}.
    """
    return Snapshot(
        at=at,
        asked=asked,
        open=recorder.open,
        started=recorder.started,
        accepted=recorder.accepted,
        rejected=recorder.rejected,
        failed=recorder.failed,
        late=recorder.late,
        dropped=recorder.dropped,
        recipientsAccepted=recorder.recipientsAccepted,
        recipientsRejected=recorder.recipientsRejected,
        opened=recorder.opened,
        connectFailures=recorder.connectFailures,
        lost=recorder.lost,
        bytesSent=recorder.bytesSent,
        bytesReceived=recorder.bytesReceived,
        errors=sum(recorder.errors.values()),
        buckets=tuple(counts.copy() for counts in recorder.buckets),
        askedFor=askedFor,
    )


def _difference(now: Sequence[int], earlier: Sequence[int]) -> Sequence[int]:
    if not any(earlier):
        return now
    return [a - b for a, b in zip_longest(now, earlier, fillvalue=0)]
