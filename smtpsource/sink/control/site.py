"""
Requests, from their first byte to the last one of their answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import Request as PlainRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from smtpsource.report.visitors import QuietSite
from smtpsource.sink.control.answers import Answer, Problem
from smtpsource.sink.control.asked import LARGEST_BODY, Asked, Does
from smtpsource.sink.control.guard import Guard
from smtpsource.sink.control.paths import Paths, at
from smtpsource.sink.control.staying import visitorOf

_log = Logger()

#: Seconds in which an answer has to be read.
READING_TIME = 60.0

#: The most parameters of a query.
_MOST_PARAMETERS = 64


class ControlRequest(Request):
    """
    A request whose body is in bounds, in memory, and no form.

    @ivar body: the body.
    @ivar isTooLarge: there was more of it.
    @ivar contentType: of the body, in small letters and without parameters.
    """

    isTooLarge = False
    contentType = ""

    def gotLength(self, length: int | None) -> None:
        """
        A body may follow.
        """
        self.body = self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        """
        A part of it.
        """
        if self.body.tell() + len(data) > LARGEST_BODY:
            self.isTooLarge = True
        else:
            self.body.write(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """
        All of it is there.
        """
        # Twisted takes forms apart, and there is none that we know.
        given = self.requestHeaders.getRawHeaders(b"content-type") or [b""]
        self.contentType = given[0].partition(b";")[0].strip().lower().decode("latin-1")
        self.requestHeaders.removeHeader(b"content-type")
        super().requestReceived(command, path, version)


class Control(Resource):
    """
    Everything that can be asked.
    """

    isLeaf = True

    def __init__(self, paths: Paths, guard: Guard) -> None:
        super().__init__()
        self._paths = paths
        self._guard = guard

    def render(self, request: ControlRequest) -> int:
        """
        Answer a request, now or later.
        """
        try:
            answer = self._answer(request)
        except Exception:
            answer = _problem(Failure())
        if isinstance(answer, Deferred):
            answer.addErrback(_problem).addCallback(lambda answer: send(request, answer))
        elif answer is not None:
            send(request, answer)
        return int(NOT_DONE_YET)

    def _answer(self, request: ControlRequest) -> Answer | Deferred[Answer] | None:
        self._guard.check(request)
        methods, names = at(self._paths, request.path)
        method = request.method.decode("latin-1")
        if method == "OPTIONS":
            return Answer(status=HTTPStatus.NO_CONTENT, headers=_allow(methods))
        if method == "HEAD":
            method = "GET"
        does = methods.get(method)
        if does is None:
            allowed = _allow(methods)
            problem = f"nothing is done here for this method: expected {allowed['Allow']}"
            raise Problem(HTTPStatus.METHOD_NOT_ALLOWED, problem, allowed)
        if request.isTooLarge:
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected a body of at most {LARGEST_BODY} octets")
        query = does.check(_queryOf(request))
        return does.operation(Asked(method, names, query, request.contentType, request.body.getvalue(), request))


def _allow(methods: Mapping[str, Does]) -> dict[str, str]:
    allowed = {*methods, "OPTIONS", *(["HEAD"] if "GET" in methods else [])}
    return {"Allow": ", ".join(sorted(allowed))}


def _queryOf(request: PlainRequest) -> Mapping[str, list[str]]:
    _, _, text = request.uri.partition(b"?")
    try:
        return parse_qs(text.decode("latin-1"), keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        raise Problem(HTTPStatus.BAD_REQUEST, f"expected a query of at most {_MOST_PARAMETERS} parameters")


def _problem(failure: Failure) -> Answer:
    """
    What to say instead.
    """
    if isinstance(failure.value, Problem):
        return failure.value.answer
    _log.failure("a request for control failed", failure)
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, f"this is a fault of the sink's: {failure.value!r}").answer


def send(request: PlainRequest, answer: Answer) -> None:
    """
    Send an answer, if the client is still there.
    """
    if request.channel is None:
        return
    request.setResponseCode(answer.status)
    for name, value in {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **answer.headers}.items():
        request.setHeader(name, value)
    if answer.status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        request.setHeader("Content-Type", answer.contentType)
        request.setHeader("Content-Length", str(len(answer.body)))
    visitor = visitorOf(request)
    if visitor is not None:
        visitor.dismiss(READING_TIME)
    request.write(answer.body)
    request.finish()


def site(reactor: Any, paths: Paths, guard: Guard) -> QuietSite:
    """
    The site that L{ControlServer<smtpsource.sink.control.server.ControlServer>} serves.
    """
    made = QuietSite(Control(paths, guard), requestFactory=ControlRequest, timeout=None, reactor=reactor)
    made.displayTracebacks = False
    return made
