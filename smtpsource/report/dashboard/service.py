"""
The dashboard of a run, as a service.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.web.resource import Resource

from smtpsource.measure.frame import Frame
from smtpsource.measure.marks import Mark
from smtpsource.measure.progress import Progress
from smtpsource.measure.series import Sample
from smtpsource.measure.step import Step
from smtpsource.measure.summary import Summary
from smtpsource.process.listening import ListenError, addressOf
from smtpsource.process.unexpected import named
from smtpsource.report.allowance import SHARE, Allowance
from smtpsource.report.dashboard.broadcast import Broadcast
from smtpsource.report.dashboard.doing import Doing
from smtpsource.report.dashboard.history import asJSON
from smtpsource.report.dashboard.kept import Kept
from smtpsource.report.dashboard.page import Page
from smtpsource.report.dashboard.pieces import sendPieces
from smtpsource.report.dashboard.shown import Shown
from smtpsource.report.dashboard.site import DashboardRequest, MarkRequests, Operation, Site
from smtpsource.report.document import documentOf
from smtpsource.report.pieces import reportPieces
from smtpsource.values.serving import Where
from smtpsource.web import door
from smtpsource.web.answers import JSON, Answer, Problem
from smtpsource.web.eventstream import TYPE
from smtpsource.web.visitors import QuietSite, Visitors

__all__ = ["LAST", "MOST", "DashboardService", "ListenError", "Shown"]

_log = Logger()

#: The most connections at once: a run has few descriptors to spare for them (see L{smtpsource.process.openfiles}).
MOST = 16

#: So many more may wait outside.
_BACKLOG = 64

#: The most bytes that a request may have.
_LARGEST = 65_536

#: Seconds that those who watch have to read the last they are told.
LAST = 1.0


class DashboardService(Service):
    """
    Shows one run in browsers, from C{startService} to C{stopService}.
    """

    name = "dashboard"

    def __init__(
        self,
        reactor: Any,
        source: Shown,
        where: Where,
        *,
        share: float = SHARE,
        mayMark: bool = True,
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        """
        @param reactor: provides C{IReactorTCP} and C{IReactorTime}.
        @param source: the run.
        @param where: a host and a port; 0 is any that is free.
        @param share: the part of the time that may be spent on what is on the page, on the page, and on the report.
        @param mayMark: may who looks mark a moment?
        @param clock: for the seconds that all of this takes.
        """
        self._reactor = reactor
        self._clock = clock
        self._source = source
        self._where = where
        self._token = None if where.isLocal else secrets.token_urlsafe(18)
        self._port: Any = None
        self._isOver = False
        self._broadcast = Broadcast(reactor, source.percentiles)
        self._doing = Doing(reactor, source.progress, self._broadcast)
        self._mayMark = mayMark
        # Seconds that are yet to be told.
        self._seconds: list[tuple[Frame, Progress, Sample, Step]] = []
        self._turn: Any = None
        self._page = Page(reactor, source.summaryNow, self._broadcast, clock, share, mayMark)
        allowance = Allowance(reactor.seconds, share, clock)
        self._reports = Kept(lambda: reportPieces(source.summaryNow()), allowance)

    @property
    def url(self) -> str:
        """
        Where the page is, with what is needed to see it.
        """
        return f"http://{self._where}/" + ("" if self._token is None else f"?token={self._token}")

    def startService(self) -> None:
        """
        Begin to serve.

        @raise ListenError: it is not possible there.
        """
        site = QuietSite(Resource(), requestFactory=DashboardRequest, timeout=None, reactor=self._reactor)
        site.displayTracebacks = False
        self._visitors = Visitors(site, self._reactor, MOST, _LARGEST, door.SHARE, self._clock)
        where = self._where
        try:
            address = addressOf(where.host)
            self._port = self._reactor.listenTCP(where.port, self._visitors, _BACKLOG, interface=address)
        except (CannotListenError, OSError) as e:
            raise ListenError(f"can't show a dashboard at {where}", e) from e
        self._where = replace(where, port=self._port.getHost().port)
        site.resource = Site(self._where, self._token, self._paths())
        self._visitors.serveAt(self._port)
        super().startService()
        _log.info("dashboard at {where}", where=str(self._where))
        self._source.onFrame(self._cut)
        self._source.whenDone().addCallback(self._over)

    def _paths(self) -> dict[str, dict[str, Operation]]:
        page, marking = self._page, MarkRequests(self._mark, self._notes)
        return {
            "/": {"GET": page.get},
            **{path: {"GET": operation} for path, operation in page.files().items()},
            "/events": {"GET": self._watch},
            "/frames": {"GET": self._watchFrames},
            "/report.json": {"GET": self._report},
            **({"/mark": {"POST": marking.post}} if self._mayMark else {}),
        }

    def stopService(self) -> Deferred[Any]:
        """
        Serve no longer; connections are closed.
        """
        super().stopService()
        port, self._port = self._port, None
        if port is None:
            return succeed(None)
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        self._doing.stop()
        self._page.stop()
        self._visitors.abort()
        stopped: Deferred[Any] = maybeDeferred(port.stopListening)
        return stopped

    def leave(self) -> Deferred[Any]:
        """
        The run is over, and was told: serve no longer when those who watch have read that.

        @return: fires when that is so, L{LAST} seconds from now at the latest.
        """
        self._broadcast.finish()
        gone = self._visitors.whenEmpty()
        late = self._reactor.callLater(LAST, gone.cancel)
        gone.addErrback(lambda reason: reason.trap(CancelledError))

        def stop(result: Any) -> Deferred[Any]:
            if late.active():
                late.cancel()
            return self.stopService()

        return gone.addCallback(stop)

    def _cut(self, frame: Frame) -> None:
        """
        A second has passed. What there is to do has a turn of the reactor of its own: this one has had enough.
        """
        with self._aside():
            sample, step = self._source.latest, self._source.latestStep
            assert sample is not None and step is not None
            self._seconds.append((frame, self._source.progress(), sample, step))
            if self._turn is None:
                self._turn = self._reactor.callLater(0, self._tell)

    def _tell(self) -> None:
        self._turn = None
        with self._aside():
            self._reports.dropOld()
            self._tellAll()
            self._doing.tell()
            self._page.renew()

    def _tellAll(self) -> None:
        seconds, self._seconds = self._seconds, []
        for second in seconds:
            self._broadcast.add(*second)
        self._broadcast.sayMarks(self._source.marks)

    def _over(self, summary: Any) -> Any:
        self._isOver = True
        self._reports.drop()
        self._doing.stop()
        with self._aside():
            self._tellAll()
            if isinstance(summary, Summary):
                self._page.renewAll()
                end = {"exit": summary.exit, "ended": summary.ended, "reason": summary.reason}
                self._broadcast.end(asJSON(end), lambda: asJSON(documentOf(summary)))
        return summary

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """
        What goes wrong here is no fault of the run, which goes on.
        """
        try:
            yield
        except Exception as e:
            _log.warn("the dashboard has a fault: {fault}", fault=": ".join(named(e)))

    def _notes(self) -> int:
        return sum(mark.kind == "note" for mark in self._source.marks)

    def _mark(self, text: str) -> Mark:
        if self._isOver:
            raise Problem(HTTPStatus.CONFLICT, "the run is over")
        made = self._source.mark(text)
        self._broadcast.sayMarks(self._source.marks)
        return made

    def _watch(self, request: DashboardRequest) -> Answer | None:
        if request.method == b"HEAD":
            return Answer(contentType=TYPE)
        # A page knows how to come back before its browser does.
        (after,) = request.args.get(b"after", [b""])[:1]
        self._broadcast.watch(request, request.getHeader("last-event-id") or after.decode("latin-1") or None)
        if not self._isOver:
            self._doing.tell()
        self._page.renew()
        return None

    def _watchFrames(self, request: DashboardRequest) -> Answer | None:
        if request.method == b"HEAD":
            return Answer(contentType=TYPE)
        self._broadcast.watchFrames(request)
        return None

    def _report(self, request: DashboardRequest) -> Answer | None:
        if request.method == b"HEAD":
            return Answer(contentType=JSON)
        sendPieces(self._reactor, request, self._reports.pieces())
        return None
