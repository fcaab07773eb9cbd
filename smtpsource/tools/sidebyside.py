"""
Two runs side by side as text, for people.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from math import isinf
from typing import Any

from smtpsource.measure.summary import Summary
from smtpsource.phases import NAMES
from smtpsource.report.judgement import verdictOf
from smtpsource.report.page import Change, Line, Page
from smtpsource.report.words import duration
from smtpsource.tools.comparison import JUDGED, Figure, figures, relative
from smtpsource.tools.noise import LEVEL


def render(
    first: Summary,
    second: Summary,
    names: Sequence[str],
    unwanted: Sequence[tuple[str, bool, str]] = (),
    page: Page | None = None,
) -> str:
    """
    What two runs have come to.

    @param names: what to call them.
    @param unwanted: changes that must not be, whether they are, and what there is.
    @param page: where it is shown; C{None} is 80 columns, without colors.
    """
    page = page or Page()
    return page.lay([*_failures(unwanted), *_lines(first, second, names, page.width)])


def _failures(unwanted: Sequence[tuple[str, bool, str]]) -> Iterator[Line | str]:
    for text, isSo, actual in unwanted:
        yield Line(f"{'FAIL' if isSo else 'pass':<13}{text}: {actual}", "bad" if isSo else "good")
    if unwanted:
        yield ""


def _lines(first: Summary, second: Summary, names: Sequence[str], width: int) -> Iterator[Line | str]:
    for letter, run, name in zip("AB", (first, second), names, strict=True):
        yield Line(f"{letter}  {name}: {run.started}, {run.elapsed:.3f} s", "", 3)
        yield Line(f"   {shlex.join(run.command)}", "", 3)
        if run.ended != "done":
            yield "   it has not come to its end"
        if run.judgement is not None:
            text, style = verdictOf(run.judgement)
            yield Line(f"   ledger {text}", style, 3)
        for missing in run.incomplete:
            yield Line(f"   INCOMPLETE: {missing}", "bad", 3)
        for reason in run.limits:
            yield Line(f"   LIMITED BY the generator, not the server: {reason}", "bad", 3)
        for reason in run.disturbances:
            yield Line(f"   DISTURBED by its machine, not the server: {reason}", "doubtful", 3)
    for difference in differences(first, second):
        yield Line(f"!  {difference}", "doubtful", 3)
    yield ""
    yield f"{'':<17}{'A':>12}{'B':>12}{'change':>10}  going by each second"
    for name, a, b, change, said, _ in changes(first, second):
        yield f"{name:<17}{a:>12}{b:>12}{change:>10}  {said}".rstrip()
    yield from _latencies(first, second, width)


def changes(first: Summary, second: Summary) -> Iterator[Change]:
    """
    What two runs have come to, in words.
    """
    for figure in figures(first, second):
        a, b = (
            _shown(figure.kind, value, isJudged=run.judgement is not None and figure.name in JUDGED)
            for run, value in ((first, figure.first), (second, figure.second))
        )
        isMore = bool(figure.perSecond and figure.change and figure.chance is not None and figure.chance < LEVEL)
        yield Change(_LABELS.get(figure.name, figure.name), a, b, _changed(figure.change), _verdict(figure), isMore)


def differences(first: Summary, second: Summary, names: Sequence[str] = "AB") -> Iterator[str]:
    """
    What is different of what they ran on.

    @param names: what to call them.
    """
    for what, a, b in _differences(first.environment, second.environment):
        yield f"not the same {what}: {a} in {names[0]}, {b} in {names[1]}"


_LABELS = {"asked": "rate asked", "found": "rate found", "cpu": "CPU for a message"}


def _shown(kind: str, value: float | None, *, isJudged: bool = False) -> str:
    """
    @param isJudged: if there is no value, the ledgers have not told it yet.
    """
    if value is None:
        return "not known" if isJudged else "-"
    if kind == "time":
        return duration(value)
    if kind == "rate":
        return f"{value:.1f}/s"
    return f"{value:.3%}" if kind == "share" else f"{value:.0f}"


def _changed(change: float | None) -> str:
    if change is None:
        return ""
    if isinf(change):
        return "from 0"
    if not change:
        return "same"
    if abs(change) < 0.0005:
        return "0.0%"
    if change < 9.995:
        return f"{change:+.1%}" if change < 0.9995 else f"{change:+.0%}"
    return f"x {change + 1:.0f}" if change < 9999 else ">x9999"


def _verdict(figure: Figure) -> str:
    """
    What the values of each second say of a difference.
    """
    if not figure.perSecond or not figure.change:
        return ""
    if figure.chance is None:
        return figure.untold
    if figure.chance >= LEVEL:
        return f"may be noise (p = {figure.chance:.2f})"
    return f"more than noise (p {'< 0.001' if figure.chance < 0.001 else f'= {figure.chance:.3f}'})"


def _latencies(first: Summary, second: Summary, width: int) -> Iterator[str]:
    """
    Where there is no room for all percentiles, there is a second table for the others.
    """
    phases = [name for name in NAMES if name in first.latency or name in second.latency]
    if not phases:
        return
    columns = [("p50", "p50"), ("p95", "p95"), ("p99", "p99"), ("p99.9", "p999")]
    room = max(1, (width - 11) // 23)
    for begin in range(0, len(columns), room):
        part = columns[begin : begin + room]
        yield ""
        yield (f"{'':<11}" + "".join(f"{heading:^23}" for heading, _ in part)).rstrip()
        yield f"{'latency':<11}" + f"{'A':>8}{'B':>8}{'change':>7}" * len(part)
        for phase in phases:
            line = f"{phase:<11}"
            for _, attribute in part:
                a, b = (getattr(run.latency.get(phase), attribute, None) for run in (first, second))
                change = None if a is None or b is None else relative(a, b)
                line += f"{_shown('time', a):>8}{_shown('time', b):>8}{_changed(change):>7}"
            yield line.rstrip()


def _differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """
    What is different of what they ran on.
    """
    for name, of in _COMPARED:
        a, b = of(first), of(second)
        if a is not None and b is not None and a != b:
            yield name, str(a), str(b)


def _workers(environment: Mapping[str, Any]) -> str:
    """
    How many processes have carried the load, in each run if there were several.
    """
    return ", ".join(str(len(one.get("workers") or (1,))) for one in environment.get("runs", [environment]))


def _version(of: str) -> tuple[str, Any]:
    return f"version of {of}", lambda environment: environment.get("versions", {}).get(of)


_COMPARED: tuple[tuple[str, Any], ...] = (
    ("host", lambda environment: environment.get("host")),
    ("system", lambda environment: environment.get("system")),
    ("number of processors", lambda environment: environment.get("processors", {}).get("usable")),
    ("number of workers", _workers),
    ("reactor", lambda environment: environment.get("reactor")),
    *map(_version, ("smtpsource", "python", "twisted", "openssl")),
)
