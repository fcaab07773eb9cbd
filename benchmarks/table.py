"""
The results, for people and for programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.cases import Case
from benchmarks.figures import MEASURES, Spread, memory, rate, ratios, serverMemory, spread
from benchmarks.running import Entrant

_HEADER = ("contender", "min", "median", "max", "messages/s", "peak MiB", "ratio (min-max)")
_WIDTHS = (14, 9, 9, 9, 12, 10, 22)


class Result:
    """
    What became of one contender in one case.

    @ivar value: what the case measures.
    @ivar rate: messages in a second; L{None} if the case has no small run.
    @ivar peak: MiB.
    @ivar ratio: the value divided by that of the one it is compared with; L{None} for that one itself.
    @ivar met: whether it reached the bar; L{None} if there is none for it, or no figure.
    """

    def __init__(self, case: Case, entrant: Entrant, reference: Entrant | None) -> None:
        """
        @param reference: the one to compare with.
        """
        measure = MEASURES[case.measure]
        values = [measure.value(pair) for pair in entrant.pairs]
        self.entrant = entrant
        self.value = spread(values)
        self.rate = spread(map(rate, entrant.pairs))
        self.peak = spread(map(serverMemory if measure.ofServer else memory, entrant.pairs))
        self.ratios: list[float | None] = []
        if reference is not None and reference is not entrant:
            self.ratios = ratios(values, [measure.value(pair) for pair in reference.pairs])
        self.ratio = spread(self.ratios)
        self.met = None
        if case.bar is not None and entrant.name == case.contenders[0]:
            self.met = case.bar.met(measure, self.value, self.ratio)


def results(case: Case, entrants: Sequence[Entrant]) -> list[Result]:
    """
    The results of a case, in its order.
    """
    reference = next((entrant for entrant in entrants if entrant.name == case.contenders[1]), None)
    return [Result(case, entrant, reference) for entrant in entrants]


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}"


def _ratio(ratio: Spread | None) -> str:
    return "" if ratio is None else f"{ratio.median:.2f} ({ratio.min:.2f}-{ratio.max:.2f})"


def _line(cells: Sequence[str]) -> str:
    first, *others = (
        cell.rjust(width) if place else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(cells, _WIDTHS, strict=True))
    )
    return f"  {first}{''.join(others)}".rstrip()


def render(case: Case, found: Sequence[Result]) -> str:
    """
    A case as lines of text.
    """
    title = f"{case.name}: {case.title}, {MEASURES[case.measure].unit}"
    if case.bar is not None:
        form = ".0f" if case.bar.absolute else ".2f"
        title += f"; must {case.bar.must:{form}}, aim {case.bar.aim:{form}}"
    lines = [title, _line(_HEADER)]
    for result in found:
        entrant = result.entrant
        if entrant.note is not None:
            lines.append(f"  {entrant.name.ljust(_WIDTHS[0])}{entrant.note}")
            continue
        value = result.value
        numbers = (value.min, value.median, value.max) if value else (None, None, None)
        line = _line(
            (
                entrant.name,
                *map(_number, numbers),
                _number(result.rate.median if result.rate else None),
                _number(result.peak.median if result.peak else None),
                _ratio(result.ratio),
            )
        )
        if result.met is not None:
            line += "  met" if result.met else "  MISSED"
        lines.append(line)
        open_ = [pair.large.connections for pair in entrant.pairs if pair.large.connections is not None]
        if open_ and min(open_) < case.load.sessions:
            lines.append(f"  {'':{_WIDTHS[0]}}(in one run no more than {min(open_)} connections were open at once)")
    return "\n".join(lines) + "\n"


def raw(case: Case, found: Sequence[Result]) -> dict[str, Any]:
    """
    A case with all its figures, fit for JSON.
    """
    return {
        "name": case.name,
        "title": case.title,
        "measure": case.measure,
        "unit": MEASURES[case.measure].unit,
        "bar": case.bar and asdict(case.bar),
        "contenders": [
            {
                "name": result.entrant.name,
                "does": result.entrant.does,
                "note": result.entrant.note,
                "value": result.value and asdict(result.value),
                "rate": result.rate and asdict(result.rate),
                "peak": result.peak and asdict(result.peak),
                "ratio": result.ratio and asdict(result.ratio),
                "ratios": result.ratios,
                "met": result.met,
                "pairs": [asdict(pair) for pair in result.entrant.pairs],
            }
            for result in found
        ],
    }
