"""
What the parts of a session share, and what they ask of each other.

L{SMTPSinkProtocol<smtpsource.sink.protocol.SMTPSinkProtocol>} is one connection and one session. The verbs of
extensions are functions that are given it as a L{Session}. It knows its factory as a L{SessionFactory}.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from smtpsource.sink.authenticator import Authenticator, Exchange
from smtpsource.sink.parameters import OfferedParameters
from smtpsource.sink.summary import SinkCounts
from smtpsource.sink.tls import ServerTLS

#: Answers a command line (without its CRLF) of a session, with the bytes of the reply.
Command = Callable[[Any, bytes], bytes]


@dataclass(frozen=True)
class Dialogue:
    """
    The parts of the dialogue that are decided before the first session, as bytes.

    @ivar lmtp: there is a reply for each recipient.
    @ivar chunking: BDAT is known.
    @ivar ehloInTLS: the reply to EHLO within TLS.
    @ivar extensions: the keywords of the extensions that are offered.
    @ivar extensionsInTLS: the same within TLS.
    @ivar commands: what to do for each verb, for each verb with a space (the first five bytes of most command
        lines are one or the other), and under C{b""} for anything else.
    @ivar grouped: the same table, if the commands of a group may be answered without looking each of them up;
        C{None} if all are to be logged.
    @ivar toGreet: a table for the time after STARTTLS or XCLIENT.
    @ivar toRespond: a table for the time when AUTH waits for a response.
    @ivar toComplete: a table for the time when the sink is stopping and a transaction may still be completed.
    @ivar toQuit: a table for the time when nothing more may be completed.
    """

    lmtp: bool
    chunking: bool
    banner: bytes
    helo: bytes
    ehlo: bytes
    ehloInTLS: bytes
    extensions: frozenset[str]
    extensionsInTLS: frozenset[str]
    commands: Mapping[bytes, Command]
    grouped: Mapping[bytes, Command] | None
    toGreet: Mapping[bytes, Command]
    toRespond: Mapping[bytes, Command]
    toComplete: Mapping[bytes, Command]
    toQuit: Mapping[bytes, Command]


class SessionFactory(Protocol):
    """
    What a session asks of the factory of all: L{smtpsource.sink.factory.SinkFactory}, which describes the attributes.
    """

    counts: SinkCounts
    dialogue: Dialogue
    parameters: OfferedParameters
    authenticator: Authenticator
    tls: ServerTLS
    implicitTLS: bool
    proxyProtocol: bool
    messageLimit: float
    whenBroken: Callable[[BaseException | None], None]

    def connected(self, protocol: Any, /) -> None:
        """
        There is a new connection: it begins, or waits, or has come too late.
        """

    def disconnected(self, protocol: Any, /) -> None:
        """
        A connection is gone; the next one may begin.
        """

    def writeUnseen(self, session: int, arrivals: int, /) -> None:
        """
        A session that had arrivals has ended, and nobody knows whether the replies to its latest ones were read.
        """

    def writeTakenBack(self, octets: bytes, code: int, /) -> None:
        """
        What was written of some arrivals is not known to be on the disk: they were refused after all.
        """

    def limitReached(self) -> None:
        """
        No session may complete another message.
        """


class Session(Protocol):
    """
    What the verbs of extensions ask of their session.

    @ivar factory: gives what all sessions share.
    @ivar dialogue: what is said.
    @ivar counts: where sessions are counted.
    @ivar transport: an ITLSTransport in real life.
    @ivar commands: what to do for each verb now, one of the tables of C{dialogue}.
    @ivar inTransaction: whether MAIL was accepted (RFC 5321 section 3.3).
    @ivar inTLS: whether TLS has begun.
    @ivar recipients: the RCPT commands accepted in this transaction.
    @ivar authenticated: whether AUTH was accepted (RFC 4954).
    @ivar user: who has logged in; empty if nobody has.
    @ivar mechanism: the latest that AUTH has named.
    @ivar exchange: of AUTH, while it waits for a response.
    @ivar hasSecrets: whether a line that is no command may be a password.
    """

    factory: SessionFactory
    dialogue: Dialogue
    counts: SinkCounts
    transport: Any
    commands: Mapping[bytes, Command]
    inTransaction: bool
    inTLS: bool
    recipients: int
    authenticated: bool
    user: str
    mechanism: str
    exchange: Exchange | None
    hasSecrets: bool

    def refuse(self, kind: str, reply: bytes, line: bytes) -> bytes:
        """
        Count a line as an error.

        @param kind: of the error, as reports name it.
        @param reply: what the client is told.
        @return: just that.
        """

    def end(self) -> None:
        """
        Look at nothing that follows, and close when the replies up to here are written.
        """

    def startTLSAfterReply(self) -> None:
        """
        Start TLS when the reply to this command, the last one that is looked at, is written.
        """

    def beginAnew(self) -> None:
        """
        Forget all that the client has said: it must say EHLO again.
        """

    def beginChunk(self, size: int, isLast: bool, refusal: bytes | None = None) -> bytes:
        """
        Begin to skip the octets of a chunk.

        @param refusal: the reply that refuses it.
        @return: the reply if there are no octets.
        """
