"""
Values that come in turn, or at random, some of them more often than others.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Generic, TypeVar

from smtpsource.messages.draws import Draws
from smtpsource.values import inputs, textfiles
from smtpsource.values.numbers import LARGEST

T = TypeVar("T")

#: Gives all of a message: by its number, by how many those before it have together, and by how many it has.
Several = Callable[[int, int, int], list[T]]

#: A line of a file: a value, which may begin with a quoted text (RFC 5321's Quoted-string), maybe a weight, maybe a
#: comment.
_LINE = re.compile(rb'("(?:[^"\\]|\\.)*"\S*|\S+)(?:\s+([^\s#]\S*))?(?:\s+#.*)?', re.DOTALL)
_NUMBER = re.compile(r"[0-9]{1,10}(\.[0-9]*)?|\.[0-9]+")


@dataclass(frozen=True)
class Weighted(Generic[T]):
    """
    Values and their weights.

    @ivar values: at least one.
    @ivar weights: for each value how often it comes, relative to the others; 0 is never. C{None}: they come in turn.
    @raise ValueError: there are no values, or no weights for them.
    """

    values: tuple[T, ...]
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("expected at least one value")
        if self.weights is None:
            return
        if len(self.weights) != len(self.values) or not all(0 <= weight <= LARGEST for weight in self.weights):
            raise ValueError(f"expected a weight from 0 to {LARGEST} for each value")
        if not any(self.weights):
            raise ValueError("expected a weight of more than 0")

    def drawing(self, draws: Draws) -> Callable[[int], T]:
        """
        @return: gives the value of each message, by its number.
        """
        if self.weights is None:
            values, total = self.values, len(self.values)
            return lambda number: values[(number - 1) % total]
        draw, at = self.atRandom(draws), draws.at

        def drawn(number: int) -> T:
            at(number)
            return draw()

        return drawn

    def severalDrawing(self, draws: Draws) -> Several[T]:
        """
        The same for messages that have several each.
        """
        if self.weights is None:
            values, total = self.values, len(self.values)
            return lambda number, before, several: [values[place % total] for place in range(before, before + several)]
        draw, at = self.atRandom(draws), draws.at

        def drawn(number: int, before: int, several: int) -> list[T]:
            at(number)
            return [draw()] if several == 1 else [draw() for _ in range(several)]

        return drawn

    def atRandom(self, draws: Draws) -> Callable[[], T]:
        """
        @return: gives one value after the other, for the message that C{draws} are at. There have to be weights.
        """
        values = self.values
        cumulative = tuple(accumulate(self.weights or ()))
        total, last = cumulative[-1], len(values) - 1
        random = draws.random
        return lambda: values[bisect_right(cumulative, random() * total, 0, last)]


def evenly(found: Weighted[T]) -> Weighted[T]:
    """
    The same, but at random where it would be in turn.
    """
    return found if found.weights is not None else Weighted(found.values, (1.0,) * len(found.values))


def weight(text: str) -> float:
    """
    How often something comes, relative to others: 0 or more.
    """
    if not _NUMBER.fullmatch(text) or float(text) > LARGEST:
        raise ValueError("expected a weight of 0 or more, such as 3 or 0.5")
    return float(text)


def read(path: str, convert: Callable[[bytes], T], check: Callable[[bytes], object] = bool) -> Weighted[T]:
    """
    Read a file: a value in each line, and maybe its weight after a blank. With a weight anywhere, a value without one
    has the weight 1. Empty lines and those that begin with C{#} are skipped, and a C{#} after a blank begins a comment.

    @param convert: gives a value, or raises C{ValueError} with what was expected.
    @param check: raises C{ValueError} for a whole line that is none of these.
    @raise ValueError: the file can't be read, or something else is in it; the text has the number of the line.
    """
    values: list[T] = []
    weights: list[float] = []
    weighted = False
    for number, line in lines(path):
        match = _LINE.fullmatch(line)
        try:
            check(line)
            if match is None:
                raise ValueError("expected one value and maybe a weight")
            values.append(convert(match[1]))
            weights.append(1.0 if match[2] is None else weight(match[2].decode("ascii", "replace")))
        except ValueError as e:
            raise ValueError(f"{e}, in line {number}") from None
        weighted = weighted or match[2] is not None
    if not values:
        raise ValueError("expected at least one line that is neither empty nor a comment")
    return Weighted(tuple(values), tuple(weights) if weighted else None)


def lines(path: str) -> Iterator[tuple[int, bytes]]:
    """
    The lines of such a file that are neither empty nor a comment, with their numbers.

    @raise ValueError: it can't be read.
    """
    for number, line in enumerate(textfiles.read(path, inputs.VALUES).split(b"\n"), 1):
        # Files are put together of others, each with its mark.
        line = line.removeprefix(textfiles.MARK).strip()
        if line and not line.startswith(b"#"):
            yield number, line
