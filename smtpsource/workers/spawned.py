"""
Workers that are children of this process: fresh interpreters.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall, IPullProducer
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from smtpsource.process.children import environment, howEnded, lastLine, seeRoom, statusOf
from smtpsource.process.processors import allowed
from smtpsource.workers.link import Link, Words
from smtpsource.workers.wire import READ, WRITE, Kind, framedPieces

#: So many bytes are written to a pipe at once.
_AT_ONCE = 1 << 16

#: How many bytes are kept of what a child writes to standard error.
_SAID = 4096

#: Seconds between two looks at whether a child has ended that says no more.
_REAP = 0.1


class SpawnedWorker(Link):
    """
    A worker in a child process. It ignores the signals that end its parent, and ends when its parent is gone.

    @ivar reactor: what starts it.
    """

    def __init__(self, reactor: Any, program: str, core: int | None = None) -> None:
        """
        @param reactor: provides C{IReactorProcess}.
        @param program: what the child runs with C{-c}: see L{smtpsource.process.children.program}.
        @param core: the processor that it is to keep to; C{None} for any.
        """
        self.reactor = reactor
        self._program = program
        self.core = core
        self._process = _Process(self)

    def start(self) -> None:
        """
        See L{Link.start}.
        """
        # -P: the child's directory is whatever it is; nothing may be imported from there.
        command = [sys.executable, "-P", "-c", self._program]
        with open(os.devnull, "rb") as nothing:
            pipes: dict[int, int | str] = {0: nothing.fileno(), 1: "r", 2: "r", READ: "w", WRITE: "r"}
            try:
                seeRoom()
                child = self.reactor.spawnProcess(self._process, sys.executable, command, environment(), childFDs=pipes)
            except OSError as e:
                self.reactor.callLater(0, self.gone, f"can't start a process: {e.strerror}")
                return
        self.pid = child.pid
        if self.core is not None:
            # At once: what it starts later keeps to it as well. If it has ended, that is told otherwise.
            with suppress(OSError):
                os.sched_setaffinity(child.pid, (self.core,))

    def send(self, kind: Kind, body: bytes | dict[str, Any] | None = None) -> None:
        """
        See L{Link.send}.
        """
        self._process.write(framedPieces(kind, body))

    def kill(self, reason: str) -> None:
        """
        See L{Link.kill}.
        """
        self._process.kill(reason)


@implementer(IPullProducer)
class _Process(ProcessProtocol):
    """
    The child process itself. What it is told goes to its pipe piece by piece: where several are told the same, there is
    one copy of that in this process.
    """

    transport: Any = None

    def __init__(self, link: SpawnedWorker) -> None:
        self._link = link
        self._errors = b""
        self._reason = ""
        self._unwritten: deque[memoryview] = deque()
        self._isWriting = False
        self._reaping: IDelayedCall | None = None
        self._words = Words(link.heard, lambda length: self.kill(f"said that it would say {length} bytes at once"))

    def write(self, pieces: Iterable[bytes]) -> None:
        if self.transport is not None and READ in self.transport.pipes:
            self._unwritten += map(memoryview, pieces)
            if not self._isWriting:
                self._isWriting = True
                self.transport.pipes[READ].registerProducer(self, False)

    def resumeProducing(self) -> None:
        pipe = self.transport.pipes[READ]
        if self._unwritten:
            piece = self._unwritten.popleft()
            if len(piece) > _AT_ONCE:
                self._unwritten.appendleft(piece[_AT_ONCE:])
            # The pipe's end copies what it is given.
            pipe.write(bytes(piece[:_AT_ONCE]))
        else:
            self._isWriting = False
            pipe.unregisterProducer()

    def stopProducing(self) -> None:
        self._unwritten.clear()

    def kill(self, reason: str) -> None:
        self._reason = self._reason or reason
        if self.transport is not None:
            with suppress(ProcessExitedAlready):
                self.transport.signalProcess("KILL")

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        if childFD == WRITE:
            self._words.dataReceived(data)
        else:
            self._errors = (self._errors + data)[-_SAID:]

    def childConnectionLost(self, childFD: int) -> None:
        if childFD == WRITE:
            self._reap()

    def _reap(self) -> None:
        """
        It ends. A reactor without handlers of signals is not told when.
        """
        if self.transport.pid is not None:
            self._reaping = self._link.reactor.callLater(_REAP, self._reap)
            self.transport.reapProcess()  # which may be its end

    def processEnded(self, reason: Failure) -> None:
        if self._reaping is not None and self._reaping.active():
            self._reaping.cancel()
        how = self._reason or howEnded(statusOf(reason.value))
        said = lastLine(self._errors)
        self._link.gone(f"{how}: {said}" if how and said else how)


def spawned(reactor: Any, program: str, count: int, pin: bool) -> list[Link]:
    """
    So many workers, each of which will be a child of this process.

    @param pin: does each keep to a processor of its own?
    """
    own: Sequence[int | None] = cores(count) if pin else (None,) * count
    return [SpawnedWorker(reactor, program, core) for core in own]


def cores(count: int) -> Sequence[int]:
    """
    A processor for each of so many workers, of those that this process may use.
    """
    return allowed()[:count]
