"""
Messages that keep what happens to them, for a log of messages.
"""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from smtpsource.interfaces import IMessage


@implementer(IMessage)
class LoggedMessage:
    """
    A message as it is sent, with what is known of it so far.

    @ivar number: the message's.
    @ivar begun: when it was taken, on the run's clock.
    @ivar drawn: is it one of those that are logged whatever comes of them?
    @ivar recipients: how many it has, once that is known.
    @ivar size: the bytes of its content as they go over the wire, the final dot included, once that is known.
    @ivar times: for each phase, by its index, the seconds of each reply, in their order.
    @ivar accepting: the phase and the text of the last reply that accepted something.
    """

    __slots__ = ("_message", "accepting", "begun", "drawn", "mail", "number", "recipients", "size", "times")

    def __init__(self, message: Any, begun: float, drawn: bool) -> None:
        self._message = message
        self.begun = begun
        self.drawn = drawn
        self.number: int = message.number
        self.mail: bytes = message.mail
        self.recipients = 0
        self.size: int | None = None
        self.times: dict[int, list[float]] = {}
        self.accepting: tuple[int, bytes] | None = None

    def heard(self, phase: int, seconds: float) -> None:
        """
        A phase took so long.
        """
        self.times.setdefault(phase, []).append(seconds)

    def again(self) -> None:
        """
        It is sent once more: what was heard so far was about nothing.
        """
        self.times.clear()
        self.accepting = None

    def recipientCommands(self) -> tuple[bytes, ...]:
        """
        See L{IMessage.recipientCommands}.
        """
        commands: tuple[bytes, ...] = self._message.recipientCommands()
        self.recipients = len(commands)
        return commands

    def content(self) -> tuple[bytes, Any]:
        """
        See L{IMessage.content}.
        """
        return self._measured(self._message.content())

    def bdatContent(self) -> tuple[bytes, Any]:
        """
        See L{IMessage.bdatContent}.
        """
        return self._measured(self._message.bdatContent())

    def _measured(self, content: tuple[bytes, Any]) -> tuple[bytes, Any]:
        own, shared = content
        self.size = len(own) + len(shared)
        return content

    # What those want of it who know more of it than is in the interface.

    @property
    def attempt(self) -> int:
        """
        See L{smtpsource.ledger.notes.Noted}.
        """
        attempt: int = self._message.attempt
        return attempt

    @attempt.setter
    def attempt(self, attempt: int) -> None:
        self._message.attempt = attempt

    @property
    def session(self) -> int:
        """
        See L{smtpsource.messages.varied.VariedMessage}.
        """
        session: int = self._message.session
        return session

    @session.setter
    def session(self, session: int) -> None:
        self._message.session = session
