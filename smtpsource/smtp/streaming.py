"""
Content that is too large to be written at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

if TYPE_CHECKING:
    from smtpsource.smtp.interfaces import StreamingProtocol

#: The largest content that is written at once, in bytes; a larger one is streamed.
LARGEST_WRITE = 65536

#: How much of it is given to the transport at a time. It is more than a transport takes without pausing its producer:
#: so every connection has its turn, whatever the kernel would take of one.
PIECE = 2 * LARGEST_WRITE


class ContentLost(Exception):
    """
    Some of a content can't be had any more, though its beginning may be out. The text says why.
    """


@implementer(IPushProducer)
class BodyProducer:
    """
    Writes one shared, immutable body as fast as the transport takes it: what a connection holds of it is one piece; on
    our own transports nothing, unless it has to be read from a file.
    """

    __slots__ = ("_body", "_offset", "_paused", "_protocol", "_sendSome")

    def __init__(self, protocol: StreamingProtocol, body: bytes | memoryview) -> None:
        self._protocol = protocol
        self._body: bytes | memoryview = memoryview(body) if isinstance(body, bytes) else body
        self._offset = 0
        self._paused = False
        transport = protocol.transport
        # Within TLS all is copied, and more than once.
        self._sendSome = None if getattr(transport, "TLS", False) else getattr(transport, "sendSome", None)

    def start(self) -> None:
        """
        Register with the protocol's transport and begin.
        """
        self._protocol.transport.registerProducer(self, True)
        self.resumeProducing()

    def pauseProducing(self) -> None:
        """
        The transport has enough for now.
        """
        self._paused = True

    def resumeProducing(self) -> None:
        """
        The transport wants more.
        """
        self._paused = False
        transport = self._protocol.transport
        while not self._paused:
            try:
                chunk = self._next()
            except ContentLost as e:
                self._paused = True
                self._protocol.bodyLost(str(e))
                return
            if not chunk:
                self._paused = True
                transport.unregisterProducer()
                self._protocol.bodyDone()
                return
            if self._sendSome is None:
                self._offset += len(chunk)
                self._protocol.bodyWritten(len(chunk))
                transport.write(chunk)
                continue
            sent = self._sendSome(chunk)
            if sent:
                self._offset += sent
                self._protocol.bodyWritten(sent)
            self._paused = sent < len(chunk)  # then this is called again

    def _next(self) -> bytes | memoryview:
        """
        What comes next of the body.

        @raise ContentLost: it can't be had.
        """
        if self._sendSome is None:
            return bytes(self._body[self._offset : self._offset + PIECE])
        if isinstance(self._body, memoryview):
            return self._body[self._offset :]
        return self._body[self._offset : self._offset + PIECE]

    def stopProducing(self) -> None:
        """
        The connection is going or gone.
        """
        self._paused = True
        self._offset = len(self._body)
        self._body = b""
