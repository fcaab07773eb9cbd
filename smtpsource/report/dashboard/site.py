"""
What can be asked of a dashboard.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from smtpsource.measure.marks import Mark
from smtpsource.printable import printable
from smtpsource.process.unexpected import named
from smtpsource.values.serving import Where
from smtpsource.web.answers import JSON, Answer, Problem, asJSON
from smtpsource.web.guard import Guard
from smtpsource.web.requests import HEADERS, BoundedRequest, send

if TYPE_CHECKING:
    from twisted.web.http import Request

_log = Logger()

#: The most characters of a mark.
LONGEST_MARK = 200

#: The most marks that are made so in one run.
MOST_MARKS = 1000

#: Nothing comes from elsewhere, and nothing of a server's is a script.
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src "
    "'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

#: Answers a request; C{None} if it has begun to do that itself.
Operation = Callable[["DashboardRequest"], "Answer | None"]


class DashboardRequest(BoundedRequest):
    """
    A request to a dashboard: no one has to say much.
    """

    largestBody = 8192


class DashboardGuard(Guard):
    """
    One that knows pages: their token is in a cookie, which they have from the address that was printed.
    """

    wanted = "the address that was shown when the run began, with its token"

    @property
    def cookie(self) -> str:
        """
        The cookie's name: cookies do not know ports.
        """
        return f"smtpsource-{self._where.port}"

    def givenBy(self, request: Request) -> bytes:
        """
        @return: the token of a header, the query or the cookie.
        """
        given = super().givenBy(request) or _queryOf(request).get("token", "").encode("utf-8", "replace")
        if given:
            return given
        # Not SimpleCookie: it gives up at others' cookies that it dislikes, and cookies know no ports.
        pairs = (pair.partition(b"=") for pair in (request.getHeader(b"cookie") or b"").split(b";"))
        ours = self.cookie.encode("ascii")
        return next((value.strip() for name, _, value in pairs if name.strip() == ours), b"")

    def check(self, request: Request) -> None:
        """
        @raise Problem: it may not be answered.
        """
        super().check(request)
        # An image of another site's page has no Origin, and would cost the run as much as any request.
        site, mode = request.getHeader(b"sec-fetch-site"), request.getHeader(b"sec-fetch-mode")
        isLink = request.method == b"GET" and request.path == b"/" and mode == b"navigate"
        if site not in (None, b"same-origin", b"none") and not isLink:
            raise Problem(HTTPStatus.FORBIDDEN, "requests from pages of other sites are not taken")


class Site(Resource):
    """
    All that is there.
    """

    isLeaf = True

    def __init__(self, where: Where, token: str | None, paths: Mapping[str, Mapping[str, Operation]]) -> None:
        """
        @param where: where it is, with the port.
        @param token: what is needed to come in; C{None} for nothing.
        @param paths: what is done at each path for each method.
        """
        super().__init__()
        self._guard = DashboardGuard(where, token, "smtpsource")
        self._token = token
        self._paths = paths

    def render(self, request: DashboardRequest) -> int:
        """
        Answer a request, now or later.
        """
        for name, value in (HEADERS | SECURITY).items():
            request.setHeader(name, value)
        try:
            answer = self._answer(request)
        except Problem as e:
            answer = e.answer
        except Exception as e:
            # A failure in the log would end the run, which has no part in it.
            _log.warn("a request to the dashboard failed: {fault}", fault=": ".join(named(e)))
            answer = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "this is a fault of smtpsource").answer
        if answer is not None:
            send(request, answer)
        return int(NOT_DONE_YET)

    def _answer(self, request: DashboardRequest) -> Answer | None:
        self._guard.check(request)
        path = request.path.decode("latin-1")
        methods = self._paths.get(path)
        if methods is None:
            raise Problem(HTTPStatus.NOT_FOUND, f"there is nothing here: expected one of {', '.join(self._paths)}")
        method = request.method.decode("latin-1")
        operation = methods.get("GET" if method == "HEAD" else method)
        if operation is None:
            allowed = ", ".join([*methods, *(["HEAD"] if "GET" in methods else [])])
            problem = f"nothing is done here for this method: expected {allowed}"
            raise Problem(HTTPStatus.METHOD_NOT_ALLOWED, problem, {"Allow": allowed})
        if self._token is not None and path == "/" and "token" in _queryOf(request):
            # It need not stay where others can see it.
            # Lax: a link to here, from a chat say, is followed with it. Nothing can be done with that: see the guard.
            cookie = f"{self._guard.cookie}={self._token}; Path=/; HttpOnly; SameSite=Lax"
            return Answer(status=HTTPStatus.SEE_OTHER, headers={"Location": "/", "Set-Cookie": cookie})
        return operation(request)


def _queryOf(request: Request) -> Mapping[str, str]:
    _, _, text = request.uri.partition(b"?")
    try:
        return {name: values[-1] for name, values in parse_qs(text.decode("latin-1"), max_num_fields=8).items()}
    except ValueError:
        raise Problem(HTTPStatus.BAD_REQUEST, "expected a query of at most 8 parameters")


class MarkRequests:
    """
    C{POST /mark}: somebody has done something.
    """

    def __init__(self, mark: Callable[[str], Mark], notes: Callable[[], int]) -> None:
        """
        @param mark: marks this moment.
        @param notes: says how many there are that somebody has made.
        """
        self._mark = mark
        self._notes = notes

    def post(self, request: DashboardRequest) -> Answer:
        """
        Mark this moment, with a text in a form, in JSON or plain.
        """
        text = " ".join(_textOf(request).split())
        if not 0 < len(text) <= LONGEST_MARK:
            problem = f"{len(text)} characters are not usable: expected a text of 1 to {LONGEST_MARK}"
            raise Problem(HTTPStatus.BAD_REQUEST, problem)
        if self._notes() >= MOST_MARKS:
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, f"expected at most {MOST_MARKS} marks in a run")
        made = self._mark(printable(text))
        return asJSON({"at": round(made.at, 6), "text": made.text}, HTTPStatus.CREATED)


def _textOf(request: DashboardRequest) -> str:
    if request.isTooLarge:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected at most {request.largestBody} octets")
    kind = request.contentType
    try:
        body = request.body.getvalue().decode("utf-8")
        if kind == "application/x-www-form-urlencoded":
            return _textOfForm(body)
        if kind == JSON:
            return _textIn(json.loads(body))
    except (ValueError, RecursionError) as e:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is not usable: {e}")
    if kind not in ("", "text/plain"):
        expected = f"application/x-www-form-urlencoded, {JSON} or text/plain"
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type: {kind!r} is not usable: expected {expected}")
    return body


def _textOfForm(body: str) -> str:
    if "=" not in body:
        return body  # curl -d calls everything a form
    fields = parse_qs(body, keep_blank_values=True, max_num_fields=8, errors="strict")
    if "text" not in fields:
        raise ValueError("expected text=... in the form")
    return fields["text"][0]


def _textIn(document: Any) -> str:
    text = document.get("text") if isinstance(document, dict) else document
    if not isinstance(text, str):
        raise ValueError('expected {"text": "..."}')
    return text
