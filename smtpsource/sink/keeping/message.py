"""
A message as it came, and who keeps such ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from zope.interface import Interface


@dataclass(slots=True, kw_only=True)
class Arrival:
    """
    All that is known of one message that has come whole, but its content.

    @ivar number: of this sink, from 1 on.
    @ivar session: the number of its session, from 1 on.
    @ivar started: when MAIL came, in seconds of the epoch.
    @ivar received: when the content was complete, likewise.
    @ivar client: the address of the client; C{"local"} for a UNIX socket.
    @ivar protocol: C{"SMTP"}, C{"ESMTP"} or C{"LMTP"}.
    @ivar helo: what the client introduced itself by, as it came; empty if it has not.
    @ivar mail: what followed C{MAIL FROM:}, parameters included.
    @ivar rcpts: the same of each RCPT that was accepted.
    @ivar sender: the path of MAIL, without brackets.
    @ivar recipients: those of RCPT.
    @ivar tls: whether it came in TLS.
    @ivar user: who had logged in; empty if nobody had.
    @ivar size: the octets of its content.
    @ivar fate: what a rule did to it on purpose, a L{smtpsource.sink.rules.facts.Deceit}; empty if nothing.
    @ivar rule: the name of that rule, or empty.
    """

    number: int
    session: int
    started: float
    received: float
    client: str
    protocol: str
    helo: bytes
    mail: bytes
    rcpts: list[bytes]
    sender: str
    recipients: list[str]
    tls: bool
    user: str
    size: int
    fate: str = ""
    rule: str = ""


@dataclass(slots=True, kw_only=True)
class KeptMessage(Arrival):
    """
    The same with its content.

    @ivar content: as it was meant: dots unstuffed, line ends as they came; a file that can be read again from its
        beginning (whoever reads it seeks first). It is closed when all who keep messages have been asked.
    """

    content: BinaryIO


class IKeeper(Interface):
    """
    Keeps messages.
    """

    def keep(message: KeptMessage) -> object:
        """
        Keep a message. When this has returned, it is where it belongs.

        @return: a callable without arguments that takes it back, as far as that is possible.
        @raise OSError: it can't be kept: nothing of it is left, and the client is told 452.
        """

    def close() -> None:
        """
        The sink has ended.
        """
