"""
C{smtpsource merge}: the reports of runs that went on side by side, as one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import ClassVar, NoReturn

from twisted.python import usage

from smtpsource.cli.commandline import FILES
from smtpsource.measure import thresholds
from smtpsource.measure.summary import Summary
from smtpsource.process.interrupts import settle
from smtpsource.report.document import documentOf
from smtpsource.report.presentation import Presentation
from smtpsource.report.text import render
from smtpsource.tools.merging import environmentsOf, merge
from smtpsource.tools.options import ToolOptions
from smtpsource.values import files
from smtpsource.values.color import COLOR
from smtpsource.values.option import Flag, Group, ValueOption, written


def _threshold(text: str) -> thresholds.Threshold:
    found = thresholds.parse(text)
    if found.drifting:
        raise ValueError("a drift is of the minutes of one run: give this to smtpsource itself")
    return found


class MergeOptions(ToolOptions):
    """
    Reports, and where to write the one of them all.
    """

    name = "smtpsource merge"
    synopsis = "smtpsource merge [options] A.json B.json ..."
    about = (
        "Add up the reports of runs that went on side by side, on one machine or several: counts and histograms,\n"
        "so that percentiles are exact. Rates are over the time in which any of them ran."
    )
    closing = (
        "Exit status: 0 they were added up; 1 a report can't be read, or the result not be written; 2 the command\n"
        "line can't be used; 3 a --threshold failed.\n"
        "Example: smtpsource merge --report all.json host1.json host2.json"
    )
    wordsAfter = FILES
    groups: ClassVar[Sequence[Group]] = (
        (
            "Options",
            (
                ValueOption(
                    "report",
                    None,
                    "FILE",
                    None,
                    "write the result there as JSON; - is standard output",
                    files.writableFile,
                ),
                ValueOption(
                    "csv",
                    None,
                    "FILE",
                    None,
                    "write its series there, as values separated by commas; - is standard output",
                    files.writableFile,
                ),
                written("html", "write it as one HTML file with charts there; - is standard output"),
                ValueOption(
                    "threshold",
                    None,
                    "EXPR",
                    None,
                    "what must be so of all runs together, or the status is 3: 'p99(message) < 250ms', 'errors < 0.1%'",
                    _threshold,
                    repeated=True,
                ),
                COLOR,
                Flag("quiet", None, "no summary"),
            ),
        ),
    )

    def parseArgs(self, *files: str) -> None:
        """
        At least one file.
        """
        if not files:
            raise usage.UsageError("no report: expected at least one")
        self.files = files

    def postOptions(self) -> None:
        """
        Check everything.
        """
        super().postOptions()
        reports = [("the reports to add up", os.path.abspath(path)) for path in self.files]
        self.checkOutputs("report", "csv", "html", inputs=reports)


def _problems(runs: Iterable[tuple[str, Summary]]) -> Iterator[str]:
    """
    Why some of these reports can't be added up.
    """
    known: dict[tuple[object, ...], str] = {}
    for path, run in runs:
        if run.search is not None:
            yield f"{path}: expected a run at a rate of its own, not a search for one: what it found can't be added up"
        missing = sorted(run.latency.keys() - run.buckets.keys())
        if missing:
            yield f"{path}: expected a report with histograms of all phases, but there is none of {', '.join(missing)}"
        for one in environmentsOf(run):
            # With the same seed runs have the same id.
            key = tuple(one.get(name) for name in ("run", "started", "host", "elapsed"))
            if one.get("run") and key in known:
                yield f"{path}: expected each run once, but {one['run']} is in {known[key]} as well"
            known[key] = path


def main(arguments: Sequence[str]) -> NoReturn:
    """
    Run one command line and exit.

    @param arguments: what comes after C{merge}.
    @raise SystemExit: always; see docs/man/smtpsource-merge.rst for the statuses.
    """
    options = MergeOptions()
    options.parseOrExit(arguments)
    runs = options.readAll()
    problem = next(_problems(zip(options.files, runs, strict=True)), None)
    if problem is not None:
        options.fail(problem)
        raise SystemExit(1)
    summary = replace(merge(runs), command=options.command)
    outcomes = [threshold.check(summary.figures()) for threshold in options["threshold"]]
    failed = not all(outcome.passed for outcome in outcomes)
    summary = replace(
        summary,
        thresholds=(*summary.thresholds, *outcomes),
        exit=3 if failed else summary.exit,
    )
    presentation = Presentation(
        options.tool,
        report=options["report"],
        csv=options["csv"],
        html=options["html"],
        color=options["color"],
        quiet=bool(options["quiet"]),
    )
    settle()
    told = presentation.quiet or presentation.tellResult(render(summary, presentation.page))
    written = presentation.writeFiles(summary, documentOf)
    # What became of each run stands in the report; this status is about what was done here.
    raise SystemExit(1 if not (told and written) else 3 if failed else 0)
