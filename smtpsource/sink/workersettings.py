"""
What of a sink's plan says which processes it is made of.
"""

from __future__ import annotations

from typing import Any, Literal

from smtpsource.values import kinds
from smtpsource.values import workers as common
from smtpsource.values.option import Settings, option, switch
from smtpsource.values.rules import Contradiction, Rules, allOf, needs

#: The most workers.
MOST = 256

_Balance = Literal["fewest", "kernel"]


def _hasPort(plan: Any) -> Rules:
    if plan.balance == "kernel" and plan.path is not None:
        yield Contradiction(
            plan, "{balance} kernel is not usable with a UNIX socket: expected a host and a port", exclusive=False
        )


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
        common.haveProcessors,
        _hasPort,
        needs("{workers}", "pin", unless=common.areSeveral),
        needs("{workers}", "balance", unless=lambda plan: common.areSeveral(plan) or plan.balance == "fewest"),
    )

    workers: int | Literal["auto"] = option(
        "N",
        common.count(MOST),
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
        return common.wanted(self.workers)
