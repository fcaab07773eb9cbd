"""
Requests that are not answered at once.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from twisted.web.http import Request

from smtpsource.web.answers import Problem
from smtpsource.web.visitors import Visitor

#: How many requests may wait at once.
MOST = 32


class Stay:
    """
    One of them.
    """

    def __init__(self, request: Request, end: Callable[[Stay], None]) -> None:
        self._end = end
        self._calls: list[Callable[[], object]] = []
        request.notifyFinish().addBoth(self._gone)
        self.visitor = visitorOf(request)
        if self.visitor is not None:
            self.visitor.welcome()

    def whenGone(self, call: Callable[[], object]) -> None:
        """
        @param call: called when the client has gone, or has to, before this has ended.
        """
        self._calls.append(call)

    def end(self) -> None:
        """
        It waits no longer.
        """
        self._calls = []
        self._end(self)

    def _gone(self, result: Any) -> None:
        calls = self._calls
        self.end()
        for call in calls:
            call()


class Stays:
    """
    All of them.
    """

    def __init__(self, most: int = MOST) -> None:
        """
        @param most: how many may wait at once.
        """
        self._most = most
        self._here: set[Stay] = set()

    def __len__(self) -> int:
        return len(self._here)

    def begin(self, request: Request) -> Stay:
        """
        Somebody waits.

        @raise Problem: too many do.
        """
        if len(self._here) >= self._most:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{self._most} requests wait already: expected at most so many at once",
                {"Retry-After": "1"},
            )
        stay = Stay(request, self._here.discard)
        self._here.add(stay)
        return stay


def visitorOf(request: Request) -> Visitor | None:
    """
    The connection of a request; C{None} if it is gone.
    """
    channel = request.channel
    transport = None if channel is None else channel.transport
    return transport if isinstance(transport, Visitor) else None
