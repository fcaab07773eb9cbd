"""
The timelines of runs that went on side by side, as one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from statistics import median
from typing import Any

from smtpsource.measure.counters import totals, worst
from smtpsource.measure.step import PERCENTILES
from smtpsource.phases import NAMES

#: A timeline, as L{smtpsource.measure.timeline.tableOf} gives it.
Table = Mapping[str, Any]

#: Steps of the same time: of which timeline, and which one there.
_Beside = Sequence[tuple[Table, int]]


def mergedTimelines(runs: Sequence[tuple[float, Table]]) -> dict[str, Any]:
    """
    Steps of several runs stand beside each other as samples do: see L{smtpsource.tools.merging.mergedSeries}. What is
    counted is added, percentiles are the highest that any of them had, and what was watched is that of the last run
    that knows it.

    @param runs: when each one started, in seconds on a common clock, in order; and its timeline.
    """
    lengths = [median(_lengths(table)) for _, table in runs if table["time"]]
    width = max(1, *map(round, lengths)) if lengths else 1
    places: dict[int, list[tuple[Table, int]]] = {}
    ends: dict[int, float] = {}
    for start, table in runs:
        shift = round(start - runs[0][0])
        for number, (time, length) in enumerate(zip(table["time"], _lengths(table), strict=True)):
            end = shift + time
            place = ceil((end - length / 4) / width)
            places.setdefault(place, []).append((table, number))
            ends[place] = max(end, ends.get(place, 0.0))
    beside = [places[place] for place in sorted(places, key=lambda place: (ends[place], place))]
    tables = [table for _, table in runs]

    def names(*path: str) -> list[str]:
        return sorted({name for table in tables for name in _found(table, path)})

    return {
        "time": sorted(ends.values()),
        "phases": {phase: _phase(beside, phase) for phase in sorted(names("phases"), key=_order)},
        "replies": {
            phase: {code: _column(beside, sum, "replies", phase, code) for code in names("replies", phase)}
            for phase in sorted(names("replies"), key=_order)
        },
        "errors": {kind: _column(beside, sum, "errors", kind) for kind in names("errors")},
        "watched": {name: _column(beside, _latest, "watched", name) for name in names("watched")},
    }


def _order(phase: str) -> tuple[int, str]:
    return NAMES.index(phase) if phase in NAMES else len(NAMES), phase


def _lengths(table: Table) -> list[float]:
    return [end - start for start, end in zip((0.0, *table["time"]), table["time"], strict=False)]


def _phase(beside: Sequence[_Beside], phase: str) -> dict[str, list[Any]]:
    return {
        "count": _column(beside, sum, "phases", phase, "count"),
        **{name: _column(beside, lambda cells: worst(*cells), "phases", phase, name) for name in PERCENTILES},
        "heat": _column(beside, _heat, "phases", phase, "heat"),
    }


def _column(beside: Sequence[_Beside], together: Callable[[list[Any]], Any], *path: str) -> list[Any]:
    """
    @param together: makes one of what there is at that place in each of the timelines.
    """
    return [together([column[at] for table, at in those if (column := _found(table, path))]) for those in beside]


def _found(table: Table, path: Sequence[str]) -> Any:
    inner: Any = table
    for name in path:
        inner = inner.get(name, {})
    return inner


def _heat(cells: Sequence[Sequence[int]]) -> list[int]:
    rows = totals(dict(zip(cell[::2], cell[1::2], strict=True)) for cell in cells)
    return [number for pair in sorted(rows.items()) for number in pair]


def _latest(cells: Sequence[Any]) -> Any:
    return next((cell for cell in reversed(cells) if cell is not None), None)
