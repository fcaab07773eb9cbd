"""
C{smtpsource recover}: the report of a run that could not write it, made of its checkpoint.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import ClassVar, NoReturn

from twisted.python import usage

from smtpsource.cli.commandline import FILES
from smtpsource.measure.checkpoint import CheckpointError, Reader
from smtpsource.measure.summary import Summary
from smtpsource.process.interrupts import settle
from smtpsource.report.document import documentOf
from smtpsource.report.presentation import Presentation
from smtpsource.report.recovery import Recovery
from smtpsource.report.text import render
from smtpsource.tools.options import ToolOptions
from smtpsource.values.color import COLOR
from smtpsource.values.option import Flag, Group, written

#: The files that it can write.
_FILES = ("report", "csv", "hlog", "html", "junit")


class RecoverOptions(ToolOptions):
    """
    A checkpoint, and what to make of it.
    """

    name = "smtpsource recover"
    synopsis = "smtpsource recover [options] DIR"
    about = (
        "Tell what came of a run that was cut off, by its checkpoint: the directory of --checkpoint, or what stands\n"
        "beside the report as FILE.checkpoint. Messages that were on their way count as failed. The checkpoint of\n"
        "a run that goes on can be read as well, and stays as it is."
    )
    closing = (
        "Exit status: as the run's own, if it has ended in order; 1 it was cut off, or goes on, or its checkpoint\n"
        "can't be read, or the result not be written; 2 the command line can't be used.\n"
        "Example: smtpsource recover --report report.json report.json.checkpoint"
    )
    wordsAfter = FILES
    groups: ClassVar[Sequence[Group]] = (
        (
            "Options",
            (
                written("report", "write the results there as JSON; - is standard output"),
                written("csv", "write what happened in each second there, as comma-separated values; - as above"),
                written("hlog", "write the latencies of each second there, for HdrHistogram's tools; - as above"),
                written("html", "write it as one HTML file with charts there; - as above"),
                written("junit", "write there, as JUnit's XML, whether the thresholds held; - as above"),
                COLOR,
                Flag("quiet", None, "no summary"),
                Flag("verbose", "v", "have in the summary what is as usual, too"),
            ),
        ),
    )

    def parseArgs(self, *directories: str) -> None:
        """
        One checkpoint.
        """
        if len(directories) != 1:
            few = "no checkpoint" if not directories else f"{len(directories)} checkpoints"
            raise usage.UsageError(f"{few}: expected one directory")
        self.directory = os.path.abspath(directories[0])

    def postOptions(self) -> None:
        """
        Check everything.
        """
        super().postOptions()
        self.checkOutputs(*_FILES, inputs=[("the checkpoint", self.directory)])
        directory = os.path.realpath(self.directory)
        for long in _FILES:
            path = self[long]
            if path not in (None, "-") and os.path.commonpath((os.path.realpath(path), directory)) == directory:
                raise usage.UsageError(
                    f"--{long}: {path!r} is not usable: it would be in the checkpoint; expected a file elsewhere"
                )


def main(arguments: Sequence[str]) -> NoReturn:
    """
    Run one command line and exit.

    @param arguments: what comes after C{recover}.
    @raise SystemExit: always; see docs/man/smtpsource-recover.rst for the statuses.
    """
    options = RecoverOptions()
    options.parseOrExit(arguments)
    presentation = Presentation(
        options.tool,
        quiet=bool(options["quiet"]),
        color=options["color"],
        isWhole=bool(options["verbose"]),
        **{name: options[name] for name in _FILES},
    )
    try:
        summary = _read(options, presentation)
    except CheckpointError as e:
        options.fail(str(e))
        raise SystemExit(1)
    settle()
    raise SystemExit(presentation.show(summary, render(summary, presentation.page), documentOf))


def _read(options: RecoverOptions, presentation: Presentation) -> Summary:
    with Reader(options.directory) as reader:
        # Before what is read: if it has ended since then, that is there.
        isWritten = reader.isWritten
        recovery = Recovery(reader.header, keepIntervals=presentation.wantsIntervals)
        recovery.take(reader)
        if reader.damaged:
            options.fail(f"{options.directory}: {reader.damaged} octets are damaged, and are left out")
        try:
            return recovery.summary(isWritten=isWritten)
        except CheckpointError as e:
            raise CheckpointError(f"{options.directory}: {e}")
