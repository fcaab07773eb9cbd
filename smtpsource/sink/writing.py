"""
What a steered session writes into the ledger of its sink.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smtpsource.sink.content import IncomingContent
from smtpsource.sink.protocol import OK
from smtpsource.sink.reception import Reception
from smtpsource.sink.rules.facts import Fate
from smtpsource.sink.verdicts import isAccepting, replyOf

if TYPE_CHECKING:
    pass


class Writing(Reception):
    """
    Writes down what arrives, before its reply leaves.
    """

    # Arrivals that the ledger has of the message that has come last.
    _arrived = 0

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
        arrivals = ledger.arrivals(content.digested, self.facts.session, not self.facts.sender)
        for indices, fate in sorted(fates, key=_isCorrupted):
            if isAccepting(fate) or (fate is not None and fate.deceit is not None):
                if _isCorrupted((indices, fate)):
                    arrivals.look(ledger.contentOf(content.file))
                code = int(replyOf(fate, OK)[:3])
                deed, rule = ("", "") if fate is None or fate.deceit is None else (fate.deceit, fate.rules[-1])
                for index in indices * (2 if deed == "duplicate" else 1):
                    arrivals.add(ledger.recipient(self._rcpts[index]), code, deed, rule)
        arrivals.write()
        self._arrived = arrivals.number

    def _sayWritten(self, reply: bytes, fate: Fate | None, delay: float, full: bytes, counted: tuple[int, int]) -> None:
        """
        Give the reply to a message, when what was written about it is on the disk if that is wanted.

        @param full: what is said if it can't be there.
        @param counted: how many messages and recipients were accepted, and are not in that case.
        """
        ledger = self.steering.ledger
        isSynced = ledger is not None and ledger.isSynced and self._arrived > 0
        if self._arrived and (isSynced or fate is not None or delay or self._errors):
            # What was said before is not its reply, which may wait.
            self._flush()
        self._unsaid += self._arrived
        if ledger is None or not isSynced:
            self._say(reply, fate, delay)
            return

        def synced(problem: OSError | None) -> None:
            if problem is not None:
                self._noRoom(problem)
                self.counts.messages -= counted[0]
                self.counts.recipients -= counted[1]
            if self._isGone:
                return
            if problem is not None:
                self._held(self._sayHeld, full, None, 0.0)
            else:
                self._held(self._sayHeld, reply, fate, delay)

        self._isHeld = True
        self.stop("hold")
        ledger.whenSynced(synced)

    def _sayHeld(self, reply: bytes, fate: Fate | None, delay: float) -> None:
        """
        Give a reply that has waited, and go on.
        """
        self._isHeld = False
        self._say(reply, fate, delay)
        if not self._isHeld:
            self._release()


def _isCorrupted(decided: tuple[list[int], Fate | None]) -> bool:
    fate = decided[1]
    return fate is not None and fate.deceit == "corrupt"
