"""
Content as files have it, made in pieces: it may be large.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO

#: How much is read at a time, in octets.
PIECE = 65536

#: A line that an mbox file must not have, after the end of the one before it, and what may become one.
_FROM = re.compile(rb"\n(>*From )")
_maybeFrom = re.compile(rb"\n>*(F(?:r(?:om?)?)?)?\Z").search


def pieces(content: BinaryIO) -> Iterator[bytes]:
    """
    A file from its beginning on.
    """
    content.seek(0)
    while piece := content.read(PIECE):
        yield piece


def withoutCR(content: BinaryIO) -> Iterator[bytes]:
    """
    The same without any CR, as Postfix has it.
    """
    for piece in pieces(content):
        yield piece.replace(b"\r", b"")


def withLF(content: BinaryIO) -> Iterator[bytes]:
    """
    The same with LF at the end of each line, the last one too. A CR elsewhere stays.
    """
    held = b""
    last = b"\n"
    for piece in pieces(content):
        text = (held + piece).replace(b"\r\n", b"\n")
        held = b"\r" if text.endswith(b"\r") else b""
        text = text.removesuffix(held)
        if text:
            last = text[-1:]
            yield text
    if held or last != b"\n":
        yield held + b"\n"


def quoted(text: Iterable[bytes]) -> Iterator[bytes]:
    """
    What follows a C{From} line in an mbox file, of the kind called mboxrd: a line that begins with C{From} after any
    number of C{>} has one more.
    """
    # An LF if this is the beginning of a line, and the part of "From" that has been held back.
    before = b"\n"
    for piece in text:
        whole = _FROM.sub(rb"\n>\1", before + piece)
        match = _maybeFrom(whole)
        # A line of nothing but > is as good as its beginning: no matter where among them one more goes.
        held = (b"\n" + (match[1] or b"")) if match else b""
        yield whole[before[:1] == b"\n" : len(whole) - len(held[1:])]
        before = held
    yield before[1:]
