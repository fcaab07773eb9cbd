"""
All that several ledgers say of some messages: they are read again for that, so nothing of it has to be kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from smtpsource.ledger import records
from smtpsource.ledger.reading import RECORD, LedgerFile, Records
from smtpsource.ledger.strays import within
from smtpsource.ledger.unseen import unseenIn

OUTCOMES = {
    records.ACKNOWLEDGED: "acknowledged",
    records.REFUSED: "refused",
    records.UNKNOWN: "unknown",
    records.UNSENT: "unsent",
}

#: Records before others are looked at that say something of them.
_TAIL = 256

_OF_MESSAGES = (records.INTENT, records.OUTCOME, records.ARRIVAL, records.TAKEN_BACK, records.REPORT)


@dataclass(frozen=True, kw_only=True)
class Event:
    """
    One record of a message, in words.

    @ivar file: the ledger.
    @ivar at: which of its records this is.
    @ivar time: in seconds of the epoch.
    @ivar what: C{"intent"}, C{"outcome"}, C{"arrival"}, C{"taken-back"} or C{"report"}.
    @ivar number: of the message.
    @ivar recipient: of an intent, an arrival or a report; what is not known is a digest.
    @ivar sentTo: of an arrival: for whom it was when it was sent, if that is another.
    @ivar index: of the recipient; C{None} is all of whom nothing else was said.
    @ivar outcome: C{"acknowledged"} and so on.
    @ivar code: of a reply; of a report, its status.
    @ivar attempt: which one, from 1; 0 if it is not known.
    @ivar deed: what a rule of the sink has done to it; C{byRule} is the name of that rule.
    @ivar action: of a report.
    @ivar client: where the session of an arrival came from.
    @ivar unseen: its reply may not have been seen: the connection was lost, or the sink was killed.
    """

    file: str
    at: int
    time: float
    what: str
    number: int
    address: int = 0
    recipient: str = ""
    original: int = 0
    sentTo: str = ""
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
    rule: int = 0
    byRule: str = ""
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
        told = {file: self._eventsOf(file, wanted) for file in self._files}
        texts = {file: _textsOf(file, _numbersOf(events)) for file, events in told.items()}
        addresses = self._addresses(told.values(), texts.values())
        found: dict[int, list[Event]] = defaultdict(list)
        for file, events in told.items():
            for event in events:
                found[event.number].append(_worded(event, texts[file], addresses))
        return {number: sorted(events, key=lambda event: event.time) for number, events in found.items()}

    def _addresses(
        self, told: Iterable[Sequence[Event]], texts: Iterable[Mapping[tuple[int, int], str]]
    ) -> dict[int, str]:
        """
        The addresses by their numbers. One that is not named in the ledger of an event may be in any other.
        """
        found = _addressesIn(texts)
        missing = {number for events in told for event in events for number in (event.address, event.original)}
        missing -= {0, *found}
        return found | _addressesIn(_textsOf(file, missing) for file in self._files) if missing else found

    def _eventsOf(self, file: LedgerFile, wanted: Any) -> list[Event]:
        """
        The events of one ledger, in its order.
        """
        events: list[Event] = []
        before, tail = 0, np.zeros(0, RECORD)
        places: list[int] = []
        arrivals = 0
        for found in file.again():
            kinds = found["kind"]
            isArrival = kinds == records.ARRIVAL
            order = arrivals + np.cumsum(isArrival) - isArrival
            mine = np.isin(kinds, _OF_MESSAGES) & (found["run"] == self._run) & within(found["number"], wanted)
            for at in np.flatnonzero(mine).tolist():
                event = _event(file, before + at, found[at])
                if event.what == "arrival":
                    said = _saidBefore(found, at, tail)
                    event = replace(event, original=said.get(records.ORIGINAL, 0), rule=said.get(records.NAME, 0))
                events.append(event)
                places.append(int(order[at]))
            arrivals += int(isArrival.sum())
            before += len(found)
            tail = found[-_TAIL:]
        sessions = {event.session for event in events if event.what == "arrival"}
        unseen = set(unseenIn(file, np.array(sorted(sessions))).tolist()) if sessions else set()
        return [
            replace(event, unseen=event.what == "arrival" and place in unseen)
            for event, place in zip(events, places, strict=True)
        ]


def _saidBefore(found: Records, at: int, tail: Records) -> dict[int, int]:
    """
    What stands before an arrival about it: for whom it was, and the name of the rule.

    @param tail: what was read before C{found}.
    """
    said: dict[int, int] = {}
    for place in range(at - 1, -len(tail) - 1, -1):
        record = found[place] if place >= 0 else tail[place]
        kind = int(record["kind"])
        if kind == records.ORIGINAL or (kind == records.NAME and record["flag"] == records.RULE):
            said[kind] = int(record["address"])
        elif kind not in (records.NAME, records.TEXT):
            break
    return said


def _numbersOf(events: Sequence[Event]) -> set[int]:
    """
    Those of the texts that these events are told with.
    """
    return {number for event in events for number in (event.address, event.original, event.rule, event.session)}


def _addressesIn(several: Iterable[Mapping[tuple[int, int], str]]) -> dict[int, str]:
    return {number: text for texts in several for (what, number), text in texts.items() if what == records.ADDRESS}


def _textsOf(file: LedgerFile, numbers: Collection[int]) -> dict[tuple[int, int], str]:
    """
    The texts behind numbers, by what each is and its number.
    """
    wanted = np.array(sorted(numbers), np.uint64)
    texts: dict[tuple[int, int], str] = {}
    pending: Any = np.zeros(0, RECORD)
    for found in file.again() if numbers else ():
        kinds = found["kind"]
        # A text may go on where this ends.
        texted = np.concatenate((pending, found[(kinds == records.NAME) | (kinds == records.TEXT)]))
        heads = np.flatnonzero(texted["kind"] == records.NAME)
        pending = texted[heads[-1] :] if len(heads) else texted[:0]
        for at in heads[within(texted["address"][heads], wanted)].tolist():
            length = -(-int(texted["size"][at]) // records.PIECE) + 1
            for what, number, text in records.textsOf(texted[at : at + length].tobytes()):
                texts[what, number] = text.decode("utf-8", "backslashreplace")
    return texts


def _worded(event: Event, texts: Mapping[tuple[int, int], str], addresses: Mapping[int, str]) -> Event:
    def address(number: int) -> str:
        return addresses.get(number) or (f"#{number:016x}" if number else "")

    isArrival = event.what == "arrival"
    return replace(
        event,
        recipient=address(event.address),
        sentTo=address(event.original),
        client=texts.get((records.FROM, event.session), "") if isArrival else "",
        byRule=texts.get((records.RULE, event.rule), ""),
    )


def _event(file: LedgerFile, at: int, record: Any) -> Event:
    flag, index, code, kind = (int(record[name]) for name in ("flag", "index", "code", "kind"))
    event = Event(
        file=file.name,
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
    if kind == records.TAKEN_BACK:
        return replace(event, what="taken-back")
    return replace(event, what="report", action=records.ACTIONS[flag] if flag < len(records.ACTIONS) else str(flag))
