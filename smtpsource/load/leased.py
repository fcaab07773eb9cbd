"""
Shares of a run in a closed loop: the numbers of their messages are lent to them, some at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from smtpsource.load.run import BATCH, Run
from smtpsource.load.staged import StagedRun

if TYPE_CHECKING:
    from smtpsource.interfaces import IMessage
    from smtpsource.load.session import Session

#: For so many seconds a share asks ahead.
AHEAD = 1.0

#: It never asks for more messages at once, if its sessions can do with so many.
MOST = 10_000

#: For so many it asks first, when nobody knows how fast it will be.
FIRST = 500

#: C{remaining} is that much more than what is lent and not used, as long as there may be more.
_OPEN = 1 << 60


class LeasedRun(Run):
    """
    A closed loop whose messages come from a pool that it has in common with other shares. It asks for some early enough
    that no session waits for one; where it has none left and there may be more, sessions do wait.

    @ivar want: called with how many messages it can use. The answer comes to L{lease}; until then it asks for no more,
        but for the end of the warm-up, after which what was wanted before is not used.
    @ivar epoch: 1 when what was lent in a warm-up is void, else 0.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._leases: deque[range] = deque()
        self._lent: Iterator[int] = chain.from_iterable(iter(self._leases.popleft, None))
        super().__init__(*arguments, **named)
        self.want: Callable[[int], object] = lambda count: None
        self.epoch = 0
        self.remaining = _OPEN
        # Those that have no message; the one that has waited longest is the first to get one.
        self._parked: deque[Session] = deque()
        # So many are kept for sessions that have yet to begin: each one's first.
        self._reserved = 0
        # Where this many remain, or fewer, there is something to do before one is taken.
        self._mark = _OPEN
        # It asks again when no more than so many are left.
        self._low = 0
        self._isAsking = self._awaitsFirst = False
        # How many were lent, when it last asked, and how many were used by then.
        self._lentSoFar = self._usedThen = 0
        self._askedAt = 0.0

    def begin(self, *arguments: Any) -> None:
        """
        See L{Run.begin}. Messages are asked for at once.
        """
        super().begin(*arguments)
        if not self._isAsking:
            self._ask()

    def lease(self, first: int, count: int, epoch: int | None = None) -> None:
        """
        Here are more messages.

        @param first: the number of the first one.
        @param count: how many there are, one after the other; 0: there are no more.
        @param epoch: when they were asked for; C{None}: no matter.
        """
        if not self.remaining or (epoch is not None and epoch != self.epoch):
            return
        self._isAsking = False
        if count:
            self._add(range(first, first + count))
        else:
            self._close()
        if self._awaitsFirst:
            self._awaitsFirst = False
            super()._beginSessions()
            self._endIfOver()
        self._resumeSome()

    def take(self) -> IMessage | None:
        """
        The next message; none, if none is there now.
        """
        if self.remaining <= self._mark and not self._isThere():
            return None
        self.remaining -= 1
        self.recorder.started += 1
        return self._nextMessage()

    def idle(self, session: Session) -> None:
        """
        This session waits until there is a message for it.
        """
        session.parked = True
        self._parked.append(session)

    def _numbers(self) -> Iterator[int]:
        return self._lent

    def _add(self, lease: range) -> None:
        self._leases.append(lease)
        self._lentSoFar += len(lease)
        reserved = min(len(lease), self._toBegin - self._reserved)
        self._reserved += reserved
        self.remaining += len(lease) - reserved
        self._mark = _OPEN + self._low
        if self.remaining <= self._mark:
            self._ask()

    def _close(self) -> None:
        """
        What there is now is all.
        """
        self.remaining -= _OPEN
        self._mark = 1
        self._toBegin = self._reserved
        if not self.remaining:
            self._later(self._endPauses)

    def _isThere(self) -> bool:
        """
        Few remain: is there one to take? Then see to what comes after it.
        """
        if self.remaining >= _OPEN:
            if not self._isAsking:
                self._ask()
            return self.remaining > _OPEN
        if self.remaining == 1 and (self.pause is not None or self.seeking):
            self._later(self._endPauses)
        return self.remaining > 0

    def _ask(self) -> None:
        """
        Ask for as many as will be used in the next second, as far as that is known: by those used since the last time.
        """
        now, used = self.clock(), self._lentSoFar - self._left()
        count = FIRST
        if self._low and now > self._askedAt:
            count = int((used - self._usedThen) / (now - self._askedAt) * AHEAD)
            if self._parked:
                # It was too late, and so that is no measure.
                count = max(count, 4 * self._low)
        count = max(2, 2 * self._atOnce(), min(count, MOST))
        self._low = count // 2
        self._askedAt, self._usedThen = now, used
        self._isAsking = True
        self._mark = _OPEN
        self.want(count)

    def _left(self) -> int:
        """
        How many are lent and not used.
        """
        return self.remaining - _OPEN + self._reserved

    def _atOnce(self) -> int:
        """
        How many messages may be on their way at once.
        """
        return self.share.of(min(self.plan.mostSessions, self.plan.messageLimit)) * max(1, self.plan.window)

    def _resumeSome(self) -> None:
        """
        Messages for those that have waited; or none, if there will be none.
        """
        for _ in range(BATCH):
            if not self._parked or self.remaining == _OPEN:
                return
            session = self._parked.popleft()
            if session.parked:  # nobody else has resumed it
                session.resume()
        self._later(self._resumeSome)

    def _beginSessions(self) -> None:
        """
        Not before there are messages: each session's first one is kept for it.
        """
        if self.remaining == _OPEN:
            self._awaitsFirst = True
        else:
            super()._beginSessions()
            self._endIfOver()

    def _reserve(self) -> None:
        if self.remaining >= _OPEN:
            self._reserved = min(self._toBegin, self.remaining - _OPEN)
        else:
            self._reserved = self._toBegin = min(self._toBegin, self.remaining)
        self.remaining -= self._reserved

    def _join(self) -> None:
        self._toBegin -= 1
        if self._reserved:
            self._reserved -= 1
            self.remaining += 1
        self._beginSession(self._newSession())

    def _limit(self) -> None:
        """
        What was lent in the warm-up is void. How many more there are depends on what all have on their way.
        """
        for _ in islice(self._lent, self._left()):
            pass
        self._lentSoFar -= self._left()
        self.epoch = 1
        self.remaining = _OPEN
        self._reserved = 0
        self._ask()

    def _endIfOver(self) -> None:
        if not (self._awaitsFirst and self.remaining):
            super()._endIfOver()


class LeasedStagedRun(StagedRun, LeasedRun):
    """
    The same where sessions join and leave.
    """
