"""
Beside the master of Locust: one run after the other.
"""

from __future__ import annotations

import logging
import os
import time
from argparse import Namespace
from typing import Any

import gevent
from gevent.event import Event
from locust.runners import STATE_MISSING

from smtpsource.locust import options
from smtpsource.locust.course import UNUSABLE, Course
from smtpsource.locust.interrupts import onInterrupt
from smtpsource.locust.words import ASKED, END, SAID, THEIRS, TYPE

_log = logging.getLogger(__name__)

#: Seconds between two looks at which workers there are.
_LOOK = 0.5


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
        self._prepared: Course | None = None
        self._hasStarted = Event()
        self._start = self._runner.start
        self._runner.start = self._begin
        self._runner.register_message(TYPE, self._heard)
        options.settle(environment.parsed_options)
        events = environment.events
        events.test_start.add_listener(lambda **others: self._started())
        events.test_stopping.add_listener(lambda **others: self._stop())
        events.worker_connect.add_listener(lambda client_id, **others: self._connected(client_id))
        if environment.web_ui is not None:
            environment.web_ui.app.before_request(self._refuse)
        given = environment.parsed_options
        if given.master_bind_host == options.LOOPBACK and not given.processes:
            _log.info(
                "smtpsource: workers of other machines can't reach this master: for them there are tunnels, and "
                "--master-bind-host"
            )
        self._runner.greenlet.spawn(self._watch)
        onInterrupt(self._stop)

    @property
    def _isOn(self) -> bool:
        return self._course is not None and not self._course.over.is_set()

    # How a run begins

    def _prepare(self, given: Namespace) -> str:
        """
        Have a run of these options prepared.

        @return: why there can't be one now, as one line; empty if there can.
        """
        if self._isOn:
            return "the load can't be changed while it runs: stop it, and start another"
        try:
            words = options.commandLine(given)
        except ValueError as e:
            return str(e)
        workers = [worker.id for worker in self._runner.clients.ready]
        expected = max(1, self._environment.parsed_options.expect_workers)
        if len(workers) < expected:
            return f"{len(workers)} of {expected} workers are there: expected all of them"
        before, self._prepared = self._prepared, None
        if before is not None and before.isOf(words, workers):
            course = before
        else:
            if before is not None:
                before.cancel()
            course = Course(self._environment, words, workers, self._over)
        problem = course.problem()
        if not problem:
            self._prepared = course
        return problem

    def _refuse(self) -> Any:
        """
        The web UI wants to start a run, or to change it: is there something wrong with that?
        """
        from flask import jsonify, request
        from werkzeug.datastructures import ImmutableMultiDict

        if request.method != "POST" or not request.path.endswith("/swarm"):
            return None
        form = request.form.to_dict()
        given = Namespace(**vars(self._environment.parsed_options) | {"run_time": None} | form)
        if options.settle(given):
            request.form = ImmutableMultiDict(form | {"duration": given.duration, "run_time": ""})
        problem = self._prepare(given)
        if not problem:
            return None
        _log.error("smtpsource: %s", problem)
        return jsonify({"success": False, "message": f"smtpsource: {problem}", "host": self._environment.host})

    def _begin(self, user_count: int, spawn_rate: float, wait: bool = False, user_classes: Any = None) -> None:
        """
        In the place of the runner's C{start}, which Locust calls to change the number of users as well, whether it is
        a person who wants that or a worker that has come or gone.
        """
        if self._isOn and user_count == self._runner.target_user_count:
            return  # nobody wants anything else: a worker has come or gone
        problem = self._prepare(self._environment.parsed_options)
        if problem:
            _log.error("smtpsource: %s", problem)
            self._quitWith(UNUSABLE)
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
        given = self._environment.parsed_options
        if not self._isOn and (given.headless or (given.autostart and given.autoquit != -1)):
            self._environment.process_exit_code = status
            gevent.spawn(self._quit)

    def _started(self) -> None:
        """
        Locust has forgotten its last run, and has not sent its users yet.
        """
        self._course, self._prepared = self._prepared, None
        if self._course is not None:
            self._warnOfReport()
            self._course.begin()

    def _warnOfReport(self) -> None:
        """
        The form keeps the name of the last report.
        """
        report = options.reportOf(self._environment.parsed_options)
        if os.path.isfile(report):
            _log.warning("smtpsource: the report %s is there already: this run will replace it", report)

    def _connected(self, worker: str) -> None:
        if self._isOn and worker not in self._runner.clients:
            _log.warning(
                "smtpsource: worker %s has come while a run goes on, and has no part in it: stop it, and start another",
                worker,
            )

    # What goes on

    def _heard(self, environment: Any, msg: Any) -> None:
        now, data = time.perf_counter(), msg.data if isinstance(msg.data, dict) else {}
        course = self._course
        if course is None or data.get("run") != course.run or not course.has(msg.node_id):
            self._tell(msg.node_id, {"run": data.get("run"), END: True})
        elif ASKED in data:
            self._tell(msg.node_id, {"run": course.run, ASKED: data[ASKED], THEIRS: now})
        else:
            course.said(msg.node_id, data.get(SAID))

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
        if not given.headless:
            self._runner.stop()
        if given.headless or (given.autostart and given.autoquit != -1):
            self._quit()

    def _quit(self) -> None:
        """
        End Locust.
        """
        given = self._environment.parsed_options
        if not given.headless:
            gevent.sleep(given.autoquit)
        self._runner.quit()
        if not given.headless:
            self._environment.web_ui.stop()
