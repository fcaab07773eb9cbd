"""
Curves of latencies by percentile.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from math import floor, log2, log10
from typing import Any

from smtpsource.measure.encoding import decode
from smtpsource.measure.histogram import percentiles
from smtpsource.phases import NAMES

#: Points for each part of the messages that is half as large as the one before.
_POINTS = 4


def curvesOf(document: Mapping[str, Any]) -> dict[str, list[list[float]]]:
    """
    By phase, percentiles and their latencies in seconds. The last one, 100, is the longest.

    @raise ValueError: a histogram is broken.
    """
    histograms = document.get("histograms", {})
    return {
        phase: curveOf(decode(histograms[phase])) if phase in histograms else _knownOf(figures)
        for phase, figures in document["latency"].items()
        if phase in NAMES
    }


def curveOf(counts: Sequence[int]) -> list[list[float]]:
    """
    Percentiles and their latencies in seconds; the last one, 100, is the longest.

    @param counts: buckets.
    """
    total = sum(counts)
    if not total:
        return []
    wanted = [100 * (1 - 2 ** (-number / _POINTS)) for number in range(floor(_POINTS * log2(total)) + 1)]
    found = percentiles(counts, [*wanted, 100])
    curve: list[list[float]] = []
    for percentile, latency in zip([*wanted, 100.0], found, strict=True):
        # Of several at one height the first and the last are enough.
        if len(curve) > 1 and curve[-1][1] == curve[-2][1] == latency:
            curve.pop()
        curve.append([_percentile(percentile), latency])
    return curve


def _percentile(percentile: float) -> float:
    rest = 100 - percentile
    return 100 if not rest else round(percentile, 2 - floor(log10(rest)))


def _knownOf(figures: Mapping[str, float | None]) -> list[list[float]]:
    """
    The points of a curve that a report without histograms has.
    """
    known = [(percentile, figures[name]) for percentile, name in percentilesIn(figures)]
    return [[percentile, latency] for percentile, latency in [*known, (100.0, figures["max"])] if latency is not None]


def percentilesIn(figures: Iterable[str]) -> list[tuple[float, str]]:
    """
    Those figures that are percentiles, in their order: which they are, and their names.
    """
    found = (name for name in figures if re.fullmatch(r"p[0-9]{1,3}(\.[0-9]+)?", name))
    return sorted((float(name[1:]), name) for name in found)
