"""
A session of a sink that takes everything, and writes into its ledger what it takes.

It answers as L{SMTPSinkProtocol<smtpsource.sink.protocol.SMTPSinkProtocol>} does. A session that is steered writes in
L{smtpsource.sink.delivery}.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from smtpsource.sink.content import IncomingContent
from smtpsource.sink.protocol import FULL, MAIL_OK, RCPT_OK, SMTPSinkProtocol
from smtpsource.sink.proxy import addressOf
from smtpsource.speedups import compiled

if TYPE_CHECKING:
    from smtpsource.sink.keeping.ledger import SinkLedger


@compiled
class LedgeredProtocol(SMTPSinkProtocol):
    """
    One session of a sink that has a ledger and is not steered.

    @ivar ledger: the sink's.
    @ivar rcpts: the recipients of this transaction, as L{SinkLedger.recipient} has them.
    @ivar mail: what followed C{MAIL FROM:}, or its parameters alone.
    @ivar isReport: the transaction has no sender, so its message may be a report.
    @ivar unseen: messages and recipients whose replies were said, and since then nothing has come from the client.
    @ivar session: the number of this session.
    @ivar isNamed: the ledger knows where it comes from.
    """

    ledger: SinkLedger
    rcpts: list[tuple[int, int]]

    mail = b""
    isReport = False
    isNamed = False
    unseen = 0
    session = 0
    _content: IncomingContent | None = None

    def connectionMade(self) -> None:
        """
        See L{SMTPSinkProtocol}.
        """
        factory: Any = self.factory
        self.ledger = factory.ledger
        self.rcpts = []
        super().connectionMade()

    def begin(self) -> None:
        """
        See L{SMTPSinkProtocol}.
        """
        self.session = self.counts.sessions
        super().begin()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        See L{SMTPSinkProtocol}.
        """
        if self.isNamed:
            self.factory.writeUnseen(self.session, self.unseen)
        super().connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        """
        Answer what has come: who says more has read what was said before.
        """
        if data:
            self.unseen = 0
        super().dataReceived(data)

    def _beginMessage(self, parameters: bytes | None, recipients: int, size: bytes | None) -> bytes | None:
        """
        Look at each command of a group: its recipients are wanted.
        """
        return None

    def _contentCame(self, data: bytes, start: int, end: int) -> None:
        """
        A part of a content has come.
        """
        content = self._content
        if self._octets:
            if self._refusal is None:
                if content is None:
                    content = self._content = self._newContent(False)
                content.addChunk(data[start:end])
        else:
            if content is None:
                content = self._content = self._newContent(True)
            content.add(data[start:end])

    def _newContent(self, isStuffed: bool) -> IncomingContent:
        return IncomingContent(False, isStuffed, self.ledger.content())

    def _contentReceived(self) -> bytes:
        """
        Write it down, and accept it; or refuse it if that is not possible.
        """
        content, self._content = self._content, None
        rcpts, self.rcpts = self.rcpts, []
        if not self._refusing:
            content = content or self._newContent(False)
            content.end()
            try:
                self._writeDown(content, rcpts)
            except OSError as e:
                self._noRoom(e)
                self._forgetTransaction()
                return FULL * (len(rcpts) if self.dialogue.lmtp else 1)
        return super()._contentReceived()

    def _noRoom(self, e: OSError) -> None:
        """
        A message could not be written down.
        """
        self.counts.error("storage", f"{e.strerror}: {self.ledger.path}".encode("utf-8", "surrogateescape"))

    def _writeDown(self, content: IncomingContent, rcpts: list[tuple[int, int]]) -> None:
        ledger = self.ledger
        if not self.isNamed:
            self.isNamed = True
            ledger.named(self.session, self._client())
        assert content.digested is not None
        arrivals = ledger.arrivals(content.digested, self.session, self.isReport, self.mail)
        for recipient in rcpts:
            arrivals.add(recipient, 250)
        arrivals.write()
        self.unseen += arrivals.number

    def _client(self) -> str:
        if self.source:
            return addressOf(self.source)
        return getattr(self.transport.getPeer(), "host", None) or "local"

    def _forgetTransaction(self) -> None:
        super()._forgetTransaction()
        self.rcpts = []
        self._content = None

    # The commands.

    def command_MAIL(self, line: bytes) -> bytes:
        """
        See L{SMTPSinkProtocol}.
        """
        reply = super().command_MAIL(line)
        if reply is MAIL_OK:
            self.mail = line[10:]
            self.isReport = self.mail.lstrip()[:2] == b"<>"
            # A refused chunk has left some (RFC 3030 section 4.1).
            self.rcpts, self._content = [], None
        return reply

    def command_RCPT(self, line: bytes) -> bytes:
        """
        See L{SMTPSinkProtocol}.
        """
        reply = super().command_RCPT(line)
        if reply is RCPT_OK:
            self.rcpts.append(self.ledger.recipient(line[8:]))
        return reply
