"""
Where a spool writes: files, and what somebody reads.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Event
from typing import Protocol

from smtpsource.process.places import Place
from smtpsource.process.streams import Unwaited

#: Seconds between two looks at a reader who takes nothing, or who is not there yet.
INTERVAL = 0.05


class Target(Protocol):
    """
    Where a thread writes.

    @ivar problem: why something could not be written, as one line; C{None} if all could.
    @ivar stopping: set when nobody waits any longer.
    """

    problem: str | None
    stopping: Event

    def write(self, data: bytes) -> int:
        """
        Write lines, as many of them as is possible. It may take any time.

        @return: how many lines are there now, each of them whole.
        """

    def isKept(self) -> bool:
        """
        Is there somewhere what was written?

        @return: C{False}: all of it is lost, and so is what would follow.
        """

    def close(self) -> None:
        """
        Write no more.
        """


class _Target:
    """
    What both kinds have in common: several processes may write to the same place, a piece each at a time.
    """

    def __init__(self) -> None:
        self.problem: str | None = None
        self.stopping = Event()

    def _fail(self, reason: OSError) -> None:
        self.problem = reason.strerror or str(reason)

    def _lock(self, descriptor: int) -> bool:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self.stopping.wait(INTERVAL / 10):
                    return False
            except OSError:
                return True  # there are no locks here
            else:
                return True

    def _unlock(self, descriptor: int) -> None:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)


class _File(_Target):
    """
    A file, that is added to.
    """

    def __init__(self, descriptor: int, path: str) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._path = path

    def write(self, data: bytes) -> int:
        """
        See L{Target.write}.
        """
        if not self._lock(self._descriptor):
            return 0
        view, at = memoryview(data), 0
        try:
            while at < len(data):
                at += os.write(self._descriptor, view[at:])
        except OSError as e:
            self._fail(e)
            at = self._withoutHalf(data, at)
        finally:
            self._unlock(self._descriptor)
        return data.count(b"\n", 0, at)

    def _withoutHalf(self, data: bytes, at: int) -> int:
        """
        Half a line is none: take it back.
        """
        whole = data.rfind(b"\n", 0, at) + 1
        if whole < at:
            with suppress(OSError):
                end = os.lseek(self._descriptor, 0, os.SEEK_CUR)
                os.ftruncate(self._descriptor, end - (at - whole))
        return whole

    def isKept(self) -> bool:
        """
        See L{Target.isKept}. One that was renamed is.
        """
        try:
            isKept = os.fstat(self._descriptor).st_nlink > 0
        except OSError as e:
            isKept = e.errno != errno.ESTALE  # as NFS has it
        if not isKept:
            self.problem = f"somebody has removed {self._path}"
        return isKept

    def close(self) -> None:
        """
        See L{Target.close}.
        """
        os.close(self._descriptor)


class _Reader(_Target):
    """
    A pipe, a terminal, a FIFO: somebody reads it, or will.
    """

    def __init__(self, opened: Callable[[], Unwaited | None], again: bool) -> None:
        """
        @param opened: opens it; gives C{None} while nobody is there who reads it.
        @param again: when its reader has gone, another may come.
        """
        super().__init__()
        self._opened = opened
        self._again = again
        self._target: Unwaited | None = None
        self._isGone = False

    def write(self, data: bytes) -> int:
        """
        See L{Target.write}.
        """
        target = self._awaited()
        if target is None or not self._lock(target.fileno()):
            return 0
        view, at = memoryview(data), 0
        try:
            while at < len(data) and not self.stopping.is_set():
                taken = target.send(view[at:])
                at += taken
                if not taken:
                    target.wait(INTERVAL)
            self._unlock(target.fileno())
        except OSError as e:
            self._fail(e)
            self.close()
            self._isGone = not self._again
        return data.count(b"\n", 0, at)

    def _awaited(self) -> Unwaited | None:
        while self._target is None and not self._isGone:
            try:
                self._target = self._opened()
            except OSError as e:
                self._fail(e)
                self._isGone = True
            if self._target is None and self.stopping.wait(INTERVAL):
                break
        return self._target

    def isKept(self) -> bool:
        """
        See L{Target.isKept}. What was read is its reader's.
        """
        return True

    def close(self) -> None:
        """
        See L{Target.close}.
        """
        target, self._target = self._target, None
        if target is not None:
            target.close()


def targetAt(path: str, fresh: bool) -> Target:
    """
    Open a place to write to. That waits for nobody.

    @param path: absolute, or C{"-"} for standard output.
    @param fresh: what a file has had before goes.
    @raise OSError: it can't be written to.
    """
    if path == "-":
        if sys.__stdout__ is None:
            raise OSError(errno.EBADF, "it is closed")
        number = sys.__stdout__.fileno()
        return _Reader(lambda: Unwaited(number), again=False)
    with Place(path) as place:
        if place.own is not None:
            own = place.own
            return _Reader(lambda: Unwaited(own), again=False)
        if not place.isFile:
            return _Reader(lambda: _reading(path), again=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_TRUNC if fresh else 0)
        return _File(os.open(place.name, flags, 0o666, dir_fd=place.directory), path)


def _reading(path: str) -> Unwaited | None:
    """
    What is there and no file, if somebody reads it.

    @raise OSError: it can't be opened.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as e:
        if e.errno == errno.ENXIO:
            return None
        raise
    return Unwaited(descriptor, own=True)
