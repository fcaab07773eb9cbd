"""
What a run does now, told to those who look: also before it has begun, when there are no seconds to tell of.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any

from twisted.logger import Logger

from smtpsource.measure.progress import STARTING, WAITING, Progress
from smtpsource.process.unexpected import named
from smtpsource.report.dashboard.broadcast import Broadcast
from smtpsource.report.dashboard.history import asJSON

_log = Logger()

#: Of more seconds than this, only tens are told: a screen reader says each change.
_FEW = 10


class Doing:
    """
    The state of one run.
    """

    def __init__(self, reactor: Any, progress: Callable[[], Progress], broadcast: Broadcast) -> None:
        """
        @param reactor: provides C{IReactorTime}.
        @param progress: says how far the run has come.
        @param broadcast: those who look.
        """
        self._reactor = reactor
        self._progress = progress
        self._broadcast = broadcast
        self._call: Any = None

    def tell(self) -> None:
        """
        Tell it if it has changed, and go on with that once a second until the run has begun, while somebody looks.
        """
        self.stop()
        try:
            progress = self._progress()
            told = {"state": progress.state, "startsIn": _rounded(progress.startsIn)}
            self._broadcast.say("state", asJSON(told))
        except Exception as e:
            # The run has no part in it: a failure in the log would end it.
            _log.warn("the dashboard has a fault: {fault}", fault=": ".join(named(e)))
            return
        if progress.state in (STARTING, WAITING) and self._broadcast.isWatched:
            self._call = self._reactor.callLater(1, self._tellAgain)

    def stop(self) -> None:
        """
        Tell no more of it.
        """
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _tellAgain(self) -> None:
        self._call = None
        self.tell()


def _rounded(seconds: float | None) -> int | None:
    if seconds is None:
        return None
    step = 1 if seconds <= _FEW else _FEW
    return max(0, ceil(seconds / step) * step)
