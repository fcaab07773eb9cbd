"""
Long answers in pieces, so that no turn of the reactor takes long.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.web.http import Request
from zope.interface import implementer

from smtpsource.web.answers import JSON
from smtpsource.web.requests import HEADERS, READING_TIME
from smtpsource.web.staying import visitorOf


@implementer(IPushProducer)
class _Pieces:
    """
    An answer, a piece in each turn of the reactor.
    """

    def __init__(self, reactor: Any, request: Request, pieces: Iterator[bytes]) -> None:
        self._reactor = reactor
        self._request = request
        self._pieces = pieces
        self._call: Any = None

    def resumeProducing(self) -> None:
        """
        There is room for another one.
        """
        if self._call is None:
            self._call = self._reactor.callLater(0, self._next)

    def _next(self) -> None:
        self._call = None
        piece = next(self._pieces, None)
        if piece is None:
            self._request.unregisterProducer()
            self._request.finish()
            return
        # This may pause us.
        self.resumeProducing()
        self._request.write(piece)

    def pauseProducing(self) -> None:
        """
        There is none.
        """
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def stopProducing(self) -> None:
        """
        Nobody reads any more.
        """
        self.pauseProducing()


def sendPieces(reactor: Any, request: Request, pieces: Iterable[bytes], contentType: str = JSON) -> None:
    """
    Send an answer, as fast as it is read, within bounds.

    @param reactor: provides C{IReactorTime}.
    """
    for name, value in {**HEADERS, "Content-Type": contentType}.items():
        request.setHeader(name, value)
    visitor = visitorOf(request)
    if visitor is not None:
        visitor.dismiss(READING_TIME)
    producer = _Pieces(reactor, request, iter(pieces))
    # Where there is no producer any more, as there is no connection.
    request.notifyFinish().addBoth(lambda result: producer.stopProducing())
    request.registerProducer(producer, True)
    producer.resumeProducing()
