"""
Reading checkpoints, also while they are written: see L{smtpsource.measure.checkpointlayout}.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from typing import Self

from smtpsource.measure.checkpointlayout import BEFORE, HEADER, RECORDS, START, Record, decoded, headerIn, lengthIn

#: So many octets are looked at in one go where records are damaged.
_WINDOW = 1 << 20

#: So many records are read in one go.
_AT_ONCE = 1000

#: So many octets are summed up for what is no record, and so many times what is before it in the file. A disk's damage
#: takes less; without this, made-up records of full length close together would take hours.
_SPARE, _TIMES = 1 << 26, 64

#: The most octets of a header.
_LONGEST_HEADER = 1 << 20


class CheckpointError(ValueError):
    """
    It is no checkpoint that can be used. The text is one line.
    """


class Reader:
    """
    Reads a checkpoint, also while it is written.

    @ivar path: where it is.
    @ivar header: as L{headerOf<smtpsource.measure.checkpointlayout.headerOf>} says.
    @ivar damaged: how many octets were left out because they are damaged, up to now.
    """

    def __init__(self, path: str) -> None:
        """
        @raise CheckpointError: there is none.
        """
        self.path = path
        self.damaged = 0
        self._at = 0
        # How many octets were summed up for what is no record.
        self._wasted = 0
        self._descriptor = -1
        directory = -1
        try:
            directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self.header = headerIn(_read(directory, HEADER))
            self._descriptor = _opened(directory, RECORDS)
        except FileNotFoundError as e:
            what = path if directory < 0 else os.path.join(path, str(e.filename))
            raise CheckpointError(f"{path}: expected a checkpoint of a run: there is no {what}")
        except OSError as e:
            raise CheckpointError(f"{path}: expected a checkpoint of a run that can be read: {e.strerror}")
        except ValueError as e:
            raise CheckpointError(f"{path}: {e}")
        finally:
            if directory >= 0:
                os.close(directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *others: object) -> None:
        self.close()

    def close(self) -> None:
        """
        Read no more.
        """
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    @property
    def isWritten(self) -> bool:
        """
        Is there still a process that writes it?
        """
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False  # where there are no locks, nobody knows
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        return False

    def poll(self, most: int = _AT_ONCE) -> list[Record]:
        """
        What was written since, or the next part of it; nothing, if nothing was.

        @raise CheckpointError: it can't be read any more.
        """
        found: list[Record] = []
        try:
            while len(found) < most and (record := self._next()) is not None:
                found.append(record)
        except OSError as e:
            raise CheckpointError(f"{self.path}: expected a checkpoint of a run that can be read: {e.strerror}")
        return found

    def __iter__(self) -> Iterator[Record]:
        """
        All that there is by now.
        """
        while records := self.poll():
            yield from records

    def _next(self) -> Record | None:
        """
        The next record that is whole. Without another one behind it what is not may still be written, or was cut off.
        """
        for at in self._starts():
            found = self._recordAt(at)
            if found is not None:
                self.damaged += at - self._at
                record, self._at = found
                return record
        return None

    def _starts(self) -> Iterator[int]:
        """
        Where the next record is, and if it is none, where it may be.
        """
        yield self._at
        at = self._at + 1
        while len(octets := os.pread(self._descriptor, _WINDOW, at)) >= BEFORE:
            place = octets.find(START)
            while place >= 0:
                yield at + place
                place = octets.find(START, place + 1)
            at += len(octets) - len(START) + 1

    def _recordAt(self, at: int) -> tuple[Record, int] | None:
        """
        @return: it, and where it ends.
        """
        head = os.pread(self._descriptor, BEFORE, at)
        length = lengthIn(head)
        if length is None:
            return None
        end = at + BEFORE + length
        if end > os.fstat(self._descriptor).st_size or self._wasted + length > _SPARE + _TIMES * at:
            return None
        record = decoded(head, os.pread(self._descriptor, length, at + BEFORE))
        if record is None:
            self._wasted += length
            return None
        return record, end


def _opened(directory: int, name: str) -> int:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, f"{name} is no file")
    return descriptor


def _read(directory: int, name: str) -> bytes:
    with open(_opened(directory, name), "rb") as file:
        return file.read(_LONGEST_HEADER)
