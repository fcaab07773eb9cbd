"""
Server-sent events for one who watches (see U{https://html.spec.whatwg.org/multipage/server-sent-events.html}).
"""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import LoopingCall
from twisted.web.http import Request
from zope.interface import implementer

from smtpsource.web.staying import Stay

TYPE = "text/event-stream"

#: Seconds between two signs of life.
QUIET = 15.0


@implementer(IPushProducer)
class Watcher:
    """
    Somebody who watches. What they do not read waits, within bounds; one who does not read at all is dropped.
    """

    def __init__(self, reactor: Any, request: Request, stay: Stay, mostWaiting: int) -> None:
        """
        @param reactor: provides C{IReactorTime}.
        @param mostWaiting: so many events wait for one who does not read. With another one, they have to come again.
        """
        self._request = request
        self._stay = stay
        self._mostWaiting = mostWaiting
        self._isPaused = self._isGone = self._isLast = False
        self._waiting: deque[bytes] = deque()
        self._signs = LoopingCall(self._giveSign)
        self._signs.clock = reactor

    def begin(self, greeting: str) -> None:
        """
        Tell the first thing, which nobody needs to know.

        @param greeting: one line.
        """
        request = self._request
        request.setHeader("content-type", TYPE)
        request.setHeader("cache-control", "no-store")
        request.registerProducer(self, True)
        request.write(b": %s\n\n" % greeting.encode("ascii"))
        self._signs.start(QUIET, now=False)
        self._stay.whenGone(self.stopProducing)

    def tell(self, written: bytes) -> None:
        """
        Tell an event.

        @param written: as L{written} gives it.
        """
        if self._isGone:
            return
        if not self._isPaused:
            self._request.write(written)
        elif len(self._waiting) < self._mostWaiting:
            self._waiting.append(written)
        elif self._stay.visitor is not None:
            self._stay.visitor.abortConnection()

    def tellOld(self, written: bytes) -> None:
        """
        Tell what was before they came, all of it in one turn: what of it has to wait has room of its own.

        @param written: as for L{tell}.
        """
        if self._isPaused:
            self._mostWaiting += 1
        self.tell(written)

    def finish(self) -> None:
        """
        There is nothing more to tell.
        """
        self._isLast = True
        self._endIfTold()

    def _endIfTold(self) -> None:
        if self._isLast and not self._isGone and not self._waiting:
            self.stopProducing()
            self._request.unregisterProducer()
            self._request.finish()

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
            self._request.write(self._waiting.popleft())
        self._endIfTold()

    def stopProducing(self) -> None:
        """
        It is gone.
        """
        self._isGone = True
        self._waiting.clear()
        if self._signs.running:
            self._signs.stop()

    def _giveSign(self) -> None:
        if not self._isPaused:
            self._request.write(b":\n\n")


def written(event: str, data: bytes, identity: str | None = None) -> bytes:
    """
    An event as it goes over the wire.

    @param data: one line of ASCII.
    @param identity: what one who comes back gives as C{Last-Event-ID}, if it is the last that they know.
    """
    known = b"" if identity is None else b"id: %s\n" % identity.encode("ascii")
    return b"%sevent: %s\ndata: %s\n\n" % (known, event.encode("ascii"), data)
