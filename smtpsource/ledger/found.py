"""
A message that was found in a mailbox, as the ledger of a sink would have it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from itertools import chain, product

import numpy as np

from smtpsource.ledger import digests, identity, records, reports
from smtpsource.ledger.book import Book
from smtpsource.ledger.identity import Identity
from smtpsource.ledger.known import Known
from smtpsource.ledger.numbers import HIGHEST
from smtpsource.ledger.units import Integers

#: Where servers say whom a message was delivered to, and whom it was sent to, the first that is there.
_DELIVERED = (b"Delivered-To", b"Envelope-To", b"X-Envelope-To", b"X-Original-To")
_ORIGINAL = b"X-Original-To"

_head = re.compile(rb"(?:[^\r\n]*[^\r\n][^\n]*\n)*").match
_received = re.compile(rb"^Received:((?:[^\n]*\n[ \t])*[^\n]*)", re.IGNORECASE | re.MULTILINE).search
#: Brackets of an mbox file of which each is tried with and without: that is 256 bodies.
_MOST_BRACKETS = 8

_bracket = re.compile(rb"^>(?=From )", re.MULTILINE)
_quotedFrom = re.compile(rb"^>(>*From )", re.MULTILINE)


@dataclass(frozen=True)
class Found:
    """
    One message.

    @ivar content: all of it.
    @ivar where: in the mailbox, for people.
    @ivar moment: when it came, in seconds of the epoch, if the mailbox says so.
    @ivar isQuoted: lines that begin with From may have a bracket before them.
    """

    content: bytes
    where: str
    moment: float | None = None
    isQuoted: bool = False


class Entered:
    """
    Messages of a mailbox, entered into a book.
    """

    def __init__(self, book: Book, known: Known, name: str = "", places: dict[int, list[str]] | None = None) -> None:
        """
        @param known: what was sent.
        @param name: the mailbox's.
        @param places: the mailboxes of each message for several that does not say for whom it has come, by its number:
            those of its recipients, in their order. C{None} if there is one mailbox for all of them.
        """
        self._book = book
        self._known = known
        self._offset = time.time_ns() - time.monotonic_ns()
        self._session = 0
        self._name = name
        self._places = places
        self._turns: dict[int, int] = {}

    def enter(self, found: Found) -> None:
        """
        Write down one.

        @raise OSError: that is not possible.
        """
        match = _head(found.content)
        assert match is not None
        head, body = match[0], found.content[match.end() :]
        body = body[2:] if body.startswith(b"\r\n") else body[1:]
        self._session = self._session % 0xFFFFFFFF + 1
        added = _addedTo(head)
        now = self._momentOf(found, added)
        octets = records.named(records.FROM, self._session, found.where.encode("utf-8", "surrogateescape"), now)
        if reports.mayBeReport(head):
            octets += b"".join(self._reports(found.content, now))
        known, isDamaged = identity.carried(head)
        if isDamaged:
            octets += records.pack(records.DAMAGED, 0, 0, 0, 0, 0, now, 0, 0, 0, 0, self._session)
        raw, canonical = self._digestsOf(found, head, body, known)
        address, original = self._addressesOf(added, known)
        if original:
            octets += records.pack(records.ORIGINAL, 0, 0, 0, 0, 0, now, original, 0, 0, 0, self._session)
        size = min(len(found.content), records.LARGEST_SIZE)
        self._book.add(
            octets + records.pack(records.ARRIVAL, 0, 0, 0, *known, now, address, raw, canonical, size, self._session)
        )
        self._book.flush()

    def _momentOf(self, found: Found, head: bytes) -> int:
        moment = found.moment
        match = _received(head) if moment is None else None
        if match is not None:
            with suppress(ValueError, TypeError, OverflowError):
                text = match[1].rpartition(b";")[2].decode("latin-1")
                moment = parsedate_to_datetime(" ".join(text.split())).timestamp()
        return (time.time_ns() if moment is None else int(moment * 1e9)) - self._offset

    def _reports(self, content: bytes, now: int) -> Iterator[bytes]:
        for report in reports.reportsIn(content):
            address = self._book.address(report.address) if report.address is not None else 0
            yield reports.recordOf(report, address, now, self._session)

    def _digestsOf(self, found: Found, head: bytes, body: bytes, known: Identity) -> tuple[int, int]:
        """
        Mailboxes have their own line ends: those of the wire are put back.
        """
        both = digests.ofBody(head, _withCRLF(body))
        wanted = self._known.units.canonical[self._placesOf(known)].tolist()
        if not found.isQuoted or not wanted or both[1] & 0xFFFFFFFF in wanted:
            return both
        others = (digests.ofBody(head, _withCRLF(other)) for other in _unquoted(body))
        return next((one for one in others if one[1] & 0xFFFFFFFF in wanted), both)

    def _addressesOf(self, head: bytes, known: Identity) -> tuple[int, int]:
        """
        @return: the numbers of where it was delivered, and where it was sent to; 0 if that is not known, or the same.
        """
        delivered = next(filter(None, (_valueIn(head, name) for name in _DELIVERED)), b"")
        if delivered:
            original = _valueIn(head, _ORIGINAL)
            address = self._book.address(delivered)
            other = self._book.address(original) if original else 0
            return address, 0 if other == address else other
        places = self._placesOf(known)
        recipients = self._known.units.address[places].tolist()
        if len(recipients) > 1:
            return recipients[self._turnOf(known.number) % len(recipients)], 0
        return (recipients[0] if recipients else 0), 0

    def _turnOf(self, number: int) -> int:
        """
        Nothing says whose mailbox it is. If it is the only one, its copies of a message are taken to have come for the
        recipients in turn; else it is the mailbox of one of them.
        """
        if self._places is None:
            turn = self._turns[number] = self._turns.get(number, -1) + 1
            return turn
        places = self._places.setdefault(number, [])
        if self._name not in places:
            places.append(self._name)
        return places.index(self._name)

    def _placesOf(self, identity: Identity) -> Integers:
        """
        The places of a message of the run, one for each recipient.
        """
        isOurs = identity.run == self._known.run and identity.number < HIGHEST
        return self._known.units.all(np.array([identity.number] if isOurs else [], np.uint64))[0]


def _addedTo(head: bytes) -> bytes:
    """
    What servers have added to a head, which is above our header: what is below may be a message's own.
    """
    match = identity.inHead(head)
    return head if match is None else head[: match.start() + 1]


def _valueIn(head: bytes, name: bytes) -> bytes:
    """
    The address in the first header of this name; empty if there is none.
    """
    match = re.search(rb"^" + name + rb":[ \t]*<?([^\r\n>]*)", head, re.IGNORECASE | re.MULTILINE)
    return match[1].strip() if match is not None else b""


def _unquoted(body: bytes) -> Iterator[bytes]:
    """
    What a body in an mbox file may have been. Some programs put a bracket before each line that begins with From, or
    with brackets and From (mboxrd); some only before the former (mboxo), and that does not say which had one before.
    """
    if _quotedFrom.search(body) is None:
        return
    yield _quotedFrom.sub(rb"\1", body)
    pieces = _bracket.split(body)
    if len(pieces) - 1 <= _MOST_BRACKETS:
        for brackets in product((b"", b">"), repeat=len(pieces) - 1):
            yield b"".join(chain.from_iterable(zip((b"", *brackets), pieces, strict=True)))


def _withCRLF(body: bytes) -> bytes:
    return body if b"\r\n" in body else body.replace(b"\n", b"\r\n")
