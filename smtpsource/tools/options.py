"""
What the command lines of the tools share.
"""

from __future__ import annotations

import getopt
import re
import sys
from collections.abc import Sequence

from twisted.python import usage

from smtpsource.commandline import CommandLine
from smtpsource.measure.summary import Summary
from smtpsource.printable import legible, printable
from smtpsource.report.files import write
from smtpsource.report.reading import ReportError, read


class ToolOptions(CommandLine):
    """
    The command line of a tool: it has files, and no reactor.

    @ivar files: the reports to read.
    """

    files: Sequence[str] = ()

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        See L{CommandLine.parseOptions}. Here options may stand after files, too.
        """
        try:
            pairs, files = getopt.gnu_getopt([*(options or ())], self.shortOpt, self.longOpt)
        except getopt.GetoptError as e:
            raise usage.UsageError(str(e))
        ordered = [f"{name}={value}" if f"{name[2:]}=" in self.longOpt else name for name, value in pairs]
        super().parseOptions([*ordered, "--", *files])
        self.command = (self.tool, *(options or ()))

    def parseOrExit(self, arguments: Sequence[str] | None) -> None:
        """
        See L{CommandLine.parseOrExit}.
        """
        try:
            self.parseOptions(arguments)
        except usage.UsageError as e:
            sys.stderr.write(f"{self.tool}: {printable(str(e))} (see {self.tool} --help)\n")
            raise SystemExit(2)

    def getUsage(self, width: int | None = None) -> str:
        """
        The help, without the line that tells of the reactor.
        """
        return re.sub(r"\nThe reactor here is .*\n", "", super().getUsage(width))

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
        write(sys.stderr, f"{self.tool}: {printable(problem)}\n")

    def tell(self, text: str) -> None:
        """
        Show the result.
        """
        try:
            write(sys.stdout, legible(text))
        except OSError as e:
            self.fail(f"can't write: {e.strerror}")
            raise SystemExit(1)
