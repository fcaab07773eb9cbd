"""
The timeline of a run, as a page has it: with fewer steps, and of kinds of errors and replies with those that matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import nlargest
from typing import Any, TypeVar

from smtpsource.phases import NAMES
from smtpsource.printable import printable
from smtpsource.report.html.charts import MOST_KINDS, isRefusal
from smtpsource.report.html.digits import rounded, timesOf

#: The most steps of a page.
STEPS = 360

_Kind = TypeVar("_Kind")


def timelineOf(table: Mapping[str, Any], steps: int = STEPS) -> dict[str, Any]:
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


def often(table: Mapping[str, Any], most: int = MOST_KINDS) -> dict[str, Any]:
    """
    A timeline with those errors and refusing replies only that came most often, as there may be very many.

    @param most: how many of each.
    """
    replies: dict[str, dict[str, Sequence[int]]] = {}
    refusing = (
        ((phase, code), counts)
        for phase, codes in table["replies"].items()
        for code, counts in codes.items()
        if isRefusal(code)
    )
    for (phase, code), counts in _most(refusing, most):
        replies.setdefault(phase, {})[code] = counts
    return {**table, "replies": replies, "errors": dict(_most(table["errors"].items(), most))}


def _most(those: Iterable[tuple[_Kind, Sequence[int]]], most: int) -> list[tuple[_Kind, Sequence[int]]]:
    return nlargest(most, those, key=lambda kind: sum(kind[1]))


def _worst(values: Sequence[float | None]) -> float | None:
    return rounded(max((value for value in values if value is not None), default=None))


def _heat(steps: Sequence[Sequence[int]]) -> list[int]:
    if len(steps) == 1:
        return list(steps[0])
    rows: dict[int, int] = {}
    for step in steps:
        for row, count in zip(step[::2], step[1::2], strict=False):
            rows[row] = rows.get(row, 0) + count
    return [number for pair in sorted(rows.items()) for number in pair]
