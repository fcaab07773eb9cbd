"""
The running counter of C{-c}.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from smtpsource.process.streams import Outlet


class Counter:
    """
    Shows a growing number: on a terminal over and over in the same place, elsewhere as a line a second.
    """

    def __init__(self, reactor: IReactorTime, count: Callable[[], int | str], outlet: Outlet) -> None:
        """
        @param count: what to show.
        @param outlet: where to. A number that is not taken there at once is not shown, but for the last one.
        """
        self._count = count
        self._outlet = outlet
        self._terminal = outlet.isatty()
        self._showing = LoopingCall(self._show)
        self._showing.clock = reactor
        self._shown: int | str | None = None

    def start(self) -> None:
        """
        Begin to show.
        """
        self._showing.start(0.1 if self._terminal else 1.0, now=False)

    def stop(self) -> None:
        """
        Show the final number, and end the line.
        """
        if self._showing.running:
            self._showing.stop()
        if not self._terminal:
            self._outlet.say(f"{self._count()}\n")
        elif (count := self._count()) != self._shown:
            self._outlet.say(f"{count}\r\n")
        else:
            self._outlet.say("\n")

    def _show(self) -> None:
        count = self._count()
        if not self._terminal:
            self._outlet.sayIfFree(f"{count}\n")
        elif count != self._shown and self._outlet.sayIfFree(f"{count}\r"):
            self._shown = count
