"""
What is watched beside a run: the names of figures, and which numbers are any.
"""

from __future__ import annotations

from collections.abc import Mapping

#: A number beyond these is no figure, nor is it in a report: what is calculated from it is no number any more.
LARGEST, SMALLEST = 2.0**63, 1e-200

_UNITS = {"rss": "B", "memory": "B", "cpu": "cores"}


def unitOf(name: str) -> str:
    """
    The unit of a figure by its name, for a picture of it: C{"B"}, C{"cores"}, C{"s"}, or empty for a number of things.
    """
    _, blank, what = name.rpartition(" ")
    if blank and what in _UNITS:
        return _UNITS[what]
    metric = name.partition("{")[0].removesuffix("_total")
    return "B" if metric.endswith("_bytes") else "s" if metric.endswith("_seconds") else ""


def figure(number: float) -> float | None:
    """
    A number as a figure; C{None} if it is none that a report may have.
    """
    if not abs(number) <= LARGEST:
        return None
    return number if abs(number) >= SMALLEST else 0


def figuresIn(numbers: Mapping[str, float]) -> dict[str, float]:
    """
    Those of these numbers that are figures.
    """
    return {name: known for name, number in numbers.items() if (known := figure(number)) is not None}
