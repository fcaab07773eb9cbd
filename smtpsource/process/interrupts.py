"""
Signals that end a process: the first for an end in order, Ctrl-C again for an end at once.
"""

from __future__ import annotations

import os
import signal

# This is the first that a process of ours imports: nothing here takes a moment, in which Ctrl-C would show a traceback.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from smtpsource.interfaces import IReactor

#: SIGHUP comes when a terminal is gone, as when ssh is cut.
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _State:
    """
    @ivar received: how many of these signals have come.
    @ivar last: the last of them.
    @ivar own: this process is all ours, and so are its signals.
    @ivar settled: there is nothing left that a signal could end.
    @ivar status: the exit status, once the result is shown; what is left is to stop what else there is.
    @ivar impatient: there was a signal since then.
    """

    received = 0
    last: int | None = None
    own = False
    settled = False
    status: int | None = None
    impatient = False


def begin() -> None:
    """
    This process is all ours from now on. Until there is something to end in order, Ctrl-C just ends it.
    """
    _State.own = True
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def areOurs() -> bool:
    """
    Is this process all ours?
    """
    return _State.own


def received() -> int:
    """
    How many signals to end have come so far. Whoever waits for a reader waits no longer when there is one more.
    """
    return _State.received


def onInterrupt(reactor: IReactor, stop: Callable[[], object], daemonized: bool = False) -> None:
    """
    Call C{stop} in the reactor's thread on the first SIGINT, SIGTERM or SIGHUP; a second SIGINT ends the process at
    once, with status 1. To be called when the reactor runs: it sets its own ways when it starts.

    @param daemonized: leave SIGHUP as it is: a daemon has no terminal that could go.
    """
    _State.settled = _State.impatient = False
    _State.status = None
    stopped = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        _receive(number)
        if _State.settled:
            _hasten()
            return
        if stopped and number == signal.SIGINT:
            os._exit(1)
        if not stopped:
            stopped = True
            reactor.callFromThread(stop)

    _set(interrupt, daemonized)


def isToEnd() -> bool:
    """
    Was this process told to end by somebody who says so once? Ctrl-C may be meant for what goes on at the moment.
    """
    return _State.last not in (None, signal.SIGINT)


def onLaterInterrupt(reactor: IReactor, stop: Callable[[], object], status: int, daemonized: bool = False) -> None:
    """
    The result is shown, and the process stays: call C{stop} in the reactor's thread on the next signal. Another one
    ends the process at once.

    @param status: the exit status.
    @param daemonized: as for L{onInterrupt}.
    """
    stopped = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        _receive(number)
        if stopped:
            os._exit(status)
        stopped = True
        reactor.callFromThread(stop)

    _set(interrupt, daemonized)


def settle() -> None:
    """
    The end has come, and with it the exit status: what a signal can still do is to end the waiting for those who do not
    read what they are told.
    """
    _State.settled = True
    if _State.own:
        _set(_count)


def decide(status: int) -> None:
    """
    The result is shown. If this process does not come to its end by itself, the second signal from now on ends it, with
    this status.
    """
    _State.status = status


def _hasten() -> None:
    if _State.status is None:
        return
    if _State.impatient:
        os._exit(_State.status)
    _State.impatient = True


def hold() -> None:
    """
    Let no signal come between this process and its end, which is near.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)


def _count(number: int, frame: FrameType | None) -> None:
    _receive(number)


def _receive(number: int) -> None:
    _State.received += 1
    _State.last = number


def _set(handler: Callable[[int, FrameType | None], None], daemonized: bool = False) -> None:
    for number in NUMBERS:
        if number == signal.SIGHUP and (daemonized or signal.getsignal(number) is signal.SIG_IGN):
            continue  # as under nohup(1)
        try:
            signal.signal(number, handler)
        except ValueError:
            return  # not in the main thread: signals are somebody else's here
