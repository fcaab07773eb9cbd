"""
A terminal on which something is drawn over and over in the same place, without ever waiting for it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TextIO

from smtpsource.process.streams import Unwaited

#: The size of a terminal that does not say what it has: columns and lines.
USUAL = 80, 24

_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
_TO_LINE_END, _TO_SCREEN_END = "\x1b[K", "\x1b[J"


def isCapable(term: str | None) -> bool:
    """
    Can the cursor be moved on a terminal of this type?

    @param term: as the environment has it, if it does.
    """
    return (term or "dumb").lower() not in ("dumb", "unknown")


class Terminal:
    """
    A place on a terminal: lines above the cursor, which is at the beginning of the line below.

    A terminal can be slow, or be stopped by Ctrl-S; a run must not stop with it. So nothing here waits: what the
    terminal does not take now it gets later, and what comes in between is not shown.
    """

    def __init__(self, stream: TextIO) -> None:
        """
        @param stream: a terminal.
        """
        self._encoding = stream.encoding or "utf-8"
        self._target = Unwaited(stream.fileno())
        self._rest = b""
        self._height = 0
        self._size: tuple[int, int] | None = None

    @property
    def unicode(self) -> bool:
        """
        Can everything be shown on it?
        """
        return self._encoding.lower().replace("-", "") == "utf8"

    @property
    def drawn(self) -> bool:
        """
        Is something to be seen that was drawn?
        """
        if self._inBackground():
            self._height = 0  # what is above the cursor then is somebody else's
        return self._height > 0

    def size(self) -> tuple[int, int] | None:
        """
        @return: columns and lines; C{None} if nothing can be drawn now, because it has not taken what was drawn before,
            its size is just being changed, or somebody else is using it.
        """
        if not self._flush():
            return None
        if self._inBackground():
            self._height = 0  # as above
            return None
        before, self._size = self._size, self._measure()
        return self._size if before in (None, self._size) else None

    def draw(self, lines: Sequence[str]) -> None:
        """
        Show these lines in place of those before.

        @param lines: at most one less than there are on the terminal; they may contain colors. The end of one that is
            too long is not seen.
        """
        body = "".join(f"{line}{_TO_LINE_END}\r\n" for line in lines)
        self._write(f"{self._toTop()}{_NO_WRAP}{body}{_TO_SCREEN_END}{_WRAP}")
        self._height = len(lines)

    def say(self, text: str) -> None:
        """
        Show a text that stays, if the terminal takes it now; a terminal that is not capable will do.
        """
        if self._flush() and not self._inBackground():
            self._write(text)

    def close(self, patience: float = 0.5) -> None:
        """
        Take away what was drawn.

        @param patience: give the terminal so many seconds to take what it has yet to take.
        """
        if self._target.fileno() < 0:
            return
        if self._height and not self._inBackground():
            self._rest += f"{self._toTop()}{_TO_SCREEN_END}".encode("ascii")
        deadline = time.monotonic() + patience
        while not self._flush() and (left := deadline - time.monotonic()) > 0:
            self._target.wait(left)
        self._target.close()
        self._height = 0

    def _toTop(self) -> str:
        return f"\r\x1b[{self._height}A" if self._height else "\r"

    def _measure(self) -> tuple[int, int]:
        try:
            columns, lines = os.get_terminal_size(self._target.fileno())
        except OSError:
            columns = lines = 0
        return columns or USUAL[0], lines or USUAL[1]

    def _inBackground(self) -> bool:
        try:
            return os.tcgetpgrp(self._target.fileno()) != os.getpgrp()
        except OSError:
            return False  # it controls no processes

    def _write(self, text: str) -> None:
        self._rest += text.encode(self._encoding, "backslashreplace")
        self._flush()

    def _flush(self) -> bool:
        """
        @return: has the terminal taken everything?
        """
        try:
            while self._rest:
                taken = self._target.send(self._rest)
                if not taken:
                    return False
                self._rest = self._rest[taken:]
        except OSError:
            self._rest = b""  # the terminal is gone
        return True
