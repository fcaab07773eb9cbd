"""
Writing what is reported: a file, all of it or nothing; all else, as long as somebody reads it.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from threading import Event
from typing import Any

from smtpsource.printable import escaped
from smtpsource.process.places import Place
from smtpsource.process.streams import Outlet, Patience, Unwaited, pour, unread
from smtpsource.process.unexpected import named

#: Texts are written in pieces of about so many characters.
_PIECE = 65536

#: Seconds between two looks whether somebody has come to read, or a disk takes something.
_INTERVAL = 0.05


def jsonPieces(document: dict[str, Any], ascii: bool) -> Iterator[str]:
    """
    A report as indented JSON, in pieces. In a list, such as that of the samples, each element is one line. What was no
    UTF-8 on the command line stays legible: in a JSON string a backslash escape is what it says.
    """
    separator = "{\n"
    for key, value in document.items():
        yield f"{separator}  {json.dumps(key)}: "
        separator = ",\n"
        if isinstance(value, list) and value and isinstance(value[0], dict):
            yield "[\n    "
            yield ",\n    ".join(escaped(json.dumps(one, ensure_ascii=ascii)) for one in value)
            yield "\n  ]"
        else:
            # There is no line end within a JSON text but those of the indentation.
            yield escaped(json.dumps(value, indent=2, ensure_ascii=ascii)).replace("\n", "\n  ")
    yield "\n}\n" if document else "{}\n"


def writeWhole(path: str, texts: Iterable[str], patience: Patience | None = None) -> None:
    """
    Write texts one after the other, in UTF-8.

    @param path: an absolute file name; all is written beside it and then renamed, so that a reader never sees half of
        it. A file that was there keeps its mode and, if that is possible, its owner. What is there and no file, such as
        a FIFO, is written to instead, and so are descriptors of this process, such as C{/dev/stderr}. C{"-"} is
        standard output, the process's own even where twistd has redirected C{sys.stdout} into its log.
    @param patience: how long to wait for somebody to read what is no file.
    @raise OSError: the file can't be written, or nobody reads it, or it is in a place that a stranger has prepared: see
        L{smtpsource.process.places}.
    """
    patience = patience or Patience()
    pieces = _joined(texts)
    if path == "-":
        _writeOut(pieces, patience)
        return
    encoded = (text.encode("utf-8", "backslashreplace") for text in pieces)
    with Place(path) as place:
        if place.isFile:
            replaceFile(place, encoded)
            return
        target = Unwaited(place.own) if place.own is not None else Unwaited(_opened(place, patience), own=True)
        try:
            pour(target, encoded, patience)
        finally:
            target.close()


def isFile(path: str) -> bool:
    """
    Is it a file, or the name of one that is to be, what L{writeWhole} would write there?
    """
    if path == "-":
        return False
    try:
        with Place(path) as place:
            return place.isFile
    except OSError:
        return False


def problemIn(exception: Exception) -> str:
    """
    Why a file can't be written, as one line.
    """
    if isinstance(exception, OSError):
        return exception.strerror or str(exception)
    return ": ".join(named(exception))


def unwritten(what: str, problem: str) -> str:
    """
    What people are told of a file that can't be written while the run goes on.
    """
    return f"{what} can't be written: {problem}; the run goes on, and so do the tries"


def awaitDisk(ended: Event, done: Callable[[], int], patience: Patience) -> None:
    """
    Wait for a thread that writes.

    @param ended: set when it has ended.
    @param done: gives how much it has written.
    @param patience: how long to wait for a disk that takes nothing.
    @raise OSError: it was long enough.
    """
    before = done()
    while not ended.wait(_INTERVAL):
        if done() != before:
            before = done()
            patience.renew()
        elif patience.over:
            raise TimeoutError(errno.ETIMEDOUT, "the disk takes nothing")


def _joined(texts: Iterable[str]) -> Iterator[str]:
    """
    The same in larger pieces.
    """
    few: list[str] = []
    length = 0
    for text in texts:
        few.append(text)
        length += len(text)
        if length >= _PIECE:
            yield "".join(few)
            few, length = [], 0
    if few:
        yield "".join(few)


def _writeOut(pieces: Iterable[str], patience: Patience) -> None:
    outlet = Outlet(sys.__stdout__)
    for piece in pieces:
        outlet.say(piece)
        outlet.finish(patience)
        if outlet.problem is not None:
            raise outlet.problem


def replaceFile(place: Place, pieces: Iterable[bytes]) -> None:
    """
    Write a new file and give it the name of the old one: see L{newFile}.
    """
    os.close(newFile(place, pieces))


def newFile(place: Place, pieces: Iterable[bytes]) -> int:
    """
    Write a new file beside the place, and put it there as a whole. What was private is so from the first byte on.

    @return: its descriptor, to read from and to add to.
    @raise OSError: it can't be written.
    """
    aside = f".smtpsource-{os.urandom(8).hex()}"
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    mode = 0o666 if place.status is None else 0o600
    descriptor = os.open(aside, flags, mode, dir_fd=place.directory)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.writelines(pieces)
        if place.status is not None:
            _makeLike(place.status, descriptor)
        os.rename(aside, place.name, src_dir_fd=place.directory, dst_dir_fd=place.directory)
    except BaseException:
        with suppress(OSError):
            os.unlink(aside, dir_fd=place.directory)
        os.close(descriptor)
        raise
    return descriptor


def complete(descriptor: int, path: str, texts: Iterable[str]) -> None:
    """
    See that a file which was written so far is what it should be in the end. If that begins as it does, the rest is
    added; else it is written anew.

    @param descriptor: the file's; to read from and to add to.
    @param path: where it was put.
    @param texts: all of it.
    @raise OSError: see L{writeWhole}.
    """
    pieces = (text.encode("utf-8", "backslashreplace") for text in _joined(texts))
    here = os.fstat(descriptor)
    at = 0
    with Place(path) as place:
        isThere = place.status is not None and os.path.samestat(place.status, here)
        for piece in pieces:
            found = os.pread(descriptor, len(piece), at) if isThere else b""
            at += len(found)
            if found == piece:
                continue
            if isThere and at == here.st_size and piece.startswith(found):
                with open(descriptor, "ab", closefd=False) as file:
                    file.write(piece[len(found) :])
                    file.writelines(pieces)
            else:
                replaceFile(place, chain(_beginning(descriptor, at - len(found)), (piece,), pieces))
            return
    os.ftruncate(descriptor, at)


def _beginning(descriptor: int, length: int) -> Iterator[bytes]:
    for at in range(0, length, _PIECE):
        yield os.pread(descriptor, min(_PIECE, length - at), at)


def _makeLike(old: os.stat_result, descriptor: int) -> None:
    """
    Give a file the owner and the mode of another one, as far as this process may.
    """
    mode = stat.S_IMODE(old.st_mode) & 0o777
    new = os.fstat(descriptor)
    try:
        if old.st_uid != new.st_uid:
            os.fchown(descriptor, old.st_uid, -1)
    except OSError:
        pass
    try:
        if old.st_gid != new.st_gid:
            os.fchown(descriptor, -1, old.st_gid)
    except OSError:
        # It is another group now: it may do no more than everybody.
        mode &= 0o707 | (mode & 0o007) << 3
    os.fchmod(descriptor, mode)


def _opened(place: Place, patience: Patience) -> int:
    """
    Open what is there, without waiting longer than that for somebody to read a FIFO.
    """
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    flags |= os.O_APPEND if place.foreign else os.O_NOFOLLOW
    while True:
        try:
            descriptor = os.open(place.name, flags, dir_fd=place.directory)
        except OSError as e:
            if e.errno != errno.ENXIO or (place.status and not stat.S_ISFIFO(place.status.st_mode)):
                raise
        else:
            break
        if patience.over:
            raise unread()
        time.sleep(_INTERVAL)
    found = os.fstat(descriptor)
    if place.status and (found.st_dev, found.st_ino) != (place.status.st_dev, place.status.st_ino):
        os.close(descriptor)
        raise OSError(errno.ESTALE, "it was replaced meanwhile")
    return descriptor
