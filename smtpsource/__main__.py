"""
smtp-source as a command of its own: C{smtpsource}, or C{python -m smtpsource}.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from smtpsource.measure.summary import Summary
    from smtpsource.options import SourceOptions


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Run one command line and exit.

    @param arguments: without the program's name; C{None} is this process's own.
    @raise SystemExit: always; see docs/man/smtp-source.rst for the statuses.
    """
    # Until there is something to end in order, Ctrl-C just ends it: the imports take a moment.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
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
    from smtpsource.interrupts import onInterrupt
    from smtpsource.report.text import render
    from smtpsource.service import SourceService

    presentation = options.presentation
    service = SourceService(reactor, options.plan, show=presentation.trace)
    reactor.callWhenRunning(onInterrupt, reactor, service.stopService)
    stopCounter = presentation.startCounter(reactor, lambda: service.recorder.accepted)

    def done(summary: Summary) -> None:
        stopCounter()
        status = presentation.show(summary, render(summary), summary.reason)
        if status:
            raise SystemExit(status)

    ended = service.whenDone().addCallback(done)
    service.startService()
    return ended


if __name__ == "__main__":
    main()
