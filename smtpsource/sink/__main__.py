"""
smtp-sink as a command of its own: C{smtpsink}, or C{python -m smtpsource.sink}.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.python.usage import UsageError

from smtpsource.collector import relax
from smtpsource.interrupts import onInterrupt
from smtpsource.sink.options import SinkOptions
from smtpsource.sink.tap import SinkProcess


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Run one command line and exit: 0 if the sink ended as it was asked to, by a limit or a signal; 1 if it could not
    listen, or not write its report; 2 if the command line can't be used.

    @param arguments: without the program's name; C{None} is this process's own.
    @raise SystemExit: always.
    """
    options = SinkOptions()
    try:
        options.parseOptions(sys.argv[1:] if arguments is None else arguments)
    except UsageError as e:
        sys.stderr.write(f"smtpsink: {e} (see smtpsink --help)\n")
        raise SystemExit(2)
    if options.plan.verbose:
        globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
    # A reactor of our own choice would be installed here.
    relax()
    react(_run, (options,))


def _run(reactor: Any, options: SinkOptions) -> Deferred[None]:
    process = SinkProcess(reactor, options)
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
