"""
smtp-source as a command of its own: C{smtpsource}, or C{python -m smtpsource}.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from smtpsource.measure.summary import Summary
    from smtpsource.options import SourceOptions


#: Commands other than the load, by the first argument. A host of such a name is C{inet:compare}.
_TOOLS = {
    "calibrate": "smtpsource.tools.calibrate",
    "compare": "smtpsource.tools.compare",
    "merge": "smtpsource.tools.merge",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Run one command line and exit.

    @param arguments: without the program's name; C{None} is this process's own.
    @raise SystemExit: always; see docs/man/smtp-source.rst for the statuses.
    """
    # Until there is something to end in order, Ctrl-C just ends it: the imports take a moment.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in _TOOLS:
        import_module(_TOOLS[arguments[0]]).main(arguments[1:])
    from twisted.internet.task import react

    from smtpsource.collector import relax
    from smtpsource.options import SourceOptions

    options = SourceOptions()
    options.parseOrExit(arguments)
    relax()
    try:
        react(_run, (options,))
    except MemoryError:
        sys.stderr.write(
            f"{options.tool}: there is not enough memory for these messages: expected less of -l, -r or -F, or a "
            "higher limit (ulimit -v)\n"
        )
        raise SystemExit(2)


def _run(reactor: Any, options: SourceOptions) -> Deferred[None]:
    from smtpsource.ending import conclude
    from smtpsource.failurelog import FailureObserver, beginLogging
    from smtpsource.interrupts import onInterrupt
    from smtpsource.report.text import render
    from smtpsource.service import SourceService

    presentation = options.presentation
    service = SourceService(reactor, options.plan, show=presentation.trace, keepIntervals=presentation.wantsIntervals)
    beginLogging(FailureObserver(reactor, service.breakDown, presentation.complain))
    reactor.callWhenRunning(onInterrupt, reactor, service.stopService)
    if not presentation.startMetrics(reactor, service):
        raise SystemExit(2)
    stopView = presentation.startView(reactor, service)

    def done(summary: Summary) -> None:
        status = conclude(presentation, stopView, summary, render, summary.reason)
        if status:
            raise SystemExit(status)

    ended = service.whenDone().addCallback(done)
    service.startService()
    return ended


if __name__ == "__main__":
    main()
