"""
Requests, from their first byte to the last one of their answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import Request as PlainRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from smtpsource.sink.control.asked import LARGEST_BODY, Asked, Does
from smtpsource.sink.control.paths import Paths, at
from smtpsource.web.answers import Answer, Problem
from smtpsource.web.guard import Guard
from smtpsource.web.requests import BoundedRequest, send
from smtpsource.web.visitors import QuietSite

_log = Logger()

#: The most parameters of a query.
_MOST_PARAMETERS = 64


class Control(Resource):
    """
    Everything that can be asked.
    """

    isLeaf = True

    def __init__(self, paths: Paths, guard: Guard) -> None:
        super().__init__()
        self._paths = paths
        self._guard = guard

    def render(self, request: BoundedRequest) -> int:
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

    def _answer(self, request: BoundedRequest) -> Answer | Deferred[Answer] | None:
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


def site(reactor: Any, paths: Paths, guard: Guard) -> QuietSite:
    """
    The site that L{ControlServer<smtpsource.sink.control.server.ControlServer>} serves.
    """
    made = QuietSite(Control(paths, guard), requestFactory=BoundedRequest, timeout=None, reactor=reactor)
    made.displayTracebacks = False
    return made
