"""
What a figure was in each second of a run's load, to tell changes from ups and downs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from smtpsource.measure.series import Sample
from smtpsource.measure.summary import Summary

#: Times in a report are to the microsecond, and the sample of the load's end was taken a moment before that.
_ROUNDED = 0.01


class Column(NamedTuple):
    """
    A figure in the course of a run.

    @ivar values: those of its seconds, or steps; C{None} where there was none.
    @ivar length: how long a step is, in seconds, if the value of a longer one can't be compared; else 0.
    """

    values: Sequence[float | None]
    length: float = 0.0

    @property
    def isUnknown(self) -> bool:
        """
        Are there seconds, and a value for none of them?
        """
        return bool(self.values) and all(value is None for value in self.values)


class Course:
    """
    The whole seconds of a run: without the first one, in which it came to speed, those that are shorter than the
    others, such as the last, and those in which its server was waited for.
    """

    def __init__(self, run: Summary) -> None:
        self._run = run
        places = _whole([(sample.time, sample.seconds) for sample in run.series], self._end)
        self._samples = [run.series[place] for place in places]

    @property
    def _end(self) -> float:
        return float("inf") if self._run.judgement is None else self._run.elapsed + _ROUNDED

    def seconds(self, of: Callable[[Sample], float | None]) -> Column:
        """
        What the samples of the series say.
        """
        return Column([of(sample) for sample in self._samples])

    def steps(self, phase: str, name: str) -> Column:
        """
        What the steps of the timeline say of a phase's latencies.
        """
        timeline = self._run.timeline
        if timeline is None or phase not in timeline["phases"]:
            return Column([None])
        times = timeline["time"]
        lengths = [end - start for start, end in pairwise([0.0, *times])]
        values = timeline["phases"][phase][name]
        places = _whole(list(zip(times, lengths, strict=True)), self._end)
        return Column([values[place] for place in places], median(lengths))


def _whole(those: Sequence[tuple[float, float]], until: float) -> Sequence[int]:
    """
    Which ones are whole.

    @param those: of each, when it ended, and how long it was.
    """
    inLoad = [(place, seconds) for place, (time, seconds) in enumerate(those) if time <= until]
    if not inLoad:
        return []
    length = median(seconds for _, seconds in inLoad)
    return [place for place, seconds in inLoad[1:] if seconds > 0.9 * length]
