"""
The page of a run that goes on, and what is on it besides charts: made anew for all who look, and only if somebody does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from html import unescape
from importlib import resources
from itertools import chain
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from smtpsource.measure.summary import Summary
from smtpsource.measure.summing import completed
from smtpsource.printable import printable
from smtpsource.process.unexpected import named
from smtpsource.report.allowance import SHARE, Allowance
from smtpsource.report.dashboard.broadcast import Broadcast
from smtpsource.report.dashboard.history import asJSON
from smtpsource.report.dashboard.kept import Kept
from smtpsource.report.dashboard.seen import Seen
from smtpsource.report.dashboard.site import DashboardRequest, Operation
from smtpsource.report.document import othersOf
from smtpsource.report.html import page as report
from smtpsource.report.html import sections
from smtpsource.report.html.charts import chartsOf
from smtpsource.report.html.curves import curveOf
from smtpsource.report.html.page import livePage, style
from smtpsource.report.html.scripts import script
from smtpsource.report.html.tables import EARLIER_MARKS
from smtpsource.report.html.title import headingOf, titleOf
from smtpsource.report.pieces import quickDocument
from smtpsource.web.answers import Answer

_log = Logger()

#: What the run is called: there is but one.
LABEL = "run"

#: What it needs of its own.
STYLES = ("page.css", "live.css")
SCRIPTS = ("page.js", "events.js", "live.js")

#: So many marks stand on it, the last ones: all of them are in the report, and in the charts.
MARKS = 50


class Page:
    """
    The page of one run.
    """

    def __init__(
        self,
        reactor: Any,
        summaryNow: Callable[[], Summary],
        broadcast: Broadcast,
        clock: Callable[[], float],
        share: float = SHARE,
        mayMark: bool = True,
    ) -> None:
        """
        @param reactor: provides C{IReactorTime}.
        @param summaryNow: gives what is known of the run.
        @param broadcast: those who look.
        @param clock: for the seconds that it takes.
        @param share: the part of the time that may be spent on what is on it, and on the page itself.
        @param mayMark: may who looks mark a moment?
        """
        self._reactor = reactor
        self._summaryNow = summaryNow
        self._broadcast = broadcast
        self._allowance = Allowance(reactor.seconds, share, clock)
        self._kept = Kept(self._html, Allowance(reactor.seconds, share, clock))
        self._extra = _own("live.html").replace("{mark}", _own("mark.html") if mayMark else "")
        self._call: IDelayedCall | None = None

    def get(self, request: DashboardRequest) -> Answer:
        """
        The page itself. What its charts show comes as events, and so does what has changed since it was made.
        """
        return Answer(b"".join(self._kept.pieces()), "text/html; charset=utf-8")

    def _html(self) -> Iterator[bytes]:
        document = _documentOf(self._summaryNow(), self._broadcast.history.seen)
        html = "".join(livePage(document, LABEL, STYLES, SCRIPTS, self._extra))
        yield html.encode("utf-8", "replace")

    def files(self) -> dict[str, Operation]:
        """
        What it needs, by paths.
        """
        found = {
            "/page.css": (style(), "text/css"),
            "/live.css": (_own("live.css"), "text/css"),
            "/page.js": (script(), "text/javascript"),
            "/events.js": (_own("events.js"), "text/javascript"),
            "/live.js": (_own("live.js"), "text/javascript"),
        }
        return {path: _served(text, kind) for path, (text, kind) in found.items()}

    def renew(self) -> None:
        """
        Make what stands on it anew, if somebody looks and it is time: some in each turn of the reactor.
        """
        self._kept.dropOld()
        if self._call is None and self._broadcast.isWatched and self._allowance.isDue:
            self._allowance.begin()
            self._call = self._reactor.callLater(0, self._goOn, self._parts())

    def renewAll(self) -> None:
        """
        Make it anew at once: this is the last time.
        """
        self.stop()
        self._kept.drop()
        parts = self._parts()
        while not self._isMade(parts):
            pass

    def stop(self) -> None:
        """
        Make no more of it.
        """
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _parts(self) -> Iterator[None]:
        """
        All of it, with a pause after each part.
        """
        say = self._broadcast.say
        summary = yield from completed(self._summaryNow())
        yield
        seen = self._broadcast.history.seen
        say("charts", asJSON([chart.document for chart in chartsOf([_runOf(summary, seen)])]))
        yield
        document = _documentOf(summary, seen)
        yield
        for phase in document["latency"]:
            document["latency"][phase].update(othersOf(summary, phase))
            yield
        say("header", asJSON({"html": headingOf([document], [LABEL]), "title": unescape(titleOf([document], [LABEL]))}))
        runs = [document], [LABEL]
        for place, html in enumerate(chain(sections.before(*runs), sections.after(*runs))):
            say("section", asJSON({"place": place, "html": html}), place)
            yield
        for phase, counts in summary.buckets.items():
            say("curve", asJSON({"phase": phase, "curve": curveOf(counts)}), phase)
            yield

    def _goOn(self, parts: Iterator[None]) -> None:
        self._call = None
        with self._allowance.spend():
            isMade = self._isMade(parts)
        if not isMade:
            self._call = self._reactor.callLater(0, self._goOn, parts)

    def _isMade(self, parts: Iterator[None]) -> bool:
        """
        Make one of them.

        @return: was it the last one?
        """
        try:
            return next(parts, self) is self
        except Exception as e:
            # The run has no part in it: a failure in the log would end it.
            _log.warn("a part of the dashboard could not be made: {fault}", fault=": ".join(named(e)))
            return True


def _documentOf(summary: Summary, seen: Seen) -> dict[str, Any]:
    """
    The report that the page is made of, with how many marks it lacks.
    """
    earlier = max(0, len(summary.marks) - MARKS)
    document = quickDocument(replace(summary, marks=summary.marks[earlier:]), seen.samples)
    return {**document, EARLIER_MARKS: earlier}


def _runOf(summary: Summary, seen: Seen) -> dict[str, Any]:
    """
    What charts there are depends on.
    """
    replies = {
        printable(phase): {printable(code): [tally.count] for code, tally in codes.items()}
        for phase, codes in summary.replies.items()
    }
    errors = {printable(kind): [tally.count] for kind, tally in summary.errors.items()}
    phases = dict.fromkeys(summary.buckets)
    return {
        **seen.run,
        "timeline": {"time": [], "phases": phases, "replies": replies, "errors": errors},
        "curves": phases,
    }


def prepare() -> None:
    """
    Have ready what may not be found any more in a moment, as the process becomes another user.
    """
    report.prepare()
    for name in ("live.css", "live.html", "events.js", "live.js", "mark.html"):
        _own(name)


@cache
def _own(name: str) -> str:
    return (resources.files("smtpsource.report.dashboard") / name).read_text("utf-8")


def _served(text: str, kind: str) -> Operation:
    answer = Answer(text.encode("utf-8"), f"{kind}; charset=utf-8")
    return lambda request: answer
