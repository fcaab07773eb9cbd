"""
Threads that the end of a process does not wait for.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from smtpsource.interfaces import IReactor

_T = TypeVar("_T")


def startThread(work: Callable[[], None], name: str) -> None:
    """
    Start one that works on its own.

    @raise OSError: there can't be one more.
    """
    try:
        Thread(target=work, name=name, daemon=True).start()
    except RuntimeError as e:
        raise OSError(None, str(e))


def inThread(reactor: IReactor, call: Callable[[], _T]) -> Deferred[_T]:
    """
    The result of a call that takes its time. Unlike those of the reactor's pool, which are joined when it stops, this
    thread does not keep the process from ending: a call may take its time, and the user may not.

    @return: fires on a later turn of the reactor.
    """
    result: Deferred[_T] = Deferred()

    def run() -> None:
        try:
            found: _T | Failure = call()
        except BaseException:
            found = Failure()
        reactor.callFromThread(result.callback, found)

    # A reactor in memory has its own idea of a thread.
    start = getattr(reactor, "startThread", None) or (lambda run: Thread(target=run, daemon=True).start())
    try:
        start(run)
    except RuntimeError:  # there can't be one more
        reactor.callFromThread(result.errback, Failure())
    return result
