"""
What went on beside a run, as text: its marks, with what came of them, and what was watched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from smtpsource.measure.marks import Mark
from smtpsource.measure.series import Sample
from smtpsource.measure.watched import unitOf
from smtpsource.report.page import Line
from smtpsource.report.words import amount, duration

#: The most marks that are shown; the report has all of them.
MOST = 24

#: Where the text of a mark begins, below its figures: it may be long.
_INDENT = 9

#: The longest figure; what is longer has less digits.
_LONGEST = 10


def marksOf(marks: Sequence[Mark]) -> Iterator[Line | str]:
    """
    A table of them.
    """
    if not marks:
        return
    yield ""
    yield f"{'marks':<9}{'at':>10}{'status':>8}{'rate':>7}{'p99':>10}{'back':>9}"
    for mark in marks[:MOST]:
        yield from _markOf(mark)
    if len(marks) > MOST:
        yield f"{'':<9}and {len(marks) - MOST} more: see the report"
    if any(mark.effect is not None for mark in marks):
        told = "rate, p99 of transactions: the worst second until the run was as before; back: how long that took"
        yield Line(told, "aside", 0)


def _markOf(mark: Mark) -> Iterator[Line]:
    status = "-" if mark.status is None else str(mark.status)
    rate, p99, back = effectOf(mark)
    figures = f"{mark.kind:<9}{f'{mark.at:.1f} s':>10}{status:>8}{rate:>7}{p99:>10}{back:>9}"
    style = "doubtful" if mark.status else ""
    yield Line(figures, style)
    yield Line(f"{'':<{_INDENT}}{mark.text}", style, _INDENT)


def effectOf(mark: Mark) -> tuple[str, str, str]:
    """
    By how much the rate fell after a mark, the highest p99, and how long it took until the run was as before: in words.
    """
    effect = mark.effect
    rate = p99 = back = "-"
    if effect is not None:
        if effect.rateBefore:
            percent = round(100 * (effect.lowestRate / effect.rateBefore - 1))
            rate = f"{percent:+}%" if percent else "0%"
        if effect.highestP99 is not None:
            p99 = duration(effect.highestP99)
        if effect.back is not None:
            back = f"{effect.back:.0f} s"
        elif effect.rateBefore is not None:
            back = "not yet"
    return rate, p99, back


def watchedOf(samples: Sequence[Sample]) -> Iterator[Line | str]:
    """
    A table of what was watched.
    """
    rows = list(figuresOf(sample.watched for sample in samples))
    if not rows:
        return
    width = max(11, *(len(name) for name, *_ in rows)) + 2
    yield ""
    wide = max(11, *(len(figure) + 1 for _, *figures in rows for figure in figures))
    yield f"{'watched':<{width}}{'first':>{wide}}{'last':>{wide}}{'highest':>{wide}}"
    for name, *figures in rows:
        yield Line(f"{name:<{width}}" + "".join(f"{figure:>{wide}}" for figure in figures), "", width)


def figuresOf(watched: Iterable[Mapping[str, float] | None]) -> Iterator[tuple[str, str, str, str]]:
    """
    Of each that was watched, its name, and what was first, last and highest, in words.

    @param watched: that of each second.
    """
    values: dict[str, list[float]] = {}
    for one in watched:
        for name, value in (one or {}).items():
            values.setdefault(name, []).append(value)
    for name, those in values.items():
        unit = unitOf(name)
        yield name, _inWords(those[0], unit), _inWords(those[-1], unit), _inWords(max(those), unit)


def _inWords(value: float, unit: str) -> str:
    text = _usually(value, unit)
    return text if len(text) <= _LONGEST else f"{value:.3g} {unit}".rstrip()


def _usually(value: float, unit: str) -> str:
    if unit == "s":
        return duration(value) if value >= 0 else f"{value:g} s"
    if unit == "cores":
        return f"{value:.2f}"
    if unit != "B":
        return f"{value:.6g}"
    return amount(value)
