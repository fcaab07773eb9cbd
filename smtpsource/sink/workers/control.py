"""
The control of a sink of several workers: the parent serves it, and asks them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from twisted.internet.defer import Deferred

from smtpsource.sink.control.asked import Asked, Does, Operation
from smtpsource.sink.control.events import Events
from smtpsource.sink.control.paths import Paths, paths
from smtpsource.sink.steering import Steering
from smtpsource.sink.workers.answering import RULES, Question
from smtpsource.sink.workers.asking import PATIENCE, Asking
from smtpsource.sink.workers.counted import Counted
from smtpsource.sink.workers.documents import documents, noWorker, silent
from smtpsource.sink.workers.finding import Finding
from smtpsource.sink.workers.link import Link
from smtpsource.sink.workers.shared import MOST_OPEN, Shared
from smtpsource.sink.workers.wire import Kind
from smtpsource.web.answers import Answer, asJSON

#: Headers of a request that workers look at.
_HEADERS = ("accept",)


class BandControl:
    """
    What can be asked of all workers.
    """

    def __init__(self, reactor: Any, asking: Asking, shared: Callable[[], Shared]) -> None:
        """
        @param shared: gives the memory that they share.
        """
        self._reactor, self._asking, self._shared = reactor, asking, shared
        self._events = Events()

    def paths(self, reactor: Any, steering: Steering, events: Events) -> Paths:
        """
        See L{smtpsource.sink.control.paths.paths}.

        @param steering: the parent's, that has no session.
        """
        self._steering, self._events = steering, events
        events.whenWatched = self._watched
        found = {path: dict(methods) for path, methods in paths(reactor, steering, events).items()}
        for path in ("/rules", "/rules/{name}"):
            for method in set(found[path]) - {"GET"}:
                found[path][method] = self._toAll(found[path][method])
        for path in ("/counters", "/metrics"):
            found[path]["GET"] = self._counted(found[path]["GET"])
        for path in ("/pause", "/resume"):
            found[path]["POST"] = self._afterwards(found[path]["POST"], Question("POST", path))
        found["/sessions"]["DELETE"] = Does(self._sum("/sessions", "dropped"))
        finding = Finding(reactor, steering, events, self._asking)
        found["/messages"]["GET"] = Does(finding.find, found["/messages"]["GET"].query)
        deleting = self._deleting(self._sum("/messages", "deleted"), "count", finding.forget)
        found["/messages"]["DELETE"] = Does(deleting)
        found["/transcripts"]["DELETE"] = Does(self._deleting(self._sum("/transcripts", "deleted"), "transcripts"))
        found["/transcripts"]["GET"] = Does(self._transcripts)
        for path, methods in (
            ("/messages/{number}", ("GET", "DELETE")),
            ("/messages/{number}/raw", ("GET",)),
            ("/transcripts/{session}", ("GET",)),
        ):
            for method in methods:
                found[path][method] = Does(self._one(path, method))
        return found

    def happened(self, skipped: int, events: Sequence[tuple[str, float, Mapping[str, Any]]]) -> None:
        """
        A worker tells what has happened.
        """
        self._events.skip(skipped)
        for event in events:
            self._events.add(*event)

    def _watched(self, isWatched: bool) -> None:
        for link in self._asking.links:
            link.say(Kind.WATCH, isWatched)

    def _toAll(self, does: Does) -> Does:
        """
        What changes the rules: it is answered when all workers have the new ones.
        """

        def operation(asked: Asked) -> Any:
            before = self._steering.rules
            answer = does.operation(asked)
            if self._steering.rules is before:
                return answer
            question = Question(RULES, document=self._steering.rules.asDict())
            return self._asking.ask(question).addCallback(lambda answers: answer)

        return Does(operation, does.query)

    def _afterwards(self, does: Does, question: Question) -> Does:
        """
        What the parent does, and then each worker.
        """

        def operation(asked: Asked) -> Any:
            answer = does.operation(asked)
            return self._asking.ask(question).addCallback(lambda answers: answer)

        return Does(operation, does.query)

    def _counted(self, does: Does) -> Does:
        """
        What is told of counters, when all workers have said theirs.
        """

        def operation(asked: Asked) -> Any:
            return self._asking.counts().addCallback(self._fill).addCallback(lambda result: does.operation(asked))

        return Does(operation, does.query)

    def _fill(self, counted: Counted) -> None:
        steering = self._steering
        counted.fill(steering.counts)
        steering.counts.mostOpen = self._shared().most(MOST_OPEN)
        steering.ruleCounts = Counter(counted.rules)
        steering.deceits = Counter(counted.deceits)
        steering.number = counted.kept

    def _sum(self, path: str, name: str) -> Callable[[Asked], Deferred[Answer]]:
        """
        What each worker does, and says how often.
        """

        def summed(answers: list[Answer]) -> Answer:
            return asJSON({name: sum(document[name] for document in documents(answers))})

        return lambda asked: self._asking.ask(Question("DELETE", path)).addCallback(summed)

    def _deleting(
        self, operation: Callable[[Asked], Deferred[Answer]], name: str, also: Callable[[], None] = lambda: None
    ) -> Operation:
        def tell(answer: Answer) -> Answer:
            also()
            self._steering.publish("deleted", **{name: json.loads(answer.body)["deleted"]})
            return answer

        return lambda asked: operation(asked).addCallback(tell)

    def _one(self, pattern: str, method: str) -> Operation:
        """
        What is with one of the workers, or none.
        """

        def first(gathered: tuple[list[Answer], list[Link]]) -> Answer:
            answers, missing = gathered
            for answer in answers:
                if answer.status < HTTPStatus.BAD_REQUEST:
                    return answer
            if missing:
                raise silent(missing, PATIENCE)
            if not answers:
                raise noWorker()
            return answers[0]

        def operation(asked: Asked) -> Deferred[Answer]:
            path = pattern
            for name, value in asked.names.items():
                path = path.replace(f"{{{name}}}", quote(value, safe=""))
            headers = {name: text for name in _HEADERS if (text := asked.header(name)) is not None}
            found = self._asking.gather(Question(method, path, headers=headers)).addCallback(first)
            return found.addCallback(tell, asked) if method == "DELETE" else found

        def tell(answer: Answer, asked: Asked) -> Answer:
            if answer.status < HTTPStatus.BAD_REQUEST:
                self._steering.publish("deleted", count=1, number=asked.number("number"))
            return answer

        return operation

    def _transcripts(self, asked: Asked) -> Deferred[Answer]:
        def merged(answers: list[Answer]) -> Answer:
            found = [one for document in documents(answers) for one in document["transcripts"]]
            return asJSON({"transcripts": sorted(found, key=lambda one: int(one["session"]))})

        return self._asking.ask(Question("GET", "/transcripts")).addCallback(merged)
