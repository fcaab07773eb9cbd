"""
Kinds of values: what a text on a command line means, and what a program may give.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from smtpsource.values import checks, files, names, numbers
from smtpsource.values.checks import Check


class Kind(NamedTuple):
    """
    One kind of values. Both raise C{ValueError} with what was expected.

    @ivar parse: gives the value that a text means.
    @ivar check: takes what a program gives, and returns it as it is kept.
    """

    parse: Callable[[str], Any]
    check: Check


def text(parse: Callable[[str], Any]) -> Kind:
    """
    What a program gives as a text, too.
    """
    return Kind(parse, checks.text(parse))


def words(*words: str) -> Kind:
    """
    One of these words.
    """
    return text(names.oneOf(*words))


def wholeNumber(least: int, most: int = numbers.LARGEST) -> Kind:
    """
    A whole number in these bounds.
    """
    return Kind(numbers.wholeNumber(least, most), checks.wholeNumber(least, most))


def listOf(parse: Callable[[str], Any], one: Callable[[str], Any], example: str) -> Kind:
    """
    Several of something, separated by commas; from a program, a sequence of texts, such as the example.
    """
    return Kind(parse, checks.tupleOf(checks.text(one), f"texts, such as {example}"))


#: How many there are of something; more than 0.
count = Kind(numbers.count, checks.count)

#: Bytes; more than 0.
size = Kind(numbers.size, checks.count)

#: A time, such as 30s, 500ms or 1h30m, in seconds without a unit; more than 0. From a program, seconds.
time = Kind(numbers.time, checks.seconds)

#: The same, 0 or more.
timeOrZero = Kind(numbers.timeOrZero, checks.secondsOrZero)

#: The same, if it is given; 0 for none.
timeIfAny = Kind(numbers.time, checks.secondsOrZero)

#: How often something happens, such as 500/s; from a program, per second.
rate = Kind(numbers.rate, checks.rate)

#: IP addresses, and networks for all of theirs.
addresses = Kind(names.ipAddresses, checks.addresses)

#: The name of a file that is read.
readable = Kind(files.readableFile, checks.readableFile)

#: The same, or that of a directory of such files.
readableOrDirectory = Kind(files.readableFileOrDirectory, checks.readableFileOrDirectory)
