"""
What is counted of a run, each thing declared once: the recorder, snapshots, series, summaries and merged runs share it.

To count something more, declare it here and add to it where it happens. To show it, give it a place in
L{smtpsource.report.document} and in its schema, a metric in L{smtpsource.report.prometheus} and a field of
L{smtpsource.measure.summary.Summary}, and of L{smtpsource.measure.series.Sample} if it is to be known for each second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TypeVar

Number = TypeVar("Number", int, float)
Key = TypeVar("Key")
Amount = TypeVar("Amount")


def _gauge() -> int:
    """
    A number that goes up and down: it says how much there is, not how often something happened.
    """
    return field(default=0, metadata={"gauge": True})


@dataclass
class Counters:
    """
    Plain numbers. All are counts, which only L{Recorder.takeBack<smtpsource.measure.recorder.Recorder.takeBack>} makes
    smaller, but for C{open}, a gauge.

    @ivar started: messages taken from the pool; each ends as exactly one of C{accepted}, C{rejected}, C{failed}.
    @ivar accepted: messages that the server took responsibility for (RFC 5321 section 4.2.5), in LMTP for at least
        one recipient.
    @ivar rejected: messages that a reply of the server refused.
    @ivar failed: messages that ended without an answer: no connection, a lost one, a timeout, a garbled reply.
    @ivar late: messages that were started later than the schedule wanted; see L{smtpsource.pacing.schedule}.
    @ivar dropped: messages that the schedule wanted and that were never started, because it was too late for them.
    @ivar takenBack: messages that were C{accepted} for a while, and are C{failed} now.
    @ivar recipientsAccepted: recipients for which a message was accepted.
    @ivar recipientsRejected: recipients refused at RCPT, or by the reply to the content.
    @ivar connectionsOpened: connections that were made.
    @ivar connectionsFailed: attempts to connect that failed, each address tried by itself.
    @ivar connectionsLost: connections that ended otherwise than after our QUIT.
    @ivar open: connections that are open now.
    @ivar bytesSent: bytes given to the transport.
    @ivar bytesReceived: bytes of replies.
    """

    started: int = 0
    accepted: int = 0
    rejected: int = 0
    failed: int = 0
    late: int = 0
    dropped: int = 0
    takenBack: int = 0
    recipientsAccepted: int = 0
    recipientsRejected: int = 0
    connectionsOpened: int = 0
    connectionsFailed: int = 0
    connectionsLost: int = 0
    open: int = _gauge()
    bytesSent: int = 0
    bytesReceived: int = 0

    def copy(self) -> Counters:
        """
        These numbers, as they are now.
        """
        return Counters(**sums((self,), COUNTERS))

    def __add__(self, other: Counters) -> Counters:
        """
        Those of two runs side by side.
        """
        return Counters(**sums((self, other), COUNTERS))

    def then(self, later: Counters) -> Counters:
        """
        Those of one run, of two times one after the other. A gauge is as it is at the end.
        """
        return Counters(**sums((self, later), COUNTS) | sums((later,), GAUGES))

    def __sub__(self, earlier: Counters) -> Counters:
        """
        What happened since then. A gauge is as it is now.
        """
        changed = {name: getattr(self, name) - getattr(earlier, name) for name in COUNTS}
        return Counters(**sums((self,), GAUGES) | changed)


@dataclass(frozen=True)
class AddressCounts:
    """
    How often an address was used.

    @ivar opened: connections to it that were made.
    @ivar failed: attempts to connect to it that failed.
    @ivar accepted: messages that were accepted on its connections; they are counted when a connection ends.
    @ivar name: whose address it is, if that is a mail exchanger.
    """

    opened: int
    failed: int
    accepted: int
    name: str | None = None

    def __add__(self, other: AddressCounts) -> AddressCounts:
        """
        Those of two runs side by side.
        """
        return AddressCounts(**sums((self, other), ("opened", "failed", "accepted")), name=self.name or other.name)


#: How a message ends: each of those that were C{started} is one of these, sooner or later.
OUTCOMES = ("accepted", "rejected", "failed")

#: The names of all of them; of the counts; of the gauges.
COUNTERS = tuple(each.name for each in fields(Counters))
COUNTS = tuple(each.name for each in fields(Counters) if not each.metadata)
GAUGES = tuple(each.name for each in fields(Counters) if each.metadata)


def sums(those: Sequence[object], names: Iterable[str]) -> dict[str, int]:
    """
    The sums of these attributes.
    """
    return {name: sum(getattr(one, name) for one in those) for name in names}


def worst(*values: float | None) -> float | None:
    """
    The highest of those that are there; C{None} if none is.
    """
    return max((value for value in values if value is not None), default=None)


def together(*values: Number | None) -> Number | None:
    """
    The sum of those that are there; C{None} if none is.
    """
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def totals(those: Iterable[Mapping[Key, Amount]]) -> dict[Key, Amount]:
    """
    Mappings as one: what several have for the same key is added, in their order.
    """
    total: dict[Key, Amount] = {}
    for one in those:
        for key, amount in one.items():
            total[key] = total[key] + amount if key in total else amount  # type: ignore[operator]
    return total
