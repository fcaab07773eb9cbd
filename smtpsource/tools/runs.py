"""
Runs of the generator for a tool: processes of their own, as they always are.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from smtpsource.process.children import environment
from smtpsource.process.interrupts import NUMBERS
from smtpsource.report.reading import summaryOf
from smtpsource.tools.calibration import Measured, problemOf

#: For how many seconds a run is waited for at once.
_PART = 1.0


class Runs:
    """
    Runs of the generator as they always are: processes of their own, one after the other.

    @ivar stopped: there was a signal to stop: the run that went on was ended, and there is no further one.
    """

    def __init__(self) -> None:
        self.stopped = False
        self._child: subprocess.Popen[str] | None = None
        self._environment = environment()

    def stopOnSignals(self) -> None:
        """
        SIGINT, SIGTERM and SIGHUP end this in order; a second SIGINT, at once. SIGHUP stays ignored under nohup(1).
        """
        for number in NUMBERS:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
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
        shown = commandOf(options)
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
            left = patience
            while True:
                try:
                    # A part at a time: if this process stands still, no more than one is over when it goes on.
                    out, err = self._child.communicate(timeout=min(left, _PART))
                    return out, err, self._child.returncode
                except subprocess.TimeoutExpired:
                    left -= _PART
                    if left <= 0:
                        self._child.kill()
                        raise


def commandOf(options: Sequence[str]) -> tuple[str, ...]:
    """
    The command line of a run against C{sink:}, as a user would write it.
    """
    return ("smtpsource", *options, "sink:")


def _lastLine(text: str) -> str:
    """
    What a run has complained of.
    """
    line = text.strip().rpartition("\n")[2]
    return line.removeprefix("smtpsource: ").removesuffix(" (see smtpsource --help)")
