"""
Messages that differ from each other: everything about one is drawn when it is started, so that with the same seed the
same number is the same message, whoever sends it and whenever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, Protocol

from zope.interface import implementer

from smtpsource.interfaces import IMessage, ITraffic
from smtpsource.messages.bodies import Body
from smtpsource.messages.draws import Draws
from smtpsource.messages.message import Recipients, ignore
from smtpsource.messages.templates import Template
from smtpsource.values.numbers import LARGEST


class Bodies(Protocol):
    """
    Gives bodies.
    """

    def draw(self, number: int, onProblem: Callable[[str], None]) -> Body:
        """
        A message's body.

        @param number: the message's.
        @param onProblem: called with one line about a body that can't be had.
        """


@implementer(IMessage)
class VariedMessage:
    """
    One message of a L{VariedTraffic}.

    @ivar number: in the run, from 1.
    @ivar session: the number of the session that sends it; to be set before its content is asked for, if the traffic
        C{wantsSession}.
    """

    __slots__ = ("_body", "_head", "_recipients", "_values", "mail", "number", "session")

    def __init__(
        self,
        number: int,
        mail: bytes,
        recipients: tuple[bytes, ...],
        body: Body,
        head: Template,
        values: dict[bytes, bytes | int],
    ) -> None:
        """
        @param values: what C{head} is filled in with.
        """
        self.number = number
        self.mail = mail
        self.session = 0
        self._recipients = recipients
        self._body = body
        self._head = head
        self._values = values

    def recipientCommands(self) -> tuple[bytes, ...]:
        """
        See L{IMessage.recipientCommands}.
        """
        return self._recipients

    def content(self) -> tuple[bytes, Any]:
        """
        See L{IMessage.content}.
        """
        return self._body.content(self._top())

    def bdatContent(self) -> tuple[bytes, Any]:
        """
        See L{IMessage.bdatContent}.
        """
        return self._body.bdatContent(self._top())

    def _top(self) -> bytes:
        self._values[b"session"] = self.session
        return self._head.fill(self._values)


@implementer(ITraffic)
class VariedTraffic:
    """
    Messages whose senders, recipients, headers and bodies are drawn.

    @ivar run: the run's id.
    @ivar wantsSession: do messages want to know who sends them? See L{VariedMessage.session}.
    @ivar onProblem: called with one line about a message that can't be had; another one is sent in its place.
    """

    def __init__(
        self,
        run: bytes,
        mail: Callable[[bytes, int | None], bytes],
        senders: Callable[[int], bytes],
        recipients: Recipients,
        bodies: Bodies,
        heads: tuple[Template, Template],
        draws: Draws,
        *,
        sized: bool = False,
        numbers: Iterator[int] | None = None,
    ) -> None:
        """
        @param mail: makes the MAIL command of a sender and the size of the message.
        @param senders: gives the sender of each message, by its number.
        @param bodies: gives what comes after the head.
        @param heads: what comes before a body without a Message-Id, and before one with it.
        @param draws: what random digits come from.
        @param sized: has MAIL a size? It is C{None} otherwise.
        @param numbers: those of the messages; C{None}: all, from 1.
        """
        self.run = run
        self.wantsSession = any(head.wantsSession for head in heads)
        self.onProblem: Callable[[str], None] = ignore
        self._numbers = count(1) if numbers is None else numbers
        self._mail = mail
        self._senders = senders
        self._recipients = recipients
        self._bodies = bodies
        self._heads = heads
        self._draws = draws
        self._sized = sized

    def next(self) -> VariedMessage:
        """
        See L{ITraffic.next}.
        """
        number = next(self._numbers)
        sender = self._senders(number)
        recipients, recipient = self._recipients(number)
        body = self._bodies.draw(number, self.onProblem)
        values: dict[bytes, bytes | int] = {
            b"n": number,
            b"sender": sender,
            b"recipient": recipient,
            b"size": body.size,
        }
        head = self._head(body, number, values)
        if head.randoms:
            self._draws.at(number)
            for key, digits in head.randoms:
                values[key] = b"%0*x" % (digits, self._draws.getrandbits(4 * digits))
        size = None
        if self._sized:
            # The session is not known yet: SIZE may be an estimate, but not less (RFC 1870 section 5).
            values[b"session"] = LARGEST
            size = len(head.fill(values)) + body.total
        return self._message(number, self._mail(sender, size), recipients, body, head, values)

    def _head(self, body: Body, number: int, values: dict[bytes, bytes | int]) -> Template:
        """
        What comes before this body.

        @param values: what it is filled in with: for a subclass that knows more of it.
        """
        return self._heads[body.identified]

    def _message(self, number: int, mail: bytes, *others: Any) -> VariedMessage:
        """
        A message, of the kind of this traffic.

        @param others: as for L{VariedMessage}.
        """
        return VariedMessage(number, mail, *others)
