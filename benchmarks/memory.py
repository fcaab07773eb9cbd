"""
How the memory of a generator grows in a run of hours: C{python -m benchmarks.memory}, and, if there are to be others
than 10, how many hours.

No time passes: seconds are made up, one after the other, in which each phase has 500 latencies, six figures are
watched, and there is a mark every five minutes. What a run keeps of them is kept as in a run, whose frames are cut from
a recorder. In the end the marks get their effects, and the series is looked through. Exit status 1: after the first
minute it grows by more than 1 MB an hour.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from random import Random

import numpy as np

from smtpsource.ledger.clocks import indexesOf
from smtpsource.measure.effects import withEffects
from smtpsource.measure.frame import Frame, Frames
from smtpsource.measure.marks import Mark
from smtpsource.measure.minutes import Minutes, usual
from smtpsource.measure.recorder import Recorder
from smtpsource.measure.series import Series
from smtpsource.measure.snapshot import take
from smtpsource.measure.timeline import Timeline
from smtpsource.phases import NAMES

#: By how many MB it may grow in an hour.
_MOST = 1.0

_LATENCIES = 500
_RATE = 5000
_EVERY = 300
_WATCHED = [f"server {name}" for name in ("rss", "cpu", "descriptors", "threads", "queue", "backlog")]


class _Generator:
    """
    What a generator keeps of a run.
    """

    def __init__(self) -> None:
        self._draw = Random(1)
        draws = np.random.default_rng(1)
        self._pools = [
            [self._buckets(draws, 200 * 1.2**phase * self._draw.uniform(0.8, 1.2)) for _ in range(30)]
            for phase in range(len(NAMES))
        ]
        self._recorder = Recorder()
        self._frames = Frames(self._recorder)
        self.series, self.timeline = Series(), Timeline()
        self.minutes = Minutes(usual("mail", True))
        self.marks: list[Mark] = []

    def _buckets(self, draws: np.random.Generator, median: float) -> dict[int, int]:
        found = np.unique(indexesOf(draws.lognormal(np.log(median), 0.3, _LATENCIES)), return_counts=True)
        return dict(zip(*(each.tolist() for each in found), strict=True))

    def second(self, number: int) -> float:
        """
        A second passes.

        @return: the CPU seconds that it took to keep it.
        """
        frame = self._frame(number)
        before = time.thread_time()
        self.series.add(frame)
        self.timeline.add(frame)
        self.minutes.add(frame)
        if number % _EVERY == 0:
            self.marks.append(Mark(frame.at, "systemctl restart postfix", "command"))
        return time.thread_time() - before

    def _frame(self, number: int) -> Frame:
        recorder, draw = self._recorder, self._draw
        for phase, (latencies, pool) in enumerate(zip(recorder.latencies, self._pools, strict=True)):
            latencies.add(draw.choice(pool))
            recorder.reply(phase, 0.001, b"250", b"250 2.0.0 Ok: queued as 3F4A512C0D")
            if draw.random() < 0.1:
                recorder.reply(phase, 0.001, b"451", b"451 4.3.2 Please try again later")
        accepted = draw.randrange(_RATE - 100, _RATE)
        recorder.started += _RATE
        recorder.accepted += accepted
        recorder.rejected += _RATE - accepted
        recorder.bytesSent += accepted * 1203
        recorder.bytesReceived += accepted * 311
        return self._frames.cut(
            take(recorder, number + draw.random() / 1000, float(_RATE * number)),
            cpu=(draw.random() / 2, draw.random() / 4),
            lag=draw.random() / 1000,
            waited=draw.random() / 10,
            gauges={"sessions": 20, "inFlight": 20},
            watched={name: draw.random() * 1e9 for name in _WATCHED},
        )


def _resident() -> float:
    """
    @return: how many MB this process has.
    """
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def main(arguments: list[str]) -> int:
    """
    Measure, and say what it was.

    @return: 1 if it grows by more than it may.
    """
    hours = float(arguments[0]) if arguments else 10.0
    seconds = round(hours * 3600)
    generator, spent, most = _Generator(), 0.0, 0.0
    first = 0.0
    for number in range(1, seconds + 1):
        took = generator.second(number)
        spent, most = spent + took, max(most, took)
        if number == 60:
            first = _resident()
            print(f"after a minute: {first:.1f} MB")
        if number in (720, 1800) or number % 3600 == 0:
            print(f"after {number / 3600:.1f} hours: {_resident() - first:+.1f} MB", flush=True)
    perHour = (_resident() - first) / (seconds - 60) * 3600
    print(f"it grows by {perHour:.2f} MB an hour; must {_MOST:g}")
    print(f"a second takes {spent / seconds * 1e3:.2f} ms of CPU to keep, and {most * 1e3:.1f} ms at the most")
    before = time.thread_time()
    samples = generator.series.samples
    effects = sum(mark.effect is not None for mark in withEffects(generator.marks, samples, float(seconds)))
    assert effects >= len(generator.marks) - 1
    assert sum(sample.started for sample in samples) == _RATE * seconds
    took = time.thread_time() - before
    print(f"in the end, {effects} marks and all samples take {took * 1e3:.0f} ms: {_resident() - first:+.1f} MB")
    return int(perHour > _MOST)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
