"""
What became of every message of a run, by the ledgers of both ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from smtpsource.measure.encoding import added

Verdict = Literal["pass", "fail", "inconclusive"]

#: What becomes of a message for a recipient. Each that was about to be sent is exactly one of these.
CLASSES = (
    "delivered",
    "lost",
    "misdelivered",
    "bounced",
    "queued",
    "recovered",
    "refused",
    "unknown",
)

#: What must not be, and what it is called.
FAULTS = {
    "lost": "lost",
    "corrupted": "corrupted",
    "misdelivered": "misdelivered",
    "astray": "come for others as well",
    "duplicated": "duplicated",
}

#: What is told of single messages, the worst first.
TOLD = ("lost", "corrupted", "misdelivered", "duplicated", "contradicted", "misreported", "bounced", "astray", "ghosts")

#: Why one has come more than once.
REASONS = ("unknown-outcome", "unseen-reply", "rule", "none")


@dataclass(frozen=True)
class Delivered:
    """
    How far a server has come with what it has acknowledged, at one moment. The counts are of messages and recipients.

    @ivar acknowledged: all of them.
    @ivar here: how many of them have arrived.
    @ivar arrived: the same since measuring began.
    @ivar peak: the most since then that had not.
    """

    acknowledged: int
    here: int
    arrived: int
    peak: int

    @property
    def backlog(self) -> int:
        """
        How many have not.
        """
        return self.acknowledged - self.here

    def gauges(self) -> dict[str, float]:
        """
        The same as gauges of a frame.
        """
        return dict(vars(self))

    @classmethod
    def of(cls, gauges: Mapping[str, float]) -> Delivered | None:
        """
        The opposite of L{gauges}; C{None} if there are none of these.
        """
        names = [each.name for each in fields(cls)]
        return cls(*(int(gauges[name]) for name in names)) if gauges.keys() >= set(names) else None


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """
    The counts are of messages and recipients: a message for three recipients is three of them.

    @ivar verdict: C{"pass"}: the queue has drained, and nothing was lost, corrupted, misdelivered, astray or
        duplicated.
        C{"inconclusive"}: nothing of that was found, but it had not drained, or something else keeps us from knowing.
    @ivar reasons: why it is none that passes, a line for each.
    @ivar drained: had the server nothing left, as far as can be known?
    @ivar sent: all that were about to be sent: the sum of the eight that follow.
    @ivar delivered: acknowledged, and arrived for whom they were meant.
    @ivar lost: acknowledged, and never arrived though the queue has drained.
    @ivar misdelivered: arrived for others only.
    @ivar bounced: did not arrive, and a report says so.
    @ivar queued: acknowledged, and still with the server as far as is known.
    @ivar recovered: nobody knew what had become of them, and they arrived.
    @ivar refused: refused by a reply.
    @ivar unknown: nobody knows what the server has made of them, and they did not arrive.
    @ivar duplicated: those of them that arrived more than once for whom they were meant.
    @ivar duplicatedBy: the same by the reason, one of L{REASONS}.
    @ivar corrupted: those whose body was another when it arrived.
    @ivar transformed: those whose body was the same, but written in another way.
    @ivar contradicted: refused, and yet arrived.
    @ivar misreported: a report says that they could not be delivered, and yet they arrived.
    @ivar astray: how many have come for others as well, although their messages arrived for all for whom they were
        meant.
    @ivar arrivals: how many messages have come with an id of this run.
    @ivar ghosts: those of them that this run has never sent.
    @ivar foreign: messages of other runs.
    @ivar unidentified: messages without an id.
    @ivar damaged: messages whose id was damaged or made up.
    @ivar early: arrived before their acknowledgement was read.
    @ivar backlogPeak: the most that were acknowledged and had not arrived, by looks every 10 ms.
    @ivar drain: seconds from the last acknowledgement to the last arrival; C{None} if nothing has arrived.
    @ivar duration: seconds from the first intent to the last arrival.
    @ivar anomalies: the first of what is not as it should be: C{"id"}, C{"recipient"}, C{"class"} and more, as
        C{smtpsource reconcile --anomalies} writes all of them.
    @ivar buckets: latencies by phase, C{"delivery"} and C{"arrival"}, in the buckets of
        L{smtpsource.measure.histogram}; and C{"early"}, by how much those were that are 0 in the first.
    """

    verdict: Verdict
    reasons: Sequence[str] = ()
    drained: bool = False
    sent: int = 0
    delivered: int = 0
    lost: int = 0
    misdelivered: int = 0
    bounced: int = 0
    queued: int = 0
    recovered: int = 0
    refused: int = 0
    unknown: int = 0
    duplicated: int = 0
    duplicatedBy: Mapping[str, int] = field(default_factory=dict)
    corrupted: int = 0
    transformed: int = 0
    contradicted: int = 0
    misreported: int = 0
    astray: int = 0
    arrivals: int = 0
    ghosts: int = 0
    foreign: int = 0
    unidentified: int = 0
    damaged: int = 0
    early: int = 0
    backlogPeak: int = 0
    drain: float | None = None
    duration: float = 0.0
    anomalies: Sequence[Mapping[str, object]] = ()
    buckets: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @property
    def unexcused(self) -> int:
        """
        How many have come more than once for no reason.
        """
        return self.duplicatedBy.get("none", 0)

    @property
    def anomalyCount(self) -> int:
        """
        How many anomalies there are in all.
        """
        return sum(getattr(self, name) for name in TOLD)

    def verdictWithout(self, figures: Collection[str]) -> Verdict:
        """
        What the verdict would be if nobody minded some of its figures.

        @param figures: their names.
        """
        faults = dict(faultsOf(vars(self)))
        if not set(faults) <= set(figures) or faults.keys().isdisjoint(figures):
            return self.verdict
        return "inconclusive" if any(reason not in faults.values() for reason in self.reasons) else "pass"


def faultsOf(counts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """
    What must not be, and is: the name of each figure, and the reason in words.

    @param counts: by their names.
    """
    for name, words in FAULTS.items():
        if counts[name]:
            yield name, f"{counts[name]} {words}"


#: From the worst to the best.
_VERDICTS: tuple[Verdict, ...] = ("fail", "inconclusive", "pass")


def merged(those: Sequence[Judgement]) -> Judgement:
    """
    The judgement of several runs that went on side by side: the worst verdict, and all counts added up. The peaks of
    their backlogs are added up as well, though they need not have been at one time.

    @param those: at least one.
    """
    sums: dict[str, Any] = {
        each.name: sum(getattr(one, each.name) for one in those) for each in fields(Judgement) if each.type == "int"
    }
    phases = dict.fromkeys(phase for one in those for phase in one.buckets)
    return Judgement(
        verdict=next(verdict for verdict in _VERDICTS if any(one.verdict == verdict for one in those)),
        reasons=tuple(dict.fromkeys(reason for one in those for reason in one.reasons)),
        drained=all(one.drained for one in those),
        duplicatedBy={
            reason: sum(one.duplicatedBy.get(reason, 0) for one in those)
            for reason in REASONS
            if any(reason in one.duplicatedBy for one in those)
        },
        drain=max((one.drain for one in those if one.drain is not None), default=None),
        duration=max(one.duration for one in those),
        anomalies=tuple(anomaly for one in those for anomaly in one.anomalies),
        buckets={phase: added(one.buckets.get(phase, ()) for one in those) for phase in phases},
        **sums,
    )
