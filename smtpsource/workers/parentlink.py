"""
A worker's end of what it and its parent say to each other: two descriptors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from smtpsource.workers.wire import LONGEST, Kind, framed, unpack


@implementer(IHalfCloseableProtocol, IPushProducer)
class ParentLink(Int32StringReceiver):
    """
    What the parent says, and what is said to it.

    @ivar isBehind: the parent does not read what it was told. There is no end to what would wait for it: whoever has
        something that can wait, or become one with what comes later, keeps it until C{whenRead} is called.
    """

    transport: Any
    MAX_LENGTH = LONGEST

    def __init__(
        self,
        obey: Callable[[Kind, Any], object],
        whenLost: Callable[[str | None], object],
        whenRead: Callable[[], object] = lambda: None,
    ) -> None:
        """
        @param obey: called with the kind of each message, and its body.
        @param whenLost: called once, when the parent is gone; or, with one line about it, when it has said something
            that nobody can make anything of.
        @param whenRead: called when the parent has read what had waited.
        """
        self.isBehind = False
        self._obey = obey
        self._whenLost: Callable[[str | None], object] | None = whenLost
        self._whenRead = whenRead
        self._whenWritten: Callable[[], object] | None = None

    def say(self, kind: Kind, body: bytes | dict[str, Any] | None = None) -> None:
        """
        Say something to the parent; if it is gone nobody hears it.
        """
        self.transport.write(framed(kind, body))

    def finish(self, whenWritten: Callable[[], object]) -> None:
        """
        That was all.

        @param whenWritten: called when it is written: once there is room for all in the pipe, however long the parent
            takes to read; or when nobody can read it any more.
        """
        self._whenWritten = whenWritten
        self.transport.unregisterProducer()
        self.transport.loseWriteConnection()

    def connectionMade(self) -> None:
        """
        See C{IProtocol}.
        """
        self.transport.registerProducer(self, True)

    def stringReceived(self, string: bytes) -> None:
        """
        A message has come.
        """
        if self._whenLost is None:
            return
        try:
            kind, body = unpack(string)
        except ValueError:
            self._lose(f"expected a message from a parent, not {string[:40]!r}")
        else:
            self._obey(kind, body)

    def lengthLimitExceeded(self, length: int) -> None:
        """
        See C{Int32StringReceiver}.
        """
        self._lose(f"expected a message from a parent, not one of {length} bytes")

    def readConnectionLost(self) -> None:
        """
        See C{IHalfCloseableProtocol}.
        """
        self._lose(None)

    def writeConnectionLost(self) -> None:
        """
        See C{IHalfCloseableProtocol}.
        """
        if self._whenWritten is None or self._whenLost is None:
            self._lose(None)
        else:
            self._whenLost = None
            self._whenWritten()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        See C{IProtocol}.
        """
        self._lose(None)

    def pauseProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self.isBehind = True

    def resumeProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self.isBehind = False
        self._whenRead()

    def stopProducing(self) -> None:
        """
        See C{IPushProducer}.
        """

    def _lose(self, problem: str | None) -> None:
        whenLost, self._whenLost = self._whenLost, None
        if whenLost is not None:
            whenLost(problem)
