"""
All that several ledgers say of some messages: they are read again for that, so nothing of it has to be kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from smtpsource.ledger import records
from smtpsource.ledger.reading import LedgerFile

OUTCOMES = {
    records.ACKNOWLEDGED: "acknowledged",
    records.REFUSED: "refused",
    records.UNKNOWN: "unknown",
    records.UNSENT: "unsent",
}

_OF_MESSAGES = (records.INTENT, records.OUTCOME, records.ARRIVAL, records.REPORT)


@dataclass(frozen=True, kw_only=True)
class Event:
    """
    One record of a message, in words.

    @ivar file: the ledger.
    @ivar at: which of its records this is.
    @ivar time: in seconds of the epoch.
    @ivar what: C{"intent"}, C{"outcome"}, C{"arrival"} or C{"report"}.
    @ivar number: of the message.
    @ivar recipient: of an intent, an arrival or a report; what is not known is a digest.
    @ivar original: of an arrival: for whom it was when it was sent, if that is another.
    @ivar index: of the recipient; C{None} is all of whom nothing else was said.
    @ivar outcome: C{"acknowledged"} and so on.
    @ivar code: of a reply; of a report, its status.
    @ivar attempt: which one, from 1; 0 if it is not known.
    @ivar deed: what a rule of the sink has done to it; C{rule} is the name of that rule.
    @ivar action: of a report.
    @ivar client: where the session of an arrival came from.
    @ivar unseen: the connection of an arrival was lost, and its reply may not have been seen.
    """

    file: str
    at: int
    time: float
    what: str
    number: int
    address: int = 0
    recipient: str = ""
    original: str = ""
    index: int | None = None
    outcome: str = ""
    code: int = 0
    attempt: int = 0
    size: int = 0
    raw: int = 0
    canonical: int = 0
    session: int = 0
    client: str = ""
    deed: str = ""
    rule: str = ""
    action: str = ""
    unseen: bool = False


class Histories:
    """
    What some ledgers say of messages of a run.
    """

    def __init__(self, run: int, files: Iterable[LedgerFile]) -> None:
        self._run = run
        self._files = list(files)

    def of(self, numbers: Collection[int]) -> dict[int, list[Event]]:
        """
        What happened to each of these messages, in the order of time.
        """
        wanted = np.array(sorted(numbers), np.uint64)
        found: dict[int, list[Event]] = defaultdict(list)
        for file in self._files:
            for event in self._eventsOf(file, wanted):
                found[event.number].append(event)
        return {number: sorted(events, key=lambda event: event.time) for number, events in found.items()}

    def _eventsOf(self, file: LedgerFile, wanted: Any) -> list[Event]:
        events: list[tuple[Event, int]] = []
        original = before = 0
        unseen: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for found in file.again():
            kinds = found["kind"]
            mine = np.isin(kinds, _OF_MESSAGES) & (found["run"] == self._run) & _among(found["number"], wanted)
            for at in np.flatnonzero(kinds == records.UNSEEN).tolist():
                unseen[int(found["session"][at])].append((before + at, int(found["size"][at])))
            # The address of an arrival stands before it, perhaps at the end of what was read before.
            arrivals = np.flatnonzero(kinds == records.ARRIVAL)
            said = {
                int(arrivals[place]) if place < len(arrivals) else -1: int(found["address"][at])
                for at, place in _following(np.flatnonzero(kinds == records.ORIGINAL), arrivals)
            }
            if original and len(arrivals):
                said.setdefault(int(arrivals[0]), original)
                original = 0
            original = said.pop(-1, original)
            for at in np.flatnonzero(mine).tolist():
                events.append((_event(file, before + at, found[at]), said.get(at, 0)))
            before += len(found)
        texts = _textsOf(file, events)
        return [self._told(event, original, texts) for event, original in events]

    def _told(self, event: Event, original: int, texts: Mapping[tuple[int, int], str]) -> Event:
        def address(number: int) -> str:
            return texts.get((records.ADDRESS, number)) or (f"#{number:016x}" if number else "")

        return replace(
            event,
            recipient=address(event.address),
            original=address(original),
            client=texts.get((records.FROM, event.session), "") if event.what == "arrival" else "",
            rule=texts.get((records.RULE, event.at), ""),
        )


def _among(values: Any, wanted: Any) -> Any:
    if not len(wanted):
        return np.zeros(len(values), np.bool_)
    return wanted[np.minimum(np.searchsorted(wanted, values), len(wanted) - 1)] == values


def _following(originals: Any, arrivals: Any) -> Iterator[tuple[int, int]]:
    return zip(originals.tolist(), np.searchsorted(arrivals, originals).tolist(), strict=True)


def _event(file: LedgerFile, at: int, record: Any) -> Event:
    flag, index, code, kind = (int(record[name]) for name in ("flag", "index", "code", "kind"))
    event = Event(
        file=file.path,
        at=at,
        time=file.wall(int(record["time"])) / 1e9,
        what="",
        number=int(record["number"]),
        address=int(record["address"]),
        code=code,
        session=int(record["session"]),
        size=int(record["size"]),
        raw=int(record["raw"]),
        canonical=int(record["canonical"]),
    )
    if kind == records.INTENT:
        return replace(event, what="intent", index=index, attempt=flag)
    if kind == records.OUTCOME:
        whom = None if index == records.WHOLE else index
        return replace(event, what="outcome", index=whom, outcome=OUTCOMES.get(flag, str(flag)), raw=0)
    if kind == records.ARRIVAL:
        deed = records.DEEDS[flag] if flag < len(records.DEEDS) else str(flag)
        return replace(event, what="arrival", attempt=index, deed=deed)
    return replace(event, what="report", action=records.ACTIONS[flag] if flag < len(records.ACTIONS) else str(flag))
