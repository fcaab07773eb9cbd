"""
The content of messages in a steered session.
"""

from __future__ import annotations

import os

from smtpsource.sink.content import IncomingContent
from smtpsource.sink.letters import ABORTED
from smtpsource.sink.rules.facts import Fate
from smtpsource.sink.speech import Speech

TOO_LARGE = b"552 5.3.4 Message is larger than this server takes\r\n"


class Reception(Speech):
    """
    Takes content.
    """

    _input = b""
    _at = 0
    _content: IncomingContent | None = None
    # There is no room for it, or it is too large.
    _isFull = _isTooLarge = False
    # By what a chunk is refused whose octets are still to come.
    _refusedBy: Fate | None = None
    # A chunk has come whole, and its reply waits for a delay of the content.
    _chunkWaits = False
    # What has come is the end of a message.
    _isComplete = False
    # What the client has said of itself and of the message.
    _greeting = b""
    _proto = "SMTP"
    _mail = b""
    _rcpts: list[bytes]
    # Bytes of the RCPT commands of this transaction.
    _envelope = 0
    _started = 0.0

    def _beginContent(self, stuffed: bool) -> None:
        """
        @param stuffed: it comes by DATA, and not in chunks.
        """
        steering = self.steering
        ledger = steering.ledger
        digested = ledger.content() if ledger is not None else None
        # What corrupts it needs all of it.
        self._content = IncomingContent(bool(steering.keepers) or ledger is not None, stuffed, digested)
        self._isFull = self._isTooLarge = False
        plan = steering.plan
        if not stuffed:
            return
        if plan.abort is not None:
            self._flush()
            self._hold(plan.abort, self._abortContent)
        elif plan.delayContent is not None:
            self._flush()
            self._hold(plan.delayContent, self._release)

    def _abortContent(self) -> None:
        self._ended = True
        self._replies.append(ABORTED)
        self._release()

    def _dropContent(self) -> None:
        """
        What has come of a message is of no use.
        """
        if self._content is not None:
            self._content.close()
            self._content = None

    def beginChunk(self, size: int, isLast: bool, refusal: bytes | None = None) -> bytes:
        """
        See L{SMTPSinkProtocol<smtpsource.sink.protocol.SMTPSinkProtocol>}.
        """
        self._refusedBy = None
        most = self.steering.plan.maxChunkSize
        if most is not None and size > most:
            self._ended = True
            return self.refuse("too-large", TOO_LARGE, b"BDAT %d" % size)
        if self._content is None and refusal is None:
            self._beginContent(stuffed=False)
        return super().beginChunk(size, isLast, refusal)

    def _takeContent(self) -> None:
        """
        Take what there is of it.
        """
        data, start = self._input, self._at
        isChunk = bool(self._octets)
        if isChunk:
            self._at = min(len(data), start + self._octets)
            self._octets -= self._at - start
            self.line_mode = int(not self._octets)
        else:
            self._at = self._findEndOfContent(data, start)
        if (not isChunk or self._refusal is None) and self._content is not None:
            self._add(self._content, data[start : self._at], isChunk)
            fate = self.steering.decide("content", self.facts)
            if fate is not None and not self._goesOn(fate):
                return
        if self.line_mode:
            if isChunk and self._isHeld:
                self._chunkWaits = True
            elif isChunk:
                self._chunkOver()
            else:
                self._isComplete = True

    def _goesOn(self, fate: Fate) -> bool:
        """
        Is more of the content taken?
        """
        if fate.isLast:
            self._say(b"", fate)
            return False
        self._throttleBy(fate)
        if fate.delay:
            self._flush()
            self._hold(fate.delay, self._resume)
        return True

    def _resume(self) -> None:
        """
        Go on with the content, or with the reply to a chunk that had come whole.
        """
        if self._chunkWaits:
            self._chunkWaits = self._isHeld = False
            self._chunkOver()
            if self._isHeld:
                return
        self._release()

    def _chunkOver(self) -> None:
        """
        Answer a chunk, unless it was the last one.
        """
        fate, self._refusedBy = self._refusedBy, None
        reply = self._chunkReceived()
        if reply:
            self._say(reply, fate)

    def _add(self, content: IncomingContent, piece: bytes, isChunk: bool) -> None:
        if self._isFull or self._isTooLarge:
            return
        most = self.steering.plan.maxMessageSize
        try:
            (content.addChunk if isChunk else content.add)(piece)
        except OSError as e:
            self._noRoom(e)
            # Others may need what it took.
            content.close()
        self.facts.size = content.size
        if most is not None and content.size > most:
            self._isTooLarge = True
            content.close()

    def _noRoom(self, e: OSError) -> None:
        self._isFull = True
        where = "" if e.filename is None else f": {os.fsdecode(e.filename)}"
        self.counts.error("storage", f"{e.strerror or e}{where}".encode("utf-8", "surrogateescape"))

    def _chunkReceived(self) -> bytes:
        if self._refusal is None and self._isLast:
            self.counts.chunks += 1
            self._chunked = False
            self._isComplete = True
            return b""
        return super()._chunkReceived()

    def forgetEnvelope(self) -> None:
        """
        There is no transaction now.
        """
        facts = self.facts
        facts.sender = facts.recipient = facts.message = ""
        facts.recipients, self._rcpts, facts.size = [], [], 0
        self._envelope = 0
