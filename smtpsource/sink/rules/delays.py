"""
How long a reply is to take.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from smtpsource.sink.rules import amounts
from smtpsource.sink.rules.problems import Path, Table, Wrong, usable

_EXAMPLE = '"300ms", { uniform = ["100ms", "2s"] } or { lognormal = { median = "200ms", sigma = 0.5, max = "10s" } }'


class Delay:
    """
    A time, or where it is drawn from.

    @ivar drawn: it is not always the same.
    @ivar seconds: gives it for a number between 0 and 1, which has to be drawn.
    """

    def __init__(self, seconds: Callable[[float], float], drawn: bool = True) -> None:
        self.seconds = seconds
        self.drawn = drawn


def delay(value: Any, path: Path) -> Delay:
    """
    @raise Wrong: it is none.
    """
    if not isinstance(value, dict):
        return _fixed(usable(path, value, _time))
    table = Table(value, path, ("uniform", "lognormal"), _EXAMPLE)
    if table.atMostOne(("uniform", "lognormal")) == "uniform":
        return _uniform(table.raw("uniform"), table.at("uniform"))
    return _lognormal(Table(table.need("lognormal", _same, _EXAMPLE), table.at("lognormal"), *_LOGNORMAL))


_LOGNORMAL = (("median", "sigma", "max"), '{ median = "200ms", sigma = 0.5 }')


def _same(value: Any) -> Any:
    return value


def _time(value: Any) -> float:
    try:
        return amounts.time(value)  # type: ignore[no-any-return]
    except ValueError:
        raise ValueError(f"expected a time, such as {_EXAMPLE}")


def _fixed(seconds: float) -> Delay:
    return Delay(lambda number: seconds, False)


def _uniform(value: Any, path: Path) -> Delay:
    if not isinstance(value, list) or len(value) != 2:
        raise Wrong(path, 'expected the least and the most, such as ["100ms", "2s"]')
    least, most = (usable((*path, index), one, amounts.timeOrZero) for index, one in enumerate(value))
    if not least < most:
        raise Wrong(path, 'expected the least before the most, such as ["100ms", "2s"]')
    return Delay(lambda number: least + (most - least) * number)


def _lognormal(table: Table) -> Delay:
    from statistics import NormalDist  # for those who need it

    median: float = table.need("median", amounts.time, '"200ms"')
    sigma: float = table.need("sigma", _sigma, "0.5")
    most: float = table.get("max", amounts.time, math.inf)
    if most < median:
        raise Wrong(table.at("max"), f"expected at least the median, {median:g} s")
    quantile = NormalDist().inv_cdf
    return Delay(lambda number: min(most, median * math.exp(sigma * quantile(number))))


def _sigma(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 5:
        raise ValueError("expected a number of more than 0 and at most 5, such as 0.5")
    return value
