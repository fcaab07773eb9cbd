"""
smtp-sink as a command of its own: C{smtpsink}, or C{python -m smtpsource.sink}.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from smtpsource.sink.options import SinkOptions


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Run one command line and exit: 0 if the sink ended as it was asked to, by a limit or a signal; 1 if it could not
    listen, or not write its report; 2 if the command line can't be used.

    @param arguments: without the program's name; C{None} is this process's own.
    @raise SystemExit: always.
    """
    # Until there is something to end in order, Ctrl-C just ends it: the imports take a moment.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from twisted.internet.task import react

    from smtpsource.collector import relax
    from smtpsource.sink.options import SinkOptions

    options = SinkOptions()
    options.parseOrExit(arguments)
    relax()
    react(_run, (options,))


def _run(reactor: Any, options: SinkOptions) -> Deferred[None]:
    from smtpsource.failurelog import FailureObserver, beginLogging
    from smtpsource.interrupts import onInterrupt
    from smtpsource.sink.tap import SinkProcess

    process = SinkProcess(reactor, options)
    failures = FailureObserver(reactor, process.sink.breakDown, options.presentation.complain)
    beginLogging(failures, sys.stderr if options.plan.verbose else None)
    reactor.callWhenRunning(onInterrupt, reactor, process.stopService)
    # For a signal that comes before that.
    reactor.addSystemEventTrigger("before", "shutdown", process.stopService)
    process.startService()
    return process.whenDone().addCallback(_exit)


def _exit(status: int) -> None:
    if status:
        raise SystemExit(status)


if __name__ == "__main__":
    main()
