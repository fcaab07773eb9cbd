"""
Text that goes to a file whole, or not at all.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

#: Seconds between two tries to lock a file. All clients wait as long as these are together.
_TRIES = (0.001, 0.002, 0.004, 0.008)


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
    @raise OSError: it can't be written, or somebody else has locked it: then it is as it was.
    """
    descriptor = _opened(path, os.O_CREAT | os.O_APPEND, mode)
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
            again = _opened(path)
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


def _opened(path: str, flags: int = 0, mode: int = 0) -> int:
    """
    Open a file, or a device: a FIFO would have all clients wait for whoever reads from it, and takes nothing back.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | flags, mode)
    kind = os.fstat(descriptor).st_mode
    if not (stat.S_ISREG(kind) or stat.S_ISCHR(kind)):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no file", path)
    return descriptor


def _write(descriptor: int, text: Iterable[bytes]) -> None:
    for piece in text:
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def _lock(descriptor: int) -> None:
    """
    Have a lock of either kind: programs that read mail have one of them. What is no file can't be locked.

    @raise OSError: somebody else has one, and does not give it up soon.
    """
    for lock in (fcntl.lockf, fcntl.flock):
        for pause in _TRIES:
            if _isLocked(lock, descriptor):
                break
            time.sleep(pause)
        else:
            if not _isLocked(lock, descriptor):
                raise OSError(errno.EAGAIN, "another program has locked it")


def _isLocked(lock: Callable[[int, int], object], descriptor: int) -> bool:
    try:
        lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        # Where there are no such locks, nobody has one.
        return e.errno not in (errno.EAGAIN, errno.EACCES)
    return True


def _which(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_dev, status.st_ino, status.st_size
