"""
Files that a user gives, read whole: as much as one of its kind may have, and no device that never ends.
"""

from __future__ import annotations

import os
import select
import stat
from errno import EBADF, EISDIR

#: What stands for standard input, where that may be given for a file.
STANDARD = "-"

_KIB, _MIB = 2**10, 2**20

#: The most bytes of a file with a secret in its first line.
SECRET = 64 * _KIB

#: Of a file with settings.
SETTINGS = _MIB

#: Of one with certificates or keys: those of all authorities of the world take less than a hundredth.
CERTIFICATES = 16 * _MIB

#: Of one with a value in each line: some ten million addresses, which take a gigabyte of memory.
VALUES = 256 * _MIB

#: Of a report: ten hours of seconds take 15 MB.
REPORT = 256 * _MIB

#: Of one with a message.
MESSAGE = 1024 * _MIB

#: Whatever is expected, no more than this comes through a pipe, or from a device: these may never end.
_PIPE = 256 * _MIB
_DEVICE = _MIB

#: Seconds to wait for the next bytes of a pipe: somebody may have to type a password at its other end.
PATIENCE = 120.0

_PIECE = 256 * _KIB


def read(path: str, most: int, *, again: bool = False) -> bytes:
    """
    All of a file.

    @param most: how many bytes it may have.
    @param again: somebody else will read it once more, which is no good with a pipe.
    @raise OSError: it can't be read.
    @raise ValueError: it has more bytes, or does not end, or can't be read again; the text is one line.
    """
    # A pipe that nobody writes to can't be opened otherwise.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return _readFrom(descriptor, most, again)
    finally:
        os.close(descriptor)


def readStandard(most: int) -> bytes:
    """
    All that is left of standard input.

    @param most: how many bytes it may have.
    @raise ValueError: it is closed, or can't be read, or has nothing or too much; the text is one line.
    """
    try:
        found = _readFrom(0, most, False)
    except OSError as e:
        problem = "it is closed" if e.errno == EBADF else e.strerror
        raise ValueError(f"expected standard input that can be read: {problem}")
    if not found:
        raise ValueError("expected something on standard input, which is empty")
    return found


def _readFrom(descriptor: int, most: int, again: bool) -> bytes:
    """
    See L{read}.
    """
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
    if stat.S_ISREG(status.st_mode):
        if status.st_size > most:
            raise ValueError(_tooMuch(most))
        return _read(descriptor, most, "")
    if again:
        raise ValueError("expected a file, and no pipe or device: it is read more than once")
    if stat.S_ISFIFO(status.st_mode):
        return _read(descriptor, min(most, _PIPE), " through a pipe")
    return _read(descriptor, min(most, _DEVICE), " from a device")


def _read(descriptor: int, most: int, how: str) -> bytes:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    pieces: list[bytes] = []
    left = most
    while True:
        if not poll.poll(PATIENCE * 1000):
            raise ValueError(f"expected a file that ends: nothing came for {PATIENCE:g} seconds")
        try:
            piece = os.read(descriptor, min(_PIECE, left + 1))
        except BlockingIOError:
            continue  # somebody else was quicker
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        left -= len(piece)
        if left < 0:
            raise ValueError(_tooMuch(most, how))


def _tooMuch(most: int, how: str = "") -> str:
    size = f"{most // _MIB} MiB" if most >= _MIB else f"{most // _KIB} KiB"
    return f"expected at most {size}{how}, and there is more"
