"""
Standard output, standard error, and whatever else has a reader: it may be slow, or stand still, and neither a run nor
its end may stand still with it.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TextIO

from smtpsource.process import interrupts

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

#: Seconds that a reader who takes nothing is waited for at the end; and when a signal has asked for that end.
PATIENCE, PATIENCE_AFTER_SIGNAL = 10.0, 2.0

#: How much is kept for a reader who is slow, in bytes. What can be left out is, beyond that.
ROOM = 4 * 1024 * 1024

#: Seconds between two looks at a reader who has not taken everything.
_INTERVAL = 0.1

#: The most bytes that are written at once: where it can't block at all; to a pipe that has room; to a terminal.
_LARGE, _OF_PIPE, _OF_TERMINAL = 65536, select.PIPE_BUF, 256


def openStandard() -> None:
    """
    See that descriptors 0, 1 and 2 are taken: what is opened next would get the number of one that is closed, and a
    socket the text that is meant for standard output. Reading or writing stays an error, as it was.
    """
    for descriptor, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, flags)  # the lowest that is free: this one
            os.set_inheritable(descriptor, True)


class Patience:
    """
    How long readers are waited for at the end: so many seconds since one of them has last taken something, and not at
    all after another signal.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._signals = interrupts.received()
        self._seconds = (PATIENCE_AFTER_SIGNAL if self._signals else PATIENCE) if seconds is None else seconds
        self.renew()

    def renew(self) -> None:
        """
        Somebody has taken something.
        """
        self._deadline = time.monotonic() + self._seconds

    @property
    def over(self) -> bool:
        """
        Is it enough?
        """
        return time.monotonic() >= self._deadline or interrupts.received() > self._signals


def unread() -> OSError:
    """
    What to say of a reader who was waited for in vain.
    """
    return TimeoutError(errno.ETIMEDOUT, "nobody reads it")


