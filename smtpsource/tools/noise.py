"""
Is one series of numbers higher than another, or do both go up and down as they would anyhow? By the test of Mann and
Whitney (1947), which asks for nothing but an order: latencies are never normally distributed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise
from math import comb, erfc, sqrt

#: A difference that chance makes more often than this may be chance.
LEVEL = 0.01

#: Up to so many numbers in both together all orders are counted; for more, the normal distribution is as good.
_EXACT = 40


def chance(first: Sequence[float], second: Sequence[float]) -> float | None:
    """
    How likely two series of one and the same thing are to differ as much as these (the two-sided p-value), or C{None}
    if there are too few numbers to ever tell.

    Numbers that follow each other in time are often alike, so that they say less than as many independent ones. Where
    that is plain to see, they are taken for fewer.
    """
    n, m = len(first), len(second)
    if not n or not m or (n + m < 2 / LEVEL and 2 / comb(n + m, n) >= LEVEL):
        return None
    u, ties = _statistic(first, second)
    likeness = _likeness(first, second)
    if n + m <= _EXACT and not ties and not likeness:
        return _exact(u, n, m)
    variance = n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1)))
    variance *= (1 + likeness) / (1 - likeness)
    if not variance:
        return 1.0  # all of them are the same number
    return erfc(max(0.0, abs(u - n * m / 2) - 0.5) / sqrt(2 * variance))


def _statistic(first: Sequence[float], second: Sequence[float]) -> tuple[float, int]:
    """
    @return: in how many pairs the one of C{first} is higher, those that are equal counted half; and the sum of
        C{t**3 - t} over all groups of C{t} equal numbers.
    """
    n, ranks, ties, below = len(first), 0.0, 0, 0
    for _, group in groupby(
        sorted([(x, True) for x in first] + [(x, False) for x in second]), key=lambda pair: pair[0]
    ):
        members = [mine for _, mine in group]
        count = len(members)
        ranks += sum(members) * (below + (count + 1) / 2)
        ties += count**3 - count
        below += count
    return ranks - n * (n + 1) / 2, ties


def _exact(u: float, n: int, m: int) -> float:
    """
    The part of all orders in which C{u} is as far from its middle as this.
    """
    # How many of the orders of n and m numbers have each u: the coefficients of a Gaussian binomial.
    ways = [1] + [0] * (n * m)
    for i in range(1, n + 1):
        for place in range(len(ways) - 1, m + i - 1, -1):
            ways[place] -= ways[place - m - i]
        for place in range(i, len(ways)):
            ways[place] += ways[place - i]
    least = int(min(u, n * m - u))
    return min(1.0, 2 * sum(ways[: least + 1]) / comb(n + m, n))


def _likeness(*series: Sequence[float]) -> float:
    """
    How alike neighbours are: their correlation, on average; 0 if it is no more than chance makes.
    """
    together = spread = 0.0
    for numbers in series:
        mean = sum(numbers) / len(numbers)
        together += sum((a - mean) * (b - mean) for a, b in pairwise(numbers))
        spread += sum((a - mean) ** 2 for a in numbers)
    if not spread:
        return 0.0
    likeness = together / spread
    return min(likeness, 0.9) if likeness > 1 / sqrt(sum(map(len, series))) else 0.0
