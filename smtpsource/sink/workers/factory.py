"""
The sessions of one worker, whose limits hold for all workers together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from sys import maxsize
from typing import TYPE_CHECKING, Any, cast

from smtpsource.sink.connection import UNAVAILABLE
from smtpsource.sink.factory import SinkFactory
from smtpsource.sink.plan import SinkPlan
from smtpsource.sink.rules.facts import Fate
from smtpsource.sink.rules.ruleset import RuleSet
from smtpsource.sink.verdicts import isAccepting
from smtpsource.sink.workers.connected import SharedConnected
from smtpsource.sink.workers.shared import (
    ACCEPTED,
    ENDED,
    GONE,
    LAST_KEPT,
    LAST_SESSION,
    MOST_OPEN,
    OPEN,
    Shared,
)
from smtpsource.sink.workers.table import Table, memory

if TYPE_CHECKING:
    from smtpsource.sink.connection import SinkConnection


class WorkerFactory(SinkFactory):
    """
    Asks, and tells, the other workers.

    @ivar whenRoom: called when a session has ended, and somebody else's may begin.
    """

    def __init__(
        self, plan: SinkPlan, seconds: Callable[[], float], callLater: Callable[..., Any], shared: Shared, worker: int
    ) -> None:
        """
        @param worker: which one this is, from 0 on.
        @raise ValueError: a file that the plan names can't be used.
        """
        self._shared = shared
        self._open, self._endedAt, self._mostOpen, self._gone = (
            shared.place(worker, which) for which in (OPEN, ENDED, MOST_OPEN, GONE)
        )
        self._worker = worker
        self._allOpen = shared.of(OPEN)
        self._all = plan.messageLimit or 0, plan.sessionLimit or maxsize
        self.whenRoom: Callable[[], None] = lambda: None
        if plan.keep or plan.control:
            plan = plan.evolve(keepBytes=max(1, plan.keepBytes // shared.workers))
        super().__init__(plan, seconds, callLater)
        self.tls.common = shared.common
        self.sessionLimit = maxsize
        if plan.messageLimit is not None:
            # Neither is any number of messages below it, nor has any reached it.
            self.messageLimit = math.nan
            self.protocol = _limited(self.protocol)

    def _steer(self, plan: SinkPlan, callLater: Callable[..., Any]) -> None:
        super()._steer(plan, callLater)
        steering, shared = self.steering, self._shared
        assert steering is not None
        steering.numberSession = lambda: shared.next(LAST_SESSION)
        steering.numberMessage = lambda: shared.next(LAST_KEPT)
        self._table = Table(shared)
        self._connected = SharedConnected(self._table, self._worker)
        self._revision = 0
        for rules in (steering.rules, *(rules for _, rules in steering.rulesByAddress.values())):
            self._share(rules)

    def _share(self, rules: RuleSet) -> None:
        rules.share(memory(self._table, self._revision), self._connected, self._shared)

    def replaceRules(self, document: object) -> None:
        """
        Have other rules: all workers do, one after the other's.
        """
        assert self.steering is not None
        rules = RuleSet.fromDict(document)
        self._revision += 1
        self._share(rules)
        self.steering.replaceRules(rules)

    def _hasRoom(self) -> bool:
        """
        See L{SinkFactory}. If there is, it is taken.
        """
        if self.maxSessions == maxsize:
            return True
        shared = self._shared
        with shared:
            hasRoom = shared.sum(OPEN) < self.maxSessions
            if hasRoom:
                shared.numbers[self._open] += 1
        return hasRoom

    def _begin(self, protocol: SinkConnection) -> None:
        shared = self._shared
        if self.maxSessions == maxsize:
            shared.numbers[self._open] = self.counts.open + 1
        atOnce = sum(self._allOpen)
        if atOnce > shared.numbers[self._mostOpen]:
            shared.numbers[self._mostOpen] = atOnce
        super()._begin(protocol)

    def _admit(self) -> None:
        """
        See L{SinkFactory}.
        """
        while self.waiting and not (self._isPaused or self._ending) and self._hasRoom():
            protocol, _ = self.waiting.popitem(last=False)
            super()._begin(protocol)
            protocol.resumeProducing()
        if not (self.waiting or self._isPaused or self._ending):
            for port in self.ports:
                port.resumeProducing()

    @property
    def lastKept(self) -> int:
        """
        The number of the message that was kept last, by whichever worker.
        """
        return self._shared.numbers[LAST_KEPT]

    def haveRoom(self) -> None:
        """
        Another worker's session has ended.
        """
        self._admit()

    def disconnected(self, protocol: SinkConnection) -> None:
        """
        See L{SinkFactory.disconnected}.
        """
        shared = self._shared
        shared.numbers[self._gone] += 1
        if protocol.begun:
            shared.numbers[self._endedAt] += 1
            if self.maxSessions == maxsize:
                shared.numbers[self._open] = self.counts.open - 1
            else:
                with shared:
                    shared.numbers[self._open] -= 1
                self.whenRoom()
            if self._all[1] != maxsize and shared.sum(ENDED) >= self._all[1]:
                self.limitReached()
        super().disconnected(protocol)

    def neverCame(self) -> None:
        """
        A connection that the parent has given was gone before.
        """
        self._shared.numbers[self._gone] += 1

    def mayAccept(self) -> bool:
        """
        May one more message be accepted, of all workers together? Then it has to be.
        """
        shared = self._shared
        with shared:
            accepted = shared.numbers[ACCEPTED]
            if accepted >= self._all[0]:
                return False
            shared.numbers[ACCEPTED] = accepted + 1
        if accepted + 1 == self._all[0]:
            self.messageLimit = self.counts.messages + 1
        return True

    def takeBack(self) -> None:
        """
        It could not be, after all.
        """
        with self._shared:
            self._shared.numbers[ACCEPTED] -= 1
        self.messageLimit = math.nan


def _limited(protocol: type[Any]) -> type[Any]:
    """
    A session that asks all workers whether there may be one more message.
    """
    return type(protocol.__name__, (_LimitedSteered if hasattr(protocol, "_fates") else _Limited, protocol), {})


class _Limited:
    """
    In front of a session that takes everything.
    """

    _hasTaken = False

    if TYPE_CHECKING:
        factory: Any
        _refusing: bool

        def refuseMore(self) -> None: ...

    def _contentReceived(self) -> bytes:
        if not self._refusing:
            self._take()
        return cast("bytes", super()._contentReceived())  # type: ignore[misc]

    def _take(self) -> bool:
        self._hasTaken = bool(self.factory.mayAccept())
        if not self._hasTaken:
            self.refuseMore()
        return self._hasTaken

    def _noRoom(self, e: OSError) -> None:
        if self._hasTaken:
            self._hasTaken = False
            self.factory.takeBack()
        super()._noRoom(e)  # type: ignore[misc]


class _LimitedSteered(_Limited):
    """
    In front of one that is steered.
    """

    def _contentReceived(self) -> bytes:
        return cast("bytes", super(_Limited, self)._contentReceived())  # type: ignore[misc]

    def _fates(self) -> list[tuple[list[int], Fate | None]]:
        found: list[tuple[list[int], Fate | None]] = super()._fates()  # type: ignore[misc]
        self._hasTaken = False
        if any(isAccepting(fate) for _, fate in found) and not self._take():
            return [(indices, Fate((), reply=UNAVAILABLE, close=True)) for indices, _ in found[:1]]
        return found
