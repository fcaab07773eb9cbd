"""
A command that runs: its shell, in a session of its own, and what it writes.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from smtpsource.beside.guard import ENDED, PARENT

#: How many bytes are kept of what a command has written, its last.
KEPT = 2048

#: What a shell says of a command that it can't start.
CANT_START = 127

#: Seconds until all is read that it has written, if it has ended.
_DRAIN = 0.25

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
        # What is said of its end, and what that was; is all read that it has written; has its process ended?
        self._said = b""
        self._found: int | None = None
        self._isSilent = self._hasExited = False
        self._draining: IDelayedCall | None = None

    def start(self, command: str, environment: Mapping[str, str]) -> None:
        """
        Start it. It has nothing to read.
        """
        self._began = self._reactor.seconds()
        # -I and -S: it is up in some milliseconds, and imports nothing from anywhere.
        words = [sys.executable, "-I", "-S", _GUARD, command]
        with open(os.devnull, "rb") as nothing:
            pipes = {0: nothing.fileno(), 1: "r", 2: "r", PARENT: "w", ENDED: "r"}
            spawn = self._reactor.spawnProcess
            try:
                spawn(self, sys.executable, list(map(os.fsencode, words)), environment, childFDs=pipes)
            except OSError as e:
                self.output = f"can't start a process: {e.strerror}".encode()
                self._isSilent = self._hasExited = True
                self._find(CANT_START)

    def kill(self) -> None:
        """
        End it now, and what it has started.
        """
        if self.transport is not None and PARENT in self.transport.pipes:
            self.transport.closeChildFD(PARENT)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        if childFD == ENDED:
            self._said += data
            if self._said.endswith(b"\n"):
                self._find(int(self._said))
        elif self.status is None:
            self.output = (self.output + data)[-KEPT:]

    def childConnectionLost(self, childFD: int) -> None:
        if childFD == ENDED:
            self._find(-signal.SIGKILL)  # or it has said how
        elif childFD == 1:
            self._isSilent = True
            self._settle()

    def processExited(self, reason: Failure) -> None:
        self._hasExited = True
        self._settle()

    def _find(self, status: int) -> None:
        if self._found is None:
            self._found = status
            self.seconds = self._reactor.seconds() - self._began
            self._settle()

    def _settle(self) -> None:
        """
        What it has written may come after how it has ended; or never, if a daemon could still write.
        """
        if self._found is None:
            return
        if self.status is None:
            if not self._isSilent:
                if self._draining is None:
                    self._draining = self._reactor.callLater(_DRAIN, self._isDrained)
                return
            if self._draining is not None and self._draining.active():
                self._draining.cancel()
            self.status = self._found
            self._ended(self)
        if self._hasExited:
            self._hasExited = False
            if self.transport is not None:
                self.transport.loseConnection()
            self._gone(self)

    def _isDrained(self) -> None:
        self._isSilent = True
        self._settle()
