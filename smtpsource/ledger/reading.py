"""
Ledgers as they are read: many records at once, also while they are still written. This is numpy's work.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smtpsource.ledger import records
from smtpsource.process.regular import openRegular

#: One record.
RECORD = np.dtype([(name, kind) for name, _, kind in records.FIELDS])
assert RECORD.itemsize == records.SIZE

Records = NDArray[np.void]

#: Records that are read at once: half a megabyte.
_AT_ONCE = 8192


class LedgerError(Exception):
    """
    A ledger can't be used; the text is one line that says which, and why.
    """


class LedgerFile:
    """
    One file, read from its beginning on.

    @ivar path: its name.
    @ivar header: what it says of itself.
    """

    def __init__(self, path: str) -> None:
        """
        @raise LedgerError: it is no ledger, or can't be read.
        """
        self.path = path
        try:
            self._descriptor = openRegular(path)
        except OSError as e:
            raise LedgerError(f"{path}: {e.strerror}")
        try:
            self.header, self._at = records.parseHeader(os.pread(self._descriptor, records.LONGEST_HEADER, 0))
        except OSError as e:
            self.close()
            raise LedgerError(f"{path}: {e.strerror}")
        except ValueError as e:
            self.close()
            raise LedgerError(f"{path}: {e}")
        self._start = self._at

    @property
    def role(self) -> str:
        """
        C{"source"} or C{"sink"}.
        """
        return str(self.header.get("role"))

    @property
    def name(self) -> str:
        """
        What it is of, for people: of a mailbox, that.
        """
        return str(self.header.get("of") or self.path)

    @property
    def isMailbox(self) -> bool:
        """
        Was it made of what was found in a mailbox?
        """
        return bool(self.header.get("of"))

    @property
    def run(self) -> int:
        """
        The number of the run's id; 0 if it is of no run.
        """
        text = str(self.header.get("run"))
        return int(text, 16) if re.fullmatch("[0-9a-f]{16}", text) else 0

    def wall(self, time: int) -> int:
        """
        Nanoseconds of the epoch for those of a record.
        """
        return int(time) + int(self.header["offset"])

    def next(self) -> Records:
        """
        The next records that are there, half a megabyte of them at most; none if there are none yet. A record of which
        only a part is there is none.

        @raise LedgerError: it can't be read.
        """
        try:
            found = os.pread(self._descriptor, _AT_ONCE * records.SIZE, self._at)
        except OSError as e:
            raise LedgerError(f"{self.path}: {e.strerror}")
        whole = len(found) - len(found) % records.SIZE
        self._at += whole
        return np.frombuffer(found, RECORD, whole // records.SIZE)

    def rest(self) -> Iterator[Records]:
        """
        All that is there from here on.
        """
        while len(found := self.next()):
            yield found

    @property
    def torn(self) -> int:
        """
        Bytes behind the last record, of one that is not there as a whole.
        """
        return max(0, os.fstat(self._descriptor).st_size - self._at) % records.SIZE

    def again(self) -> Iterator[Records]:
        """
        All that was read until now, once more; L{next} goes on where it was.

        @raise LedgerError: it can't be read.
        """
        at = self._start
        while at < self._at:
            try:
                found = os.pread(self._descriptor, min(_AT_ONCE * records.SIZE, self._at - at), at)
            except OSError as e:
                raise LedgerError(f"{self.path}: {e.strerror}")
            if not found:
                return
            whole = len(found) - len(found) % records.SIZE
            at += whole
            yield np.frombuffer(found, RECORD, whole // records.SIZE)

    @property
    def fault(self) -> str | None:
        """
        Why what was read is not what was written, as one line, if that is known: somebody has meddled with the file.
        """
        status = os.fstat(self._descriptor)
        if not status.st_nlink:
            return f"{self.path}: the ledger was removed while it was in use"
        if status.st_size < self._at:
            sizes = f"{self._at} bytes were read, and there are {status.st_size}"
            return f"{self.path}: the ledger has become shorter: {sizes}"
        return None

    def period(self) -> tuple[int, int]:
        """
        The times of its first record and its last; zeros if it has none. L{next} goes on where it was.

        @raise LedgerError: it can't be read.
        """
        try:
            count = max(0, os.fstat(self._descriptor).st_size - self._start) // records.SIZE
            # A text has no time; what it belongs to has, and that is not far before.
            begins = {0, max(0, count - _AT_ONCE)}
            some = [os.pread(self._descriptor, _AT_ONCE * records.SIZE, self._start + n * records.SIZE) for n in begins]
        except OSError as e:
            raise LedgerError(f"{self.path}: {e.strerror}")
        found = np.concatenate([np.frombuffer(one, RECORD, len(one) // records.SIZE) for one in some])
        times = found["time"][found["kind"] != records.TEXT]
        return (int(times.min()), int(times.max())) if len(times) else (0, 0)

    def close(self) -> None:
        """
        It is of no more use.
        """
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def ledgersIn(directory: str) -> list[LedgerFile]:
    """
    All ledgers of a directory, those of generators first. An empty one is left out: its process was killed, or has yet
    to begin.

    @raise LedgerError: there is none, or one of them can't be used.
    """
    try:
        names = sorted(name for name in os.listdir(directory) if name.endswith(".ledger"))
    except OSError as e:
        raise LedgerError(f"{directory}: {e.strerror}")
    if not names:
        raise LedgerError(f"{directory}: expected a directory with ledgers in it, files whose names end with .ledger")
    paths = [os.path.join(directory, name) for name in names]
    found = [LedgerFile(path) for path in paths if not os.path.exists(path) or os.path.getsize(path)]
    return sorted(found, key=lambda file: file.role != "source")


def textsOf(found: Records) -> list[tuple[int, int, bytes]]:
    """
    The texts among some records: what each is, its number and itself.
    """
    kinds: Any = found["kind"]
    wanted = (kinds == records.NAME) | (kinds == records.TEXT)
    return list(records.textsOf(found[wanted].tobytes())) if wanted.any() else []
