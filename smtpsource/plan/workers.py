"""
Workers: the processes that carry the load.
"""

from __future__ import annotations

from typing import Literal

from smtpsource.values import workers as common
from smtpsource.values.option import Settings, option, switch
from smtpsource.values.rules import allOf, excludes, needs

#: The most workers.
MOST = 1024


class Workers(Settings):
    """
    @ivar workers: how many processes carry the load; one is this process itself. C{"auto"}: as many as there are
        processors that this process can keep busy. There are no more of them than sessions or messages.
    @ivar pin: each keeps to a processor of its own.
    """

    heading = "Workers"
    rules = allOf(
        common.haveProcessors,
        needs("{workers}", "pin", unless=common.areSeveral),
        excludes("{workers}", "several would speak at once", "trace", when=common.areSeveral),
    )

    workers: int | Literal["auto"] = option(
        "N",
        common.count(MOST),
        "share the load among this many processes, or auto: one on each processor; the result is one",
        default=1,
    )
    pin: bool = switch("keep each worker on a processor of its own", default=False)

    @property
    def workersWanted(self) -> int:
        """
        How many there are to be, if there is enough to do.
        """
        return common.wanted(self.workers)
