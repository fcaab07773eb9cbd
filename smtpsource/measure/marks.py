"""
Marks: what somebody did, or what happened, at a moment of a run, for all who look at its pictures.
"""

from __future__ import annotations

from smtpsource.records import dataclass

__all__ = ["KINDS", "Effect", "Mark"]

#: What a mark may be of. C{note}: somebody has said so. C{command}: a command that was started then. C{event}:
#: something that has happened to the run itself, such as a worker that is lost.
KINDS = ("note", "command", "event")


@dataclass(frozen=True)
class Effect:
    """
    What has come of a run after a moment of it: see L{smtpsource.measure.effects}. Rates are of accepted messages per
    second, latencies are of transactions, in seconds.

    @ivar lowestRate: the lowest rate of a sample.
    @ivar rateBefore: what was usual before; C{None} if that is not known.
    @ivar highestP99: the highest p99 of a sample; C{None} if no transaction has ended.
    @ivar p99Before: what was usual before; C{None} if that is not known.
    @ivar failed: how many messages have failed or were refused meanwhile.
    @ivar back: the seconds until the run was as before; 0 if it was never otherwise, C{None} if that has not come.
    """

    lowestRate: float
    rateBefore: float | None
    highestP99: float | None
    p99Before: float | None
    failed: int
    back: float | None


@dataclass(frozen=True)
class Mark:
    """
    A moment of a run.

    @ivar at: when it was, in seconds from the start of the run, as the series has them; less than 0 in a warm-up.
    @ivar text: what it is, as one line.
    @ivar kind: one of L{KINDS}.
    @ivar status: the exit status of a command, or minus the number of the signal that ended it; C{None} if it has not
        ended, or is none.
    @ivar seconds: how long it took; C{None} likewise.
    @ivar output: the last part of what a command has written.
    @ivar effect: what has come of the run after it; C{None} if nobody knows, as in a warm-up.
    """

    at: float
    text: str
    kind: str = "note"
    status: int | None = None
    seconds: float | None = None
    output: str = ""
    effect: Effect | None = None
