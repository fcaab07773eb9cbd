"""
What the service asks of a run of one process, this one, that has nothing to do with its messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed

from smtpsource.measure.limits import Upkeep, disturbances, limits
from smtpsource.process.cpu import processTime
from smtpsource.process.unexpected import Breakable

if TYPE_CHECKING:
    from smtpsource.interfaces import IReactor
    from smtpsource.ledger.notes import Notes
    from smtpsource.load.messagelog import MessageLog
    from smtpsource.measure.progress import Working
    from smtpsource.measure.recorder import Recorder
    from smtpsource.plan import SourcePlan


class OneProcess(Breakable):
    """
    A run in this process. L{WorkersRun<smtpsource.load.workersrun.WorkersRun>} has the same for one of several.

    @ivar incomplete: what is missing from the figures: a line for each worker that was lost.
    @ivar working: what each worker does now.
    """

    plan: SourcePlan
    recorder: Recorder
    notes: Notes | None
    log: MessageLog | None
    traffic: Any
    open: set[Any]
    exhausted: int | None
    clock: Callable[[], float]
    _whenEnded: Callable[[], None]
    _reactor: IReactor
    _endedAt: float | None = None

    incomplete: Sequence[str] = ()
    working: Sequence[Working] = ()

    def workers(self, *, inSeconds: bool) -> Sequence[dict[str, Any]]:
        """
        What is to be told of each worker, as JSON takes it; nothing of a run without.

        @param inSeconds: no more than there is of it in the seconds that were told; else all that is known.
        """
        return ()

    @property
    def id(self) -> bytes:
        """
        The run's id.
        """
        run: bytes = self.traffic.run
        return run

    @property
    def openSessions(self) -> int:
        """
        How many sessions are not over.
        """
        return len(self.open)

    @property
    def ledgers(self) -> Sequence[str]:
        """
        The paths of its ledgers, once there are any.
        """
        return () if self.notes is None or self.notes.path is None else (self.notes.path,)

    def prepare(self) -> Deferred[None]:
        """
        Get ready to begin, but for the addresses: open the ledger, if there is to be one.

        @raise Breakdown: it can't be.
        """
        self.openLedger()
        self.openLog()
        return succeed(None)

    def abandon(self) -> None:
        """
        The run does not begin.
        """
        self._whenEnded()

    def beginsAt(self) -> float:
        """
        When it would begin, if it was told to do so now.
        """
        return self.clock()

    def endedAt(self) -> float:
        """
        When it was over; now, if it is not.
        """
        return self.clock() if self._endedAt is None else self._endedAt

    def openLedger(self, *, worker: Mapping[str, int] | None = None) -> None:
        """
        Open the ledger, if there is to be one.

        @param worker: which one this is, where others of the same run have ledgers there, too. Their parent has seen to
            it that no other run has.
        @raise Breakdown: it can't be.
        """
        plan = self.plan
        if self.notes is not None:
            from smtpsource.load.noted import headerOf

            assert plan.ledger is not None
            header = headerOf(plan) if worker is None else headerOf(plan) | {"worker": worker}
            self.notes.open(plan.ledger, header, sync=plan.ledgerSync, alone=worker is None)

    def closeLedger(self) -> None:
        """
        The run is over, and so is its ledger.

        @raise Breakdown: what is left of it can't be written.
        """
        if self.notes is not None:
            self.notes.close()

    def openLog(self, *, ofWorker: bool = False) -> None:
        """
        Open the log of messages, if there is to be one.
        """
        if self.log is not None:
            self.log.open(self._reactor, ofWorker=ofWorker)

    def closeLog(self) -> Deferred[None]:
        """
        The run is over, and so is its log of messages.

        @return: fires when all of it is written that will be.
        """
        return succeed(None) if self.log is None else self.log.close()

    @property
    def messageLog(self) -> Mapping[str, Any] | None:
        """
        What came of the log of messages, as JSON takes it; C{None} if there is none.
        """
        return None if self.log is None else self.log.result

    def processTime(self) -> tuple[float, float]:
        """
        The CPU seconds that it has used so far: in user mode and in the kernel.
        """
        return processTime()

    def limits(self, upkeep: Upkeep) -> Iterator[str]:
        """
        Why the generator was the limit: see L{limits<smtpsource.measure.limits.limits>}.

        @param upkeep: how well this process has kept up.
        """
        return limits(upkeep, self.recorder.errors, self.exhausted is not None)

    def disturbances(self, upkeep: Upkeep) -> Iterator[str]:
        """
        What kept the generator from its work: see L{disturbances<smtpsource.measure.limits.disturbances>}.
        """
        return disturbances(upkeep, self.exhausted is not None)
