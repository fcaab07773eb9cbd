"""
The report of a run that goes on, in pieces: each is made in a turn of the reactor, so that none takes long.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any

from smtpsource.measure.encoding import encode
from smtpsource.measure.histogram import PERCENTILES
from smtpsource.measure.series import Sample
from smtpsource.measure.summary import Summary
from smtpsource.measure.summing import completed
from smtpsource.report.document import MARKS, SERIES, Form, documentOf, othersOf

#: So many samples, or marks, are one piece: they take less than 2 milliseconds.
_AT_ONCE = 100


def quickDocument(summary: Summary, series: Sequence[Sample] = ()) -> dict[str, Any]:
    """
    A report without what takes long: histograms and what comes of them.

    @param series: what stands there for its series.
    """
    known = tuple(percentile for percentile in summary.percentiles if percentile in PERCENTILES)
    return documentOf(replace(summary, series=series, buckets={}, percentiles=known))


def reportPieces(summary: Summary) -> Iterator[bytes]:
    """
    The report of a run, as far as it has come, as JSON. Of one that goes on there is no timeline.
    """
    summary = yield from _waiting(completed(summary))
    document = quickDocument(replace(summary, marks=()))
    document["percentiles"] = list(summary.percentiles)
    document["histograms"] = histograms = {}
    for phase, counts in summary.buckets.items():
        document["latency"][phase].update(othersOf(summary, phase))
        histograms[phase] = encode(counts)
        yield b""
    del document["series"], document["marks"]
    yield json.dumps(document).encode("ascii")[:-1]
    yield from _listOf("marks", summary.marks, MARKS)
    yield from _listOf("series", summary.series, SERIES)
    yield b"}\n"


def _listOf(name: str, those: Sequence[Any], form: Form) -> Iterator[bytes]:
    yield f', "{name}": ['.encode("ascii")
    for start in range(0, len(those), _AT_ONCE):
        entries = json.dumps(form.write(those[start : start + _AT_ONCE]))[1:-1]
        yield f"{', ' if start else ''}{entries}".encode("ascii")
    yield b"]"


def _waiting(parts: Generator[None, None, Summary]) -> Generator[bytes, None, Summary]:
    """
    The same with nothing to send after each part.
    """
    while True:
        try:
            next(parts)
        except StopIteration as e:
            found: Summary = e.value
            return found
        yield b""
