"""
What a steered session writes into the ledger of its sink.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, cast

from smtpsource.sink.content import IncomingContent
from smtpsource.sink.protocol import OK
from smtpsource.sink.reception import Reception
from smtpsource.sink.rules.facts import Fate
from smtpsource.sink.speech import PAUSE
from smtpsource.sink.verdicts import isAccepting, replyOf

#: Of more replies, each waits alone.
_MOST_WAITING = 1000


@dataclass(slots=True, eq=False)
class _Waiting:
    """
    A reply that waits.

    @ivar full: what is said in its place if the disk fails.
    @ivar arrivals: how many the ledger has; C{written}: what it has of them.
    @ivar counted: messages and recipients.
    @ivar isReady: it waits only for those before it.
    """

    reply: bytes
    full: bytes = b""
    arrivals: int = 0
    written: bytes = b""
    counted: tuple[int, int] = (0, 0)
    isReady: bool = False


class Writing(Reception):
    """
    Writes down what arrives, before its reply leaves.
    """

    # Arrivals that the ledger has of the message that has come last, and what it has.
    _arrived = 0
    _written = b""
    # The connection closes when nothing waits any more.
    _closesThen = False

    def connectionMade(self) -> None:
        """
        See L{SMTPSinkProtocol<smtpsource.sink.protocol.SMTPSinkProtocol>}.
        """
        # Replies that wait for the disk, and those that wait behind them.
        self._gate: deque[_Waiting] = deque()
        ledger = cast("Any", self.factory).ledger
        if ledger is not None and ledger.isSynced:
            self._send = self._sendInTurn  # type: ignore[method-assign]
        super().connectionMade()

    def _writeDown(self, content: IncomingContent, fates: list[tuple[list[int], Fate | None]]) -> None:
        """
        Write into the ledger for whom it has arrived: also what no keeper is given, because it is lost on purpose. If
        it is corrupted, that was done by now.
        """
        ledger = self.steering.ledger
        if ledger is None:
            return
        if not self._isNamed:
            self._isNamed = True
            ledger.named(self.facts.session, self.facts.client)
        assert content.digested is not None
        arrivals = ledger.arrivals(content.digested, self.facts.session, not self.facts.sender, self._mail)
        for indices, fate in sorted(fates, key=_isCorrupted):
            if isAccepting(fate) or (fate is not None and fate.deceit is not None):
                if _isCorrupted((indices, fate)):
                    arrivals.look(ledger.contentOf(content.file))
                code = int(replyOf(fate, OK)[:3])
                deed, rule = ("", "") if fate is None or fate.deceit is None else (fate.deceit, fate.rules[-1])
                for index in indices * (2 if deed == "duplicate" else 1):
                    arrivals.add(ledger.recipient(self._rcpts[index]), code, deed, rule)
        arrivals.write()
        self._arrived, self._written = arrivals.number, arrivals.octets

    def _sayWritten(self, reply: bytes, fate: Fate | None, delay: float, full: bytes, counted: tuple[int, int]) -> None:
        """
        Give the reply to a message; if that is wanted, when what was written about it is on the disk.

        @param full: what is said if it can't be there.
        @param counted: how many messages and recipients were accepted, and are not in that case.
        """
        ledger = self.steering.ledger
        assert ledger is not None
        isSynced = ledger.isSynced and self._arrived > 0
        isPlain = fate is None and not delay and not self._errors
        if self._arrived and (isSynced or not isPlain):
            # What was said before is not its reply, which may wait.
            self._flush()
        if not isSynced:
            self._unsaid += self._arrived
            self._say(reply, fate, delay)
        elif isPlain and len(self._gate) < _MOST_WAITING:
            one = _Waiting(reply, full, self._arrived, self._written, counted)
            self._gate.append(one)
            ledger.whenSynced(lambda problem: self._synced(one, problem))
        else:
            self._unsaid += self._arrived
            one = _Waiting(reply, full, 0, self._written, counted)
            self._isHeld = True
            self.stop("hold")
            ledger.whenSynced(lambda problem: self._syncedAlone(one, problem, fate, delay))

    def _syncedAlone(self, one: _Waiting, problem: OSError | None, fate: Fate | None, delay: float) -> None:
        """
        What was written is on the disk, and there is more to a reply than its bytes: nothing was done meanwhile.
        """
        self._decide(one, problem)
        if not self._isGone:
            self._held(self._sayHeld, one.reply, fate if problem is None else None, delay if problem is None else 0.0)

    def _sayHeld(self, reply: bytes, fate: Fate | None, delay: float) -> None:
        """
        Give a reply that has waited, and go on.
        """
        self._isHeld = False
        self._say(reply, fate, delay)
        if not self._isHeld:
            self._release()

    def _decide(self, one: _Waiting, problem: OSError | None) -> None:
        one.isReady = True
        if problem is not None:
            self._noRoom(problem)
            self.factory.writeTakenBack(one.written, int(one.full[:3]))
            one.reply = one.full
            self.counts.messages -= one.counted[0]
            self.counts.recipients -= one.counted[1]

    def _synced(self, one: _Waiting, problem: OSError | None) -> None:
        """
        What was written is on the disk.
        """
        self._decide(one, problem)
        if one is self._gate[0]:
            self._drain()

    def _drain(self) -> None:
        """
        Say what need not wait any more; but nobody is answered while the sink is paused.
        """
        if self._isGone:
            return
        if "pause" in self._stops:
            self.steering.callLater(PAUSE, self._drain)
            return
        replies = []
        while self._gate and self._gate[0].isReady:
            one = self._gate.popleft()
            replies.append(one.reply)
            self._unsaid += one.arrivals
        if replies:
            super()._send(b"".join(replies))
        if not self._gate and self._closesThen:
            self._closesThen = False
            self._close()

    def _sendInTurn(self, reply: bytes) -> None:
        """
        What C{_send} does, where replies may wait for the disk.
        """
        if self._gate:
            self._gate.append(_Waiting(reply, isReady=True))
        else:
            super()._send(reply)

    def _close(self) -> None:
        if self._gate:
            self._closesThen = True
        else:
            super()._close()

    def _writeUnseen(self) -> None:
        """
        The session has ended: write how many replies may not have been read.
        """
        arrivals = self._unsaid + self._unseen + sum(one.arrivals for one in self._gate)
        if self._isNamed:
            self.factory.writeUnseen(self.facts.session, arrivals)


def _isCorrupted(decided: tuple[list[int], Fate | None]) -> bool:
    fate = decided[1]
    return fate is not None and fate.deceit == "corrupt"
