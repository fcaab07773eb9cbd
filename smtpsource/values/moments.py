"""
Points in time, as seconds since the epoch.

Functions that take a text are as those of L{smtpsource.values.numbers} are.
"""

from __future__ import annotations

import re
import time
from datetime import datetime
from math import isfinite
from typing import Any

#: Seconds that a moment to come may be away: one that is further is no time that anybody waits for, but milliseconds.
_FURTHEST = 366 * 86400.0

_EXPECTED = (
    "expected a time with its zone, such as 2030-01-31T12:00:00Z or 2030-01-31T12:00+01:00, or @ and seconds since 1970"
)


def moment(text: str) -> float:
    """
    A time as ISO 8601 has it, with a zone, as not every machine is in the same; or C{@} and seconds since the epoch, as
    for date(1).
    """
    if re.fullmatch(r"@[0-9]{1,15}(\.[0-9]+)?", text):
        return float(text[1:])
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(_EXPECTED) from None
    if found.tzinfo is None:
        raise ValueError(f"{_EXPECTED}; this one has no zone")
    return found.timestamp()


def momentToCome(text: str) -> float:
    """
    The same, later than now.
    """
    found = moment(text)
    left = found - time.time()
    if left <= 0:
        raise ValueError(f"expected a time to come: this was {_ago(-left)} ago, by the clock of this machine")
    if left > _FURTHEST:
        raise ValueError("expected a time within a year")
    return found


def givenMoment(value: Any) -> float:
    """
    What a program may give: a C{datetime} with a zone, or seconds since the epoch.

    @raise ValueError: it is neither.
    """
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.timestamp()
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and 0 <= value < 1e15:
        return float(value)
    raise ValueError("expected a datetime with a zone, or seconds since 1970")


def _ago(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"
