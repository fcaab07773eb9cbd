"""
C{smtpsource watch}: a run that goes on in another process, on this terminal.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NoReturn

from twisted.internet.defer import Deferred, succeed
from twisted.python import usage

from smtpsource.measure.checkpoint import CheckpointError
from smtpsource.measure.frame import Frame
from smtpsource.measure.progress import Running
from smtpsource.measure.summary import Summary
from smtpsource.process.exitstatus import leave
from smtpsource.process.interrupts import onInterrupt, settle
from smtpsource.report.checkpointed import Checkpointed
from smtpsource.report.dashboard.eventreader import EventReaderFactory, Place, percentilesIn, unpacked
from smtpsource.report.following import Followed, heard
from smtpsource.report.presentation import Presentation
from smtpsource.report.reading import summaryIn
from smtpsource.report.text import render
from smtpsource.tools.options import ToolOptions
from smtpsource.values import names
from smtpsource.values.color import COLOR
from smtpsource.values.option import Flag, Group, ValueOption
from smtpsource.values.serving import hostAndPort

#: The part of the time that may be spent on what is on a page: this process has nothing else to do.
_SHARE = 0.25

#: Seconds until somebody must have answered.
_CONNECTING = 30


class WatchOptions(ToolOptions):
    """
    A run, and how to show it.
    """

    name = "smtpsource watch"
    synopsis = "smtpsource watch [options] URL | DIR"
    about = (
        "Show a run that goes on elsewhere as it would show itself, to its end. URL is what a run with --dashboard\n"
        "shows when it begins, such as http://127.0.0.1:8089/; DIR is its --checkpoint, or what stands beside its\n"
        "report as FILE.checkpoint. The run does not notice."
    )
    closing = (
        "Exit status: that of the run; 1 if its end is not known; 2 the command line can't be used.\n"
        "Example: smtpsource watch http://127.0.0.1:8089/"
    )
    groups: ClassVar[Sequence[Group]] = (
        (
            "Options",
            (
                ValueOption(
                    *("live", None, "WHEN", "on"),
                    "show the run's progress on standard error: on, one line a second where it is no terminal; auto, "
                    "if that is a terminal; off",
                    names.oneOf("auto", "on", "off"),
                ),
                ValueOption(
                    *("dashboard", None, "PLACE", None),
                    "show the run of a DIR in a browser there: [HOST:]PORT, 127.0.0.1 by default; 0 is any free port",
                    hostAndPort,
                ),
                Flag("linger", None, "keep the dashboard when the run is over, until the process is told to end"),
                COLOR,
                Flag("quiet", None, "no summary at the end"),
                Flag("verbose", "v", "have all in the summary, what is as usual included"),
            ),
        ),
    )

    def parseArgs(self, *runs: str) -> None:
        """
        One run.
        """
        if len(runs) != 1:
            raise usage.UsageError(f"{len(runs) or 'no'} runs: expected one URL, or one directory")
        self.place = self.directory = None
        if os.path.isdir(runs[0]):
            self.directory = runs[0]
            return
        try:
            self.place = Place(runs[0])
        except ValueError as e:
            # It may have a token.
            raise usage.UsageError(f"{e}, or the directory of a checkpoint")

    def postOptions(self) -> None:
        """
        Check everything.
        """
        super().postOptions()
        if self["linger"] and not self["dashboard"]:
            raise usage.UsageError("--linger needs --dashboard")
        if self["dashboard"] and self.directory is None:
            raise usage.UsageError("--dashboard needs a directory: the other one is a dashboard already")


class RemoteRun:
    """
    A run that goes on elsewhere, followed by its dashboard until it is over.
    """

    def __init__(self, reactor: Any, place: Place) -> None:
        self._followed = Followed()
        self._done: Deferred[Summary | str] = Deferred()
        self._factory = EventReaderFactory(reactor, place, self._take, self.end)
        self._connector = reactor.connectTCP(place.host, place.port, self._factory, _CONNECTING)

    @property
    def run(self) -> Followed:
        """
        What is known of it.
        """
        return self._followed

    def whenDone(self) -> Deferred[Summary | str]:
        """
        @return: fires with its summary, or with why there is none.
        """
        return self._done

    def _take(self, kind: str, data: bytes) -> None:
        if kind == "frame":
            progress, frame = unpacked(data)
            self._followed.take(Frame.decode(frame), None if progress is None else heard(progress))
        elif kind == "run":
            self._followed.percentiles = percentilesIn(data)
        elif kind == "over":
            self.end(summaryIn(data))

    def end(self, result: Summary | str) -> None:
        """
        It is over, or nothing more is known.
        """
        if not self._done.called:
            self._done.callback(result)


def _run(reactor: Any, options: WatchOptions) -> Deferred[Any]:
    presentation = Presentation(
        options.tool,
        live=options["live"],
        color=options["color"],
        quiet=bool(options["quiet"]),
        isWhole=bool(options["verbose"]),
        dashboard=options["dashboard"],
        lingers=bool(options["linger"]),
    )
    watching: RemoteRun | Checkpointed
    if options.place is not None:
        watching = RemoteRun(reactor, options.place)
        run: Running = watching.run
    else:
        assert options.directory is not None
        try:
            watching = run = Checkpointed(reactor, options.directory)
        except CheckpointError as e:
            options.fail(str(e))
            leave(1)
        if not presentation.startDashboard(reactor, watching, share=_SHARE, mayMark=False):
            leave(2)
        watching.start()
    stopViews: list[Callable[[], None]] = []

    def show(_: object) -> None:
        stopViews.append(presentation.startView(reactor, run))

    whenKnown = watching.whenRead() if isinstance(watching, Checkpointed) else succeed(None)
    whenKnown.addCallback(show)

    def end(result: Summary | str) -> Deferred[Any]:
        settle()
        for stop in stopViews:
            stop()
        if isinstance(result, str):
            presentation.complain(f"{options.place or options.directory}: {result}")
            leave(1)
        told = presentation.quiet or presentation.tellResult(render(result, presentation.page))
        status = result.exit if told else result.exit or 1
        left = presentation.whenLeft(reactor, status)
        if left is None:
            leave(status)
        return left.addBoth(lambda _: leave(status))

    ended: Deferred[Any] = watching.whenDone().addCallback(end)
    reactor.callWhenRunning(onInterrupt, reactor, lambda: watching.end("not watched any more; the run goes on"))
    return ended


def main(arguments: Sequence[str]) -> NoReturn:
    """
    Run one command line and exit.

    @param arguments: what comes after C{watch}.
    @raise SystemExit: always; see docs/man/smtpsource-watch.rst for the statuses.
    """
    options = WatchOptions()
    options.parseOrExit(arguments)
    from twisted.internet.task import react

    react(_run, (options,))
    raise AssertionError("react has ended the process")
