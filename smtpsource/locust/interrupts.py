"""
^C in a process of gevent's. It raises C{KeyboardInterrupt} in whatever greenlet is at work then, which may be one
of ours that others wait for.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

import gevent
from gevent.lock import Semaphore


def onInterrupt(prepare: Callable[[], object]) -> None:
    """
    From now on, let the first ^C be followed by what Locust makes of it when all is prepared for that, and those that
    come meanwhile be nothing.

    @param prepare: called in a greenlet of its own; comes back in the end.
    """
    once = Semaphore()

    def interrupted() -> None:
        if once.acquire(blocking=False):
            try:
                prepare()
            finally:
                once.release()
                # In the main greenlet, which waits for it.
                gevent.get_hub().handle_system_error(KeyboardInterrupt, KeyboardInterrupt())

    gevent.signal_handler(signal.SIGINT, interrupted)
