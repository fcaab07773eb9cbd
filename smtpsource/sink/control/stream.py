"""
C{/events}: what happens, as server-sent events (see U{https://html.spec.whatwg.org/multipage/server-sent-events.html}).
"""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import LoopingCall
from twisted.web.http import Request
from zope.interface import implementer

from smtpsource.sink.control.answers import Answer, unusable
from smtpsource.sink.control.asked import Asked
from smtpsource.sink.control.events import Event, Events
from smtpsource.sink.control.staying import Stay, Stays
from smtpsource.sink.summary import moment
from smtpsource.values import numbers

TYPE = "text/event-stream"

#: Seconds between two signs of life.
QUIET = 15.0

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
        request.setHeader("content-type", TYPE)
        request.setHeader("cache-control", "no-store")
        _Watcher(self._reactor, request, stay).begin(events, after)
        return None


@implementer(IPushProducer)
class _Watcher:
    """
    Somebody who watches.
    """

    def __init__(self, reactor: Any, request: Request, stay: Stay) -> None:
        self._request = request
        self._stay = stay
        self._isPaused = False
        self._waiting: deque[Event] = deque()
        self._signs = LoopingCall(self._giveSign)
        self._signs.clock = reactor

    def begin(self, events: Events, after: int) -> None:
        """
        Tell what has been, and then what comes.

        @param after: the last event that is known.
        """
        self._request.registerProducer(self, True)
        self._request.write(b": what happens in this sink\n\n")
        found, missed = events.after(after)
        if missed:
            self._request.write(b'event: missed\ndata: {"events": %d}\n\n' % missed)
        for event in found:
            self.tell(event)
        self._unsubscribe = events.subscribe(self.tell)
        self._signs.start(QUIET, now=False)
        self._stay.whenGone(self.stopProducing)

    def tell(self, event: Event) -> None:
        """
        Something has happened.
        """
        if not self._isPaused:
            self._request.write(written(event))
        elif len(self._waiting) < MOST_WAITING:
            self._waiting.append(event)
        elif self._stay.visitor is not None:
            self._stay.visitor.abortConnection()

    def pauseProducing(self) -> None:
        """
        It does not read as fast as things happen.
        """
        self._isPaused = True

    def resumeProducing(self) -> None:
        """
        It reads again.
        """
        self._isPaused = False
        while self._waiting and not self._isPaused:
            self._request.write(written(self._waiting.popleft()))

    def stopProducing(self) -> None:
        """
        It is gone.
        """
        self._unsubscribe()
        self._waiting.clear()
        if self._signs.running:
            self._signs.stop()

    def _giveSign(self) -> None:
        if not self._isPaused:
            self._request.write(b":\n\n")


def written(event: Event) -> bytes:
    """
    An event as it goes over the wire.
    """
    at = moment(event.at)
    # A session that publishes something must not fail by it.
    data = json.dumps({"at": at, **event.fields}, default=str)
    return f"id: {event.number}\nevent: {event.kind}\ndata: {data}\n\n".encode("ascii")
