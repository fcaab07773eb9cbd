"""
Recipients that are drawn: from a list, with domains of their own, a different number for each message.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Literal

from smtpsource.messages.message import Recipients
from smtpsource.smtp import commands

#: Ways to number recipients: not at all; before the address, from 1 up over the run; after the local part, from 0 up
#: over the run; before the address, in each message down to 2, and not at the last.
NOT, BEFORE, AFTER, DOWN = range(4)

#: An address in two parts: the local part, and the C{@} and domain, or nothing.
Split = tuple[bytes, bytes]


def split(address: bytes) -> Split:
    """
    Cut an address before its last C{@}.
    """
    local, at, domain = address.rpartition(b"@")
    return (local, at + domain) if at else (domain, b"")


def withDomains(addresses: Callable[[], bytes], domains: Callable[[], bytes] | None) -> Callable[[], Split]:
    """
    @param addresses: gives one after the other.
    @param domains: gives the domain of each; C{None}: it is that of the address.
    """
    if domains is None:
        return lambda: split(addresses())
    return lambda: (split(addresses())[0], b"@" + domains())


def drawn(
    addresses: Callable[[], Split],
    howMany: Callable[[], int],
    numbering: int,
    start: int | None = None,
    width: int | None = None,
    parameters: bytes = b"",
) -> Recipients:
    """
    Recipients of one message after the other. The To header names the last: with its number, if that comes after its
    local part.

    @param addresses: gives the address of each.
    @param howMany: gives the number of recipients of each message.
    @param numbering: one of L{NOT}, L{BEFORE}, L{AFTER} and L{DOWN}.
    @param start: where numbers begin, if not at 0 or 1.
    @param width: at least so many digits.
    @param parameters: of RCPT.
    """
    first = start if start is not None else 0 if numbering == AFTER else 1
    numbers = count(first)
    digits = b"%%0%dd" % (width or 1)

    def named(place: int) -> tuple[bytes, bytes]:
        """
        @param place: how many come after it in its message.
        @return: a recipient, and what To says if it is the last.
        """
        local, domain = addresses()
        if numbering == AFTER:
            name = local + digits % next(numbers) + domain
            return name, name
        name = local + domain
        if numbering == BEFORE:
            return digits % next(numbers) + name, name
        return (digits % (first + place) + name if numbering == DOWN and place else name), name

    def recipients() -> tuple[tuple[bytes, ...], bytes]:
        names = [named(place) for place in range(howMany() - 1, -1, -1)]
        return tuple([commands.rcpt(name, parameters) for name, _ in names]), names[-1][1]

    return recipients


#: The most digits that a recipient's number is filled up to: more than there may be in a local part (RFC 5321).
WIDEST = 64


#: Where a recipient's number goes.
Numbering = Literal["prefix", "suffix"]
