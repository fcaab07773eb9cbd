"""
What comes after the lines at the top of a message that are its own: a body, or a whole message.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

from smtpsource.messages.content import END, dotted
from smtpsource.messages.parts import FilePart, Unreadable
from smtpsource.smtp.streaming import LARGEST_WRITE, PIECE

#: Bytes of a message, as the dialogue takes them: something that has a length and slices.
Content = bytes | memoryview | FilePart

_LINE = b"X" * 78 + b"\r\n"

#: So many of them are looked at in one go.
_SOME = 1000

#: What stays in its file needs no memory, but a file descriptor; to keep it counts as much as this.
_IN_FILE = 256 * 1024


#: How a message with headers begins: with one, or with the empty line after none.
_isHeaded = re.compile(rb"[!-9;-~]+[ \t]*:|\r?\n").match


def isHeaded(beginning: bytes) -> bool:
    """
    Has a message headers?

    @param beginning: of the message.
    """
    return _isHeaded(beginning) is not None


#: What is said of a body that can't be read.
_UNREADABLE = (0, 0, 0)


def digestsOf(octets: bytes | FilePart, head: bytes, headed: bool) -> tuple[int, int, int]:
    """
    What L{smtpsource.ledger.digests} says of a body, and its size. One that can't be read is not sent, either.

    @param octets: it, or a whole message.
    @param head: what comes before.
    @param headed: do they begin with headers?
    """
    from smtpsource.ledger.digests import LONGEST_HEAD, BodyDigest  # for those who keep a ledger

    place = 0
    try:
        if headed:
            place = _bodyIn(octets)
            head += bytes(octets[: min(place, LONGEST_HEAD)])
        both = BodyDigest(head)
        for start in range(place, len(octets), PIECE):
            both.add(bytes(octets[start : start + PIECE]))
    except Unreadable:
        return _UNREADABLE
    return *both.result(), len(octets) - place


def _bodyIn(octets: bytes | FilePart) -> int:
    """
    Where the body of a message begins: after its first empty line, or at its end if it has none.
    """
    from smtpsource.ledger.digests import bodyIn

    for start in range(0, len(octets), PIECE):
        # With what may be the beginning of that line.
        begin = max(0, start - 3)
        at = bodyIn(bytes(octets[begin : start + PIECE]), isBeginning=not begin)
        if at >= 0:
            return begin + at
    return len(octets)


class Body(Protocol):
    """
    One body.

    @ivar size: how large it is, in bytes, as a user thinks of it.
    @ivar total: how many bytes L{bdatContent} has after the head.
    @ivar identified: does it have a Message-Id?
    @ivar headed: does it begin with headers?
    """

    size: int
    total: int
    identified: bool
    headed: bool

    def digests(self, head: bytes) -> tuple[int, int, int]:
        """
        What L{smtpsource.ledger.digests} says of what comes after all headers, and its size.

        @param head: the lines that come before this in a message.
        """

    def content(self, head: bytes) -> tuple[bytes, Content]:
        """
        The content of a message, as L{smtpsource.interfaces.IMessage.content} gives it.

        @param head: the lines that come before the body, each with its end.
        """

    def bdatContent(self, head: bytes) -> tuple[bytes, Content]:
        """
        The same, as L{smtpsource.interfaces.IMessage.bdatContent} gives it.
        """


class WholeBody:
    """
    A body that is there, for one message or for many.
    """

    __slots__ = ("_content", "_digests", "_octets", "headed", "identified", "size", "total")

    def __init__(
        self, octets: bytes | FilePart, *, size: int | None = None, identified: bool = False, headed: bool = False
    ) -> None:
        """
        @param octets: with CRLF at the end of each line, and not dot-stuffed; if it is L{FilePart}, no line begins with
            a dot.
        @param size: what is said of its size; its length unless given.
        """
        self._octets = octets
        # With the dots and, if it is large, with the end; made when it is asked for.
        self._content: bytes | None = None
        self._digests: tuple[int, int, int] | None = None
        self.total = len(octets)
        self.size = self.total if size is None else size
        self.identified = identified
        self.headed = headed

    @property
    def kept(self) -> int:
        """
        How many bytes of memory it takes to keep it, at most.
        """
        return _IN_FILE if isinstance(self._octets, FilePart) else 2 * self.total + 500

    @property
    def outdated(self) -> bool:
        """
        Has it stayed in its file, and that is another by now?
        """
        return isinstance(self._octets, FilePart) and self._octets.message.changed

    def content(self, head: bytes) -> tuple[bytes, Content]:
        """
        See L{Body.content}.
        """
        if isinstance(self._octets, FilePart):
            return head, self._octets.followedBy(END)
        content = self._content
        if content is None:
            content = dotted(self._octets)
            if len(content) + len(END) > LARGEST_WRITE:
                content += END
            self._content = content
        if len(content) + len(END) > LARGEST_WRITE:
            return head, content
        return b"".join((head, content, END)), b""

    def bdatContent(self, head: bytes) -> tuple[bytes, Content]:
        """
        See L{Body.bdatContent}.
        """
        if isinstance(self._octets, FilePart) or self.total > LARGEST_WRITE:
            return head, self._octets
        return head + self._octets, b""

    def digests(self, head: bytes) -> tuple[int, int, int]:
        """
        See L{Body.digests}. They are worked out once.
        """
        found = self._digests
        if found is None:
            found = digestsOf(self._octets, head, self.headed)
            if found is not _UNREADABLE:
                self._digests = found
        return found


class SizedBody:
    """
    A body of a size that was drawn: one short line, and the end of a long body that all of them share.
    """

    __slots__ = ("_long", "headed", "identified", "size", "total")

    def __init__(self, size: int, long: bytes) -> None:
        """
        @param size: bytes without the last line's end, at least 1.
        @param long: lines of C{_LINE}, at least as many as it needs, and C{END}.
        """
        self._long = long
        self.size = size
        self.total = size + 2
        self.identified = self.headed = False

    def content(self, head: bytes) -> tuple[bytes, Content]:
        """
        See L{Body.content}.
        """
        first, size = _inTwo(self.total)
        shared = memoryview(self._long)[-size - len(END) :]
        if self.total + len(END) > LARGEST_WRITE:
            return head + first, shared
        return b"".join((head, first, shared)), b""

    def bdatContent(self, head: bytes) -> tuple[bytes, Content]:
        """
        See L{Body.bdatContent}.
        """
        first, size = _inTwo(self.total)
        shared = memoryview(self._long)[-size - len(END) : -len(END)]
        if self.total > LARGEST_WRITE:
            return head + first, shared
        return b"".join((head, first, shared)), b""

    def digests(self, head: bytes) -> tuple[int, int, int]:
        """
        See L{Body.digests}.
        """
        return _ofSize(self.total)


def _inTwo(total: int) -> tuple[bytes, int]:
    """
    @return: the first line of a body of that size, and how many bytes of the long body come after it.
    """
    lines, rest = divmod(total, len(_LINE))
    if rest < 3 and lines:  # not enough for a line of its own
        lines, rest = lines - 1, rest + len(_LINE)
    return b"X" * (rest - 2) + b"\r\n", lines * len(_LINE)


@lru_cache(4096)
def _ofSize(total: int) -> tuple[int, int, int]:
    from smtpsource.ledger.digests import BodyDigest

    first, size = _inTwo(total)
    both = BodyDigest(b"")
    both.add(first)
    while size:
        some = min(size, _SOME * len(_LINE))
        both.add(_LINE * (some // len(_LINE)))
        size -= some
    return *both.result(), total


class SameBody:
    """
    One body for all messages.
    """

    def __init__(self, body: Body) -> None:
        self._body = body

    def draw(self, number: int, onProblem: Callable[[str], None]) -> Body:
        """
        A message's body.

        @param number: the message's.
        @param onProblem: called with one line about a body that can't be had.
        """
        return self._body


class SizedBodies:
    """
    Bodies of drawn sizes.
    """

    def __init__(self, draw: Callable[[int], int]) -> None:
        """
        @param draw: gives the size of a message's by its number: at least 1.
        """
        self._draw = draw
        self._long = self._longEnough(LARGEST_WRITE)

    def draw(self, number: int, onProblem: Callable[[str], None]) -> SizedBody:
        """
        See L{SameBody.draw}.
        """
        size = self._draw(number)
        if size > len(self._long) - len(END):
            self._long = self._longEnough(size)
        return SizedBody(size, self._long)

    def _longEnough(self, size: int) -> bytes:
        return b"".join((_LINE * -(-size // len(_LINE)), END))
