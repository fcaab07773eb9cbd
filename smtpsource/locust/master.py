"""
Beside the master of Locust: the process that decides and adds up, for one run after the other.
"""

from __future__ import annotations

import logging
import os
import shlex
import time
from argparse import Namespace
from typing import Any

import gevent
from gevent.event import Event
from locust.runners import STATE_MISSING

from smtpsource._version import __version__
from smtpsource.locust import options
from smtpsource.locust.figures import Statistics
from smtpsource.locust.interrupts import onInterrupt
from smtpsource.locust.process import Process
from smtpsource.locust.words import ASKED, BEGIN, END, SAID, THEIRS, TYPE
from smtpsource.measure.frame import Frame
from smtpsource.workers.envelopes import MASTER, enclose, opened
from smtpsource.workers.wire import Kind, pack, unpack

_log = logging.getLogger(__name__)

#: The process that decides.
_COORDINATOR = "smtpsource.locust.coordinate"

#: Seconds between two looks at which workers there are.
_LOOK = 0.5

#: Seconds that the coordinator may take beyond what it has said, to end.
_PATIENCE = 60.0

#: Exit status of a run that nobody knows the result of; and where there could be none: see docs/man/smtpsource.rst.
_FAILED, _UNUSABLE = 1, 2


class Master:
    """
    What the master of Locust does for us. There is one run at a time, of the workers that there are when it begins.
    """

    def __init__(self, environment: Any) -> None:
        """
        @param environment: Locust's.
        """
        self._environment = environment
        self._runner = environment.runner
        self._course: Course | None = None
        self._hasStarted = Event()
        self._start = self._runner.start
        self._runner.start = self._begin
        self._runner.register_message(TYPE, self._heard)
        events = environment.events
        events.test_start.add_listener(lambda **others: self._started())
        events.test_stopping.add_listener(lambda **others: self._stop())
        events.worker_connect.add_listener(lambda client_id, **others: self._connected(client_id))
        if environment.web_ui is not None:
            environment.web_ui.app.before_request(self._refuse)
        self._runner.greenlet.spawn(self._watch)
        onInterrupt(self._stop)

    @property
    def _isOn(self) -> bool:
        return self._course is not None and not self._course.over.is_set()

    # How a run begins

    def _problem(self, given: Namespace) -> str:
        """
        Why there can't be a run of these options now; empty if there can.
        """
        if self._isOn:
            return "the load can't be changed while it runs: stop it, and start another"
        try:
            options.commandLine(given)
        except ValueError as e:
            return str(e)
        ready = len(self._runner.clients.ready)
        expected = max(1, self._environment.parsed_options.expect_workers)
        return f"{ready} of {expected} workers are there: expected all of them" if ready < expected else ""

    def _refuse(self) -> Any:
        """
        The web UI wants to start a run, or to change it: is there something wrong with that?
        """
        from flask import jsonify, request

        if request.method != "POST" or not request.path.endswith("/swarm"):
            return None
        problem = self._problem(Namespace(**vars(self._environment.parsed_options) | request.form.to_dict()))
        if not problem:
            return None
        _log.error("smtpsource: %s", problem)
        return jsonify({"success": False, "message": f"smtpsource: {problem}", "host": self._environment.host})

    def _begin(self, user_count: int, spawn_rate: float, wait: bool = False, user_classes: Any = None) -> None:
        """
        In the place of the runner's C{start}, which Locust calls to change the number of users as well, whether it is
        a person who wants that or a worker that has come or gone.
        """
        problem = self._problem(self._environment.parsed_options)
        if problem:
            _log.error("smtpsource: %s", problem)
            self._quitWith(_UNUSABLE)
            return
        workers = len(self._runner.clients.ready)
        self._hasStarted.clear()
        try:
            self._start(workers, workers, wait)
        finally:
            self._hasStarted.set()

    def _quitWith(self, status: int) -> None:
        """
        What nobody is there to mend is the end.
        """
        if not self._isOn and self._environment.parsed_options.headless:
            self._environment.process_exit_code = status
            gevent.spawn(self._runner.quit)

    def _started(self) -> None:
        """
        Locust has forgotten its last run, and has not sent its users yet.
        """
        self._course = Course(self._environment, [worker.id for worker in self._runner.clients.ready], self._over)

    def _connected(self, worker: str) -> None:
        if self._isOn and worker not in self._runner.clients:
            _log.warning(
                "smtpsource: worker %s has come while a run goes on, and has no part in it: stop it, and start another",
                worker,
            )

    # What goes on

    def _heard(self, environment: Any, msg: Any) -> None:
        now, data = time.perf_counter(), msg.data
        course = self._course
        if course is None or data["run"] != course.run or not course.has(msg.node_id):
            self._tell(msg.node_id, {"run": data["run"], END: True})
        elif ASKED in data:
            self._tell(msg.node_id, {"run": course.run, ASKED: data[ASKED], THEIRS: now})
        else:
            course.said(msg.node_id, data[SAID])

    def _tell(self, worker: str, data: dict[str, Any]) -> None:
        self._runner.send_message(TYPE, data, worker)

    def _watch(self) -> None:
        """
        Locust says nothing of workers that it loses.
        """
        while True:
            gevent.sleep(_LOOK)
            if self._course is not None and self._isOn:
                clients = self._runner.clients
                there = {worker.id for worker in clients.all if worker.state != STATE_MISSING}
                self._course.keep(there)

    # How it ends

    def _stop(self) -> None:
        """
        Locust is about to stop its users: first the run ends in order.
        """
        if self._course is not None:
            self._course.stop()

    def _over(self, status: int) -> None:
        """
        The run is over.
        """
        self._environment.process_exit_code = status
        gevent.spawn(self._stopLocust)

    def _stopLocust(self) -> None:
        """
        Let Locust know that it is over: not while it starts, or it would say that it has started in the end.
        """
        self._hasStarted.wait()
        given = self._environment.parsed_options
        if given.headless:
            self._runner.quit()
            return
        self._runner.stop()
        if given.autostart and given.autoquit != -1:
            gevent.sleep(given.autoquit)
            self._runner.quit()
            self._environment.web_ui.stop()


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
        self._status = _FAILED
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

    def said(self, worker: str, message: bytes) -> None:
        """
        A worker has said something.
        """
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
            self._status, self._hasResult = _UNUSABLE, True
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
