"""
Reports of runs that take long, made in no time.
"""

from __future__ import annotations

import random

from results import example, second

from smtpsource.measure.counters import Counters
from smtpsource.measure.frame import Frame
from smtpsource.measure.histogram import LatencyRecorder
from smtpsource.measure.step import stepOf
from smtpsource.measure.timeline import LIMIT, tableOf
from smtpsource.phases import NAMES
from smtpsource.report.document import documentOf


def longRun(seconds, phases=NAMES, **values):
    """
    The report of a run in which all goes up and down.

    @param seconds: how long it took.
    @param phases: those that have happened, all of them in each second.
    @param values: other fields of the summary.
    """
    draw = random.Random(seconds)
    length = 1
    while seconds / length > LIMIT:
        length *= 2
    steps = [_step(draw, number, length, phases) for number in range(1, seconds // length + 1)]
    totals = [LatencyRecorder() for _ in NAMES]
    for step in steps:
        for total, buckets in zip(totals, step.buckets, strict=True):
            total.add(buckets)
    latency = {name: found for name, of in zip(NAMES, totals, strict=True) if (found := of.summarize()) is not None}
    usual = {
        "elapsed": float(seconds),
        "latency": latency,
        "buckets": {name: of.counts for name, of in zip(NAMES, totals, strict=True) if name in latency},
        "series": tuple(_second(draw, number) for number in range(1, seconds + 1)),
        "timeline": tableOf([stepOf(step) for step in steps]),
        "askedRate": 5000.0,
        "asked": 5000.0 * seconds,
    }
    return documentOf(example(**{**usual, **values}))


def _step(draw, number, length, phases):
    return Frame(
        number=number,
        epoch=0,
        at=number * length + draw.random() / 1000,
        seconds=float(length),
        counters=Counters(),
        buckets=[_buckets(draw, phase, length) if name in phases else {} for phase, name in enumerate(NAMES)],
        replies=[{"250": (100 * length, "250 ok"), "450": (draw.randrange(9), "450 no")} for _ in NAMES],
        errors={"timeout": (draw.randrange(3), "no reply")},
    )


def _buckets(draw, phase, length):
    """
    Some hundred latencies as servers have them: most of them near each other, some far away.
    """
    recorder = LatencyRecorder()
    usual = 2e-4 * 1.3**phase
    for _ in range(60):
        recorder.record(usual * draw.lognormvariate(0, 0.7), length * 5)
    for _ in range(3):
        recorder.record(usual * draw.paretovariate(0.8))
    return {index: count for index, count in enumerate(recorder.counts) if count}


def _second(draw, number):
    accepted = draw.randrange(4000, 5000)
    return second(
        number + draw.random() / 1000,
        asked=5000.0 + draw.random(),
        started=accepted + 20,
        accepted=accepted,
        rejected=draw.randrange(10),
        failed=draw.randrange(3),
        late=draw.randrange(100),
        dropped=draw.randrange(2),
        open=draw.randrange(90, 100),
        cpu=draw.random(),
        lag=draw.random() / 100,
        waited=draw.random() / 10,
        backlog=draw.randrange(10000),
        arrived=draw.randrange(4000, 5000),
    )
