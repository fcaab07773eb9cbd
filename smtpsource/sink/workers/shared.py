"""
The memory that the workers of a sink share: what holds for all of them together.

It is a file without a name. Each number in it is of 64 bits, and is written at once. Where several are written in one
go, or one is counted up that others count up as well, there is a lock: one of fcntl(2), which the system takes from a
worker that is killed. From one that is stopped while it has it nobody can take it: after a while the others decide
without it. They say so, for then it may be off by some.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from collections.abc import Callable, Iterator
from itertools import repeat
from types import TracebackType

from smtpsource.sink.workersettings import MOST

#: The numbers at the beginning, and those of each worker.
_HEAD, _EACH = 16, 8

#: What all have in common: messages accepted, the number of the latest message kept, and of the latest session; and how
#: the table is (see L{smtpsource.sink.workers.table}).
ACCEPTED, LAST_KEPT, LAST_SESSION, TABLE = range(4)

#: What each worker has: sessions open, ended, the most of all workers that it has seen open; connections that are gone
#: again; connections as rules count them; whether it was lost.
OPEN, ENDED, MOST_OPEN, GONE, CONNECTED, LOST = range(6)

#: Where there is what is made once, and its length before it; and so many octets of it.
_MADE = -(-8 * (_HEAD + _EACH * MOST) // mmap.PAGESIZE) * mmap.PAGESIZE
_MOST_MADE = 4 * mmap.PAGESIZE

#: Octets before the table.
BEFORE_TABLE = _MADE + _MOST_MADE

#: Seconds of pauses after which nobody waits for the lock any more: who has it needs it for microseconds.
PATIENCE = 1.0

#: The same while the last wait was in vain.
_IMPATIENCE = 0.001

#: How often it is tried before there is a pause, and the seconds of the first pause and of the longest ones.
_TRIES, _FIRST_PAUSE, _LONGEST_PAUSE = 20, 20e-6, 0.02

#: See fcntl(2): C{struct flock}, as this system has it.
_LOCK = struct.Struct("hhqqi0q")


class Shared:
    """
    One process's view of it.

    @ivar descriptor: the open file.
    @ivar workers: how many there are.
    @ivar numbers: all of it, as numbers without a sign.
    @ivar fractions: the same as floating-point numbers.
    @ivar whenStuck: called when the lock was waited for in vain, once until there is one again; with the process that
        has it, or 0.
    """

    def __init__(self, descriptor: int, workers: int, octets: int) -> None:
        """
        @param octets: of all of it; what is never written takes no memory.
        """
        self.descriptor = descriptor
        self.workers = workers
        self._memory = mmap.mmap(descriptor, octets)
        self.numbers = memoryview(self._memory).cast("Q")
        self.fractions = memoryview(self._memory).cast("d")
        self.whenStuck: Callable[[int], object] = lambda process: None
        self._depth = 0
        self._isStuck = False

    @classmethod
    def made(cls, workers: int, octets: int) -> Shared:
        """
        New memory, all zeros.

        @raise OSError: there is none.
        """
        descriptor = os.memfd_create("smtpsink", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, octets)
        return cls(descriptor, workers, octets)

    def __enter__(self) -> Shared:
        """
        Lock it, for a moment; if that is not possible, go on nevertheless.
        """
        if not self._depth and not self._isLocked():
            self._wait()
        self._depth += 1
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, trace: TracebackType | None) -> None:
        self._depth -= 1
        if not self._depth:
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN, 1)

    def _isLocked(self) -> bool:
        try:
            fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
        except BlockingIOError:
            return False
        self._isStuck = False
        return True

    def _wait(self) -> None:
        for pause in _pauses(_IMPATIENCE if self._isStuck else PATIENCE):
            time.sleep(pause)
            if self._isLocked():
                return
        if not self._isStuck:
            self._isStuck = True
            asked = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
            self.whenStuck(_LOCK.unpack(fcntl.fcntl(self.descriptor, fcntl.F_GETLK, asked))[-1])

    def next(self, which: int) -> int:
        """
        Count one of the common numbers up.
        """
        with self:
            number = self.numbers[which] + 1
            self.numbers[which] = number
        return number

    def place(self, worker: int, which: int) -> int:
        """
        Where a worker's number stands among all.
        """
        return _HEAD + _EACH * worker + which

    def of(self, which: int) -> memoryview[int]:
        """
        A number of each worker, as it is whenever it is looked at.
        """
        return self.numbers[_HEAD + which : _HEAD + _EACH * self.workers : _EACH]

    def sum(self, which: int) -> int:
        """
        A number of all workers together.
        """
        return sum(self.of(which))

    def most(self, which: int) -> int:
        """
        The largest of all workers.
        """
        return max(self.of(which))

    def common(self, make: Callable[[], bytes]) -> bytes:
        """
        What is the same in all processes: the first that has made it has done so for all.
        """
        start = _MADE + 8
        if not self.numbers[_MADE // 8]:
            # That takes a while: nobody is to wait meanwhile who wants something else.
            made = make()
            with self:
                if not self.numbers[_MADE // 8]:
                    self._memory[start : start + len(made)] = made
                    self.numbers[_MADE // 8] = len(made)
        return self._memory[start : start + self.numbers[_MADE // 8]]

    def clear(self, start: int, size: int) -> None:
        """
        Set some of it to zeros.

        @param start: the first octet.
        @param size: how many.
        """
        self._memory[start : start + size] = bytes(size)


def _pauses(patience: float) -> Iterator[float]:
    """
    Seconds between two tries. They are added up, and no clock is asked: time for which all of us are stopped, or wait
    for a processor, is nobody's.
    """
    yield from repeat(0.0, _TRIES)
    pause = _FIRST_PAUSE
    while patience > 0:
        yield pause
        patience -= pause
        pause = min(2 * pause, _LONGEST_PAUSE)
