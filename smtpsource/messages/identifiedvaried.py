"""
The same as L{smtpsource.messages.identified} for messages of which everything is drawn when they are started.
"""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from smtpsource.interfaces import IMessage, ITraffic
from smtpsource.ledger.notes import Notes
from smtpsource.messages.identified import envelope
from smtpsource.messages.varied import VariedMessage, VariedTraffic


@implementer(IMessage)
class IdentifiedVariedMessage(VariedMessage):
    """
    One message of an L{IdentifiedVariedTraffic}.

    @ivar attempt: see L{smtpsource.ledger.notes.Noted}.
    """

    __slots__ = ("_notes", "attempt")

    def __init__(self, notes: Notes, *others: Any) -> None:
        """
        @param others: as for L{VariedMessage}.
        """
        super().__init__(*others)
        self._notes = notes
        self.attempt = 0

    def content(self) -> tuple[bytes, Any]:
        """
        See L{IMessage.content}.
        """
        top = self._intend()
        self._notes.write()
        return self._body.content(top)

    def bdatContent(self) -> tuple[bytes, Any]:
        """
        See L{IMessage.bdatContent} and L{IdentifiedMessage.bdatContent}.
        """
        return self._body.bdatContent(self._intend())

    def _intend(self) -> bytes:
        top = self._top()
        self._notes.intend(self, self._recipients, self._body.digests(top))
        return top


@implementer(ITraffic)
class IdentifiedVariedTraffic(VariedTraffic):
    """
    The same as L{VariedTraffic}, with ids.
    """

    def __init__(self, notes: Notes, *others: Any, unheaded: Any = None, enveloped: bool = False, **more: Any) -> None:
        """
        @param others: as for L{VariedTraffic}; so is C{more}.
        @param unheaded: what comes before a body without headers, if that depends on it.
        @param enveloped: is the id to be the envelope's, too?
        """
        super().__init__(*others, **more)
        self._notes = notes
        self._unheaded = unheaded
        self._envelope = envelope(notes.idOf) if enveloped else None

    def _head(self, body: Any, number: int, values: dict[bytes, bytes | int]) -> Any:
        values[b"id"] = self._notes.idOf(number)
        if self._unheaded is not None and not body.headed:
            return self._unheaded
        return super()._head(body, number, values)

    def _message(self, number: int, mail: bytes, *others: Any) -> IdentifiedVariedMessage:
        if self._envelope is not None:
            mail = self._envelope(mail, number)
        return IdentifiedVariedMessage(self._notes, number, mail, *others)
