"""
What has to be there before a run can begin: its destination, its own sink, its workers, and the time for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred

from smtpsource.net.destination import Address, SinkDestination

if TYPE_CHECKING:
    import datetime

    from smtpsource.interfaces import IReactor
    from smtpsource.load.delivery import Delivery
    from smtpsource.load.ownsink import OwnSink
    from smtpsource.load.run import Run
    from smtpsource.load.whereabouts import Whereabouts
    from smtpsource.load.workersrun import WorkersRun
    from smtpsource.pacing.appointment import Appointment
    from smtpsource.plan import SourcePlan

#: A run that begins so many seconds later than it should is late.
_LATE = 0.1


class Beginning:
    """
    Sees to all that.

    @ivar sink: the sink that the run starts, if it does.
    """

    def __init__(
        self,
        reactor: IReactor,
        plan: SourcePlan,
        run: Run | WorkersRun,
        whereabouts: Whereabouts,
        tell: Callable[[str], None],
    ) -> None:
        """
        @param tell: called with one line that the user should know of.
        """
        self._reactor = reactor
        self._plan = plan
        self._run = run
        self._whereabouts = whereabouts
        self._tell = tell
        self._appointment: Appointment | None = None
        self._isBrokenOff = False
        self.sink: OwnSink | None = None

    @property
    def delivery(self) -> Delivery | None:
        """
        Who looks at what arrives at that sink, if the server delivers to it.
        """
        return None if self.sink is None else self.sink.delivery

    @property
    def startsIn(self) -> float | None:
        """
        How many seconds there are left until the run begins; C{None} if it does not wait for its time.
        """
        return None if self._appointment is None else self._appointment.left

    def prepare(self, started: datetime.datetime) -> Deferred[list[Address]]:
        """
        See to it that all is there, and wait for the time.

        @param started: the time of day now.
        @return: the addresses of the destination; or fails with what was not to be had.
        """
        ready = self._run.prepare()
        ofOurs = isinstance(self._plan.destination, SinkDestination) or self._plan.deliverTo is not None
        find = self._startSink if ofOurs else self._whereabouts.find
        found: Deferred[list[Address]] = maybeDeferred(find)
        found.addCallback(self._whereabouts.withinReach)
        # Both take their time; whichever fails first is the end.
        both: Deferred[Any] = gatherResults([found, ready], consumeErrors=True)
        both.addCallbacks(lambda results: self._bothReady(results[0]), lambda reason: reason.value.subFailure)
        return both.addCallback(self._whenItIsTime, started.timestamp())

    def breakOff(self) -> None:
        """
        Wait no longer for the time: the run is not to begin any more, or is over.
        """
        self._isBrokenOff = True
        if self._appointment is not None:
            self._appointment.breakOff()

    def _startSink(self) -> Deferred[list[Address]]:
        from smtpsource.load.ownsink import OwnSink  # a run against another server needs none of it

        self.sink = OwnSink(self._reactor, self._plan, self._run)
        started: Deferred[Any] = self.sink.start()
        return started if self.sink.isDestination else started.addCallback(lambda _: self._whereabouts.find())

    def _bothReady(self, addresses: list[Address]) -> list[Address]:
        if self.sink is not None and not self._isBrokenOff:
            self.sink.watchDelivery()
        return addresses

    def _whenItIsTime(self, addresses: list[Address], started: float) -> list[Address] | Deferred[list[Address]]:
        """
        Go on with these at the time that the plan has for it.
        """
        at = self._plan.startAt
        if at is None or self._isBrokenOff:
            return addresses
        from smtpsource.pacing.appointment import Appointment  # for those who have one

        assert isinstance(at, float)
        lead = self._run.beginsAt() - self._run.clock()
        self._appointment = appointment = Appointment(self._reactor, at - lead)
        why = "this process was held up" if appointment.left else "it took that long to find the destination"

        def begin(late: float) -> list[Address]:
            self._appointment = None
            if late > _LATE and started < at:
                self._tell(f"the run begins {late:.1f} s late: {why}")
            return addresses

        return appointment.wait().addCallback(begin)
