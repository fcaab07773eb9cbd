"""
The id of a message, which it carries with it: C{run-number-check}.

The run's id is 16 hexadecimal digits, the number a decimal one, and the check is 8 hexadecimal digits that follow from
both: so an id that was damaged or made up is told from one of a run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from zlib import crc32

#: The header that carries it.
HEADER = b"X-Smtpsource-Id"

#: One anywhere in a text.
_ID = re.compile(rb"(?<![0-9A-Za-z])([0-9a-f]{16})-([0-9]{1,19})-([0-9a-f]{8})(?![0-9A-Za-z])")

#: The same, whatever comes after it.
_ANYWHERE = re.compile(rb"([0-9a-f]{16})-([0-9]{1,19})-([0-9a-f]{8})")

#: That header in the lines of a head; its value.
inHead = re.compile(rb"(?:^|\n)" + HEADER + rb":[ \t]*(?:\r?\n[ \t]+)?([^\r\n]*)", re.IGNORECASE).search

#: Where else in a head it is: that is left where a server has removed the header. What was sent again has one above its
#: own.
_messageIds = re.compile(rb"(?:^|\n)(?:Resent-)?Message-Id:[ \t]*(?:\r?\n[ \t]+)?([^\r\n]*)", re.IGNORECASE).findall
_envelopeIds = re.compile(rb" ENVID=([^ \r\n]+)", re.IGNORECASE).findall


class Identity(NamedTuple):
    """
    Which message.

    @ivar run: the number of the run's id.
    @ivar number: of the message in the run, from 1.
    """

    run: int
    number: int


#: What carries no id.
NOBODY = Identity(0, 0)


def idOf(run: bytes, number: int) -> bytes:
    """
    The id of one message.

    @param run: the run's, 16 hexadecimal digits.
    """
    text = b"%b-%d" % (run, number)
    return b"%b-%08x" % (text, crc32(text))


def textOf(identity: Identity) -> str:
    """
    The same of what L{parse} has found.
    """
    return idOf(b"%016x" % identity.run, identity.number).decode("ascii")


def parse(text: bytes) -> Identity | None:
    """
    Find an id in a text, such as the value of the header, a Message-Id or an ENVID.

    @return: C{None} if there is none.
    @raise ValueError: there is one that was damaged or made up.
    """
    match = _ID.search(text)
    if match is None:
        return None
    found = _checked(match)
    if found is None:
        raise ValueError("expected an id whose check belongs to it, with a number that a run may have")
    return found


def carried(head: bytes, mail: bytes = b"") -> tuple[Identity, bool]:
    """
    Which message this is: what its header says; or else its Message-Id, or that of one that was sent again; or else the
    ENVID of its envelope.

    @param head: the message's.
    @param mail: the parameters of MAIL, and whatever stands before them.
    @return: both numbers are 0 if nothing says it. And was something there that was damaged?
    """
    match = inHead(head)
    isDamaged = False
    if match is not None:
        found = _first([match[1]])
        if isinstance(found, Identity):
            return found, False
        isDamaged = True
    found = _first([*_messageIds(head), *_envelopeIds(mail)])
    if isinstance(found, Identity):
        return found, isDamaged
    return NOBODY, isDamaged or found


def _first(texts: Sequence[bytes]) -> Identity | bool:
    """
    @return: the first id in some texts; if there is none, was there one that was damaged?
    """
    isDamaged = False
    for text in texts:
        try:
            found = parse(text)
        except ValueError:
            isDamaged = True
        else:
            if found is not None:
                return found
    return isDamaged


def parseAll(text: bytes) -> Iterator[Identity]:
    """
    Find all ids in some octets that were not damaged, whatever stands around them.
    """
    return filter(None, map(_checked, _ANYWHERE.finditer(text)))


def _checked(match: re.Match[bytes]) -> Identity | None:
    run, number, check = match.groups()
    if crc32(b"%b-%b" % (run, number)) != int(check, 16) or int(number) > 0x7FFF_FFFF_FFFF_FFFF:
        return None
    return Identity(int(run, 16), int(number))
