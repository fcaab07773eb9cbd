"""
The page of a run that goes on, and what is on it besides charts: made anew for all who look, and only if somebody does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from smtpsource.measure.summary import Summary
from smtpsource.report.dashboard.broadcast import Broadcast
from smtpsource.report.dashboard.site import DashboardRequest, Operation
from smtpsource.web.answers import Answer

#: The least seconds between two times.
INTERVAL = 2.0

#: The part of the time that may be spent on it; it comes less often where it would be more.
SHARE = 0.005


class Page:
    """
    The page of one run.
    """

    def __init__(
        self, reactor: Any, summaryNow: Callable[[], Summary], broadcast: Broadcast, clock: Callable[[], float]
    ) -> None:
        """
        @param reactor: provides C{IReactorTime}.
        @param summaryNow: gives what is known of the run.
        @param broadcast: those who look.
        @param clock: for the seconds that it takes.
        """
        self._reactor = reactor
        self._summaryNow = summaryNow
        self._broadcast = broadcast
        self._clock = clock
        self._call: IDelayedCall | None = None
        self._next = 0.0

    def get(self, request: DashboardRequest) -> Answer:
        """
        The page itself.
        """
        return Answer(b"<!DOCTYPE html><html lang=en><title>smtpsource</title>", "text/html; charset=utf-8")

    def files(self) -> dict[str, Operation]:
        """
        What it needs, by paths.
        """
        return {}

    def renew(self) -> None:
        """
        Make what stands on it anew, if somebody looks and it is time: some in each turn of the reactor.
        """
        if self._call is None and self._broadcast.isWatched and self._reactor.seconds() >= self._next:
            self._call = self._reactor.callLater(0, self._goOn, self._parts(), 0.0)

    def renewAll(self) -> None:
        """
        Make it anew at once: this is the last time.
        """
        self.stop()
        for _ in self._parts():
            pass

    def stop(self) -> None:
        """
        Make no more of it.
        """
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _parts(self) -> Iterator[None]:
        yield

    def _goOn(self, parts: Iterator[None], spent: float) -> None:
        began = self._clock()
        isLast = next(parts, self) is self
        spent += self._clock() - began
        self._call = None
        if isLast:
            self._next = self._reactor.seconds() + max(INTERVAL, spent / SHARE)
        else:
            self._call = self._reactor.callLater(0, self._goOn, parts, spent)
