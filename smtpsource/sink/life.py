"""
The life of a sink, which is one process or several: one beginning, one end, one result.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from smtpsource.net.reactorchoice import nameOf
from smtpsource.process.cpu import processTime
from smtpsource.process.unexpected import SPARE, Breakable, Reserve
from smtpsource.sink.doors import Doors
from smtpsource.sink.plan import SinkPlan
from smtpsource.sink.summary import SinkSummary


class Life(Breakable, Service):
    """
    It listens from C{startService} on, until a limit of its plan is reached or it is stopped.

    @ivar doors: all that it is reached by.
    """

    doors: Doors

    def __init__(self, reactor: Any, plan: SinkPlan) -> None:
        self._reactor = reactor
        self._plan = plan
        self._timers: list[Any] = []
        # Why the end has begun; empty until then.
        self._ended = ""
        self._finishing = False
        # The first that was this process's own fault.
        self._problem: str | None = None
        self._closed: list[Deferred[Any]] = []
        self._waiters: list[Deferred[SinkSummary]] = []
        self._summary: SinkSummary | None = None
        # For when there is no more memory.
        self._spare = Reserve(SPARE)
        self._begin()

    def _begin(self) -> None:
        self._startedAt = self._reactor.seconds()
        self._started = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._cpu = processTime()

    def address(self) -> Any:
        """
        Where the sink listens, an C{IAddress}: the first one if there are several.

        @raise RuntimeError: it has not been started.
        """
        if not self.doors.addresses:
            raise RuntimeError("the sink has not been started")
        return self.doors.addresses[0]

    def listening(self) -> list[str]:
        """
        All addresses, as a client would be told: see L{Doors.told}.
        """
        return self.doors.told()

    def whenDone(self) -> Deferred[SinkSummary]:
        """
        @return: fires with the result when the sink has ended, for whatever reason; each call gives its own.
        """
        waiter: Deferred[SinkSummary] = Deferred()
        if self._summary is not None:
            waiter.callback(self._summary)
        else:
            self._waiters.append(waiter)
        return waiter

    def stopService(self) -> Deferred[None]:
        """
        End the sink: see L{finish}.
        """
        Service.stopService(self)
        return self.finish("signal").addCallback(lambda summary: None)

    def finish(self, ended: str = "done") -> Deferred[SinkSummary]:
        """
        End the sink within its grace period: nothing new is accepted, idle sessions are told 421, those in a
        transaction may complete it, and what is left in the end is aborted.

        @param ended: for the summary, unless a limit was reached before.
        """
        raise NotImplementedError

    def _beginEnd(self, ended: str) -> None:
        if not self._ended:
            self._ended = ended
            self._closed += self.doors.close()

    def _cancelTimers(self) -> None:
        for timer in self._timers:
            if timer.active():
                timer.cancel()

    def _tell(self, summary: SinkSummary) -> None:
        """
        Tell all who wait for the result.
        """
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(summary)

    def _facts(self, others: tuple[float, float] = (0.0, 0.0)) -> dict[str, Any]:
        """
        What a result has of this process.

        @param others: the CPU seconds of others: in user mode and in the kernel.
        """
        user, system = processTime()
        nameServer = self.doors.nameServer
        return {
            "command": self._plan.command,
            "reactor": nameOf(self._reactor),
            "started": self._started,
            "elapsed": self._reactor.seconds() - self._startedAt,
            "ended": self._ended,
            "exit": 0 if self._problem is None else 1,
            "reason": self._problem,
            "cpuUser": others[0] + user - self._cpu[0],
            "cpuSystem": others[1] + system - self._cpu[1],
            "questions": nameServer.asked() if nameServer is not None else [],
        }
