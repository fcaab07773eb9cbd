"""
The history of one message as text, for people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from smtpsource.ledger.anomalies import moment
from smtpsource.ledger.histories import Event
from smtpsource.report.page import Line

#: Where the text of an event begins.
_INDENT = 29

_STYLES = {"acknowledged": "good", "refused": "bad", "unknown": "doubtful"}


def linesOf(name: str, fates: Mapping[int, str], events: Sequence[Event]) -> Iterator[Line | str]:
    """
    @param name: the message's id.
    @param fates: what became of it for each recipient, by the recipient's index.
    """
    yield name
    whom = {event.index: event.recipient for event in events if event.what == "intent"}
    for index, fate in fates.items():
        yield f"{fate} for {whom.get(index, 'somebody')}"
    yield ""
    begin = events[0].time
    for event in events:
        text = _WORDS[event.what](event)
        if event.what == "outcome" and event.index is not None and event.index in whom:
            text += f" for {whom[event.index]}"
        yield Line(f"{moment(event.time)}  {text}", _STYLES.get(event.outcome, ""), _INDENT)
        session = f"session {event.session}" if event.session else ""
        details = [f"{event.time - begin:+.6f} s", session, event.client, event.file]
        yield Line(f"{'':<{_INDENT}}{', '.join(filter(None, details))}", "aside", _INDENT)


def _intent(event: Event) -> str:
    return f"to be sent to {event.recipient}, attempt {event.attempt}, body {event.canonical:016x} ({event.size} bytes)"


def _outcome(event: Event) -> str:
    return f"{event.outcome}{f' by {event.code}' if event.code else ''}"


def _arrival(event: Event) -> str:
    sentTo = f", sent to {event.sentTo}" if event.sentTo else ""
    rule = f" by rule {event.byRule}" if event.byRule else ""
    deed = f"; {event.deed}{rule}" if event.deed else ""
    unseen = "; the reply may not have been seen" if event.unseen else ""
    return (
        f"arrived for {event.recipient}{sentTo}, body {event.canonical:016x} ({event.size} bytes in all){deed}{unseen}"
    )


def _takenBack(event: Event) -> str:
    return f"not arrived for {event.recipient} after all: refused by {event.code}, as the disk failed"


def _report(event: Event) -> str:
    status = ".".join((str(event.code)[:1], str(event.code)[1:2], str(event.code)[2:]))
    return f"reported {event.action or 'otherwise'}{f', {status}' if event.code else ''} for {event.recipient or 'all'}"


_WORDS = {
    "intent": _intent,
    "outcome": _outcome,
    "arrival": _arrival,
    "taken-back": _takenBack,
    "report": _report,
}
