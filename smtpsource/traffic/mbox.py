"""
Where messages are in an mbox file: each after a line that begins with C{From} and comes after an empty line, or first.
Lines in them that were escaped because they begin so (C{>From}) stay escaped.
"""

from __future__ import annotations

from array import array
from mmap import mmap

#: What the line before a message begins with.
FROM = b"From "


def extents(map: mmap) -> tuple[array[int], array[int]]:
    """
    Where messages begin, and where they end. Those with nothing in them are left out.

    @param map: a file that begins with C{FROM}.
    """
    starts, ends = array("Q"), array("Q")
    start = 0
    while start >= 0:
        begin, end = map.find(b"\n", start) + 1, _end(map, start)
        if 0 < begin < end:
            starts.append(begin)
            ends.append(end)
        start = map.find(FROM, end)
    return starts, ends


def _end(map: mmap, start: int) -> int:
    """
    The end of the message that begins at C{start}: before the empty line that comes before the next message, or before
    the end of the file.
    """
    while (found := map.find(b"\n" + FROM, start)) >= 0:
        end = _beforeEmptyLine(map, found + 1)
        if end <= found:
            return end
        start = found + 1
    return _beforeEmptyLine(map, len(map))


def _beforeEmptyLine(map: mmap, end: int) -> int:
    """
    Without the empty line that is before C{end}, if there is one.
    """
    if map[max(0, end - 2) : end] == b"\n\n":
        return end - 1
    return end - 2 if map[max(0, end - 3) : end] == b"\n\r\n" else end
