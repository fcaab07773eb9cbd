"""
smtp-source under twistd and twist.
"""

from __future__ import annotations

import codecs
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred

from smtpsource.cli.source import SourceOptions as Options
from smtpsource.load.service import SourceService
from smtpsource.measure.summary import Summary
from smtpsource.process.exitstatus import exitWith
from smtpsource.process.failurelog import FailureObserver, watchLog
from smtpsource.process.garbage import relax
from smtpsource.process.interrupts import onInterrupt
from smtpsource.process.unexpected import named
from smtpsource.report.document import documentOf
from smtpsource.report.ending import conclude
from smtpsource.report.text import render

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
            tell=options.presentation.remark,
            keepIntervals=options.presentation.wantsIntervals,
        )
        self._source.setServiceParent(self)
        self._stopping = False

    def startService(self) -> None:
        """
        Begin the run; its end is this process's.
        """
        if not self._presentation.accompany(self._reactor, self._source):
            exitWith(2, self._reactor)
            self._reactor.callWhenRunning(self._stopReactor)
            return
        self._stopView = self._presentation.startView(self._reactor, self._source)
        watchLog(FailureObserver(self._reactor, self._source.breakDown))
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
        status = conclude(
            self._presentation,
            self._stopView,
            summary,
            lambda summary: render(summary, self._presentation.page),
            documentOf,
            summary.reason,
        )
        exitWith(status, self._reactor)
        left = None if self._stopping else self._presentation.whenLeft(self._reactor, status)
        if left is None:
            self._stopReactor()
        else:
            left.addBoth(lambda _: self._stopReactor())

    def _stopReactor(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._reactor.stop()


def _prepare() -> None:
    """
    Import now what a run needs in the end: twistd may become another user meanwhile, who may not read it any more.
    """
    from smtpsource.load import hints, noted, varied  # noqa: F401
    from smtpsource.measure import effects, frameformat  # noqa: F401
    from smtpsource.report import beside, checkpoint, csvfile, growing, hlog, judgement, junit, renewed  # noqa: F401

    noted.prepare()
    for name in ("ascii", "idna", "latin-1", "utf-8"):
        codecs.lookup(name)


def makeService(options: Options) -> IService:
    """
    The service that twistd runs.
    """
    from twisted.internet import reactor  # the one that twistd has installed

    _prepare()
    if options.plan.deliverTo is not None:
        from smtpsource.load import delivery  # noqa: F401, for those who need it
    if options.plan.logMessages is not None:
        from smtpsource.load import logged, messagelog  # noqa: F401, likewise
    if options.presentation.html is not None:
        from smtpsource.report.html.page import prepare

        prepare()
    if options.presentation.dashboard is not None:
        from smtpsource.report.dashboard import page
        from smtpsource.report.dashboard.leaving import leave  # noqa: F401

        page.prepare()
    relax()
    try:
        return SourceProcess(reactor, options)
    except MemoryError as e:
        raise SystemExit(f"{options.presentation.tool}: {': '.join(named(e))}") from None
