"""
Two runs side by side: by how much their figures differ, and whether that is more than noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import median

from smtpsource.measure.counters import OUTCOMES
from smtpsource.measure.figures import Unmeasured, metricOf
from smtpsource.measure.series import Sample
from smtpsource.measure.summary import Summary
from smtpsource.tools.noise import chance


@dataclass(frozen=True)
class Figure:
    """
    One figure of two runs.

    @ivar name: what it is.
    @ivar kind: C{"count"}, C{"share"}, C{"rate"} (per second) or C{"time"} (in seconds).
    @ivar first: what it was in the first run, C{None} if there was none.
    @ivar second: the same in the second.
    @ivar perSecond: has it a value in each second, so that these can say whether the difference is noise?
    @ivar chance: how likely chance makes such a difference; C{None} if there were too few seconds.
    """

    name: str
    kind: str
    first: float | None
    second: float | None
    perSecond: bool = False
    chance: float | None = None

    @property
    def change(self) -> float | None:
        """
        The part of the first one by which it has grown; C{None} if one is missing.
        """
        return None if self.first is None or self.second is None else relative(self.first, self.second)


#: Times in a report are to the microsecond, and the sample of the load's end was taken a moment before that.
_ROUNDED = 0.01


def relative(first: float, second: float) -> float:
    """
    The change from one number to another, as a part of the first. From nothing to something it is infinite.
    """
    if first == second:
        return 0.0
    return (second - first) / first if first else math.inf


def figures(first: Summary, second: Summary) -> Iterator[Figure]:
    """
    What two runs have come to. Figures that neither has are left out.
    """
    seconds = [_whole(_ofLoad(run)) for run in (first, second)]
    for name, kind, of, ofSample in _FIGURES:
        values = of(first), of(second)
        if values == (None, None):
            continue
        if ofSample is None:
            yield Figure(name, kind, *values)
        else:
            numbers = [[value for one in run if (value := ofSample(one)) is not None] for run in seconds]
            yield Figure(name, kind, *values, True, chance(*numbers))


def _ofLoad(run: Summary) -> Sequence[Sample]:
    """
    The samples of a run without those of the time in which its server was waited for.
    """
    if run.judgement is None:
        return run.series
    return [sample for sample in run.series if sample.time <= run.elapsed + _ROUNDED]


def _whole(series: Sequence[Sample]) -> Sequence[Sample]:
    """
    The samples of a run but the first one, in which it came to speed, and those that are shorter than the others, such
    as the last.
    """
    if not series:
        return series
    length = median(sample.seconds for sample in series)
    return [sample for sample in series[1:] if sample.seconds > 0.9 * length]


def _part(of: float, whole: float) -> float | None:
    return of / whole if whole else None


def cpuPerMessage(run: Summary) -> float | None:
    """
    The CPU seconds of the generator for each message; C{None} if there was no message.
    """
    return _part(run.user + run.system, run.messages.started)


def _latency(phase: str, name: str) -> Callable[[Summary], float | None]:
    return lambda run: getattr(run.latency[phase], name) if phase in run.latency else None


def _judged(name: str) -> Callable[[Summary], float | None]:
    """
    What the ledgers say, if they say it: what may still arrive is not lost yet.
    """

    def read(run: Summary) -> float | None:
        try:
            return metricOf(name).read(run.figures())
        except Unmeasured:
            return None

    return read


#: What is known of messages after they were accepted, as far as it is.
JUDGED = ("lost", "queued", "duplicated", "corrupted", "misdelivered")

_FIGURES: tuple[
    tuple[str, str, Callable[[Summary], float | None], Callable[[Sample], float | None] | None],
    ...,
] = (
    *((name, "count", attrgetter(f"messages.{name}"), None) for name in ("started", *OUTCOMES)),
    (
        "errors",
        "share",
        lambda run: _part(run.messages.rejected + run.messages.failed, run.messages.started),
        lambda sample: _part(sample.rejected + sample.failed, sample.started),
    ),
    ("late", "count", lambda run: None if run.asked is None else run.late, None),
    ("dropped", "count", lambda run: None if run.asked is None else run.dropped, None),
    ("asked", "rate", lambda run: run.askedRate, None),
    ("found", "rate", lambda run: run.search.rate if run.search is not None else None, None),
    ("rate", "rate", lambda run: run.rate, lambda sample: _part(sample.accepted, sample.seconds)),
    ("cpu", "time", cpuPerMessage, lambda sample: _part(sample.cpu * sample.seconds, sample.started)),
    ("p50(transaction)", "time", _latency("transaction", "p50"), lambda sample: sample.p50),
    ("p95(transaction)", "time", _latency("transaction", "p95"), lambda sample: sample.p95),
    ("p99(transaction)", "time", _latency("transaction", "p99"), lambda sample: sample.p99),
    ("max(transaction)", "time", _latency("transaction", "maximum"), lambda sample: sample.max),
    *((name, "count", _judged(name), None) for name in JUDGED),
    ("p50(delivery)", "time", _latency("delivery", "p50"), None),
    ("p99(delivery)", "time", _latency("delivery", "p99"), None),
    ("drain", "time", _judged("drain"), None),
)
