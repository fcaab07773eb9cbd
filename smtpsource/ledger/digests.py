"""
Digests: of addresses, and of the bodies of messages, as they are and in canonical form.

The canonical form is what a mail server has to leave alone: the octets of the body without its transfer encoding (RFC
2045 section 6), each line ended by LF, and without the line ends at its end. Of a body that has parts it is that of
each part, in their order and however deep, with the headers of the part, but without what they say of the encoding
and how they are folded; and what stands before and after the parts, but for empty lines. So a server that ends lines
in another way, or makes quoted-printable of 8-bit text for one that can't have it (RFC 6152 section 3), leaves it as
it is. The head of the message is no part of it: servers add to it and fold it.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

try:
    from _blake2 import blake2b  # hashlib would load OpenSSL along with it
except ImportError:
    from hashlib import blake2b

if TYPE_CHECKING:
    from email.message import Message

#: Octets of a body that is taken apart; of a longer one, the encoding is part of what is compared.
_MOST = 32 * 1024 * 1024

#: Parts within parts; what has more counts as it is. The library has an end too, but not everywhere at one depth.
_DEEPEST = 50

_isEncoded = re.compile(
    rb"^content-(?:transfer-encoding:\s*(?:\([^()]*\)\s*)*(?:quoted-printable|base64)|type:\s*(?:multipart|message)/)",
    re.IGNORECASE | re.MULTILINE,
).search
_comments = re.compile(r"\([^()]*\)")
_ENCODING = "content-transfer-encoding"
_codings = re.compile(rb"^content-[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*", re.IGNORECASE | re.MULTILINE).findall


def digest(octets: bytes) -> int:
    """
    The digest of some octets: 64 bits of BLAKE2b.
    """
    return int.from_bytes(blake2b(octets, digest_size=8).digest(), "little")


@lru_cache(65536)
def ofAddress(address: bytes) -> int:
    """
    The digest of a mailbox. Case has no meaning in its domain (RFC 5321 section 2.4).

    @param address: as in a path, without brackets.
    """
    local, at, domain = address.rpartition(b"@")
    return digest(local + at + domain.lower())


def parted(content: bytes) -> tuple[bytes, bytes]:
    """
    Head and body of a message, without the empty line between them. What has none is all head (RFC 5322 section 2.1).
    """
    if content.startswith(b"\r\n"):
        return b"", content[2:]
    head, end, body = content.partition(b"\r\n\r\n")
    return (head + b"\r\n", body) if end else (content, b"")


def encodingIn(head: bytes) -> bytes | None:
    """
    What of a head says how the body is encoded; C{None} if it is not, and is its own canonical form but for line ends.
    """
    return b"\n".join(_codings(head)) if _isEncoded(head) else None


class BodyDigest:
    """
    Both digests of a body that comes in pieces.
    """

    def __init__(self, head: bytes) -> None:
        """
        @param head: the message's, with its line ends: how the body is encoded.
        """
        self._head = head
        self._raw = blake2b(digest_size=8)
        self._plain = blake2b(digest_size=8)
        self._kept: list[bytes] | None = [] if _isEncoded(head) else None
        self._size = 0
        # Line ends that may be its last ones, and what may be the first half of one.
        self._ends = 0
        self._half = b""

    def add(self, piece: bytes) -> None:
        """
        More of it, with line ends as they came and without stuffed dots.
        """
        self._raw.update(piece)
        self._size += len(piece)
        if self._kept is not None and self._size <= _MOST:
            self._kept.append(piece)
        text = self._half + piece
        self._half = b"\r" if text.endswith(b"\r") else b""
        text = text.removesuffix(b"\r").replace(b"\r\n", b"\n")
        self._addLines(text.rstrip(b"\n"), len(text))

    def _addLines(self, text: bytes, size: int) -> None:
        """
        @param size: how much of it there is, with the line ends after it.
        """
        if text:
            while self._ends:
                some = min(self._ends, 65536)
                self._plain.update(b"\n" * some)
                self._ends -= some
            self._plain.update(text)
        self._ends += size - len(text)

    def result(self) -> tuple[int, int]:
        """
        @return: of the body as it came, and in canonical form. It is of no more use.
        """
        self._addLines(self._half, len(self._half))
        canonical = self._plain.digest()
        if self._kept is not None and self._size <= _MOST:
            from email import message_from_bytes  # it takes a while, and most are as they are

            # A stranger may have written it, and the library has its own ways to fail: then it counts as it is.
            with suppress(Exception):
                whole = self._head.rstrip(b"\r\n") + b"\r\n\r\n" + b"".join(self._kept)
                canonical = _ofContent(message_from_bytes(whole))
        return int.from_bytes(self._raw.digest(), "little"), int.from_bytes(canonical, "little")


def ofBody(head: bytes, body: bytes) -> tuple[int, int]:
    """
    Both digests of a whole body: see L{BodyDigest}.
    """
    if not _isEncoded(head):
        return digest(body), digest(body.replace(b"\r\n", b"\n").rstrip(b"\n"))
    both = BodyDigest(head)
    both.add(body)
    return both.result()


def _ofContent(message: Message, depth: int = 0) -> bytes:
    """
    The digest of what follows the headers of a message or a part.

    @param depth: how many it is in.
    @raise RecursionError: there are too many in each other.
    """
    if depth > _DEEPEST:
        raise RecursionError
    inner = message.get_payload()
    if not isinstance(inner, list):
        payload = _straight(message).get_payload(decode=True)
        return _ofText(payload if isinstance(payload, bytes) else b"")
    around = (_withoutEmptyLines(text) for text in (message.preamble, message.epilogue))
    pieces = [_ofHeaders(part) + _ofContent(part, depth + 1) for part in inner if not isinstance(part, str)]
    return blake2b(b"".join([*map(_ofText, around), *pieces]), digest_size=8).digest()


def _ofHeaders(part: Message) -> bytes:
    """
    That of the headers of a part, without what they say of its encoding.
    """
    each = ((name.lower(), value) for name, value in part.raw_items())
    lines = (f"{name}: {' '.join(str(value).split())}" for name, value in each if name != _ENCODING)
    return _ofText("\n".join(lines).encode("utf-8", "surrogateescape"))


def _straight(part: Message) -> Message:
    """
    Have the encoding of a part written as the library knows it.
    """
    if _ENCODING in part:
        part.replace_header(_ENCODING, _comments.sub("", str(part[_ENCODING])).strip().lower())
    return part


def _withoutEmptyLines(text: str | None) -> bytes:
    lines = (line.rstrip() for line in (text or "").splitlines())
    return "\n".join(filter(None, lines)).encode("utf-8", "surrogateescape")


def _ofText(octets: bytes) -> bytes:
    text = octets.replace(b"\r\n", b"\n").rstrip(b"\n")
    return blake2b(text, digest_size=8).digest()
