"""
Where a file is to be written.

Links are followed, but not those that a stranger may have put in the way: what another user has put in a directory that
is for everybody (sticky, as /tmp is) is left alone, be it a link, a file or a FIFO, just as the system does with
fs.protected_symlinks, fs.protected_regular and fs.protected_fifos, where they are set; see proc_sys_fs(5). Here it
could not do so, as a link is looked up to write beside what it names.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from collections.abc import Hashable
from types import TracebackType
from typing import Any

#: As many links as Linux follows.
_LINKS = 40

#: Only to find something in it: that needs no more than the right to do so.
_DIRECTORY = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)

#: Where a process has its descriptors, by their numbers. What is there can't be looked up by its name.
_DESCRIPTORS = re.compile(r"/proc/([0-9]+)(?:/task/[0-9]+)?/fd|/dev/fd")


class Place:
    """
    Somewhere to write to; a context manager, in which it does not change under us.

    @ivar directory: a descriptor of the directory it is in.
    @ivar name: its name there.
    @ivar status: what is there now; C{None} for nothing.
    @ivar own: the number of the descriptor of this process that it is, or C{None}.
    @ivar foreign: it is a descriptor of another process.
    """

    status: os.stat_result | None = None
    own: int | None = None
    foreign = False

    def __init__(self, path: str) -> None:
        """
        @param path: absolute.
        @raise OSError: it can't be found, or is not to be used.
        """
        self.name = ""
        self.directory = os.open("/", _DIRECTORY)
        try:
            self._find(path)
        except BaseException:
            os.close(self.directory)
            raise

    def __enter__(self) -> Place:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self.directory)

    @property
    def isFile(self) -> bool:
        """
        Is there a file, or nothing yet? All else is written to as it is.
        """
        return self.own is None and not self.foreign and (self.status is None or stat.S_ISREG(self.status.st_mode))

    @property
    def identity(self) -> Hashable:
        """
        The same for two names of the same place.
        """
        status = os.fstat(self.own) if self.own is not None else self.status
        if self.foreign:
            status = os.stat(self.name, dir_fd=self.directory)
        if status is not None:
            return status.st_dev, status.st_ino
        beside = os.fstat(self.directory)
        return beside.st_dev, beside.st_ino, self.name

    def _find(self, path: str) -> None:
        left, at, links = _parts(path), "", 0
        while left:
            name = left.pop(0)
            descriptors = _DESCRIPTORS.fullmatch(at)
            if descriptors and not left and name.isdecimal():
                self.name = name
                self.foreign = descriptors[1] not in (None, str(os.getpid()))
                self.own = None if self.foreign else int(name)
                return
            try:
                found = os.stat(name, dir_fd=self.directory, follow_symlinks=False)
            except FileNotFoundError:
                if left:
                    raise
                self.name = name
                return
            if stat.S_ISLNK(found.st_mode):
                links += 1
                if links > _LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                self._refuse(found, name, "link")
                text = os.readlink(name, dir_fd=self.directory)
                left[:0] = _parts(text)
                if text.startswith("/"):
                    at = ""
                    self._enter("/")
            elif left:
                at = os.path.normpath(f"{at}/{name}")
                self._enter(name)
            else:
                if not stat.S_ISDIR(found.st_mode):
                    self._refuse(found, name, "file" if stat.S_ISREG(found.st_mode) else "FIFO")
                self.name, self.status = name, found
        if not self.name or (self.status and stat.S_ISDIR(self.status.st_mode)):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))

    def _enter(self, name: str) -> None:
        entered = os.open(name, _DIRECTORY, dir_fd=self.directory)
        os.close(self.directory)
        self.directory = entered

    def _refuse(self, found: os.stat_result, name: str, what: str) -> None:
        """
        @raise OSError: a stranger has put this in our way.
        """
        directory = os.fstat(self.directory)
        isShared = directory.st_mode & stat.S_ISVTX and directory.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if isShared and found.st_uid not in (os.geteuid(), directory.st_uid):
            raise OSError(
                errno.EACCES, f"{name!r} is a {what} that another user has put in a directory that is for everybody"
            )


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def checked(text: str) -> str:
    """
    A place to write to, as a user has written it.

    @return: it, made absolute: a daemon changes its directory later. C{"-"} is standard output, by whatever name.
    @raise ValueError: it can't be written to; the text says what was expected.
    """
    if text == "-":
        return text
    path = os.path.abspath(text)
    if not text or os.path.isdir(path):
        raise ValueError("expected the name of a file to write")
    directory = os.path.dirname(path)
    try:
        with Place(path) as place:
            if place.own is not None:
                return _checkedOwn(place.own, path)
            if not place.isFile:
                if (place.status and stat.S_ISSOCK(place.status.st_mode)) or not os.access(path, os.W_OK):
                    raise ValueError("expected a file that can be written")
            elif not os.access(".", os.W_OK, dir_fd=place.directory):
                raise ValueError(f"expected a file in a directory that can be written; {directory} can't")
            elif not _isReplaceable(place):
                raise ValueError("expected a file that can be written")
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"expected a file in a directory that exists; there is no {directory}")
    except OSError as e:
        raise ValueError(f"expected a file that can be written: {e.strerror}")
    return path


def _checkedOwn(descriptor: int, path: str) -> str:
    try:
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    except OSError:
        raise ValueError("expected a descriptor that is open")
    if flags & os.O_ACCMODE == os.O_RDONLY:
        raise ValueError("expected a descriptor that can be written")
    return "-" if descriptor == 1 else path


def _isReplaceable(place: Place) -> bool:
    """
    In a sticky directory only its owner and the file's may do so; see unlink(2).
    """
    if place.status is None:
        return True
    directory = os.fstat(place.directory)
    owners: tuple[Any, ...] = (0, directory.st_uid, place.status.st_uid)
    return not directory.st_mode & stat.S_ISVTX or os.geteuid() in owners


def identityOfDescriptor(descriptor: int) -> Hashable:
    """
    The same for a descriptor that a file was opened by, such as that of standard output; C{None} if it is no file.
    """
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None
