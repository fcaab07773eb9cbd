"""
The sink as a whole: what it counts, whether it pauses, what is noted about it.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from smtpsource.sink.control.asked import Asked
from smtpsource.sink.control.commands import LONGEST_MARK
from smtpsource.sink.summary import moment
from smtpsource.web.answers import Answer, Problem, asJSON

if TYPE_CHECKING:
    from smtpsource.sink.steering import Steering


class Running:
    """
    What can be done with it.
    """

    def __init__(self, steering: Steering) -> None:
        self._steering = steering

    def pause(self, asked: Asked) -> Answer:
        """
        Take nothing more for now.
        """
        self._steering.pause()
        return self._state()

    def resume(self, asked: Asked) -> Answer:
        """
        Go on.
        """
        self._steering.resume()
        return self._state()

    def drop(self, asked: Asked) -> Answer:
        """
        Drop all connections.
        """
        return asJSON({"dropped": self._steering.drop()})

    def _state(self) -> Answer:
        return asJSON({"paused": self._steering.paused})

    def counters(self, asked: Asked) -> Answer:
        """
        What was counted so far.
        """
        return asJSON(countersOf(self._steering))

    def mark(self, asked: Asked) -> Answer:
        """
        Note something: for those who watch, and in the report.
        """
        document = asked.document()
        text = document.get("text") if isinstance(document, dict) else None
        if not isinstance(text, str) or not 1 <= len(text) <= LONGEST_MARK or len(document) > 1:
            expected = f'{{"text": "..."}} with a text of 1 to {LONGEST_MARK} characters'
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"the mark is not usable: expected {expected}")
        at = self._steering.mark(text)
        return asJSON({"at": moment(at), "text": text}, HTTPStatus.CREATED)


def countersOf(steering: Steering) -> dict[str, Any]:
    """
    What a sink has counted so far.
    """
    counts = steering.counts
    return {
        "paused": steering.paused,
        "sessions": {"total": counts.sessions, "open": counts.open, "max": counts.mostOpen, "quit": counts.quits},
        "messages": counts.messages,
        "recipients": counts.recipients,
        "bytes": {"received": counts.bytesReceived, "sent": counts.bytesSent},
        "chunks": counts.chunks,
        "kept": steering.number,
        "rules": steering.rulesCounted(),
        "deliberate": dict(steering.deceits),
        "errors": {kind: {"count": number, "sample": sample} for kind, (number, sample) in counts.errors.items()},
    }
