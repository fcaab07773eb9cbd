"""
smtp-source as a command of its own: C{smtpsource}, or C{python -m smtpsource}.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.python.usage import UsageError

from smtpsource.collector import relax
from smtpsource.interrupts import onInterrupt
from smtpsource.measure.summary import Summary
from smtpsource.options import SourceOptions
from smtpsource.report.text import render
from smtpsource.service import SourceService


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Run one command line and exit.

    @param arguments: without the program's name; C{None} is this process's own.
    @raise SystemExit: always; see docs/man/smtp-source.rst for the statuses.
    """
    options = SourceOptions()
    try:
        options.parseOptions(sys.argv[1:] if arguments is None else arguments)
    except UsageError as e:
        sys.stderr.write(f"smtpsource: {e} (see smtpsource --help)\n")
        raise SystemExit(2)
    relax()
    react(_run, (options,))


def _run(reactor: Any, options: SourceOptions) -> Deferred[None]:
    presentation = options.presentation
    service = SourceService(reactor, options.plan)
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
