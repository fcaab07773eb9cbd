"""
The results of runs that went on side by side, as one.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from math import ceil
from statistics import median
from typing import Any

from smtpsource.measure.counters import OUTCOMES, Counters, sums, together, totals, worst
from smtpsource.measure.encoding import added
from smtpsource.measure.histogram import Latency, summarize
from smtpsource.measure.judgement import merged
from smtpsource.measure.marks import Mark
from smtpsource.measure.series import COUNTED, Sample, joined
from smtpsource.measure.summary import Summary, Tally, countsOf
from smtpsource.phases import NAMES
from smtpsource.tools.mergedtimelines import mergedTimelines


def merge(runs: Sequence[Summary]) -> Summary:
    """
    Add up what these runs have counted: all numbers and histograms, so that percentiles are exact. The time is that in
    which any of them ran, by the clocks of their machines; rates are over that time. The series is that of
    L{mergedSeries}. What a C{sink:} has counted and what a search for a rate has found are left out.

    @param runs: at least one; each with the buckets of all its latencies.
    """
    runs = sorted(runs, key=Summary.measuredFrom)
    elapsed = _covered((run.measuredFrom(), run.elapsed) for run in runs)
    # As for one run: see Snapshot.
    rateFor = _covered((run.measuredFrom(), run.figures().seconds) for run in runs)
    warmUp = _warmUp([run.warmUp for run in runs if run.warmUp is not None])
    counters = sum((run.counters() for run in runs), Counters())
    buckets = _buckets(runs)
    return Summary(
        command=(),
        reactor=", ".join(_different(run.reactor for run in runs)),
        started=_started(runs[0], warmUp),
        elapsed=elapsed,
        exit=next((status for status in (3, 1) if any(run.exit == status for run in runs)), 0),
        ended=next(
            ended for ended in ("aborted", "signal", "running", "done") if any(run.ended == ended for run in runs)
        ),
        reason=next((run.reason for run in runs if run.reason is not None), None),
        **countsOf(counters),
        rate=counters.accepted / rateFor if rateFor else 0.0,
        user=sum(run.user for run in runs),
        system=sum(run.system for run in runs),
        latency=_latencies(buckets),
        capabilities={name: text for run in reversed(runs) for name, text in run.capabilities.items()},
        tls=totals(run.tls for run in runs),
        replies=_replies(runs),
        errors=_tallies(run.errors for run in runs),
        asked=None if any(run.asked is None for run in runs) else sum(run.asked or 0 for run in runs),
        askedRate=_askedRate(runs),
        catchUp=max((run.catchUp for run in runs if run.catchUp is not None), default=None),
        warmUp=warmUp,
        series=mergedSeries([(run.measuredFrom(), run.series) for run in runs]),
        timeline=_timeline(runs),
        marks=_marks(runs),
        buckets=buckets,
        environment={"runs": [environment for run in runs for environment in environmentsOf(run)]},
        thresholds=tuple(outcome for run in runs for outcome in run.thresholds),
        limits=tuple(_different(limit for run in runs for limit in run.limits)),
        disturbances=tuple(_different(text for run in runs for text in run.disturbances)),
        incomplete=tuple(text for run in runs for text in run.incomplete),
        judgement=merged(judged) if (judged := [run.judgement for run in runs if run.judgement is not None]) else None,
        addresses=totals(run.addresses for run in runs),
        hints=tuple(_different(hint for run in runs for hint in run.hints)),
        run=",".join(_different(run.run for run in runs if run.run)),
        exercise=runs[0].exercise,
        percentiles=runs[0].percentiles,
        seed=runs[0].seed if len({run.seed for run in runs}) == 1 else None,
    )


def _timeline(runs: Sequence[Summary]) -> dict[str, Any] | None:
    found = [(run.measuredFrom(), run.timeline) for run in runs if run.timeline is not None]
    return mergedTimelines(found) if len(found) == len(runs) else None


def _marks(runs: Sequence[Summary]) -> tuple[Mark, ...]:
    """
    Those of all runs, by the clock of L{mergedSeries}.
    """
    first = runs[0].measuredFrom()
    shifted = (replace(mark, at=mark.at + round(run.measuredFrom() - first)) for run in runs for mark in run.marks)
    return tuple(sorted(shifted, key=lambda mark: mark.at))


def mergedSeries(runs: Sequence[tuple[float, Sequence[Sample]]]) -> list[Sample]:
    """
    The samples of several runs, as samples of all of them.

    Each run's clock is set to the nearest second of the first one's, so what stands side by side was at most half a
    second apart. No sample is divided: it counts as a whole in the second that it ended in, or in the one before, if
    three quarters of it were in that or earlier. So sums are exact. CPU seconds are added; C{p50}, C{p95}, C{p99},
    C{max} and C{lag} are the highest that any of them had. If the samples of one run are of several seconds, so are
    those of all.

    @param runs: when each one started, in seconds on a common clock, in order; and its samples.
    """
    lengths = [median(sample.seconds for sample in samples) for _, samples in runs if samples]
    width = max(1, *map(round, lengths)) if lengths else 1
    places: dict[int, dict[int, list[Sample]]] = {}
    for number, (start, samples) in enumerate(runs):
        shift = round(start - runs[0][0])
        for sample in samples:
            end = shift + sample.time
            place = places.setdefault(ceil((end - sample.seconds / 4) / width), {})
            place.setdefault(number, []).append(replace(sample, time=end))
    merged = [_beside([reduce(joined, samples) for samples in places[place].values()]) for place in sorted(places)]
    # A long one may have ended after a short one of the next second.
    return sorted(merged, key=lambda sample: sample.time)


def _beside(samples: Sequence[Sample]) -> Sample:
    """
    Samples of the same time.
    """
    end = max(sample.time for sample in samples)
    seconds = end - min(sample.time - sample.seconds for sample in samples)
    asked = [sample.asked for sample in samples if sample.asked is not None]
    return Sample(
        time=end,
        seconds=seconds,
        asked=sum(asked) if asked else None,
        p50=worst(*(sample.p50 for sample in samples)),
        p95=worst(*(sample.p95 for sample in samples)),
        p99=worst(*(sample.p99 for sample in samples)),
        max=worst(*(sample.max for sample in samples)),
        cpu=sum(sample.cpu * sample.seconds for sample in samples) / seconds if seconds else 0.0,
        lag=max(sample.lag for sample in samples),
        waited=worst(*(sample.waited for sample in samples)),
        arrived=together(*(sample.arrived for sample in samples)),
        backlog=together(*(sample.backlog for sample in samples)),
        watched={name: value for one in samples for name, value in (one.watched or {}).items()} or None,
        **sums(samples, COUNTED),
    )


def _started(first: Summary, warmUp: Mapping[str, Any] | None) -> str:
    """
    When all began, so that measuring began when that of the first one did.
    """
    if warmUp is None:
        return first.started
    zone = datetime.datetime.fromisoformat(first.started).tzinfo
    began = datetime.datetime.fromtimestamp(first.measuredFrom() - warmUp["seconds"], zone)
    return began.isoformat(timespec="milliseconds")


def _covered(intervals: Iterable[tuple[float, float]]) -> float:
    """
    How many seconds are in at least one of these intervals, given as beginning and length.
    """
    covered, end = 0.0, float("-inf")
    for begin, length in sorted(intervals):
        covered += max(0.0, begin + length - max(begin, end))
        end = max(end, begin + length)
    return covered


def _askedRate(runs: Sequence[Summary]) -> float | None:
    """
    How many messages were asked for, over the time in which any schedule lasted.
    """
    asked = [(run.measuredFrom(), run.asked, run.askedRate) for run in runs if run.asked and run.askedRate]
    seconds = _covered((start, messages / rate) for start, messages, rate in asked)
    return sum(messages for _, messages, _ in asked) / seconds if len(asked) == len(runs) and seconds else None


def _buckets(runs: Sequence[Summary]) -> dict[str, list[int]]:
    used = [name for name in NAMES if any(name in run.buckets for run in runs)]
    return {name: added(run.buckets.get(name, ()) for run in runs) for name in used}


def _latencies(buckets: Mapping[str, Sequence[int]]) -> dict[str, Latency]:
    return {name: latency for name, counts in buckets.items() if (latency := summarize(counts)) is not None}


def _different(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _tallies(mappings: Iterable[Mapping[str, Tally]]) -> dict[str, Tally]:
    total: dict[str, Tally] = {}
    for mapping in mappings:
        for name, tally in mapping.items():
            known = total.get(name, Tally(0, tally.sample))
            total[name] = Tally(known.count + tally.count, known.sample)
    return dict(sorted(total.items()))


def _replies(runs: Sequence[Summary]) -> dict[str, Mapping[str, Tally]]:
    used = [name for name in NAMES if any(name in run.replies for run in runs)]
    return {name: _tallies(run.replies.get(name, {}) for run in runs) for name in used}


def _warmUp(those: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    if not those:
        return None
    counts = {name: sum(one[name] for one in those) for name in OUTCOMES}
    if any("overdue" in one for one in those):
        counts["overdue"] = sum(one.get("overdue", 0) for one in those)
    return {"seconds": max(one["seconds"] for one in those), **counts}


def environmentsOf(run: Summary) -> list[Mapping[str, Any]]:
    """
    What it ran on, and what it was; of a merged one, those of all that went into it.
    """
    if "runs" in run.environment:
        return list(run.environment["runs"])
    about = {"command": list(run.command), "run": run.run, "seed": run.seed, "elapsed": run.elapsed}
    return [{**about, "started": run.started, "reactor": run.reactor, **run.environment}]
