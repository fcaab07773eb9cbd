"""
C{smtpsource reconcile}: what became of every message, by the ledgers of both ends.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, astuple
from typing import Any, ClassVar, NoReturn

from twisted.python import usage

from smtpsource._version import __version__
from smtpsource.cli.commandline import FILES
from smtpsource.ledger.histories import Histories
from smtpsource.ledger.identity import Identity, textOf
from smtpsource.ledger.judge import Judge
from smtpsource.ledger.reading import LedgerError
from smtpsource.measure import thresholds
from smtpsource.measure.counters import Counters
from smtpsource.measure.encoding import encode
from smtpsource.measure.histogram import Latency, summarize
from smtpsource.measure.judgement import Judgement
from smtpsource.measure.snapshot import Snapshot
from smtpsource.measure.thresholds import Outcome
from smtpsource.phases import MEANINGS, NAMES
from smtpsource.process.interrupts import settle
from smtpsource.report.document import FIGURES
from smtpsource.report.files import jsonPieces, writeWhole
from smtpsource.report.judgement import documentOf, linesOf
from smtpsource.report.page import INDENT, Line
from smtpsource.report.presentation import Presentation
from smtpsource.report.words import duration
from smtpsource.tools import evidence, history
from smtpsource.tools.options import ToolOptions
from smtpsource.tools.reconciling import Evidence
from smtpsource.values import files, numbers
from smtpsource.values.color import COLOR
from smtpsource.values.option import Flag, Group, ValueOption, written

_STATUSES = {"pass": 0, "inconclusive": 1, "fail": 3}


def _repeated(long: str, meta: str, help: str, convert: Any) -> ValueOption:
    return ValueOption(long, None, meta, None, help, convert, repeated=True)


class ReconcileOptions(ToolOptions):
    """
    Where the ledgers are, where else to look, and what to tell.
    """

    name = "smtpsource reconcile"
    synopsis = "smtpsource reconcile [options] DIR ..."
    about = (
        "Say what became of every message of a run, lost, duplicated, corrupted, misdelivered or delivered, by the\n"
        "ledgers that smtpsource --ledger DIR and smtpsink --ledger DIR have written."
    )
    closing = (
        "Exit status: 0 the queue has drained, and nothing was lost, corrupted, misdelivered or duplicated; 1 that\n"
        "can't be known, or something can't be read or written; 2 the command line can't be used; 3 something was, or\n"
        "a --threshold failed.\n"
        "Example: smtpsource reconcile --anomalies all.ndjson ledgers"
    )
    wordsAfter = FILES
    groups: ClassVar[Sequence[Group]] = (
        (
            "What is judged",
            (
                ValueOption("run", None, "ID", None, "the run, if there are several; latest is the last", evidence.run),
                ValueOption(
                    *("drain-quiet", None, "TIME", None),
                    "no more will come if it was listened for so long after the last sign of it (default: 30s, or 1s "
                    "if nothing is missing)",
                    numbers.timeOrZero,
                ),
                _repeated("maildir", "DIR", "what is in this Maildir has arrived", evidence.maildir),
                _repeated("mbox", "FILE", "what is in this mbox file has arrived", evidence.mbox),
                _repeated(
                    "imap", "URL", "what is in this mailbox has arrived: imap://USER@HOST/BOX, imaps", evidence.imap
                ),
                ValueOption(
                    *("imap-password-file", None, "FILE", None),
                    "the first line is the password for --imap",
                    files.readableFile,
                    secret=True,
                ),
                ValueOption(
                    *("postfix-queue", None, "DIR", None),
                    "Postfix's queue_directory: what is missing is lost unless it is there",
                    evidence.queue,
                ),
            ),
        ),
        (
            "Results",
            (
                ValueOption(
                    *("show", None, "ID", None, "tell the history of this message, and nothing else"),
                    evidence.identityOf,
                ),
                written("anomalies", "write all anomalies there: a database if it ends with .sqlite, else JSON lines"),
                written("report", "write the results there as JSON; - is standard output"),
                _repeated(
                    *("threshold", "EXPR", "what must be so, or the status is 3: 'lost == 0', 'drain < 2m'"),
                    evidence.threshold,
                ),
                COLOR,
                Flag("quiet", None, "no summary"),
            ),
        ),
    )

    def parseArgs(self, *directories: str) -> None:
        """
        At least one directory.
        """
        if not directories:
            raise usage.UsageError("no directory: expected at least one with ledgers in it")
        self.files = directories

    def postOptions(self) -> None:
        """
        Check everything.
        """
        super().postOptions()
        if self["imap"] and self["imap-password-file"] is None:
            raise usage.UsageError("--imap needs --imap-password-file")
        if self["imap-password-file"] is not None and not self["imap"]:
            raise usage.UsageError("--imap-password-file needs --imap")
        if self["anomalies"] == "-" and self["report"] == "-":
            raise usage.UsageError("--anomalies and --report exclude each other: both are to be in standard output")
        read = [*self.files, *self["maildir"], *self["mbox"]]
        self.checkOutputs("report", "anomalies", inputs=[("what is judged", os.path.abspath(path)) for path in read])

    def evidence(self) -> Evidence:
        """
        What is judged by.

        @raise LedgerError: the password can't be read.
        """
        return Evidence(
            directories=self.files,
            run=f"{self['show'].run:016x}" if self["show"] is not None else self["run"],
            quiet=self["drain-quiet"],
            maildirs=self["maildir"],
            mboxes=self["mbox"],
            boxes=self["imap"],
            password=_firstLine(self["imap-password-file"]),
            queue=self["postfix-queue"],
        )

    def where(self) -> str:
        """
        The words of a command line that say all of what is judged.
        """
        given = [(long, value) for long in ("maildir", "mbox") for value in self[long]]
        given += [("imap", place.geturl()) for place in self["imap"]]
        given += [(long, self[long]) for long in ("imap-password-file", "postfix-queue") if self[long] is not None]
        if self["drain-quiet"] is not None:
            given.append(("drain-quiet", f"{self['drain-quiet']:g}"))
        words = [word for long, value in given for word in (f"--{long}", value)]
        return shlex.join([*words, *(["--"] if any(file[:1] == "-" for file in self.files) else []), *self.files])


def _firstLine(path: str | None) -> str:
    if path is None:
        return ""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.readline(10_000).rstrip("\r\n")
    except OSError as e:
        raise LedgerError(f"{path}: {e.strerror}")


def main(arguments: Sequence[str]) -> NoReturn:
    """
    Run one command line and exit.

    @param arguments: what comes after C{reconcile}.
    @raise SystemExit: always; see docs/man/smtpsource-reconcile.rst for the statuses.
    """
    options = ReconcileOptions()
    options.parseOrExit(arguments)
    toStandard = "-" in (options["report"], options["anomalies"])
    presentation = Presentation(options.tool, report="-" if toStandard else None, color=options["color"])
    try:
        with options.evidence().judged() as (judge, judgement):
            if options["show"] is not None:
                told = _show(options["show"].number, judge, presentation)
                raise SystemExit(0 if told else 1)
            raise SystemExit(_tell(options, judge, judgement, presentation))
    except LedgerError as e:
        options.fail(str(e))
        raise SystemExit(1)


def _show(number: int, judge: Judge, presentation: Presentation) -> bool:
    """
    Tell the history of one message.
    """
    known = judge.known
    name = textOf(Identity(known.run, number))
    events = Histories(known.run, [*known.sources, *known.sinks]).of([number]).get(number, [])
    if not events:
        presentation.complain(f"nothing is written of {name}")
        return False
    lines = history.linesOf(name, judge.fates(number), events)
    return presentation.tellResult(presentation.page.lay(lines))


def _tell(options: ReconcileOptions, judge: Judge, judgement: Judgement, presentation: Presentation) -> int:
    """
    Tell all of it.

    @return: the exit status.
    """
    figures = Snapshot(
        at=judgement.duration,
        asked=None,
        counters=Counters(started=judgement.sent),
        buckets=tuple(judgement.buckets.get(name, ()) for name in NAMES),
        judgement=judgement,
    )
    outcomes = [threshold.check(figures) for threshold in options["threshold"]]
    failed = not all(outcome.passed for outcome in outcomes)
    status = 3 if failed else _STATUSES[thresholds.verdictBesides(options["threshold"], judgement)]
    settle()
    lines = _lines(judgement, outcomes, options.where())
    told = options["quiet"] or presentation.tellResult(presentation.page.lay(lines))
    written = _write("anomalies", options["anomalies"], lambda path: _writeAnomalies(path, judge), presentation)
    document = _document(options, judge.known.run, judgement, outcomes, status if told and written else 1)
    pieces = jsonPieces(document, ascii=options["report"] == "-")
    written &= _write("report", options["report"], lambda path: writeWhole(path, pieces), presentation)
    return status if told and written else 1


def _lines(judgement: Judgement, outcomes: Sequence[Outcome], where: str) -> Iterator[Line]:
    first, *others = linesOf(judgement, where)
    yield first
    for outcome in outcomes:
        label, style = ("pass", "good") if outcome.passed else ("FAIL", "bad")
        yield Line(f"{label:<{INDENT}}{outcome.text}: {outcome.actual}", style)
    yield from others
    for name, latency in _latencies(judgement).items():
        figures = {"p50": latency.p50, "p95": latency.p95 or 0.0, "p99": latency.p99, "max": latency.maximum}
        text = ", ".join(f"{figure} {duration(value)}" for figure, value in figures.items())
        yield Line(f"{name:<{INDENT}}{text}: {MEANINGS[name]}")


def _latencies(judgement: Judgement) -> dict[str, Latency]:
    found = {name: summarize(judgement.buckets[name]) for name in NAMES if name in judgement.buckets}
    return {name: latency for name, latency in found.items() if latency is not None}


def _write(what: str, path: str | None, write: Callable[[str], None], presentation: Presentation) -> bool:
    """
    @return: C{False} if it could not be written; it was said why.
    """
    if path is None:
        return True
    try:
        write(path)
    except OSError as e:
        where = "standard output" if path == "-" else path
        presentation.complain(f"the {what} could not be written to {where}: {e.strerror}")
        return False
    return True


def _writeAnomalies(path: str, judge: Judge) -> None:
    from smtpsource.tools.anomalyfiles import isDatabase, jsonLines, writeDatabase  # SQLite, for those who want it

    if isDatabase(path):
        writeDatabase(path, judge)
    else:
        writeWhole(path, jsonLines(judge.anomalies()))


def _document(
    options: ReconcileOptions, run: int, judgement: Judgement, outcomes: Sequence[Outcome], status: int
) -> dict[str, Any]:
    latencies = _latencies(judgement).items()
    return {
        "tool": {"name": options.name, "version": __version__},
        "command": list(options.command),
        "run": f"{run:016x}",
        "exit": status,
        "thresholds": [asdict(outcome) for outcome in outcomes],
        "ledger": documentOf(judgement),
        "latency": {name: dict(zip(FIGURES, astuple(latency), strict=True)) for name, latency in latencies},
        "histograms": {name: encode(judgement.buckets[name]) for name, _ in latencies},
    }
