"""
What the command lines of the tools share.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from twisted.python import usage

from smtpsource.cli.commandline import CommandLine
from smtpsource.measure.summary import Summary
from smtpsource.printable import printable
from smtpsource.process.streams import sayOnce
from smtpsource.report.reading import ReportError, read


class ToolOptions(CommandLine):
    """
    The command line of a tool: it has files, and no reactor.

    @ivar files: the reports to read.
    """

    anywhere = True
    files: Sequence[str] = ()

    def parseOrExit(self, arguments: Sequence[str] | None) -> None:
        """
        See L{CommandLine.parseOrExit}.
        """
        try:
            self.parseOptions(arguments)
        except usage.UsageError as e:
            self.refuse(str(e), self.tool)

    def readAll(self) -> list[Summary]:
        """
        The summaries in all files.

        @raise SystemExit: with status 1, after one line on standard error: one of them can't be used.
        """
        try:
            return [read(path) for path in self.files]
        except ReportError as e:
            self.fail(str(e))
            raise SystemExit(1)

    def fail(self, problem: str) -> None:
        """
        Say what went wrong.
        """
        sayOnce(sys.stderr, f"{self.tool}: {printable(problem)}\n")
