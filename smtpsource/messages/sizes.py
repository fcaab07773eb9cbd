"""
Distributions of whole numbers: of the sizes of bodies, and of how many recipients a message has.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from smtpsource.messages import weighted
from smtpsource.messages.draws import Draws
from smtpsource.messages.weighted import Weighted
from smtpsource.values import files, numbers

#: How many times its median a log-normal distribution may go up to, unless it says so itself.
TIMES = 1000

_DECIMAL = re.compile(r"[0-9]{1,3}(\.[0-9]*)?|\.[0-9]+")


def _checkNumber(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= numbers.LARGEST:
        raise ValueError(f"expected {name} to be a whole number from 1 to {numbers.LARGEST}")


@dataclass(frozen=True)
class Fixed:
    """
    Always the same.
    """

    value: int

    def __post_init__(self) -> None:
        _checkNumber("value", self.value)

    def drawing(self, draws: Draws) -> Callable[[int], int]:
        """
        @return: gives the number of each message, by that of the message.
        """
        return lambda message: self.value


@dataclass(frozen=True)
class Uniform:
    """
    Every number between these two, and they themselves, equally often.
    """

    least: int
    most: int

    def __post_init__(self) -> None:
        _checkNumber("least", self.least)
        _checkNumber("most", self.most)
        if self.least > self.most:
            raise ValueError("expected the smaller number before the larger one, such as 1k-100k")

    def drawing(self, draws: Draws) -> Callable[[int], int]:
        """
        See L{Fixed.drawing}.
        """
        at, random, least, number = draws.at, draws.random, self.least, self.most - self.least + 1

        def draw(message: int) -> int:
            at(message)
            return least + int(random() * number)

        return draw


@dataclass(frozen=True)
class LogNormal:
    """
    Numbers whose logarithm is normally distributed, as sizes of mail nearly are: half of them below the median, a few
    far above. One that is larger than the most is drawn again.

    @ivar sigma: the standard deviation of the natural logarithm.
    @ivar most: the largest number; C{None} is L{TIMES} times the median.
    """

    median: int
    sigma: float
    most: int | None = None

    def __post_init__(self) -> None:
        _checkNumber("median", self.median)
        if not isinstance(self.sigma, int | float) or isinstance(self.sigma, bool) or not 0 <= self.sigma <= 10:
            raise ValueError("expected sigma to be a number from 0 to 10")
        if self.most is not None:
            _checkNumber("max", self.most)
            if self.most < self.median:
                raise ValueError("expected max to be no less than the median")

    def drawing(self, draws: Draws) -> Callable[[int], int]:
        """
        See L{Fixed.drawing}.
        """
        at, normal, exp, mu, sigma = draws.at, draws.normal, math.exp, math.log(self.median), self.sigma
        most = min(numbers.LARGEST, self.median * TIMES) if self.most is None else self.most

        def draw(message: int) -> int:
            at(message)
            # The median is no more than the most: every other attempt is good.
            while (value := round(exp(mu + sigma * normal()))) > most:
                pass
            return value or 1

        return draw


@dataclass(frozen=True)
class Empirical:
    """
    Numbers that were seen, each as often as its weight says.
    """

    numbers: Weighted[int]

    def __post_init__(self) -> None:
        if not isinstance(self.numbers, Weighted):
            raise ValueError("expected numbers to be an instance of Weighted")
        for number in self.numbers.values:
            _checkNumber("each number", number)
        object.__setattr__(self, "numbers", weighted.evenly(self.numbers))

    def drawing(self, draws: Draws) -> Callable[[int], int]:
        """
        See L{Fixed.drawing}.
        """
        return self.numbers.drawing(draws)


Distribution = Fixed | Uniform | LogNormal | Empirical


def parse(text: str, number: Callable[[str], int]) -> Distribution:
    """
    A distribution as a user writes it: C{"fixed:4k"}, C{"uniform:1k-100k"}, C{"lognormal:median=8k,sigma=1.5"},
    perhaps with C{",max=1m"}, or C{"empirical:FILE"}, where each line of the file has a number and maybe its weight.

    @param number: reads one number: L{smtpsource.values.numbers.size} or L{smtpsource.values.numbers.count}.
    @raise ValueError: it is something else; the text says what was expected.
    """
    kind, _, rest = text.partition(":")
    if kind == "fixed":
        return Fixed(number(rest))
    if kind == "uniform":
        least, dash, most = rest.partition("-")
        if not dash:
            raise ValueError("expected two numbers, such as uniform:1k-100k")
        return Uniform(number(least), number(most))
    if kind == "lognormal":
        return _logNormal(rest, number)
    if kind == "empirical":
        return Empirical(weighted.read(files.readableFile(rest), lambda text: number(text.decode("ascii", "replace"))))
    raise ValueError("expected fixed:4k, uniform:1k-100k, lognormal:median=8k,sigma=1.5 or empirical:FILE")


def _logNormal(text: str, number: Callable[[str], int]) -> LogNormal:
    pairs = dict(pair.partition("=")[::2] for pair in text.split(","))
    if not {"median", "sigma"} <= pairs.keys() <= {"median", "sigma", "max"} or text.count(",") != len(pairs) - 1:
        raise ValueError("expected lognormal:median=8k,sigma=1.5, and perhaps ,max=1m after it")
    if not _DECIMAL.fullmatch(pairs["sigma"]):
        raise ValueError("expected sigma to be a number from 0 to 10, such as 1.5")
    most = number(pairs["max"]) if "max" in pairs else None
    return LogNormal(number(pairs["median"]), float(pairs["sigma"]), most)


def given(number: Callable[[str], int]) -> Callable[[Any], Distribution]:
    """
    What a program may give: a text, or a distribution.

    @param number: see L{parse}.
    """

    def distribution(value: Any) -> Distribution:
        if isinstance(value, str):
            return parse(value, number)
        if not isinstance(value, Distribution):
            raise ValueError("expected a text such as lognormal:median=8k,sigma=1.5, or a distribution")
        return value

    return distribution
