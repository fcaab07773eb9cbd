"""
smtp-sink as a command of its own: C{smtpsink}, or C{python -m smtpsource.sink}.
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

    from smtpsource.sink.options import SinkOptions


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Run one command line and exit: 0 if the sink ended as it was asked to, by a limit or a signal; 1 if it could not
    listen, or not write its report; 2 if the command line can't be used.

    @param arguments: without the program's name; C{None} is this process's own, which is all ours then, as it is for
        C{smtpsource sink}.
    @raise SystemExit: always.
    """
    if arguments is None:
        interrupts.begin()
        arguments = sys.argv[1:]
        from smtpsource.process.streams import openStandard

        openStandard()
    if interrupts.areOurs():
        from smtpsource.process.garbage import pause
        from smtpsource.process.later import importTwisted

        pause()
        _runCommand(arguments)
        # A client may want it at any moment, also when no more files can be opened.
        importTwisted(withTLS=True)
    else:
        _runCommand(arguments)
    from twisted.internet.task import react

    from smtpsource.process.garbage import relax
    from smtpsource.sink.options import SinkOptions

    options = SinkOptions()
    options.parseOrExit(arguments)
    relax()
    react(_run, (options,))


def _runCommand(arguments: Sequence[str]) -> None:
    """
    What is no sink: a shell asks what there is, or somebody controls a sink that runs.
    """
    from smtpsource.process.exitstatus import leave

    try:
        if arguments and arguments[0] == "completion":
            _complete(arguments[1:])
        elif arguments and arguments[0] == "ctl":
            from smtpsource.sink.control.ctl import main

            main(arguments[1:])
    except SystemExit as e:
        if interrupts.areOurs():
            leave(e.code)
        raise


def _complete(arguments: Sequence[str]) -> None:
    from smtpsource.cli.completion import main
    from smtpsource.sink.control.ctl import CtlOptions
    from smtpsource.sink.options import SinkOptions

    main(arguments, "smtpsink", SinkOptions, {"ctl": ("watch and steer a sink that runs", CtlOptions)})


def _run(reactor: Any, options: SinkOptions) -> Deferred[None]:
    from smtpsource.process.exitstatus import leave
    from smtpsource.process.failurelog import FailureObserver, beginLogging
    from smtpsource.process.interrupts import onInterrupt
    from smtpsource.sink.service import SinkService
    from smtpsource.sink.tap import SinkProcess

    process = SinkProcess(reactor, options)
    failures = FailureObserver(reactor, process.sink.breakDown, options.presentation.complain)
    file = options.presentation.log(reactor) if options.plan.verbose else None
    beginLogging(failures, file)
    if file is not None and not isinstance(process.sink, SinkService):
        # Workers have written lines of a log already.
        process.sink.tell = file.write
    reactor.callWhenRunning(onInterrupt, reactor, process.stopService)
    # For a signal that comes before that.
    reactor.addSystemEventTrigger("before", "shutdown", process.stopService)
    process.startService()
    return process.whenDone().addCallback(leave)


if __name__ == "__main__":
    main()
