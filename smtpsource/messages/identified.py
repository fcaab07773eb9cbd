"""
Messages of a run that keeps a ledger: each carries its id, and is noted before it leaves.

The id stands in a header before all that the message has otherwise. One without headers gets an empty line after that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from zope.interface import implementer

from smtpsource.interfaces import IContentSource, IMessage, ITraffic
from smtpsource.ledger import identity
from smtpsource.ledger.notes import Notes, addressIn
from smtpsource.messages.bodies import digestsOf, isHeaded
from smtpsource.messages.content import END, GeneratedContent, lines, stuffed
from smtpsource.messages.message import Message, Recipients, Traffic
from smtpsource.smtp import commands
from smtpsource.smtp.parameters import xtext
from smtpsource.smtp.streaming import LARGEST_WRITE

_HEADER = identity.HEADER + b": "


@implementer(IContentSource)
class IdentifiedContent(GeneratedContent):
    """
    The same as L{GeneratedContent}, with the ids of messages.

    @ivar digests: of the body, and its size.
    """

    def __init__(
        self, idOf: Callable[[int], bytes], sender: bytes, myhostname: bytes, body: bytes, **rest: Any
    ) -> None:
        """
        @param idOf: gives the id of a message, by its number.
        @param rest: as for L{GeneratedContent}.
        """
        super().__init__(sender, myhostname, body, **rest)
        self._idOf = idOf
        self._start = b"\r\n" + self._from
        self._beforeId = b"\r\nMessage-Id: <"
        self._afterInChunk = self._afterNumber.removesuffix(END)
        self.digests = digestsOf(body, b"", headed=False)

    def content(self, number: int, recipient: bytes) -> tuple[bytes, bytes]:
        """
        See L{IContentSource.content}.
        """
        if not self._headers:
            body, shared = self._bodyAlone
            return b"".join((_HEADER, self._idOf(number), b"\r\n\r\n", body)), shared
        second = int(time.time())
        if second != self._second:
            self._begin(second)
        own = self._idOf(number)
        parts = (_HEADER, own, self._start, recipient, self._beforeNumber, own, self._afterNumber)
        return b"".join(parts), self._shared

    def bdatContent(self, number: int, recipient: bytes) -> tuple[bytes, bytes | memoryview]:
        """
        See L{IContentSource.bdatContent}. It is the same as what the superclass has, quicker where that is usual.
        """
        if self._streamed or not self._headers or int(time.time()) != self._second:
            return super().bdatContent(number, recipient)
        own = self._idOf(number)
        parts = (_HEADER, own, self._start, recipient, self._beforeNumber, own, self._afterInChunk)
        return b"".join(parts), b""


@implementer(IContentSource)
class IdentifiedFile:
    """
    The same bytes for every message, but for its id.

    @ivar digests: of the body, and its size.
    """

    def __init__(self, idOf: Callable[[int], bytes], text: bytes) -> None:
        """
        @param idOf: gives the id of a message, by its number.
        @param text: a message as it is in a file.
        """
        headed = isHeaded(text)
        self._idOf = idOf
        self._end = b"\r\n" if headed else b"\r\n\r\n"
        self._text, self._octets = stuffed(text) + END, lines(text)
        self._streamed = len(self._text) > LARGEST_WRITE
        self.digests = digestsOf(self._octets, b"", headed)

    def content(self, number: int, recipient: bytes) -> tuple[bytes, bytes]:
        """
        See L{IContentSource.content}.
        """
        return self._behind(number, self._text)

    def bdatContent(self, number: int, recipient: bytes) -> tuple[bytes, bytes | memoryview]:
        """
        See L{IContentSource.bdatContent}.
        """
        return self._behind(number, self._octets)

    def _behind(self, number: int, text: bytes) -> tuple[bytes, bytes]:
        head = b"%b%b%b" % (_HEADER, self._idOf(number), self._end)
        return (head, text) if self._streamed else (head + text, b"")


@implementer(IMessage)
class IdentifiedMessage(Message):
    """
    One message of an L{IdentifiedTraffic}.

    @ivar attempt: see L{smtpsource.ledger.notes.Noted}.
    """

    __slots__ = ("_recipients", "attempt")

    _traffic: IdentifiedTraffic

    def __init__(self, traffic: IdentifiedTraffic, number: int) -> None:
        # What super() would do, which is slower.
        self._traffic = traffic
        self.number = number
        self.mail = traffic.mail
        self._recipients, self._recipient = traffic.recipients(number)
        self.attempt = 0

    def recipientCommands(self) -> tuple[bytes, ...]:
        """
        See L{IMessage.recipientCommands}.
        """
        return self._recipients

    def content(self) -> tuple[bytes, bytes]:
        """
        See L{IMessage.content}.
        """
        traffic = self._traffic
        traffic.intend(self, self._recipients, traffic.digests)
        traffic.write()
        return traffic.contents.content(self.number, self._recipient)

    def bdatContent(self) -> tuple[bytes, bytes | memoryview]:
        """
        See L{IMessage.bdatContent}. Before it leaves, L{Notes.write} is to be called: once for several messages.
        """
        traffic = self._traffic
        traffic.intend(self, self._recipients, traffic.digests)
        return traffic.contents.bdatContent(self.number, self._recipient)


@implementer(ITraffic)
class IdentifiedTraffic(Traffic):
    """
    The same as L{Traffic}, with ids, and recipients that follow from the number of the message.

    @ivar digests: of the body that all have, and its size.
    @ivar intend: see L{Notes.intend}.
    @ivar write: see L{Notes.write}.
    """

    contents: IdentifiedContent | IdentifiedFile

    def __init__(self, notes: Notes, *others: Any, enveloped: bool = False, **more: Any) -> None:
        """
        @param others: as for L{Traffic}; so is C{more}.
        @param enveloped: is the id to be the envelope's, too?
        """
        super().__init__(*others, **more)
        self.intend, self.write = notes.intend, notes.write
        self.digests = self.contents.digests
        self._envelope = envelope(notes.idOf) if enveloped else None

    def next(self) -> IdentifiedMessage:
        """
        See L{ITraffic.next}.
        """
        message = IdentifiedMessage(self, next(self._numbers))
        if self._envelope is not None:
            message.mail = self._envelope(message.mail, message.number)
        return message


def envelope(idOf: Callable[[int], bytes]) -> Callable[[bytes, int], bytes]:
    """
    Puts a message's id into its MAIL command (RFC 3461 section 4.4).
    """
    return lambda mail, number: b"%b ENVID=%b\r\n" % (mail.removesuffix(b"\r\n"), idOf(number))


def withOriginal(recipients: Recipients) -> Recipients:
    """
    The same recipients; each command says whom it names (ORCPT: RFC 3461 section 4.2).
    """
    last: tuple[bytes, ...] = ()
    same: tuple[bytes, ...] = ()

    def named(number: int) -> tuple[tuple[bytes, ...], bytes]:
        nonlocal last, same
        found, recipient = recipients(number)
        if found is not last:
            last, same = found, tuple([_original(command) for command in found])
        return same, recipient

    return named


def _original(command: bytes) -> bytes:
    address = addressIn(command)
    given = command[len(commands.rcpt(address)) - 2 : -2]
    value = xtext(address.decode("utf-8", "surrogateescape"))
    return commands.rcpt(address, given + b" ORCPT=rfc822;" + value)
