"""
Parts of files, without a copy of them.
"""

from __future__ import annotations

from mmap import mmap

from smtpsource.smtp.streaming import PIECE


class Mapped:
    """
    A part of a file that is mapped into memory, and maybe a few bytes after it. It has a length and slices: a small one
    is bytes, a large one is another such part.

    A file that gets shorter while it is mapped would kill the process that reads what is gone. So this looks first:
    blanks take the place of what is gone.
    """

    __slots__ = ("_end", "_map", "_start", "_tail")

    def __init__(self, map: mmap, start: int, end: int, tail: bytes = b"") -> None:
        """
        @param start: where it begins in the file.
        @param end: where it ends there.
        @param tail: what comes after it.
        """
        self._map = map
        self._start = start
        self._end = end
        self._tail = tail

    def __len__(self) -> int:
        return self._end - self._start + len(self._tail)

    def __getitem__(self, part: slice) -> bytes | Mapped:
        start, stop, step = part.indices(len(self))
        if step != 1:
            raise ValueError("expected a slice of consecutive bytes")
        stop = max(start, stop)
        inFile = self._end - self._start
        mapStart, mapEnd = self._start + min(start, inFile), self._start + min(stop, inFile)
        tail = self._tail[max(0, start - inFile) : max(0, stop - inFile)]
        if stop - start > PIECE:
            return Mapped(self._map, mapStart, mapEnd, tail)
        return self._read(mapStart, mapEnd) + tail

    def __bytes__(self) -> bytes:
        return self._read(self._start, self._end) + self._tail

    def withLineEnd(self) -> Mapped:
        """
        The same with CRLF at its end, which will be there whatever becomes of the file.
        """
        ended = self[len(self) - 2 :] == b"\r\n"
        return Mapped(self._map, self._start, self._end - 2 if ended else self._end, b"\r\n")

    def followedBy(self, tail: bytes) -> Mapped:
        """
        The same with more bytes after it.
        """
        return Mapped(self._map, self._start, self._end, self._tail + tail)

    def _read(self, start: int, end: int) -> bytes:
        there = self._map[start : max(start, min(end, self._map.size()))]
        return there + b" " * (end - start - len(there))
