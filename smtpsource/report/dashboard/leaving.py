"""
The end of a process that has a dashboard: those who look at it are told, and nobody can hold it up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from smtpsource.process import interrupts
from smtpsource.report.dashboard.service import DashboardService


def leave(
    reactor: Any,
    dashboards: Sequence[DashboardService],
    lingers: bool,
    status: int,
    say: Callable[[str], object],
    daemonized: bool = False,
) -> Deferred[Any]:
    """
    End dashboards when the run is over, or when the process is told to end after that.

    @param lingers: keep them until then. Whoever has told it already, other than by Ctrl-C, has said that twice.
    @param status: the exit status.
    @param say: tells the user how to go on.
    @param daemonized: there is no terminal that could go.
    @return: fires when that is done.
    """

    def end(result: Any = None) -> Deferred[Any]:
        return gatherResults([dashboard.leave() for dashboard in dashboards])

    if not lingers or interrupts.isToEnd():
        return end()
    told: Deferred[Any] = Deferred()
    interrupts.onLaterInterrupt(reactor, lambda: told.callback(None), status, daemonized)
    for dashboard in dashboards:
        say(f"the run is over; its dashboard stays at {dashboard.url} until Ctrl-C")
    return told.addCallback(end)
