"""
Times, sizes, rates and shares, as rules have them: texts with units, or plain numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from smtpsource.values import checks, numbers

Check = Callable[[Any], Any]


def _either(parse: Callable[[str], Any], check: Check) -> Check:
    """
    @param parse: for a text.
    @param check: for a number.
    """

    def convert(value: Any) -> Any:
        if isinstance(value, str):
            return parse(value)
        try:
            return check(value)
        except ValueError:
            # The other one has an example.
            parse("")
            raise

    return convert


#: Seconds: C{"300ms"} or C{0.3}; more than 0.
time: Check = _either(numbers.time, checks.seconds)

#: The same, or 0.
timeOrZero: Check = _either(numbers.timeOrZero, checks.secondsOrZero)

#: Bytes: C{"10k"} or C{10240}.
size: Check = _either(numbers.size, checks.count)

#: How often in a second: C{"200/s"}, C{"30/m"} or C{200}.
rate: Check = _either(numbers.rate, checks.rate)

#: How many there are; more than 0.
count: Check = checks.count


def flag(value: Any) -> bool:
    """
    Yes or no.
    """
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


def wholeNumber(value: Any) -> int:
    """
    0 or more.
    """
    return checks.wholeNumber(0)(value)  # type: ignore[no-any-return]


def true(value: Any) -> bool:
    """
    What can only be switched on.
    """
    if value is not True:
        raise ValueError("expected true, or no such key")
    return True


def bytesPerSecond(value: Any) -> float:
    """
    C{"10k"}, C{"10k/s"}, C{10} or C{0.5}, in bytes a second; more than 0.
    """
    try:
        if isinstance(value, str):
            return float(numbers.size(value.removesuffix("/s")))
        return checks.rate(value)
    except ValueError:
        raise ValueError("expected bytes a second, such as 10, 0.5 or '10k'")


def share(value: Any) -> float:
    """
    C{"5%"} or C{0.05}, as a number from 0 to 1.
    """
    number = value
    if isinstance(value, str):
        match = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)%", value)
        number = float(match[1]) / 100 if match is not None else None
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 1:
        raise ValueError("expected a share from '0%' to '100%', or from 0 to 1, such as '5%' or 0.05")
    return float(number)


def weight(value: Any) -> float:
    """
    How often one of several is drawn, compared with the others; more than 0.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= numbers.LARGEST:
        raise ValueError("expected a number of more than 0")
    return float(value)
