"""
smtp-sink under twistd and twist, and what that has in common with the command C{smtpsink}.
"""

from __future__ import annotations

import os
import pwd
from typing import Any

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred
from twisted.python.util import switchUID

from smtpsource.process.exitstatus import exitWith
from smtpsource.process.failurelog import FailureObserver, watchLog
from smtpsource.process.garbage import relax
from smtpsource.process.interrupts import onInterrupt
from smtpsource.process.places import checked
from smtpsource.report.ending import conclude
from smtpsource.sink.options import SinkOptions as Options
from smtpsource.sink.service import ListenError, SinkService
from smtpsource.sink.summary import SinkSummary

__all__ = ["Options", "SinkProcess", "makeService"]


class SinkProcess(Service):
    """
    A process that is there for one sink: it says where the sink listens, shows its counter and its result.

    Nothing is raised when it starts: what goes wrong is told to people, and is the exit status.

    @ivar sink: the L{SinkService}.
    """

    def __init__(self, reactor: Any, options: Options) -> None:
        self._reactor = reactor
        self._options = options
        self._presentation = options.presentation
        self.sink = SinkService(reactor, options.plan)
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
        stopCounter = self._presentation.startCounter(self._reactor, self._counts)
        self.sink.whenDone().addCallback(self._show, stopCounter)
        self.sink.startService()
        # Not before signals are ours: whoever reads it may send one.
        self._reactor.callWhenRunning(self._tellWhere)

    def stopService(self) -> Deferred[None] | None:
        """
        End the sink within its grace period, and show its result.
        """
        super().stopService()
        return self.sink.stopService() if self._begun else None

    def _tellWhere(self) -> None:
        for address in self.sink.listening():
            self._presentation.tell(f"listening on {address}\n")

    def _counts(self) -> str:
        counts, steering = self.sink.factory.counts, self.sink.factory.steering
        rules = steering.rulesCounted() if steering is not None else {}
        byRule = "".join(f" [{name}]={number}" for name, number in rules.items())
        return f"sess={counts.sessions} quit={counts.quits} mesg={counts.messages}{byRule}"

    def _becomeUser(self) -> str | None:
        """
        @return: what went wrong, if anything did.
        """
        name = self._options.user
        if name is None or os.geteuid() != 0:
            return None
        user = pwd.getpwnam(name)
        root = self._options.chroot
        try:
            if root is None:
                switchUID(user.pw_uid, user.pw_gid)
            else:
                self.sink.doors.prepare()
                # There is no list of users and groups in the new one.
                os.initgroups(user.pw_name, user.pw_gid)
                os.chroot(root)
                os.chdir("/")
                os.setgid(user.pw_gid)
                os.setuid(user.pw_uid)
        except OSError as e:
            doing = "become" if root is None else f"go to the root directory {root} as"
            return f"can't {doing} user {name}: {e.strerror}"
        report = self._presentation.report
        try:
            checked(report or "-")
        except ValueError as e:
            return f"user {name} can't write the report {report}: {e}"
        return None

    def _show(self, summary: SinkSummary, stopCounter: Any) -> None:
        self._done.callback(
            conclude(self._presentation, stopCounter, summary, SinkSummary.asText, SinkSummary.asDict, summary.reason)
        )

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
