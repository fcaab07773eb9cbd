"""
What a user asked to see of a run, and where.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from smtpsource.printable import printable
from smtpsource.process.streams import Lines, Outlet, Patience
from smtpsource.records import dataclass
from smtpsource.report.files import isFile, jsonPieces, writeWhole
from smtpsource.report.live.counter import Counter
from smtpsource.report.page import Page, pageOf, shown

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from smtpsource.beside.commands import Marked
    from smtpsource.beside.things import Thing
    from smtpsource.beside.values import Errand
    from smtpsource.beside.watching import Watched
    from smtpsource.measure.frame import Frame
    from smtpsource.measure.progress import Running
    from smtpsource.report import csvfile, hlog
    from smtpsource.report.checkpoint import Checkpoint, Recorded
    from smtpsource.report.dashboard.service import DashboardService
    from smtpsource.report.growing import GrowingFile
    from smtpsource.report.live.view import Periodic
    from smtpsource.report.metrics import Source
    from smtpsource.values.serving import Where

    class Accompanied(Marked, Watched, Recorded, Source, csvfile.Run, hlog.Run, Protocol):
        """
        A run that something goes on beside.
        """


_log = Logger(namespace="smtpsource")


class Result(Protocol):
    """
    What can be shown: a run's summary, or a sink's.
    """

    @property
    def exit(self) -> int: ...


_Result = TypeVar("_Result", bound=Result)


class LogStream:
    """
    A text stream into the log, for a daemon: it has no terminal.
    """

    def write(self, text: str) -> int:
        """
        Log each line.
        """
        for line in text.splitlines():
            _log.info("{line}", line=line)
        return len(text)

    def flush(self) -> None:
        """
        The log does that.
        """

    def isatty(self) -> bool:
        """
        Never.
        """
        return False


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
    _outlets: dict[str, Outlet] = field(default_factory=dict, init=False, repr=False, compare=False)
    _checkpoints: list[Checkpoint] = field(default_factory=list, init=False, repr=False, compare=False)
    _growing: dict[str, GrowingFile] = field(default_factory=dict, init=False, repr=False, compare=False)
    _views: list[Periodic] = field(default_factory=list, init=False, repr=False, compare=False)
    _dashboards: list[DashboardService] = field(default_factory=list, init=False, repr=False, compare=False)

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
        outlet = self._attended(reactor, self._err())
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
        if not self.startCheckpoint(source):
            return False
        self._startFiles(source)
        if not (self.startMetrics(reactor, source) and self.startDashboard(reactor, source)):
            return False
        if self.errands:
            from smtpsource.beside.commands import Commands  # few have such

            Commands(reactor, source, self.errands, self.complain).begin()
        if self.watched:
            from smtpsource.beside.watching import Watching  # likewise

            Watching(reactor, source, self.watched, self.complain).begin()
        return True

    def _startFiles(self, source: Accompanied) -> None:
        """
        Begin to write the files that grow while a run goes on; pipes and descriptors are written to at its end.
        """
        rows: list[tuple[str, Callable[[Frame], str]]] = []
        if self.csv is not None:
            from smtpsource.report import csvfile

            rows.append((self.csv, csvfile.Growing(source)))
        if self.hlog is not None:
            from smtpsource.report import hlog

            rows.append((self.hlog, hlog.Growing(source)))
        for path, textOf in rows:
            if isFile(path):
                from smtpsource.report.growing import GrowingFile

                self._growing[path] = GrowingFile(path)
                self._growing[path].follow(source, textOf)

    def startCheckpoint(self, source: Recorded) -> bool:
        """
        Begin to write down what is known of a run, if that was asked for, or as soon as it is a long one.

        @return: C{False} if it is not possible; it was said why.
        """
        path = self.checkpoint
        if path is None:
            if self.report is None or not isFile(self.report):
                return True
            path = f"{self.report}.checkpoint"
        from smtpsource.measure.checkpoint import CheckpointError  # for runs with reports
        from smtpsource.report.checkpoint import Checkpoint

        checkpoint = Checkpoint(source, path, self.complain, isAsked=self.checkpoint is not None)
        try:
            checkpoint.start()
        except CheckpointError as e:
            self.complain(str(e))
            return False
        self._checkpoints.append(checkpoint)
        return True

    def startMetrics(self, reactor: Any, source: Source) -> bool:
        """
        Serve the metrics of a run until it is over, if that was asked for, and say where.

        @param reactor: what to listen with.
        @return: C{False} if it is not possible there; it was said why.
        """
        if self.metrics is None:
            return True
        from smtpsource.report.metrics import ListenError, MetricsService  # twisted.web takes a while

        interface, port = self.metrics
        service = MetricsService(reactor, source, port, interface)
        try:
            service.startService()
        except ListenError as e:
            self.complain(str(e))
            return False
        self.complain(f"metrics at {service.url}")
        return True

    def startDashboard(self, reactor: Any, source: Any, **settings: Any) -> bool:
        """
        Show a run in browsers, if that was asked for, and say where.

        @param reactor: what to listen with.
        @param source: a L{Shown<smtpsource.report.dashboard.service.Shown>}.
        @param settings: others of the dashboard.
        @return: C{False} if it is not possible there; it was said why.
        """
        if self.dashboard is None:
            return True
        from smtpsource.report.dashboard.service import DashboardService, ListenError  # as above

        service = DashboardService(reactor, source, self.dashboard, **settings)
        try:
            service.startService()
        except ListenError as e:
            self.complain(str(e))
            return False
        self._dashboards.append(service)
        self.complain(f"dashboard at {service.url}")
        return True

    def whenLeft(self, reactor: Any, status: int) -> Deferred[Any] | None:
        """
        All was shown and written: what is left is what those have who look at a dashboard.

        @param reactor: the one that runs.
        @param status: the exit status that the process will have, whatever comes.
        @return: fires when the process may end, which is soon, or with C{lingers} when it is told to; C{None} if it may
            end now.
        """
        if not self._dashboards:
            return None
        from smtpsource.report.dashboard.leaving import leave  # as above

        return leave(reactor, self._dashboards, self.lingers, status, self.complain, self.daemonized)

    def startCounter(self, reactor: IReactorTime, count: Callable[[], int | str]) -> Callable[[], None]:
        """
        Show the running count, if it was asked for.

        @return: call this at the end.
        """
        if not self.counter:
            return lambda: None
        counter = Counter(reactor, count, self._attended(reactor, self._out()))
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
        return Lines(self._attended(reactor, self._err()))

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
        for what, path, texts in self._files(result, asDict):
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
        for checkpoint in self._checkpoints:
            checkpoint.finish(isReported)
        return written

    def writeFile(self, what: str, path: str, texts: Iterable[str], patience: Patience | None = None) -> bool:
        """
        Write one file.

        @param what: what it is, in words.
        @param path: an absolute name, or C{"-"}.
        @param patience: as in L{writeFiles}.
        @return: C{False} if it could not be written; it was said why.
        """
        growing = self._growing.pop(path, None)
        try:
            if growing is not None:
                growing.finish(texts, patience)
            else:
                writeWhole(path, texts, patience)
        except OSError as e:
            where = f"the {what} could not be written to standard output" if path == "-" else None
            self.complain(f"{where or f'the {what} {path} could not be written'}: {e.strerror}")
            return False
        return True

    def _files(self, result: Any, asDict: Callable[[Any], dict[str, Any]]) -> Iterator[tuple[str, str, Iterable[str]]]:
        """
        What was asked for besides the report: what it is, where it goes, and its text.
        """
        if self.csv is not None:
            from smtpsource.report import csvfile

            yield "series", self.csv, csvfile.lines(result)
        if self.hlog is not None:
            from smtpsource.report import hlog

            yield "histogram log", self.hlog, hlog.lines(result)
        if self.junit is not None:
            from smtpsource.report import junit

            yield "JUnit report", self.junit, junit.lines(result)
        if self.html is not None:
            from smtpsource.report.html.page import htmlOf

            yield "HTML report", self.html, htmlOf([asDict(result)])

    def _out(self) -> Outlet:
        taken = "-" in (self.report, self.csv, self.hlog, self.junit, self.html, self.messageLog)
        return self._err() if taken else self._outlet("__stdout__")

    def _err(self) -> Outlet:
        return self._outlet("__stderr__")

    def _outlet(self, name: str) -> Outlet:
        """
        The process's own stream, even where twistd has redirected C{sys.stdout} into its log.
        """
        if name not in self._outlets:
            stream: Any = LogStream() if self.daemonized else getattr(sys, name)
            self._outlets[name] = Outlet(stream)
        return self._outlets[name]

    def _attended(self, reactor: IReactorTime, outlet: Outlet) -> Outlet:
        outlet.attend(reactor)
        return outlet
