"""
The data of a page's charts: what page.js reads. It is JSON in which nothing can be taken for HTML.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import nlargest
from itertools import islice, zip_longest
from math import floor, log10
from typing import Any, NamedTuple, TypeVar

from smtpsource.measure.series import Sample, joined
from smtpsource.phases import NAMES
from smtpsource.printable import printable
from smtpsource.report.document import SERIES
from smtpsource.report.html.charts import MOST_KINDS, Chart, chartsOf, isRefusal
from smtpsource.report.html.curves import curvesOf
from smtpsource.report.html.title import shortened


class Bounds(NamedTuple):
    """
    The most that there is of a run.

    @ivar steps: of its timeline; where there would be more, neighbors become one.
    @ivar rows: of its series, likewise.
    @ivar marks: the first ones.
    """

    steps: int = 360
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

_Kind = TypeVar("_Kind")

#: The most figures that were watched, as charts show them.
MOST_WATCHED = 96

#: The most characters of a mark.
_LONGEST = 200

#: So many seconds, at the end of a run, say nothing of what there was in each second.
_LEAST = 0.1

#: Digits of a number: more are not to be seen.
_DIGITS = 4

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
        "timeline": None if timeline is None else timelineOf(_often(timeline), bounds.steps),
        "marks": [markOf(mark) for mark in document.get("marks", ())[: bounds.marks]],
        "curves": curvesOf(document),
        "watched": [printable(name) for name in watched],
    }


def markOf(mark: Mapping[str, Any]) -> dict[str, Any]:
    """
    A mark, as charts show it.
    """
    return {"at": _rounded(mark["at"]), "text": _shortened(printable(mark["text"])), "kind": mark.get("kind", "note")}


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
        columns[name] = [_rounded(of(sample)) for sample in samples]
    for number, name in enumerate(watched):
        columns[f"watched{number}"] = [_rounded((sample.watched or {}).get(name)) for sample in samples]
    return columns


def timesOf(times: Sequence[float]) -> list[float | None]:
    """
    Times of a run, as exact as can be seen.
    """
    longest = max(times, default=0)
    decimals = 3 if longest < 60 else 2 if longest < 600 else 1
    return [_whole(round(time, decimals)) for time in times]


def timelineOf(table: Mapping[str, Any], steps: int = _ALL.steps) -> dict[str, Any]:
    """
    A timeline with fewer steps and digits. Of the percentiles of steps that become one, the highest is kept.

    @param table: as a report has it.
    @param steps: the most of them.
    """
    step = -(-len(table["time"]) // steps)

    def groups(values: Sequence[Any]) -> list[Sequence[Any]]:
        return [values[begin : begin + step] for begin in range(0, len(values), step)] if step else []

    def columns(those: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        return {printable(name): [sum(group) for group in groups(values)] for name, values in those.items()}

    return {
        "time": timesOf([group[-1] for group in groups(table["time"])]),
        "phases": {
            name: {
                "count": [sum(group) for group in groups(phase["count"])],
                **{which: list(map(_worst, groups(phase[which]))) for which in ("p50", "p95", "p99", "max")},
                "heat": [_heat(group) for group in groups(phase["heat"])],
            }
            for name, phase in table["phases"].items()
            if name in NAMES
        },
        "replies": {printable(phase): columns(codes) for phase, codes in table["replies"].items()},
        "errors": columns(table["errors"]),
    }


def _often(table: Mapping[str, Any]) -> dict[str, Any]:
    """
    The same with no more kinds of errors and of refusing replies than a chart shows, as there may be very many.
    """
    replies: dict[str, dict[str, Sequence[int]]] = {}
    refusing = (
        ((phase, code), counts)
        for phase, codes in table["replies"].items()
        for code, counts in codes.items()
        if isRefusal(code)
    )
    for (phase, code), counts in _most(refusing):
        replies.setdefault(phase, {})[code] = counts
    return {**table, "replies": replies, "errors": dict(_most(table["errors"].items()))}


def _most(those: Iterable[tuple[_Kind, Sequence[int]]]) -> list[tuple[_Kind, Sequence[int]]]:
    return nlargest(MOST_KINDS, those, key=lambda kind: sum(kind[1]))


def _worst(values: Sequence[float | None]) -> float | None:
    return _rounded(max((value for value in values if value is not None), default=None))


def _heat(steps: Sequence[Sequence[int]]) -> list[int]:
    if len(steps) == 1:
        return list(steps[0])
    rows: dict[int, int] = {}
    for step in steps:
        for row, count in zip(step[::2], step[1::2], strict=False):
            rows[row] = rows.get(row, 0) + count
    return [number for pair in sorted(rows.items()) for number in pair]


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


def _rounded(value: float | None) -> float | None:
    if not value:
        return value if value is None else 0
    return _whole(round(value, _DIGITS - 1 - floor(log10(abs(value)))))


def _whole(value: float) -> float:
    """
    The same, as C{4} if it is C{4.0}.
    """
    return int(value) if value == int(value) else value


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
