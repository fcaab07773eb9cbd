"""
The service of a run whose workers are elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from smtpsource.load.service import SourceService
from smtpsource.load.workersrun import WorkersRun
from smtpsource.load.workerswatch import WorkersWatch
from smtpsource.net.destination import SinkDestination
from smtpsource.process.loopback import loopback
from smtpsource.workers.link import WorkerFailed
from smtpsource.workers.wire import Kind

if TYPE_CHECKING:
    from smtpsource.interfaces import AnyReactor
    from smtpsource.measure.frame import Frame
    from smtpsource.net.destination import Address
    from smtpsource.plan import SourcePlan
    from smtpsource.workers.elsewhere import WorkerElsewhere

#: Seconds from GO to the time at which all begin: GO goes over networks, and through processes that have else to do.
LEAD = 0.5


class CoordinatedService(SourceService):
    """
    As any L{SourceService}; and it says how the run goes on.
    """

    def __init__(
        self,
        reactor: AnyReactor,
        plan: SourcePlan,
        workers: Sequence[WorkerElsewhere],
        say: Callable[[Kind, Any], object],
        **others: Any,
    ) -> None:
        """
        @param workers: who carries the load.
        @param say: called with the kind of a message to whoever has started all this, and its body: L{Kind.GO} when
            the run begins, and a L{Kind.FRAME} of all workers for each second.
        @param others: as for L{SourceService}.
        """
        self._workers = workers
        self._say = say
        super().__init__(reactor, plan, **others)

    def abort(self) -> None:
        """
        End at once.
        """
        if self._begun and self._summary is None:
            self._run.abort()

    def _newRun(self, show: Callable[[str], None], tell: Callable[[str], None]) -> WorkersRun:
        run = _CoordinatedRun(
            *(self._reactor, self._plan, self.recorder, self._clock, self._sessionsOver, self._warm, tell),
            links=self._workers,
            whenBegun=lambda at: self._say(Kind.GO, {"at": at, "grace": self._plan.grace}),
        )
        run.whenLost = self._marking.event
        return run

    def _newWatch(self, keepIntervals: bool) -> WorkersWatch:
        run: Any = self._run
        watch = WorkersWatch(
            self._reactor,
            run,
            self._sampled,
            keepBuckets=keepIntervals,
            delivered=lambda: self._deliveredNow(),
            whenCut=self._cut,
            watched=lambda: self.watched(),
        )
        noticed = run.whenSecond

        def second(frame: Frame) -> None:
            noticed(frame)
            self._say(Kind.FRAME, frame.encode())

        run.whenSecond = second
        return watch


class _CoordinatedRun(WorkersRun):
    """
    Its workers have some time to hear when to begin.
    """

    def __init__(self, *arguments: Any, whenBegun: Callable[[float], object], **others: Any) -> None:
        super().__init__(*arguments, **others)
        self._whenBegun = whenBegun

    def _areReady(self, ready: list[dict[str, Any]]) -> None:
        super()._areReady(ready)
        if isinstance(self.plan.destination, SinkDestination):
            for index, one in enumerate(ready):
                if one["loopback"] != loopback():
                    raise WorkerFailed(
                        f"{self._band.name(index)} is on another machine, and sink: can only be reached on the one of "
                        "the master: expected a server that all can reach"
                    )

    def beginsAt(self) -> float:
        """
        See L{WorkersRun.beginsAt}.
        """
        return self.clock() + LEAD

    def begin(self, addresses: Sequence[Address], at: float) -> None:
        """
        See L{WorkersRun.begin}.
        """
        super().begin(addresses, at)
        self._whenBegun(at)
