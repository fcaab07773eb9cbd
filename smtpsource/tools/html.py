"""
C{smtpsource html}: reports as one HTML file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import ClassVar, NoReturn

from twisted.python import usage

from smtpsource.cli.commandline import FILES
from smtpsource.process.interrupts import settle
from smtpsource.report.document import documentOf
from smtpsource.report.html.page import MOST, htmlOf
from smtpsource.report.page import Change
from smtpsource.report.presentation import Presentation
from smtpsource.report.words import several
from smtpsource.tools.options import ToolOptions
from smtpsource.tools.sidebyside import changes, differences
from smtpsource.values import files
from smtpsource.values.option import Group, ValueOption


class HtmlOptions(ToolOptions):
    """
    Reports, and where to write the page.
    """

    name = "smtpsource html"
    synopsis = "smtpsource html [options] RUN.json [OTHER.json ...]"
    about = (
        "Make one HTML file of a report, with charts, that needs nothing else. Of several reports the charts lie over\n"
        "each other; of two it is told what has changed, and whether that is more than noise."
    )
    closing = (
        "Exit status: 0 it was written; 1 a report can't be read, or the page not be written; 2 the command line\n"
        "can't be used.\n"
        "Example: smtpsource html --output run.html run.json"
    )
    wordsAfter = FILES
    groups: ClassVar[Sequence[Group]] = (
        (
            "Options",
            (
                ValueOption(
                    "output",
                    None,
                    "FILE",
                    "-",
                    "write the page there; - is standard output",
                    files.writableFile,
                ),
            ),
        ),
    )

    def parseArgs(self, *files: str) -> None:
        """
        Some files, as many as can be told apart.
        """
        if not 0 < len(files) <= MOST:
            raise usage.UsageError(f"{several(len(files), 'report', 'reports')}: expected from 1 to {MOST}")
        self.files = files

    def postOptions(self) -> None:
        """
        Check everything.
        """
        super().postOptions()
        if self["output"] == "-" and os.isatty(1):
            raise usage.UsageError("standard output is a terminal: expected --output FILE")
        self.checkOutputs("output", inputs=[("the reports to show", os.path.abspath(path)) for path in self.files])


def labelsOf(paths: Sequence[str]) -> list[str]:
    """
    What to call reports: each by the shortest name that none of the others has.
    """
    names = [os.path.basename(path).removesuffix(".json") for path in paths]
    labels = [name if names.count(name) == 1 else path for name, path in zip(names, paths, strict=True)]
    return [
        label if labels.count(label) == 1 else f"{letter} {label}"
        for letter, label in zip("ABCDEFGH", labels, strict=False)
    ]


def main(arguments: Sequence[str]) -> NoReturn:
    """
    Run one command line and exit.

    @param arguments: what comes after C{html}.
    @raise SystemExit: always; see docs/man/smtpsource-html.rst for the statuses.
    """
    options = HtmlOptions()
    options.parseOrExit(arguments)
    runs = options.readAll()
    labels = labelsOf(options.files)
    changed: Sequence[Change] = ()
    different: Sequence[str] = ()
    if len(runs) == 2:
        changed = tuple(changes(runs[0], runs[1]))
        different = tuple(differences(runs[0], runs[1], labels))
    settle()
    page = htmlOf([documentOf(run) for run in runs], labels, changed, different)
    written = Presentation(options.tool).writeFile("page", options["output"], page)
    raise SystemExit(0 if written else 1)
