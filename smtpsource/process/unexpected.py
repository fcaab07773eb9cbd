"""
What nobody expected: exceptions of this process, each in one line, and memory that is kept for the end.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import ENOMEM
from traceback import walk_tb
from typing import Any

#: The kinds of faults that are no server's: what such a fault means for a run is in
#: L{smtpsource.load.run.Run.breakDown}.
OUT_OF_MEMORY = "out-of-memory"
INTERNAL_ERROR = "internal-error"
LEDGER_FAILED = "ledger-failed"
WORKER_LOST = "worker-lost"
OURS = frozenset((OUT_OF_MEMORY, INTERNAL_ERROR, LEDGER_FAILED, WORKER_LOST))

#: In the log event of a failure: the reactor can't go on as it should, for instance because it can't wait for events.
FATAL = "smtpsource_fatal"

_NO_MEMORY = "there is no memory left: expected smaller messages, fewer sessions or a higher limit (ulimit -v)"

#: Bytes that are kept for the end of a run: what its summary and its report take, the modules for them included.
ENOUGH_TO_END = 16 * 1024 * 1024

#: Bytes that are kept for the moment when there are no others left. Python can't even raise an exception in any place
#: without memory: it may loop for ever, deaf to signals.
SPARE = 4 * 1024 * 1024

#: Bytes that there must be before something is begun that takes many small pieces of memory. Python may crash where
#: there is none for a small piece: it has to fail for a large one before.
_HEADROOM = 1024 * 1024

#: How much of what an exception says is shown, and of where it was raised.
_LONGEST = 300
_FRAMES = 3


class Breakdown(Exception):
    """
    It is the end of the run, and the text says all that its user needs to know of that.

    @ivar kind: one of L{OURS}.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Reserve:
    """
    Memory that is there when there is none left. The system gives it when it is written to, which it never is: so it
    costs none, but counts for ulimit -v.
    """

    __slots__ = ("_kept",)

    def __init__(self, size: int) -> None:
        """
        @param size: in bytes.
        """
        self._kept = bytes(size)

    def release(self) -> None:
        """
        Now is the time that it was kept for. Takes no memory itself.
        """
        self._kept = b""


class Breakable:
    """
    What ends in order when something is raised that nobody expected.
    """

    _spare: Reserve

    def breakDown(self, kind: str, text: str) -> None:
        """
        It is the end.

        @param kind: one of L{OURS}.
        @param text: one line about it.
        """
        raise NotImplementedError

    def broken(self, exception: BaseException | None) -> None:
        """
        Something in this process has raised what nobody expected: see L{breakDown}.
        """
        if isinstance(exception, MemoryError):
            self._spare.release()  # before anything else, which would take some
        self.breakDown(*named(exception))

    def guarded(self, call: Callable[..., object], *arguments: Any) -> None:
        """
        Make a call for which nobody waits: what it raises is the end.
        """
        try:
            call(*arguments)
        except Exception as e:
            self.broken(e)


def checkHeadroom() -> None:
    """
    See that there is some memory, before a little more of it is needed for good. Costs some ten microseconds.

    @raise MemoryError: there is not.
    """
    bytes(_HEADROOM)


def named(exception: BaseException | None) -> tuple[str, str]:
    """
    What to call an exception in a report, and one line about it. It is for users: in place of a traceback there is
    where it was raised.

    @param exception: as Twisted's failures have it, whose type would allow C{None}.

    @return: one of L{OURS}, and the line.
    """
    assert exception is not None
    if isinstance(exception, Breakdown):
        return exception.kind, str(exception)
    if isOutOfMemory(exception):
        return OUT_OF_MEMORY, _NO_MEMORY
    try:
        said = " ".join(repr(exception).split())[:_LONGEST]
    except Exception:
        said = type(exception).__name__
    where = [
        f"{frame.f_code.co_name} ({_shortened(frame.f_code.co_filename)}:{line})"
        for frame, line in walk_tb(exception.__traceback__)
    ]
    return INTERNAL_ERROR, f"{said} in {', '.join(reversed(where[-_FRAMES:]))}" if where else said


def isOutOfMemory(exception: BaseException | None) -> bool:
    """
    Is this what Python, the system or OpenSSL says when there is no memory left?
    """
    if isinstance(exception, MemoryError):
        return True
    if isinstance(exception, OSError):
        return exception.errno == ENOMEM
    said = {RuntimeError: "can't start new thread", "OpenSSL.SSL.Error": "malloc failure"}
    kind = type(exception)
    wanted = said.get(kind) or said.get(f"{kind.__module__}.{kind.__qualname__}")
    return wanted is not None and wanted in str(exception)


def _shortened(path: str) -> str:
    """
    A file's name and its directory's: where that is on this machine is nobody's business.
    """
    return os.sep.join(path.split(os.sep)[-2:])
