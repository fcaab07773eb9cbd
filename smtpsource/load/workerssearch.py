"""
A search for a rate by several workers, as their parent has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

from smtpsource.load.lostpart import LostPart
from smtpsource.load.search import Search
from smtpsource.load.stepped import LEAST_WAIT
from smtpsource.measure.frame import Frame
from smtpsource.measure.search import Found, Searching
from smtpsource.measure.trial import Trial
from smtpsource.net.patience import Deadline
from smtpsource.pacing.schedule import Profile, Schedule
from smtpsource.pacing.share import Share
from smtpsource.plan import SourcePlan
from smtpsource.workers.band import PATIENCE, Band
from smtpsource.workers.wire import Kind


class WorkersSearch:
    """
    Has all workers hold the same rate at the same time, each its part; adds what came of it, and judges that as one
    process does.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        plan: SourcePlan,
        band: Band,
        beginsAt: Callable[[], float],
        clock: Callable[[], float],
        guarded: Callable[..., None],
        whenHopeless: Callable[[str], object],
    ) -> None:
        """
        @param beginsAt: gives when all would begin, if they were told to do so now.
        @param guarded: makes a call whose exception ends the run.
        @param whenHopeless: called with why there is no use in going on, as one line.
        """
        self._search = Search(plan)
        self._reactor = reactor
        self._band = band
        self._beginsAt = beginsAt
        self._clock = clock
        self._guarded = guarded
        self._whenHopeless = whenHopeless
        # When this step began, and what is known of it, by worker.
        self._at: float | None = None
        self._heard: dict[int, Frame] = {}
        self._deadline: Deadline | None = None
        self._isOver = False

    @property
    def found(self) -> Found:
        """
        What came of it, up to now.
        """
        return self._search.found

    @property
    def searching(self) -> Searching:
        """
        How far it has come.
        """
        return self._search.searching(None if self._at is None else max(0.0, self._clock() - self._at))

    @property
    def rate(self) -> float:
        """
        How many messages per second are asked for now.
        """
        step = self._search.next
        isHeld = step is not None and self._at is not None and 0 <= self._clock() - self._at < step[1]
        return step[0] if isHeld and step is not None else 0.0

    def begin(self, at: float) -> None:
        """
        Try the next rate.

        @param at: from when on.
        """
        step = self._search.next
        if step is None:
            self.end()
            self._band.tell(Kind.EXPIRE)
            return
        rate, seconds = step
        self._at = at
        self._heard.clear()
        body: dict[str, Any] = {"at": at, "rate": rate, "seconds": seconds}
        self._band.tell(Kind.STEP, body)
        wait = at - self._clock() + seconds + max(seconds, LEAST_WAIT) + PATIENCE
        self._deadline = Deadline(self._reactor, wait, self._guarded, self._overdue)

    def heard(self, index: int, frame: Frame) -> None:
        """
        A worker says what came of its part of the step.

        @raise ValueError: that is something else.
        """
        Trial.of([frame])
        if self._isOver or self._at is None:
            return
        self._heard[index] = frame
        if len(self._heard) == self._band.size:
            self._cancel()
            problem = self._search.judge(Trial.of(self._heard.values()))
            if problem is None:
                self.begin(self._beginsAt())
            else:
                self._whenHopeless(problem)

    def lostPart(self, share: Share, told: float, now: float) -> LostPart:
        """
        What a worker was to do of this step that is lost. Nobody asks for more of it: the search ends with that.

        @param told: up to when it has told what it did, on the clock's scale.
        @param now: up to when it may have gone on, likewise.
        """
        step = self._search.next
        if step is None or self._at is None:
            return LostPart(Schedule(Profile(((0.0, 0.0),))), 0, told, now)
        rate, seconds = step
        schedule = Schedule(Profile(((0.0, rate),), seconds), share=share)
        told -= self._at
        return LostPart(schedule, schedule.asked(told) if told > 0 else 0, told, now - self._at)

    def end(self) -> None:
        """
        There are no further steps.
        """
        self._isOver = True
        self._cancel()

    def _cancel(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None

    def _overdue(self) -> None:
        """
        What others wait for never comes.
        """
        for index in self._band.living:
            if index not in self._heard:
                self._band.giveUp(index, "did not end its step in time")
