"""
C{smtpsource watch}: a run that goes on in another process, on this terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NoReturn

from twisted.internet.defer import Deferred
from twisted.python import usage

from smtpsource.measure.frame import Frame
from smtpsource.measure.summary import Summary
from smtpsource.process.exitstatus import leave
from smtpsource.process.interrupts import onInterrupt, settle
from smtpsource.report.dashboard.eventreader import EventReaderFactory, Place, unpacked
from smtpsource.report.following import Followed, heard
from smtpsource.report.presentation import Presentation
from smtpsource.report.reading import summaryIn
from smtpsource.report.text import render
from smtpsource.tools.options import ToolOptions
from smtpsource.values import names
from smtpsource.values.color import COLOR
from smtpsource.values.option import Flag, Group, ValueOption

#: Seconds until somebody must have answered.
_CONNECTING = 30


class WatchOptions(ToolOptions):
    """
    A run, and how to show it.
    """

    name = "smtpsource watch"
    synopsis = "smtpsource watch [options] URL"
    about = (
        "Show a run that goes on elsewhere as it would show itself, to its end. URL is what a run with --dashboard\n"
        "shows when it begins, such as http://127.0.0.1:8089/. The run does not notice."
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
                COLOR,
                Flag("quiet", None, "no summary at the end"),
            ),
        ),
    )

    def parseArgs(self, *runs: str) -> None:
        """
        One run.
        """
        if len(runs) != 1:
            raise usage.UsageError(f"{len(runs) or 'no'} runs: expected one URL")
        try:
            self.place = Place(runs[0])
        except ValueError as e:
            # It may have a token.
            raise usage.UsageError(str(e))


class Watching:
    """
    A run that is followed until it is over.
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
        options.tool, live=options["live"], color=options["color"], quiet=bool(options["quiet"])
    )
    watching = Watching(reactor, options.place)
    stopView: Callable[[], None] = presentation.startView(reactor, watching.run)

    def end(result: Summary | str) -> None:
        settle()
        stopView()
        if isinstance(result, str):
            presentation.complain(f"{options.place}: {result}")
            leave(1)
        told = presentation.quiet or presentation.tellResult(render(result, presentation.page))
        leave(result.exit if told else result.exit or 1)

    ended = watching.whenDone().addCallback(end)
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
