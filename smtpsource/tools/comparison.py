"""
Two runs side by side: by how much their figures differ, and whether that is more than noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter

from smtpsource.measure.counters import OUTCOMES
from smtpsource.measure.figures import Unmeasured, metricOf
from smtpsource.measure.series import Sample
from smtpsource.measure.summary import Summary
from smtpsource.tools.course import Column, Course
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
    @ivar chance: how likely chance makes such a difference; C{None} if that is not known.
    @ivar untold: why it is not.
    """

    name: str
    kind: str
    first: float | None
    second: float | None
    perSecond: bool = False
    chance: float | None = None
    untold: str = ""

    @property
    def change(self) -> float | None:
        """
        The part of the first one by which it has grown; C{None} if one is missing.
        """
        return None if self.first is None or self.second is None else relative(self.first, self.second)


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
    courses = [Course(run) for run in (first, second)]
    for name, kind, of, inCourse in _FIGURES:
        values = of(first), of(second)
        if values == (None, None):
            continue
        if inCourse is None:
            yield Figure(name, kind, *values)
        else:
            yield Figure(name, kind, *values, True, *_chance(*map(inCourse, courses)))


def _chance(first: Column, second: Column) -> tuple[float | None, str]:
    """
    How likely chance makes such a difference, or why that is not known.
    """
    if first.isUnknown or second.isUnknown:
        return None, "not known of each second"
    if abs(first.length - second.length) > 0.1 * first.length:
        return None, "steps of unlike length"
    found = chance(*([value for value in column.values if value is not None] for column in (first, second)))
    return found, "too few seconds to tell" if found is None else ""


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


def _seconds(of: Callable[[Sample], float | None]) -> Callable[[Course], Column]:
    return lambda course: course.seconds(of)


def _steps(phase: str, name: str) -> Callable[[Course], Column]:
    return lambda course: course.steps(phase, name)


#: What is known of messages after they were accepted, as far as it is.
JUDGED = ("lost", "queued", "duplicated", "corrupted", "misdelivered")

_FIGURES: tuple[
    tuple[str, str, Callable[[Summary], float | None], Callable[[Course], Column] | None],
    ...,
] = (
    *((name, "count", attrgetter(f"messages.{name}"), None) for name in ("started", *OUTCOMES)),
    (
        "errors",
        "share",
        lambda run: _part(run.messages.rejected + run.messages.failed, run.messages.started),
        _seconds(lambda sample: _part(sample.rejected + sample.failed, sample.started)),
    ),
    ("late", "count", lambda run: None if run.asked is None else run.late, None),
    ("dropped", "count", lambda run: None if run.asked is None else run.dropped, None),
    ("asked", "rate", lambda run: run.askedRate, None),
    ("found", "rate", lambda run: run.search.rate if run.search is not None else None, None),
    ("rate", "rate", lambda run: run.rate, _seconds(lambda sample: _part(sample.accepted, sample.seconds))),
    ("cpu", "time", cpuPerMessage, _seconds(lambda sample: _part(sample.cpu * sample.seconds, sample.started))),
    ("p50(transaction)", "time", _latency("transaction", "p50"), _seconds(attrgetter("p50"))),
    ("p95(transaction)", "time", _latency("transaction", "p95"), _seconds(attrgetter("p95"))),
    ("p99(transaction)", "time", _latency("transaction", "p99"), _seconds(attrgetter("p99"))),
    ("max(transaction)", "time", _latency("transaction", "maximum"), _seconds(attrgetter("max"))),
    ("p50(response)", "time", _latency("response", "p50"), _steps("response", "p50")),
    ("p95(response)", "time", _latency("response", "p95"), _steps("response", "p95")),
    ("p99(response)", "time", _latency("response", "p99"), _steps("response", "p99")),
    ("max(response)", "time", _latency("response", "maximum"), _steps("response", "max")),
    *((name, "count", _judged(name), None) for name in JUDGED),
    ("p50(delivery)", "time", _latency("delivery", "p50"), None),
    ("p99(delivery)", "time", _latency("delivery", "p99"), None),
    ("drain", "time", _judged("drain"), None),
)
