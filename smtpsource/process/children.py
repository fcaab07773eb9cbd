"""
Processes of Python that this one starts.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack
from typing import Any

#: How many descriptors Twisted takes for a moment to start a child: two for each pipe, and some in the child itself.
_PASSING = 10

#: The longest line of what a child has written that is shown.
_LONGEST = 200


def program(module: str, *arguments: str) -> str:
    """
    What a child runs with C{-c}: the C{main} of a module. Signals go to the whole process group, and the parent ends
    its child in order: so it ignores them, from before its imports on.

    @param arguments: if there are any, C{main} gets all of them.
    """
    return f"""
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
from {module} import main
main({arguments or ""})
"""


def seeRoom() -> None:
    """
    See that there are enough descriptors to start a child: where they end only in the child itself, Twisted shows a
    traceback there.

    @raise OSError: there are not.
    """
    with ExitStack() as afterwards:
        for _ in range(_PASSING):
            afterwards.callback(os.close, os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))


def environment() -> dict[str, str]:
    """
    The environment of a child that is started with C{-P}: it imports what this process would, and nothing from the
    current directory. Relative names of directories mean something else once that has changed.
    """
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    path = os.pathsep.join([root, *filter(os.path.isabs, sys.path)])
    return dict(os.environ, PYTHONPATH=path)


def exactly(descriptor: int, length: int) -> bytes:
    """
    So many bytes of what the parent says, for a child that has nothing else to do yet; fewer if there are no more.

    @raise OSError: they can't be read.
    """
    pieces = []
    # A pipe gives what is in it, which may be less.
    while length and (piece := os.read(descriptor, min(length, 1 << 20))):
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)


def howEnded(code: int) -> str:
    """
    How a process has ended, as one line; empty if in order.

    @param code: its status, or the signal that has killed it as a negative number: see C{os.waitstatus_to_exitcode}.
    """
    if code >= 0:
        return f"ended with status {code}" if code else ""
    names = {number.value: number.name for number in signal.Signals}  # there are some without names
    return f"was killed by {names.get(-code, f'signal {-code}')}"


def statusOf(ended: Any) -> int:
    """
    The same number for what Twisted says of a process that has ended.

    @param ended: a C{ProcessDone} or C{ProcessTerminated}.
    """
    return int(-ended.signal if ended.signal else ended.exitCode)


def lastLine(written: bytes) -> str:
    """
    The last line of what a child has written to standard error, which says most; empty if there is none.
    """
    lines = [line.strip() for line in written.decode("utf-8", "backslashreplace").split("\n")]
    return next(filter(None, reversed(lines)), "")[:_LONGEST]
