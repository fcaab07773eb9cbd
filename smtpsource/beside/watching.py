"""
What is watched beside a run, as the run has it: the latest figures, at once.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from smtpsource.beside.things import Thing, figuresOf
from smtpsource.beside.watcher import OLDEST
from smtpsource.measure.marks import Mark
from smtpsource.printable import printable
from smtpsource.process.children import environment, howEnded, lastLine, program, statusOf

#: The longest line that is taken.
_LONGEST = 1_048_576

#: So many marks are made of one thing that comes and goes.
MOST_MARKS = 20

#: How many bytes are kept of what the process writes to standard error.
_SAID = 4096


class Watched(Protocol):
    """
    A run that has figures of what is watched: a L{SourceService<smtpsource.load.service.SourceService>}.

    @ivar watched: gives them, by name.
    """

    watched: Callable[[], Mapping[str, float]]

    def now(self) -> float:
        """
        How many seconds of it are measured; 0 before it has begun.
        """

    def mark(self, text: str, kind: str = "note") -> Mark:
        """
        Mark this moment.
        """

    def whenDone(self) -> Deferred[Any]:
        """
        @return: fires when it is over.
        """


class Watching(ProcessProtocol):
    """
    Has a process of its own that looks: see L{smtpsource.beside.watcher}.
    """

    transport: Any = None

    def __init__(self, reactor: Any, run: Watched, things: Sequence[Thing], tell: Callable[[str], None]) -> None:
        """
        @param reactor: provides C{IReactorProcess} and C{IReactorTime}.
        @param tell: called with a line about what can't be watched any more.
        """
        self._reactor = reactor
        self._run = run
        self._things = things
        self._tell = tell
        self._figures: Mapping[str, float] = {}
        self._missing: Mapping[str, str] = {}
        self._at = reactor.seconds()
        self._unread, self._said = b"", b""
        self._marks: Counter[str] = Counter()
        self._processes = {thing.name for thing in things if thing.kind == "pid"}
        # The names of all figures that there ever were.
        self._known: set[str] = set()
        self._isOver = False

    def begin(self) -> None:
        """
        Watch, until the run is over.
        """
        self._run.watched = self.figures
        self._run.whenDone().addCallback(lambda _: self._end())
        words = [sys.executable, "-P", "-c", program("smtpsource.beside.watcher")]
        pipes = {0: "w", 1: "r", 2: "r"}
        try:
            self._reactor.spawnProcess(self, sys.executable, words, environment(), childFDs=pipes)
        except OSError as e:
            self._lost(f"can't start a process: {e.strerror}")

    def figures(self) -> Mapping[str, float]:
        """
        The latest figures; none, if they are too old.
        """
        return self._figures if self._reactor.seconds() - self._at <= OLDEST else {}

    def connectionMade(self) -> None:
        self.transport.write(json.dumps(self._things).encode("ascii") + b"\n")

    def outReceived(self, data: bytes) -> None:
        *lines, self._unread = (self._unread + data).split(b"\n")
        if len(self._unread) > _LONGEST:
            self._kill()
        for line in lines:
            try:
                told = json.loads(line)
                self._figures, missing = told["figures"], told["missing"]
            except (ValueError, LookupError, TypeError):
                self._kill()
                return
            self._at = self._reactor.seconds()
            self._known |= self._figures.keys()
            self._compare(missing)

    def errReceived(self, data: bytes) -> None:
        self._said = (self._said + data)[-_SAID:]

    def processEnded(self, reason: Failure) -> None:
        said = lastLine(self._said)
        how = howEnded(statusOf(reason.value)) or "ended"
        self._lost(f"the process that looks {how}{said and ': '}{said}")

    def _compare(self, missing: Mapping[str, str]) -> None:
        """
        What is not there any more, or again, is a mark.
        """
        before, self._missing = self._missing, missing
        for name in missing.keys() - before.keys():
            if not self._marks[name]:
                # Another process is another process.
                again = "" if name in self._processes else "; looked for again each second"
                self._tell(f"--watch {name}: {missing[name]}{again}")
            self._mark(name, f"{name}: {missing[name]}")
        for name in before.keys() - missing.keys():
            self._mark(name, f"{name}: it is there again")

    def _mark(self, name: str, text: str) -> None:
        self._marks[name] += 1
        if self._run.now() != 0.0 and self._marks[name] <= MOST_MARKS:
            self._run.mark(printable(text), "event")

    def _lost(self, problem: str) -> None:
        if not self._isOver:
            self._figures = {}
            self._tell(f"nothing is watched any more: {problem}")
            self._run.mark(f"nothing is watched any more: {printable(problem)}", "event")

    def _end(self) -> None:
        self._isOver = True
        for thing in self._things:
            if self._marks[thing.name] and self._known.isdisjoint(figuresOf([thing])):
                self._tell(f"--watch {thing.name}: nothing was seen of it in all the run")
        self._kill()

    def _kill(self) -> None:
        """
        There is nothing that it could lose.
        """
        if self.transport is not None:
            with suppress(ProcessExitedAlready):
                self.transport.signalProcess("KILL")
