"""
Reports of runs that never were, for pages.
"""

from __future__ import annotations

import json

from results import EVERYTHING, example, second

from smtpsource.measure.marks import Mark
from smtpsource.measure.timeline import LIMIT
from smtpsource.report.document import documentOf


def report(seconds, name="response", marks=(), rows=0, **values):
    """
    @param seconds: how long it was.
    @param name: the phase that its timeline has besides C{connect}.
    @param marks: texts, a second after the other.
    @param rows: so many rows higher is its heat map.

    @return: the report of a run, as JSON has it.
    """
    samples = [
        second(time, asked=100.0, accepted=90 + time % 10, rejected=time % 7, p99=0.002 + time % 5 / 1000)
        for time in range(1, seconds + 1)
    ]
    noted = [Mark(float(number), text) for number, text in enumerate(marks, 1)]
    summary = example(**{**EVERYTHING, "elapsed": float(seconds), "series": tuple(samples), "marks": noted, **values})
    document = documentOf(summary)
    document["timeline"] = _timeline(seconds, name, rows)
    return json.loads(json.dumps(document))


def _timeline(seconds, name, rows):
    length = max(1, -(-seconds // LIMIT))
    times = [float(time) for time in range(length, seconds + 1, length)]
    return {
        "time": times,
        "phases": {name: _phase(times, 0.001, rows=rows), "connect": _phase(times[:1], 0.0002, len(times))},
        "replies": {"message": {"250": [90] * len(times), "451": [int(time) % 7 for time in times]}},
        "errors": {"timeout": [int(time) % 3 for time in times]},
        "watched": {},
    }


def _phase(times, seconds, count=None, rows=0):
    """
    It rises and falls; where there are fewer than C{count}, nothing came.
    """
    nothing = [None] * ((count or len(times)) - len(times))
    columns = {
        which: [round(seconds * times_ * (1 + int(time) % 9 / 10), 6) for time in times] + nothing
        for which, times_ in (("p50", 1), ("p95", 3), ("p99", 5), ("max", 20))
    }
    heat = [[24 + rows, 50 + int(time) % 20, 26 + rows, 30, 31 + rows, 1 + int(time) % 4] for time in times]
    counts = [sum(step[1::2]) for step in heat]
    return {
        "count": counts + [0] * len(nothing),
        **columns,
        "heat": heat + [[] for _ in nothing],
    }
