"""
Watching a run from beside it: once a second, what happened, and how well this process kept up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from smtpsource.measure.counters import COUNTS, Counters
from smtpsource.measure.frame import Frame, Frames
from smtpsource.measure.judgement import Delivered
from smtpsource.measure.limits import LAG, Upkeep
from smtpsource.measure.series import Series
from smtpsource.measure.snapshot import Snapshot, take
from smtpsource.measure.timeline import Timeline
from smtpsource.measure.watched import figuresIn
from smtpsource.process.cpu import processTime, waitedTime

if TYPE_CHECKING:
    from smtpsource.load.run import Run

#: Seconds between two looks at how late the reactor is.
LOOK = 0.1

#: Seconds between two samples: one ends at each multiple of it.
SAMPLE = 1.0

#: Seconds by which a look may come before the end of a sample that it is for: clocks differ.
_EARLY = 0.005


class Watch:
    """
    Cuts what happens in a run into frames, one each second, and keeps a sample of each. Nothing of it is done for each
    message.

    @ivar series: the samples.
    @ivar timeline: all that is known of its time.
    @ivar startTime: when measuring began, on the run's clock.
    @ivar upkeep: how well this process has kept up.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        run: Run,
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
        self._frames = Frames(run.recorder)
        self._hasBegun = False
        self._call: IDelayedCall | None = None
        self._load: Snapshot | None = None
        self._reset(run.clock())

    def start(self, began: float) -> None:
        """
        Begin to measure; or begin anew, when the recorder has forgotten the warm-up.

        @param began: when that is, on the run's clock.
        """
        self.stop()
        if self._hasBegun:
            self._frames.restart()
        self._hasBegun = True
        self._reset(began)
        self._wait(self._run.clock())

    def stop(self) -> None:
        """
        Look no more.
        """
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None

    def finish(self, *, last: bool = False) -> Snapshot:
        """
        The run is over, or its warm-up: the last sample, of less than a second.

        @param last: is another frame wanted in any case, as the last one?
        @return: all that was measured.
        """
        self.stop()
        snapshot = self.snapshot(self._run.endedAt() if self._load is None else None)
        if last or snapshot.at > self._at or (snapshot.at == self._at and self._hasMore(snapshot)):
            self._sample(snapshot, last)
        return snapshot

    def _hasMore(self, snapshot: Snapshot) -> bool:
        """
        Has something come in the very moment of the sample before, but after it?
        """
        since = snapshot.counters - self._counted
        return any(getattr(since, name) for name in COUNTS)

    def goOn(self, load: Snapshot) -> None:
        """
        The load is over, but not what the server makes of it: the series goes on, and C{upkeep} begins anew.

        @param load: all that was measured of it. Nothing more is asked for.
        """
        self._load = load
        self.upkeep = Upkeep()
        self._wait(self._run.clock())

    def snapshot(self, at: float | None = None) -> Snapshot:
        """
        What was measured up to now.

        @param at: when that is, on the run's clock.
        """
        run, load = self._run, self._load
        passed = max(0.0, (run.clock() if at is None else at) - self.startTime)
        asked = run.scheduledMessages(), run.scheduledSeconds()
        if load is not None:
            asked = load.asked, load.scheduledSeconds
        return take(run.recorder, passed, *asked, self._delivered())

    def _reset(self, began: float) -> None:
        self.series = Series(keepBuckets=self._keepBuckets)
        self.timeline = Timeline()
        self.startTime = began
        self._load = None
        self.upkeep = Upkeep()
        self._lag = 0.0
        self._used, self._waited = processTime(), waitedTime()
        # When the last frame ended; when the next one is to end.
        self._at, self._next = 0.0, SAMPLE
        self._counted = Counters()
        # When the CPU time was looked at last, what it was, and how much of it is usual per second.
        self._known = self._run.clock(), sum(self._used)
        self._usual = 0.0

    def _wait(self, began: float) -> None:
        """
        @param began: when this process came to it: what has held it up since is seen by the next look.
        """
        end = self.startTime + self._next
        self._due = end if began + LOOK * 1.5 > end else began + LOOK
        self._call = self._reactor.callLater(max(0.0, self._due - self._run.clock()), self._run.guarded, self._look)

    def _look(self) -> None:
        began = self._run.clock()
        lag = began - self._due
        if lag >= LAG:
            self._delayed(lag)
        self._lag = max(self._lag, lag)
        if self._run.clock() - self.startTime >= self._next - _EARLY:
            snapshot = self.snapshot()
            self._sample(snapshot)
            self._whenSampled(snapshot)
        if self._call is not None:  # nobody has stopped it since
            self._wait(began)

    def _delayed(self, lag: float) -> None:
        """
        The reactor was late: has this process used that time for itself?
        """
        now, used = self._run.clock(), sum(processTime())
        since, before = self._known
        usual = self._usual * max(0.0, now - since - lag)
        self.upkeep.delayed(lag, used - before - usual)
        self._known = now, used

    def _sample(self, snapshot: Snapshot, last: bool = False) -> None:
        used, waited = processTime(), waitedTime()
        frame = self._frames.cut(
            snapshot,
            cpu=(used[0] - self._used[0], used[1] - self._used[1]),
            lag=self._lag,
            waited=None if waited is None or self._waited is None else waited - self._waited,
            gauges=gaugesOf(self._run) | deliveriesOf(snapshot),
            watched=figuresIn(self._watched()),
            last=last,
        )
        self._counted = snapshot.counters
        sample = self.series.add(frame)
        self.timeline.add(frame)
        self.upkeep.add(sample)
        self._usual = min(1.0, sample.cpu)
        self._known = self._run.clock(), sum(used)
        self._used, self._waited, self._lag = used, waited, 0.0
        # One that is late makes the next one shorter or longer, but all after that are where they should be.
        self._at, self._next = frame.at, (round(frame.at / SAMPLE) + 1) * SAMPLE
        self._whenCut(frame)


def deliveriesOf(snapshot: Snapshot) -> dict[str, float]:
    """
    How far the server has come with delivering, likewise; nothing if nobody looked.
    """
    return {} if snapshot.delivered is None else snapshot.delivered.gauges()


def gaugesOf(run: Run) -> dict[str, float]:
    """
    How far a run has come, as numbers that can be added up for several of its workers.
    """
    found = {
        "sessions": len(run.open),
        "inFlight": run.recorder.inFlight,
        "ofWarmUp": run.ofWarmUp(),
        "overdue": run.overdue(),
        "askedRate": run.askedRate(),
    }
    gauges = {name: value for name, value in found.items() if value is not None}
    return gauges if run.log is None else gauges | run.log.gauges
