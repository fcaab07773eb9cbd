"""
A command that runs: its shell, in a session of its own, and what it writes.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from smtpsource.beside.guard import ENDED, KEPT, PARENT, sweep

#: What a shell says of a command that it can't start.
CANT_START = 127

#: Seconds until a guard has killed all; one that has not is killed itself.
_PATIENCE = 1.0

#: Seconds between two attempts to kill what a guard has left that was killed: first, and at most.
_AGAIN, _RARELY = 0.1, 8.0

_GUARD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guard.py")


class Shell(ProcessProtocol):
    """
    One command, and all that it starts and that does not become a daemon.

    @ivar output: the last of what it has written, to standard output and to standard error.
    @ivar status: how it has ended, as C{os.waitstatus_to_exitcode} has it; C{None} as long as it runs.
    @ivar seconds: how long it took, once it has ended.
    """

    transport: Any = None

    def __init__(self, reactor: Any, ended: Callable[[Shell], None], gone: Callable[[Shell], None]) -> None:
        """
        @param reactor: provides C{IReactorProcess} and C{IReactorTime}.
        @param ended: called when the command has ended.
        @param gone: called when nothing is left of it.
        """
        self.output = b""
        self.status: int | None = None
        self.seconds = 0.0
        self._reactor = reactor
        self._ended, self._gone = ended, gone
        # What is said of its end, and what that was.
        self._said = b""
        self._found: int | None = None
        self._session = 0
        self._isLost = self._isGone = False
        self._next: IDelayedCall | None = None

    def start(self, command: str, environment: Mapping[str, str]) -> None:
        """
        Start it. It has nothing to read.
        """
        self._began = self._reactor.seconds()
        # -I and -S: it is up in some milliseconds, and imports nothing from anywhere.
        words = [sys.executable, "-I", "-S", _GUARD, command]
        with open(os.devnull, "r+b") as nothing:
            # The guard itself writes only what is wrong with it.
            pipes = {0: nothing.fileno(), 1: nothing.fileno(), 2: "r", PARENT: "w", ENDED: "r"}
            spawn = self._reactor.spawnProcess
            try:
                spawn(self, sys.executable, list(map(os.fsencode, words)), environment, childFDs=pipes)
            except OSError as e:
                self._isLost = self._isGone = True
                self._find(CANT_START)
                self.output = f"can't start a process: {e.strerror}".encode()
                self._settle()

    def connectionMade(self) -> None:
        self._session = self.transport.pid  # its guard begins one

    def kill(self) -> None:
        """
        End it now, and what it has started.
        """
        if self._next is None and self.transport is not None and PARENT in self.transport.pipes:
            self.transport.closeChildFD(PARENT)
            self._next = self._reactor.callLater(_PATIENCE, self._killGuard)

    def giveUp(self) -> None:
        """
        Try no more to end it.
        """
        if self._next is not None and self._next.active():
            self._next.cancel()

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        if childFD == ENDED and self._found is None:
            self._said += data
            status, isWhole, data = self._said.partition(b"\n")
            if not isWhole:
                return
            self.output = b""
            self._find(int(status))
        self.output = (self.output + data)[-KEPT:]

    def childConnectionLost(self, childFD: int) -> None:
        if childFD == ENDED:
            self._find(-signal.SIGKILL)  # or it has said how
            self._isLost = True
            self._settle()

    def processExited(self, reason: Failure) -> None:
        self.giveUp()
        # One that has ended in order has left nothing, and its number may be somebody else's.
        if isinstance(reason.value, ProcessDone) or not self._session:
            self._isGone = True
            self._settle()
        else:
            self._sweep(_AGAIN)

    def _killGuard(self) -> None:
        """
        A command may have stopped it.
        """
        try:
            self.transport.signalProcess("KILL")
        except ProcessExitedAlready:
            pass  # that is about to be told

    def _sweep(self, seconds: float) -> None:
        """
        Do what a guard that was killed can't do any more. Its session keeps its number while something is left of it.
        """
        if sweep(self._session):
            self._next = self._reactor.callLater(seconds, self._sweep, min(2 * seconds, _RARELY))
        else:
            self._isGone = True
            self._settle()

    def _find(self, status: int) -> None:
        if self._found is None:
            self._found = status
            self.seconds = self._reactor.seconds() - self._began

    def _settle(self) -> None:
        """
        What it has written comes after how it has ended; and what it has started may go on.
        """
        if self._isLost and self.status is None:
            self.status = self._found
            self._ended(self)
        if self._isLost and self._isGone:
            self._isGone = False
            if self.transport is not None:
                self.transport.loseConnection()
            self._gone(self)
