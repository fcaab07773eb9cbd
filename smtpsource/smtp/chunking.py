"""
Content in chunks (RFC 3030).
"""

from __future__ import annotations

from collections.abc import Iterator

Buffer = bytes | memoryview


def bdat(size: int, last: bool) -> bytes:
    """
    The command before a chunk.
    """
    return b"BDAT %d LAST\r\n" % size if last else b"BDAT %d\r\n" % size


def chunks(own: bytes, shared: Buffer, size: int | None) -> Iterator[tuple[bytes, bytes, Buffer, bool]]:
    """
    Cut a content into chunks.

    @param own: its beginning.
    @param shared: the rest of it.
    @param size: bytes of each chunk but the last; C{None} is one chunk for all.
    @return: for each chunk its command, what it has of C{own}, what it has of C{shared}, and whether it is the last.
    """
    total = len(own) + len(shared)
    step = size or total or 1
    for start in range(0, max(total, 1), step):
        end = min(start + step, total)
        fromShared = shared[max(0, start - len(own)) : max(0, end - len(own))]
        yield bdat(end - start, end == total), own[start:end], fromShared, end == total
