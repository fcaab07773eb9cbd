"""
C{/messages} of a sink of several workers: which there are, and waiting for them.
"""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import Any

from twisted.internet.defer import Deferred

from smtpsource.sink.control.asked import Asked
from smtpsource.sink.control.events import Event, Events
from smtpsource.sink.control.messages import FINDING, MOST, USUAL, waitOf
from smtpsource.sink.steering import KEPT, Steering
from smtpsource.sink.workers.answering import Question
from smtpsource.sink.workers.asking import Asking
from smtpsource.sink.workers.documents import documents
from smtpsource.values import numbers
from smtpsource.web.answers import Answer, Problem, asJSON
from smtpsource.web.staying import Stay, Stays


class Finding:
    """
    Asks all workers for messages.
    """

    def __init__(self, reactor: Any, steering: Steering, events: Events, asking: Asking) -> None:
        """
        @param reactor: provides C{IReactorTime}.
        """
        self._reactor, self._events, self._asking = reactor, events, asking
        self._most = steering.plan.keep or KEPT
        self._stays = Stays()

    def find(self, asked: Asked) -> Deferred[Answer]:
        """
        See L{Messages.find<smtpsource.sink.control.messages.Messages.find>}.
        """
        query = {name: asked.query[name] for name in FINDING if name in asked.query}
        if "after" in query:
            query["after"] = str(asked.wanted("after", 0, numbers.LARGEST, 0))
        count = asked.wanted("count", 1, numbers.LARGEST, 1)
        limit = asked.wanted("limit", 1, MOST, USUAL)
        seconds = waitOf(asked.query.get("wait", "0"))
        question = Question("GET", "/messages", {**query, "limit": str(limit)})
        if not seconds or asked.request.method == b"HEAD":
            return self.look(question, limit).addCallback(asJSON)
        if count > self._most:
            problem = f"count {count} is not usable: expected at most {self._most}, no more messages are kept"
            raise Problem(HTTPStatus.BAD_REQUEST, problem)
        stay = self._stays.begin(asked.request)
        return _Waiting(self, question, limit, count, stay).begin(self._reactor, self._events, seconds)

    def forget(self) -> None:
        """
        All are deleted: those that were lost with a worker, too.
        """
        for link in self._asking.links:
            if not link.isReady:
                link.counted = replace(link.counted, present=0, displaced=0)

    def look(self, question: Question, limit: int) -> Deferred[dict[str, Any]]:
        """
        @return: fires with what there is now.
        """

        def merged(answers: list[Answer]) -> dict[str, Any]:
            found = documents(answers)
            messages = [message for each in found for message in each["messages"]]
            messages.sort(key=lambda message: int(message["number"]))
            sums = {name: sum(each[name] for each in found) for name in ("found", "total", "displaced")}
            for link in self._asking.links:
                if not link.isReady:
                    # What it had is gone, as if others had come in its place.
                    sums["total"] += link.counted.total
                    sums["displaced"] += link.counted.displaced + link.counted.present
            return {"messages": messages[:limit], **sums}

        return self._asking.ask(question).addCallback(merged)


class _Waiting:
    """
    Somebody who waits for messages: each that comes is a reason to look again.
    """

    def __init__(self, finding: Finding, question: Question, limit: int, count: int, stay: Stay) -> None:
        self._finding, self._question, self._limit, self._count = finding, question, limit, count
        self._stay = stay
        self._isLooking = self._isStale = self._isLast = False
        self._answered: Deferred[Answer] = Deferred()

    def begin(self, reactor: Any, events: Events, seconds: float) -> Deferred[Answer]:
        """
        Wait.

        @return: fires with the answer.
        """
        self._unsubscribe = events.subscribe(self._happened)
        self._timer = reactor.callLater(seconds, self._over)
        self._stay.whenGone(self._over)
        self._look()
        return self._answered

    def _happened(self, event: Event) -> None:
        if event.kind == "message" and not self._isLast:
            self._look()

    def _over(self) -> None:
        """
        It has taken too long.
        """
        self._isLast = True
        self._look()

    def _look(self) -> None:
        if self._isLooking:
            self._isStale = True
            return
        self._isLooking, self._isStale = True, False
        self._finding.look(self._question, self._limit).addCallbacks(self._seen, self._failed)

    def _seen(self, found: dict[str, Any]) -> None:
        self._isLooking = False
        if found["found"] >= self._count or (self._isLast and not self._isStale):
            self._end()
            self._answered.callback(asJSON(found))
        elif self._isStale:
            self._look()

    def _failed(self, failure: Any) -> None:
        self._end()
        self._answered.errback(failure)

    def _end(self) -> None:
        self._unsubscribe()
        if self._timer.active():
            self._timer.cancel()
        self._stay.end()
