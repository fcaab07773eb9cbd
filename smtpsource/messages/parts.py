"""
Parts of files, without a copy of them.

They are read when they are sent. A file may change meanwhile: what is read of it then is an error and no message. (To
map a file into memory would not do: a process that reads what was cut off is killed.)
"""

from __future__ import annotations

import os
from typing import Any

from smtpsource.smtp.streaming import PIECE, ContentLost

#: When a file was changed last, in nanoseconds, and its size.
Stamp = tuple[int, int]


class Unreadable(ContentLost):
    """
    A message can't be had; the text says which, and why.
    """


class StoredFile:
    """
    An open file. It is closed when nothing has a use for it any more.

    @ivar path: its name.
    @ivar stamp: what it was like when it was opened.
    """

    __slots__ = ("_descriptor", "path", "stamp")

    def __init__(self, path: str) -> None:
        """
        @raise OSError: it can't be opened.
        """
        self.path = path
        # Nobody waits for anybody if it is a pipe.
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self.stamp = self.now()

    def __del__(self) -> None:
        descriptor = getattr(self, "_descriptor", None)
        if descriptor is not None:
            os.close(descriptor)

    def __reduce__(self) -> Any:
        """
        Another process opens it itself. Whether it is still the same, each L{StoredMessage} knows.
        """
        return type(self), (self.path,)

    def now(self) -> Stamp:
        """
        What it is like.
        """
        found = os.fstat(self._descriptor)
        return found.st_mtime_ns, found.st_size

    def read(self, start: int, end: int) -> bytes:
        """
        What is there between two places; less, if it ends between them.

        @raise OSError: it can't be read.
        """
        return os.pread(self._descriptor, end - start, start)

    def isStill(self, start: int, end: int) -> bool:
        """
        The file has changed: is what was found between these places still there? For a subclass that can tell.
        """
        return False


class StoredMessage:
    """
    Where a message is in a file.

    @ivar file: the file.
    """

    __slots__ = ("_end", "_number", "_stamp", "_start", "file")

    def __init__(self, file: StoredFile, start: int, end: int, number: int = 0) -> None:
        """
        @param number: which of its messages it is, from 1; 0 if it is all of it.
        """
        self.file = file
        self._start = start
        self._end = end
        self._number = number
        self._stamp = file.stamp

    @property
    def changed(self) -> bool:
        """
        Is the file another by now than when this was read last?
        """
        return self.file.now() != self._stamp

    def read(self, start: int, end: int) -> bytes:
        """
        Some of it.

        @param start: a place in the file.
        @raise Unreadable: it isn't there any more.
        """
        file = self.file
        try:
            found = file.read(start, end)
            if len(found) < end - start:
                raise Unreadable(f"{self}: the file is shorter than it was")
            now = file.now()
            if now != self._stamp:
                if not file.isStill(self._start, self._end):
                    raise Unreadable(f"{self}: the file has changed since it was looked at")
                self._stamp = now
            return found
        except OSError as e:
            raise Unreadable(f"{self}: {e.strerror}") from None

    def __str__(self) -> str:
        return f"message {self._number} of {self.file.path!r}" if self._number else repr(self.file.path)


class FilePart:
    """
    A part of a message in a file, and maybe a few bytes after it. It has a length and slices: a small one is bytes, a
    large one is another such part.

    To take bytes of it raises L{Unreadable} if they aren't there any more.

    @ivar message: the message.
    """

    __slots__ = ("_end", "_start", "_tail", "message")

    def __init__(self, message: StoredMessage, start: int, end: int, tail: bytes = b"") -> None:
        """
        @param start: where it begins in the file.
        @param end: where it ends there.
        @param tail: what comes after it.
        """
        self.message = message
        self._start = start
        self._end = end
        self._tail = tail

    def __len__(self) -> int:
        return self._end - self._start + len(self._tail)

    def __getitem__(self, part: slice) -> bytes | FilePart:
        start, stop, step = part.indices(len(self))
        if step != 1:
            raise ValueError("expected a slice of consecutive bytes")
        stop = max(start, stop)
        inFile = self._end - self._start
        fileStart, fileEnd = self._start + min(start, inFile), self._start + min(stop, inFile)
        tail = self._tail[max(0, start - inFile) : max(0, stop - inFile)]
        found = FilePart(self.message, fileStart, fileEnd, tail)
        return found if stop - start > PIECE else bytes(found)

    def __bytes__(self) -> bytes:
        if self._start == self._end:
            return self._tail
        return self.message.read(self._start, self._end) + self._tail

    def withLineEnd(self) -> FilePart:
        """
        The same with CRLF at its end.
        """
        ended = self[len(self) - 2 :] == b"\r\n"
        return FilePart(self.message, self._start, self._end - 2 if ended else self._end, b"\r\n")

    def followedBy(self, tail: bytes) -> FilePart:
        """
        The same with more bytes after it.
        """
        return FilePart(self.message, self._start, self._end, self._tail + tail)
