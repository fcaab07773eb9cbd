"""
smtp-sink under twistd and twist, and what that has in common with the command C{smtpsink}.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred

from smtpsource.process.exitstatus import exitWith
from smtpsource.process.failurelog import FailureObserver, watchLog
from smtpsource.process.garbage import relax
from smtpsource.process.interrupts import onInterrupt
from smtpsource.process.places import checked
from smtpsource.report.ending import conclude
from smtpsource.sink.options import SinkOptions as Options
from smtpsource.sink.service import ListenError, SinkService
from smtpsource.sink.summary import SinkSummary
from smtpsource.sink.user import becomeUser

if TYPE_CHECKING:
    from smtpsource.sink.workers.band import SinkBand

__all__ = ["Options", "SinkProcess", "makeService"]


class SinkProcess(Service):
    """
    A process that is there for one sink: it says where the sink listens, shows its counter and its result.

    Nothing is raised when it starts: what goes wrong is told to people, and is the exit status.

    @ivar sink: the L{SinkService}, or the L{SinkBand} if it is several processes.
    """

    def __init__(self, reactor: Any, options: Options) -> None:
        self._reactor = reactor
        self._options = options
        self._presentation = options.presentation
        self.sink: SinkService | SinkBand
        if options.plan.workerCount == 1:
            self.sink = SinkService(reactor, options.plan.evolve(workers=1, pin=False, balance="fewest"))
        else:
            from smtpsource.sink.workers.band import SinkBand  # for those who want several

            self.sink = SinkBand(reactor, options.plan)
            self.sink.complain = self._complain
        self._told: set[str] = set()
        self._done: Deferred[int] = Deferred()
        self._begun = False

    def whenDone(self) -> Deferred[int]:
        """
        @return: fires with the exit status when the sink has ended and its result was shown: 0, or 1 if it could not
            listen, or the report not be written. There is only one.
        """
        return self._done

    def privilegedStartService(self) -> None:
        """
        Listen, while the process may still use any port.
        """
        if self._begun or self._done.called:
            return
        try:
            self.sink.privilegedStartService()
        except ListenError as e:
            self._fail(str(e))
        else:
            self._begun = True

    def startService(self) -> None:
        """
        Listen, give up privileges, and begin.
        """
        super().startService()
        self.privilegedStartService()
        if not self._begun:
            return
        problem = self._becomeUser()
        if problem:
            self.sink.stopService()
            self._fail(problem)
            return
        stopCounter = self._presentation.startCounter(self._reactor, self.sink.progress)
        self.sink.whenDone().addCallback(self._show, stopCounter)
        self.sink.startService()
        # Not before signals are ours: whoever reads it may send one.
        self._reactor.callWhenRunning(lambda: self.sink.whenListening().addCallback(lambda result: self._tellWhere()))

    def stopService(self) -> Deferred[None] | None:
        """
        End the sink within its grace period, and show its result.
        """
        super().stopService()
        return self.sink.stopService() if self._begun else None

    def _tellWhere(self) -> None:
        for address in self.sink.listening():
            self._presentation.tell(f"listening on {address}\n")

    def _becomeUser(self) -> str | None:
        """
        @return: what went wrong, if anything did.
        """
        name, root = self._options.user, self._options.chroot
        self.sink.become(name, root)
        if name is None or os.geteuid() != 0:
            return None
        problem = becomeUser(name, root, self.sink.doors.prepare)
        if problem is not None:
            return problem
        report = self._presentation.report
        try:
            checked(report or "-")
        except ValueError as e:
            return f"user {name} can't write the report {report}: {e}"
        return None

    def _show(self, summary: SinkSummary, stopCounter: Any) -> None:
        # What was told at once is not told again.
        reason = None if summary.reason in self._told else summary.reason
        self._done.callback(
            conclude(self._presentation, stopCounter, summary, SinkSummary.asText, SinkSummary.asDict, reason)
        )

    def _complain(self, line: str) -> None:
        # Several workers may say the same.
        if line not in self._told:
            self._told.add(line)
            self._presentation.complain(line)

    def _fail(self, problem: str) -> None:
        self._presentation.complain(problem)
        self._done.callback(1)


def makeService(options: Options) -> IService:
    """
    The service that twistd runs. It stops the reactor when the sink has ended.
    """
    from twisted.internet import reactor  # the one that twistd has installed

    relax()
    return service(reactor, options)


def service(reactor: Any, options: Options) -> SinkProcess:
    """
    The same for any reactor.
    """
    process = SinkProcess(reactor, options)
    watchLog(FailureObserver(reactor, process.sink.breakDown))
    stopping = False

    def stopReactor() -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            reactor.stop()

    def shutDown() -> Deferred[None] | None:
        nonlocal stopping
        stopping = True
        return process.stopService()

    def done(status: int) -> None:
        exitWith(status if not options.daemonized else 0, reactor)
        # It may not run yet.
        reactor.callWhenRunning(stopReactor)

    reactor.addSystemEventTrigger("before", "shutdown", shutDown)
    reactor.callWhenRunning(onInterrupt, reactor, stopReactor, options.daemonized)
    process.whenDone().addCallback(done)
    return process
