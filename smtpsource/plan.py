"""
The plan of a run: everything that is decided before the first connection.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from smtpsource import arguments, checks
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


def _destination(value: object) -> Destination | str:
    if not isinstance(value, Destination | str):
        raise ValueError("expected a text such as 127.0.0.1:2525, or a Destination")
    return value


def _message(value: object) -> bytes:
    message = checks.encoded(value)
    if not message:
        raise ValueError("expected a message, headers and all, not an empty one")
    return message


_CHECKS: dict[str, checks.Check] = {
    "destination": _destination,
    "family": checks.family,
    "myhostname": checks.hostname,
    "sender": checks.optional(checks.oneLine),
    "recipient": checks.optional(checks.oneLine),
    "recipientCount": checks.optional(checks.count),
    "numberRecipients": checks.flag,
    "recipientNumbering": arguments.numbering,
    "messageCount": checks.count,
    "sessionCount": checks.count,
    "keepConnections": checks.flag,
    "lmtp": checks.flag,
    "oldMode": checks.flag,
    "tolerant": checks.flag,
    "subject": checks.optional(checks.oneLine),
    "length": checks.optional(checks.count),
    "message": checks.optional(_message),
    "fixedInterval": checks.optional(checks.seconds),
    "randomInterval": checks.optional(checks.seconds),
    "connectAttempts": checks.count,
    "connectParallelism": checks.count,
    "connectTimeout": checks.seconds,
    "timeout": checks.seconds,
    "grace": checks.secondsOrZero,
    "windowSize": checks.optional(checks.count),
    "esmtp": checks.flag,
    "pipelining": arguments.extensionMode,
    "trace": checks.wholeNumber(0),
    "command": checks.command,
}


@dataclass(frozen=True, kw_only=True)
class SourcePlan:
    """
    What to send, how much of it, where to and how. The defaults are those of smtp-source(1) and of this tool's
    command line.

    Every value is checked. Addresses, the subject and the message may be texts: they become bytes, in UTF-8.

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
    @ivar esmtp: say EHLO instead of HELO; HELO again where that is refused.
    @ivar pipelining: send MAIL, every RCPT and DATA in one write, and with C{keepConnections} the next message's along
        with a content: C{"off"}; C{"auto"}, where the server announces it; C{"require"}, it is a fault if the server
        does not; C{"force"}, whatever it announces. C{"auto"} and C{"require"} imply C{esmtp}.
    @ivar trace: show the dialogue: 0 not at all, 1 commands and replies.
    @ivar command: the command line, for the report.
    @raise ValueError: the values contradict each other or one can't be used; the text says which, and what was
        expected.
    """

    destination: Destination | str = field(default_factory=SinkDestination)
    family: int = socket.AF_UNSPEC
    myhostname: str = field(default_factory=lambda: socket.gethostname())
    sender: bytes | str | None = None
    recipient: bytes | str | None = None
    recipientCount: int | None = None
    numberRecipients: bool = False
    recipientNumbering: str = "prefix"
    messageCount: int = 1
    sessionCount: int = 1
    keepConnections: bool = False
    lmtp: bool = False
    oldMode: bool = False
    tolerant: bool = False
    subject: bytes | str | None = None
    length: int | None = None
    message: bytes | str | None = None
    fixedInterval: float | None = None
    randomInterval: float | None = None
    connectAttempts: int = 1
    connectParallelism: int = 100
    connectTimeout: float = 30.0
    timeout: float = 300.0
    grace: float = 5.0
    windowSize: int | None = None
    esmtp: bool = False
    pipelining: str = "off"
    trace: int = 0
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checks.check(self, _CHECKS)
        if isinstance(self.destination, str):
            checks.check(self, {"destination": lambda text: parse(text, self.family)})
        if self.length is not None and self.message is not None:
            raise ValueError("length and message exclude each other: a given message has the length it has")
        if self.fixedInterval is not None and self.randomInterval is not None:
            raise ValueError("fixedInterval and randomInterval exclude each other")
        if self.oldMode and (self.esmtp or self.pipelining in ("auto", "require")):
            raise ValueError("oldMode says no EHLO: with it, expected no esmtp, and pipelining to be off or force")

    def dialogue(self) -> Dialogue:
        """
        How each connection talks.
        """
        return dialogue(
            self.myhostname.encode("ascii"),
            lmtp=self.lmtp,
            oldMode=self.oldMode,
            tolerant=self.tolerant,
            esmtp=self.esmtp,
            pipelining=self.pipelining,
        )

    def traffic(self) -> Traffic:
        """
        A new stream of this plan's messages.
        """
        assert not isinstance(self.sender, str) and not isinstance(self.recipient, str)
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
        assert not isinstance(self.message, str) and not isinstance(self.subject, str)
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
