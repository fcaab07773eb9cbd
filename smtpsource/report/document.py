"""
The report as a document for JSON, and back: one table says for both ways where each field stands.

L{smtpsource.report.schema} says what may stand there; docs/report.rst says what it means.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import astuple, fields, replace
from functools import reduce
from typing import Any, NamedTuple

from smtpsource._version import __version__
from smtpsource.measure.counters import AddressCounts, Counters
from smtpsource.measure.drift import Drift
from smtpsource.measure.encoding import decode, encode
from smtpsource.measure.histogram import PERCENTILES, Latency, nameOf, percentiles
from smtpsource.measure.marks import Effect, Mark
from smtpsource.measure.search import Found, Step
from smtpsource.measure.series import Sample
from smtpsource.measure.summary import Summary, Tally, countsOf
from smtpsource.measure.thresholds import Outcome
from smtpsource.measure.timeline import checked
from smtpsource.phases import NAMES
from smtpsource.report import judgement

#: The version of the report's layout; it changes when a field changes its meaning or goes away.
SCHEMA = 1

#: The figures of a phase, in the order of L{Latency}.
FIGURES = ("count", "min", "mean", "p50", "p90", "p95", "p99", "p99.9", "max")

#: The most latencies of a phase: as many could be measured in some thousand years.
_MOST = 10**15


class Form(NamedTuple):
    """
    How something stands in JSON.

    @ivar write: makes JSON of it.
    @ivar read: makes it of JSON that is as the schema says.
    """

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _same(value: Any) -> Any:
    return value


def _record(kind: type[Any]) -> Form:
    """
    A dataclass, by the names of its fields. In JSON there may be more, or fewer where these have defaults.
    """
    names = [each.name for each in fields(kind)]
    return Form(
        lambda one: {name: getattr(one, name) for name in names},
        lambda found: kind(**{name: found[name] for name in names if name in found}),
    )


def _several(form: Form) -> Form:
    return Form(lambda those: [form.write(one) for one in those], lambda those: tuple(form.read(one) for one in those))


def _named(form: Form) -> Form:
    return Form(
        lambda those: {name: form.write(one) for name, one in those.items()},
        lambda those: {name: form.read(one) for name, one in those.items()},
    )


def sampleDict(sample: Sample) -> dict[str, float | None]:
    """
    To the microsecond: what is less was not measured.
    """
    values = {name: getattr(sample, name) for name in Sample.__slots__ if name != "watched"}
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in values.items()}


def sampleOf(sample: Sample) -> dict[str, Any]:
    """
    A sample as the report has it.
    """
    return {**sampleDict(sample), **({"watched": dict(sample.watched)} if sample.watched else {})}


def _histograms(buckets: Mapping[str, Sequence[int]]) -> dict[str, str]:
    return {phase: encode(counts) for phase, counts in buckets.items()}


def _buckets(histograms: Mapping[str, str]) -> dict[str, list[int]]:
    found = {}
    for phase, text in histograms.items():
        if phase not in NAMES:
            raise ValueError(f"expected histograms of known phases, not {phase!r}; is it of a later version?")
        try:
            found[phase] = decode(text)
            if sum(found[phase]) > _MOST:
                raise ValueError(f"expected at most {_MOST} latencies")
        except ValueError as e:
            raise ValueError(f"histograms.{phase}: {e}")
    return found


_AS_IS = Form(_same, _same)
_TUPLE = Form(list, tuple)
_OBJECT = Form(lambda value: None if value is None else dict(value), _same)
_TALLIES = _named(_record(Tally))
_LATENCY = Form(
    lambda latency: dict(zip(FIGURES, astuple(latency), strict=True)),
    lambda figures: Latency(*map(figures.get, FIGURES)),
)
_STEPS = _several(_record(Step))

#: One of L{Counters}.
COUNT = Form(_same, _same)

#: What came of a search for a rate.
SEARCH = Form(
    lambda found: {
        "promise": found.promise,
        "rate": found.rate,
        "tried": [{"rate": each.rate, "kept": each.kept, "times": each.times} for each in found.tried],
        "steps": _STEPS.write(found.steps),
    },
    lambda found: Found(found["promise"], found["rate"], _STEPS.read(found["steps"])),
)


#: What happened in each second.
SERIES = _several(Form(sampleOf, _record(Sample).read))

#: What became of every message where the server delivers to.
LEDGER = Form(judgement.documentOf, judgement.judgementOf)


def _inner(form: Form, **inner: Form) -> Form:
    """
    The same where fields, if there is anything in them, have forms of their own.
    """

    def changed(found: Mapping[str, Any], way: Callable[[Form], Callable[[Any], Any]]) -> dict[str, Any]:
        there = {name: way(one)(found[name]) for name, one in inner.items() if found.get(name) is not None}
        return {**found, **there}

    return Form(
        lambda one: changed(form.write(one), lambda each: each.write),
        lambda found: form.read(changed(found, lambda each: each.read)),
    )


#: What was marked.
MARKS = _several(_inner(_record(Mark), effect=_record(Effect)))


class Field(NamedTuple):
    """
    One field of a report.

    @ivar path: where it stands, with a dot before each inner name.
    @ivar name: the attribute of a summary, or of its counters; empty if it is the path.
    @ivar optional: it is left out if there is none.
    """

    path: str
    form: Form = _AS_IS
    name: str = ""
    optional: bool = False

    def put(self, document: dict[str, Any], of: object) -> None:
        """
        Write it there.

        @param of: what has the attribute.
        """
        value = getattr(of, self.name or self.path)
        if value is not None or not self.optional:
            *groups, last = self.path.split(".")
            reduce(lambda inner, group: inner.setdefault(group, {}), groups, document)[last] = self.form.write(value)


#: All fields that are of a summary, in their order.
FIELDS = (
    Field("command", _TUPLE),
    *map(Field, ("run", "seed", "reactor", "started", "elapsed", "exit", "ended", "reason")),
    Field("thresholds", _several(_record(Outcome))),
    Field("limits", _TUPLE),
    Field("disturbances", _TUPLE),
    Field("incomplete", _TUPLE),
    Field("hints", _TUPLE),
    Field("search", SEARCH, optional=True),
    Field("ledger", LEDGER, "judgement", optional=True),
    Field("warmup", _OBJECT, "warmUp"),
    Field("asked"),
    Field("late", COUNT),
    Field("dropped", COUNT),
    Field("exhausted"),
    Field("catchUp"),
    Field("exercise"),
    Field("messages.started", COUNT, "started"),
    Field("messages.accepted", COUNT, "accepted"),
    Field("messages.rejected", COUNT, "rejected"),
    Field("messages.failed", COUNT, "failed"),
    Field("recipients.accepted", COUNT, "recipientsAccepted"),
    Field("recipients.rejected", COUNT, "recipientsRejected"),
    Field("connections.opened", COUNT, "connectionsOpened"),
    Field("connections.failed", COUNT, "connectionsFailed"),
    Field("connections.lost", COUNT, "connectionsLost"),
    Field("addresses", _named(_record(AddressCounts))),
    Field("bytes.sent", COUNT, "bytesSent"),
    Field("bytes.received", COUNT, "bytesReceived"),
    Field("askedRate"),
    Field("rate"),
    Field("cpu.user", name="user"),
    Field("cpu.system", name="system"),
    Field("percentiles", _TUPLE),
    Field("latency", _named(_LATENCY)),
    Field("capabilities", _OBJECT),
    Field("tls", _OBJECT),
    Field("replies", _named(_TALLIES)),
    Field("errors", _TALLIES),
    Field("sink", _OBJECT, optional=True),
    Field("environment", _OBJECT),
    Field("marks", MARKS),
    Field("timeline", Form(_same, lambda found: None if found is None else checked(found)), optional=True),
    Field("drift", _named(_record(Drift))),
    Field("histograms", Form(_histograms, _buckets), "buckets"),
    Field("series", SERIES),
)


def documentOf(summary: Summary, without: Container[str] = ()) -> dict[str, Any]:
    """
    The report of a run, as JSON takes it.

    @param without: what to leave out of it.
    """
    document: dict[str, Any] = {"schema": SCHEMA, "tool": {"name": "smtp-source", "version": __version__}}
    counters = summary.counters()
    for each in FIELDS:
        if each.path not in without:
            each.put(document, counters if each.form is COUNT else summary)
    for phase, latency in document["latency"].items():
        latency.update(othersOf(summary, phase))
    return document


def othersOf(summary: Summary, phase: str) -> dict[str, float]:
    """
    The percentiles of a phase that are told besides the usual ones, by their names.
    """
    others = [percentile for percentile in summary.percentiles if percentile not in PERCENTILES]
    found = percentiles(summary.buckets.get(phase, ()), others) if others else []
    return {nameOf(percentile): value for percentile, value in zip(others, found, strict=True)}


def summaryFrom(document: Mapping[str, Any]) -> Summary:
    """
    The summary that such a document was made of. What those of earlier versions don't have is left out.

    @param document: as the schema says.
    @raise ValueError: a histogram is broken; the text is one line.
    """
    values: dict[str, Any] = {}
    counted: dict[str, int] = {}
    for path, form, name, _ in FIELDS:
        *groups, last = path.split(".")
        inner = reduce(lambda outer, group: outer.get(group, {}), groups, document)
        if last in inner:
            (counted if form is COUNT else values)[name or path] = form.read(inner[last])
    buckets = values.get("buckets", {})
    for phase, latency in values["latency"].items():
        if latency.p95 is None and phase in buckets:
            values["latency"][phase] = replace(latency, p95=percentiles(buckets[phase], (95,))[0])
    return Summary(**values, **countsOf(Counters(**counted)))
