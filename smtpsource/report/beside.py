"""
What went on beside a run, as text: its marks, with what came of them, and what was watched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from smtpsource.measure.marks import Mark
from smtpsource.measure.series import Sample
from smtpsource.measure.watched import unitOf
from smtpsource.report.page import Line
from smtpsource.report.words import duration

#: The most marks that are shown; the report has all of them.
MOST = 24

#: Where what a mark is of begins.
_INDENT = 55


def marksOf(marks: Sequence[Mark]) -> Iterator[Line | str]:
    """
    A table of them.
    """
    if not marks:
        return
    yield ""
    yield f"{'marks':<9}{'at':>10}{'status':>8}{'rate':>7}{'p99':>10}{'back':>9}"
    for mark in marks[:MOST]:
        yield _markOf(mark)
    if len(marks) > MOST:
        yield f"{'':<9}and {len(marks) - MOST} more: see the report"
    if any(mark.effect is not None for mark in marks):
        yield Line("rate, p99: the worst second until the run was as before; back: how long that took", "aside", 0)


def _markOf(mark: Mark) -> Line:
    effect = mark.effect
    status = "-" if mark.status is None else str(mark.status)
    rate = p99 = back = "-"
    if effect is not None:
        if effect.rateBefore:
            rate = f"{100 * (effect.lowestRate / effect.rateBefore - 1):+.0f}%"
        if effect.highestP99 is not None:
            p99 = duration(effect.highestP99)
        if effect.back is not None:
            back = f"{effect.back:.0f} s"
        elif effect.rateBefore is not None:
            back = "not yet"
    text = f"{mark.kind:<9}{f'{mark.at:.1f} s':>10}{status:>8}{rate:>7}{p99:>10}{back:>9}  {mark.text}"
    return Line(text, "doubtful" if mark.status else "", _INDENT)


def watchedOf(samples: Sequence[Sample]) -> Iterator[Line | str]:
    """
    A table of what was watched.
    """
    values: dict[str, list[float]] = {}
    for sample in samples:
        for name, value in (sample.watched or {}).items():
            values.setdefault(name, []).append(value)
    if not values:
        return
    width = max(11, *map(len, values)) + 2
    yield ""
    yield f"{'watched':<{width}}{'first':>11}{'last':>11}{'highest':>11}"
    for name, those in values.items():
        unit = unitOf(name)
        figures = "".join(f"{_inWords(value, unit):>11}" for value in (those[0], those[-1], max(those)))
        yield Line(f"{name:<{width}}{figures}", "", width)


def _inWords(value: float, unit: str) -> str:
    if unit == "s":
        return duration(value) if value >= 0 else f"{value:g} s"
    if unit == "cores":
        return f"{value:.2f}"
    if unit != "B":
        return f"{value:.6g}"
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < 1000:
            return f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
