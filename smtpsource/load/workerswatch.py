"""
Watching a run of several workers: they cut what happens into frames, and here are the samples of all of them together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from smtpsource.load.watch import SAMPLE, deliveriesOf
from smtpsource.measure.frame import Frame, Frames
from smtpsource.measure.judgement import Delivered
from smtpsource.measure.limits import Upkeep
from smtpsource.measure.series import Series
from smtpsource.measure.snapshot import Snapshot, take
from smtpsource.measure.timeline import Timeline
from smtpsource.measure.watched import figuresIn
from smtpsource.phases import ARRIVAL, DELIVERY

if TYPE_CHECKING:
    from smtpsource.load.workersrun import WorkersRun


class WorkersWatch:
    """
    Has the same for its service as L{Watch<smtpsource.load.watch.Watch>}.

    @ivar series: the samples.
    @ivar timeline: all that is known of its time.
    @ivar startTime: when measuring began, on the run's clock.
    @ivar upkeep: nothing of this process, which has little to do; each worker tells how well it has kept up.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        run: WorkersRun,
        whenSampled: Callable[[Snapshot], None] = lambda snapshot: None,
        *,
        keepBuckets: bool = False,
        delivered: Callable[[], Delivered | None] = lambda: None,
        whenCut: Callable[[Frame], None] = lambda frame: None,
        watched: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        """
        @param whenSampled: called after each sample with all that was measured up to then.
        @param keepBuckets: does the series need the latencies of every second?
        @param delivered: says how far the server has come with delivering.
        @param whenCut: called with each frame, as soon as there is one.
        @param watched: gives the figures of what is watched besides.
        """
        self._reactor = reactor
        self._run = run
        self._whenSampled = whenSampled
        self._keepBuckets = keepBuckets
        self._delivered = delivered
        self._whenCut = whenCut
        self._watched = watched
        self._call: IDelayedCall | None = None
        self._load: Snapshot | None = None
        # Of the next frame, and of its epoch.
        self._number, self._epoch = 0, -1
        run.whenSecond = self._second
        self._reset(run.clock())

    def start(self, began: float) -> None:
        """
        See L{Watch.start<smtpsource.load.watch.Watch.start>}.
        """
        self.stop()
        self._epoch += 1
        self._reset(began)

    def stop(self) -> None:
        """
        Look no more.
        """
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None

    def finish(self) -> Snapshot:
        """
        The run is over, and all of its frames are there.

        @return: all that was measured.
        """
        self.stop()
        snapshot = self.snapshot()
        if self._load is not None:
            self._sampleDeliveries(snapshot)
        return snapshot

    def goOn(self, load: Snapshot) -> None:
        """
        See L{Watch.goOn<smtpsource.load.watch.Watch.goOn>}.
        """
        self._load = load
        self._wait()

    def snapshot(self) -> Snapshot:
        """
        What was measured up to now.
        """
        now = self._run.clock() if self._load is not None else self._run.endedAt()
        return self._take(max(0.0, now - self.startTime))

    def _take(self, at: float) -> Snapshot:
        run, load = self._run, self._load
        asked = run.scheduledMessages(), run.scheduledSeconds()
        if load is not None:
            asked = load.asked, load.scheduledSeconds
        return take(run.recorder, at, *asked, self._delivered())

    def _reset(self, began: float) -> None:
        self.series = Series(keepBuckets=self._keepBuckets)
        self.timeline = Timeline()
        self.startTime = began
        self.upkeep = Upkeep()
        self._load = None
        # What this process itself adds to the recorder: how long deliveries took.
        self._own = Frames(self._run.recorder)

    def _second(self, frame: Frame) -> None:
        """
        A second is over, and all workers have told of it.
        """
        snapshot = self._take(frame.at)
        if snapshot.delivered is not None:
            buckets = list(frame.buckets)
            own = self._own.cut(snapshot)
            for phase in (DELIVERY, ARRIVAL):
                buckets[phase] = own.buckets[phase]
            frame = replace(frame, buckets=buckets)
        self._add(frame, snapshot)
        self._whenSampled(snapshot)

    def _add(self, frame: Frame, snapshot: Snapshot) -> None:
        # Not all of them are of the workers: those after the load are of this process.
        frame = replace(
            frame,
            number=self._number,
            epoch=self._epoch,
            gauges={**frame.gauges, **deliveriesOf(snapshot)},
            watched=figuresIn(self._watched()),
        )
        self._number += 1
        self.series.add(frame)
        self.timeline.add(frame)
        self._whenCut(frame)

    def _wait(self) -> None:
        self._call = self._reactor.callLater(SAMPLE, self._run.guarded, self._look)

    def _look(self) -> None:
        """
        The load is over, and a second has passed.
        """
        snapshot = self.snapshot()
        self._sampleDeliveries(snapshot)
        self._whenSampled(snapshot)
        if self._call is not None:  # nobody has stopped it since
            self._wait()

    def _sampleDeliveries(self, snapshot: Snapshot) -> None:
        frame = self._own.cut(snapshot)
        if frame.seconds > 0:
            self._add(frame, snapshot)
