"""
Senders and recipients, and the messages that carry them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

from zope.interface import implementer

from smtpsource.interfaces import IContentSource, IMessage, ITraffic
from smtpsource.smtp import commands

#: Gives the recipients of a message by its number, and the one that its To header names.
Recipients = Callable[[int], tuple[tuple[bytes, ...], bytes]]


def sameRecipient(recipient: bytes, parameters: bytes = b"") -> Recipients:
    """
    One recipient, as given.

    @param parameters: of RCPT, here and below.
    """
    same = ((commands.rcpt(recipient, parameters),), recipient)
    return lambda number: same


def ignore(text: str) -> None:
    """
    Nobody wants to know.
    """


def _digits(width: int | None) -> bytes:
    return b"%d" if width is None else b"%%0%dd" % width


def countedDown(
    recipient: bytes, perMessage: int, parameters: bytes = b"", start: int = 1, width: int | None = None
) -> Recipients:
    """
    The same recipients for every message, numbered before the local part from C{perMessage} down to 2, the last one
    not numbered: what smtp-source(1) does for -r before Postfix 3.9.

    @param start: the number that the last one would have, here and below the first number.
    @param width: at least so many digits, here and below.
    """
    numbered = tuple(
        commands.rcpt(_digits(width) % (start + n) + recipient, parameters) for n in range(perMessage - 1, 0, -1)
    )
    same = ((*numbered, commands.rcpt(recipient, parameters)), recipient)
    return lambda number: same


def numberedBefore(
    recipient: bytes, perMessage: int, parameters: bytes = b"", start: int = 1, width: int | None = None
) -> Recipients:
    """
    Every recipient of the run has its own number before the local part, from 1: smtp-source(1)'s -N before
    Postfix 3.9. The To header is not numbered.
    """
    form = _digits(width) + b"%b"

    def recipients(number: int) -> tuple[tuple[bytes, ...], bytes]:
        end = start + number * perMessage
        named = [form % (n, recipient) for n in range(end - perMessage, end)]
        return tuple([commands.rcpt(name, parameters) for name in named]), recipient

    return recipients


def numberedAfter(
    recipient: bytes, perMessage: int, parameters: bytes = b"", start: int = 0, width: int | None = None
) -> Recipients:
    """
    Every recipient of the run has its own number after the local part, from 0: smtp-source(1)'s -N and -r since
    Postfix 3.9. The To header names the last of a message's recipients.
    """
    form = b"%b" + _digits(width) + b"%b"
    local, at, domain = recipient.rpartition(b"@")
    if not at:
        local, domain = domain, b""
    after = at + domain

    def recipients(number: int) -> tuple[tuple[bytes, ...], bytes]:
        end = start + number * perMessage
        named = [form % (local, n, after) for n in range(end - perMessage, end)]
        return tuple([commands.rcpt(name, parameters) for name in named]), named[-1]

    return recipients


def inOrder(recipients: Recipients) -> Recipients:
    """
    The same recipients, not by the numbers of messages, but in the order in which they are asked for: so no number is
    left out where a message does not come as far as MAIL.
    """
    numbers = count(1)
    return lambda number: recipients(next(numbers))


@implementer(IMessage)
class Message:
    """
    One message of a L{Traffic}.

    @ivar number: in the run, from 1.
    """

    __slots__ = ("_recipient", "_traffic", "mail", "number")

    def __init__(self, traffic: Traffic, number: int) -> None:
        self._traffic = traffic
        self.number = number
        self.mail = traffic.mail

    def recipientCommands(self) -> tuple[bytes, ...]:
        """
        See L{IMessage.recipientCommands}.
        """
        recipients, self._recipient = self._traffic.recipients(self.number)
        return recipients

    def content(self) -> tuple[bytes, bytes]:
        """
        See L{IMessage.content}.
        """
        return self._traffic.contents.content(self.number, self._recipient)

    def bdatContent(self) -> tuple[bytes, bytes | memoryview]:
        """
        See L{IMessage.bdatContent}.
        """
        return self._traffic.contents.bdatContent(self.number, self._recipient)


@implementer(ITraffic)
class Traffic:
    """
    Messages of one sender, with numbered recipients or always the same.

    @ivar run: the run's id.
    @ivar wantsSession: see L{smtpsource.messages.varied.VariedTraffic}; nobody here does.
    @ivar onProblem: see there; here, it is never called.
    """

    wantsSession = False

    def __init__(
        self,
        sender: bytes,
        recipients: Recipients,
        contents: IContentSource,
        parameters: bytes = b"",
        run: bytes = b"",
        numbers: Iterator[int] | None = None,
    ) -> None:
        """
        @param parameters: of MAIL.
        @param numbers: those of the messages; C{None}: all, from 1.
        """
        self.run = run
        self.onProblem: Callable[[str], None] = ignore
        self.mail = commands.mail(sender, parameters)
        self.recipients = recipients
        self.contents = contents
        self._numbers = count(1) if numbers is None else numbers

    def next(self) -> Message:
        """
        See L{ITraffic.next}.
        """
        return Message(self, next(self._numbers))
