"""
The figures of a run in the course of time, as people want to see them while it goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from smtpsource.measure.histogram import percentilesSince
from smtpsource.measure.progress import CATCHING_UP, DELIVERING, DRAINING, Running
from smtpsource.phases import BANNER, CONNECT, DELIVERY, LATE, MAIL, NAMES, NOOP, RCPT, RESPONSE, TRANSACTION
from smtpsource.printable import printable

#: How many seconds the last ones are, where latencies are of the last seconds.
RECENT = 10.0

#: For how many seconds there is a rate for each.
HISTORY = 60

#: How often, in seconds, latencies are looked at: the buckets of a phase take a millisecond.
_LATENCY_INTERVAL = 1.0

# With this many messages a second says enough of their rate.
_ENOUGH = 10


@dataclass(frozen=True)
class Kind:
    """
    Something that happened several times.

    @ivar name: what it is.
    @ivar sample: the text of the first, as it can be shown.
    """

    name: str
    count: int
    sample: str


class Latencies:
    """
    Latencies of one phase.

    @ivar name: the phase's.
    @ivar wanted: the percentiles that are told, the last of them 100.
    @ivar soFar: the seconds that so many per cent of all latencies did not exceed.
    @ivar recent: the same of the last seconds; C{None} if there was none.
    @ivar seen: when they were looked at, in seconds from the start of the run.
    """

    def __init__(self, phase: int, wanted: Sequence[float], isNew: bool) -> None:
        """
        @param phase: its place in L{NAMES}.
        @param wanted: percentiles.
        @param isNew: there was none when it was last looked. Else nobody knows when those came that are there.
        """
        self.name = NAMES[phase]
        self.wanted = (*wanted, 100)
        self.soFar: list[float] = []
        self.recent: list[float] | None = None
        self.seen = 0.0
        self._isNew = isNew
        self._earlier: deque[tuple[float, list[int]]] = deque([(0.0, [])] if isNew else [])

    def look(self, at: float, buckets: Sequence[int]) -> None:
        """
        See what was added.

        @param at: seconds from the start of the run.
        @param buckets: all latencies; see L{smtpsource.measure.histogram}.
        """
        now = list(buckets)
        earlier = self._earlier
        earlier.append((at, now))
        while len(earlier) > 1 and earlier[1][0] <= at - RECENT:
            earlier.popleft()
        since, before = earlier[0]
        isKnown = self._isNew or since <= at - RECENT
        self.soFar = percentilesSince(now, (), self.wanted)
        self.recent = (percentilesSince(now, before, self.wanted) or None) if isKnown else None
        self.seen = at


class Course:
    """
    What can be said of a run at a moment, the last seconds included.

    @ivar recorder: what is counted.
    @ivar progress: how far it has come.
    @ivar rates: messages that were accepted per second, for each of the last seconds, the newest last.
    """

    def __init__(self, source: Running) -> None:
        self._source = source
        self.progress = source.progress()
        # When it was looked last.
        self._seen = 0.0
        self._begin()
        self.look()

    def _begin(self) -> None:
        self.recorder = self._source.recorder
        self.rates: deque[float] = deque(maxlen=HISTORY)
        # For the last seconds: when, how many were accepted, and how many had an outcome.
        self._looks: deque[tuple[float, int, int]] = deque()
        self._first: tuple[float, int] | None = None
        self._loaded = 0.0
        self._second: tuple[float, int] | None = None
        self._latencies: dict[int, Latencies] = {}
        # For the last seconds: when, and how many had arrived where the server delivers to.
        self._arrivals: deque[tuple[float, int]] = deque()
        # While it catches up: when, and how many were overdue, for the last seconds.
        self._behind: deque[tuple[float, int]] = deque()

    def look(self) -> None:
        """
        See how far the run has come. This is to be done a few times a second.
        """
        before, self.progress = self.progress, self._source.progress()
        now = self.progress
        # After the warm-up everything is counted anew.
        if (before.state == "warm-up") != (now.state == "warm-up") or (self._looks and self.ended < self._looks[-1][2]):
            self._begin()
        hasGap = now.at > self._seen + RECENT
        self._seen = now.at
        if hasGap:
            self._skip()
        accepted = self.recorder.accepted
        looks = self._looks
        looks.append((now.at, accepted, self.ended))
        while len(looks) > 2 and looks[1][0] <= now.at - RECENT:
            looks.popleft()
        if now.state != CATCHING_UP:
            self._behind.clear()
        else:
            self._behind.append((now.at, now.overdue or 0))
            while len(self._behind) > 2 and self._behind[1][0] <= now.at - RECENT:
                self._behind.popleft()
        if now.delivered is not None:
            self._arrivals.append((now.at, now.delivered.here))
            while len(self._arrivals) > 2 and self._arrivals[1][0] <= now.at - RECENT:
                self._arrivals.popleft()
        self._first = self._first or (now.at, accepted)
        if now.state != DELIVERING or before.state != DELIVERING:
            self._loaded = now.at
        self._countSecond(now.at, accepted)
        self._lookAtLatencies(now.at, isNew=not hasGap)

    def _skip(self) -> None:
        """
        More has passed since the last look than the last seconds are, as where a run is followed that had begun before:
        what came in that time came at once.
        """
        for those in (self._looks, self._arrivals, self._behind):
            those.clear()
        self._second = None
        self._latencies.clear()

    @property
    def ended(self) -> int:
        """
        How many messages have an outcome.
        """
        recorder = self.recorder
        return recorder.accepted + recorder.rejected + recorder.failed

    @property
    def onTheirWay(self) -> int:
        """
        How many messages have none yet.
        """
        return self.recorder.inFlight + self.progress.ofWarmUp

    def rate(self) -> float:
        """
        Messages that are accepted per second now: in the last second, or in the last ten where they are few.
        """
        at, accepted, _ = self._looks[-1]
        since, before, _ = next((look for look in reversed(self._looks) if look[0] <= at - 1.0), self._looks[0])
        if accepted - before < _ENOUGH:
            since, before, _ = self._looks[0]
        return (accepted - before) / (at - since) if at > since else self.meanRate()

    def arrivalRate(self) -> float:
        """
        Messages that arrive per second where the server delivers to, in the last ten.
        """
        if not self._arrivals:
            return 0.0
        (since, before), (at, arrived) = self._arrivals[0], self._arrivals[-1]
        return (arrived - before) / (at - since) if at > since else 0.0

    def meanRate(self) -> float:
        """
        Messages accepted per second so far, or until the load was over.
        """
        since, before = self._first or (0.0, 0)
        seconds = self._loaded - since
        return (self.recorder.accepted - before) / seconds if seconds > 0 else 0.0

    def done(self) -> float | None:
        """
        The part of the run that is done, from 0 to 1; C{None} if nobody knows its end.
        """
        progress = self.progress
        if progress.state == DELIVERING and progress.delivered is not None:
            known = progress.delivered.acknowledged
            return progress.delivered.here / known if known else None
        if progress.state in (CATCHING_UP, DRAINING):
            # The time is over, or nobody waits for it any more: there is as much to do as there are messages.
            known = self.ended + self.onTheirWay + (progress.overdue or 0 if progress.state == CATCHING_UP else 0)
            return self.ended / known if known else None
        parts = []
        if progress.duration:
            parts.append(progress.at / progress.duration)
        if progress.total and progress.state != "warm-up":
            parts.append(self.ended / progress.total)
        return min(1.0, max(parts)) if parts else None

    def left(self) -> float | None:
        """
        How many seconds the run will go on, if it goes on as it did in the last ones; C{None} if nobody knows.
        """
        progress = self.progress
        if progress.state == CATCHING_UP:
            return self._untilCaughtUp()
        if progress.state == DRAINING:
            return self._untilEnded(self.onTheirWay)
        if progress.state == DELIVERING and progress.delivered is not None:
            rate = self.arrivalRate()
            return progress.delivered.backlog / rate if rate else None
        times = []
        if progress.duration:
            times.append(max(0.0, progress.duration - progress.at))
        if progress.total and progress.state != "warm-up":
            seconds = self._untilEnded(progress.total - self.ended)
            if seconds is not None:
                times.append(seconds)
        return min(times) if times else None

    def _untilEnded(self, messages: int) -> float | None:
        """
        In how many seconds so many messages will have ended.
        """
        at, _, ended = self._looks[-1]
        since, _, before = self._looks[0]
        return max(0.0, messages * (at - since) / (ended - before)) if ended > before else None

    def _untilCaughtUp(self) -> float | None:
        """
        In how many seconds nothing will be overdue: as it goes on, or as it was said to be given up.
        """
        progress = self.progress
        times = [] if progress.givesUpAt is None else [max(0.0, progress.givesUpAt - progress.at)]
        (since, before), (at, overdue) = self._behind[0], self._behind[-1]
        if overdue < before:
            times.append(overdue * (at - since) / (before - overdue))
        return min(times) if times else None

    def latencies(self) -> list[Latencies]:
        """
        Those of the phases that tell most.
        """
        found = [self._latencies.get(phase) for phase in self._phases()]
        return [latencies for latencies in found if latencies is not None and latencies.soFar]

    def refusals(self) -> list[Kind]:
        """
        Replies that refuse something (4xx and 5xx), by phase and code, the most frequent first.
        """
        recorder = self.recorder
        found = [
            Kind(f"{name} {code.decode('ascii', 'replace')}", count, printable(samples.get(code, b"")))
            for name, codes, samples in zip(NAMES, recorder.replies, recorder.replySamples, strict=True)
            for code, count in codes.items()
            if code >= b"4"
        ]
        return sorted(found, key=lambda kind: -kind.count)

    def errors(self) -> list[Kind]:
        """
        Errors by their kinds, the most frequent first.
        """
        samples = self.recorder.errorSamples
        found = [Kind(kind, count, printable(samples.get(kind, ""))) for kind, count in self.recorder.errors.items()]
        return sorted(found, key=lambda kind: -kind.count)

    def _countSecond(self, at: float, accepted: int) -> None:
        if self._second is None:
            self._second = at, accepted
            return
        since, before = self._second
        whole = int(at) - int(since)
        if whole > 0:
            self.rates.extend([(accepted - before) / (at - since)] * min(whole, HISTORY))
            self._second = at, accepted

    def _phases(self) -> list[int]:
        buckets = self.recorder.buckets
        wanted: tuple[int, ...] = CONNECT, BANNER, MAIL, RCPT
        if buckets[TRANSACTION] or buckets[RESPONSE]:
            wanted = RESPONSE, TRANSACTION, LATE
        elif buckets[NOOP]:
            wanted = NOOP, LATE
        return [phase for phase in (*wanted, DELIVERY) if buckets[phase]]

    def _lookAtLatencies(self, at: float, isNew: bool) -> None:
        """
        One phase at a time, the one that was not looked at for the longest time, so that no look takes long.
        """
        for phase in self._phases():
            if phase not in self._latencies:
                self._latencies[phase] = Latencies(phase, self._source.percentiles, isNew)
        due = [
            phase
            for phase in self._phases()
            if not self._latencies[phase].soFar or self._latencies[phase].seen <= at - _LATENCY_INTERVAL
        ]
        if due:
            phase = min(due, key=lambda phase: self._latencies[phase].seen)
            self._latencies[phase].look(at, self.recorder.buckets[phase])
