"""
A timer that is exact to some 50 microseconds, where the system has one.

The reactor's C{callLater} waits in epoll_wait(2), in whole milliseconds: too coarse where what is measured takes less.
timerfd_create(2) of Linux has an alarm as a descriptor, which any reactor can read. Python has it since 3.13; up to
then the C library is asked.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorFDSet, IReadDescriptor
from zope.interface import implementer

_ABSOLUTE = 1
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC

# The shortest time that Timer waits, in seconds: less than that is the rounding of a clock.
_LEAST = 1e-6

#: How many seconds at least are between now and the next call: more often is not worth it.
SHORTEST = 0.0001


class Timer:
    """
    Calls something at a time, by C{callLater}: for reactors and systems that have nothing better.
    """

    def __init__(
        self,
        reactor: Any,
        clock: Callable[[], float],
        call: Callable[[], None],
        whenBroken: Callable[[Exception], object] | None = None,
    ) -> None:
        """
        @param clock: the scale on which times are told.
        @param whenBroken: is told what C{call} has raised; without it, the reactor is.
        """
        self._reactor = reactor
        self._clock = clock
        self._call = call
        self._whenBroken = whenBroken
        self._pending: IDelayedCall | None = None

    def at(self, when: float) -> None:
        """
        Call at this time, and not at that which was told before.
        """
        self.cancel()
        seconds = when - self._clock()
        # What is not yet must not be now, or it would be asked for again and again.
        self._pending = self._reactor.callLater(max(_LEAST, seconds) if seconds > 0 else 0.0, self._due)

    def cancel(self) -> None:
        """
        Don't call any more.
        """
        if self._pending is not None and self._pending.active():
            self._pending.cancel()
        self._pending = None

    close = cancel

    def _due(self) -> None:
        self._pending = None
        _callOf(self)


@implementer(IReadDescriptor)
class ExactTimer:
    """
    The same by timerfd_create(2). Its clock is C{time.perf_counter}.
    """

    def __init__(
        self, reactor: Any, call: Callable[[], None], whenBroken: Callable[[Exception], object] | None = None
    ) -> None:
        """
        @param whenBroken: is told what C{call} has raised; without it, the reactor is.
        @raise OSError: there is no descriptor left.
        """
        self._reactor = reactor
        self._call = call
        self._whenBroken = whenBroken
        self._set = _library().timerfd_settime
        self._descriptor: int = _library().timerfd_create(time.CLOCK_MONOTONIC, _FLAGS)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        reactor.addReader(self)

    def at(self, when: float) -> None:
        """
        See L{Timer.at}.
        """
        earliest = time.perf_counter() + SHORTEST
        nanoseconds = int(max(when, earliest) * 1e9)
        self._arm(*divmod(nanoseconds, 1_000_000_000))

    def cancel(self) -> None:
        """
        See L{Timer.cancel}.
        """
        self._arm(0, 0)

    def close(self) -> None:
        """
        Give the descriptor back.
        """
        if self._descriptor >= 0:
            self._reactor.removeReader(self)
            os.close(self._descriptor)
            self._descriptor = -1

    def _arm(self, seconds: int, nanoseconds: int) -> None:
        if self._descriptor >= 0:
            self._set(self._descriptor, _ABSOLUTE, struct.pack("qqqq", 0, 0, seconds, nanoseconds), None)

    # What the reactor asks

    def fileno(self) -> int:
        """
        The descriptor.
        """
        return self._descriptor

    def doRead(self) -> None:
        """
        It is time.
        """
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:
            return  # it was set anew since
        _callOf(self)

    def connectionLost(self, reason: Any) -> None:
        """
        The reactor is done with it.
        """
        self.close()

    def logPrefix(self) -> str:
        """
        What log lines about it begin with.
        """
        return "timer"


def _callOf(timer: Timer | ExactTimer) -> None:
    """
    Make a timer's call, and tell of what it raises whoever wants to know.
    """
    try:
        timer._call()
    except Exception as e:
        if timer._whenBroken is None:
            raise
        timer._whenBroken(e)


@cache
def _library() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def timer(
    reactor: Any,
    clock: Callable[[], float],
    call: Callable[[], None],
    whenBroken: Callable[[Exception], object] | None = None,
) -> Timer | ExactTimer:
    """
    The best timer there is for this reactor.

    @param clock: the scale on which times are told.
    @param whenBroken: is told what C{call} has raised, and the timer goes on; without it, the reactor is, which may
        take the timer away.
    """
    if sys.platform == "linux" and clock is time.perf_counter and IReactorFDSet.providedBy(reactor):
        try:
            return ExactTimer(reactor, call, whenBroken)
        except (OSError, AttributeError):
            pass
    return Timer(reactor, clock, call, whenBroken)
