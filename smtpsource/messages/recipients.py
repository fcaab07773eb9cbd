"""
Recipients that are drawn: from a list, with domains of their own, a different number for each message.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from smtpsource.messages.message import Recipients
from smtpsource.smtp import commands

if TYPE_CHECKING:
    from smtpsource.messages.weighted import Several

#: Ways to number recipients: not at all; before the address, from 1 up over the run; after the local part, from 0 up
#: over the run; before the address, in each message down to 2, and not at the last.
NOT, BEFORE, AFTER, DOWN = range(4)


def split(address: bytes) -> tuple[bytes, bytes]:
    """
    Cut an address before its last C{@}.

    @return: the local part, and the C{@} and domain, or nothing.
    """
    local, at, domain = address.rpartition(b"@")
    return (local, at + domain) if at else (domain, b"")


def withDomains(addresses: Several[bytes], domains: Several[bytes]) -> Several[bytes]:
    """
    @param addresses: gives those of a message.
    @param domains: gives what is put in place of their domains.
    """

    def drawn(number: int, before: int, several: int) -> list[bytes]:
        return [*map(_inDomain, addresses(number, before, several), domains(number, before, several))]

    return drawn


def _inDomain(address: bytes, domain: bytes) -> bytes:
    return address.rsplit(b"@", 1)[0] + b"@" + domain


#: How many recipients those messages have together that are before one, and how many it has itself, by its number.
Counts = Callable[[int], tuple[int, int]]


def same(several: int) -> Counts:
    """
    Each message has so many.
    """
    return lambda number: ((number - 1) * several, several)


def uncounted(howMany: Callable[[int], int]) -> Counts:
    """
    Where it does not matter how many there are before: 0 stands for it.

    @param howMany: gives the number of recipients of a message, by the message's number.
    """
    return lambda number: (0, howMany(number))


#: What is known of the messages before one is kept for each so-manieth.
_APART = 1024


class Counted:
    """
    The L{Counts} of messages that each have a number of recipients of its own. Those of messages that are passed over
    have to be drawn, too: so it takes as long as there are such between this message and the last one that was asked
    for.
    """

    def __init__(self, howMany: Callable[[int], int]) -> None:
        """
        @param howMany: as for L{uncounted}.
        """
        self._howMany = howMany
        # The number of the message that is probably next, and how many recipients come before it; the same of the first
        # message and of each so-manieth after it.
        self._next, self._before = 1, 0
        self._marks = array("q", [0])

    def __call__(self, number: int) -> tuple[int, int]:
        """
        See L{Counts}.
        """
        if number != self._next:
            self._goTo(number)
        before, several = self._before, self._howMany(number)
        self._reach(number + 1, before + several)
        return before, several

    def _goTo(self, number: int) -> None:
        place = min((number - 1) // _APART, len(self._marks) - 1)
        mark = 1 + place * _APART
        if not mark <= self._next < number:
            self._next, self._before = mark, self._marks[place]
        while self._next < number:
            stop = min(number, 1 + len(self._marks) * _APART)
            self._reach(stop, self._before + sum(map(self._howMany, range(self._next, stop))))

    def _reach(self, number: int, before: int) -> None:
        self._next, self._before = number, before
        if number == 1 + len(self._marks) * _APART:
            self._marks.append(before)


def drawn(
    addresses: Several[bytes],
    counts: Counts,
    numbering: int,
    start: int | None = None,
    width: int | None = None,
    parameters: bytes = b"",
) -> Recipients:
    """
    Recipients of messages. The To header names the last: with its number, if that comes after its local part.

    @param addresses: gives those of a message.
    @param counts: gives how many they are.
    @param numbering: one of L{NOT}, L{BEFORE}, L{AFTER} and L{DOWN}.
    @param start: where numbers begin, if not at 0 or 1.
    @param width: at least so many digits.
    @param parameters: of RCPT.
    """
    first = start if start is not None else 0 if numbering == AFTER else 1
    digits = b"%%0%dd" % (width or 1)

    def recipients(number: int) -> tuple[tuple[bytes, ...], bytes]:
        before, several = counts(number)
        names = addresses(number, before, several)
        last = names[-1]
        if numbering == AFTER:
            parts = enumerate(map(split, names), first + before)
            names = [b"%b%b%b" % (local, digits % n, domain) for n, (local, domain) in parts]
            last = names[-1]
        elif numbering == BEFORE:
            names = [digits % n + name for n, name in enumerate(names, first + before)]
        elif numbering == DOWN:
            numbers = range(first + several - 1, first, -1)
            names = [*(digits % n + name for n, name in zip(numbers, names, strict=False)), last]
        return tuple([commands.rcpt(name, parameters) for name in names]), last

    return recipients


#: The most digits that a recipient's number is filled up to: more than there may be in a local part (RFC 5321).
WIDEST = 64


#: Where a recipient's number goes.
Numbering = Literal["prefix", "suffix"]
