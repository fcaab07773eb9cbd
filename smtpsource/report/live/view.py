"""
A run while it goes on: in the same place of a terminal a few times a second, elsewhere as a line a second.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable

from rich.console import Console, OverflowMethod
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from smtpsource.measure.progress import Running
from smtpsource.process.streams import Outlet
from smtpsource.report.live.figures import Course
from smtpsource.report.live.picture import line, picture, stepLine
from smtpsource.report.live.terminal import Terminal, isCapable

#: Seconds between two pictures, if they are cheap.
INTERVAL = 0.25

#: Seconds between two lines.
LINE_INTERVAL = 1.0

#: The part of the time that may be spent on showing something; pictures come less often where it would be more.
SHARE = 0.01

#: Columns that a picture takes, where there are so many.
WIDEST = 100


class Periodic:
    """
    Shows how a run goes on, again and again until it is stopped.
    """

    interval = INTERVAL

    def __init__(self, reactor: IReactorTime, source: Running, clock: Callable[[], float] = time.perf_counter) -> None:
        """
        @param clock: for the seconds that showing takes.
        """
        self._reactor = reactor
        self._clock = clock
        self._course = Course(source)
        self._call: IDelayedCall | None = None

    def start(self) -> None:
        """
        Begin to show.
        """
        self._call = self._reactor.callLater(self.interval, self._look)

    def stop(self) -> None:
        """
        Show nothing more.
        """
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None

    def show(self) -> None:
        """
        Show what there is now.
        """
        raise NotImplementedError

    def hasHints(self) -> bool:
        """
        Will hints be seen in what it shows?
        """
        return False

    def _look(self) -> None:
        began = self._clock()
        self._course.look()
        # In a turn of its own: the run need not wait for both.
        self._call = self._reactor.callLater(0, self._show, self._clock() - began)

    def _show(self, spent: float) -> None:
        began = self._clock()
        self.show()
        spent += self._clock() - began
        self._call = self._reactor.callLater(max(self.interval, spent / SHARE), self._look)


class Lines(Periodic):
    """
    A line a second.
    """

    interval = LINE_INTERVAL

    def __init__(
        self,
        reactor: IReactorTime,
        source: Running,
        say: Callable[[str], object],
        close: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """
        @param say: is called with each line, its end included.
        @param close: is called at the end.
        @param clock: as in L{Periodic.__init__}.
        """
        super().__init__(reactor, source, clock)
        self._say = say
        self._close = close
        self._steps = 0

    def stop(self) -> None:
        """
        Show nothing more, but the steps of a search that nobody has seen.
        """
        super().stop()
        self._course.look()
        self._showSteps()
        self._close()

    def show(self) -> None:
        """
        Show one line, after one for each new step of a search.
        """
        self._showSteps()
        self._say(line(self._course) + "\n")

    def _showSteps(self) -> None:
        search = self._course.progress.search
        steps = () if search is None else search.steps
        for number, step in enumerate(steps[self._steps :], self._steps + 1):
            self._say(stepLine(number, step) + "\n")
        self._steps = len(steps)


class Steps(Lines):
    """
    A line for each step of a search, and nothing else.
    """

    def show(self) -> None:
        """
        Show those that are new.
        """
        self._showSteps()


class Picture(Periodic):
    """
    A picture on a terminal.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        source: Running,
        terminal: Terminal,
        clock: Callable[[], float] = time.perf_counter,
        colors: bool = True,
    ) -> None:
        """
        @param colors: may there be any? The environment says so as well.
        """
        super().__init__(reactor, source, clock)
        self._terminal = terminal
        # It writes nothing itself.
        self._console = Console(
            file=io.StringIO(),
            force_terminal=True,
            color_system="auto" if colors else None,
            markup=False,
            highlight=False,
            emoji=False,
            legacy_windows=False,
        )

    def stop(self) -> None:
        """
        Show nothing more, and take away what was shown.
        """
        super().stop()
        self._terminal.close()

    def hasHints(self) -> bool:
        """
        Where there is a picture by now, they are in the next one.
        """
        return self._terminal.drawn

    def show(self) -> None:
        """
        Show the picture in place of the one before.
        """
        size = self._terminal.size()
        if size is None:
            return
        columns, height = size
        # The last column stays free: some terminals go to the next line after it.
        self._console.width = width = max(1, min(WIDEST, columns - 1))
        lines = picture(self._course, width, max(1, height - 1), self._terminal.unicode)
        overflow: OverflowMethod = "ellipsis" if self._terminal.unicode else "crop"
        with self._console.capture() as drawn:
            self._console.print(*lines, sep="\n", no_wrap=True, overflow=overflow)
        self._terminal.draw(drawn.get().splitlines())


def view(reactor: IReactorTime, source: Running, outlet: Outlet, asked: bool = True, colors: bool = True) -> Periodic:
    """
    What suits an outlet: a picture, or lines.

    @param asked: did somebody ask for it? If not, there are no lines but those of a search's steps.
    @param colors: may a picture have colors?
    """
    stream = outlet.stream
    if not asked and not outlet.isatty():
        return Steps(reactor, source, outlet.say)
    if stream is None or not outlet.isatty():
        return Lines(reactor, source, outlet.sayIfFree)
    terminal = Terminal(stream)
    if isCapable(os.environ.get("TERM")):
        return Picture(reactor, source, terminal, colors=colors)
    return Lines(reactor, source, terminal.say, terminal.close)
