"""
Long answers in pieces, so that no turn of the reactor takes long.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.web.http import Request
from zope.interface import implementer

from smtpsource.measure.encoding import encode
from smtpsource.measure.histogram import PERCENTILES
from smtpsource.measure.series import Sample
from smtpsource.measure.summary import Summary
from smtpsource.measure.summing import completed
from smtpsource.report.document import MARKS, SERIES, Form, documentOf, othersOf
from smtpsource.web.answers import JSON
from smtpsource.web.requests import HEADERS, READING_TIME
from smtpsource.web.staying import visitorOf

#: So many samples, or marks, are one piece: they take less than 2 milliseconds.
_AT_ONCE = 100


def quickDocument(summary: Summary, series: Sequence[Sample] = ()) -> dict[str, Any]:
    """
    A report without what takes long: histograms and what comes of them.

    @param series: what stands there for its series.
    """
    known = tuple(percentile for percentile in summary.percentiles if percentile in PERCENTILES)
    return documentOf(replace(summary, series=series, buckets={}, percentiles=known))


def reportPieces(summary: Summary) -> Iterator[bytes]:
    """
    The report of a run, as far as it has come, as JSON. Of one that goes on there is no timeline.
    """
    summary = yield from _waiting(completed(summary))
    document = quickDocument(replace(summary, marks=()))
    document["percentiles"] = list(summary.percentiles)
    document["histograms"] = histograms = {}
    for phase, counts in summary.buckets.items():
        document["latency"][phase].update(othersOf(summary, phase))
        histograms[phase] = encode(counts)
        yield b""
    del document["series"], document["marks"]
    yield json.dumps(document).encode("ascii")[:-1]
    yield from _listOf("marks", summary.marks, MARKS)
    yield from _listOf("series", summary.series, SERIES)
    yield b"}\n"


def _listOf(name: str, those: Sequence[Any], form: Form) -> Iterator[bytes]:
    yield f', "{name}": ['.encode("ascii")
    for start in range(0, len(those), _AT_ONCE):
        entries = json.dumps(form.write(those[start : start + _AT_ONCE]))[1:-1]
        yield f"{', ' if start else ''}{entries}".encode("ascii")
    yield b"]"


def _waiting(parts: Generator[None, None, Summary]) -> Generator[bytes, None, Summary]:
    """
    The same with nothing to send after each part.
    """
    while True:
        try:
            next(parts)
        except StopIteration as e:
            found: Summary = e.value
            return found
        yield b""


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
