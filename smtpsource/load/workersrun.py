"""
A run by several workers, as their parent has it.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from typing import Any

from twisted.internet.defer import Deferred

from smtpsource._version import __version__
from smtpsource.interfaces import IReactor
from smtpsource.load.gathered import Gathering
from smtpsource.load.hints import ofUneven
from smtpsource.load.lending import Lending
from smtpsource.load.lostpart import LostPart
from smtpsource.load.workerbounds import WorkerBounds
from smtpsource.load.workersfigures import WorkersFigures
from smtpsource.load.workerwords import WorkerEnd, understood
from smtpsource.measure.counters import OUTCOMES, Counters
from smtpsource.measure.frame import Frame
from smtpsource.measure.recorder import Recorder
from smtpsource.messages import seeds
from smtpsource.net.destination import Address, spelled
from smtpsource.net.reactorchoice import nameOf
from smtpsource.net.sources import Sources
from smtpsource.pacing.share import Share
from smtpsource.plan import SourcePlan
from smtpsource.process.children import program
from smtpsource.process.unexpected import ENOUGH_TO_END, OUT_OF_MEMORY, SPARE, WORKER_LOST, Reserve
from smtpsource.workers.band import Band
from smtpsource.workers.link import Link, WorkerFailed
from smtpsource.workers.spawned import spawned
from smtpsource.workers.wire import Kind

#: Seconds from GO to the time at which all begin: that long it may take to be heard by all.
LEAD = 0.02


class WorkersRun(WorkersFigures):
    """
    Has the same for its service as L{Run<smtpsource.load.run.Run>}, but carries no mail: its workers do. What they
    count is added to one recorder.

    @ivar id: the run's id.
    @ivar sources: the addresses to connect from; C{None} for the system's choice.
    @ivar reached: has anybody ever taken a connection?
    @ivar reason: the first fault or refusal that ended the run before its time, or C{None}.
    @ivar incomplete: what is missing from the figures: a line for each worker that was lost.
    @ivar reserve: memory for the end of the run.
    @ivar whenSecond: called with what all workers did in a second.
    """

    def __init__(
        self,
        reactor: IReactor,
        plan: SourcePlan,
        recorder: Recorder,
        clock: Callable[[], float],
        whenEnded: Callable[[], None],
        whenWarm: Callable[[float], dict[str, Any]],
        tell: Callable[[str], None],
        links: Sequence[Link] | None = None,
    ) -> None:
        """
        @param whenEnded: called once, when all workers are gone.
        @param whenWarm: called at the end of the warm-up, if there is one, with the time at which measuring began.
            Gives the counts of the warm-up.
        @param tell: called with each line that the user should know of while the run goes on.
        @param links: the workers; C{None}: children of this process.
        """
        areHere = links is None
        if links is None:
            links = spawned(reactor, program("smtpsource.load.worker", nameOf(reactor)), plan.workerCount, plan.pin)
        super().__init__(plan, recorder, clock, links)
        count = len(links)
        self.id = seeds.runId(plan.seed)
        self.sources = Sources(plan.bind) if plan.bind else None
        self.reached = False
        self.reason: str | None = None
        self.incomplete: list[str] = []
        self.reserve = Reserve(ENOUGH_TO_END)
        self.whenSecond: Callable[[Frame], None] = lambda frame: None
        self.whenLost: Callable[[str], None] = lambda text: None
        self._spare = Reserve(SPARE)
        self._whenEnded = whenEnded
        self._whenWarm = whenWarm
        self._tell = tell
        self._bounds = [WorkerBounds() for _ in links]
        self._shares = [Share(index, count) for index in range(count)]
        self._gathering = Gathering(recorder, count, lambda frame: self.whenSecond(frame), self._warm)
        self._lending = None if plan.openLoop else Lending(plan, self._shares, self._lend)
        self._warmUp: dict[str, Any] = {}
        self._hasBegun = False
        self._areHere = areHere
        # From when on no further message is started.
        self._endsAt = inf
        # For these nobody waits: what they raise is the end of the run.
        said, lost = partial(self.guarded, self._said), partial(self.guarded, self._lost)
        self._band = Band(reactor, links, plan.grace, said, lost, self._allGone, partial(self.guarded, self._silent))
        if plan.findRate is not None:
            from smtpsource.load.workerssearch import WorkersSearch  # for those who look for one

            self._search = WorkersSearch(
                *(reactor, plan, self._band, self.beginsAt, clock, self.guarded),
                lambda problem: self.trouble(problem, tolerable=False),
            )

    # The course of a run, as its service wants it

    def prepare(self) -> Deferred[None]:
        """
        Start the workers.

        @return: fires when all are ready; or fails with L{WorkerFailed}.
        @raise Breakdown: there can't be a ledger.
        """
        plan = self.plan
        if plan.ledger is not None:
            from smtpsource.ledger.notes import seeAlone  # for those who keep one

            seeAlone(plan.ledger, self.id.decode("ascii"))
        run = {"run": self.id.decode("ascii"), "seed": plan.seedInUse}
        if plan.logMessages is not None and self._areHere:
            from smtpsource.load.messagelog import ofWorkers  # for those who keep one

            plan = ofWorkers(plan)
        # There may be a large message in it: there is one for all.
        pickled = Kind.PLAN, pickle.dumps(plan)
        shares = [(Kind.SHARE, {"index": share.index, "count": share.count, **run}) for share in self._shares]
        return self._band.start([(share, pickled) for share in shares]).addCallback(self._areReady)

    def _areReady(self, ready: list[dict[str, Any]]) -> None:
        self._ready = ready
        for index, one in enumerate(ready):
            if (version := one.get("version")) != __version__:
                raise WorkerFailed(
                    f"{self._band.name(index)} is of version {version}, and this is {__version__}: expected the same"
                )

    def beginsAt(self) -> float:
        """
        When all would begin, if they were told to do so now.
        """
        return self.clock() + LEAD

    def begin(self, addresses: Sequence[Address], at: float) -> None:
        """
        Tell all to begin.

        @param at: when.
        """
        self.startTime = at
        self._hasBegun = True
        self._band.go({"at": at, "addresses": [spelled(address) for address in addresses]})
        if self.plan.openLoop and self.plan.sessionCount % self._band.size:
            self.hint(ofUneven(self.plan.sessionCount, self._band.size))
        if self._search is not None:
            self._search.begin(at)

    def reroute(self, addresses: Sequence[Address]) -> None:
        """
        Connect to these addresses from now on.
        """
        self._band.tell(Kind.ADDRESSES, {"addresses": [spelled(address) for address in addresses]})

    def drain(self) -> None:
        """
        See L{Run.drain<smtpsource.load.run.Run.drain>}.
        """
        if not self.draining and not self._isOver:
            self._end()
            self._band.drain()

    def abort(self) -> None:
        """
        See L{Run.abort<smtpsource.load.run.Run.abort>}.
        """
        self._end()
        self._band.abort()

    def abandon(self) -> None:
        """
        The run does not begin: no worker is left when that is told.
        """
        self._end()
        self._band.end()

    def _end(self) -> None:
        self.draining = True
        self._endsAt = min(self._endsAt, self.clock())
        if self._search is not None:
            self._search.end()

    def trouble(self, text: str, *, tolerable: bool = True) -> None:
        """
        See L{Run.trouble<smtpsource.load.run.Run.trouble>}.
        """
        if not (tolerable and self.plan.tolerant) and not self.draining and not self._isOver:
            self.reason = text
            self.drain()

    def breakDown(self, kind: str, text: str) -> None:
        """
        See L{Run.breakDown<smtpsource.load.run.Run.breakDown>}. This one is about this process.
        """
        self.recorder.error(kind, text)
        if self._isOver:
            return
        self._fail(f"{kind}: {text}")
        if kind == OUT_OF_MEMORY and self.recorder.errors[kind] == 2:
            self.abort()

    def _fail(self, reason: str) -> None:
        if self.reason is None:
            self.reason = reason
        self.drain()

    def hint(self, text: str | None) -> None:
        """
        See L{Run.hint<smtpsource.load.run.Run.hint>}.
        """
        if text is not None and text not in self.hints:
            self.hints.append(text)
            self._tell(text)

    # What workers say

    def _said(self, index: int, kind: Kind, body: Any) -> None:
        try:
            meaning = understood(kind, body)
            self._bounds[index].check(kind, meaning, self.clock() - self.startTime)
            if kind is Kind.STEPPED:
                self._stepped(index, meaning)
        except ValueError as e:
            self._band.giveUp(index, f"said {kind.name} in a way that makes no sense: {e}")
            return
        match kind:
            case Kind.FRAME:
                self._add(index, meaning)
            case Kind.WANT:
                self._want(index, *meaning)
            case Kind.TROUBLE:
                self.trouble(meaning, tolerable=False)
            case Kind.BROKEN:
                self._fail(f"{self._band.name(index)}: {meaning}")
            case Kind.HINT:
                self.hint(meaning)
            case Kind.END:
                self._ended(index, meaning)

    def _want(self, index: int, wanted: int, epoch: int) -> None:
        if self._lending is not None:
            if epoch:
                self._isWarm(index)
            self._lending.want(index, wanted, epoch)

    def _isWarm(self, index: int) -> None:
        """
        The warm-up of a worker is over, if that is not known yet.
        """
        facts = self._facts[index]
        if self._lending is not None and facts.epoch == 0:
            self._lending.warm(index, facts.inFlight, facts.counted(0).started)
            facts.epoch = 1

    def _lend(self, index: int, lease: dict[str, Any]) -> None:
        self._band.say(index, Kind.LEASE, lease)

    def _add(self, index: int, frame: Frame) -> None:
        self.reached = self.reached or frame.counters.connectionsOpened > 0
        if frame.epoch:
            self._isWarm(index)
        # First, for those who are told of a second and look at all that is known.
        self._facts[index].add(frame)
        self._gathering.add(index, frame)

    def _warm(self, counts: Counters) -> None:
        """
        All workers measure from now on; or the run has ended in its warm-up, which is told by each in the same way.
        """
        # All have told up to when, but those that were lost.
        self._warmUpSeconds = min(self.plan.warmUp, max(facts.endedAt(0) for facts in self._facts))
        self._warmUp = self._whenWarm(self.startTime + self._warmUpSeconds)
        self.warmingUp = False

    def endInWarmUp(self) -> dict[str, Any]:
        """
        See L{Run.endInWarmUp<smtpsource.load.run.Run.endInWarmUp>}: all workers were lost in it.
        """
        return self._whenWarm(self.endedAt())

    def restartAddresses(self) -> None:
        """
        See L{Run.restartAddresses<smtpsource.load.run.Run.restartAddresses>}: each worker does that.
        """

    def _ended(self, index: int, end: WorkerEnd) -> None:
        self._facts[index].end = end
        for text in end.hints:
            self.hint(text)
        self._gathering.lost(index)
        if self._lending is not None:
            self._lending.leave(index)

    def _stepped(self, index: int, frame: Frame) -> None:
        if self._search is None:
            raise ValueError("nothing is searched for")
        self._search.heard(index, frame)

    def _lost(self, index: int, how: str) -> None:
        """
        A worker is gone, and was not to be. What it has told stands; of what else it may have begun nobody knows any
        more.
        """
        text = f"{self._band.name(index)} {how}"
        self.whenLost(text)
        if not self._hasBegun:
            self.incomplete.append(text)
            # Nothing is lost but the load of this one: better no run than one of less than was asked for.
            self.recorder.error(WORKER_LOST, text)
            self._fail(text)
            return
        facts = self._facts[index]
        errors = {WORKER_LOST: (1, text)}
        if self._lending is not None:
            last = facts.last(self._lending.leave(index), errors)
        else:
            part = self._partOf(index)
            self._gathering.goOnWithout(part)
            last = facts.last(facts.counted(facts.epoch).started + part.begun, errors, part.begun)
        passed = max(0.0, self.clock() - self.startTime)
        self.incomplete.append(f"{text} after {passed:.1f} s{self._missing(last)}")
        facts.add(last)
        # In a warm-up no lines are written.
        facts.missing = last.counters.failed if last.epoch or not self.plan.warmUp else 0
        if last.epoch < self._gathering.epoch:
            self.recorder.error(WORKER_LOST, text)  # it was not waited for; all else is of the warm-up
        self._gathering.add(index, last)
        self._gathering.lost(index)
        goesOn = self._band.living and self._search is None and not self.draining
        self._tell(f"{text}; the run goes on with the others" if goesOn else text)
        if all(self._band.how(other) for other in range(self._band.size)):
            self._fail(f"all {self._band.size} workers were lost; the last: {text}")
        elif self._search is not None:
            # The others would hold less than the rate.
            self._fail(text)

    def _missing(self, last: Frame) -> str:
        """
        How much of a lost worker counts as failed, in words that follow others.
        """
        failed = last.counters.failed
        had = "had, or was lent" if self._lending is not None else "had, or was to start"
        return (
            f": {failed} message{'s' * (failed > 1)} that it {had}, count{'s' * (failed == 1)} as failed"
            if failed
            else ""
        )

    def _silent(self, index: int, seconds: float) -> None:
        self._tell(f"{self._band.name(index)} has been silent for {seconds:.0f} s")

    def _partOf(self, index: int) -> LostPart:
        """
        What a worker was to do by its schedule that is lost now.
        """
        facts, share = self._facts[index], self._shares[index]
        told = facts.endedAt(facts.epoch) + (self.plan.warmUp if facts.epoch else 0.0)
        now = min(self.clock(), self._endsAt) - self.startTime
        if self._search is None:
            return LostPart.of(self.plan, share, facts.epoch, facts.asked(facts.epoch), told, now)
        return self._search.lostPart(share, self.startTime + told, self.startTime + now)

    def _allGone(self) -> None:
        self._isOver = True
        if self._search is not None:
            self._search.end()
        if self._warmUp:
            # Of a schedule, some that were wanted in the warm-up have had their outcomes only after it.
            names = OUTCOMES if self._schedule is None else (*OUTCOMES, "overdue")
            self._warmUp |= {name: sum(facts.ofWarmUp(name) for facts in self._facts) for name in names}
        self._whenEnded()
