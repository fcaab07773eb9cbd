"""
The content of messages in a steered session, and what becomes of a message that has come whole.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import BinaryIO

from smtpsource.sink.connection import UNAVAILABLE
from smtpsource.sink.content import IncomingContent
from smtpsource.sink.keeping.message import KeptMessage
from smtpsource.sink.letters import ABORTED
from smtpsource.sink.protocol import DELIVERED, OK
from smtpsource.sink.rules.facts import Fate
from smtpsource.sink.speech import Speech

TOO_LARGE = b"552 5.3.4 Message is larger than this server takes\r\n"
FULL = b"452 4.3.1 No room to keep the message\r\n"
REFUSED = b"554 5.6.0 Message refused\r\n"

#: Octets of a message that are looked at together.
_WINDOW = 64 * 1024

_LETTER = re.compile(rb"[0-9A-Za-z]")


def isAccepting(fate: Fate | None) -> bool:
    """
    Does a client that meets this fate get the usual reply, or another that accepts?
    """
    if fate is None:
        return True
    if fate.garble or fate.deceit == "reject-but-keep":
        return False
    if fate.reply is not None:
        return fate.reply[:1] in (b"2", b"3")
    return not (fate.stall or fate.close or fate.reset)


class Reception(Speech):
    """
    Takes content, and keeps messages.

    @ivar number: of this session, from 1 on; 0 before it has begun.
    """

    number = 0

    _input = b""
    _at = 0
    _content: IncomingContent | None = None
    # There is no room for it, or it is too large.
    _isFull = _isTooLarge = False
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
        facts = self.facts
        facts.recipient = facts.recipients[0] if facts.recipients else ""
        self._content = IncomingContent(bool(steering.keepers), stuffed)
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
            if isChunk:
                self._replies.extend(filter(None, [self._chunkReceived()]))
            else:
                self._isComplete = True

    def _goesOn(self, fate: Fate) -> bool:
        """
        Is more of the content taken?
        """
        if fate.stall or fate.close or fate.reset:
            self._say(b"", fate)
            return False
        self._throttleBy(fate)
        if fate.delay:
            self._hold(fate.delay, self._release)
        return True

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
        self.counts.error("storage", (e.strerror or str(e)).encode())

    def _chunkReceived(self) -> bytes:
        if self._refusal is None and self._isLast:
            self.counts.chunks += 1
            self._chunked = False
            self._isComplete = True
            return b""
        return super()._chunkReceived()

    # -- Whole messages

    def _messageReceived(self, delay: float) -> None:
        """
        Decide about a message that has come whole.

        @param delay: seconds that its reply waits in any case.
        """
        self._isComplete = False
        content, self._content = self._content, None
        assert content is not None
        times = self.recipients if self.dialogue.lmtp else 1
        self.inTransaction = False
        self.recipients = 0
        try:
            reply, fate = self._verdict(content, times)
        finally:
            content.close()
            self.forgetEnvelope()
        self._say(reply, fate, delay)

    def forgetEnvelope(self) -> None:
        """
        There is no transaction now.
        """
        facts = self.facts
        facts.sender = facts.recipient = facts.message = ""
        facts.recipients, self._rcpts, facts.size = [], [], 0
        self._envelope = 0

    def _verdict(self, content: IncomingContent, times: int) -> tuple[bytes, Fate | None]:
        """
        @return: what is answered, and how.
        """
        if self._refusing:
            self._ended = True
            return UNAVAILABLE, None
        try:
            if not (self._isFull or self._isTooLarge):
                content.end()
        except OSError as e:
            self._noRoom(e)
        most = self.steering.plan.maxMessageSize
        if self._isTooLarge or (most is not None and content.size > most):
            return self.refuse("too-large", TOO_LARGE, b"%d octets" % content.size) * times, None
        if self._isFull:
            return FULL * times, None
        self.facts.size, self.facts.message = content.size, content.identity()
        fate, accepted, reply = self._fateOf(times)
        deceit = fate.deceit if fate is not None else None
        try:
            if deceit != "accept-but-lose" and (accepted or deceit is not None):
                self._keep(content, accepted or list(range(len(self._rcpts))), fate)
        except OSError as e:
            self._noRoom(e)
            return FULL * times, None
        self._tell(content, reply, deceit, len(accepted))
        if accepted:
            reply += self._accepted(len(accepted))
        return reply, fate if fate is None or fate.reply is None else replace(fate, reply=reply)

    def _fateOf(self, times: int) -> tuple[Fate | None, list[int], bytes]:
        """
        Ask the rules about the message: once or, in LMTP, for each recipient (RFC 2033 section 4.2).

        @return: what is to be done; the indices of the recipients that it is accepted for; the reply.
        """
        facts, decide = self.facts, self.steering.decide
        if not self.dialogue.lmtp:
            fate = decide("message", facts)
            accepted = list(range(len(self._rcpts))) if isAccepting(fate) else []
            return fate, accepted, _replyOf(fate, OK)
        fates = []
        recipients = facts.recipients
        for recipient in recipients:
            facts.recipient, facts.recipients = recipient, [recipient]
            fates.append(decide("message", facts))
        facts.recipients = recipients
        reply = b"".join(_replyOf(one, DELIVERED) for one in fates)
        accepted = [index for index, one in enumerate(fates) if isAccepting(one)]
        first = next((one for one in fates if one is not None), None)
        return None if first is None else replace(first, reply=reply), accepted, reply

    def _accepted(self, recipients: int) -> bytes:
        """
        Count a message as accepted.

        @return: what is said after its reply.
        """
        counts = self.counts
        counts.messages += 1
        counts.recipients += recipients
        if counts.messages >= self.factory.messageLimit:
            self.factory.limitReached()
        elif self._ending:
            self._ended = True
            return UNAVAILABLE
        return b""

    def _keep(self, content: IncomingContent, recipients: list[int], fate: Fate | None) -> None:
        steering = self.steering
        if not steering.keepers:
            return
        deceit = fate.deceit if fate is not None else None
        if deceit == "corrupt":
            _corrupt(content.file, content.size)
        for _ in range(2 if deceit == "duplicate" else 1):
            steering.keep(self._keptMessage(content, recipients, fate))

    def dumpRefused(self) -> None:
        """
        Dump a message whose end is refused: Postfix's tool does that.
        """
        content, dumps = self._content, self.steering.dumps
        if content is None or not dumps or self._isFull or self._isTooLarge:
            return
        try:
            content.end()
            for dump in dumps:
                dump.keep(self._keptMessage(content, list(range(len(self._rcpts))), None))
        except OSError as e:
            self._noRoom(e)

    def _keptMessage(self, content: IncomingContent, recipients: list[int], fate: Fate | None) -> KeptMessage:
        deceit = fate.deceit if fate is not None else None
        steering = self.steering
        steering.number += 1
        return KeptMessage(
            number=steering.number,
            session=self.number,
            started=self._started,
            received=time.time(),
            client=self.facts.client,
            protocol=self._proto,
            helo=self._greeting,
            mail=self._mail,
            rcpts=[self._rcpts[index] for index in recipients],
            sender=self.facts.sender,
            recipients=[self.facts.recipients[index] for index in recipients],
            tls=self.inTLS,
            user=self.facts.user,
            content=content.file,
            size=content.size,
            fate=deceit or "",
            rule=fate.rules[-1] if fate is not None and deceit else "",
        )

    def _tell(self, content: IncomingContent, reply: bytes, deceit: str | None, accepted: int) -> None:
        """
        Note what was decided of a message.
        """
        steering = self.steering
        if deceit is not None:
            steering.deceits[deceit] += 1
        if self._transcript is not None:
            self._transcript.note(f"[{content.size} octets of content]")
        steering.publish(
            "message",
            session=self.number,
            number=steering.number if steering.keepers else None,
            sender=self.facts.sender,
            recipients=list(self.facts.recipients),
            message=self.facts.message,
            size=content.size,
            code=int(reply[:3]) if reply[:3].isdigit() else None,
            accepted=accepted,
            fate=deceit,
        )


def _replyOf(fate: Fate | None, usual: bytes) -> bytes:
    if fate is None:
        return usual
    if fate.reply is not None:
        return fate.reply
    return REFUSED if fate.deceit == "reject-but-keep" else usual


def _corrupt(file: BinaryIO, size: int) -> None:
    """
    Change one octet of a message: of its body, if that has letters or digits.
    """
    file.seek(0)
    body = max(0, file.read(_WINDOW).find(b"\r\n\r\n"))
    middle = (body + size) // 2
    for start, end in ((middle, size), (body, middle), (0, body)):
        for at in range(start, end, _WINDOW):
            file.seek(at)
            match = _LETTER.search(file.read(min(_WINDOW, end - at)))
            if match is not None:
                file.seek(at + match.start())
                file.write(bytes([match[0][0] ^ 1]))
                return
