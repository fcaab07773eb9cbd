"""
C{/events}: what happens, as server-sent events.
"""

from __future__ import annotations

import json
from typing import Any

from smtpsource.sink.control.asked import Asked
from smtpsource.sink.control.events import Event, Events
from smtpsource.sink.summary import moment
from smtpsource.values import numbers
from smtpsource.web import eventstream
from smtpsource.web.answers import Answer, unusable
from smtpsource.web.eventstream import TYPE, Watcher
from smtpsource.web.staying import Stays

#: So many events wait for one who does not read. With another one, they have to come again.
MOST_WAITING = 10_000


class Stream:
    """
    The events for all who watch.
    """

    def __init__(self, reactor: Any, events: Events, stays: Stays) -> None:
        """
        @param reactor: provides C{IReactorTime}.
        @param stays: those who watch.
        """
        self._reactor = reactor
        self._events = events
        self._stays = stays

    def get(self, asked: Asked) -> Answer | None:
        """
        Watch from now on or, with C{Last-Event-ID}, from there on.
        """
        events, request = self._events, asked.request
        after = events.last
        text = asked.header("last-event-id")
        if text is not None:
            try:
                after = numbers.wholeNumber(0)(text)
            except ValueError as e:
                raise unusable("Last-Event-ID", text, e)
        if request.method == b"HEAD":
            return Answer(contentType=TYPE)
        stay = self._stays.begin(request)
        watcher = Watcher(self._reactor, request, stay, MOST_WAITING)
        watcher.begin("what happens in this sink")
        found, missed = events.after(after)
        if missed:
            watcher.tell(eventstream.written("missed", b'{"events": %d}' % missed))
        for event in found:
            watcher.tell(written(event))
        stay.whenGone(events.subscribe(lambda event: watcher.tell(written(event))))
        return None


def written(event: Event) -> bytes:
    """
    An event as it goes over the wire.
    """
    at = moment(event.at)
    # A session that publishes something must not fail by it.
    data = json.dumps({"at": at, **event.fields}, default=str).encode("ascii")
    return eventstream.written(event.kind, data, str(event.number))
