"""
Option values: what a user may type for a number, a time or a name, and what to tell one who typed something else.

Every function takes the text of one option and returns its value, or raises C{ValueError} whose text says what was
expected (C{"expected a whole number of at least 1"}). The caller adds the option's name and the text itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fractions import Fraction

_MULTIPLIERS = {"": 1, "k": 1024, "m": 1024 * 1024, "K": 1024, "M": 1024 * 1024}
_COUNT_MULTIPLIERS = {"": 1, "k": 1000, "m": 1000_000, "K": 1000, "M": 1000_000}

_NUMBER = re.compile(r"([0-9]+)([kKmM]?)")
_DECIMAL = r"(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
# These two are for re.fullmatch(), which compiles them for those who have such values.
_TIME = rf"({_DECIMAL}(?:[eE][+-]?[0-9]+)?)|" + "".join(
    rf"(?:({_DECIMAL}){unit})?" for unit in ("d", "h", "m", "s", "ms", "us")
)
_RATE = rf"({_DECIMAL})([kK]?)(?:/([smh]))?"

#: What a time looks like.
_TIMES = "such as 30s, 500ms or 1h30m"


#: The largest number any option takes: it fits a C int, like the options of the tool we stand in for.
LARGEST = 2**31 - 1


def count(text: str) -> int:
    """
    A count of things, at least 1: C{"20"}, C{"10k"} (10 000), C{"2m"} (2 000 000).
    """
    return _number(text, _COUNT_MULTIPLIERS, "a whole number of at least 1, such as 20, 10k or 1m")


def size(text: str) -> int:
    """
    A size in bytes, at least 1: C{"4096"}, C{"10k"} (10 240), C{"1m"} (1 048 576).
    """
    return _number(text, _MULTIPLIERS, "a size in bytes of at least 1, such as 4096, 10k or 1m")


def wholeNumber(least: int, most: int = LARGEST) -> Callable[[str], int]:
    """
    A whole number in these bounds, which are not negative.
    """

    def convert(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,10}", text) or not least <= int(text) <= most:
            raise ValueError(f"expected a whole number from {least} to {most}")
        return int(text)

    return convert


def _number(text: str, multipliers: dict[str, int], expected: str) -> int:
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(f"expected {expected}")
    value = int(match.group(1)) * multipliers[match.group(2)]
    if value < 1:
        raise ValueError(f"expected {expected}")
    if value > LARGEST:
        raise ValueError(f"expected at most {LARGEST}")
    return value


def time(text: str) -> float:
    """
    A time in seconds, more than 0: C{"30"} or C{"30s"}, C{"0.25"}, C{"500ms"}, C{"250us"}, C{"5m"}, C{"1h30m"},
    C{"2d"}; without a unit it is seconds.
    """
    value = timeOrZero(text)
    if not value:
        raise ValueError(f"expected a time of more than 0, {_TIMES}")
    return value


def timeOrZero(text: str) -> float:
    """
    The same, or 0.
    """
    match = re.fullmatch(_TIME, text)
    if match is None or not text:
        raise ValueError(f"expected a time {_TIMES} (a number alone is seconds)")
    value: float = _seconds(match, float)
    if value > LARGEST:
        raise ValueError(f"expected a time of at most {LARGEST} seconds")
    return value


def _seconds(match: re.Match[str], number: Callable[[str], Any]) -> Any:
    """
    @param number: what each number is made.
    """
    alone, days, hours, minutes, seconds, milliseconds, microseconds = (number(part or "0") for part in match.groups())
    return alone + 86400 * days + 3600 * hours + 60 * minutes + seconds + milliseconds / 1000 + microseconds / 1000000


def rate(text: str) -> float:
    """
    How often something happens, per second, more than 0: C{"500/s"} or C{"500"}, C{"10k/s"}, C{"30/m"}, C{"10/h"}.
    """
    value = _rate(text)
    if not value:
        raise ValueError("expected a rate of more than 0, such as 500/s, 30/m or 10/h")
    return value


def _rate(text: str) -> float:
    """
    @return: 0 or more.
    """
    match = re.fullmatch(_RATE, text)
    if match is None:
        raise ValueError("expected a rate such as 500/s, 30/m or 10/h (a number alone is per second)")
    value: float = _perSecond(match, float)
    if value > LARGEST:
        raise ValueError(f"expected a rate of at most {LARGEST}/s")
    return value


def _perSecond(match: re.Match[str], number: Callable[[str], Any]) -> Any:
    return number(match[1]) * (1000 if match[2] else 1) / {"s": 1, "m": 60, "h": 3600}[match[3] or "s"]


# What figures are compared with is a fraction: whether 0.7% of 1000 is 7 is no matter of rounding.


def exactNumber(text: str) -> Fraction:
    """
    A number, 0 or more: C{"0.1"}.
    """
    from fractions import Fraction  # takes a while to import, and most runs have no threshold

    if not re.fullmatch(rf"{_DECIMAL}(?:[eE][+-]?[0-9]+)?", text) or float(text) > 1e18:
        raise ValueError("expected a number such as 5 or 0.1")
    # Long ones, and very small ones, would take more time than they are worth.
    return Fraction(text if len(text) < 50 and text.replace(".", "").isdigit() else float(text))


def exactCount(text: str) -> Fraction:
    """
    A whole number, 0 or more: C{"20"}, C{"10k"}, C{"1.5m"}.
    """
    match = re.fullmatch(rf"({_DECIMAL})([kKmM]?)", text)
    value = exactNumber(match[1]) * _COUNT_MULTIPLIERS[match[2]] if match is not None else None
    if value is None or value.denominator != 1:
        raise ValueError("expected a whole number, such as 20, 10k or 1m")
    return value


def exactTime(text: str) -> Fraction:
    """
    What L{timeOrZero} takes, in seconds.
    """
    timeOrZero(text)
    match = re.fullmatch(_TIME, text)
    assert match is not None
    value: Fraction = _seconds(match, exactNumber)
    return value


def exactRate(text: str) -> Fraction:
    """
    What L{rate} takes, or 0, per second.
    """
    _rate(text)
    match = re.fullmatch(_RATE, text)
    assert match is not None
    value: Fraction = _perSecond(match, exactNumber)
    return value


def stages(text: str, sessions: bool = False) -> tuple[tuple[float, float], ...]:
    """
    A course that a load takes: C{"0:0,30s:1000,5m:1000,30s:0"} begins at 0, is 1000 after 30 seconds, still 1000 after
    5 minutes more, and 0 after another 30 seconds; linear in between. A time of 0 is a jump.

    @param sessions: the values are whole numbers of sessions, and not rates.
    @return: for each point, seconds from the one before, and the value: per second, if it is a rate.
    """
    example = "0:1,30s:100,5m:100" if sessions else "0:0,30s:1000,5m:1000,30s:0"
    points = []
    for part in text.split(","):
        seconds, colon, value = part.partition(":")
        if not colon:
            raise ValueError(f"expected stages, each a time from the one before and a value, such as {example}")
        try:
            points.append((timeOrZero(seconds), float(_stageSessions(value)) if sessions else _rate(value)))
        except ValueError as e:
            raise ValueError(f"{e}, in the stage {part!r}")
    if points[0][0]:
        raise ValueError(f"expected the first stage to be at 0, as in {example}")
    if not any(seconds for seconds, _ in points):
        raise ValueError(f"expected stages that take some time, such as {example}")
    if not any(value for _, value in points):
        raise ValueError(f"expected a stage with more than 0, as in {example}")
    if math.fsum(seconds for seconds, _ in points) > LARGEST:
        raise ValueError(f"expected stages of at most {LARGEST} seconds in all")
    return tuple(points)


def _stageSessions(text: str) -> int:
    try:
        return 0 if re.fullmatch("0+", text) else count(text)
    except ValueError:
        raise ValueError("expected a whole number of sessions")
