"""
The content of a message while it comes: what a client has sent, and what it has meant.
"""

from __future__ import annotations

import re
import tempfile
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, BinaryIO, cast

if TYPE_CHECKING:
    from smtpsource.sink.keeping.digested import Digested

#: Octets of the beginning in which a header is looked for.
_HEAD = 64 * 1024

#: Octets of a message that are kept in memory while it comes; a longer one goes to a file without a name. Thousands of
#: clients may have begun one each.
_IN_MEMORY = 64 * 1024

_messageId = re.compile(
    rb"^message-id:[ \t]*(?:\r?\n[ \t]+)?(<[^>\r\n]{1,500}>|[^\s]{1,500})", re.IGNORECASE | re.MULTILINE
)


def _newFile() -> BinaryIO:
    return cast("BinaryIO", tempfile.SpooledTemporaryFile(_IN_MEMORY))


class IncomingContent:
    """
    What has come of one message.

    @ivar size: octets of the content, without stuffed dots and without the dot that ends it.
    @ivar digested: what a ledger wants to know of it, if there is one.
    """

    def __init__(self, file: bool, stuffed: bool, digested: Digested | None = None) -> None:
        """
        @param file: somebody wants to keep it.
        @param stuffed: it comes by DATA (RFC 5321 section 4.5.2), and not in chunks.
        @param digested: is given it as well.
        """
        self.digested = digested
        self.size = 0
        self._file = _newFile() if file else None
        self._head = b""
        # Of what was looked at so far; as long as nobody knows whether there is a Message-Id.
        self._digest: Any = None
        self._messageId: bytes | None = None
        # The line end before the first line; and what may be the beginning of a stuffed dot, or of the end.
        self._rest = b"\r\n" if stuffed else b""
        self._begun = not stuffed

    def add(self, piece: bytes) -> None:
        """
        More of what comes by DATA, with its dots.

        @raise OSError: there is no more room for it.
        """
        text = self._rest + piece
        end = max(0, len(text) - 4)
        # A line end belongs together with a dot after it.
        if text[end - 2 : end] == b"\r\n":
            end -= 2
        elif text[end - 1 : end] == b"\r":
            end -= 1
        self._rest = text[end:]
        self._unstuffed(text[:end])

    def addChunk(self, piece: bytes) -> None:
        """
        More of a chunk (RFC 3030), as it is.

        @raise OSError: there is no more room for it.
        """
        self.size += len(piece)
        if self._digest is not None:
            self._digest.update(piece)
        elif self._messageId is None:
            self._head += piece
            if len(self._head) >= _HEAD or b"\r\n\r\n" in self._head:
                self._identify()
        if self.digested is not None:
            self.digested.add(piece)
        if self._file is not None:
            self._file.write(piece)

    def end(self) -> None:
        """
        It came whole: what is left has the dot that ends it.

        @raise OSError: there is no more room for it.
        """
        if self._rest:
            self._unstuffed(self._rest.removesuffix(b".\r\n"))
            self._rest = b""
        if self.digested is not None:
            self.digested.end()

    def _unstuffed(self, text: bytes) -> None:
        text = text.replace(b"\r\n.", b"\r\n")
        if not self._begun and text:
            self._begun = True
            text = text[2:]
        if text:
            self.addChunk(text)

    @property
    def file(self) -> BinaryIO:
        """
        All of it.
        """
        assert self._file is not None
        return self._file

    def _identify(self) -> None:
        """
        The header is there, or will not be looked at any further.
        """
        header, _, _ = self._head.partition(b"\r\n\r\n")
        match = _messageId.search(header[:_HEAD])
        if match is not None:
            self._messageId = match[1]
        else:
            self._digest = blake2b(self._head, digest_size=16)
        self._head = b""

    def identity(self) -> str:
        """
        What tells this message from another: the Message-Id of its header or, without one, a digest.
        """
        if self._messageId is None and self._digest is None:
            self._identify()
        return str(self._digest.hexdigest()) if self._messageId is None else self._messageId.decode("latin-1")

    def close(self) -> None:
        """
        It is of no more use.
        """
        if self._file is not None:
            self._file.close()
