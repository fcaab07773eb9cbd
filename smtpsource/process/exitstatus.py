"""
The end of a process, with the exit status that its result has.
"""

from __future__ import annotations

import atexit
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from smtpsource.process.interrupts import decide, hold

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorCore


def leave(status: Any) -> NoReturn:
    """
    End this process now, with the status of a C{SystemExit}, where C{None} is 0. No signal changes it any more, and
    nothing is waited for.
    """
    hold()
    _end(status or 0)


def exitWith(status: int, reactor: IReactorCore) -> None:
    """
    When this process ends of itself, let it be with this status: for twistd and twist, which have no way to set one.

    C{SystemExit} does not get through a reactor's timed calls and triggers, and twistd itself always exits 0. So the
    last function to run at exit is ours: it runs the others, and ends the process. No signal changes the status once
    the reactor has come to its end.

    @param reactor: the one that this process is there for.
    """
    decide(status)
    reactor.addSystemEventTrigger("after", "shutdown", hold)
    if status:
        atexit.register(_exit, status)


def _exit(status: int) -> None:
    atexit.unregister(_exit)
    _end(status)


def _end(status: int) -> NoReturn:
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            stream.flush()  # type: ignore[union-attr]
        except (OSError, ValueError, AttributeError):
            pass
    os._exit(status)
