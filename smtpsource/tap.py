"""
smtp-source under twistd and twist.
"""

from __future__ import annotations

from typing import Any

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred

from smtpsource.collector import relax
from smtpsource.exitstatus import exitWith
from smtpsource.interrupts import onInterrupt, settle
from smtpsource.measure.summary import Summary
from smtpsource.options import SourceOptions as Options
from smtpsource.report.text import render
from smtpsource.service import SourceService

__all__ = ["Options", "makeService"]


class SourceProcess(MultiService):
    """
    A process that is there for one run: it shows what came back, and stops the reactor when the run is over.
    """

    def __init__(self, reactor: Any, options: Options) -> None:
        super().__init__()
        self._reactor = reactor
        self._presentation = options.presentation
        self._source = SourceService(
            reactor,
            options.plan,
            show=options.presentation.trace,
            keepIntervals=options.presentation.wantsIntervals,
        )
        self._source.setServiceParent(self)
        self._stopping = False

    def startService(self) -> None:
        """
        Begin the run; its end is this process's.
        """
        if not self._presentation.startMetrics(self._reactor, self._source):
            exitWith(2, self._reactor)
            self._reactor.callWhenRunning(self._stopReactor)
            return
        self._stopView = self._presentation.startView(self._reactor, self._source)
        self._source.whenDone().addCallback(self._done)
        self._reactor.callWhenRunning(onInterrupt, self._reactor, self._stopReactor, self._presentation.daemonized)
        super().startService()

    def stopService(self) -> Deferred[Any]:
        """
        The reactor is being stopped: end the run in order.
        """
        self._stopping = True
        stopped: Deferred[Any] = super().stopService()
        return stopped

    def _done(self, summary: Summary) -> None:
        status = 1
        try:
            settle()
            self._stopView()
            status = self._presentation.show(summary, render(summary), summary.reason)
        finally:
            # Whatever there was to say, the run is over.
            exitWith(status, self._reactor)
            self._stopReactor()

    def _stopReactor(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._reactor.stop()


def makeService(options: Options) -> IService:
    """
    The service that twistd runs.
    """
    from twisted.internet import reactor  # the one that twistd has installed

    relax()
    return SourceProcess(reactor, options)
