"""
Messages that did not fare as they should, each with its whole history.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from smtpsource.ledger.doubles import reasonsOf
from smtpsource.ledger.histories import Event, Histories
from smtpsource.ledger.identity import Identity, textOf
from smtpsource.ledger.known import Known
from smtpsource.ledger.strays import GHOST, MISDELIVERED, Settled
from smtpsource.ledger.units import Integers
from smtpsource.ledger.verdict import unitsThat
from smtpsource.measure.judgement import REASONS

#: What is told of single units, the worst first, and what is only told when all is wanted.
_OF_UNITS = ("lost", "corrupted", "misdelivered", "duplicated", "contradicted", "misreported", "bounced")
_MILD = ("recovered", "unknown", "queued")

#: Messages that are looked up at once.
_AT_ONCE = 20_000


@dataclass(frozen=True)
class Anomalies:
    """
    Those of a run, as far as it is known.

    @ivar drained: does it take the queue for empty?
    """

    known: Known
    settled: Settled
    drained: bool

    def all(self) -> Iterator[dict[str, object]]:
        """
        All of them: for each class as many as it counts.
        """
        for name in (*_OF_UNITS, *_MILD):
            for some in _parts(unitsThat(name, self.settled.state, self.drained)):
                yield from self._ofUnits(name, some, self._histories(self._numbers(some)))
        for name, which in self._strays().items():
            for some in _parts(which):
                yield from self._ofStrays(name, some, self._histories(self.settled.numbers[some]))

    def first(self, limit: int) -> Iterator[dict[str, object]]:
        """
        So many of each class that is no good news, without their histories. The ledgers are read once for all of them.
        """
        units = {name: unitsThat(name, self.settled.state, self.drained)[:limit] for name in _OF_UNITS}
        strays = {name: which[:limit] for name, which in self._strays().items()}
        numbers = [*map(self._numbers, units.values()), *(self.settled.numbers[some] for some in strays.values())]
        histories = self._histories(np.concatenate(numbers))
        for name, some in units.items():
            yield from map(_short, self._ofUnits(name, some, histories))
        for name, some in strays.items():
            yield from map(_short, self._ofStrays(name, some, histories))

    def doubles(self) -> dict[str, int]:
        """
        How many have come more than once, by the reason.
        """
        counts = np.bincount(self._doubles[1], minlength=len(REASONS)).tolist()
        return {reason: count for reason, count in zip(REASONS, counts, strict=True) if count}

    @cached_property
    def _doubles(self) -> tuple[Integers, Any]:
        """
        Those that have come more than once, in their order, and why. The ledgers are read again for that.
        """
        units = unitsThat("duplicated", self.settled.state, self.drained)
        return units, reasonsOf(self.known, units)

    def _reasons(self, name: str, units: Integers) -> list[int | None]:
        """
        Why what is said of these is so; C{None} where it needs no reason.
        """
        if name != "duplicated":
            return [None] * len(units)
        doubles, reasons = self._doubles
        return reasons[np.searchsorted(doubles, units)].tolist()  # type: ignore[no-any-return]

    def _strays(self) -> dict[str, Integers]:
        kinds, places = self.settled.kinds, self.settled.places
        return {
            "astray": np.flatnonzero((kinds == MISDELIVERED) & (places < 0)),
            "ghost": np.flatnonzero(kinds == GHOST),
        }

    def _numbers(self, units: Integers) -> Any:
        return self.known.units.names(units)[0]

    def _histories(self, numbers: Any) -> dict[int, list[Event]]:
        known = self.known
        if not len(numbers):
            return {}
        return Histories(known.run, [*known.sources, *known.sinks]).of(set(numbers.tolist()))

    def _ofUnits(
        self, name: str, units: Integers, histories: Mapping[int, Sequence[Event]]
    ) -> Iterator[dict[str, object]]:
        """
        @param units: of which this is said.
        @param histories: of their messages.
        """
        numbers, indexes = self.known.units.names(units)
        for number, index, reason in zip(numbers.tolist(), indexes.tolist(), self._reasons(name, units), strict=True):
            events = histories.get(number, [])
            mine = [event for event in events if event.what == "intent" and event.index == index]
            why = {} if reason is None else {"reason": REASONS[reason]}
            yield {
                "id": textOf(Identity(self.known.run, number)),
                "recipient": mine[0].recipient if mine else "",
                "class": name,
                **why,
                "history": [told(event) for event in _concerning(events, index)],
            }

    def _ofStrays(
        self, name: str, which: Integers, histories: Mapping[int, Sequence[Event]]
    ) -> Iterator[dict[str, object]]:
        """
        @param which: of all strays.
        @param histories: of their messages.
        """
        used: set[tuple[str, int]] = set()
        for at in which.tolist():
            number, address = int(self.settled.numbers[at]), int(self.settled.addresses[at])
            events = histories.get(number, [])
            arrivals = (
                event
                for event in events
                if event.what == "arrival" and event.address == address and (event.file, event.at) not in used
            )
            arrival = next(arrivals, None)
            if arrival is not None:
                used.add((arrival.file, arrival.at))
            yield {
                "id": textOf(Identity(self.known.run, number)),
                "recipient": arrival.recipient if arrival is not None else "",
                "class": name,
                "history": [told(event) for event in events],
            }


def _parts(places: Integers) -> Iterator[Integers]:
    for begin in range(0, len(places), _AT_ONCE):
        yield places[begin : begin + _AT_ONCE]


def _short(anomaly: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in anomaly.items() if key != "history"}


def _concerning(events: Sequence[Event], index: int) -> Iterator[Event]:
    """
    Those events of a message that may have to do with one of its recipients.
    """
    addresses: dict[int, int | None] = {}
    for event in events:
        if event.what == "intent":
            addresses.setdefault(event.address, event.index)
    for event in events:
        if event.what in ("intent", "outcome"):
            concerned = event.index in (None, index)
        else:
            # What has come for nobody that we know may have been for anybody.
            concerned = addresses.get(event.address, addresses.get(event.original, index)) == index
        if concerned:
            yield event


def moment(seconds: float) -> str:
    """
    A time in UTC, to the microsecond.
    """
    whole, part = divmod(round(seconds * 1e6), 10**6)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{part:06d}Z"


def told(event: Event) -> dict[str, object]:
    """
    An event for programs: what there is to say of it.
    """
    values = {
        "recipient": event.recipient,
        "sentTo": event.sentTo,
        "attempt": event.attempt,
        "outcome": event.outcome,
        "action": event.action,
        "code": event.code,
        "deed": event.deed,
        "rule": event.byRule,
        "unseen": event.unseen,
        "size": event.size,
        "body": f"{event.canonical:016x}" if event.canonical else "",
        "octets": f"{event.raw:016x}" if event.raw else "",
        "client": event.client,
    }
    said = {name: value for name, value in values.items() if value}
    return {"time": moment(event.time), "what": event.what, **said, "session": event.session, "ledger": event.file}
