"""
The exit status of a process whose launcher has no way to set one: twistd and twist.
"""

from __future__ import annotations

import atexit
import os
import sys


def exitWith(status: int) -> None:
    """
    When this process ends of itself, let it be with this status.

    C{SystemExit} does not get through a reactor's timed calls and triggers, and twistd itself always exits 0. So the
    last function to run at exit is ours: it runs the others, and ends the process.
    """
    if status:
        atexit.register(_exit, status)


def _exit(status: int) -> None:
    atexit.unregister(_exit)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            stream.flush()  # type: ignore[union-attr]
        except (OSError, ValueError, AttributeError):
            pass
    os._exit(status)
