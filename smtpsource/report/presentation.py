"""
What a user asked to see of a run, and where.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from smtpsource.printable import legible, printable
from smtpsource.report.counter import Counter
from smtpsource.report.files import jsonPieces, write, writeWhole

if TYPE_CHECKING:
    from smtpsource.measure.progress import Running
    from smtpsource.metrics import Source

_log = Logger(namespace="smtpsource")


class Result(Protocol):
    """
    What can be shown: a run's summary, or a sink's.
    """

    @property
    def exit(self) -> int: ...

    def asDict(self) -> dict[str, object]: ...


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
    @ivar live: how a run goes on, where errors go: C{"on"}, C{"off"} or C{"auto"}, on a terminal only. On a terminal it
        is a picture, elsewhere a line a second.
    @ivar metrics: the address and the port where Prometheus is to find the run; C{None} for nowhere.
    """

    tool: str
    counter: bool = False
    quiet: bool = False
    report: str | None = None
    daemonized: bool = False
    csv: str | None = None
    hlog: str | None = None
    junit: str | None = None
    live: str = "off"
    metrics: tuple[str, int] | None = None

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
        stream = self._err()
        if self.live == "off" or (self.live == "auto" and not stream.isatty()):
            return self.startCounter(reactor, lambda: source.recorder.accepted)
        from smtpsource.report.live import view  # rich takes a while

        shown = view(reactor, source, stream, lambda text: self._write(stream, text))
        shown.start()
        return shown.stop

    def startMetrics(self, reactor: Any, source: Source) -> bool:
        """
        Serve the metrics of a run until it is over, if that was asked for, and say where.

        @param reactor: what to listen with.
        @return: C{False} if it is not possible there; it was said why.
        """
        if self.metrics is None:
            return True
        from smtpsource.metrics import ListenError, MetricsService  # twisted.web takes a while

        interface, port = self.metrics
        service = MetricsService(reactor, source, port, interface)
        try:
            service.startService()
        except ListenError as e:
            self.complain(str(e))
            return False
        self.remark(f"metrics at {service.url}")
        return True

    def startCounter(self, reactor: IReactorTime, count: Callable[[], int | str]) -> Callable[[], None]:
        """
        Show the running count, if it was asked for.

        @return: call this at the end.
        """
        if not self.counter:
            return lambda: None
        counter = Counter(reactor, count, self._out())
        counter.start()
        return counter.stop

    def tell(self, text: str) -> None:
        """
        Say something where the result will be shown, if anybody still reads there.
        """
        self._write(self._out(), legible(text))

    def complain(self, problem: str) -> None:
        """
        Say what went wrong, in one line, where errors go.
        """
        self._write(self._err(), f"{self.tool}: {printable(problem)}\n")

    def remark(self, text: str) -> None:
        """
        Say something that is no result, in one line, where errors go.
        """
        self._write(self._err(), f"{self.tool}: {printable(text)}\n")

    def trace(self, line: str) -> None:
        """
        Show one line of the dialogue, where errors go.
        """
        self._write(self._err(), f"{line}\n")

    def show(self, result: Result, text: str, problem: str | None = None) -> int:
        """
        Show the result of a run.

        @param text: the result as text.
        @param problem: what ended the run before its time, as one line.
        @return: the exit status: the result's own, or 1 if a file could not be written.
        """
        status = result.exit
        if problem is not None:
            self.complain(problem)
        if not self.quiet:
            self.tell(text)
        written = self.writeFiles(result)
        return status or (0 if written else 1)

    def writeFiles(self, result: Result) -> bool:
        """
        Write the files that were asked for.

        @return: C{False} if one could not be written; it was said why.
        """
        written = True
        for what, path, texts in self._files(result):
            try:
                writeWhole(path, texts)
            except OSError as e:
                self.complain(f"the {what} {path} could not be written: {e.strerror}")
                written = False
        return written

    def _files(self, result: Any) -> Iterator[tuple[str, str, Iterable[str]]]:
        """
        What else was asked for: what it is, where it goes, and its text.
        """
        if self.report is not None:
            yield "report", self.report, jsonPieces(result.asDict(), ascii=self.report == "-")
        if self.csv is not None:
            from smtpsource.report import csvfile

            yield "series", self.csv, csvfile.lines(result)
        if self.hlog is not None:
            from smtpsource.report import hlog

            yield "histogram log", self.hlog, hlog.lines(result)
        if self.junit is not None:
            from smtpsource.report import junit

            yield "JUnit report", self.junit, junit.lines(result)

    def _write(self, stream: TextIO, text: str) -> None:
        try:
            write(stream, text)
        except OSError as e:
            # Nobody can be told where people look.
            _log.error("{tool}: can't write: {why}", tool=self.tool, why=e.strerror)

    def _out(self) -> TextIO:
        taken = "-" in (self.report, self.csv, self.hlog, self.junit)
        return self._err() if taken else self._stream(sys.__stdout__)

    def _err(self) -> TextIO:
        return self._stream(sys.__stderr__)

    def _stream(self, stream: TextIO | None) -> TextIO:
        if self.daemonized or stream is None:
            return LogStream()  # type: ignore[return-value]
        return stream
