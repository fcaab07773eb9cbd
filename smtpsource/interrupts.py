"""
Ctrl-C: once for an end in order, twice for an end at once.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from smtpsource.interfaces import IReactor


def onInterrupt(reactor: IReactor, stop: Callable[[], object]) -> None:
    """
    Call C{stop} in the reactor's thread on the first SIGINT or SIGTERM; a second SIGINT ends the process at once, with
    status 1. To be called when the reactor runs: it sets its own ways when it starts.
    """
    interrupted = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        if interrupted and number == signal.SIGINT:
            for stream in (sys.__stdout__, sys.__stderr__):
                try:
                    stream.flush()  # type: ignore[union-attr]
                except (OSError, ValueError, AttributeError, RuntimeError):
                    pass
            os._exit(1)
        if not interrupted:
            interrupted = True
            reactor.callFromThread(stop)

    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            signal.signal(number, interrupt)
        except ValueError:
            return  # not in the main thread: signals are somebody else's here
