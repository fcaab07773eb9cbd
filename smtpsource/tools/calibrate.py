"""
C{smtpsource calibrate}: what this machine can generate, measured against a sink of its own.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence
from typing import ClassVar, NamedTuple, NoReturn

from twisted.python import usage

from smtpsource.measure.environment import environment
from smtpsource.net.reactorchoice import reactorInUse
from smtpsource.process.interrupts import settle
from smtpsource.process.openfiles import raiseFileLimit
from smtpsource.report.presentation import Presentation
from smtpsource.tools.calibration import COMPARED, PROMISE, TRUSTED, Calibration, Measured, highestOf
from smtpsource.tools.calibrationtext import conclusions, heading, row
from smtpsource.tools.options import ToolOptions
from smtpsource.tools.runs import Runs, commandOf
from smtpsource.values import files
from smtpsource.values import numbers as values
from smtpsource.values.option import Flag, Group, ValueOption


class Load(NamedTuple):
    """
    A load that is typical.

    @ivar name: in words.
    @ivar options: what makes it.
    @ivar quick: it is one of the few that C{--quick} measures.
    """

    name: str
    options: str
    quick: bool = False


LOADS = (
    Load("1 session", "-d"),
    Load(COMPARED, "-d -s 20", True),
    Load("100 sessions", "-d -s 100"),
    Load("20 sessions, new connections", "-s 20", True),
    Load("20 sessions, pipelining", "-d -s 20 --pipelining require"),
    Load(
        "20 sessions, pipelined chunks, window 8",
        "-d -s 20 --pipelining require --chunking require --window 8",
        True,
    ),
    Load("20 sessions, STARTTLS, new connections", "-s 20 --tls starttls"),
    Load("20 sessions, STARTTLS", "-d -s 20 --tls starttls"),
    Load("20 sessions, 10 kB", "-d -s 20 -l 10000"),
    Load("20 sessions, 1 MB", "-d -s 20 -l 1000000"),
)

#: The open loop has sessions enough for the rate: so many.
_OPEN = ("-d", "-s", "100")
_SEARCHED = "open loop, the highest rate in time"
_CHECKED = f"open loop, {TRUSTED:.0%} of that"

#: The search starts at this part of a rate that was measured in a closed loop, or there, in messages per second.
_FIRST_PART, _FIRST = 0.5, 1000.0

#: What a search tries, usually, and how long each run takes besides, in seconds: for people who wait.
_STEPS, _BESIDES = 10, 0.6

#: Seconds that a run may take longer than it should.
_PATIENCE = 60.0


def _seconds(text: str) -> float:
    value = values.time(text)
    if not 0.1 <= value <= 3600:
        raise ValueError("expected from 100ms to 1h")
    return value


class CalibrateOptions(ToolOptions):
    """
    How long, and what to do with the results.
    """

    name = "smtpsource calibrate"
    synopsis = "smtpsource calibrate [options]"
    about = (
        "Measure what this machine can generate, with some typical loads and a sink of its own. Figures of a server\n"
        "can be trusted where they are well below that."
    )
    closing = (
        "Exit status: 0 all was measured; 1 something failed, the report can't be written, or it was stopped; 2 the\n"
        "command line can't be used.\n"
        "Example: smtpsource calibrate --report this-machine.json"
    )
    groups: ClassVar[Sequence[Group]] = (
        (
            "Options",
            (
                ValueOption(
                    "seconds",
                    None,
                    "TIME",
                    None,
                    "measure each load, and each rate of the search, for so long (default: 1s, or 300ms with --quick)",
                    _seconds,
                ),
                Flag("quick", None, "fewer loads: for a first look"),
                ValueOption(
                    "report",
                    None,
                    "FILE",
                    None,
                    "write the results there as JSON; - is standard output",
                    files.writableFile,
                ),
            ),
        ),
    )

    def parseArgs(self, *others: str) -> None:
        """
        None.
        """
        if others:
            raise usage.UsageError(f"{others[0]!r} is not usable: expected options only")

    def postOptions(self) -> None:
        """
        Check everything.
        """
        super().postOptions()
        self.checkOutputs("report")
        if self["seconds"] is None:
            self["seconds"] = 0.3 if self["quick"] else 1.0

    @property
    def seconds(self) -> float:
        """
        For how long each is measured.
        """
        return float(self["seconds"])

    @property
    def loads(self) -> Sequence[Load]:
        """
        What to measure in a closed loop.
        """
        return [load for load in LOADS if load.quick or not self["quick"]]


def calibrate(options: CalibrateOptions, runs: Runs, presentation: Presentation) -> Calibration:
    """
    Measure one load after the other, and show each when it is done.
    """
    started, begun = datetime.datetime.now().astimezone(), time.monotonic()
    openFiles = raiseFileLimit()
    withoutTLS = _whyNoTLS()
    seconds = options.seconds
    timed = ("--warmup", f"{seconds / 4:g}", "--duration", f"{seconds:g}")
    presentation.tell(heading())

    def show(measured: Measured) -> Measured | None:
        if runs.stopped:
            # It has not come to its end.
            return None
        presentation.tell(row(measured))
        return measured

    def measure(name: str, *load: str) -> Measured | None:
        if runs.stopped:
            return None
        if "--tls" in load and withoutTLS is not None:
            return show(Measured(name, commandOf(load), problem=withoutTLS, leftOut=True))
        return show(runs.measure(name, load, 2 * seconds + _PATIENCE))

    measured = [measure(load.name, *load.options.split(), *timed) for load in options.loads]
    loads = [one for one in measured if one is not None]
    search = None if runs.stopped else show(_search(runs, _firstRate(loads), seconds))
    highest = None if search is None else highestOf(search)
    check = None
    if highest is not None:
        check = measure(_CHECKED, *_OPEN, "--rate", f"{TRUSTED * highest:.1f}", *timed)
    return Calibration(
        command=options.command,
        started=started.isoformat(timespec="milliseconds"),
        elapsed=time.monotonic() - begun,
        seconds=seconds,
        stopped=runs.stopped,
        loads=loads,
        search=search,
        check=check,
        environment=environment(reactorInUse(), started.isoformat(timespec="milliseconds")),
        openFiles=openFiles,
    )


def _search(runs: Runs, first: float, seconds: float) -> Measured:
    """
    Look for the highest rate that starts in time: twice, if that found none, as one bad moment may be why.
    """
    for rate in (first, first / 4):
        step = ("--rate", f"{rate:.1f}", "--hold-step", f"{seconds:g}")
        found = runs.measure(_SEARCHED, (*_OPEN, *step, "--find-rate", PROMISE), 120 * seconds + _PATIENCE)
        if runs.stopped or found.summary is None or highestOf(found) is not None:
            break
    return found


def _firstRate(loads: Sequence[Measured]) -> float:
    """
    A rate to begin the search with: not too high, and not too low either, which would take long.
    """
    known = {one.name: one.figures["rate"] for one in loads if one.figures is not None}
    return max(1.0, known[COMPARED] * _FIRST_PART) if COMPARED in known else _FIRST


def _whyNoTLS() -> str | None:
    """
    Why this machine can't use TLS, if it can't.
    """
    from smtpsource.net.tls.client import ClientTLS
    from smtpsource.net.tls.settings import TLSSettings

    try:
        ClientTLS(TLSSettings(), None)
    except ValueError as e:
        return str(e)
    return None


def expected(options: CalibrateOptions) -> float:
    """
    How long it will take, in seconds, more or less.
    """
    count = len(options.loads) + 1
    return count * (1.25 * options.seconds + _BESIDES) + _STEPS * options.seconds + _BESIDES


def main(arguments: Sequence[str]) -> NoReturn:
    """
    Run one command line and exit.

    @param arguments: what comes after C{calibrate}.
    @raise SystemExit: always; see docs/man/smtpsource-calibrate.rst for the statuses.
    """
    options = CalibrateOptions()
    options.parseOrExit(arguments)
    presentation = Presentation(options.tool, report=options["report"])
    runs = Runs()
    runs.stopOnSignals()
    presentation.tell(
        f"This takes about {expected(options):.0f} seconds, in which this machine should have nothing else to do.\n\n"
    )
    calibration = calibrate(options, runs, presentation)
    settle()
    status = calibration.exit
    if not presentation.tellResult(conclusions(calibration)):
        status = status or 1
    written = presentation.writeFiles(calibration, Calibration.asDict, status)
    raise SystemExit(status if written else 1)
