"""
The charts of a page: which there are, what they show, and in which unit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from smtpsource.measure.watched import unitOf

#: Stands in a column's name for the phase that somebody picks.
PHASE = "{phase}"


class Line(NamedTuple):
    """
    One line of a chart.

    @ivar label: what it is called.
    @ivar column: where its values stand in the chart's source, with dots between the names.
    @ivar color: the number of its color, from 0 to 7.
    @ivar dash: is it dashed? Colors alone are not for everybody.
    """

    label: str
    column: str
    color: int
    dash: bool = False


class Chart(NamedTuple):
    """
    A chart.

    @ivar id: its name in the page.
    @ivar kind: C{"lines"}; C{"bars"}, for what was counted in each step; C{"heat"}; or C{"curve"}.
    @ivar source: which part of a run it is of: C{"series"}, C{"timeline"} or C{"curves"}.
    @ivar unit: that of its values.
    @ivar pick: C{"phase"}, if it is of the phase that is picked.
    @ivar log: do its values grow tenfold from line to line at first?
    """

    id: str
    title: str
    kind: str
    source: str
    unit: str
    lines: tuple[Line, ...]
    pick: str | None = None
    log: bool = False

    @property
    def document(self) -> dict[str, Any]:
        """
        The same as JSON takes it.
        """
        return {**self._asdict(), "lines": [line._asdict() for line in self.lines]}


_RATE = Chart(
    *("rate", "Rate", "lines", "series", "/s"),
    (Line("accepted", "rate", 0), Line("asked", "askedRate", 4, True)),
)
_LATENCY = Chart(
    *("latency", "Latency over time", "lines", "timeline", "s"),
    tuple(
        Line(name, f"phases.{PHASE}.{name}", color, dash)
        for name, color, dash in (("p50", 0, False), ("p95", 2, True), ("p99", 1, False), ("max", 3, True))
    ),
    pick="phase",
    log=True,
)

#: Instead of it, where a report is of an earlier version.
_TRANSACTIONS = _LATENCY._replace(
    title="Latency of transactions over time",
    source="series",
    lines=tuple(line._replace(column=line.label) for line in _LATENCY.lines),
    pick=None,
)
_HEAT = Chart("heat", "Latencies, how many of each", "heat", "timeline", "s", (), "phase", True)
_CURVE = Chart(
    *("curve", "Latency by percentile", "curve", "curves", "s"),
    (Line("", f"curves.{PHASE}", 0),),
    pick="phase",
    log=True,
)
_REFUSED = Chart(
    *("refused", "Not accepted", "lines", "series", "/s"),
    (Line("rejected", "rejectedRate", 1), Line("failed", "failedRate", 3, True)),
)
_LATE = Chart(
    *("late", "Behind the schedule", "lines", "series", "/s"),
    (Line("started late", "lateRate", 4), Line("never started", "droppedRate", 1, True)),
)
_CONNECTIONS = Chart("connections", "Connections", "lines", "series", "open", (Line("open", "open", 0),))
_DELIVERED = Chart(
    *("delivered", "Delivered", "lines", "series", "/s"),
    (Line("accepted", "rate", 0), Line("arrived", "arrivedRate", 2, True)),
)
_BACKLOG = Chart(
    *("backlog", "Acknowledged and not arrived", "lines", "series", "messages"),
    (Line("backlog", "backlog", 1),),
)
_CPU = Chart(
    *("cpu", "Processor time of the generator", "lines", "series", "s/s"),
    (Line("used", "cpu", 0), Line("waited for", "waited", 1, True)),
)
_LAG = Chart("lag", "How late the generator was", "lines", "series", "s", (Line("lag", "lag", 1),))

#: What is counted in steps: more kinds would be told apart by nobody.
MOST_KINDS = 8

Run = Mapping[str, Any]


def chartsOf(runs: Sequence[Run], live: bool = False) -> Iterator[Chart]:
    """
    The charts of these runs, in their order.

    @param runs: as the data block has them, with all columns.
    @param live: those for which there is nothing yet are among them.
    """
    hasTimeline = live or any(run["timeline"] for run in runs)
    watched = dict.fromkeys(name for run in runs for name in run["watched"])
    all = (
        _RATE,
        *((_LATENCY, _HEAT) if hasTimeline else (_TRANSACTIONS,)),
        _CURVE,
        _REFUSED,
        *_counted(runs),
        _LATE,
        _CONNECTIONS,
        *((_DELIVERED, _BACKLOG) if any(_has(run, "series", "backlog") for run in runs) else ()),
        *watchedCharts(tuple(watched)),
        _CPU,
        _LAG,
    )
    for chart in all:
        lines = tuple(line for line in chart.lines if live or any(_isOf(run, chart, line) for run in runs))
        hasHeat = chart.kind == "heat" and any(run["timeline"]["phases"] for run in runs if run["timeline"])
        if live or lines or hasHeat:
            yield chart._replace(lines=lines)


def _isOf(run: Run, chart: Chart, line: Line) -> bool:
    """
    Is there anything to be seen of a line?
    """
    if chart.source == "curves":
        return bool(run["curves"])
    if chart.pick is not None:
        return run["timeline"] is not None and bool(run["timeline"]["phases"])
    if chart.source == "timeline":
        return True
    return _has(run, chart.source, line.column)


def _has(run: Run, source: str, column: str) -> bool:
    values = run[source].get(column, ())
    # Of what should not be there is no picture that shows that it is not.
    if column in _UNWANTED:
        return any(values)
    return any(value is not None for value in values)


_UNWANTED = {line.column for chart in (_REFUSED, _LATE) for line in chart.lines}


def _counted(runs: Sequence[Run]) -> Iterator[Chart]:
    """
    Replies that refuse, and errors, as often as they came in each step.
    """
    lengths = {round(run["timeline"]["time"][0], 1) for run in runs if run["timeline"] and run["timeline"]["time"]}
    lengths = lengths or {1.0}
    unit = "per step" if len(lengths) > 1 else "/s" if lengths == {1.0} else f"per {lengths.pop():g} s"
    replies = _often(
        (f"{phase} {code}", f"replies.{phase}.{code}", counts)
        for run in runs
        if run["timeline"]
        for phase, codes in run["timeline"]["replies"].items()
        for code, counts in codes.items()
        if isRefusal(code)
    )
    errors = _often(
        (kind, f"errors.{kind}", counts)
        for run in runs
        if run["timeline"]
        for kind, counts in run["timeline"]["errors"].items()
    )
    yield Chart("replies", "Refusing replies", "bars", "timeline", unit, replies)
    yield Chart("errors", "Errors", "bars", "timeline", unit, errors)


def isRefusal(code: str) -> bool:
    """
    Does a reply with this code refuse what was asked?
    """
    return code[:1] in ("4", "5")


def _often(those: Iterator[tuple[str, str, Sequence[int]]]) -> tuple[Line, ...]:
    """
    The lines of those that came most often.
    """
    totals: dict[tuple[str, str], int] = {}
    for label, column, counts in those:
        totals[label, column] = totals.get((label, column), 0) + sum(counts)
    most = sorted(totals, key=lambda key: -totals[key])[:MOST_KINDS]
    return tuple(Line(*key, number, number % 2 == 1) for number, key in enumerate(most) if totals[key])


def watchedCharts(names: Sequence[str]) -> Iterator[Chart]:
    """
    Those of what was watched: what has the same unit stands together.

    @param names: in the order of their columns.
    """
    units: dict[str, list[Line]] = {}
    for number, name in enumerate(names):
        lines = units.setdefault(unitOf(name), [])
        place = len(lines) % MOST_KINDS
        lines.append(Line(name, f"watched{number}", place, place % 2 == 1))
    for unit, lines in units.items():
        for begin in range(0, len(lines), MOST_KINDS):
            some = tuple(lines[begin : begin + MOST_KINDS])
            title = some[0].label if len(some) == 1 else "Watched"
            yield Chart(some[0].column, title, "lines", "series", unit, some)
