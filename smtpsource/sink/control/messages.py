"""
C{/messages}: the messages that a sink keeps in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred

from smtpsource.sink.control.asked import Asked
from smtpsource.values import numbers
from smtpsource.web.answers import Answer, Problem, asJSON, unusable
from smtpsource.web.staying import Stays

if TYPE_CHECKING:
    from smtpsource.sink.keeping.entry import Entry
    from smtpsource.sink.keeping.memory import Memory
    from smtpsource.sink.steering import Steering

#: By what messages are found.
FINDING = ("recipient", "sender", "subject", "id", "after")

#: All parameters of C{GET /messages}.
LISTING = (*FINDING, "wait", "count", "limit")

#: Seconds that somebody may wait for messages.
LONGEST_WAIT = 600.0

#: So many messages are in one answer, unless it is said how many; and the most that may be said.
USUAL, MOST = 1000, 10_000


class Messages:
    """
    What can be done with them.
    """

    def __init__(self, reactor: Any, memory: Memory, steering: Steering, stays: Stays) -> None:
        """
        @param reactor: provides C{IReactorTime}.
        @param steering: tells what is done.
        @param stays: those who wait for messages.
        """
        self._reactor = reactor
        self._memory = memory
        self._steering = steering
        self._stays = stays

    def find(self, asked: Asked) -> Answer | Deferred[Answer]:
        """
        Messages that are there or, with C{wait}, that come within so many seconds: at once when C{count} are there.
        """
        memory = self._memory
        what: dict[str, Any] = {name: asked.query[name] for name in FINDING if name in asked.query}
        if "after" in what:
            what["after"] = asked.wanted("after", 0, numbers.LARGEST, 0)
        count = asked.wanted("count", 1, numbers.LARGEST, 1)
        limit = asked.wanted("limit", 1, MOST, USUAL)
        seconds = waitOf(asked.query.get("wait", "0"))
        if not seconds or asked.request.method == b"HEAD":
            return _listed(memory, memory.find(**what), limit)
        stay = self._stays.begin(asked.request)
        try:
            waiting = memory.wait(count, **what)
        except ValueError as e:
            stay.end()
            raise Problem(HTTPStatus.BAD_REQUEST, str(e))
        timer = self._reactor.callLater(seconds, waiting.cancel)
        stay.whenGone(waiting.cancel)

        def over(result: Any) -> Answer:
            if timer.active():
                timer.cancel()
            stay.end()
            if isinstance(result, list):
                return _listed(memory, result, limit)
            result.trap(CancelledError)
            return _listed(memory, memory.find(**what), limit)

        return waiting.addBoth(over)

    def get(self, asked: Asked) -> Answer:
        """
        A message without its content.
        """
        entry = self._entry(asked)
        return asJSON({**entry.asDict(), "headers": _headers(entry)})

    def getRaw(self, asked: Asked) -> Answer:
        """
        Its content as it came.
        """
        return Answer(self._entry(asked).raw, "message/rfc822")

    def delete(self, asked: Asked) -> Answer:
        """
        Forget all messages.
        """
        count = self._memory.delete()
        self._steering.publish("deleted", count=count)
        return asJSON({"deleted": count})

    def deleteOne(self, asked: Asked) -> Answer:
        """
        Forget one.
        """
        number = self._entry(asked).number
        self._memory.delete(number)
        self._steering.publish("deleted", count=1, number=number)
        return Answer(status=HTTPStatus.NO_CONTENT)

    def _entry(self, asked: Asked) -> Entry:
        number = asked.number("number")
        entry = self._memory.get(number)
        if entry is None:
            raise Problem(HTTPStatus.NOT_FOUND, f"message {number} is not there, or not any more")
        return entry


def _listed(memory: Memory, found: Sequence[Entry], limit: int) -> Answer:
    return asJSON(
        {
            "messages": [entry.asDict() for entry in found[:limit]],
            "found": len(found),
            "total": memory.total,
            "displaced": memory.displaced,
        }
    )


def _headers(entry: Entry) -> list[list[str]]:
    """
    The lines of its header, as they came but unfolded.
    """
    return [
        [name, str(value).replace("\r", "").replace("\n", "").encode("utf-8", "replace").decode("utf-8")]
        for name, value in entry.headers.raw_items()
    ]


def waitOf(text: str) -> float:
    """
    Seconds that somebody wants to wait.

    @raise Problem: it can't be used.
    """
    try:
        seconds = numbers.timeOrZero(text)
        if seconds > LONGEST_WAIT:
            raise ValueError(f"expected at most {LONGEST_WAIT:g} seconds")
    except ValueError as e:
        raise unusable("wait", text, e)
    return seconds
