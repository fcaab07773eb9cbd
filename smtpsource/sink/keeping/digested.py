"""
What a ledger says of a content, worked out while it comes.
"""

from __future__ import annotations

from typing import BinaryIO

from smtpsource.ledger.digests import BodyDigest, parted
from smtpsource.ledger.reports import MOST, mayBeReport

#: Octets of a content that are kept until it is whole: it is often the one before again. Of a longer one, each piece
#: is digested when it comes.
LONGEST = 64 * 1024

#: Octets in which the end of the head is looked for. One without an end there is taken for a body.
_LONGEST_HEAD = 1024 * 1024


class Digested:
    """
    A content, of which there is to be a digest.

    @ivar size: octets so far.
    @ivar head: that of the message, when the content is whole.
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
        whole = b"".join(self._pieces)
        head, body = parted(whole)
        if not body and len(whole) < _LONGEST_HEAD:
            self._pieces, self._most = [whole], 2 * len(whole)
            return
        if not body:
            head, body = b"", whole
        self.head = head
        self._digest = BodyDigest(head)
        self._digest.add(body)
        self._keeps, self._most = mayBeReport(head) is not None, MOST
        self._pieces = [whole] if self._keeps else []

    def end(self) -> None:
        """
        That was all.
        """
        if self._digest is None:
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
