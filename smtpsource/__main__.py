"""
smtp-source as a command of its own: C{smtpsource}, or C{python -m smtpsource}.
"""

from __future__ import annotations

import sys

from smtpsource.process import interrupts

# See there: nothing else is imported yet.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from twisted.internet.defer import Deferred

    from smtpsource.cli.source import SourceOptions
    from smtpsource.measure.summary import Summary


#: Commands other than the load, by the first argument. A host of such a name is C{compare:25} or C{inet:compare}.
_TOOLS = {
    "calibrate": "smtpsource.tools.calibrate",
    "compare": "smtpsource.tools.compare",
    "completion": "smtpsource.tools.completion",
    "html": "smtpsource.tools.html",
    "locust": "smtpsource.locust.__main__",
    "merge": "smtpsource.tools.merge",
    "reconcile": "smtpsource.tools.reconcile",
    "recover": "smtpsource.tools.recover",
    "sink": "smtpsource.sink.__main__",
    "watch": "smtpsource.tools.watch",
}

#: What is started as a command, and is none for people: its parent has to be there.
_HIDDEN = {"worker": "smtpsource.load.worker"}

#: Commands that are options as well.
_ANSWERS = {"help": "--help", "version": "--version"}


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Run one command line and exit.

    @param arguments: without the program's name; C{None} is this process's own, which is all ours then.
    @raise SystemExit: always; see docs/man/smtpsource.rst for the statuses.
    """
    if arguments is None:
        interrupts.begin()
        arguments = sys.argv[1:]
        from smtpsource.process.streams import openStandard

        openStandard()
    if arguments and arguments[0] in _ANSWERS:
        answer, *about = _ANSWERS[arguments[0]], *arguments[1:]
        if about and about[0] in _ANSWERS:
            about = []
        arguments = [about[0], answer, *about[1:]] if about and about[0] in _TOOLS else [answer, *about]
    if arguments and arguments[0] in _HIDDEN:
        _runTool(_HIDDEN[arguments[0]], arguments[1:])
    if arguments and arguments[0] in _TOOLS:
        _runTool(_TOOLS[arguments[0]], arguments[1:])
    if interrupts.areOurs():
        from smtpsource.process.garbage import pause
        from smtpsource.process.later import importTwisted

        pause()
        importTwisted()
    from twisted.internet.task import react

    from smtpsource.cli.source import SourceOptions
    from smtpsource.process.garbage import relax

    options = SourceOptions()
    options.commands = (*_TOOLS, *_ANSWERS)
    options.parseOrExit(arguments)
    relax()
    try:
        react(_run, (options,))
    except MemoryError:
        options.presentation.complain(
            "there is not enough memory for these messages: expected less of -l, -r or -F, or a higher limit "
            "(ulimit -v)"
        )
        raise SystemExit(2)


def _runTool(name: str, arguments: Sequence[str]) -> None:
    from importlib import import_module

    from smtpsource.process.exitstatus import leave

    try:
        import_module(name).main(arguments)
    except SystemExit as e:
        if interrupts.areOurs():
            leave(e.code)
        raise


def _documentOf(summary: Summary) -> dict[str, Any]:
    from smtpsource.report.document import documentOf  # not before there is something to report

    return documentOf(summary)


def _run(reactor: Any, options: SourceOptions) -> Deferred[Any]:
    from smtpsource.load.service import SourceService
    from smtpsource.process.exitstatus import leave
    from smtpsource.process.failurelog import FailureObserver, beginLogging
    from smtpsource.process.interrupts import onInterrupt, settle
    from smtpsource.report.ending import conclude
    from smtpsource.report.text import render

    presentation = options.presentation
    service = SourceService(
        reactor,
        options.plan,
        show=presentation.trace,
        tell=presentation.remark,
        keepIntervals=presentation.wantsIntervals,
    )
    beginLogging(FailureObserver(reactor, service.breakDown, presentation.complain))
    reactor.callWhenRunning(onInterrupt, reactor, service.stopService)
    # For a signal that comes before that.
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    if not presentation.accompany(reactor, service):
        raise SystemExit(2)
    stopView = presentation.startView(reactor, service)

    def done(summary: Summary) -> Deferred[Any]:
        if service.isMisnamed():
            # Then it is the command line that can't be used: there is no result.
            settle()
            stopView()
            presentation.complain(str(summary.reason))
            leave(2)
        status = conclude(
            presentation,
            stopView,
            summary,
            lambda summary: render(summary, presentation.page),
            _documentOf,
            summary.reason,
        )
        left = presentation.whenLeft(reactor, status)
        if left is None:
            leave(status)
        return left.addBoth(lambda _: leave(status))

    ended: Deferred[Any] = service.whenDone().addCallback(done)
    service.startService()
    return ended


if __name__ == "__main__":
    main()
