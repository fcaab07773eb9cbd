"""
The plan of a run: everything that is decided before the first connection.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from smtpsource import arguments
from smtpsource.interfaces import IContentSource, IPacer
from smtpsource.net.destination import Destination, SinkDestination, parse
from smtpsource.smtp.commands import Dialogue, dialogue
from smtpsource.traffic import envelopes
from smtpsource.traffic.envelopes import Recipients, Traffic
from smtpsource.traffic.messages import DEFAULT_BODY, FileContent, GeneratedContent, bodyOfSize
from smtpsource.traffic.pacing import FixedPacer, RandomPacer


def machineName() -> str:
    """
    This machine's name, as it says it.

    @raise ValueError: it is not one that may be said in HELO.
    """
    return arguments.hostname(socket.gethostname())


@dataclass(frozen=True, kw_only=True)
class SourcePlan:
    """
    What to send, how much of it, where to and how. The defaults are those of smtp-source(1) and of this tool's
    command line.

    A harness makes one with the keywords it needs::

        SourcePlan(destination="127.0.0.1:2525", messageCount=1000, sessionCount=20, keepConnections=True)

    @ivar destination: where to; a text is taken as on the command line.
    @ivar family: C{socket.AF_INET} or C{socket.AF_INET6} to want only such addresses of a name.
    @ivar myhostname: our name in HELO and LHLO, in default addresses and in Message-Ids.
    @ivar sender: the envelope's and the From header's, without brackets; C{None} is C{foo@myhostname}.
    @ivar recipient: the envelope's and the To header's, without brackets; C{None} is C{foo@myhostname}.
    @ivar recipientCount: recipients of each message; C{None} is one.
    @ivar numberRecipients: every recipient of the run gets its own number.
    @ivar recipientNumbering: C{"prefix"}, as before Postfix 3.9, or C{"suffix"}, as since.
    @ivar messageCount: messages of the run, over all sessions.
    @ivar sessionCount: sessions in parallel.
    @ivar keepConnections: use a session's connection for all of its messages.
    @ivar lmtp: speak LMTP.
    @ivar oldMode: no HELO or LHLO, and no headers in generated messages.
    @ivar tolerant: count refusals and faults, and go on; otherwise the first ends the run.
    @ivar subject: of generated messages.
    @ivar length: bytes of a generated body, or C{None} for a short one.
    @ivar message: a whole message to send instead of generated ones, as it would be in a file.
    @ivar fixedInterval: seconds between a session's messages.
    @ivar randomInterval: the most seconds between a session's messages, drawn evenly from 0.
    @ivar connectAttempts: how often a connection is attempted before its message has failed.
    @ivar connectParallelism: the most connections in the making at once.
    @ivar connectTimeout: seconds for an address to answer.
    @ivar timeout: seconds for each reply.
    @ivar grace: seconds that messages on their way have to end once the run is told to stop.
    @ivar windowSize: bytes for each of a socket's buffers, or C{None} for the system's choice.
    @ivar trace: show the dialogue: 0 not at all, 1 commands and replies.
    @ivar command: the command line, for the report.
    @raise ValueError: the values contradict each other or one is out of range.
    """

    destination: Destination | str = field(default_factory=SinkDestination)
    family: int = socket.AF_UNSPEC
    myhostname: str = field(default_factory=machineName)
    sender: bytes | None = None
    recipient: bytes | None = None
    recipientCount: int | None = None
    numberRecipients: bool = False
    recipientNumbering: str = "prefix"
    messageCount: int = 1
    sessionCount: int = 1
    keepConnections: bool = False
    lmtp: bool = False
    oldMode: bool = False
    tolerant: bool = False
    subject: bytes | None = None
    length: int | None = None
    message: bytes | None = None
    fixedInterval: float | None = None
    randomInterval: float | None = None
    connectAttempts: int = 1
    connectParallelism: int = 100
    connectTimeout: float = 30.0
    timeout: float = 300.0
    grace: float = 5.0
    windowSize: int | None = None
    trace: int = 0
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.destination, str):
            object.__setattr__(self, "destination", parse(self.destination, self.family))
        for name in ("messageCount", "sessionCount", "connectAttempts", "connectParallelism"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)!r} is not usable: expected at least 1")
        for name in ("recipientCount", "length", "windowSize"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)!r} is not usable: expected None or at least 1")
        for name in ("timeout", "connectTimeout"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: {getattr(self, name)!r} is not usable: expected more than 0 seconds")
        if not self.grace >= 0:
            raise ValueError(f"grace: {self.grace!r} is not usable: expected 0 seconds or more")
        if self.recipientNumbering not in ("prefix", "suffix"):
            raise ValueError(
                f"recipientNumbering: {self.recipientNumbering!r} is not usable: expected prefix or suffix"
            )
        if self.length is not None and self.message is not None:
            raise ValueError("length and message exclude each other: a given message has the length it has")
        if self.message == b"":
            raise ValueError("message: it is empty: expected a message, headers and all")
        if self.fixedInterval is not None and self.randomInterval is not None:
            raise ValueError("fixedInterval and randomInterval exclude each other")

    def dialogue(self) -> Dialogue:
        """
        How each connection talks.
        """
        return dialogue(self.myhostname.encode("ascii"), lmtp=self.lmtp, oldMode=self.oldMode, tolerant=self.tolerant)

    def traffic(self) -> Traffic:
        """
        A new stream of this plan's messages.
        """
        default = b"foo@" + self.myhostname.encode("ascii")
        sender = default if self.sender is None else self.sender
        recipient = default if self.recipient is None else self.recipient
        return Traffic(sender, self._recipients(recipient), self._contents(sender))

    def _recipients(self, recipient: bytes) -> Recipients:
        perMessage = self.recipientCount or 1
        if self.recipientNumbering == "suffix":
            if self.numberRecipients or self.recipientCount is not None:
                return envelopes.numberedAfter(recipient, perMessage)
        elif self.numberRecipients:
            return envelopes.numberedBefore(recipient, perMessage)
        elif perMessage > 1:
            return envelopes.countedDown(recipient, perMessage)
        return envelopes.sameRecipient(recipient)

    def _contents(self, sender: bytes) -> IContentSource:
        if self.message is not None:
            return FileContent(self.message)
        return GeneratedContent(
            sender,
            self.myhostname.encode("ascii"),
            DEFAULT_BODY if self.length is None else bodyOfSize(self.length),
            subject=self.subject,
            headers=not self.oldMode,
        )

    def pacer(self) -> IPacer | None:
        """
        When a session's next message starts; C{None} is at once.
        """
        if self.randomInterval is not None:
            return RandomPacer(self.randomInterval)
        if self.fixedInterval is not None:
            return FixedPacer(self.fixedInterval)
        return None
