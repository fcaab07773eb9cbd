"""
Watching a run from beside it: once a second, what happened, and how well this process kept up.
"""

from __future__ import annotations

from collections.abc import Callable
from resource import RUSAGE_SELF, getrusage
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from smtpsource.measure.series import Series
from smtpsource.measure.snapshot import Snapshot, take

if TYPE_CHECKING:
    from smtpsource.run import Run

#: Seconds between two looks at how late the reactor is.
LOOK = 0.1

#: Seconds between two samples.
SAMPLE = 1.0


def processTime() -> tuple[float, float]:
    """
    The CPU seconds of this process so far: in user mode and in the kernel.
    """
    usage = getrusage(RUSAGE_SELF)
    return usage.ru_utime, usage.ru_stime


class Watch:
    """
    Samples a run once a second. Nothing of it is done for each message.

    @ivar series: the samples.
    @ivar startTime: when measuring began, on the run's clock.
    @ivar worstLag: the most seconds that the reactor was late.
    @ivar busiest: the most CPU seconds per second that this process has used within a whole sample.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        run: Run,
        whenSampled: Callable[[Snapshot], None] = lambda snapshot: None,
        *,
        keepBuckets: bool = False,
    ) -> None:
        """
        @param whenSampled: called after each sample with all that was measured up to then.
        @param keepBuckets: does the series need the latencies of every second?
        """
        self._reactor = reactor
        self._run = run
        self._whenSampled = whenSampled
        self._keepBuckets = keepBuckets
        self._call: IDelayedCall | None = None
        self._reset(run.clock())

    def start(self, began: float) -> None:
        """
        Begin to measure, or begin anew.

        @param began: when that is, on the run's clock.
        """
        self.stop()
        self._reset(began)
        self._wait()

    def stop(self) -> None:
        """
        Look no more.
        """
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None

    def finish(self) -> Snapshot:
        """
        The run is over: the last sample, of less than a second.

        @return: all that was measured.
        """
        self.stop()
        snapshot = self.snapshot()
        if snapshot.at > self._sampled.at:
            self._sample(snapshot)
        return snapshot

    def snapshot(self) -> Snapshot:
        """
        What was measured up to now.
        """
        run = self._run
        return take(run.recorder, max(0.0, run.clock() - self.startTime), run.asked(), run.askedFor())

    def _reset(self, began: float) -> None:
        self.series = Series(keepBuckets=self._keepBuckets)
        self.startTime = began
        self.worstLag = self._lag = 0.0
        self.busiest = 0.0
        self._used = sum(processTime())
        self._sampled = self.snapshot()

    def _wait(self) -> None:
        self._due = self._reactor.seconds() + LOOK
        self._call = self._reactor.callLater(LOOK, self._look)

    def _look(self) -> None:
        self._lag = max(self._lag, self._reactor.seconds() - self._due)
        if self._run.clock() - self.startTime >= self._sampled.at + SAMPLE - LOOK / 2:
            snapshot = self.snapshot()
            self._sample(snapshot)
            self._whenSampled(snapshot)
        if self._call is not None:  # nobody has stopped it since
            self._wait()

    def _sample(self, snapshot: Snapshot) -> None:
        seconds = snapshot.at - self._sampled.at
        used = sum(processTime())
        cpu = (used - self._used) / seconds
        if seconds >= SAMPLE / 2:
            self.busiest = max(self.busiest, cpu)
        self.worstLag = max(self.worstLag, self._lag)
        self.series.add(snapshot, cpu, self._lag)
        self._used, self._sampled, self._lag = used, snapshot, 0.0
