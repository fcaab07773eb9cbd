"""
What a worker answers when its parent, who serves the control of all workers, asks it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from smtpsource.sink.control.asked import Asked
from smtpsource.sink.control.events import REMEMBERED, Event, Events
from smtpsource.sink.control.paths import at, paths
from smtpsource.sink.steering import KEPT, Steering
from smtpsource.sink.workers.factory import WorkerFactory
from smtpsource.sink.workers.wire import Kind
from smtpsource.web.answers import Answer, Problem

if TYPE_CHECKING:
    from twisted.web.http import Request

_log = Logger()

#: Seconds in which what happens is gathered, to be told together.
_GATHERING = 0.02

#: What is asked that is no path of the control: other rules; and what was counted, which is told before each answer.
RULES, COUNTS = "rules", "counts"


#: What happens here; all else does in the sink as a whole, and is told by the parent.
_OF_SESSIONS = ("connect", "disconnect", "auth", "message", "rule")


@dataclass(frozen=True)
class Question:
    """
    Something that a parent asks each worker.

    @ivar method: of HTTP, or L{RULES} or L{COUNTS}.
    @ivar path: as it would come over HTTP.
    @ivar query: the parameters after it.
    @ivar document: of rules.
    @ivar headers: of the request, in small letters.
    """

    method: str
    path: str = ""
    query: dict[str, str] = field(default_factory=dict)
    document: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class _Request:
    """
    What an operation asks of a request.
    """

    def __init__(self, question: Question) -> None:
        self.method = question.method.encode("ascii")
        self._headers = question.headers

    def getHeader(self, name: bytes) -> bytes | None:
        text = self._headers.get(name.decode("ascii").lower())
        return None if text is None else text.encode("utf-8")


class Answering:
    """
    One worker's part in its sink's control.
    """

    def __init__(
        self,
        reactor: Any,
        factory: WorkerFactory,
        say: Callable[[Kind, Any], None],
        tellCounts: Callable[[], None],
    ) -> None:
        """
        @param say: tells the parent something.
        @param tellCounts: tells it what was counted, if there is something new.
        """
        self._reactor, self._factory, self._say, self._tellCounts = reactor, factory, say, tellCounts
        steering = cast("Steering", factory.steering)
        events = Events()
        steering.publish = events.publish
        events.subscribe(self._happened)
        self._paths = paths(reactor, steering, events)
        self._steering = steering
        self._events: deque[Event] = deque()
        self._skipped = 0
        self._isWatched = False
        self._keeps = steering.plan.keep or KEPT
        self._timer: Any = None

    def ask(self, number: int, question: Question) -> None:
        """
        Answer.

        @param number: goes along with the answer.
        """
        try:
            answer: Any = self._answer(question)
        except Problem as e:
            answer = e.answer
        except Exception as e:
            _log.failure("a question about control failed")
            answer = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, f"this is a fault of the sink's: {e!r}").answer
        # What has happened before the answer is told before it: so nothing that was answered is unknown later on.
        self._tell()
        self._tellCounts()
        self._say(Kind.ANSWER, (number, answer))

    def _answer(self, question: Question) -> Any:
        if question.method == COUNTS:
            return Answer()
        if question.method == RULES:
            self._factory.replaceRules(question.document)
            return Answer()
        if self._steering.memory is not None:
            self._steering.memory.displace(self._factory.lastKept - self._keeps)
        methods, names = at(self._paths, question.path.encode("ascii"))
        request = cast("Request", _Request(question))
        answer = methods[question.method].operation(Asked(question.method, names, question.query, "", b"", request))
        assert not isinstance(answer, Deferred)
        return answer

    def watch(self, isWatched: bool) -> None:
        """
        Somebody watches what happens, or nobody does: then the latest is enough.
        """
        self._isWatched = isWatched

    def close(self) -> None:
        """
        Tell what has not been told yet.
        """
        self._tell()

    def _happened(self, event: Event) -> None:
        if event.kind not in _OF_SESSIONS:
            return
        if not self._isWatched and len(self._events) >= REMEMBERED:
            self._events.popleft()
            self._skipped += 1
        self._events.append(event)
        if self._timer is None:
            self._timer = self._reactor.callLater(_GATHERING, self._tell)

    def _tell(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if self._events or self._skipped:
            told = [(event.kind, event.at, dict(event.fields)) for event in self._events]
            self._say(Kind.EVENTS, (self._skipped, told))
            self._events.clear()
            self._skipped = 0
