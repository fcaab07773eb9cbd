"""
The summary of a run, made of what was counted and timed in it, and of what else is known: by the run itself, or by
others afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from smtpsource.measure.counters import AddressCounts
from smtpsource.measure.histogram import PERCENTILES, summarize
from smtpsource.measure.packed import withLast
from smtpsource.measure.recorder import Recorder
from smtpsource.measure.series import Sample
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


#: The effects of so many marks take about a millisecond.
_AT_ONCE = 3


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
    samples: Sequence[Sample],
    steps: Callable[[], Sequence[Step]],
    known: Callable[[Callable[[], Any], Any], Any] = lambda find, otherwise: find(),
    *,
    quickly: bool = False,
) -> dict[str, Any]:
    """
    What a summary has of what was counted and timed, by the names of its fields.

    @param figures: all that was measured of the load.
    @param elapsed: as in L{Summary}.
    @param samples: what happened in each second.
    @param steps: gives those of the timeline.
    @param quickly: leave out what takes long: the timeline, and the figures of latencies.
    @param known: gives what a function returns, or something else if it raises something; that may be noted as an error
        of the run.
    """
    asked, lasted = figures.asked, figures.scheduledSeconds
    seconds = max(elapsed, lasted or 0.0)
    found = {
        "latency": {} if quickly else known(lambda: latenciesOf(recorder), {}),
        "replies": known(lambda: repliesOf(recorder), {}),
        "buckets": known(lambda: bucketsOf(recorder), {}),
        "timeline": None if quickly else known(lambda: tableOf(steps()), None),
        "drift": {} if quickly or figures.minutes is None else known(figures.minutes.drifts, {}),
        "rate": recorder.accepted / seconds if seconds else 0.0,
        "asked": asked,
        "askedRate": asked / lasted if asked is not None and lasted else None,
        "capabilities": recorder.capabilities or {},
        "tls": dict(recorder.tls),
        "series": samples,
        **countsOf(recorder),
    }
    # The last of all: it has those that came of this.
    return found | {"errors": known(lambda: errorsOf(recorder), {})}


def summaryOf(facts: Facts, measured: Mapping[str, Any], *, quickly: bool = False, **others: Any) -> Summary:
    """
    @param measured: as L{measured} gives it.
    @param quickly: leave out what takes long: the effects of marks.
    @param others: what there is besides in L{Summary}: C{exit}, C{ended}, C{reason}, C{intervals}.
    """
    marks = facts.marks
    if marks and not quickly:
        from smtpsource.measure.effects import withEffects  # few have marks

        marks = tuple(withEffects(marks, measured["series"], facts.elapsed, facts.search is not None))
    return Summary(**{**vars(facts), "marks": marks}, **measured, **others)


def completed(summary: Summary) -> Generator[None, None, Summary]:
    """
    Make what a summary lacks that was made quickly, but for the timeline, with pauses: the figures of the latencies of
    one phase take a millisecond, as do the effects of L{_AT_ONCE} marks, or of each one in a run of hours.

    @return: the summary that has them.
    """
    latency = dict(summary.latency)
    for phase, counts in summary.buckets.items() if not latency else ():
        figures = summarize(counts)
        assert figures is not None
        latency[phase] = figures
        yield
    marks = list(summary.marks)
    if marks and all(mark.effect is None for mark in marks):
        from smtpsource.measure.effects import withEffects  # few have marks

        found = withEffects(summary.marks, summary.series, summary.elapsed, summary.search is not None)
        for number, mark in enumerate(found):
            marks[number] = mark
            if number % _AT_ONCE == _AT_ONCE - 1:
                yield
    return replace(summary, latency=latency, marks=tuple(marks))


def unknownAfter(passed: str) -> str:
    """
    What a report lacks that was not made at the end of its run, in words.

    @param passed: up to when all is known.
    """
    return f"what came after {passed} is not known, and messages on their way count as failed"


def soFar(summary: Summary) -> Summary:
    """
    The summary of a run that goes on as one to keep, whatever becomes of the run: it is incomplete, messages on their
    way count as failed, and nobody knows how it will end.

    @param summary: its series may grow; that of the result does not.
    """
    messages, samples = summary.messages, summary.series
    onTheirWay = max(0, messages.started - messages.accepted - messages.rejected - messages.failed)
    if samples:
        samples = withLast(samples, replace(samples[-1], failed=samples[-1].failed + onTheirWay))
    return replace(
        summary,
        messages=replace(messages, failed=messages.failed + onTheirWay),
        series=samples,
        incomplete=(*summary.incomplete, f"written while the run went on: {unknownAfter(f'{summary.elapsed:.1f} s')}"),
        exit=1,
    )
