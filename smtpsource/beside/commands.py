"""
Commands that a user wants at moments of a run, and the marks that they make.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from smtpsource.beside.shell import Shell
from smtpsource.beside.values import Errand
from smtpsource.measure.marks import Mark
from smtpsource.printable import legible, printable
from smtpsource.process.children import howEnded, lastLine

#: The environment variable in which a command finds the run's id.
RUN_VARIABLE = "SMTPSOURCE_RUN"

#: So many commands are marks, and of so many what they have written is kept: a report is not for logs.
MOST, MOST_OUTPUTS = 10_000, 1_000

#: Seconds between two looks at whether the run has begun.
_LOOK = 0.1

#: Seconds until what was killed should be gone. Nobody can kill a process that waits for a disk.
_PATIENCE = 5.0


class Marked(Protocol):
    """
    A run that has marks: a L{SourceService<smtpsource.load.service.SourceService>}.
    """

    @property
    def runId(self) -> str:
        """
        Its id.
        """

    def now(self) -> float:
        """
        How many seconds of it are measured; 0 before it has begun.
        """

    def mark(self, text: str, kind: str = "note") -> Mark:
        """
        Mark this moment.
        """

    def remark(self, mark: Mark, **more: Any) -> Mark:
        """
        More is known of it.
        """

    def onEnd(self, end: Callable[[float], Deferred[Any]]) -> None:
        """
        Have something called when it is over, which may take some seconds.
        """


class Commands:
    """
    Starts each command when it is its time, and ends what is left of them when the run is over.
    """

    def __init__(self, reactor: Any, run: Marked, errands: Sequence[Errand], tell: Callable[[str], None]) -> None:
        """
        @param reactor: provides C{IReactorTime} and C{IReactorProcess}.
        @param tell: called with a line about each command that has failed.
        """
        self._reactor = reactor
        self._run = run
        self._tell = tell
        self._errands = [_Appointments(self, reactor, run, errand) for errand in errands]
        self._left: dict[Shell, str] = {}
        self._marks = 0
        self._over: Deferred[None] | None = None
        self._ending: IDelayedCall | None = None

    def begin(self) -> None:
        """
        Wait for their times.
        """
        for errand in self._errands:
            errand.wait()
        self._run.onEnd(self._end)

    def start(self, command: str) -> Shell:
        """
        Start one now.
        """
        self._marks += 1
        mark = self._run.mark(printable(command), "command") if self._marks <= MOST else None
        if self._marks == MOST + 1:
            self._tell(f"{MOST} commands are marked in the report: no more will be")

        def ended(shell: Shell) -> None:
            assert shell.status is not None
            how = howEnded(shell.status)
            if how:
                said = lastLine(shell.output)
                self._tell(f"{command}: {how}{said and ': '}{said}")
            if mark is not None:
                output = legible(shell.output.decode("utf-8", "replace").rstrip("\n"))
                kept = output if self._marks <= MOST_OUTPUTS else ""
                self._run.remark(mark, status=shell.status, seconds=shell.seconds, output=kept)

        shell = Shell(self._reactor, ended, self._gone)
        self._left[shell] = command
        shell.start(command, {**os.environ, RUN_VARIABLE: self._run.runId})
        return shell

    def _gone(self, shell: Shell) -> None:
        self._left.pop(shell, None)
        self._finish()

    def _end(self, grace: float) -> Deferred[None]:
        """
        The run is over: those that run have this time to end. What was never started is told.
        """
        over: Deferred[None] = Deferred()
        self._over = over
        for errand in self._errands:
            errand.stop()
            errand.catchUp()
            if errand.unmet:
                self._tell(errand.unmet)
        for shell in list(self._left):
            if shell.status is not None:
                shell.kill()  # that is: what it has left behind
        self._ending = self._reactor.callLater(grace, self._kill)
        self._finish()
        return over

    def _kill(self) -> None:
        for shell in list(self._left):
            shell.kill()
        self._ending = self._reactor.callLater(_PATIENCE, self._giveUp)

    def _giveUp(self) -> None:
        for shell, command in self._left.items():
            shell.giveUp()
            self._tell(f"{command}: it or what it has started can't be killed, and is left")
        self._left.clear()
        self._finish()

    def _finish(self) -> None:
        if self._over is None or self._left:
            return
        if self._ending is not None and self._ending.active():
            self._ending.cancel()
        over, self._over = self._over, None
        over.callback(None)


class _Appointments:
    """
    When one command is started.
    """

    def __init__(self, commands: Commands, reactor: Any, run: Marked, errand: Errand) -> None:
        self._commands = commands
        self._reactor = reactor
        self._run = run
        self._errand = errand
        self._due = errand.seconds
        self._shell: Shell | None = None
        # The turns in a row that were left out, and their mark.
        self._turns = 0
        self._skipped: Mark | None = None
        self._call: IDelayedCall | None = None

    def wait(self) -> None:
        """
        Wait for its time, on the run's axis: that of this reactor may begin earlier, and goes on where a run waits.
        """
        now = self._run.now()
        hasBegun = now != 0.0
        seconds = max(0.0, self._due - now) if hasBegun else min(_LOOK, self._due or _LOOK)
        self._call = self._reactor.callLater(seconds, self._look)

    def stop(self) -> None:
        """
        Start it no more.
        """
        if self._call is not None and self._call.active():
            self._call.cancel()

    def catchUp(self) -> None:
        """
        Start it if its time has come in a run that was over before anybody looked, as one of few messages is.
        """
        now = self._run.now()
        if self._shell is None and now != 0.0 and now >= self._due:
            self._shell = self._commands.start(self._errand.command)

    @property
    def unmet(self) -> str:
        """
        What to say if it was never started.
        """
        if self._shell is not None:
            return ""
        option = "--every" if self._errand.repeated else "--at"
        when, command = f"{self._errand.seconds:g}s", printable(self._errand.command)
        return f"{option} {when}: not started, as the run was over before: {command}"

    def _look(self) -> None:
        now = self._run.now()
        if now == 0.0 or now < self._due:
            self.wait()
            return
        if self._shell is not None and self._shell.status is None:
            self._skip()
        else:
            self._turns, self._skipped = 0, None
            self._shell = self._commands.start(self._errand.command)
        if self._errand.repeated:
            # What a process that stood still has missed is not made up for.
            passed = (now - self._due) // self._errand.seconds
            self._due += self._errand.seconds * (passed + 1)
            self.wait()

    def _skip(self) -> None:
        self._turns += 1
        turns = "its turn is" if self._turns == 1 else f"{self._turns} turns are"
        text = f"{turns} left out, as it still runs: {printable(self._errand.command)}"
        if self._skipped is None:
            self._skipped = self._run.mark(text, "event")
        else:
            self._skipped = self._run.remark(self._skipped, text=text)
