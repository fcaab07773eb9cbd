"""
The names of what is watched beside a run.
"""

from __future__ import annotations

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
