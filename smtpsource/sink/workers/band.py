"""
A sink of several workers: one service for whoever starts it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from smtpsource.net.patience import Deadline
from smtpsource.net.steady import keepSteady
from smtpsource.process.listening import ListenError
from smtpsource.sink.doors import Doors
from smtpsource.sink.factory import SinkFactory
from smtpsource.sink.life import Life
from smtpsource.sink.plan import SinkPlan
from smtpsource.sink.summary import SinkSummary
from smtpsource.sink.workers.counted import Counted
from smtpsource.sink.workers.dealing import Dealer
from smtpsource.sink.workers.link import Link
from smtpsource.sink.workers.outcome import summaryOf
from smtpsource.sink.workers.shared import CONNECTED, LOST, MOST_OPEN, OPEN, Shared
from smtpsource.sink.workers.starting import start
from smtpsource.sink.workers.table import SIZE
from smtpsource.sink.workers.wire import Kind

if TYPE_CHECKING:
    from smtpsource.sink.workers.asking import Asking
    from smtpsource.sink.workers.control import BandControl

log = Logger()

#: Seconds that workers may take to begin.
START_TIMEOUT = 120.0

#: Seconds that they may take to end, beyond their grace period.
END_TIMEOUT = 10.0


class SinkBand(Life):
    """
    A L{SinkService<smtpsource.sink.service.SinkService>} whose sessions are those of its workers.

    @ivar factory: has the counters, added up, and what is common: rules, the world.
    @ivar links: the workers.
    @ivar complain: called with one line about what people should know at once.
    @ivar tell: called with a line of the workers' log.
    """

    def __init__(self, reactor: Any, plan: SinkPlan) -> None:
        """
        @param reactor: provides C{IReactorProcess}, C{IReactorTime} and what L{listen} needs.
        @raise ValueError: a file that the plan names can't be used.
        """
        super().__init__(reactor, plan)
        # It keeps nothing itself.
        kept = plan.evolve(maildir=None, mbox=None, dump=None, dumpAppend=None, dumpStart=None)
        self.factory = SinkFactory(kept.evolve(ledger=None, ledgerSync=False), reactor.seconds, reactor.callLater)
        self.doors = Doors(reactor, plan, self.factory)
        self.links: list[Link] = []
        self.complain = lambda line: log.warn("{line}", line=line)
        self.tell: Callable[[str], object] = lambda text: log.info("{text}", text=text.rstrip("\n"))
        self._user: tuple[str | None, str | None] = None, None
        self._ready: Deferred[None] = Deferred()
        self._isComplete = True
        self._errors: dict[str, tuple[int, str]] = {}
        self._dealer: Dealer | None = None
        self._asking: Asking | None = None
        self._control: BandControl | None = None
        if plan.control is not None:
            from smtpsource.sink.workers.asking import Asking  # twisted.web takes a while
            from smtpsource.sink.workers.control import BandControl

            self._asking = Asking(reactor, self.links)
            self._control = BandControl(reactor, self._asking, lambda: self.shared)
            self.doors.pathsOf = self._control.paths

    # -- The beginning

    def privilegedStartService(self) -> None:
        """
        Listen, while the process may still use any port, and start the workers.

        @raise ListenError: it is not possible.
        """
        if self.links or self._ended:
            return
        keepSteady(self._reactor)
        self.factory.seconds = self._reactor.seconds
        self.doors.open()
        ports = self.factory.ports
        for port in ports:
            port.stopReading()
        try:
            self.shared = Shared.made(self._plan.workerCount, SIZE)
            make = partial(Link, heard=self._heard, ended=self._lost)
            self._dealer = start(self._reactor, self._plan, ports, self.shared, make, self.links)
        except OSError as e:
            for link in self.links:
                link.kill()
            self.doors.close()
            self.doors.closeControl()
            self.doors.addresses = []
            raise ListenError("can't start workers", e) from None
        self._begin()

    def become(self, user: str | None, root: str | None) -> None:
        """
        @param user: who the workers are to become.
        @param root: the only directory that they see then.
        """
        self._user = user, root

    def startService(self) -> None:
        """
        Begin; the workers take a moment: see L{whenListening}.

        @raise ListenError: it is not possible.
        """
        self.privilegedStartService()
        Service.startService(self)
        for link in self.links:
            link.say(Kind.BEGIN, self._user)
        problem = f"the workers did not begin within {START_TIMEOUT:g} seconds"
        self._timers.append(Deadline(self._reactor, START_TIMEOUT, self.guarded, self._unusable, problem))

    def whenListening(self) -> Deferred[None]:
        """
        @return: fires when all workers take connections. Never, if they can't. There is only one.
        """
        return self._ready

    def _unusable(self, problem: str) -> None:
        if self._ready.called or self._ended:
            return
        self._problem = self._problem or problem
        self._beginEnd("aborted")
        for link in self.links:
            link.kill()

    # -- What workers say

    def _heard(self, link: Link, kind: Kind, body: Any) -> None:
        if kind is Kind.READY:
            link.ledger = body
            link.isReady = True
            if all(one.isReady for one in self.links) and not self._ended:
                self._listens()
        elif kind is Kind.UNUSABLE:
            self._unusable(body)
        elif kind is Kind.LIMIT:
            self._limitReached(link)
        elif kind is Kind.ROOM:
            self._haveRoom()
        elif kind is Kind.COMPLAINT:
            self.complain(body)
        elif kind is Kind.LOG:
            self.tell(body)
        elif kind is Kind.BROKEN:
            self._problem = self._problem or ": ".join(body)
        elif kind is Kind.ANSWER and self._asking is not None:
            self._asking.answered(link, *body)
        elif kind is Kind.EVENTS and self._control is not None:
            self._control.happened(*body)

    def _listens(self) -> None:
        self._cancelTimers()
        self._begin()
        if self._dealer is not None:
            self._dealer.begin()
        if not self._ready.called:
            self._ready.callback(None)

    def _haveRoom(self) -> None:
        for link in self.links:
            link.say(Kind.ROOM)

    def _limitReached(self, by: Link) -> None:
        self._beginEnd("done")
        for link in self.links:
            if link is not by:
                link.say(Kind.LIMIT)
        self._killLater()

    def _lost(self, link: Link, how: str) -> None:
        """
        A worker has ended.
        """
        worker = link.task.worker
        if self._asking is not None:
            self._asking.lost(link)
        if link.result is None and not (self._problem and not self._ready.called):
            self._isComplete = False
            problem = f"{link.name} {how}"
            self._problem = self._problem or problem
            if self._ready.called:
                self.complain(problem)
                numbers, place = self.shared.numbers, self.shared.place
                numbers[place(worker, LOST)] = 1
                numbers[place(worker, OPEN)] = numbers[place(worker, CONNECTED)] = 0
                self._haveRoom()
            else:
                self._unusable(problem)
        if not any(one.isThere for one in self.links):
            self._beginEnd("aborted")
            self._over()

    # -- The end

    def finish(self, ended: str = "done") -> Deferred[SinkSummary]:
        """
        See L{Life.finish}.
        """
        done = self.whenDone()
        if not self._finishing and self._summary is None:
            self._finishing = True
            self._beginEnd(ended)
            for link in self.links:
                link.say(Kind.FINISH, ended)
            self._killLater()
            if not any(link.isThere for link in self.links):
                self._over()
        return done

    def breakDown(self, kind: str, text: str) -> None:
        """
        Something went wrong in the parent: see L{SinkService.breakDown<smtpsource.sink.service.SinkService.breakDown>}.
        """
        number, first = self._errors.get(kind, (0, text))
        self._errors[kind] = number + 1, first
        self._problem = self._problem or f"{kind}: {text}"
        if kind == "out-of-memory" and self._summary is None:
            self.finish("aborted")

    def _beginEnd(self, ended: str) -> None:
        if not self._ended and self._dealer is not None:
            self._dealer.close()
        super()._beginEnd(ended)

    def _killLater(self) -> None:
        self._timers.append(Deadline(self._reactor, self._plan.grace + END_TIMEOUT, self.guarded, self._kill))

    def _kill(self) -> None:
        for link in self.links:
            if link.isThere:
                link.kill()

    def _over(self) -> None:
        if self._summary is not None:
            return
        self._cancelTimers()
        self._closed += self.doors.closeControl()
        if self.factory.steering is not None:
            self.factory.steering.close()
        self._summary = summary = self._summarize()
        DeferredList(self._closed).addCallback(lambda results: self._tell(summary))

    # -- What has come of it

    def counted(self) -> Counted:
        """
        What all workers have counted, as far as they have told.
        """
        return Counted.sum(link.counted for link in self.links)

    def progress(self) -> str:
        """
        See L{SinkService.progress<smtpsource.sink.service.SinkService.progress>}.
        """
        counted = self.counted()
        byRule = "".join(f" [{name}]={number}" for name, number in counted.rules.items())
        numbers = counted.numbers
        return f"sess={numbers['sessions']} quit={numbers['quits']} mesg={numbers['messages']}{byRule}"

    def _summarize(self) -> SinkSummary:
        counted = Counted.sum([self.counted(), Counted(errors=self._errors)])
        steering = self.factory.steering
        return replace(
            summaryOf(counted, self.links),
            sessionsMax=self.shared.most(MOST_OPEN) if self.links else 0,
            ledger=self._plan.ledger,
            marks=steering.result()["marks"] if steering is not None else [],
            complete=self._isComplete,
            **self._facts(counted.cpu),
        )
