"""
One run, as the master of Locust has it: the process that decides and adds up, and the workers that have a part in it.
"""

from __future__ import annotations

import logging
import os
import shlex
import time
from collections.abc import Callable, Sequence
from typing import Any

from gevent.event import Event

from smtpsource._version import __version__
from smtpsource.locust.figures import Statistics
from smtpsource.locust.process import Process
from smtpsource.locust.words import BEGIN, END, SAID, TYPE
from smtpsource.measure.frame import Frame
from smtpsource.workers.envelopes import MASTER, enclose, opened
from smtpsource.workers.wire import LONGEST_SAID, Kind, pack, unpack

_log = logging.getLogger(__name__)

#: The process that decides.
_COORDINATOR = "smtpsource.locust.coordinate"

#: Seconds that the coordinator may take beyond what it has said, to end.
_PATIENCE = 60.0

#: Seconds that it may take to read its options.
_READ = 60.0

#: No word of a worker's.
_NONSENSE = b"?"

#: Exit status of a run that nobody knows the result of; and where there could be none: see docs/man/smtpsource.rst.
FAILED, UNUSABLE = 1, 2


class Course:
    """
    One run, from the question whether there can be such a run to its end.

    @ivar run: a word that no other run has.
    @ivar over: an event: it has ended, and its result was told.
    """

    def __init__(
        self, environment: Any, words: Sequence[str], workers: Sequence[str], whenOver: Callable[[int], object]
    ) -> None:
        """
        Start the process that decides. No worker hears of it before L{begin}.

        @param environment: Locust's.
        @param words: the command line of smtpsource.
        @param workers: the ids of those that have a part in it.
        @param whenOver: called with its exit status, if it has begun.
        """
        self.run = os.urandom(8).hex()
        self.over = Event()
        self._words, self._workers = list(words), list(workers)
        self._isRead = Event()
        self._hasBegun = False
        self._problem = ""
        self._runner = environment.runner
        self._stats = environment.stats
        self._whenOver = whenOver
        self._numbers = {worker: number for number, worker in enumerate(workers)}
        self._gone: set[str] = set()
        self._status = FAILED
        self._hasResult = False
        self._grace = 0.0
        self._stopping = False
        self._process: Process | None = None
        try:
            self._process = Process(_COORDINATOR, self._decided, self._ended)
        except OSError as e:
            self._problem = f"can't start a process: {e.strerror}"
            self._isRead.set()
        self._say(MASTER, pack(Kind.OPTIONS, {"options": self._words, "workers": self._workers}))

    def isOf(self, words: Sequence[str], workers: Sequence[str]) -> bool:
        """
        Is this the run of this command line, by these workers?
        """
        return (self._words, self._workers) == (list(words), list(workers))

    def problem(self) -> str:
        """
        Wait for the answer to whether there can be such a run.

        @return: why there can't, as one line; empty if there can.
        """
        if not self._isRead.wait(_READ):
            self._problem = f"its options were not read within {_READ:g} seconds"
            self.cancel()
        return self._problem

    def cancel(self) -> None:
        """
        Nobody wants it any more; it has not begun.
        """
        if self._process is not None:
            self._process.close()

    def begin(self) -> None:
        """
        Begin, where there is no problem.
        """
        self._hasBegun = True
        self._statistics = Statistics(self._stats)  # Locust has cleared them by now
        _log.info("smtpsource: a run begins, by %d workers: smtpsource %s", len(self._workers), shlex.join(self._words))
        self._say(MASTER, pack(Kind.GO))
        for worker in self._workers:
            self._tell(worker, {BEGIN: __version__})
        if self._process is None or self._process.ended.is_set():
            self._ended()

    def has(self, worker: str) -> bool:
        """
        Has this worker a part in it?
        """
        return worker in self._numbers and worker not in self._gone

    def said(self, worker: str, message: Any) -> None:
        """
        A worker has said something. If that is no message at all, the coordinator hears one that makes no sense, which
        is the end of this worker.
        """
        if not isinstance(message, bytes) or not 0 < len(message) <= LONGEST_SAID:
            message = _NONSENSE
        self._say(self._numbers[worker], message)
        if message[:1] == Kind.GONE.value:
            self._gone.add(worker)

    def keep(self, there: set[str]) -> None:
        """
        Others than these are lost.
        """
        for worker in self._numbers.keys() - self._gone - there:
            _log.error("smtpsource: worker %s is lost", worker)
            self._say(self._numbers[worker], pack(Kind.GONE, {"text": "was lost: Locust hears nothing of it"}))
            self._gone.add(worker)

    def stop(self) -> None:
        """
        End in order, and wait for that.
        """
        if self.over.is_set() or self._process is None:
            return
        if not self._stopping:
            self._stopping = True
            _log.info("smtpsource: the run ends: messages that are on their way have the grace period")
            self._say(MASTER, pack(Kind.DRAIN))
        self.over.wait(self._grace + _PATIENCE)
        if not self.over.is_set():
            self._process.kill("did not end in time")
            self.over.wait()

    def _decided(self, envelope: bytes) -> None:
        """
        The coordinator has said something.
        """
        number, message = opened(envelope)
        if number != MASTER:
            for worker, its in self._numbers.items():
                if its == number and worker not in self._gone:
                    self._tell(worker, {SAID: message})
                    if message[:1] == Kind.KILL.value:
                        self._gone.add(worker)  # whatever it says, nobody listens any more
                    break
            return
        kind, body = unpack(message)
        if kind is Kind.READY:
            self._isRead.set()
        elif kind is Kind.GO:
            self._grace = body["grace"]
            self._statistics.began(time.time() + body["at"] - time.perf_counter())
        elif kind is Kind.FRAME:
            self._statistics.add(Frame.decode(body), time.time())
        elif kind is Kind.HINT:
            _log.warning("smtpsource: %s", body["text"])
        elif kind is Kind.UNUSABLE:
            self._problem = body["text"]
            self._isRead.set()
        elif kind is Kind.END:
            self._status, self._hasResult = int(body["exit"]), True

    def _ended(self) -> None:
        """
        The coordinator is gone.
        """
        if not self._hasBegun:
            if not self._isRead.is_set():
                self._problem = f"the coordinator {self._how()}"
                self._isRead.set()
            return
        if not self._hasResult:
            _log.error("smtpsource: the coordinator %s: there is no result", self._how())
        for worker in self._numbers:
            self._tell(worker, {END: True})
        self.over.set()
        _log.info("smtpsource: the run is over, with exit status %d", self._status)
        self._whenOver(self._status)

    def _how(self) -> str:
        return (self._process.how if self._process is not None else "") or "has not said how"

    def _say(self, number: int, message: bytes) -> None:
        if self._process is not None:
            self._process.send(enclose(number, message))

    def _tell(self, worker: str, data: dict[str, Any]) -> None:
        self._runner.send_message(TYPE, {"run": self.run, **data}, worker)
