"""
Lines into a file that is written to while a run goes on, by a thread: a disk may take its time, and so may a reader.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Event
from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from smtpsource.process.places import Place
from smtpsource.process.streams import Patience, Unwaited
from smtpsource.process.threads import inThread
from smtpsource.process.unexpected import named

if TYPE_CHECKING:
    from smtpsource.interfaces import IReactor

#: How many bytes wait for the disk, or for a reader. There is no more room for lines then.
ROOM = 16 * 1024 * 1024

#: So many bytes are given to the thread at once; fewer, if these have waited for so many seconds.
_PIECE, _PATIENCE = 65536, 0.1

#: Seconds between two looks: at a reader who takes nothing, at a file that another process writes to, at the end.
_INTERVAL, _LOOK = 0.05, 0.02

#: In so many seconds the thread looks whether it is to stop, if it does not wait for a disk.
_STOPPED_WITHIN = 10 * _INTERVAL


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
                if self.stopping.wait(_INTERVAL / 10):
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

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

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
                    target.wait(_INTERVAL)
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
            if self._target is None and self.stopping.wait(_INTERVAL):
                break
        return self._target

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
        return _File(os.open(place.name, flags, 0o666, dir_fd=place.directory))


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


class Spool:
    """
    Takes lines at any time, and never waits. What there is no room for, and what can't be written, is dropped and
    counted.
    """

    def __init__(self, reactor: IReactor, open: Callable[[], Target]) -> None:
        """
        @param open: where to write.
        """
        self._reactor = reactor
        self._queue: SimpleQueue[tuple[bytes, int] | None] = SimpleQueue()
        self._batch: list[bytes] = []
        self._size = 0
        self._timer: IDelayedCall | None = None
        # Bytes and lines that the thread was given; those that it has seen to, and how many of these it has lost.
        self._given = self._givenLines = self._dropped = 0
        self._done = self._doneLines = self._lost = 0
        self._final: tuple[int, int] | None = None
        self._problem: str | None = None
        self._target: Target | None = None
        self._isOver = False
        try:
            self._target = open()
        except OSError as e:
            self._problem = e.strerror or str(e)
        self._ended: Deferred[None] = inThread(reactor, self._work)
        self._ended.addErrback(self._broken)

    @property
    def lines(self) -> int:
        """
        How many lines are written, so far.
        """
        return self._doneLines - self._lost if self._final is None else self._final[0]

    @property
    def dropped(self) -> int:
        """
        How many lines were dropped, so far.
        """
        return self._dropped + self._lost if self._final is None else self._final[1]

    @property
    def problem(self) -> str | None:
        """
        Why lines were dropped, as one line; C{None} if it is known of none.
        """
        if self._problem is None and self._target is not None and self._target.problem is not None:
            return self._target.problem
        return self._problem or ("there was no room for them in time" if self._dropped else None)

    def add(self, line: bytes) -> None:
        """
        Here is another line, with its end.
        """
        size = self._size + len(line)
        if self._isOver or self._given - self._done + size > ROOM:
            self._dropped += 1
            return
        self._batch.append(line)
        self._size = size
        if size >= _PIECE:
            self._flush()
        elif self._timer is None:
            self._timer = self._reactor.callLater(_PATIENCE, self._timeOut)

    def finish(self, patience: Patience, most: float) -> Deferred[None]:
        """
        No more lines come: have those written that wait.

        @param patience: how long a reader, or a disk, is waited for that takes nothing.
        @param most: seconds after which nobody is waited for any longer.
        @return: fires when that is done, or it was long enough; then it is known how many there are.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._flush()
        self._isOver = True
        self._queue.put(None)
        over: Deferred[None] = Deferred()
        until = self._reactor.seconds() + most
        self._look(over, patience, until, self._done)
        return over

    def _look(self, over: Deferred[None], patience: Patience, until: float, before: int) -> None:
        done, now = self._done, self._reactor.seconds()
        if done != before:
            patience.renew()
        isStopped = self._target is None or self._target.stopping.is_set()
        if self._ended.called or (isStopped and now >= until):
            # A disk that takes its time may go on with what it has: nobody counts that any more.
            left = self._givenLines - self._doneLines
            self._final = self.lines, self.dropped + left
            over.callback(None)
            return
        if not isStopped and (patience.over or now >= until):
            assert self._target is not None
            self._problem = self._problem or "they were not taken in time"
            self._target.stopping.set()
            until = now + _STOPPED_WITHIN
        self._reactor.callLater(_LOOK, self._look, over, patience, until, done)

    def _timeOut(self) -> None:
        self._timer = None
        self._flush()

    def _flush(self) -> None:
        if self._batch and not self._isOver:
            self._given += self._size
            self._givenLines += len(self._batch)
            self._queue.put((b"".join(self._batch), len(self._batch)))
            self._batch, self._size = [], 0

    # In the thread

    def _work(self) -> None:
        target = self._target
        while (piece := self._queue.get()) is not None:
            data, lines = piece
            written = 0 if target is None or target.stopping.is_set() else target.write(data)
            self._lost += lines - written
            self._doneLines += lines
            self._done += len(data)
        if target is not None:
            target.close()

    def _broken(self, reason: Failure) -> None:
        """
        There is no thread, or it is no more.
        """
        self._problem = self._problem or named(reason.value)[1]
        self._isOver = True
        self._dropped += len(self._batch)
        self._batch = []
