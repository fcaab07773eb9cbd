"""
Requests within bounds, and how they are answered.
"""

from __future__ import annotations

from http import HTTPStatus
from io import BytesIO

from twisted.web.http import Request as PlainRequest
from twisted.web.server import Request

from smtpsource.web.answers import Answer
from smtpsource.web.staying import visitorOf

#: Seconds in which an answer has to be read.
READING_TIME = 60.0

#: What all answers have: they are of this moment, and of the type that they say.
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class BoundedRequest(Request):
    """
    A request whose body is in bounds, in memory, and as it came.

    @cvar largestBody: the most octets of a body.
    @ivar body: the body.
    @ivar isTooLarge: there was more of it.
    @ivar contentType: of the body, in small letters and without parameters.
    """

    largestBody = 1024 * 1024
    isTooLarge = False
    contentType = ""

    def gotLength(self, length: int | None) -> None:
        """
        A body may follow.
        """
        self.body = self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        """
        A part of it.
        """
        if self.body.tell() + len(data) > self.largestBody:
            self.isTooLarge = True
        else:
            self.body.write(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """
        All of it is there.
        """
        # Twisted takes forms apart, and does not know bounds.
        given = self.requestHeaders.getRawHeaders(b"content-type") or [b""]
        self.contentType = given[0].partition(b";")[0].strip().lower().decode("latin-1")
        self.requestHeaders.removeHeader(b"content-type")
        super().requestReceived(command, path, version)


def send(request: PlainRequest, answer: Answer) -> None:
    """
    Send an answer, if the client is still there.
    """
    if request.channel is None:
        return
    request.setResponseCode(answer.status)
    for name, value in {**HEADERS, **answer.headers}.items():
        request.setHeader(name, value)
    if answer.status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        request.setHeader("Content-Type", answer.contentType)
        request.setHeader("Content-Length", str(len(answer.body)))
    visitor = visitorOf(request)
    if visitor is not None:
        visitor.dismiss(READING_TIME)
    request.write(answer.body)
    request.finish()
