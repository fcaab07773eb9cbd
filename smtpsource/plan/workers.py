"""
Workers: the processes that carry the load.
"""

from __future__ import annotations

import os
from typing import Any, Literal

from smtpsource.process.processors import allowed, usable
from smtpsource.values import kinds, numbers
from smtpsource.values.kinds import Kind
from smtpsource.values.option import Settings, option, switch
from smtpsource.values.rules import Contradiction, Rules, allOf, excludes, needs

#: The most workers.
MOST = 1024

_count = kinds.wholeNumber(1, MOST)
_EXPECTED = f"expected a whole number from 1 to {MOST}, or auto for one on each processor"


def _parsed(text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    try:
        return int(numbers.wholeNumber(1, MOST)(text))
    except ValueError:
        raise ValueError(_EXPECTED)


def _given(value: object) -> int | Literal["auto"]:
    try:
        return "auto" if value == "auto" else int(_count.check(value))
    except ValueError:
        raise ValueError(_EXPECTED)


def _hasCores(plan: Any) -> Rules:
    if not plan.pin:
        return
    if not hasattr(os, "sched_setaffinity"):
        yield Contradiction(plan, "{pin}: this system does not keep processes on processors", exclusive=False)
    processors = len(allowed())
    if plan.workers != "auto" and plan.workers > processors:
        yield Contradiction(
            plan,
            "{pin} needs a processor for each worker: expected {workers} to be {usable} or less, as many as this "
            "process may use",
            exclusive=False,
            usable=processors,
        )


def _areSeveral(plan: Any) -> bool:
    return bool(plan.workers != 1)


class Workers(Settings):
    """
    @ivar workers: how many processes carry the load; one is this process itself. C{"auto"}: as many as there are
        processors that this process can keep busy. There are no more of them than sessions or messages.
    @ivar pin: each keeps to a processor of its own.
    """

    heading = "Workers"
    rules = allOf(
        _hasCores,
        needs("{workers}", "pin", unless=_areSeveral),
        excludes("{workers}", "several would speak at once", "trace", when=_areSeveral),
    )

    workers: int | Literal["auto"] = option(
        "N",
        Kind(_parsed, _given),
        "share the load among this many processes, or auto: one on each processor; the result is one",
        default=1,
    )
    pin: bool = switch("keep each worker on a processor of its own", default=False)

    @property
    def workersWanted(self) -> int:
        """
        How many there are to be, if there is enough to do.
        """
        return usable() if self.workers == "auto" else self.workers
