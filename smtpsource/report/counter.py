"""
The running counter of C{-c}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from smtpsource.report.files import write


class Counter:
    """
    Shows a growing number: on a terminal over and over in the same place, elsewhere as a line a second.
    """

    def __init__(self, reactor: IReactorTime, count: Callable[[], int | str], stream: TextIO) -> None:
        """
        @param count: what to show.
        @param stream: where to.
        """
        self._count = count
        self._stream = stream
        self._terminal = stream.isatty()
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
        self._show()
        if self._terminal:
            self._write("\n")

    def _show(self) -> None:
        count = self._count()
        if not self._terminal:
            self._write(f"{count}\n")
        elif count != self._shown:
            self._write(f"{count}\r")
        self._shown = count

    def _write(self, text: str) -> None:
        try:
            write(self._stream, text)
        except OSError:
            pass  # such as a full disk: a count that nobody sees is no reason to end a run
