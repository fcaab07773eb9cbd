"""
What becomes of a message that has come whole, in a steered session.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from twisted.logger import Logger

from smtpsource.sink.connection import UNAVAILABLE
from smtpsource.sink.content import IncomingContent
from smtpsource.sink.keeping.message import KeptMessage
from smtpsource.sink.protocol import DELIVERED, FULL, OK
from smtpsource.sink.reception import TOO_LARGE
from smtpsource.sink.rules.facts import Fate
from smtpsource.sink.summary import moment
from smtpsource.sink.verdicts import answered, isAccepting
from smtpsource.sink.writing import Writing

log = Logger()

#: Octets of a message that are looked at together.
_WINDOW = 64 * 1024

#: Recipients that an event names, and characters of each: a thousand events are remembered.
_TOLD, _LONGEST = 10, 320

_LETTER = re.compile(rb"[0-9A-Za-z]")


class Delivery(Writing):
    """
    Accepts messages or refuses them, and has them kept.
    """

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
        counts = self.counts
        messages, recipients = counts.messages, counts.recipients
        self._arrived = 0
        try:
            reply, fate = self._verdict(content, times)
        finally:
            content.close()
            self.forgetEnvelope()
        if self.steering.ledger is None:
            self._say(reply, fate, delay)
        else:
            counted = counts.messages - messages, counts.recipients - recipients
            self._sayWritten(reply, fate, delay, FULL * times, counted)

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
        fates = self._fates()
        accepted = [index for indices, fate in fates if isAccepting(fate) for index in indices]
        try:
            self.steering.keep(self._toKeep(content, fates), last=lambda: self._writeDown(content, fates))
        except OSError as e:
            self._noRoom(e)
            return FULL * times, None
        reply, fate = answered(fates, DELIVERED if self.dialogue.lmtp else OK)
        self._admit(fates)
        deceit = next((fate.deceit for _, fate in fates if fate is not None and fate.deceit), None)
        self._tell(content, reply, deceit, len(accepted))
        if self.steering.plan.verbose:
            log.info("content -> {reply}", reply=reply[:3].decode("latin-1") or "nothing")
        if accepted:
            reply += self._accepted(len(accepted))
        elif self._ending and reply:
            self._ended = True
            reply += UNAVAILABLE
        return reply, fate if fate is None else replace(fate, reply=reply or None)

    def _fates(self) -> list[tuple[list[int], Fate | None]]:
        """
        Ask the rules about the message: once or, in LMTP, for each recipient (RFC 2033 section 4.2), until there is
        nobody to answer any more.

        @return: the indices of recipients, and what is done for them.
        """
        facts, decide = self.facts, self.steering.decide
        if not self.dialogue.lmtp:
            return [(list(range(len(self._rcpts))), decide("message", facts))]
        fates: list[tuple[list[int], Fate | None]] = []
        recipients = facts.recipients
        for index, recipient in enumerate(recipients):
            facts.recipient, facts.recipients = recipient, [recipient]
            fate = decide("message", facts)
            fates.append(([index], fate))
            if fate is not None and fate.isLast:
                break
        facts.recipients = recipients
        return fates

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

    def _toKeep(self, content: IncomingContent, fates: list[tuple[list[int], Fate | None]]) -> Iterator[KeptMessage]:
        """
        What is kept: one message for all recipients of whom the same is done.
        """
        if not self.steering.keepers and self.steering.ledger is None:
            return
        groups: dict[str, tuple[list[int], Fate | None]] = {}
        for indices, fate in fates:
            deceit = fate.deceit if fate is not None else None
            if deceit != "accept-but-lose" and (deceit is not None or isAccepting(fate)):
                groups.setdefault(deceit or "", ([], fate))[0].extend(indices)
        # What is changed is changed for all who come later.
        for what in sorted(groups, key="corrupt".__eq__):
            indices, fate = groups[what]
            if what == "corrupt":
                _corrupt(content.file, content.size)
            for _ in range(2 if what == "duplicate" else 1) if self.steering.keepers else ():
                yield self._keptMessage(content, indices, fate)

    def dumpRefused(self) -> None:
        """
        Dump a message whose end is refused: Postfix's tool does that.
        """
        content, dumps = self._content, self.steering.dumps
        if content is None or not dumps or self._isFull or self._isTooLarge:
            return
        try:
            content.end()
            self.steering.keep([self._keptMessage(content, list(range(len(self._rcpts))), None)], dumps)
        except OSError as e:
            self._noRoom(e)

    def _keptMessage(self, content: IncomingContent, recipients: list[int], fate: Fate | None) -> KeptMessage:
        deceit = fate.deceit if fate is not None else None
        steering = self.steering
        return KeptMessage(
            number=steering.newNumber(),
            session=self.facts.session,
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

    def _admit(self, fates: list[tuple[list[int], Fate | None]]) -> None:
        """
        Write down what is done to this message on purpose.
        """
        facts, steering = self.facts, self.steering
        admitted: dict[str, tuple[list[str], str]] = {}
        for indices, fate in fates:
            if fate is not None and fate.deceit is not None:
                recipients = [_cut(facts.recipients[index]) for index in indices]
                admitted.setdefault(fate.deceit, ([], fate.rules[-1]))[0].extend(recipients)
        for deceit, (recipients, rule) in admitted.items():
            steering.deceits[deceit] += 1
            steering.deliberate.append(
                {
                    "time": moment(time.time()),
                    "fate": deceit,
                    "rule": rule,
                    "session": self.facts.session,
                    "message": _cut(facts.message),
                    "sender": _cut(facts.sender),
                    "recipients": recipients[:_TOLD],
                }
            )

    def _tell(self, content: IncomingContent, reply: bytes, deceit: str | None, accepted: int) -> None:
        """
        Note what was decided of a message.
        """
        steering = self.steering
        if self._transcript is not None:
            self._transcript.content(content.size)
        steering.publish(
            "message",
            session=self.facts.session,
            number=steering.latest if steering.keepers else None,
            sender=_cut(self.facts.sender),
            recipients=len(self.facts.recipients),
            to=[_cut(recipient) for recipient in self.facts.recipients[:_TOLD]],
            message=_cut(self.facts.message),
            size=content.size,
            code=int(reply[:3]) if reply[:3].isdigit() else None,
            accepted=accepted,
            fate=deceit,
        )


def _cut(text: str) -> str:
    """
    What an event has of a text that a client may have made long.
    """
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


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
