"""
What a user asked to see of a run, and where.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TextIO

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from smtpsource.report.counter import Counter
from smtpsource.report.files import write, writeJSON

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
    """

    tool: str
    counter: bool = False
    quiet: bool = False
    report: str | None = None
    daemonized: bool = False

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
        self._write(self._out(), text)

    def complain(self, problem: str) -> None:
        """
        Say what went wrong, in one line, where errors go.
        """
        self._write(self._err(), f"{self.tool}: {problem}\n")

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
        @return: the exit status: the result's own, or 1 if the report could not be written.
        """
        status = result.exit
        if problem is not None:
            self.complain(problem)
        if not self.quiet:
            self.tell(text)
        if self.report is not None:
            try:
                writeJSON(self.report, result.asDict())
            except OSError as e:
                self.complain(f"the report {self.report} could not be written: {e.strerror}")
                status = status or 1
        return status

    def _write(self, stream: TextIO, text: str) -> None:
        try:
            write(stream, text)
        except OSError as e:
            # Nobody can be told where people look.
            _log.error("{tool}: can't write: {why}", tool=self.tool, why=e.strerror)

    def _out(self) -> TextIO:
        return self._err() if self.report == "-" else self._stream(sys.__stdout__)

    def _err(self) -> TextIO:
        return self._stream(sys.__stderr__)

    def _stream(self, stream: TextIO | None) -> TextIO:
        if self.daemonized or stream is None:
            return LogStream()  # type: ignore[return-value]
        return stream
