"""
How many processes share the work, and on which processors: what all our programs that can be several have in common.
"""

from __future__ import annotations

import os
from typing import Any, Literal

from smtpsource.process.processors import allowed, usable
from smtpsource.values import checks, numbers
from smtpsource.values.kinds import Kind
from smtpsource.values.rules import Contradiction, Rules


def count(most: int) -> Kind:
    """
    How many: so many at the most, or C{"auto"}.
    """
    expected = f"expected a whole number from 1 to {most}, or auto for one on each processor"
    parse, check = numbers.wholeNumber(1, most), checks.wholeNumber(1, most)

    def parsed(text: str) -> int | Literal["auto"]:
        try:
            return "auto" if text == "auto" else parse(text)
        except ValueError:
            raise ValueError(expected)

    def given(value: object) -> int | Literal["auto"]:
        try:
            return "auto" if value == "auto" else int(check(value))
        except ValueError:
            raise ValueError(expected)

    return Kind(parsed, given)


def wanted(workers: int | Literal["auto"]) -> int:
    """
    How many that is on this machine.
    """
    return usable() if workers == "auto" else workers


def areSeveral(plan: Any) -> bool:
    """
    May a plan with such a setting, C{workers}, be one for several processes?
    """
    return bool(plan.workers != 1)


def haveProcessors(plan: Any) -> Rules:
    """
    The rule that workers can only be kept on processors (C{pin}) that there are.
    """
    if not plan.pin:
        return
    if not hasattr(os, "sched_setaffinity"):
        yield Contradiction(plan, "{pin}: this system does not keep processes on processors", exclusive=False)
    processors = len(allowed())
    if wanted(plan.workers) > processors:
        yield Contradiction(
            plan,
            "{pin} needs a processor for each worker: expected {workers} to be {usable} or less, as many as this "
            "process may use",
            exclusive=False,
            usable=processors,
        )
