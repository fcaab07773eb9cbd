"""
What happens in a sink, told to those who watch it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

#: What can happen: see docs/control.rst.
KINDS = ("connect", "disconnect", "auth", "message", "rule", "mark", "paused", "resumed", "rules", "deleted")

#: So many events are remembered for those who come back.
REMEMBERED = 1000


class Event(NamedTuple):
    """
    Something that has happened.

    @ivar number: from 1 on.
    @ivar kind: one of L{KINDS}.
    @ivar at: when, in seconds of the epoch.
    @ivar fields: what there is to say about it; it can be written as JSON.
    """

    number: int
    kind: str
    at: float
    fields: Mapping[str, Any]


class Events:
    """
    All events of one sink. Whoever publishes one does not wait for those who watch.

    @ivar last: the number of the last event; 0 if there was none.
    @ivar whenWatched: told whether anybody watches, whenever somebody comes or goes.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        """
        @param now: gives the time in seconds of the epoch.
        """
        self.last = 0
        self._now = now
        self._remembered: deque[Event] = deque(maxlen=REMEMBERED)
        self.whenWatched: Callable[[bool], object] = lambda isWatched: None
        self._watchers: dict[object, Callable[[Event], object]] = {}

    def publish(self, kind: str, /, **fields: Any) -> None:
        """
        Something has happened.

        @param kind: one of L{KINDS}.
        @param fields: what there is to say about it.
        """
        self.add(kind, self._now(), fields)

    def add(self, kind: str, at: float, fields: Mapping[str, Any]) -> None:
        """
        Something has happened, in another process.

        @param at: when, in seconds of the epoch.
        """
        self.last += 1
        event = Event(self.last, kind, at, fields)
        self._remembered.append(event)
        for tell in list(self._watchers.values()):
            tell(event)

    def skip(self, number: int) -> None:
        """
        So many events have been that nobody knows.
        """
        self.last += number

    def subscribe(self, tell: Callable[[Event], object]) -> Callable[[], None]:
        """
        Watch.

        @param tell: called with each L{Event} from now on; must not raise.
        @return: a function that ends it; it may be called again.
        """
        key = object()
        self._watchers[key] = tell
        self.whenWatched(True)

        def unsubscribe() -> None:
            self._watchers.pop(key, None)
            self.whenWatched(bool(self._watchers))

        return unsubscribe

    def after(self, number: int) -> tuple[list[Event], int]:
        """
        What somebody has missed.

        @param number: the last event that they know. One that has not been yet is of an earlier sink at this place:
            they have missed everything.
        @return: the events after it that are remembered, and how many are not.
        """
        if number > self.last:
            number = 0
        found = [event for event in self._remembered if event.number > number]
        return found, self.last - number - len(found)
