"""
C{smtpsource compare}: two reports side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NoReturn

from twisted.python import usage

from smtpsource.cli.commandline import FILES
from smtpsource.report.presentation import Presentation
from smtpsource.report.words import several
from smtpsource.tools import changes
from smtpsource.tools.options import ToolOptions
from smtpsource.tools.sidebyside import render
from smtpsource.values.color import COLOR
from smtpsource.values.option import Group, ValueOption


class CompareOptions(ToolOptions):
    """
    Two reports, and differences that must not be.
    """

    name = "smtpsource compare"
    synopsis = "smtpsource compare [options] A.json B.json"
    about = (
        "Show two reports side by side, with the change from the first to the second, and whether that is more than\n"
        "the noise from second to second."
    )
    closing = (
        "Exit status: 0 they were compared; 1 a report can't be read; 2 the command line can't be used; 3 something\n"
        "of --fail-if is so.\n"
        "Example: smtpsource compare --fail-if 'rate < -5%' before.json after.json"
    )
    wordsAfter = FILES
    groups: ClassVar[Sequence[Group]] = (
        (
            "Options",
            (
                ValueOption(
                    "fail-if",
                    None,
                    "EXPR",
                    None,
                    "the status is 3 if this is so: 'p99(message) > +10%', 'rate < -5%', 'errors > 0.1%'",
                    changes.parse,
                    repeated=True,
                ),
                COLOR,
            ),
        ),
    )

    def parseArgs(self, *files: str) -> None:
        """
        Two files.
        """
        if len(files) != 2:
            raise usage.UsageError(f"{several(len(files), 'report', 'reports')}: expected two")
        self.files = files


def main(arguments: Sequence[str]) -> NoReturn:
    """
    Run one command line and exit.

    @param arguments: what comes after C{compare}.
    @raise SystemExit: always; see docs/man/smtpsource-compare.rst for the statuses.
    """
    options = CompareOptions()
    options.parseOrExit(arguments)
    first, second = options.readAll()
    found = [(change.text, *change.found(first, second)) for change in options["fail-if"]]
    presentation = Presentation(options.tool, color=options["color"])
    if not presentation.tellResult(render(first, second, options.files, found, presentation.page)):
        raise SystemExit(1)
    raise SystemExit(3 if any(isSo for _, isSo, _ in found) else 0)
