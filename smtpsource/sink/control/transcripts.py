"""
C{/transcripts}: what the last sessions have said.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from smtpsource.sink.control.asked import Asked
from smtpsource.web.answers import Answer, Problem, asJSON

if TYPE_CHECKING:
    from smtpsource.sink.keeping.transcripts import Transcripts as Kept
    from smtpsource.sink.steering import Steering

TEXT = "text/plain; charset=utf-8"


class Transcripts:
    """
    What can be done with them.
    """

    def __init__(self, kept: Kept, steering: Steering) -> None:
        """
        @param steering: tells what is done.
        """
        self._kept = kept
        self._steering = steering

    def list(self, asked: Asked) -> Answer:
        """
        Which there are.
        """
        return asJSON(
            {
                "transcripts": [
                    {
                        "session": each.session,
                        "client": each.address,
                        "lines": len(each.lines),
                        "dropped": each.dropped,
                        "logins": each.loginsAsDicts(),
                    }
                    for each in self._kept.all()
                ]
            }
        )

    def get(self, asked: Asked) -> Answer:
        """
        The dialogue of one session; as text if that is asked for.
        """
        number = asked.number("session")
        transcript = self._kept.get(number)
        if transcript is None:
            raise Problem(HTTPStatus.NOT_FOUND, f"the transcript of session {number} is not there, or not any more")
        if prefersText(asked.header("accept") or ""):
            return Answer(transcript.asText().encode("utf-8", "replace"), TEXT, headers={"Vary": "Accept"})
        return asJSON(transcript.asDict(), headers={"Vary": "Accept"})

    def delete(self, asked: Asked) -> Answer:
        """
        Forget all of them.
        """
        count = len(self._kept.all())
        self._kept.delete()
        self._steering.publish("deleted", transcripts=count)
        return asJSON({"deleted": count})


def prefersText(accept: str) -> bool:
    """
    Does somebody name C{text/plain} (RFC 9110 section 12.5.1), and JSON not before it?
    """
    types = [each.partition(";")[0].strip().lower() for each in accept.split(",")]
    if "text/plain" not in types:
        return False
    return "application/json" not in types or types.index("text/plain") < types.index("application/json")
