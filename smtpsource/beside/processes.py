"""
A process that is watched: see proc(5).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from smtpsource.beside.looks import Gone, Rate, namesOf


class State(NamedTuple):
    """
    What the kernel says of a process.

    @ivar began: when it began, in ticks since the machine did: another process of that number began at another time.
    @ivar cpu: the processor seconds that it has used.
    @ivar threads: how many it has.
    @ivar rss: bytes of memory that are in RAM.
    """

    began: int
    cpu: float
    threads: int
    rss: int


def stateOf(number: int, root: str = "/proc") -> State:
    """
    @param number: the process's id.
    @raise Gone: there is no such process.
    """
    if not os.path.isdir(root):
        raise Gone(f"this system has no {root}")
    try:
        with open(f"{root}/{number}/stat", "rb") as file:
            text = file.read()
    except FileNotFoundError:
        raise Gone("there is no such process")
    except ProcessLookupError:
        raise Gone("there is no such process")
    # The name in parentheses may hold anything.
    words = text.rpartition(b")")[2].split()
    if words[0] in (b"Z", b"X"):
        raise Gone("the process has ended")
    user, system, threads, began, pages = (int(words[place]) for place in (11, 12, 17, 19, 21))
    ticks = os.sysconf("SC_CLK_TCK")
    return State(began, (user + system) / ticks, threads, pages * os.sysconf("SC_PAGE_SIZE"))


class ProcessLook:
    """
    Looks at one: C{rss} in bytes, C{cpu} in processors that it keeps busy, C{threads}, and C{descriptors}, if one may
    see those.
    """

    FIGURES = ("rss", "threads", "cpu", "descriptors")

    def __init__(self, name: str, where: Mapping[str, Any], root: str = "/proc") -> None:
        self.name = name
        self._number, self._began = where["number"], where["began"]
        self._root = root
        self._cpu = Rate()

    def look(self) -> dict[str, float]:
        """
        See L{Look.look<smtpsource.beside.looks.Look.look>}.
        """
        state = stateOf(self._number, self._root)
        if state.began != self._began:
            raise Gone("the process has ended")
        cpu = self._cpu.of(time.monotonic(), state.cpu)
        descriptors = None
        with suppress(OSError):  # it is another user's
            descriptors = len(os.listdir(f"{self._root}/{self._number}/fd"))
        values = state.rss, state.threads, cpu, descriptors
        names = namesOf(self.name, self.FIGURES)
        return {name: value for name, value in zip(names, values, strict=True) if value is not None}
