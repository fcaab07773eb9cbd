"""
How far a run of several workers has come, and what came of it: made of what each of them has told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from math import inf
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed

from smtpsource.load import parts
from smtpsource.load.gathered import Gathering
from smtpsource.load.hints import isSilence
from smtpsource.load.workerfacts import WorkerFacts, together
from smtpsource.load.workerwords import WorkerEnd, addedUp
from smtpsource.measure.counters import AddressCounts, totals
from smtpsource.measure.limits import Upkeep
from smtpsource.measure.progress import DRAINING, RUNNING, STATES, Working
from smtpsource.measure.recorder import Recorder
from smtpsource.pacing.schedule import Schedule
from smtpsource.phases import BANNER
from smtpsource.plan import SourcePlan
from smtpsource.process.cpu import processTime
from smtpsource.process.unexpected import Breakable
from smtpsource.workers.band import Band
from smtpsource.workers.link import Link

if TYPE_CHECKING:
    from smtpsource.load.workerssearch import WorkersSearch
    from smtpsource.measure.search import Found, Searching


class WorkersFigures(Breakable):
    """
    What there is to say of such a run. What is counted in frames is known as of the last second; what a worker says in
    the end is known then.

    @ivar plan: what was asked for.
    @ivar recorder: what is counted.
    @ivar clock: seconds, on a scale that never goes backward, the same for all processes of this machine.
    @ivar startTime: when the first session began, on that scale.
    @ivar draining: no further message is started.
    @ivar warmingUp: what is counted now will not be kept.
    @ivar hints: what may be wrong with what was asked for.
    """

    _band: Band
    _gathering: Gathering

    def __init__(self, plan: SourcePlan, recorder: Recorder, clock: Callable[[], float], links: Sequence[Link]) -> None:
        self.plan = plan
        self.recorder = recorder
        self.clock = clock
        self.startTime = clock()
        self.draining = False
        self.warmingUp = plan.warmUp > 0
        # How long that was, when it is over.
        self._warmUpSeconds = plan.warmUp
        self.hints: list[str] = []
        self._links = links
        self._facts = [WorkerFacts() for _ in links]
        self._ready: Sequence[dict[str, Any]] = ()
        self._schedule = Schedule(parts.profile(plan)) if plan.openLoop else None
        self._search: WorkersSearch | None = None
        self._isOver = False

    @property
    def openSessions(self) -> int:
        """
        How many sessions are not over, as of the last second.
        """
        return self._gauge("sessions")

    def _gauge(self, name: str) -> int:
        return round(self._gathering.gauges().get(name, 0))

    @property
    def state(self) -> str:
        """
        See L{Run.state<smtpsource.load.run.Run.state>}: what most of them do.
        """
        if self._isOver:
            return "over"
        if self.draining:
            return DRAINING
        if self.warmingUp:
            return "warm-up"
        gauges = self._gathering.gauges()
        counts = {state: gauges.get(state, 0) for state in STATES}
        return max(STATES, key=lambda state: counts[state]) if any(counts.values()) else RUNNING

    def scheduledMessages(self) -> float | None:
        """
        How many messages the schedule has asked for since measuring began, as of the last second.
        """
        return None if self._schedule is None else self._gauge("asked")

    def scheduledSeconds(self) -> float | None:
        """
        For how many seconds of what is measured the schedule has asked, as of the last second.
        """
        return None if self._schedule is None else self._gathering.gauges().get("scheduledSeconds", 0.0)

    def askedRate(self) -> float | None:
        """
        The rate that the schedule asks for now, in messages per second; C{None} without one.
        """
        if self._search is not None:
            return self._search.rate
        schedule, passed = self._schedule, self.clock() - self.startTime
        return None if schedule is None else schedule.rateAt(max(0.0, passed))

    def overdue(self) -> int | None:
        """
        How many messages the schedule has asked for that are not started, as of the last second; C{None} without one.
        """
        return None if self._schedule is None else self._gauge("overdue")

    def ofWarmUp(self) -> int:
        """
        See L{Run.ofWarmUp<smtpsource.load.run.Run.ofWarmUp>}.
        """
        return self._gauge("ofWarmUp")

    def givesUpAt(self) -> float | None:
        """
        See L{Run.givesUpAt<smtpsource.load.run.Run.givesUpAt>}.
        """
        if self._schedule is None or self._search is not None:
            return None
        plan = self.plan
        patience = min(plan.catchUpTime, inf if plan.maxLate is None else plan.maxLate)
        until = self._schedule.end + patience
        return until if until < inf else None

    @property
    def catchUp(self) -> float | None:
        """
        See L{Run.catchUp<smtpsource.load.run.Run.catchUp>}: the longest of any worker.
        """
        return max((end.catchUp for end in self._ends() if end.catchUp is not None), default=None)

    @property
    def exhausted(self) -> int | None:
        """
        How many sessions there were, of the workers that would have had a use for more; else C{None}.
        """
        return sum(end.exhausted or 0 for end in self._ends()) or None

    @property
    def found(self) -> Found | None:
        """
        See L{Run.found<smtpsource.load.run.Run.found>}.
        """
        return None if self._search is None else self._search.found

    @property
    def searching(self) -> Searching | None:
        """
        See L{Run.searching<smtpsource.load.run.Run.searching>}.
        """
        return None if self._search is None else self._search.searching

    @property
    def standingHints(self) -> tuple[str, ...]:
        """
        The hints that nothing has refuted.
        """
        isRefuted = bool(self.recorder.replies[BANNER])
        return tuple(text for text in self.hints if not (isRefuted and isSilence(text)))

    # What came of it

    def endedAt(self) -> float:
        """
        When it was over: at the end of the last frame. What processes take to end is none of the run, nor how long
        those are waited for that hang.
        """
        if not self._isOver:
            return self.clock()
        last = max(facts.endedAt(self._epoch) for facts in self._facts)
        return self.startTime + (self._warmUpSeconds if self._epoch else 0.0) + last

    @property
    def _epoch(self) -> int:
        """
        That of what counts now.
        """
        return int(self.plan.warmUp > 0 and not self.warmingUp)

    def byAddress(self) -> dict[str, AddressCounts]:
        """
        How often each address was used, by the workers that have come to their end.
        """
        return totals(end.addresses for end in self._ends())

    @property
    def ledgers(self) -> Sequence[str]:
        """
        The paths of the workers' ledgers, as far as there are any.
        """
        known = zip(self._facts, self._ready, strict=False)
        paths = (ready.get("ledger") if facts.end is None else facts.end.ledger for facts, ready in known)
        return [path for path in paths if path is not None]

    def closeLedger(self) -> None:
        """
        The run is over: each worker has closed its own.
        """

    def closeLog(self) -> Deferred[None]:
        """
        The run is over: each worker has closed its own.
        """
        return succeed(None)

    @property
    def messageLog(self) -> Mapping[str, Any] | None:
        """
        What came of the log of messages, as far as all workers have told.
        """
        if self.plan.logMessages is None:
            return None
        return reduce(addedUp, (facts.messageLog for facts in self._facts), None)

    def processTime(self) -> tuple[float, float]:
        """
        The CPU seconds that all have used so far, this process as well: in user mode and in the kernel.
        """
        times = [processTime()]
        for facts in self._facts:
            times += [cpu for epoch, cpu in facts.cpu.items() if not (epoch and self.warmingUp)]
        return sum(user for user, _ in times), sum(system for _, system in times)

    def limits(self, upkeep: Upkeep) -> Iterator[str]:
        """
        Why the generator was the limit: what its workers say.
        """
        return iter(together(self._named(attrgetter("limits"))))

    def disturbances(self, upkeep: Upkeep) -> Iterator[str]:
        """
        What kept the generator from its work: what its workers say.
        """
        return iter(together(self._named(attrgetter("disturbances"))))

    def _named(self, lines: Callable[[WorkerEnd], Iterable[str]]) -> list[tuple[str, Iterable[str]]]:
        """
        For each worker that has come to its end, its name and these lines of it.
        """
        return [
            (self._band.name(index), lines(facts.end))
            for index, facts in enumerate(self._facts)
            if facts.end is not None
        ]

    def _ends(self) -> Iterator[WorkerEnd]:
        return (facts.end for facts in self._facts if facts.end is not None)

    @property
    def working(self) -> list[Working]:
        """
        What each worker does now.
        """
        found = []
        for index, facts in enumerate(self._facts):
            state = "lost" if self._band.how(index) else "running" if facts.end is None else "over"
            user, system = map(sum, zip((0.0, 0.0), *facts.cpu.values(), strict=True))
            found.append(Working(state, user, system))
        return found

    def workers(self, *, inSeconds: bool) -> Sequence[dict[str, Any]]:
        """
        See L{OneProcess.workers<smtpsource.load.oneprocess.OneProcess.workers>}: of what is measured, which is nothing
        in a warm-up.
        """
        measured = int(self.plan.warmUp > 0)
        told = []
        done = self._gathering.given if inSeconds else self._facts
        for index, (facts, of, link) in enumerate(zip(self._facts, done, self._links, strict=True)):
            user, system = of.cpu.get(measured, (0.0, 0.0))
            counters = of.counted(measured)
            told.append(
                {
                    **({"host": link.host, "id": link.id} if link.id is not None else {}),
                    "pid": link.pid,
                    "core": link.core,
                    "reactor": self._ready[index].get("reactor") if self._ready else None,
                    "cpu": {"user": user, "system": system},
                    "started": counters.started,
                    "accepted": counters.accepted,
                    "exhausted": None if facts.end is None else facts.end.exhausted,
                    "lost": self._band.how(index) or None,
                }
            )
        return told
