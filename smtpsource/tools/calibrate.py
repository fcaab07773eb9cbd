"""
C{smtpsource calibrate}: what this machine can generate, measured against a sink of its own.
"""

from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import ClassVar, NamedTuple, NoReturn

from twisted.python import usage

from smtpsource import arguments as values
from smtpsource.commandline import Flag, Group, Parameter, flags, parameters
from smtpsource.measure.calibration import PROMISE, TRUSTED, Calibration, Measured, highestOf, problemOf
from smtpsource.measure.environment import environment
from smtpsource.net.choice import reactorInUse
from smtpsource.net.limits import raiseFileLimit
from smtpsource.report.calibration import conclusions, heading, row
from smtpsource.report.presentation import Presentation
from smtpsource.report.reading import summaryOf
from smtpsource.tools.options import ToolOptions


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
    Load("20 sessions", "-d -s 20", True),
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
_STEPS, _BESIDES = 10, 0.8

#: Seconds that a run may take longer than it should.
_PATIENCE = 60.0


def _seconds(text: str) -> float:
    value = values.duration(text)
    if value < 0.1:
        raise ValueError("expected at least 100ms: less is no measurement")
    return value


class CalibrateOptions(ToolOptions):
    """
    How long, and what to do with the results.
    """

    tool = "smtpsource calibrate"
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
                Parameter(
                    "seconds",
                    None,
                    "TIME",
                    None,
                    "measure each load, and each rate of the search, for so long (default: 1s, or 300ms with --quick)",
                    _seconds,
                ),
                Flag("quick", None, "fewer loads: for a first look"),
                Parameter(
                    "report",
                    None,
                    "FILE",
                    None,
                    "write the results there as JSON; - is standard output",
                    values.writableFile,
                ),
            ),
        ),
    )
    optFlags = flags(groups)
    optParameters = parameters(groups)

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
        if self["seconds"] is None:
            self["seconds"] = 0.3 if self["quick"] else 1.0

    @property
    def loads(self) -> Sequence[Load]:
        """
        What to measure in a closed loop.
        """
        return [load for load in LOADS if load.quick or not self["quick"]]


class Runs:
    """
    Runs of the generator as they always are: processes of their own, one after the other.

    @ivar stopped: there was a signal to stop: the run that went on was ended, and there is no further one.
    """

    def __init__(self) -> None:
        self.stopped = False
        self._child: subprocess.Popen[str] | None = None
        # A child imports what this process would, and nothing from the current directory.
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        path = os.pathsep.join([root, *filter(os.path.isabs, sys.path)])
        self._environment = dict(os.environ, PYTHONPATH=path)

    def stopOnSignals(self) -> None:
        """
        SIGINT and SIGTERM end this in order; a second SIGINT, at once.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.stopped and number == signal.SIGINT:
            os._exit(1)
        self.stopped = True
        if self._child is not None:
            # A terminal has sent SIGINT to it as well; both together are no more than one.
            self._child.terminate()

    def measure(self, name: str, options: Sequence[str], patience: float) -> Measured:
        """
        One run against C{sink:}.

        @param patience: seconds that it may take.
        """
        shown = _command(options)
        silently = ["--grace", "1", "--live", "off", "--quiet", "--report", "-"]
        command = [sys.executable, "-P", "-m", "smtpsource", *silently, *shown[1:]]
        try:
            out, err, status = self._run(command, patience)
            document = json.loads(out) if out else None
            if document is None:
                return Measured(name, shown, problem=_lastLine(err) or f"status {status}, and no report")
            summary = summaryOf(document)
        except OSError as e:
            return Measured(name, shown, problem=f"can't start a process: {e.strerror}")
        except subprocess.TimeoutExpired:
            return Measured(name, shown, problem=f"it did not end within {patience:.0f} s")
        except ValueError as e:
            return Measured(name, shown, problem=f"its report can't be used: {e}")
        return Measured(name, shown, summary, problemOf(summary))

    def _run(self, command: Sequence[str], patience: float) -> tuple[str, str, int]:
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            env=self._environment,
            text=True,
            errors="replace",
        ) as self._child:
            if self.stopped:
                self._child.terminate()
            try:
                out, err = self._child.communicate(timeout=patience)
            except subprocess.TimeoutExpired:
                self._child.kill()
                raise
            return out, err, self._child.returncode


def _command(options: Sequence[str]) -> tuple[str, ...]:
    return ("smtpsource", *options, "sink:")


def _lastLine(text: str) -> str:
    """
    What a run has complained of.
    """
    line = text.strip().rpartition("\n")[2]
    return line.removeprefix("smtpsource: ").removesuffix(" (see smtpsource --help)")


def calibrate(options: CalibrateOptions, runs: Runs, presentation: Presentation) -> Calibration:
    """
    Measure one load after the other, and show each when it is done.
    """
    started, begun = datetime.datetime.now().astimezone(), time.monotonic()
    openFiles = raiseFileLimit()
    withoutTLS = _whyNoTLS()
    seconds = options["seconds"]
    timed = ("--warmup", f"{seconds / 4:g}", "--duration", f"{seconds:g}")
    presentation.tell(heading())
    done: list[Measured] = []

    def measure(name: str, *load: str, patience: float = 2 * seconds) -> Measured | None:
        if runs.stopped:
            return None
        if "--tls" in load and withoutTLS is not None:
            measured = Measured(name, _command(load), problem=withoutTLS, leftOut=True)
        else:
            measured = runs.measure(name, load, patience + _PATIENCE)
        if runs.stopped:
            # It has not come to its end.
            return None
        presentation.tell(row(measured))
        done.append(measured)
        return measured

    for load in options.loads:
        measure(load.name, *load.options.split(), *timed)
    loads = tuple(done)
    search = measure(
        _SEARCHED,
        *_OPEN,
        *("--rate", f"{_firstRate(loads):.0f}", "--hold-step", f"{seconds:g}", "--find-rate", PROMISE),
        patience=60 * seconds,
    )
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


def _firstRate(loads: Sequence[Measured]) -> float:
    """
    A rate to begin the search with: not too high, and not too low either, which would take long.
    """
    known = {one.name: one.figures["rate"] for one in loads if one.figures is not None}
    return max(1.0, known["20 sessions"] * _FIRST_PART) if "20 sessions" in known else _FIRST


def _whyNoTLS() -> str | None:
    """
    Why this machine can't use TLS, if it can't.
    """
    from smtpsource.net.tls import ClientTLS
    from smtpsource.net.tlssettings import TLSSettings

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
    return count * (1.25 * options["seconds"] + _BESIDES) + _STEPS * options["seconds"] + _BESIDES


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
    presentation.tell(conclusions(calibration))
    written = presentation.writeFiles(calibration)
    raise SystemExit(calibration.exit if written else 1)
