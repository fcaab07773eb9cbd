"""
The summary of a run, made of what was counted and timed in it, and of what else is known: by the run itself, or by
others afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

from smtpsource.measure.counters import AddressCounts
from smtpsource.measure.histogram import PERCENTILES
from smtpsource.measure.recorder import Recorder
from smtpsource.measure.series import Series
from smtpsource.measure.snapshot import Snapshot
from smtpsource.measure.step import Step
from smtpsource.measure.summary import Summary, bucketsOf, countsOf, errorsOf, latenciesOf, repliesOf
from smtpsource.measure.timeline import tableOf
from smtpsource.records import dataclass

if TYPE_CHECKING:
    from smtpsource.measure.judgement import Judgement
    from smtpsource.measure.marks import Mark
    from smtpsource.measure.search import Found
    from smtpsource.measure.thresholds import Outcome


@dataclass(frozen=True)
class Facts:
    """
    What is known of a run besides what its frames say. All of it is as in L{Summary}.
    """

    command: tuple[str, ...]
    run: str
    seed: int | None
    reactor: str
    started: str
    elapsed: float
    user: float
    system: float
    exercise: str = "mail"
    percentiles: Sequence[float] = PERCENTILES
    environment: Mapping[str, Any] = field(default_factory=dict)
    warmUp: Mapping[str, Any] | None = None
    exhausted: int | None = None
    catchUp: float | None = None
    limits: Sequence[str] = ()
    disturbances: Sequence[str] = ()
    hints: Sequence[str] = ()
    incomplete: Sequence[str] = ()
    search: Found | None = None
    addresses: Mapping[str, AddressCounts] = field(default_factory=dict)
    marks: Sequence[Mark] = ()
    thresholds: Sequence[Outcome] = ()
    judgement: Judgement | None = None
    sink: Mapping[str, Any] | None = None


def measured(
    recorder: Recorder,
    figures: Snapshot,
    elapsed: float,
    series: Series,
    steps: Callable[[], Sequence[Step]],
    known: Callable[[Callable[[], Any], Any], Any] = lambda find, otherwise: find(),
) -> dict[str, Any]:
    """
    What a summary has of what was counted and timed, by the names of its fields.

    @param figures: all that was measured of the load.
    @param elapsed: as in L{Summary}.
    @param steps: gives those of the timeline.
    @param known: gives what a function returns, or something else if it raises something; that may be noted as an error
        of the run.
    """
    asked, lasted = figures.asked, figures.scheduledSeconds
    seconds = max(elapsed, lasted or 0.0)
    found = {
        "latency": known(lambda: latenciesOf(recorder), {}),
        "replies": known(lambda: repliesOf(recorder), {}),
        "buckets": known(lambda: bucketsOf(recorder), {}),
        "timeline": known(lambda: tableOf(steps()), None),
        "rate": recorder.accepted / seconds if seconds else 0.0,
        "asked": asked,
        "askedRate": asked / lasted if asked is not None and lasted else None,
        "capabilities": recorder.capabilities or {},
        "tls": dict(recorder.tls),
        "series": series.samples,
        "intervals": series.intervals,
        **countsOf(recorder),
    }
    # The last of all: it has those that came of this.
    return found | {"errors": known(lambda: errorsOf(recorder), {})}


def summaryOf(facts: Facts, measured: Mapping[str, Any], *, exit: int, ended: str, reason: str | None) -> Summary:
    """
    @param measured: as L{measured} gives it.
    @param exit: as in L{Summary}, and so are the others.
    """
    return Summary(**vars(facts), **measured, exit=exit, ended=ended, reason=reason)
