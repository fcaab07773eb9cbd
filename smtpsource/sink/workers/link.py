"""
A worker, as its parent sees it.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from smtpsource.printable import printable
from smtpsource.process.children import environment, howEnded, lastLine, program, seeRoom, statusOf
from smtpsource.sink.workers.counted import Counted, Result
from smtpsource.sink.workers.task import Task
from smtpsource.sink.workers.wire import CONNECTIONS, LISTENING, READ, SHARED, WRITE, Kind, Received, framed, packed

_PROGRAM = program("smtpsource.sink.workers.worker")

_ERROR_TEXT = 4096


class Link(ProcessProtocol):
    """
    A worker's process, and what is said with it.

    @ivar task: what it is.
    @ivar pid: its process.
    @ivar isReady: it listens.
    @ivar isThere: it has not ended.
    @ivar ledger: the path of its ledger, if it keeps one.
    @ivar counted: what it had counted when it has told so last.
    @ivar result: what it leaves, when it has said so.
    @ivar given: how many connections it was given.
    @ivar connections: the socket that these go through.
    """

    #: C{None} until the process is there.
    transport: Any = None

    def __init__(
        self, task: Task, heard: Callable[[Link, Kind, Any], None], ended: Callable[[Link, str], None]
    ) -> None:
        """
        @param heard: called with whatever it says.
        @param ended: called when it has ended; with how, if it has left no result.
        """
        self.task = task
        self._heard, self._ended = heard, ended
        self._received = Received()
        self._errors = b""
        self.pid = 0
        self.isReady = False
        self.isThere = True
        self.ledger: str | None = None
        self.counted = Counted()
        self.result: Result | None = None
        self.given = 0
        self.connections, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.connections.setblocking(False)

    @property
    def name(self) -> str:
        """
        What it is called.
        """
        return f"worker {self.task.worker + 1} (process {self.pid})"

    def start(self, reactor: Any, shared: int, listening: Sequence[socket.socket]) -> None:
        """
        Start the process.

        @param reactor: provides C{IReactorProcess}.
        @param shared: the descriptor of the memory that all share.
        @param listening: what it is to listen on, which is its own then.
        @raise OSError: there can't be one.
        """
        with ExitStack() as afterwards:
            for one in (self._theirs, *listening):
                afterwards.callback(one.close)
            try:
                null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
                afterwards.callback(os.close, null)
                descriptors: dict[int, Any] = {0: null, 1: null, 2: "r", READ: "w", WRITE: "r"}
                descriptors |= {CONNECTIONS: self._theirs.fileno(), SHARED: shared}
                descriptors |= {number: one.fileno() for number, one in enumerate(listening, LISTENING)}
                command = [sys.executable, "-P", "-c", _PROGRAM]
                seeRoom()
                reactor.spawnProcess(self, sys.executable, command, environment(), childFDs=descriptors)
            except OSError:
                self.isThere = False
                self.connections.close()
                raise
        self.pid = self.transport.pid
        self.say(Kind.TASK, self.task)

    def say(self, kind: Kind, body: Any = None) -> None:
        """
        Tell it something, if it is there.
        """
        # It may have closed its end.
        with suppress(KeyError, OSError):
            self.transport.writeToChild(READ, framed(packed(kind, body)))

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """
        See C{IProcessProtocol}.
        """
        if childFD != WRITE:
            self._errors = (self._errors + data)[-_ERROR_TEXT:]
            return
        for kind, body in self._received.add(data):
            if kind is Kind.COUNTS:
                self.counted = body
            elif kind is Kind.END:
                self.result, self.counted = body, body.counted
                self.transport.closeChildFD(READ)
            self._heard(self, kind, body)

    def childConnectionLost(self, childFD: int) -> None:
        """
        See C{IProcessProtocol}.
        """

    def processEnded(self, reason: Failure) -> None:
        """
        See C{IProcessProtocol}.
        """
        self.isThere = self.isReady = False
        self.connections.close()
        how = ""
        if self.result is None:
            how = howEnded(statusOf(reason.value)) or "ended before its time"
            said = printable(lastLine(self._errors))
            how += f": {said}" if said else ""
        self._ended(self, how)

    def kill(self) -> None:
        """
        End it at once, if it could be started.
        """
        if self.transport is not None:
            with suppress(ProcessExitedAlready):
                self.transport.signalProcess("KILL")
