"""
What came of holding a rate for some seconds, in one process or in several.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from smtpsource.measure.frame import Frame, merged
from smtpsource.measure.snapshot import Snapshot
from smtpsource.phases import NAMES


@dataclass(frozen=True)
class Trial:
    """
    What a rate has done to the messages that it has asked for.

    @ivar happened: what came of these, and only of them, up to the end of the last that was waited for.
    @ivar started: how many of them were started.
    @ivar unanswered: how many had no answer in the end.
    @ivar waited: seconds from the end of the time for which the rate was held to that of what happened.
    @ivar errors: of each kind of error that there was in the run so far, how often, and the first one's text.
    """

    happened: Snapshot
    started: int
    unanswered: int
    waited: float
    errors: Mapping[str, tuple[int, str]]

    def frame(self) -> Frame:
        """
        The same to be sent.
        """
        happened = self.happened
        return Frame(
            number=0,
            epoch=0,
            at=happened.at,
            seconds=happened.at,
            counters=happened.counters,
            buckets=[_sparse(counts) for counts in happened.buckets],
            replies=[{} for _ in NAMES],
            errors=self.errors,
            asked=happened.asked,
            lag=self.waited,
            gauges={"started": self.started, "unanswered": self.unanswered},
        )

    @classmethod
    def of(cls, frames: Iterable[Frame]) -> Trial:
        """
        What processes that each held a part of the rate have sent, as one: it took as long as the longest.

        @param frames: at least one.
        @raise ValueError: one of them is of something else.
        """
        frame = merged(frames)
        if frame.asked is None or not frame.gauges.keys() >= {"started", "unanswered"}:
            raise ValueError("expected what came of holding a rate")
        return cls(
            Snapshot(frame.at, frame.asked, frame.counters, tuple(map(_dense, frame.buckets))),
            round(frame.gauges["started"]),
            round(frame.gauges["unanswered"]),
            frame.lag,
            frame.errors,
        )


def _sparse(counts: Sequence[int]) -> dict[int, int]:
    return {index: count for index, count in enumerate(counts) if count}


def _dense(buckets: Mapping[int, int]) -> Sequence[int]:
    counts = [0] * (max(buckets, default=-1) + 1)
    for index, count in buckets.items():
        counts[index] = count
    return counts
