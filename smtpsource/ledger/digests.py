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

#: Octets of a body that is taken apart, and how many parts with parts in them it may have; of another one, the encoding
#: is part of what is compared. A server has as much of each message that is coming, and the library for mail needs its
#: stack for each level.
_MOST = 4 * 1024 * 1024
_MOST_CONTAINERS = 100

#: Octets of a head that are looked at: for the id, which comes first, and for how the body is encoded.
LONGEST_HEAD = 64 * 1024


_isEncoded = re.compile(
    rb"^content-(?:transfer-encoding:\s*(?:\([^()]*\)\s*)*(?:quoted-printable|base64)|type:\s*(?:multipart|message)/)",
    re.IGNORECASE | re.MULTILINE,
).search
_container = re.compile(rb"^content-type:\s*(?:multipart|message)/", re.IGNORECASE | re.MULTILINE)
_comments = re.compile(r"\([^()]*\)")
_ENCODING = "content-transfer-encoding"
_codings = re.compile(rb"^content-[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*", re.IGNORECASE | re.MULTILINE).findall

# A local part that is a quoted string, and what needs no quotes (RFC 5321 section 4.1.2, RFC 6531 section 3.3).
_quoted = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL).fullmatch
_isDotString = re.compile(rb"[\w!#$%&'*+/=?^`{|}~\x80-\xff-]+(?:\.[\w!#$%&'*+/=?^`{|}~\x80-\xff-]+)*").fullmatch


def digest(octets: bytes) -> int:
    """
    The digest of some octets: 64 bits of BLAKE2b.
    """
    return int.from_bytes(blake2b(octets, digest_size=8).digest(), "little")


@lru_cache(65536)
def ofAddress(address: bytes) -> int:
    """
    The digest of a mailbox. Case has no meaning in its domain (RFC 5321 section 2.4), nor have quotes where none are
    needed (section 4.1.2).

    @param address: as in a path, without brackets.
    """
    local, at, domain = address.rpartition(b"@")
    return digest(_unquoted(local) + at + domain.lower() if at else _unquoted(domain.lower()))


def _unquoted(local: bytes) -> bytes:
    """
    A local part with as few quotes and backslashes as it can have.
    """
    match = _quoted(local)
    if match is None:
        return local
    text = re.sub(rb"\\(.)", rb"\1", match[1], flags=re.DOTALL)
    return text if _isDotString(text) else b'"' + re.sub(rb'(["\\])', rb"\\\1", text) + b'"'


def parted(content: bytes) -> tuple[bytes, bytes]:
    """
    Head and body of a message, without the empty line between them. What has none is all head (RFC 5322 section 2.1).
    """
    at = bodyIn(content)
    return (content[: at - 2], content[at:]) if at > 0 else (content, b"")


def bodyIn(content: bytes, isBeginning: bool = True) -> int:
    """
    Where a body begins, by the empty line before it, which may be the first one (RFC 5322 section 2.1).

    @param content: a message, or a part of it.
    @return: -1 if there is no such line.
    """
    if isBeginning and content.startswith(b"\r\n"):
        return 2
    at = content.find(b"\r\n\r\n")
    return at + 4 if at >= 0 else -1


def encodingIn(head: bytes) -> bytes | None:
    """
    What of a head says how the body is encoded; C{None} if it is not, and is its own canonical form but for line ends.
    """
    head = head[:LONGEST_HEAD]
    return b"\n".join(_codings(head)) if _isEncoded(head) else None


class BodyDigest:
    """
    Both digests of a body that comes in pieces.
    """

    def __init__(self, head: bytes) -> None:
        """
        @param head: the message's, with its line ends: how the body is encoded.
        """
        self._head = head = head[:LONGEST_HEAD]
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
        if self._size > _MOST:
            self._kept = None
        elif self._kept is not None:
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
        content = self._content()
        if content is not None:
            from email import message_from_bytes  # it takes a while, and most are as they are

            # A stranger may have written it, and the library has its own ways to fail: then it counts as it is.
            with suppress(Exception):
                canonical = _ofContent(message_from_bytes(content))
        return int.from_bytes(self._raw.digest(), "little"), int.from_bytes(canonical, "little")

    def _content(self) -> bytes | None:
        """
        The message, if it is to be taken apart.
        """
        if self._kept is None:
            return None
        content = self._head.rstrip(b"\r\n") + b"\r\n\r\n" + b"".join(self._kept)
        return content if sum(1 for _ in _container.finditer(content)) <= _MOST_CONTAINERS else None


def ofBody(head: bytes, body: bytes) -> tuple[int, int]:
    """
    Both digests of a whole body: see L{BodyDigest}.
    """
    if not _isEncoded(head[:LONGEST_HEAD]):
        return digest(body), digest(body.replace(b"\r\n", b"\n").rstrip(b"\n"))
    both = BodyDigest(head)
    both.add(body)
    return both.result()


def _ofContent(message: Message) -> bytes:
    """
    The digest of what follows the headers of a message or a part.
    """
    inner = message.get_payload()
    if not isinstance(inner, list):
        payload = _straight(message).get_payload(decode=True)
        return _ofText(payload if isinstance(payload, bytes) else b"")
    around = (_withoutEmptyLines(text) for text in (message.preamble, message.epilogue))
    pieces = [_ofHeaders(part) + _ofContent(part) for part in inner if not isinstance(part, str)]
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
