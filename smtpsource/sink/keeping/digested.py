"""
What a ledger says of a content, worked out while it comes.
"""

from __future__ import annotations

from typing import BinaryIO

from smtpsource.ledger.digests import LONGEST_HEAD, BodyDigest, bodyIn, parted
from smtpsource.ledger.reports import MOST, mayBeReport

#: Octets of a content that are kept until it is whole: it is often the one before again. Of a longer one, each piece
#: is digested when it comes.
LONGEST = 64 * 1024


class Digested:
    """
    A content, of which there is to be a digest.

    @ivar size: octets so far.
    @ivar head: that of the message, when the content is whole; of a long one, the beginning.
    @ivar body: what follows the head, if the content was kept; C{None} if it was digested.
    """

    def __init__(self) -> None:
        self.size = 0
        self.head = b""
        self.body: bytes | None = None
        self._pieces: list[bytes] = []
        self._most = LONGEST
        self._digest: BodyDigest | None = None
        self._keeps = True

    @classmethod
    def of(cls, file: BinaryIO) -> Digested:
        """
        All of a file that can be read again.
        """
        content = cls()
        file.seek(0)
        while piece := file.read(LONGEST):
            content.add(piece)
        content.end()
        return content

    def add(self, piece: bytes) -> None:
        """
        More of it, without stuffed dots.
        """
        self.size += len(piece)
        if self._digest is not None:
            self._digest.add(piece)
        if self._keeps:
            self._pieces.append(piece)
            if self.size > self._most:
                self._overflow()

    def _overflow(self) -> None:
        """
        It is too long to be kept; but a report is, as far as it is read.
        """
        if self._digest is not None:
            self._keeps = False
            return
        whole, isFirst = b"".join(self._pieces), not self.head
        at = bodyIn(whole, isFirst)
        if isFirst:
            self.head = whole[: at - 2] if at > 0 else whole[:LONGEST_HEAD]
        if at < 0:
            # Its head goes on. What may be the beginning of an empty line is kept.
            self._pieces, self._most = [whole[-3:]], self.size
            return
        self._digest = BodyDigest(self.head)
        self._digest.add(whole[at:])
        self._keeps, self._most = isFirst and mayBeReport(self.head) is not None, MOST
        self._pieces = [whole] if self._keeps else []

    def end(self) -> None:
        """
        That was all.
        """
        if self._digest is not None:
            return
        if self.head:  # which has no end
            self.body = b""
        else:
            self.head, self.body = parted(b"".join(self._pieces))

    def result(self) -> tuple[int, int]:
        """
        The digests of a body that was not kept: as it came, and in canonical form.
        """
        assert self._digest is not None
        return self._digest.result()

    def report(self) -> bytes | None:
        """
        The beginning of it, or all, if it may be a report.
        """
        if not mayBeReport(self.head):
            return None
        return b"".join(self._pieces)
