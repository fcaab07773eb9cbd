"""
Text that goes to a file whole, or not at all.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable
from contextlib import suppress


def create(path: str, text: Iterable[bytes], mode: int) -> int:
    """
    Make a new file.

    @param mode: its permissions, as far as the umask allows.
    @return: its octets.
    @raise OSError: it is there already, or can't be written: then it is not there.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        try:
            _write(descriptor, text)
            return os.fstat(descriptor).st_size
        finally:
            # Some file systems tell only now that they are full.
            os.close(descriptor)
    except BaseException:
        remove(path)
        raise


def append(path: str, text: Iterable[bytes], mode: int) -> Callable[[], None]:
    """
    Add to a file, which is made if it is missing. Meanwhile nobody else does who locks it as well.

    @return: takes that away again, unless something has been added since.
    @raise OSError: it can't be written: then it is as it was.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOCTTY | os.O_CLOEXEC, mode)
    try:
        _lock(descriptor)
        before = os.fstat(descriptor)
        try:
            _write(descriptor, text)
            after = os.fstat(descriptor)
        except BaseException:
            with suppress(OSError):
                os.ftruncate(descriptor, before.st_size)
            raise
    finally:
        os.close(descriptor)

    def takeBack() -> None:
        with suppress(OSError):
            again = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                _lock(again)
                if _which(os.fstat(again)) == _which(after):
                    os.ftruncate(again, before.st_size)
            finally:
                os.close(again)

    return takeBack


def remove(path: str) -> None:
    """
    Remove a file, if that is possible.
    """
    with suppress(OSError):
        os.unlink(path)


def _write(descriptor: int, text: Iterable[bytes]) -> None:
    for piece in text:
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def _lock(descriptor: int) -> None:
    """
    Wait for a lock of either kind: programs that read mail have one of them. What is no file can't be locked.
    """
    with suppress(OSError):
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _which(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_dev, status.st_ino, status.st_size
