"""
The process that decides and adds up for workers that Locust has started, on whatever machines: beside its master, which
starts this one, and brings what the workers say. No command for people.

It is the parent of a run by several workers in all but that they are not its children: see
L{smtpsource.workers.elsewhere}.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from smtpsource.process import interrupts
from smtpsource.process.exitstatus import leave
from smtpsource.workers.envelopes import MASTER, enclose, framed, receive
from smtpsource.workers.wire import READ, WRITE, Kind, pack, unpack

if TYPE_CHECKING:
    from smtpsource.cli.source import SourceOptions
    from smtpsource.workers.elsewhere import Switchboard

#: Options that are none of the workers': what is told to people and files, and what is decided.
_OURS = frozenset(
    (
        *("counter", "quiet", "report", "csv", "hlog", "html", "junit", "checkpoint"),
        *("color", "live", "metrics-port", "metrics-interface", "dashboard"),
        "watch",
        *("threshold", "abort-on-threshold", "percentiles", "start-at"),
    )
)

#: Options that there is no use for, and why.
_UNUSABLE = {
    **dict.fromkeys(("at", "every"), "commands are started from a command line only, not by whoever has a form"),
    "linger": "this process ends with its run, as another one may follow",
    "workers": "the workers are those of Locust: --processes N, or --expect-workers N",
    "pin": "where the workers of Locust are is not known here",
    "deliver-to": "the ledgers of workers elsewhere can't be read here: see smtpsource-reconcile(1)",
}


#: Seconds that the last word may take.
_PATIENCE = 5.0


class _Refused(Exception):
    """
    There can be no such run; the text is one line.
    """


def main(arguments: Sequence[str] = ()) -> NoReturn:
    """
    The process.

    @raise SystemExit: always: see docs/man/smtpsource.rst for the statuses.
    """
    interrupts.begin()
    _ignoreSignals()
    from smtpsource.process.garbage import pause, relax
    from smtpsource.process.later import importTwisted

    pause()
    importTwisted()
    try:
        number, message = receive(READ)
        kind, asked = unpack(message)
        if number != MASTER or kind is not Kind.OPTIONS:
            raise ValueError(f"expected options, not {kind.name}")
    except (OSError, ValueError) as e:
        print(f"smtpsource: this is started by Locust's master: {e}", file=sys.stderr)
        leave(2)
    try:
        options = _parsed(asked["options"], len(asked["workers"]))
    except _Refused as e:
        _say(Kind.UNUSABLE, {"text": str(e)})
        leave(2)
    _say(Kind.READY, {})
    try:
        receive(READ)
    except (OSError, ValueError):
        leave(0)  # that was all that was to be known
    relax()
    _Process(options, asked["workers"]).run()


def _ignoreSignals() -> None:
    """
    They go to the whole process group, and Locust ends the run in order.
    """
    for number in interrupts.NUMBERS:
        signal.signal(number, signal.SIG_IGN)


def _parsed(words: Sequence[str], workers: int) -> SourceOptions:
    """
    @raise _Refused: that can't be done.
    """
    from twisted.python.usage import UsageError

    from smtpsource.cli.source import SourceOptions

    options = SourceOptions()
    try:
        options.parseOptions(["--workers", str(workers), *words])
    except UsageError as e:
        raise _Refused(str(e)) from None
    except SystemExit:
        raise _Refused("expected the options of a run, and not --help or --version") from None
    given = [options.synonyms[name.lstrip("-")] for name, _, _ in options.options[1:]]
    for long in _UNUSABLE.keys() & given:
        raise _Refused(f"--{long} is not usable by Locust: {_UNUSABLE[long]}")
    if options.plan.workerCount < workers:
        raise _Refused(f"{workers} workers are there: expected a session and a message for each of them at least")
    return options


def _partOf(options: SourceOptions) -> list[str]:
    """
    The command line of a worker.
    """
    words = [
        f"{name}={value}" if name.startswith("--") and value else f"{name}{value}"
        for name, value, _ in options.options[1:]
        if options.synonyms[name.lstrip("-")] not in _OURS
    ]
    return [*words, *filter(None, [options.texts.get("destination") or options["destination"]])]


class _Process:
    """
    The process, once it knows what to do.
    """

    def __init__(self, options: SourceOptions, workers: Sequence[str]) -> None:
        from twisted.internet import reactor as installed

        from smtpsource.locust.coordinated import CoordinatedService
        from smtpsource.workers.elsewhere import Switchboard, WorkerElsewhere

        self._reactor: Any = installed
        self._options = options
        self._needsMaster = True
        self._board: Switchboard = Switchboard(self._told, self._alone)
        words = _partOf(options)
        self._board.workers = [
            WorkerElsewhere(self._reactor, words, partial(self._board.say, index), str(worker))
            for index, worker in enumerate(workers)
        ]
        presentation = options.presentation
        self._service = CoordinatedService(
            self._reactor,
            options.plan,
            self._board.workers,
            self._tell,
            tell=self._remark,
            keepIntervals=presentation.wantsIntervals,
        )

    def run(self) -> NoReturn:
        """
        Do it, up to the end of the process.
        """
        from twisted.internet.stdio import StandardIO

        from smtpsource.process.failurelog import FailureObserver, beginLogging

        presentation = self._options.presentation
        beginLogging(FailureObserver(self._reactor, self._service.breakDown, presentation.complain))
        descriptors: Any = StandardIO
        descriptors(self._board, stdin=READ, stdout=WRITE, reactor=self._reactor)
        self._reactor.callWhenRunning(self._begin)
        # The reactor must hear of the end of its children, and would take other signals for itself as well.
        signal.pthread_sigmask(signal.SIG_BLOCK, interrupts.NUMBERS)
        self._reactor.run()
        leave(1)

    def _begin(self) -> None:
        _ignoreSignals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, interrupts.NUMBERS)
        presentation = self._options.presentation
        if not presentation.accompany(self._reactor, self._service):
            self._end(2)
            return
        self._service.whenDone().addCallback(self._done, presentation.startView(self._reactor, self._service))
        self._service.startService()

    def _done(self, summary: Any, stopView: Callable[[], None]) -> None:
        from smtpsource.report.document import documentOf
        from smtpsource.report.ending import conclude
        from smtpsource.report.text import render

        presentation = self._options.presentation

        def show(summary: Any) -> str:
            return render(summary, presentation.page)

        status = conclude(presentation, stopView, summary, show, documentOf, summary.reason)
        left = presentation.whenLeft(self._reactor, status)
        if left is None:
            self._end(status)
        else:
            left.addBoth(lambda _: self._end(status))

    def _end(self, status: int) -> None:
        self._needsMaster = False
        self._tell(Kind.END, {"exit": status})
        self._board.finish(lambda: leave(status))
        self._reactor.callLater(_PATIENCE, leave, status)

    # What Locust's master says

    def _told(self, kind: Kind, body: Any) -> None:
        if kind is Kind.DRAIN or kind is Kind.ABORT:
            self._service.stopService()
        if kind is Kind.ABORT:
            self._service.abort()

    def _alone(self, problem: str) -> None:
        """
        Locust's master is gone, and with it all workers.
        """
        if self._needsMaster:
            self._needsMaster = False
            self._options.presentation.complain(f"the master of Locust: {problem}: the run ends here")
        for worker in self._board.workers:
            worker.lost("was lost with the master of Locust")
        self._service.stopService()

    # What it is told

    def _tell(self, kind: Kind, body: Any) -> None:
        self._board.say(MASTER, pack(kind, body))

    def _remark(self, line: str) -> None:
        self._tell(Kind.HINT, {"text": line})


def _say(kind: Kind, body: dict[str, Any]) -> None:
    """
    Say something short, before there is a reactor.
    """
    try:
        os.write(WRITE, framed(enclose(MASTER, pack(kind, body))))
    except OSError:
        pass  # nobody is there to read it
