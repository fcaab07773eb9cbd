"""
One run, as the master of Locust has it: the process that decides and adds up, and the workers that have a part in it.
"""

from __future__ import annotations

import logging
import os
import shlex
import time
from typing import Any

from gevent.event import Event

from smtpsource._version import __version__
from smtpsource.locust import options
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

#: No word of a worker's.
_NONSENSE = b"?"

#: Exit status of a run that nobody knows the result of; and where there could be none: see docs/man/smtpsource.rst.
FAILED, UNUSABLE = 1, 2


class Course:
    """
    One run, from its start to its end.

    @ivar run: a word that no other run has.
    @ivar over: an event: it has ended, and its result was told.
    """

    def __init__(self, environment: Any, workers: list[str], whenOver: Any) -> None:
        """
        Begin.

        @param environment: Locust's.
        @param workers: the ids of those that have a part in it.
        @param whenOver: called with its exit status.
        """
        self.run = os.urandom(8).hex()
        self.over = Event()
        self._runner = environment.runner
        self._statistics = Statistics(environment.stats)
        self._whenOver = whenOver
        self._numbers = {worker: number for number, worker in enumerate(workers)}
        self._gone: set[str] = set()
        self._status = FAILED
        self._hasResult = False
        self._grace = 0.0
        self._stopping = False
        try:
            words = options.commandLine(environment.parsed_options)
            self._process: Process | None = Process(_COORDINATOR, self._decided, self._ended)
        except (OSError, ValueError) as e:
            _log.error("smtpsource: there can be no run: %s", e)
            self._process = None
            self._ended()
            return
        self._say(MASTER, pack(Kind.OPTIONS, {"options": words, "workers": workers}))
        for worker in workers:
            self._tell(worker, {BEGIN: __version__})
        _log.info("smtpsource: a run begins, by %d workers: smtpsource %s", len(workers), shlex.join(words))

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
        if kind is Kind.GO:
            self._grace = body["grace"]
            self._statistics.began(time.time() + body["at"] - time.perf_counter())
        elif kind is Kind.FRAME:
            self._statistics.add(Frame.decode(body), time.time())
        elif kind is Kind.HINT:
            _log.warning("smtpsource: %s", body["text"])
        elif kind is Kind.UNUSABLE:
            _log.error("smtpsource: %s", body["text"])
            self._status, self._hasResult = UNUSABLE, True
        elif kind is Kind.END:
            self._status, self._hasResult = int(body["exit"]), True

    def _ended(self) -> None:
        """
        The coordinator is gone.
        """
        if self._process is not None and not self._hasResult:
            _log.error("smtpsource: the coordinator %s: there is no result", self._process.how or "has not said how")
        for worker in self._numbers:
            self._tell(worker, {END: True})
        self.over.set()
        _log.info("smtpsource: the run is over, with exit status %d", self._status)
        self._whenOver(self._status)

    def _say(self, number: int, message: bytes) -> None:
        if self._process is not None:
            self._process.send(enclose(number, message))

    def _tell(self, worker: str, data: dict[str, Any]) -> None:
        self._runner.send_message(TYPE, {"run": self.run, **data}, worker)