class Unwaited:
    """
    A descriptor that is written to only as far as it takes something at once.

    Whether writing to it may block is not changed where that would hold for other processes that have it, too, such as
    the shell that gave it to us.
    """

    def __init__(self, given: int, own: bool = False) -> None:
        """
        @param given: a descriptor, which is left as it is.
        @param own: it is ours alone, and does not block.
        @raise OSError: there is no such descriptor.
        """
        mode = os.fstat(given).st_mode
        self._polled = not own and not stat.S_ISREG(mode)
        self._piece = _LARGE
        self._socket: Any = None
        self._descriptor = given if own else -1
        if own:
            return
        if stat.S_ISSOCK(mode):
            import socket

            self._polled = False
            self._socket = socket.socket(fileno=os.dup(given))
            self._descriptor = self._socket.fileno()
            return
        if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            self._reopen(given, mode)
        if self._descriptor < 0:
            self._descriptor = os.dup(given)

    def _reopen(self, given: int, mode: int) -> None:
        """
        Open it once more, for ourselves. That is not possible everywhere: as another user, in some containers.
        """
        self._piece = _OF_PIPE
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        try:
            if stat.S_ISFIFO(mode):
                if sys.platform != "linux":
                    return
                self._descriptor = os.open(f"/proc/self/fd/{given}", flags)
            elif os.isatty(given):
                self._piece = _OF_TERMINAL
                self._descriptor = os.open(os.ttyname(given), flags)
            else:
                return
        except OSError:
            return
        self._polled, self._piece = False, _LARGE

    def fileno(self) -> int:
        """
        The descriptor that is written to.
        """
        return self._descriptor

    def send(self, data: bytes | memoryview) -> int:
        """
        Write what is taken now.

        @return: how many bytes of it that was, 0 if none.
        @raise OSError: it can't be written.
        """
        try:
            if self._socket is not None:
                import socket

                return int(self._socket.send(data, socket.MSG_DONTWAIT))
            if self._polled and not self._ready(0):
                return 0
            return os.write(self._descriptor, data[: self._piece])
        except BlockingIOError:
            return 0

    def wait(self, seconds: float) -> None:
        """
        Wait until it takes something, but no longer than this.
        """
        self._ready(seconds)

    def _ready(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        return bool(poll.poll(seconds * 1000))

    def close(self) -> None:
        """
        Write no more.
        """
        if self._socket is not None:
            self._socket.close()
        elif self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


def pour(target: Unwaited, pieces: Iterable[bytes], patience: Patience) -> None:
    """
    Write all of it, as fast as the reader takes it.

    @raise OSError: it can't be written, or the reader was waited for long enough.
    """
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            taken = target.send(rest)
            if taken:
                rest = rest[taken:]
                patience.renew()
            elif patience.over:
                raise unread()
            else:
                target.wait(_INTERVAL)


class Outlet:
    """
    A stream of this process. What is said goes out at once if it is taken, else it is kept until it is.

    @ivar stream: the stream; C{None} if there is none.
    @ivar problem: why nothing can be written any more, or C{None}.
    """

    def __init__(self, stream: TextIO | None) -> None:
        """
        @param stream: a text stream, with a descriptor or, like a daemon's log, without one; C{None} if it was closed
            when this process began. What its encoding does not have is escaped.
        """
        self.problem: OSError | None = None
        self.stream = stream
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._target: Unwaited | None = None
        self._rest = bytearray()
        self._left = 0
        self._reactor: IReactorTime | None = None
        self._again: Any = None
        if stream is None:
            self.problem = OSError(errno.EBADF, "it is closed")
            return
        try:
            self._target = Unwaited(stream.fileno())
        except (AttributeError, ValueError, OSError) as e:
            if isinstance(e, OSError) and e.errno is not None:
                self.problem = e

    def isatty(self) -> bool:
        """
        Is it a terminal?
        """
        try:
            return self.stream is not None and self.stream.isatty()
        except (OSError, ValueError):
            return False

    def attend(self, reactor: IReactorTime) -> None:
        """
        From now on, what was not taken at once is tried again by and by.
        """
        self._reactor = reactor

    def say(self, text: str) -> None:
        """
        Say something that is not to be lost.
        """
        if self.problem is not None:
            return
        self._tellLeft()
        if self._target is None:
            self._sayPlainly(text)
            return
        self._rest += text.encode(self._encoding, "backslashreplace")
        self._flush()

    def sayIfFree(self, text: str) -> bool:
        """
        Say something that is out of date soon: it is left out if what was said before has not been taken yet.

        @return: was it said?
        """
        if self._rest and not self._flush():
            return False
        self.say(text)
        return True

    def sayIfRoom(self, text: str) -> None:
        """
        Say one line of many: it is left out if too much is waiting already. How many lines that were is said in their
        place.
        """
        if self._rest and not self._flush() and len(self._rest) + len(text) > ROOM:
            self._left += 1
        else:
            self.say(text)

    def finish(self, patience: Patience) -> bool:
        """
        Have everything taken that was said.

        @return: was it? If not, C{problem} says why, and nothing more will be said.
        """
        self._tellLeft()
        while self._rest:
            before = len(self._rest)
            if self._flush():
                break
            if len(self._rest) < before:
                patience.renew()
            elif patience.over:
                self._give(unread())
                break
            assert self._target is not None
            self._target.wait(_INTERVAL)
        self._stop()
        return self.problem is None

    def _tellLeft(self) -> None:
        if self._left:
            left, self._left = self._left, 0
            self.say(f"[{left} lines are left out here: they were not read in time]\n")

    def _sayPlainly(self, text: str) -> None:
        assert self.stream is not None
        try:
            self.stream.write(text.encode(self._encoding, "backslashreplace").decode(self._encoding))
            self.stream.flush()
        except (OSError, ValueError) as e:
            self._give(e if isinstance(e, OSError) else OSError(errno.EBADF, "it is closed"))

    def _flush(self) -> bool:
        """
        @return: is everything taken, or nothing to be said any more?
        """
        assert self._target is not None
        try:
            while self._rest:
                taken = self._target.send(bytes(self._rest[:_LARGE]))
                if not taken:
                    self._later()
                    return False
                del self._rest[:taken]
        except OSError as e:
            self._give(e)
        return True

    def _give(self, problem: OSError) -> None:
        self.problem = problem.with_traceback(None)
        self._rest.clear()
        self._left = 0

    def _later(self) -> None:
        if self._reactor is not None and self._again is None:
            self._again = self._reactor.callLater(_INTERVAL, self._look)

    def _look(self) -> None:
        self._again = None
        self._flush()

    def _stop(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None


def sayOnce(stream: TextIO | None, text: str) -> OSError | None:
    """
    Say something, and wait until it is taken, but not for ever.

    @return: why it could not be said, or C{None}.
    """
    outlet = Outlet(stream)
    outlet.say(text)
    outlet.finish(Patience())
    return outlet.problem


class Lines:
    """
    A file for those who want one, such as an observer of a log: lines of many, into an outlet.
    """

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet

    def write(self, text: str) -> int:
        """
        See L{Outlet.sayIfRoom}.
        """
        self._outlet.sayIfRoom(text)
        return len(text)

    def flush(self) -> None:
        """
        It is done already.
        """
