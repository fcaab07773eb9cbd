"""
How often a drift is found where there is none, and where there is one: C{python -m benchmarks.drift [--looks] [SEEDS]}.

Beside our test that of Hamed and Rao, as they have published it (Journal of Hydrology 204, 1998). With C{--looks}, how
often it is found if it is looked for each minute, as C{--abort-on-threshold} does.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

from smtpsource.measure.drift import FEWEST, LEVEL, SURE, driftOf

MINUTE = 60.0


def noise(random: Random, count: int, deviation: float = 5.0, correlation: float = 0.0) -> list[float]:
    """
    @return: values around 100, each of which has so much to do with the one before.
    """
    value, values = random.gauss(0, deviation), []
    for _ in range(count):
        values.append(100 + value)
        value = correlation * value + math.sqrt(1 - correlation**2) * random.gauss(0, deviation)
    return values


def cycle(random: Random, count: int, period: float, amplitude: float = 10.0) -> list[float]:
    """
    @return: a cycle of so many windows, begun anywhere, with noise.
    """
    begin = random.random() * 2 * math.pi
    return [
        value + amplitude * math.sin(2 * math.pi * number / period + begin)
        for number, value in enumerate(noise(random, count))
    ]


def rising(random: Random, count: int, perHour: float, deviation: float = 5.0, correlation: float = 0.0) -> list[float]:
    """
    @return: noise that grows by so much in an hour.
    """
    values = noise(random, count, deviation, correlation)
    return [value + perHour * number / 60 for number, value in enumerate(values)]


def ours(values: Sequence[float]) -> float:
    """
    @return: the p-value.
    """
    found = driftOf([MINUTE * number for number in range(len(values))], values, MINUTE)
    assert found is not None
    return found.p


def theirs(values: Sequence[float]) -> float:
    """
    The same as Hamed and Rao have it.
    """
    count = len(values)
    pairs = [(first, second) for second in range(count) for first in range(second)]
    score = sum((values[b] > values[a]) - (values[b] < values[a]) for a, b in pairs)
    slopes = sorted((values[b] - values[a]) / (b - a) for a, b in pairs)
    slope = (slopes[len(slopes) // 2] + slopes[(len(slopes) - 1) // 2]) / 2
    rest = [value - slope * number for number, value in enumerate(values)]
    ranks = [sum((other < value) + (other == value) / 2 for other in rest) - count / 2 for value in rest]
    square = sum(rank * rank for rank in ranks)
    if not score or not square:
        return 1.0
    inflation = 0.0
    for lag in range(1, count - 2):
        correlation = sum(a * b for a, b in zip(ranks, ranks[lag:], strict=False)) / square
        if abs(correlation) > 1.96 / math.sqrt(count):
            inflation += (count - lag) * (count - lag - 1) * (count - lag - 2) * correlation
    inflation = max(0.01, 1 + 2 * inflation / (count * (count - 1) * (count - 2)))
    ties = sum(each * (each - 1) * (2 * each + 5) for each in Counter(values).values())
    variance = (count * (count - 1) * (2 * count + 5) - ties) / 18 * inflation
    return math.erfc(max(0.0, (abs(score) - 1) / math.sqrt(variance)) / math.sqrt(2))


CASES: dict[str, Callable[[Random], list[float]]] = {
    "flat, 10 windows": lambda random: noise(random, 10),
    "flat, 60 windows": lambda random: noise(random, 60),
    "correlation 0.3": lambda random: noise(random, 60, 5, 0.3),
    "correlation 0.6": lambda random: noise(random, 60, 5, 0.6),
    "correlation 0.8": lambda random: noise(random, 60, 5, 0.8),
    "6 cycles": lambda random: cycle(random, 60, 10),
    "2 cycles": lambda random: cycle(random, 60, 30),
    "1 cycle": lambda random: cycle(random, 60, 60),
    "2 % in an hour, noise 1 %": lambda random: rising(random, 60, 2, 1),
    "10 % in an hour, noise 5 %": lambda random: rising(random, 60, 10, 5),
    "15 % in an hour, noise 5 %": lambda random: rising(random, 60, 15, 5),
    "15 %, noise 5 %, correlation 0.3": lambda random: rising(random, 60, 15, 5, 0.3),
    "2 % in each of 4 hours, noise 5 %": lambda random: [
        (one + other) / 2 for one, other in zip(*[iter(rising(random, 240, 2, 5))] * 2, strict=True)
    ],
}


def firstLook(values: Sequence[float]) -> int | None:
    """
    @return: after how many windows a run is ended that is looked at after each; C{None} if it is not.
    """
    return next((count for count in range(FEWEST, len(values) + 1) if ours(values[:count]) < SURE), None)


def looks(seeds: int) -> None:
    """
    Print how often runs of 60 windows are ended, and after how many.
    """
    print(f"{'of ' + str(seeds) + ' runs':<36}{'at its end':>12}{'each minute':>13}{'both':>10}{'ended after':>13}")
    for name, make in CASES.items():
        runs = [make(Random(seed)) for seed in range(seeds)]
        if len(runs[0]) != 60:
            continue
        end = [ours(values) < LEVEL for values in runs]
        first = [firstLook(values) for values in runs]
        early = sorted(count for count in first if count is not None)
        both = sum(found or count is not None for found, count in zip(end, first, strict=True))
        parts = [count / seeds * 100 for count in (sum(end), len(early), both)]
        after = f"{early[len(early) // 2]} minutes" if early else "-"
        print(f"{name:<36}{parts[0]:>10.1f} %{parts[1]:>11.1f} %{parts[2]:>8.1f} %{after:>13}", flush=True)


def main(seeds: int) -> None:
    """
    Print how often a drift was found.
    """
    print(f"{'of ' + str(seeds) + ' runs':<36}{'found':>8}{'Hamed, Rao':>13}")
    for name, make in CASES.items():
        runs = [make(Random(seed)) for seed in range(seeds)]
        parts = [sum(test(values) < LEVEL for values in runs) / seeds * 100 for test in (ours, theirs)]
        print(f"{name:<36}{parts[0]:>6.1f} %{parts[1]:>11.1f} %", flush=True)


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--looks"]
    (looks if "--looks" in sys.argv else main)(int(words[0]) if words else 2000)
