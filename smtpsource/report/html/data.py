"""
The data of a page's charts: what page.js reads. It is JSON in which nothing can be taken for HTML.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice, zip_longest
from typing import Any, NamedTuple

from smtpsource.measure.series import Sample, joined
from smtpsource.printable import printable
from smtpsource.report.document import SERIES
from smtpsource.report.html.charts import Chart, chartsOf
from smtpsource.report.html.curves import curvesOf
from smtpsource.report.html.digits import rounded, timesOf
from smtpsource.report.html.steps import STEPS, often, timelineOf
from smtpsource.report.html.title import shortened


class Bounds(NamedTuple):
    """
    The most that there is of a run.

    @ivar steps: of its timeline; where there would be more, neighbors become one.
    @ivar rows: of its series, likewise.
    @ivar marks: the first ones.
    """

    steps: int = STEPS
    rows: int = 3600
    marks: int = 10_000

    def smaller(self, share: float) -> Bounds | None:
        """
        Less, and fewer steps first. C{None} if with still less nothing would be told.

        @param share: the part of all there is room for.
        """
        share = min(0.75, max(0.4, share))
        if self.steps > _LEAST_STEPS:
            return self._replace(steps=max(_LEAST_STEPS, int(self.steps * share)))
        if self.rows > _LEAST_ROWS:
            return self._replace(rows=max(_LEAST_ROWS, int(self.rows * share)), marks=int(self.marks * share))
        return None


_LEAST_STEPS, _LEAST_ROWS = 60, 300

_ALL = Bounds()

#: The most figures that were watched, as charts show them.
MOST_WATCHED = 96

#: The most characters of a mark.
_LONGEST = 200

#: So many seconds, at the end of a run, say nothing of what there was in each second.
_LEAST = 0.1

#: A data block of more characters is compressed.
_PLAIN = 65536


def dataOf(
    documents: Sequence[Mapping[str, Any]], labels: Sequence[str], *, live: bool = False, bounds: Bounds = _ALL
) -> dict[str, Any]:
    """
    What stands in the data block: C{"runs"} and C{"charts"}.

    @param documents: reports, as the schema says.
    @param labels: what to call them.
    @param live: charts for which there is nothing yet are among them.
    @param bounds: the most that there is of each.
    """
    watched = _watched(documents)
    runs = [
        runOf(document, label, watched, bounds) for document, label in zip(documents, shortened(labels), strict=True)
    ]
    charts = list(chartsOf(runs, live))
    if not live:
        for run in runs:
            _leaveOut(run, charts)
    return {"runs": runs, "charts": [chart.document for chart in charts]}


def runOf(
    document: Mapping[str, Any], label: str, watched: Sequence[str] = (), bounds: Bounds = _ALL
) -> dict[str, Any]:
    """
    What there is of a run.

    @param label: what to call it, where there is little room.
    @param watched: the names of what was watched, in the order of their columns.
    @param bounds: as in L{dataOf}.
    """
    samples = _fewer(SERIES.read(document.get("series", ())), bounds.rows)
    timeline = document.get("timeline")
    return {
        "label": label,
        "exercise": document.get("exercise", "mail"),
        "started": document["started"],
        "series": columnsOf(samples, watched),
        "timeline": None if timeline is None else timelineOf(often(timeline), bounds.steps),
        "marks": [markOf(mark) for mark in document.get("marks", ())[: bounds.marks]],
        "curves": curvesOf(document),
        "watched": [printable(name) for name in watched],
    }


def markOf(mark: Mapping[str, Any]) -> dict[str, Any]:
    """
    A mark, as charts show it.
    """
    return {"at": rounded(mark["at"]), "text": _shortened(printable(mark["text"])), "kind": mark.get("kind", "note")}


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _watched(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """
    The names of what was watched in any of these: the first ones, if there are too many for charts.
    """
    found: dict[str, None] = {}
    for document in documents:
        for sample in document.get("series", ()):
            if sample.get("watched"):
                found.update(dict.fromkeys(sample["watched"]))
    return sorted(islice(found, MOST_WATCHED))


def _each(name: str) -> Callable[[Sample], float | None]:
    """
    How many of these there were each second.
    """

    def read(sample: Sample) -> float | None:
        count = getattr(sample, name)
        return None if count is None or sample.seconds < _LEAST else count / sample.seconds

    return read


def _inSecond(name: str) -> Callable[[Sample], float | None]:
    """
    What is known of each second by itself.
    """
    return lambda sample: None if sample.seconds < _LEAST else getattr(sample, name)


#: The columns of a series that charts may show, and where they are from.
_COLUMNS: dict[str, Callable[[Sample], float | None]] = {
    "rate": _each("accepted"),
    "askedRate": _each("asked"),
    "rejectedRate": _each("rejected"),
    "failedRate": _each("failed"),
    "lateRate": _each("late"),
    "droppedRate": _each("dropped"),
    "arrivedRate": _each("arrived"),
    **{
        name: (lambda sample, name=name: getattr(sample, name))  # type: ignore[misc]
        for name in ("p50", "p95", "p99", "max", "backlog")
    },
    **{name: _inSecond(name) for name in ("open", "cpu", "waited", "lag")},
}


def columnsOf(samples: Sequence[Sample], watched: Sequence[str] = ()) -> dict[str, list[float | None]]:
    """
    Samples as columns: the time at which each ended, and all that charts may show.

    @param watched: as in L{runOf}; their columns are C{"watched0"} and so on.
    """
    columns: dict[str, list[float | None]] = {"time": timesOf([sample.time for sample in samples])}
    for name, of in _COLUMNS.items():
        columns[name] = [rounded(of(sample)) for sample in samples]
    for number, name in enumerate(watched):
        columns[f"watched{number}"] = [rounded((sample.watched or {}).get(name)) for sample in samples]
    return columns


def _fewer(samples: Sequence[Sample], most: int) -> Sequence[Sample]:
    while len(samples) > most:
        pairs = zip_longest(samples[::2], samples[1::2])
        samples = [first if second is None else joined(first, second) for first, second in pairs]
    return samples


def _leaveOut(run: dict[str, Any], charts: Iterable[Chart]) -> None:
    """
    Delete what no chart shows.
    """
    shown = {line.column for chart in charts if chart.source == "series" for line in chart.lines}
    run["series"] = {name: values for name, values in run["series"].items() if name == "time" or name in shown}
    timeline = run["timeline"]
    if timeline is not None:
        shown = {line.column for chart in charts if chart.source == "timeline" for line in chart.lines}
        found = (
            (phase, {code: counts for code, counts in codes.items() if f"replies.{phase}.{code}" in shown})
            for phase, codes in timeline["replies"].items()
        )
        timeline["replies"] = {phase: codes for phase, codes in found if codes}
        timeline["errors"] = {name: of for name, of in timeline["errors"].items() if f"errors.{name}" in shown}


def block(data: Mapping[str, Any]) -> str:
    """
    The data block: JSON that can stand in a C{script} element: whatever is in a text, nothing of it ends that, or
    begins another.
    """
    text = json.dumps(data, separators=(",", ":"))  # ASCII
    text = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return f'<script type="application/json" id="data">{text}</script>\n'


def smallBlock(data: Mapping[str, Any]) -> str:
    """
    The same, compressed if there is much of it, as page.js finds out by its type.
    """
    plain = block(data)
    if len(plain) <= _PLAIN:
        return plain
    compressed = zlib.compress(json.dumps(data, separators=(",", ":")).encode(), 9)
    return f'<script type="application/zlib" id="data">{base64.b64encode(compressed).decode()}</script>\n'
