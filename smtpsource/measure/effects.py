"""
What has come of a run after its marks: how deep each has cut, and how long it took until the run was as before.

What is usual is the median of the samples of the last minute before a mark; those in which the run had not got over
an earlier mark are left out, if there are others. The spread is the median of the deviations, made comparable to a
standard deviation. A sample is as before if two things are so. Its rate is not below what is usual by more than three
times the spread or a tenth, whichever is more, and not by more than a half; or it is what was asked for. Its p99 is
not above what is usual by more than three times the spread, a half or a millisecond, whichever is most. To be better
than before is to be as before.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import NamedTuple

from smtpsource.measure.marks import Effect, Mark
from smtpsource.measure.median import medianOf
from smtpsource.measure.series import Sample

#: The seconds before a mark that say what is usual.
BEFORE = 60.0

#: What begins so many seconds after a mark, or after the end of its command, has to do with it.
REACH = 10.0

#: The run is as before after so many samples in a row that are; what is usual is known from as many.
IN_A_ROW = 3

#: For no longer than so many seconds it is looked for.
LONGEST = 900.0

#: So many marks have effects: nobody looks at more.
MOST = 1000

#: The samples of a load are of one length, or of two while those of a long run are joined. The last is what is left of
#: it: one that is shorter than this part of the others says little.
_LEAST_PART = 0.4

#: So many samples say how long they are.
_ENOUGH = 100

_time = attrgetter("time")


def withEffects(
    marks: Sequence[Mark], samples: Sequence[Sample], until: float, isSearch: bool = False
) -> Iterator[Mark]:
    """
    Marks with their effects, one after the other. Each takes as long, whatever the number of marks: some 50
    microseconds, or some hundred if the run was not as before for long; of hours of packed samples, a millisecond.

    @param marks: in order.
    @param samples: all of the run; they stay as they are until this is at its end.
    @param until: when the load was over, in seconds of the run.
    @param isSearch: does the run look for a rate? Then each of its steps has another, and nothing is usual.
    """
    looks = _Looks(samples, bisect_right(samples, until + 1e-3, key=_time), [mark.at for mark in marks], isSearch)
    for mark in marks[:MOST]:
        yield replace(mark, effect=looks.effect(mark))
    yield from marks[MOST:]


class _Usual(NamedTuple):
    """
    What was usual before a mark.

    @ivar rate: the median; C{None} if it is not known.
    @ivar least: a rate below this is not as before.
    @ivar p99: the median; C{None} if it is not known.
    @ivar most: a p99 above this is not as before.
    """

    rate: float | None
    least: float
    p99: float | None
    most: float | None

    def has(self, sample: Sample) -> bool:
        """
        Is a sample as those before?
        """
        isAsked = bool(sample.asked) and sample.accepted >= 0.9 * (sample.asked or 0)
        isSlow = self.most is not None and sample.p99 is not None and sample.p99 > self.most
        return not isSlow and (_rate(sample) >= self.least or isAsked)


class _Looks:
    """
    Looks for the effects of marks, one after the other.
    """

    def __init__(self, samples: Sequence[Sample], end: int, moments: Sequence[float], isSearch: bool) -> None:
        """
        @param end: so many of the samples count.
        @param moments: when the marks are.
        @param isSearch: see L{withEffects}.
        """
        self._samples, self._end = samples, end
        lengths = [sample.seconds for sample in samples[: end : end // _ENOUGH + 1]]
        self._least = _LEAST_PART * medianOf(lengths) if lengths else 0.0
        self._moments = moments
        self._isSearch = isSearch
        # The times in which the run had not got over earlier marks, without those that are too long ago to matter; with
        # infinity it never had.
        self._disturbed: list[tuple[float, float]] = []

    def effect(self, mark: Mark) -> Effect | None:
        """
        @return: C{None} if nothing is known of the time after it.
        """
        near = self._after(mark.at, mark.at + REACH)
        if mark.at < 0 or not near:
            return None
        usual = _usualIn(() if self._isSearch else self._before(mark.at))
        back, window = (None, near) if usual.rate is None else self._back(mark, usual)
        self._disturb(mark.at, float("inf") if back is None else mark.at + back)
        return Effect(
            lowestRate=min(map(_rate, window)),
            rateBefore=usual.rate,
            highestP99=max((sample.p99 for sample in window if sample.p99 is not None), default=None),
            p99Before=usual.p99,
            failed=sum(sample.failed + sample.rejected for sample in window),
            back=back,
        )

    def _disturb(self, since: float, until: float) -> None:
        """
        In this time the run had not got over a mark, which is later than those before.
        """
        if self._disturbed and self._disturbed[-1][1] >= since:
            earlier, end = self._disturbed.pop()
            since, until = earlier, max(end, until)
        self._disturbed.append((since, until))

    def _before(self, at: float) -> list[Sample]:
        begin, end = (bisect_right(self._samples, time, hi=self._end, key=_time) for time in (at - BEFORE, at))
        samples = self._usable(begin, end)
        near = self._disturbed = [one for one in self._disturbed if one[1] > at - BEFORE]
        calm = [
            sample
            for sample in samples
            if not any(since < sample.time and _begin(sample) < until for since, until in near)
        ]
        return calm if len(calm) >= IN_A_ROW else samples

    def _after(self, at: float, until: float) -> list[Sample]:
        """
        The samples that end after one time and begin before the other.
        """
        first = bisect_right(self._samples, at, hi=self._end, key=_time)
        return self._usable(first, bisect_left(self._samples, until, first, self._end, key=_begin))

    def _usable(self, first: int, end: int) -> list[Sample]:
        return [sample for sample in self._samples[first:end] if sample.seconds > self._least]

    def _back(self, mark: Mark, usual: _Usual) -> tuple[float | None, list[Sample]]:
        """
        @return: the seconds until the run was as before, and the samples up to then.
        """
        longest = mark.at + LONGEST
        near = self._after(mark.at, min(mark.at + (mark.seconds or 0.0) + REACH, longest))
        begun = next((number for number, sample in enumerate(near) if not usual.has(sample)), None)
        if begun is None:
            return (0.0 if len(near) >= IN_A_ROW else None), near
        after = self._after(mark.at, longest)
        bad = begun
        for number in range(begun + 1, len(after)):
            if not usual.has(after[number]):
                bad = number
            elif number - bad == IN_A_ROW:
                return after[bad].time - mark.at, after[: bad + 1]
        # Not as before: a mark that comes much later has its own effect.
        later = bisect_right(self._moments, mark.at + BEFORE)
        until = self._moments[later] if later < len(self._moments) else longest
        return None, self._after(mark.at, min(until, longest))


def _usualIn(samples: Sequence[Sample]) -> _Usual:
    if len(samples) < IN_A_ROW:
        return _Usual(None, 0.0, None, None)
    rate, spread = _middle([_rate(sample) for sample in samples])
    least = max(rate / 2, rate - max(3 * spread, 0.1 * rate))
    latencies = [sample.p99 for sample in samples if sample.p99 is not None]
    if not latencies:
        return _Usual(rate, least, None, None)
    p99, spread = _middle(latencies)
    return _Usual(rate, least, p99, p99 + max(3 * spread, 0.5 * p99, 0.001))


def _middle(numbers: Sequence[float]) -> tuple[float, float]:
    """
    Their median, and their spread, which a few that are far off don't change: of a normal distribution the standard
    deviation.
    """
    median = medianOf(numbers)
    return median, 1.4826 * medianOf(abs(number - median) for number in numbers)


def _begin(sample: Sample) -> float:
    return sample.time - sample.seconds


def _rate(sample: Sample) -> float:
    return sample.accepted / sample.seconds if sample.seconds else 0.0
