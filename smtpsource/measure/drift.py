"""
Drift: does a figure grow or fall in the course of a run, by how much, and may that be chance?

The slope is Theil and Sen's: the median of the slopes of all pairs of windows, which a few odd ones do not move.
Whether it is more than chance says the test of Mann and Kendall (M. G. Kendall, Rank Correlation Methods, 1975). That
test is for values that have nothing to do with each other; those of minutes that follow each other have. So its
variance is made larger, as K. H. Hamed and A. R. Rao do it (A modified Mann-Kendall trend test for autocorrelated data,
Journal of Hydrology 204, 1998), but for the correlations themselves: theirs are too low where windows are few, see
L{_inflation}. docs/report.rst says how often all this is wrong, and theirs.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Mapping, Sequence
from math import erfc, log1p, sqrt
from operator import mul
from typing import Protocol

from smtpsource.measure.median import medianOf
from smtpsource.records import dataclass

#: How likely a drift may be found where there is none.
LEVEL = 0.01

#: The same for one look of many: who looks each minute, and goes by the first drift that is found, is misled far more
#: often than who looks once.
SURE = LEVEL / 100

#: With fewer windows there is nothing to be said.
FEWEST = 10

#: No more of a correlation is believed in than this: with more of it there would be no end of it.
_MOST = 0.97

#: How much larger the variance of the score may be where the values grow along a curve: that of a correlation of 0.8.
_CURVED = 9.0


@dataclass(frozen=True)
class Drift:
    """
    How a figure has changed in the course of a run.

    @ivar perHour: by how much in an hour, in the figure's unit: seconds, per second, per cent of the messages.
    @ivar perCent: the same in per cent of the median of the windows, be it above 0 or below, or, of what is counted, in
        per cent of the messages; C{None} if that median is 0.
    @ivar p: how likely so much of a trend is, or more of it, where there is none.
    @ivar windows: how many windows were looked at.
    @ivar seconds: how long one of them is.
    """

    perHour: float
    perCent: float | None
    p: float
    windows: int
    seconds: float

    @property
    def isSignificant(self) -> bool:
        """
        Is it more than chance?
        """
        return self.p < LEVEL

    @property
    def isSure(self) -> bool:
        """
        Is it more than chance, though it has been looked for again and again?
        """
        return self.p < SURE


def wordsOf(drift: Drift) -> str:
    """
    How sure it is, and of how much: C{"not significant: p = 0.4, 58 minutes"}.
    """
    minutes = round(drift.seconds / 60)
    windows = f"{drift.windows} minutes" if minutes == 1 else f"{drift.windows} windows of {minutes} minutes"
    chance = "p < 0.0001" if drift.p < 0.0001 else f"p = {drift.p:.1g}"
    return f"{'' if drift.isSignificant else 'not significant: '}{chance}, {windows}"


class Drifts(Protocol):
    """
    The drifts of several figures: L{smtpsource.measure.minutes.Minutes}.
    """

    def __len__(self) -> int:
        """
        How many windows there are.
        """

    def known(self, name: str) -> int:
        """
        How many of them have this figure.
        """

    def drift(self, name: str) -> Drift | None:
        """
        How it has changed; C{None} if too few have it.
        """

    def drifts(self) -> Mapping[str, Drift]:
        """
        How each of those has changed of which that is known.
        """


def perCentOf(value: float) -> str:
    """
    So many per cent, in words: C{"0.31%"}, C{"-254%"}.
    """
    return f"{value:.0f}%" if abs(value) >= 99.95 else f"{value:.3g}%"


def driftOf(times: Sequence[float], values: Sequence[float], seconds: float, *, perCent: bool = False) -> Drift | None:
    """
    The drift of a figure.

    @param times: where each window has its middle, in seconds, in order.
    @param values: the figure in each of them.
    @param seconds: how long a window is.
    @param perCent: the figure is a part of something, in per cent.
    @return: C{None} if there are too few windows.
    """
    count = len(values)
    if count < FEWEST:
        return None
    slope = _slope(times, values)
    median = medianOf(values)
    perHour = slope * 3600
    of = perHour if perCent else perHour / abs(median) * 100 if median else None
    return Drift(perHour, of if of is not None or slope else 0.0, _chance(times, values, slope), count, seconds)


def _slope(times: Sequence[float], values: Sequence[float]) -> float:
    """
    Theil and Sen's.
    """
    return medianOf(
        (later - value) / (then - time)
        for place, (time, value) in enumerate(zip(times, values, strict=True), 1)
        for then, later in zip(times[place:], values[place:], strict=True)
    )


def _chance(times: Sequence[float], values: Sequence[float], slope: float) -> float:
    """
    How likely so much of a trend is, up or down, where there is none.

    Three tests are made, and the level is shared out among them: eight tenths are Mann and Kendall's. It knows nothing
    of how far the values are from the line, so of few windows it says little, be they ever so close to it, as the
    memory of a process that leaks. So a tenth is that of the t-test of a slope, which odd values mislead easily. What
    grows along a curve is far from any line, and looks as if its values had to do with each other. So the last tenth is
    Mann and Kendall's once more, for values that have to do with each other as much as L{_CURVED} says and no more:
    nearly all pairs must be in order then.
    """
    count = len(values)
    rest = [value - slope * time for time, value in zip(times, values, strict=True)]
    inflation = _inflation(rest)
    freedom = max(1.0, count / inflation - 2)
    score = abs(_score(values))
    ties = Counter(values).values()
    variance = sum(sign * each * (each - 1) * (2 * each + 5) for sign, each in ((1, count), *((-1, n) for n in ties)))
    kendall = curved = 1.0
    if score > 1 and variance > 0:
        kendall = _tails((score - 1) / sqrt(variance / 18 * inflation), freedom)
        curved = erfc((score - 1) / sqrt(variance / 18 * _CURVED) / sqrt(2))
    around, spread = _squares(rest), _squares(times)
    if not slope:
        student = 1.0
    elif around:
        student = _tails(abs(slope) * sqrt(spread * (count - 2) / around / inflation), freedom)
    else:
        student = 0.0
    return min(1.0, kendall / 0.8, student / 0.1, curved / 0.1)


def _tails(t: float, freedom: float) -> float:
    """
    How likely a value as far from 0 is in Student's distribution, nearly: D. L. Wallace, Bounds on normal
    approximations, Annals of Mathematical Statistics 30, 1959.
    """
    return erfc(sqrt(freedom * log1p(t / freedom * t)) * (8 * freedom + 1) / (8 * freedom + 3) / sqrt(2))


def _squares(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values)


def _score(values: Sequence[float]) -> int:
    """
    Of how many pairs the later one is larger, less those of which it is smaller.
    """
    seen: list[float] = []
    score = 0
    for value in values:
        score += bisect_left(seen, value) - (len(seen) - bisect_right(seen, value))
        insort(seen, value)
    return score


def _inflation(rest: Sequence[float]) -> float:
    """
    How much larger the variance of the score is as each value has to do with those before it: by Hamed and Rao's sum
    over the correlations of the ranks.

    Correlations that are estimated from few values are too small, and one that is too small is a false alarm, so they
    are made larger by what they are too small on average (M. G. Kendall, Note on bias in the estimation of
    autocorrelation, Biometrika 41, 1954). Two sums are tried, and the larger one counts. One is for noise that dies
    away: the correlations are the powers of that of neighbors, with a standard error more. The other is for cycles:
    the correlations as they are, up to the first that is no more than chance.

    @param rest: the values without their trend.
    """
    count = len(rest)
    ordered = sorted(rest)
    # Ranks around 0, twice.
    ranks = [bisect_left(ordered, value) + bisect_right(ordered, value) - count for value in rest]
    square = sum(map(mul, ranks, ranks))
    if not square:
        return 1.0
    weights = [(count - lag) * (count - lag - 1) * (count - lag - 2) for lag in range(count - 2)]
    found = (sum(map(mul, ranks, ranks[lag:])) / square for lag in range(1, count - 2))
    neighbors = 0.0
    cycle = 0.0
    for lag, correlation in enumerate(found, 1):
        if lag == 1:
            neighbors = (count * correlation + 2) / (count - 4)
            neighbors += sqrt(max(0.0, 1 - neighbors * neighbors) / count)
            neighbors = min(_MOST, max(0.0, neighbors))
        correlation += (1 + 3 * correlation) / count
        if correlation < 1 / sqrt(count):
            break
        cycle += weights[lag] * correlation
    noise = sum(weight * neighbors**lag for lag, weight in enumerate(weights) if lag)
    return 1 + 2 * max(noise, cycle) / weights[0]
