"""
What a user asked to see of a run, and where.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from twisted.internet.interfaces import IReactorTime

from smtpsource.printable import printable
from smtpsource.process.streams import Lines, Outlet, Patience
from smtpsource.records import dataclass
from smtpsource.report.company import Company
from smtpsource.report.files import jsonPieces, writeWhole
from smtpsource.report.forms import formsOf
from smtpsource.report.live.counter import Counter
from smtpsource.report.outlets import Outlets, attended
from smtpsource.report.page import Page, pageOf, shown

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from smtpsource.beside.things import Thing
    from smtpsource.beside.values import Errand
    from smtpsource.measure.progress import Running
    from smtpsource.report.company import Accompanied
    from smtpsource.report.live.view import Periodic
    from smtpsource.values.serving import Where


class Result(Protocol):
    """
    What can be shown: a run's summary, or a sink's.
    """

    @property
    def exit(self) -> int: ...


_Result = TypeVar("_Result", bound=Result)


@dataclass(frozen=True)
class Presentation:
    """
    What to show.

    @ivar tool: who speaks, at the start of an error line.
    @ivar counter: a running count.
    @ivar quiet: no summary at the end.
    @ivar report: where to write the JSON; C{"-"} is standard output, the summary then goes to standard error.
    @ivar daemonized: there is no terminal, all goes to the log.
    @ivar csv: where to write the series of a run as a table; C{"-"} likewise, here and below.
    @ivar hlog: where to write the latencies of each second. The run has to keep them.
    @ivar junit: where to write the result of a run as a test.
    @ivar checkpoint: the directory to write down there what is known of a run, each second. Without it, a long run has
        one beside its C{report}, until that is written.
    @ivar html: where to write it as one HTML file.
    @ivar messageLog: where a run writes its log of messages.
    @ivar live: how a run goes on, where errors go: C{"on"}, C{"off"} or C{"auto"}, on a terminal only. On a terminal it
        is a picture, elsewhere a line a second.
    @ivar color: when the result is in colors: C{"auto"}, C{"always"} or C{"never"}.
    @ivar isWhole: does the result as text have what is as usual?
    @ivar metrics: the address and the port where Prometheus is to find the run; C{None} for nowhere.
    @ivar dashboard: where a browser is to find it; C{None} likewise.
    @ivar lingers: it is to be found there when it is over, too.
    @ivar errands: commands that are started at its moments.
    @ivar watched: what is watched beside it.
    """

    tool: str
    counter: bool = False
    quiet: bool = False
    report: str | None = None
    daemonized: bool = False
    csv: str | None = None
    hlog: str | None = None
    junit: str | None = None
    checkpoint: str | None = None
    html: str | None = None
    messageLog: str | None = None
    live: str = "off"
    color: str = "auto"
    metrics: tuple[str, int] | None = None
    dashboard: Where | None = None
    lingers: bool = False
    errands: Sequence[Errand] = ()
    watched: Sequence[Thing] = ()
    isWhole: bool = True
    _outlets: Outlets = field(default_factory=Outlets, init=False, repr=False, compare=False)
    _views: list[Periodic] = field(default_factory=list, init=False, repr=False, compare=False)

    @cached_property
    def _company(self) -> Company:
        return Company(self)

    @property
    def wantsIntervals(self) -> bool:
        """
        Does a run have to keep the latencies of each second?
        """
        return self.hlog is not None

    def startView(self, reactor: IReactorTime, source: Running) -> Callable[[], None]:
        """
        Show how a run goes on, in the way that was asked for.

        @return: call this at the end, before anything else is shown.
        """
        outlet = attended(reactor, self._err())
        isSeen = self.live == "on" or outlet.isatty() or source.progress().search is not None
        if self.live == "off" or not isSeen:
            return self.startCounter(reactor, lambda: source.recorder.accepted)
        from smtpsource.report.live.view import view  # rich takes a while

        shown = view(reactor, source, outlet, self.live == "on", self.color != "never")
        self._views.append(shown)
        shown.start()
        return shown.stop

    @property
    def page(self) -> Page:
        """
        Where the result will be shown: how wide that is, and whether it has colors.
        """
        return pageOf(self._out(), self.color, isWhole=self.isWhole)

    def accompany(self, reactor: Any, source: Accompanied) -> bool:
        """
        Start all that was asked for beside a run, and that ends when it is over.

        @param reactor: what to listen with.
        @return: C{False} if a part of it is not possible; it was said why.
        """
        return self._company.start(reactor, source)

    def startDashboard(self, reactor: Any, source: Any, **settings: Any) -> bool:
        """
        See L{Company.startDashboard}.
        """
        return self._company.startDashboard(reactor, source, **settings)

    def whenLeft(self, reactor: Any, status: int) -> Deferred[Any] | None:
        """
        All was shown and written: see L{Company.whenLeft}.
        """
        return self._company.whenLeft(reactor, status)

    def startCounter(self, reactor: IReactorTime, count: Callable[[], int | str]) -> Callable[[], None]:
        """
        Show the running count, if it was asked for.

        @return: call this at the end.
        """
        if not self.counter:
            return lambda: None
        counter = Counter(reactor, count, attended(reactor, self._out()))
        counter.start()
        return counter.stop

    def tell(self, text: str) -> None:
        """
        Say something where the result will be shown, if anybody still reads there.
        """
        self._out().say(shown(text))

    def tellResult(self, text: str, patience: Patience | None = None) -> bool:
        """
        Say the result, or the last part of it.

        @param patience: how long to wait for somebody to read it.
        @return: C{False} if that, or what was told before, could not be said; then it was said why.
        """
        outlet = self._out()
        outlet.say(shown(text))
        if not outlet.finish(patience or Patience()):
            assert outlet.problem is not None
            where = "standard error" if outlet is self._err() else "standard output"
            self.complain(f"the summary could not be written to {where}: {outlet.problem.strerror}")
        return outlet.problem is None

    def complain(self, text: str) -> None:
        """
        Say what went wrong, or something else that is no result, in one line, where errors go.
        """
        self._err().say(f"{self.tool}: {printable(text)}\n")

    def remark(self, text: str) -> None:
        """
        Say something that the result has as well, as L{complain} does; but not into the picture of a run, which has it.
        """
        if not any(view.hasHints() for view in self._views):
            self.complain(text)

    def trace(self, line: str) -> None:
        """
        Show one line of the dialogue, where errors go, if it is read there.
        """
        self._err().sayIfRoom(f"{line}\n")

    def log(self, reactor: IReactorTime) -> Lines:
        """
        A file for a log, where errors go, if it is read there.
        """
        return Lines(attended(reactor, self._err()))

    def show(
        self,
        result: _Result,
        text: str,
        asDict: Callable[[_Result], dict[str, Any]],
        problem: str | None = None,
    ) -> int:
        """
        Show the result of a run.

        @param text: the result as text.
        @param asDict: gives it as JSON takes it.
        @param problem: what ended the run before its time, as one line.
        @return: the exit status: the result's own, or 1 if it could not be shown or a file could not be written. The
            report has the same.
        """
        status = result.exit
        patience = Patience()
        # The dialogue comes before its result, also where both go to the same place.
        self._err().finish(patience)
        if problem is not None:
            self.complain(problem)
        if not self.quiet and not self.tellResult(text, patience):
            status = status or 1
        if not self.writeFiles(result, asDict, status, patience):
            status = status or 1
        self._err().finish(patience)
        return status

    def writeFiles(
        self,
        result: _Result,
        asDict: Callable[[_Result], dict[str, Any]],
        status: int | None = None,
        patience: Patience | None = None,
    ) -> bool:
        """
        Write the files that were asked for.

        @param asDict: as in L{show}.
        @param status: what to give as the exit status, if it is not the result's own; 0 becomes 1 if another file can't
            be written.
        @param patience: how long to wait for somebody to read what is no file.
        @return: C{False} if one could not be written; it was said why.
        """
        written = True
        patience = patience or Patience()
        forms = formsOf(result, asDict, csv=self.csv, hlog=self.hlog, junit=self.junit, html=self.html)
        for what, path, texts in forms:
            written &= self.writeFile(what, path, texts, patience)
        # The last of all: it has the status.
        isReported = False
        if self.report is not None:
            document = asDict(result)
            if status is not None:
                document["exit"] = status or int(not written)
            pieces = jsonPieces(document, ascii=self.report == "-")
            isReported = self.writeFile("report", self.report, pieces, patience)
            written &= isReported
        self._company.finish(isReported=isReported)
        return written

    def writeFile(self, what: str, path: str, texts: Iterable[str], patience: Patience | None = None) -> bool:
        """
        Write one file.

        @param what: what it is, in words.
        @param path: an absolute name, or C{"-"}.
        @param patience: as in L{writeFiles}.
        @return: C{False} if it could not be written; it was said why.
        """
        unfinished = self._company.unfinished.pop(path, None)
        try:
            if unfinished is not None:
                unfinished.finish(texts, patience or Patience())
            else:
                writeWhole(path, texts, patience)
        except OSError as e:
            where = f"the {what} could not be written to standard output" if path == "-" else None
            self.complain(f"{where or f'the {what} {path} could not be written'}: {e.strerror}")
            return False
        return True

    def _out(self) -> Outlet:
        taken = "-" in (self.report, self.csv, self.hlog, self.junit, self.html, self.messageLog)
        return self._err() if taken else self._outlets.of("__stdout__", daemonized=self.daemonized)

    def _err(self) -> Outlet:
        return self._outlets.of("__stderr__", daemonized=self.daemonized)
