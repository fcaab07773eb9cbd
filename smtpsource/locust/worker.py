"""
Beside a worker of Locust: the C{smtpsource worker} that carries the mail, for one run after the other.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import gevent
from gevent.event import Event
from locust.exception import RPCError

from smtpsource._version import __version__
from smtpsource.locust.clock import RemoteClock
from smtpsource.locust.interrupts import onInterrupt
from smtpsource.locust.process import Process
from smtpsource.locust.words import ASKED, BEGIN, END, SAID, THEIRS, TYPE
from smtpsource.measure.frame import Frame
from smtpsource.process.loopback import loopback
from smtpsource.workers.wire import FROM_ELSEWHERE, Kind, pack, unpack

_log = logging.getLogger(__name__)

#: The process that carries the mail.
_WORKER = "smtpsource.load.worker"

#: How often the master is asked for the time, and how many seconds an answer may take.
_QUESTIONS, _ANSWERED = 8, 10.0

#: A master says something every second. After so many seconds of silence there is none.
SILENT = 10.0

#: Seconds that a worker that is to quit waits for the master's word to end the run; and for the run's end after that it
#: waits as long as there is a master.
_WORD = 3.0

#: What the process may be told: none of it is code.
_ORDERS = (
    *(Kind.OPTIONS, Kind.GO, Kind.LEASE, Kind.ADDRESSES, Kind.STEP),
    *(Kind.EXPIRE, Kind.DRAIN, Kind.ABORT),
)

#: What is said with times in it, by the clock of the master's machine.
_TIMED = (Kind.GO, Kind.STEP)

#: What ends a run.
_ENDING = (Kind.EXPIRE, Kind.DRAIN, Kind.ABORT, Kind.KILL)


class Worker:
    """
    What a worker of Locust does for us.
    """

    def __init__(self, environment: Any) -> None:
        """
        @param environment: Locust's.
        """
        self._runner = environment.runner
        self._part: Part | None = None
        self._runner.register_message(TYPE, self._heard)
        environment.events.report_to_master.add_listener(self._report)
        environment.events.test_stop.add_listener(lambda **others: self._giveUp("the test is over"))
        environment.events.quitting.add_listener(lambda **others: self._quit())
        self._runner.greenlet.spawn(self._watch)
        onInterrupt(self._quit)

    def _heard(self, environment: Any, msg: Any) -> None:
        data = msg.data
        if not isinstance(data, dict):
            _log.error("smtpsource: the master says what makes no sense: expected a table, not %.40r", data)
        elif BEGIN in data:
            self._giveUp("another run begins")
            self._part = Part(self._runner, str(data.get("run")))
            self._part.begin(str(data[BEGIN]))
        elif self._part is not None and data.get("run") == self._part.run:
            self._part.told(data)

    def _report(self, client_id: str, data: dict[str, Any]) -> None:
        """
        What Locust shows as users are sessions, as soon as there are any.
        """
        if self._part is not None and self._part.sessions:
            data["user_count"] = self._part.sessions
            data["user_classes_count"] = dict.fromkeys(data["user_classes_count"], self._part.sessions)

    def _watch(self) -> None:
        """
        Without a master nobody wants any mail.
        """
        while True:
            gevent.sleep(1.0)
            heard = self._runner.last_heartbeat_timestamp
            if heard is not None and self._isOn() and time.time() - heard > SILENT:
                self._giveUp(f"the master has been silent for {SILENT:g} seconds")

    def _quit(self) -> None:
        """
        This process is to end. Where all are, by ^C, the master ends the run in order, and this waits for it.
        """
        part = self._part
        if part is None or not self._isOn():
            return
        if part.ending.wait(_WORD):
            part.over.wait()
        self._giveUp("this worker of Locust quits")

    def _isOn(self) -> bool:
        return self._part is not None and not self._part.over.is_set()

    def _giveUp(self, reason: str) -> None:
        if self._part is not None and self._isOn():
            if not self._part.ending.is_set():
                _log.warning("smtpsource: %s: the run ends here, before its time", reason)
            self._part.giveUp()
            self._part.over.wait(_WORD)


class Part:
    """
    The part of this worker in one run.

    @ivar run: which one.
    @ivar sessions: how many are open.
    @ivar ending: an event: it was told to end.
    @ivar over: an event: it has ended.
    """

    sessions = 0
    _isRefused = False

    def __init__(self, runner: Any, run: str) -> None:
        self.run = run
        self.ending, self.over = Event(), Event()
        self._runner = runner
        self._clock = RemoteClock()
        self._knowsTime = Event()
        self._process: Process | None = None

    def begin(self, version: str) -> None:
        """
        Start the process.

        @param version: the master's.
        """
        problem = ""
        if version != __version__:
            problem = (
                f"this worker has smtpsource {__version__}, and its master has {version}: expected the same on all "
                "machines"
            )
        else:
            try:
                self._process = Process(_WORKER, self._said, self._gone, FROM_ELSEWHERE)
            except OSError as e:
                problem = f"can't start a process: {e.strerror}"
        if problem:
            _log.error("smtpsource: %s", problem)
            self._send(pack(Kind.UNUSABLE, {"text": problem}))
            self._send(pack(Kind.GONE, {"text": "can't be used"}))
            self.over.set()
        else:
            gevent.spawn(self._ask)

    def told(self, data: dict[str, Any]) -> None:
        """
        The master has said something. What makes no sense is not passed on.
        """
        try:
            self._obey(data)
        except (AttributeError, KeyError, TypeError, ValueError) as e:
            _log.error("smtpsource: the master says what makes no sense: %s: %.200s", type(e).__name__, e)

    def _obey(self, data: dict[str, Any]) -> None:
        if THEIRS in data:
            self._clock.answered(float(data[ASKED]), float(data[THEIRS]), time.perf_counter())
            self._knowsTime.set()
        elif END in data:
            self.giveUp()
        elif self._process is not None:
            self._pass(self._process, data[SAID])

    def _pass(self, process: Process, message: bytes) -> None:
        """
        The coordinator has something to say to the process.

        @raise ValueError: it is nothing that a coordinator says.
        """
        kind = Kind(message[:1])
        if kind in _ENDING:
            self.ending.set()
        if kind is Kind.KILL:
            process.kill("was given up")
        elif kind in _ORDERS:
            process.send(self._here(message) if kind in _TIMED else message)
        else:
            raise ValueError(f"{kind.name} is no order")

    def giveUp(self) -> None:
        """
        End now.
        """
        self.ending.set()
        if self._process is not None:
            self._process.close()

    def _here(self, message: bytes) -> bytes:
        kind, body = unpack(message)
        return pack(kind, body | {"at": self._clock.here(body["at"])})

    def _ask(self) -> None:
        """
        Find out by how much the clocks differ, while the process gets ready.
        """
        for _ in range(_QUESTIONS):
            self._tell({ASKED: time.perf_counter()})
            gevent.sleep(0.05)

    def _said(self, message: bytes) -> None:
        kind = message[:1]
        if kind == Kind.READY.value and not self._knowsTime.wait(_ANSWERED):
            message = pack(Kind.UNUSABLE, {"text": f"the master does not tell the time within {_ANSWERED:g} seconds"})
        elif kind == Kind.READY.value:
            message = pack(Kind.READY, unpack(message)[1] | {"loopback": loopback()})
        elif kind == Kind.UNUSABLE.value:
            self._isRefused = True  # the master says why
        elif kind == Kind.FRAME.value:
            self._notice(message[1:])
        self._send(message)

    def _notice(self, data: bytes) -> None:
        try:
            self.sessions = int(Frame.decode(data).gauges.get("sessions", 0))
        except ValueError as e:
            _log.error("smtpsource: %s", e)

    def _gone(self) -> None:
        assert self._process is not None
        self.sessions = 0
        if self._process.how and not (self._isRefused or self.ending.is_set()):
            _log.error("smtpsource: the worker process %s", self._process.how)
        self._send(pack(Kind.GONE, {"text": self._process.how}))
        self.over.set()

    def _send(self, message: bytes) -> None:
        self._tell({SAID: message})

    def _tell(self, data: dict[str, Any]) -> None:
        try:
            self._runner.send_message(TYPE, {"run": self.run, **data})
        except RPCError as e:
            _log.error("smtpsource: the master can't be told anything: %s", e)
            self.giveUp()
