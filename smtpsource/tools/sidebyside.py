"""
Two runs side by side as text, for people.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from math import isinf
from textwrap import wrap
from typing import Any

from smtpsource.measure.summary import Summary
from smtpsource.phases import NAMES
from smtpsource.printable import printable
from smtpsource.report.text import duration
from smtpsource.tools.comparison import Figure, figures, relative
from smtpsource.tools.noise import LEVEL

#: The longest line.
WIDTH = 100


def render(
    first: Summary, second: Summary, names: Sequence[str], unwanted: Sequence[tuple[str, bool, str]] = ()
) -> str:
    """
    What two runs have come to, in lines of up to 100 characters.

    @param names: what to call them.
    @param unwanted: changes that must not be, whether they are, and what there is.
    """
    lines = list(_lines(first, second, names))
    if unwanted:
        lines += ["", "fails if     what must not be, and what there was"]
        lines += [f"{'FAIL' if isSo else 'pass':<13}{text}: {actual}" for text, isSo, actual in unwanted]
    return "\n".join(map(printable, lines)) + "\n"


def _lines(first: Summary, second: Summary, names: Sequence[str]) -> Iterator[str]:
    for letter, run, name in zip("AB", (first, second), names, strict=True):
        yield _cut(f"{letter}  {name}: {run.started}, {run.elapsed:.3f} s")
        yield _cut(f"   {shlex.join(run.command)}")
        if run.ended != "done":
            yield "   it has not come to its end"
        reasons = [f"LIMITED BY the generator, not the server: {reason}" for reason in run.limits]
        reasons += [f"DISTURBED by its machine, not the server: {reason}" for reason in run.disturbances]
        for reason in reasons:
            yield from wrap(reason, WIDTH, initial_indent="   ", subsequent_indent="   ")
    for what, a, b in _differences(first.environment, second.environment):
        yield _cut(f"!  not the same {what}: {a} in A, {b} in B")
    yield ""
    yield f"{'':<20}{'A':>14}{'B':>14}{'change':>11}  going by each second"
    for figure in figures(first, second):
        label = _LABELS.get(figure.name, figure.name)
        values = "".join(f"{_shown(figure.kind, value):>14}" for value in (figure.first, figure.second))
        yield f"{label:<20}{values}{_changed(figure.change):>11}  {_verdict(figure)}".rstrip()
    yield from _latencies(first, second)


_LABELS = {"asked": "rate asked", "cpu": "CPU for a message"}


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."


def _shown(kind: str, value: float | None) -> str:
    if value is None:
        return "-"
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
    if change < 100:
        return f"{change:+.1%}"
    return f"x {change + 1:.0f}" if change < 9999 else "> x 9999"


def _verdict(figure: Figure) -> str:
    """
    What the values of each second say of a difference.
    """
    if not figure.perSecond or not figure.change:
        return ""
    if figure.chance is None:
        return "too few seconds to tell"
    if figure.chance >= LEVEL:
        return f"may be noise (p = {figure.chance:.2f})"
    return f"more than noise (p {'< 0.001' if figure.chance < 0.001 else f'= {figure.chance:.3f}'})"


def _latencies(first: Summary, second: Summary) -> Iterator[str]:
    phases = [name for name in NAMES if name in first.latency or name in second.latency]
    if not phases:
        return
    columns = (("p50", "p50"), ("p99", "p99"), ("p99.9", "p999"))
    yield ""
    yield (f"{'':<12}" + "".join(f"{heading:^29}" for heading, _ in columns)).rstrip()
    yield f"{'latency':<12}" + f"{'A':>10}{'B':>10}{'change':>9}" * len(columns)
    for phase in phases:
        line = f"{phase:<12}"
        for _, attribute in columns:
            a, b = (getattr(run.latency.get(phase), attribute, None) for run in (first, second))
            change = None if a is None or b is None else relative(a, b)
            line += f"{_shown('time', a):>10}{_shown('time', b):>10}{_changed(change):>9}"
        yield line.rstrip()


def _differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """
    What is different of what they ran on.
    """
    for name, of in _COMPARED:
        a, b = of(first), of(second)
        if a is not None and b is not None and a != b:
            yield name, str(a), str(b)


def _version(of: str) -> tuple[str, Any]:
    return f"version of {of}", lambda environment: environment.get("versions", {}).get(of)


_COMPARED: tuple[tuple[str, Any], ...] = (
    ("host", lambda environment: environment.get("host")),
    ("system", lambda environment: environment.get("system")),
    ("number of processors", lambda environment: environment.get("processors", {}).get("usable")),
    ("reactor", lambda environment: environment.get("reactor")),
    *map(_version, ("smtpsource", "python", "twisted", "openssl")),
)
