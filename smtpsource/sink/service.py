"""
The sink as a service: it listens, and it ends in order. It never stops the reactor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.task import LoopingCall

from smtpsource.net.patience import Deadline, Standstills
from smtpsource.net.steady import keepSteady
from smtpsource.process.listening import ListenError
from smtpsource.process.threads import inThread
from smtpsource.process.unexpected import OUT_OF_MEMORY, SPARE, Reserve
from smtpsource.sink.doors import Doors
from smtpsource.sink.factory import SinkFactory
from smtpsource.sink.life import Life
from smtpsource.sink.plan import SinkPlan
from smtpsource.sink.summary import SinkSummary

if TYPE_CHECKING:
    from smtpsource.interfaces import AnyReactor

__all__ = ["TIME_TO_QUIT", "ListenError", "SinkFactory", "SinkPlan", "SinkService", "SinkSummary"]

#: Seconds that clients get to say QUIT after a limit was reached.
TIME_TO_QUIT = 1.0


class SinkService(Life):
    """
    A sink that is this process. It has one life: it can't be started again.

    @ivar factory: has the counters of the run.
    """

    def __init__(self, reactor: AnyReactor, plan: SinkPlan) -> None:
        """
        @param reactor: provides C{IReactorTime} and what L{listen} needs.
        @raise TypeError: the plan is none.
        @raise ValueError: a file that the plan names can't be used; or it is for several processes.
        """
        if not isinstance(plan, SinkPlan):
            raise TypeError(f"expected SinkService(reactor, plan) with a SinkPlan, not {type(plan).__name__}")
        if plan.workers != 1:
            raise ValueError(f"workers: {plan.workers!r} is not usable here: expected 1, this is one process")
        super().__init__(reactor, plan)
        self.factory = self.newFactory(plan)
        self.factory.later = lambda call: self._reactor.callLater(0, call)
        self.factory.whenLimitReached = self._limitReached
        self.factory.whenEmpty = self._empty
        self.factory.whenBroken = self.broken
        self._sweep = LoopingCall(self.guarded, self._sweepSoon)
        self._sweep.clock = self._reactor
        self._alive = LoopingCall(self.guarded, self._beAlive)
        self._alive.clock = self._reactor
        self.doors = self.newDoors(plan)
        self._sessionsOpen = 0
        # Memory for the end.
        self._reserve = Reserve(SPARE)

    def newFactory(self, plan: SinkPlan) -> SinkFactory:
        """
        What makes its sessions.
        """
        return SinkFactory(plan, self._reactor.seconds, self._reactor.callLater)

    def newDoors(self, plan: SinkPlan) -> Doors:
        """
        What it is reached by.
        """
        return Doors(self._reactor, plan, self.factory)

    def privilegedStartService(self) -> None:
        """
        Listen, while the process may still use any port.

        @raise ListenError: it is not possible.
        """
        if not self.doors.addresses and not self._ended:
            keepSteady(self._reactor)
            self.factory.seconds = self._reactor.seconds
            self.doors.open()
            try:
                self._openLedger()
            except ListenError:
                self.doors.close()
                self.doors.addresses = []
                raise
            self._begin()

    def _openLedger(self) -> None:
        ledger = self.factory.ledger
        if ledger is not None:
            try:
                ledger.open()
            except OSError as e:
                raise ListenError(f"can't write a ledger in {self._plan.ledger}", e) from None
            ledger.later = lambda call: self._reactor.callLater(0, self.guarded, call)
            ledger.inThread = lambda call: inThread(self._reactor, call)
            self._alive.start(1.0, now=False)

    def _beAlive(self) -> None:
        self.factory.toLedger(lambda ledger: ledger.beAlive(self.factory.counts.bytesReceived))

    def become(self, user: str | None, root: str | None) -> None:
        """
        The process becomes that user, or sees that directory only: where it is one process, that is all.
        """

    def startService(self) -> None:
        """
        Listen, unless that was done with privileges before.

        @raise ListenError: it is not possible.
        """
        self.privilegedStartService()
        Service.startService(self)
        if self._plan.idleTimeout is not None and not self._ended:
            interval = min(1.0, self._plan.idleTimeout / 4)
            self._standstills = Standstills(interval)
            self._standstills.look(self._reactor.seconds())
            self._sweep.start(interval, now=False)

    def progress(self) -> str:
        """
        What has happened so far, as one line.
        """
        counts, steering = self.factory.counts, self.factory.steering
        rules = steering.rulesCounted() if steering is not None else {}
        byRule = "".join(f" [{name}]={number}" for name, number in rules.items())
        return f"sess={counts.sessions} quit={counts.quits} mesg={counts.messages}{byRule}"

    def whenListening(self) -> Deferred[None]:
        """
        @return: fires when it listens: it does once it has started.
        """
        return succeed(None)

    def finish(self, ended: str = "done") -> Deferred[SinkSummary]:
        """
        See L{Life.finish}.
        """
        done = self.whenDone()
        if not self._finishing and self._summary is None:
            self._finishing = True
            self._sessionsOpen = self.factory.counts.open
            self._beginEnd(ended)
            self.factory.endSoon()
            self._timers.append(Deadline(self._reactor, self._plan.grace, self.guarded, self._abort))
            self._empty()
        return done

    def breakDown(self, kind: str, text: str) -> None:
        """
        Something went wrong that is no client's fault, and the exit status will say so. A sink without memory ends; and
        at once, if there is none even for that.

        @param kind: one of L{smtpsource.process.unexpected.OURS}.
        @param text: one line about it.
        """
        counts = self.factory.counts
        counts.error(kind, text.encode())
        self._problem = self._problem or f"{kind}: {text}"
        if kind == OUT_OF_MEMORY and self._summary is None:
            self.finish("aborted")
            if counts.errors[kind][0] == 2:
                self._later(0.0, self._abort)

    def _limitReached(self) -> None:
        self._beginEnd("done")
        self._timers.append(Deadline(self._reactor, TIME_TO_QUIT, self.guarded, self.finish))

    def _empty(self) -> None:
        """
        There is no connection now; and if the end has begun, that is it.
        """
        if self._ended and not self.factory.connections:
            self._closed += self.doors.closeControl()
            DeferredList(self._closed).addCallback(lambda results: self._over())

    def _abort(self) -> None:
        self.factory.abort()
        # They are gone in the next turn. Never wait for one that is not.
        self._later(1.0, self._over)

    def _later(self, delay: float, call: Callable[[], Any]) -> None:
        self._timers = [timer for timer in self._timers if timer.active()]
        self._timers.append(self._reactor.callLater(delay, self.guarded, call))

    def _sweepSoon(self) -> None:
        """
        Look for clients that are idle: in the next turn of the reactor, when all has been read that has come by now.
        """
        now = self._reactor.seconds()
        self._standstills.look(now)
        self._later(0, lambda: self.factory.sweep(now, self._standstills.since))

    def _over(self) -> None:
        if self._summary is not None:
            return
        self._cancelTimers()
        if self._sweep.running:
            self._sweep.stop()
        if self._alive.running:
            self._alive.stop()
        self.doors.closeControl()
        self._reserve.release()
        self.factory.toLedger(lambda ledger: ledger.close())
        if self.factory.steering is not None:
            self.factory.steering.close()
        self._summary = self._summarize()
        self._tell(self._summary)

    def _summarize(self) -> SinkSummary:
        factory = self.factory
        counts = factory.counts
        busy = 0.0
        if factory.firstSession is not None:
            busy = (self._reactor.seconds() if factory.connections else factory.lastEnd) - factory.firstSession
        used: dict[str, Any] = {}
        try:
            used = counts.extensions(factory.parameters.counted())
        except Exception as e:
            self.broken(e)
        return SinkSummary(
            busy=busy,
            sessions=counts.sessions,
            sessionsOpen=self._sessionsOpen,
            sessionsMax=counts.mostOpen,
            quits=counts.quits,
            messages=counts.messages,
            recipients=counts.recipients,
            bytesReceived=counts.bytesReceived,
            bytesSent=counts.bytesSent,
            errors=dict(counts.errors),
            extensions=used,
            ledger=factory.ledger.path if factory.ledger is not None else None,
            **self._facts(),
            **(factory.steering.result() if factory.steering is not None else {}),
        )
