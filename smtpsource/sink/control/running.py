"""
The sink as a whole: what it counts, whether it pauses, what is noted about it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from smtpsource.sink.control.answers import Answer, Problem, asJSON
from smtpsource.sink.control.asked import Asked

if TYPE_CHECKING:
    from smtpsource.sink.control.interfaces import Steered

#: The most characters of a mark.
LONGEST_MARK = 1000


class Running:
    """
    What can be done with it.
    """

    def __init__(self, steered: Steered) -> None:
        self._steered = steered

    def pause(self, asked: Asked) -> Answer:
        """
        Take nothing more for now.
        """
        if not self._steered.paused:
            self._steered.pause()
        return self._state()

    def resume(self, asked: Asked) -> Answer:
        """
        Go on.
        """
        if self._steered.paused:
            self._steered.resume()
        return self._state()

    def _state(self) -> Answer:
        return asJSON({"paused": self._steered.paused})

    def counters(self, asked: Asked) -> Answer:
        """
        What was counted so far.
        """
        return asJSON(countersOf(self._steered))

    def mark(self, asked: Asked) -> Answer:
        """
        Note something: for those who watch, and in the report.
        """
        document = asked.document()
        text = document.get("text") if isinstance(document, dict) else None
        if not isinstance(text, str) or not 1 <= len(text) <= LONGEST_MARK or len(document) > 1:
            expected = f'{{"text": "..."}} with a text of 1 to {LONGEST_MARK} characters'
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"the mark is not usable: expected {expected}")
        mark = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "text": text}
        self._steered.marks.append(mark)
        self._steered.events.publish("mark", text=text)
        return asJSON(mark, HTTPStatus.CREATED)


def countersOf(steered: Steered) -> dict[str, Any]:
    """
    What a sink has counted so far.
    """
    counts, memory = steered.counts, steered.memory
    return {
        "paused": steered.paused,
        "sessions": {"total": counts.sessions, "open": counts.open, "max": counts.mostOpen, "quit": counts.quits},
        "messages": counts.messages,
        "recipients": counts.recipients,
        "bytes": {"received": counts.bytesReceived, "sent": counts.bytesSent},
        "chunks": counts.chunks,
        "kept": None if memory is None else memory.total,
        "rules": dict(steered.ruleCounts),
        "errors": {kind: {"count": number, "sample": sample} for kind, (number, sample) in counts.errors.items()},
    }
