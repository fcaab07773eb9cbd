"""
The result of a run, once it is over.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import field, fields, replace
from typing import TYPE_CHECKING, Any

from smtpsource.measure.counters import COUNTERS, AddressCounts, Counters, sums
from smtpsource.measure.encoding import usedLength
from smtpsource.measure.histogram import PERCENTILES, Latency, percentiles
from smtpsource.measure.recorder import Recorder
from smtpsource.measure.series import Sample
from smtpsource.measure.snapshot import Snapshot
from smtpsource.phases import NAMES
from smtpsource.printable import printable
from smtpsource.records import dataclass

if TYPE_CHECKING:
    from smtpsource.measure.drift import Drift
    from smtpsource.measure.intervals import Intervals
    from smtpsource.measure.judgement import Judgement
    from smtpsource.measure.marks import Mark
    from smtpsource.measure.search import Found
    from smtpsource.measure.thresholds import Outcome


@dataclass(frozen=True)
class Tally:
    """
    How often something came, and the first one's text.
    """

    count: int
    sample: str


@dataclass(frozen=True)
class Messages:
    """
    What became of the messages: see L{Counters}. C{started} is always the sum of the other three.
    """

    started: int
    accepted: int
    rejected: int
    failed: int


@dataclass(frozen=True)
class Summary:
    """
    What a run did and what came back. Immutable.

    @ivar command: the command line, or empty for an embedded run.
    @ivar reactor: the class of the reactor it ran on.
    @ivar started: when the run began, ISO 8601 with the zone.
    @ivar elapsed: seconds from the first connect to the end.
    @ivar exit: the exit status this run deserves: 0 all was accepted, 1 something was not, 3 a threshold failed.
    @ivar ended: C{"done"}, C{"aborted"} (a refusal or fault ended it) or C{"signal"} (it was told to stop); or
        C{"running"}, if it goes on.
    @ivar reason: for C{"aborted"}, the fault that ended the run, as one line.
    @ivar rate: accepted messages per second, over C{elapsed} or the time of the schedule, whichever is longer.
    @ivar user: CPU seconds that this process spent in user mode, from the start of the run to its end, and its workers.
    @ivar system: the same in the kernel.
    @ivar capabilities: what the server announced in reply to EHLO or LHLO: keywords, and their parameters.
    @ivar tls: how many connections have agreed on which version and cipher.
    @ivar latency: by phase; phases that never happened are left out.
    @ivar replies: by phase, by reply code.
    @ivar errors: by kind.
    @ivar sink: what the other end counted, where the run had its own (C{sink:}); else C{None}.
    @ivar asked: how many messages the schedule asked for; C{None} without one (closed loop).
    @ivar askedRate: how many messages per second that is, over the time of the schedule: a run is longer by the replies
        that come after it.
    @ivar catchUp: for how many seconds after the end of the schedule messages were started that were overdue; C{None}
        without a schedule, and in a search for a rate.
    @ivar exhausted: how many sessions there were, if all of them were busy when a message was wanted; else C{None}.
    @ivar warmUp: what came before measuring began and is in no other figure: C{"seconds"}, and C{"accepted"},
        C{"rejected"} and C{"failed"} messages; with a schedule, how many that it had wanted were not started yet by
        then (C{"overdue"}).
    @ivar series: what happened in each second; if the server was waited for, in those after the load as well.
    @ivar buckets: by phase, all latencies, in the buckets of L{smtpsource.measure.histogram}.
    @ivar environment: what the run ran on; see L{smtpsource.measure.environment}.
    @ivar thresholds: what became of each threshold.
    @ivar limits: why the generator, not the server, was the limit: a line for each reason.
    @ivar disturbances: what kept the generator from its work, though it had time for it: a line for each.
    @ivar run: the run's id, which is in every Message-Id.
    @ivar seed: what makes the same traffic again.
    @ivar exercise: what was counted as a message: C{"mail"}, C{"noop"}, or C{"connect"}, a connection.
    @ivar percentiles: those that were asked for, above 0, up to 100.
    @ivar search: what came of the search for a rate, if that was the run's purpose.
    @ivar judgement: what became of every message where the server delivers to, if the run has looked.
    @ivar addresses: how often each address of the destination was used.
    @ivar hints: what may be wrong with what was asked for, each as one line.
    @ivar incomplete: what is missing from the figures, each as one line: a worker that was lost.
    @ivar marks: what somebody did at its moments, in their order.
    @ivar timeline: a whole run in some hundred steps, as L{smtpsource.measure.timeline.tableOf} gives it; C{None} if
        nobody knows.
    @ivar drift: how some figures have changed in the course of the run, by their names, if it was long enough to say.
    @ivar intervals: the latencies of each second, if they were asked for; no part of the report.

    What was counted is named as in L{Counters}.
    """

    command: tuple[str, ...]
    reactor: str
    started: str
    elapsed: float
    exit: int
    ended: str
    reason: str | None
    messages: Messages
    recipientsAccepted: int
    recipientsRejected: int
    connectionsOpened: int
    connectionsFailed: int
    connectionsLost: int
    bytesSent: int
    bytesReceived: int
    rate: float
    user: float
    system: float
    latency: Mapping[str, Latency]
    capabilities: Mapping[str, str]
    tls: Mapping[str, int]
    replies: Mapping[str, Mapping[str, Tally]]
    errors: Mapping[str, Tally]
    sink: Mapping[str, Any] | None = None
    asked: float | None = None
    askedRate: float | None = None
    late: int = 0
    dropped: int = 0
    exhausted: int | None = None
    catchUp: float | None = None
    warmUp: Mapping[str, Any] | None = None
    series: Sequence[Sample] = ()
    buckets: Mapping[str, Sequence[int]] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    thresholds: Sequence[Outcome] = ()
    limits: Sequence[str] = ()
    disturbances: Sequence[str] = ()
    run: str = ""
    seed: int | None = None
    exercise: str = "mail"
    percentiles: Sequence[float] = PERCENTILES
    search: Found | None = None
    judgement: Judgement | None = None
    addresses: Mapping[str, AddressCounts] = field(default_factory=dict)
    hints: Sequence[str] = ()
    incomplete: Sequence[str] = ()
    marks: Sequence[Mark] = ()
    timeline: Mapping[str, Any] | None = None
    drift: Mapping[str, Drift] = field(default_factory=dict)
    intervals: Intervals | None = field(default=None, compare=False, repr=False)

    def plain(self, problem: str) -> Summary:
        """
        The same without what takes work to be shown, for when that fails; so it is the summary of a run that failed.

        @param problem: why, as one line.
        """
        return replace(
            self,
            exit=1,
            ended="aborted",
            reason=self.reason or problem,
            capabilities={},
            environment={},
            buckets={},
            series=(),
            timeline=None,
            drift={},
            limits=(),
            search=None,
            intervals=None,
        )

    def percentile(self, phase: str, percentile: float) -> float | None:
        """
        The time that so many per cent of a phase's latencies did not exceed, whether it was asked for or not.

        @param phase: such as C{"transaction"}: see docs/report.rst.
        @param percentile: from 0 to 100, such as 99.99.
        @return: seconds, right to 3 digits; C{None} if the phase never happened. (A summary that was read from a report
            without histograms knows its own percentiles only.)
        @raise ValueError: there is no such phase or percentile.
        """
        if phase not in NAMES:
            raise ValueError(f"expected a phase, one of {', '.join(NAMES)}, not {phase!r}")
        if not 0 <= percentile <= 100:
            raise ValueError(f"expected a percentile from 0 to 100, not {percentile!r}")
        latency, buckets = self.latency.get(phase), self.buckets.get(phase)
        if latency is None:
            return None
        known = {50: latency.p50, 90: latency.p90, 95: latency.p95, 99: latency.p99, 99.9: latency.p999}
        if percentile in known or not buckets:
            return known.get(percentile)
        return percentiles(buckets, (percentile,))[0]

    def measuredFrom(self) -> float:
        """
        When measuring began, in seconds since the epoch.
        """
        warmUp = 0.0 if self.warmUp is None else float(self.warmUp["seconds"])
        return datetime.datetime.fromisoformat(self.started).timestamp() + warmUp

    def counters(self) -> Counters:
        """
        What was counted. What no report has is 0.
        """
        return Counters(**sums((self.messages,), _MESSAGES), **sums((self,), _COUNTED))

    def figures(self) -> Snapshot:
        """
        The same as a snapshot, for those who look up figures by name: see L{smtpsource.measure.figures}.
        """
        return Snapshot(
            at=self.elapsed,
            asked=self.asked,
            counters=self.counters(),
            buckets=tuple(self.buckets.get(name, ()) for name in NAMES),
            scheduledSeconds=self.asked / self.askedRate if self.asked and self.askedRate else None,
            judgement=self.judgement,
        )


_MESSAGES = tuple(each.name for each in fields(Messages))
_COUNTED = tuple(each.name for each in fields(Summary) if each.name in COUNTERS and each.name not in _MESSAGES)


def countsOf(counters: Counters) -> dict[str, Any]:
    """
    What a summary has of these, by the names of its fields; the opposite of L{Summary.counters}.
    """
    return {"messages": Messages(**sums((counters,), _MESSAGES)), **sums((counters,), _COUNTED)}


def latenciesOf(recorder: Recorder) -> dict[str, Latency]:
    """
    The latency table of what was recorded.
    """
    return {
        name: latency
        for name, latencies in zip(NAMES, recorder.latencies, strict=True)
        if (latency := latencies.summarize()) is not None
    }


def bucketsOf(recorder: Recorder) -> dict[str, Sequence[int]]:
    """
    The latencies that were recorded, in buckets.
    """
    buckets = zip(NAMES, recorder.buckets, strict=True)
    return {name: counts[: usedLength(counts)] for name, counts in buckets if any(counts)}


def repliesOf(recorder: Recorder) -> dict[str, dict[str, Tally]]:
    """
    The reply codes of what was recorded, with one sample text each.
    """
    return {
        name: {
            code.decode("ascii", "replace"): Tally(count, printable(samples[code]))
            for code, count in sorted(codes.items())
        }
        for name, codes, samples in zip(NAMES, recorder.replies, recorder.replySamples, strict=True)
        if codes
    }


def errorsOf(recorder: Recorder) -> dict[str, Tally]:
    """
    The errors of what was recorded, by kind.
    """
    return {kind: Tally(count, recorder.errorSamples[kind]) for kind, count in sorted(recorder.errors.items())}
