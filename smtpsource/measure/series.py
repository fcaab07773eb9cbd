"""
A run in time: what happened in each second of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from smtpsource.measure.counters import COUNTERS, COUNTS, GAUGES, sums, together, worst
from smtpsource.measure.frame import Frame
from smtpsource.measure.histogram import percentilesOf
from smtpsource.measure.intervals import Intervals
from smtpsource.measure.judgement import Delivered
from smtpsource.measure.packed import Packed
from smtpsource.phases import ARRIVAL, CONNECT, DELIVERY, NAMES, NOOP, RESPONSE, TRANSACTION

#: How many samples are kept: ten hours of seconds. See L{Series}.
LIMIT = 36_000

#: So many pairs of samples become one in one go.
_AT_ONCE = 30

#: The phases whose latencies are kept for each second, if they are asked for.
LOGGED = (CONNECT, NOOP, TRANSACTION, RESPONSE, DELIVERY, ARRIVAL)


@dataclass(frozen=True, slots=True)
class Sample:
    """
    What happened between two looks at a run, a second apart. What is not told here is as in
    L{smtpsource.measure.counters.Counters}; C{open} is at its end.

    @ivar time: when it ended, in seconds from the start of the run.
    @ivar seconds: how long it was.
    @ivar asked: how many messages the schedule asked for; C{None} if there is no schedule.
    @ivar p50: half of the transactions that ended took no longer than so many seconds; C{None} if none ended.
    @ivar p99: the same for 99 in 100.
    @ivar p95: the same for 95 in 100.
    @ivar max: the longest.
    @ivar cpu: CPU seconds that this process used, per second; of a run of workers, all of these together.
    @ivar lag: the most seconds by which the reactor was late.
    @ivar waited: for how many seconds per second this process could have run but had no processor, or the worker that
        had to wait longest; C{None} if the system does not tell.
    @ivar arrived: how many acknowledged messages have arrived where the server delivers to, for a recipient each;
        C{None} if nobody looked.
    @ivar backlog: how many had not, at its end; C{None} likewise.
    @ivar watched: what was watched, as it was at its end, by name; C{None} if nothing was.
    """

    time: float
    seconds: float
    asked: float | None
    started: int
    accepted: int
    rejected: int
    failed: int
    late: int
    dropped: int
    open: int
    p50: float | None
    p99: float | None
    max: float | None
    bytesSent: int
    bytesReceived: int
    cpu: float
    lag: float
    waited: float | None = None
    p95: float | None = None
    arrived: int | None = None
    backlog: int | None = None
    watched: Mapping[str, float] | None = None


#: The counters that a sample has, and how these become one number for two samples, one after the other.
COUNTED = tuple(name for name in COUNTERS if name in Sample.__slots__)
_COUNTS = tuple(name for name in COUNTS if name in COUNTED)
_GAUGES = tuple(name for name in GAUGES if name in COUNTED)


class Series:
    """
    The samples of a run, however long it is: when there are more than C{limit}, neighbours become one, and from then on
    a sample is twice as long. So all of them are of the same length, but the last. Nothing is lost of what can be added
    up; of p50, p95 and p99 the higher one is kept. They are kept as bytes: some 100 each.

    @ivar intervals: the latencies of each second, if they are asked for.
    @ivar latest: the sample of the last second alone, however long those are that are kept; C{None} before it.
    """

    def __init__(self, *, keepBuckets: bool = False, limit: int = LIMIT) -> None:
        """
        @param keepBuckets: keep the latencies of each second.
        @param limit: an even number.
        """
        self._samples = Packed(Sample)
        # Those that have yet to become half as many, and how many of these that will be; they come before the others.
        self._toJoin: Iterator[Sample] = iter(())
        self._left = 0
        self._joined = Packed(Sample)
        self.intervals = Intervals() if keepBuckets else None
        self.latest: Sample | None = None
        self._limit = limit
        self._arrived = 0
        # How many seconds become one sample, and how many of them are in the last.
        self._factor = self._merged = 1

    def add(self, frame: Frame) -> Sample:
        """
        Take what happened in a time. This takes less than half a millisecond, and about as much again if latencies are
        kept.

        @param frame: it begins when the one before has ended.
        @return: just that, whatever the length of the samples that are kept.
        """
        delivered = Delivered.of(frame.gauges)
        sample = _sample(frame, delivered, self._arrived)
        if delivered is not None:
            self._arrived = delivered.arrived
        self.latest = sample
        if self.intervals is not None:
            self.intervals.latest = ""
            for phase in LOGGED:
                if frame.buckets[phase]:
                    self.intervals.add(frame.at - frame.seconds, frame.seconds, NAMES[phase], frame.buckets[phase])
        self._keep(sample)
        return sample

    @property
    def samples(self) -> Sequence[Sample]:
        """
        All of them by now: they follow each other without a gap.
        """
        self._join(self._left)
        return self._samples.copy()

    def _keep(self, sample: Sample) -> None:
        self._join(_AT_ONCE)
        samples = self._samples
        if samples and self._merged < self._factor:
            samples.replaceLast(joined(samples[-1], sample))
            self._merged += 1
            return
        if len(samples) + len(self._joined) + self._left >= self._limit:
            self._join(self._left)
            self._toJoin, self._left = self._samples.drained(), len(self._samples) // 2
            self._samples = Packed(Sample)
            self._factor *= 2
        self._samples.append(sample)
        self._merged = 1

    def _join(self, pairs: int) -> None:
        """
        Make one sample of each of so many pairs of neighbours, if there are any left: all at once would take long.
        """
        if not self._left:
            return
        pairs = min(pairs, self._left)
        for first in islice(self._toJoin, pairs):
            self._joined.append(joined(first, next(self._toJoin)))
        self._left -= pairs
        if not self._left:
            for sample in self._samples:
                self._joined.append(sample)
            self._samples, self._joined = self._joined, Packed(Sample)


def joined(first: Sample, second: Sample) -> Sample:
    """
    Two samples of one run, one after the other, as one.
    """
    seconds = first.seconds + second.seconds
    return Sample(
        time=second.time,
        seconds=seconds,
        asked=None if first.asked is None or second.asked is None else first.asked + second.asked,
        p50=worst(first.p50, second.p50),
        p95=worst(first.p95, second.p95),
        p99=worst(first.p99, second.p99),
        max=worst(first.max, second.max),
        cpu=(first.cpu * first.seconds + second.cpu * second.seconds) / seconds if seconds else 0.0,
        lag=max(first.lag, second.lag),
        waited=None
        if first.waited is None or second.waited is None
        else (first.waited * first.seconds + second.waited * second.seconds) / seconds
        if seconds
        else 0.0,
        arrived=together(first.arrived, second.arrived),
        backlog=second.backlog,
        watched=second.watched if first.watched is None else {**first.watched, **(second.watched or {})},
        **sums((first, second), _COUNTS),
        **sums((second,), _GAUGES),
    )


def _sample(frame: Frame, delivered: Delivered | None, arrivedBefore: int) -> Sample:
    latencies = percentilesOf(frame.buckets[TRANSACTION], (50, 95, 99, 100))
    p50, p95, p99, longest = latencies or (None, None, None, None)
    seconds = frame.seconds
    return Sample(
        time=frame.at,
        seconds=seconds,
        asked=frame.asked,
        p50=p50,
        p95=p95,
        p99=p99,
        max=longest,
        cpu=sum(frame.cpu) / seconds if seconds else 0.0,
        lag=frame.lag,
        waited=None if frame.waited is None else frame.waited / seconds if seconds else 0.0,
        arrived=None if delivered is None else delivered.arrived - arrivedBefore,
        backlog=None if delivered is None else delivered.backlog,
        watched=dict(frame.watched) or None,
        **sums((frame.counters,), COUNTED),
    )
