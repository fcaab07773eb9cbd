"""
One who watches a dashboard without a browser: server-sent events over HTTP.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.protocol import ClientFactory
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from smtpsource.measure.histogram import arePercentiles
from smtpsource.printable import printable

#: The most bytes of one event: the last one has a whole report.
LARGEST = 128 * 1024 * 1024

#: Seconds in which something must come: there is a sign of life every 15.
SILENCE = 60.0


class Place:
    """
    Where a dashboard is.

    @ivar host: a name or an address.
    @ivar token: what is needed to come in; empty for nothing.
    """

    def __init__(self, url: str) -> None:
        """
        @param url: as it was shown when the run began.
        @raise ValueError: it is none; the text says what would be right.
        """
        expected = "expected the address of a dashboard, such as http://127.0.0.1:8089/"
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as e:
            raise ValueError(f"{expected}: {e}")
        if (
            parts.scheme != "http"
            or not parts.hostname
            or port is None
            or parts.path not in ("", "/")
            or parts.username
        ):
            raise ValueError(expected)
        name, _, token = parts.query.partition("=")
        if parts.query and (name != "token" or not token.isascii() or not token.isprintable() or " " in token):
            raise ValueError(f"{expected}, with ?token=TOKEN where one is needed")
        self.host, self.port, self.token = parts.hostname, port, token

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    @property
    def request(self) -> bytes:
        """
        What to ask for: in HTTP/1.0, so that the answer comes as it is.
        """
        authority = str(self).removeprefix("http://").rstrip("/")
        secret = f"Authorization: Bearer {self.token}\r\n" if self.token else ""
        return f"GET /frames HTTP/1.0\r\nHost: {authority}\r\nAccept: text/event-stream\r\n{secret}\r\n".encode("ascii")


class EventReader(LineOnlyReceiver):
    """
    A connection to one.
    """

    delimiter = b"\n"
    MAX_LENGTH = LARGEST
    factory: EventReaderFactory
    transport: Any

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._isAnswered = False
        self._kind = b""
        self._isOver = False

    def connectionMade(self) -> None:
        """
        Ask.
        """
        self._wait()
        self.transport.write(self.factory.place.request)

    def _wait(self) -> None:
        self._silence = self.factory.reactor.callLater(SILENCE, self._end, "it says nothing any more")

    def dataReceived(self, data: bytes) -> None:
        """
        A part of what is told.
        """
        self._silence.reset(SILENCE)
        super().dataReceived(data)

    def lineReceived(self, line: bytes) -> None:
        """
        A line of the answer's head, or of an event.
        """
        if self._isOver:
            return
        if not self._isAnswered:
            self._inHead(line.rstrip(b"\r"))
            return
        name, _, value = line.partition(b": ")
        if name == b"event":
            self._kind = value
        elif name == b"data":
            try:
                self.factory.take(self._kind.decode("latin-1"), value)
            except ValueError as e:
                self._end(f"it can't be understood: {e}")

    def _inHead(self, line: bytes) -> None:
        if line:
            self._lines.append(line[:1000])
            if not self._lines[0].startswith(b"HTTP/"):
                self._end("it is no dashboard: expected HTTP")
            elif len(self._lines) > 100:
                self._end("it is no dashboard: expected fewer headers")
            return
        status = self._lines[0].split(b" ", 2) if self._lines else []
        kinds = [each for each in self._lines if each.lower().startswith(b"content-type: text/event-stream")]
        if len(status) < 2:
            self._end("it is no dashboard: expected HTTP")
        elif status[1] == b"401":
            self._end("a token is needed there: expected the address that was shown when the run began")
        elif status[1] != b"200" or not kinds:
            said = printable(b" ".join(status[1:]).decode("latin-1"))
            self._end(f"it is no dashboard of a version that is known, or has too many visitors: it says {said!r}")
        else:
            self._isAnswered = True

    def lineLengthExceeded(self, line: bytes) -> None:
        """
        That is no event of ours.
        """
        self._end("it can't be understood: expected shorter lines")

    def finish(self) -> None:
        """
        All is known.
        """
        self._isOver = True
        self.transport.loseConnection()

    def _end(self, problem: str) -> None:
        if not self._isOver:
            self._isOver = True
            self.factory.fail(problem)
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """
        It is over.
        """
        if self._silence.active():
            self._silence.cancel()
        if not self._isOver:
            self._isOver = True
            self.factory.fail("it is gone, and the end of the run is not known")


class EventReaderFactory(ClientFactory):
    """
    Connects to a dashboard once.
    """

    noisy = False
    protocol: Any = EventReader

    def __init__(
        self, reactor: Any, place: Place, take: Callable[[str, bytes], None], fail: Callable[[str], None]
    ) -> None:
        """
        @param take: called with each event, its kind and its data; a C{ValueError} says that it is none.
        @param fail: called with what went wrong, once.
        """
        self.reactor = reactor
        self.place = place
        self.take = take
        self.fail = fail

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        """
        Nobody is there.
        """
        number = getattr(reason.value, "osError", None)
        self.fail(f"nobody answers: {os.strerror(number) if isinstance(number, int) else reason.getErrorMessage()}")


def unpacked(data: bytes) -> tuple[Any, bytes]:
    """
    What an event with a frame has.

    @return: how far the run had come, as JSON has it, and the frame.
    @raise ValueError: it is none.
    """
    try:
        document = json.loads(data)
        return document["progress"], base64.b64decode(document["frame"], validate=True)
    except (KeyError, TypeError, RecursionError) as e:
        raise ValueError(f"expected a frame: {e!r}")


def percentilesIn(data: bytes) -> tuple[float, ...]:
    """
    The percentiles that a run tells of latencies.

    @param data: of the event that says what does not change in it.
    @raise ValueError: it is none.
    """
    try:
        found = json.loads(data)["percentiles"]
    except (KeyError, TypeError, RecursionError) as e:
        raise ValueError(f"expected percentiles: {e!r}")
    if not arePercentiles(found):
        raise ValueError("expected percentiles that are numbers above 0, up to 100")
    return tuple(found)


def packed(progress: Any, frame: bytes) -> bytes:
    """
    The opposite of L{unpacked}.
    """
    return json.dumps({"progress": progress, "frame": base64.b64encode(frame).decode("ascii")}).encode("ascii")
