"""
Long answers in pieces, so that no turn of the reactor takes long.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace

from twisted.internet.interfaces import IPullProducer
from twisted.web.http import Request
from zope.interface import implementer

from smtpsource.measure.summary import Summary
from smtpsource.report.document import documentOf, sampleOf
from smtpsource.web.answers import JSON
from smtpsource.web.requests import HEADERS, READING_TIME
from smtpsource.web.staying import visitorOf

#: So many samples are one piece: they take less than 2 milliseconds.
_AT_ONCE = 100


def reportPieces(summary: Summary) -> Iterator[bytes]:
    """
    The report of a run, as far as it has come, as JSON.
    """
    document = documentOf(replace(summary, series=()))
    del document["series"]
    yield json.dumps(document).encode("ascii")[:-1] + b', "series": ['
    for start in range(0, len(summary.series), _AT_ONCE):
        rows = [json.dumps(sampleOf(sample)) for sample in summary.series[start : start + _AT_ONCE]]
        yield (", " if start else "").encode("ascii") + ", ".join(rows).encode("ascii")
    yield b"]}\n"


@implementer(IPullProducer)
class _Pieces:
    def __init__(self, request: Request, pieces: Iterator[bytes]) -> None:
        self._request = request
        self._pieces = pieces

    def resumeProducing(self) -> None:
        """
        There is room for another one.
        """
        for piece in self._pieces:
            self._request.write(piece)
            return
        self._request.unregisterProducer()
        self._request.finish()

    def stopProducing(self) -> None:
        """
        Nobody reads any more.
        """
        self._pieces = iter(())


def sendPieces(request: Request, pieces: Iterable[bytes], contentType: str = JSON) -> None:
    """
    Send an answer, as fast as it is read, within bounds.
    """
    for name, value in {**HEADERS, "Content-Type": contentType}.items():
        request.setHeader(name, value)
    visitor = visitorOf(request)
    if visitor is not None:
        visitor.dismiss(READING_TIME)
    request.registerProducer(_Pieces(request, iter(pieces)), False)
