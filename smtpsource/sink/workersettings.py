"""
What of a sink's plan says which processes it is made of.
"""

from __future__ import annotations

from typing import Any, Literal

from smtpsource.process.processors import allowed, usable
from smtpsource.values import kinds, numbers
from smtpsource.values.kinds import Kind
from smtpsource.values.option import Settings, option, switch
from smtpsource.values.rules import Contradiction, Rules, allOf, needs

#: The most workers.
MOST = 256

_count = kinds.wholeNumber(1, MOST)
_EXPECTED = f"expected a whole number from 1 to {MOST}, or auto for one on each processor"

_Balance = Literal["fewest", "kernel"]


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


def _hasProcessors(plan: Any) -> Rules:
    processors = len(allowed()) if plan.pin else 0
    if plan.pin and plan.workers != "auto" and plan.workers > processors:
        yield Contradiction(
            plan,
            "{pin} needs a processor for each worker: expected {workers} to be {usable} or less, as many as this "
            "process may use",
            exclusive=False,
            usable=processors,
        )


def _hasPort(plan: Any) -> Rules:
    if plan.balance == "kernel" and plan.path is not None:
        yield Contradiction(
            plan, "{balance} kernel is not usable with a UNIX socket: expected a host and a port", exclusive=False
        )


def _areSeveral(plan: Any) -> bool:
    return bool(plan.workers != 1)


class Workers(Settings):
    """
    @ivar workers: how many processes the sessions are shared among; one is this process itself. C{"auto"}: as many as
        there are processors that this process may use.
    @ivar pin: each keeps to a processor of its own.
    @ivar balance: who gets a connection: C{"fewest"}, the worker that has the fewest; C{"kernel"}, whoever the kernel
        lets accept it.
    """

    heading = "Workers"
    rules = allOf(
        _hasProcessors,
        _hasPort,
        needs("{workers}", "pin", unless=_areSeveral),
        needs("{workers}", "balance", unless=lambda plan: _areSeveral(plan) or plan.balance == "fewest"),
    )

    workers: int | Literal["auto"] = option(
        "N",
        Kind(_parsed, _given),
        "share the sessions among so many processes, or auto: one on each processor; the result is one",
        default=1,
    )
    pin: bool = switch("keep each worker on a processor of its own", default=False)
    balance: _Balance = option(
        "WHO",
        kinds.words("fewest", "kernel"),
        "who gets a connection: the worker with the fewest, or whoever accepts it, kernel; that is less work",
        default="fewest",
    )

    @property
    def workerCount(self) -> int:
        """
        How many processes carry sessions.
        """
        return usable() if self.workers == "auto" else self.workers
