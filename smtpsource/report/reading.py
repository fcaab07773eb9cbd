"""
Reports that were written, made summaries again.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from smtpsource.measure.encoding import decode
from smtpsource.measure.histogram import Latency
from smtpsource.measure.search import Found, Step
from smtpsource.measure.series import Sample
from smtpsource.measure.summary import SCHEMA, Messages, Summary, Tally
from smtpsource.measure.thresholds import Outcome
from smtpsource.phases import NAMES
from smtpsource.report.schema import problems
from smtpsource.values import inputs, textfiles


class ReportError(ValueError):
    """
    It is no report that can be used. The text is one line: what was wrong, and what would be right.
    """


def read(path: str) -> Summary:
    """
    Read a report.

    @param path: what C{--report} has written.
    @raise ReportError: it can't be read, or is none.
    """
    try:
        content = inputs.read(path, inputs.REPORT)
    except OSError as e:
        raise ReportError(f"{path}: expected a report that can be read: {e.strerror}")
    except ValueError as e:
        raise ReportError(f"{path}: {e}")
    try:
        text = textfiles.withoutMark(content).decode("utf-8")
        document = json.loads(text, parse_constant=_noNumber, parse_int=_whole, parse_float=_fraction)
    except (ValueError, RecursionError) as e:
        raise ReportError(f"{path}: expected a report of smtp-source in JSON: {e}")
    try:
        return summaryOf(document)
    except ValueError as e:
        raise ReportError(f"{path}: {e}")


#: Numbers beyond these are none that were measured, and what is calculated from them is no number any more.
_LARGEST = 2.0**63
_SMALLEST = 1e-200

#: How deep lists and objects may be in each other; a report of a report has seven.
_DEEPEST = 30

#: The most latencies of a phase: as many could be measured in some thousand years.
_MOST = 10**15


def _noNumber(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _whole(text: str) -> int:
    if len(text) > 20 or abs(int(text)) > _LARGEST:
        raise ValueError(f"{text[:20]}... is too large a number")
    return int(text)


def _fraction(text: str) -> float:
    number = float(text)
    if not abs(number) <= _LARGEST or 0 < abs(number) < _SMALLEST:
        raise ValueError(f"{text[:20]} is too {'small' if abs(number) < 1 else 'large'} a number")
    return number


def summaryOf(report: object) -> Summary:
    """
    The summary that this report was made of. What reports of earlier versions don't have is left out.

    @param report: what C{json.load} made of it.
    @raise ValueError: it is no report, or not of our schema, or broken.
    """
    if not isinstance(report, dict) or not isinstance(report.get("tool"), dict):
        raise ValueError("expected a report of smtp-source")
    name, schema = report["tool"].get("name"), report.get("schema")
    if name != "smtp-source":
        raise ValueError(f"expected a report of smtp-source, not of {name}")
    if schema != SCHEMA:
        raise ValueError(f"expected a report of schema {SCHEMA}, not {schema}; is it of a later version?")
    if _isDeep(report):
        raise ValueError("expected a report with fewer lists and objects in each other")
    for problem in problems(report):
        raise ValueError(problem)
    return _summary(report)


def _isDeep(document: object) -> bool:
    level = [document]
    for _ in range(_DEEPEST):
        inner: list[object] = []
        for one in level:
            if isinstance(one, dict | list):
                inner.extend(one.values() if isinstance(one, dict) else one)
        level = inner
    return bool(level)


def _summary(report: Mapping[str, Any]) -> Summary:
    # A pattern knows nothing of a 30th of February; and times are added to this one.
    if not 1970 <= datetime.datetime.fromisoformat(report["started"]).year < 3000:
        raise ValueError("expected a year from 1970 to 2999 in started")
    return Summary(
        command=tuple(report["command"]),
        reactor=report["reactor"],
        started=report["started"],
        elapsed=report["elapsed"],
        exit=report["exit"],
        ended=report["ended"],
        reason=report["reason"],
        messages=Messages(*(report["messages"][name] for name in ("started", "accepted", "rejected", "failed"))),
        recipientsAccepted=report["recipients"]["accepted"],
        recipientsRejected=report["recipients"]["rejected"],
        connectionsOpened=report["connections"]["opened"],
        connectionsFailed=report["connections"]["failed"],
        connectionsLost=report["connections"]["lost"],
        bytesSent=report["bytes"]["sent"],
        bytesReceived=report["bytes"]["received"],
        rate=report["rate"],
        user=report["cpu"]["user"],
        system=report["cpu"]["system"],
        latency={phase: _latency(figures) for phase, figures in report["latency"].items()},
        capabilities=report["capabilities"],
        tls=report["tls"],
        replies={phase: _tallies(codes) for phase, codes in report["replies"].items()},
        errors=_tallies(report["errors"]),
        sink=report.get("sink"),
        asked=report.get("asked"),
        askedRate=report.get("askedRate"),
        late=report.get("late", 0),
        dropped=report.get("dropped", 0),
        exhausted=report.get("exhausted"),
        catchUp=report.get("catchUp"),
        warmUp=report.get("warmup"),
        series=tuple(_sample(sample) for sample in report.get("series", ())),
        buckets={phase: _buckets(phase, text) for phase, text in report.get("histograms", {}).items()},
        environment=report.get("environment", {}),
        thresholds=tuple(_outcome(outcome) for outcome in report.get("thresholds", ())),
        limits=tuple(report.get("limits", ())),
        disturbances=tuple(report.get("disturbances", ())),
        run=report.get("run", ""),
        seed=report.get("seed"),
        search=_found(report["search"]) if "search" in report else None,
    )


def _latency(figures: Mapping[str, Any]) -> Latency:
    names = ("count", "min", "mean", "p50", "p90", "p99", "p99.9", "max")
    return Latency(*(figures[name] for name in names))


def _tallies(tallies: Mapping[str, Any]) -> dict[str, Tally]:
    return {name: Tally(tally["count"], tally["sample"]) for name, tally in tallies.items()}


def _sample(sample: Mapping[str, Any]) -> Sample:
    return Sample(**{name: sample[name] for name in Sample.__slots__ if name in sample})


def _outcome(outcome: Mapping[str, Any]) -> Outcome:
    return Outcome(outcome["text"], outcome["passed"], outcome["actual"], outcome["value"])


def _found(search: Mapping[str, Any]) -> Found:
    names = [field.name for field in fields(Step)]
    steps = tuple(Step(**{name: step[name] for name in names}) for step in search["steps"])
    return Found(search["promise"], search["rate"], steps)


def _buckets(phase: str, text: str) -> list[int]:
    if phase not in NAMES:
        raise ValueError(f"expected histograms of known phases, not {phase!r}; is it of a later version?")
    try:
        counts = decode(text)
        if sum(counts) > _MOST:
            raise ValueError(f"expected at most {_MOST} latencies")
    except ValueError as e:
        raise ValueError(f"histograms.{phase}: {e}")
    return counts
