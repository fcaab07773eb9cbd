"""
Workers that others have started, on whatever machines, and reach: all of them over one pipe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IReactorTime
from zope.interface import implementer

from smtpsource.printable import printable
from smtpsource.workers.envelopes import MASTER, enclose, framed, opened
from smtpsource.workers.link import Link, Words
from smtpsource.workers.wire import LONGEST_SAID, Kind, pack, unpack
from smtpsource.workers.words import understood

#: As long as the name of a machine can be, and what comes after it.
_LONGEST_NAME = 300

#: How much one may say before it is listened to: that it can't be used, and is gone.
_EARLY = 10


class WorkerElsewhere(Link):
    """
    One of them. What it says before it is listened to is kept until then.
    """

    def __init__(
        self, reactor: IReactorTime, options: Sequence[str], send: Callable[[bytes], object], id: str = ""
    ) -> None:
        """
        @param options: the command line of its part of the run: it does not take a plan.
        @param send: sends it a message.
        @param id: what Locust calls it: the name of its machine, an underscore, and something that no other has.
        """
        self.id = printable(id)[:_LONGEST_NAME] or None
        self.host = (self.id or "").rpartition("_")[0] or None
        self._reactor = reactor
        self._options = list(options)
        self._send = send
        self._early: list[bytes] | None = []
        self._isGone = False

    def start(self) -> None:
        """
        See L{Link.start}. It runs already.
        """
        self._reactor.callLater(0, self._listen)

    def _listen(self) -> None:
        early, self._early = self._early or [], None
        for message in early:
            self.came(message)

    def send(self, kind: Kind, body: bytes | dict[str, Any] | None = None) -> None:
        """
        See L{Link.send}. A pickle means something in one version on one machine only, and a stranger's is code: so what
        others make of a plan is made there of its command line.
        """
        if self._isGone:
            return
        if kind is Kind.SHARE:
            assert isinstance(body, dict)
            kind, body = Kind.OPTIONS, {"options": self._options, **body}
        if kind is not Kind.PLAN:
            self._send(pack(kind, body))

    def kill(self, reason: str) -> None:
        """
        See L{Link.kill}. Whether it is there to hear of it is not waited for.
        """
        if not self._isGone:
            self._isGone = True
            self._send(pack(Kind.KILL))
            self._reactor.callLater(0, self.gone, reason)

    def lost(self, how: str) -> None:
        """
        There is no way to it any more.
        """
        if not self._isGone:
            self._isGone = True
            self.gone(how)

    def came(self, message: bytes) -> None:
        """
        There is a message of its.
        """
        if self._isGone:
            return
        if len(message) > LONGEST_SAID:
            self.kill(f"said {len(message)} bytes at once")
        elif self._early is None:
            self.heard(message)
        elif len(self._early) < _EARLY:
            self._early.append(message)

    def heard(self, message: bytes) -> None:
        """
        See L{Link.heard}.
        """
        try:
            kind, body = unpack(message)
            if kind is Kind.GONE:
                self.lost(understood(kind, body))
                return
            if kind is Kind.READY:
                self.pid = understood(kind, body)["pid"]
        except ValueError as e:
            self.kill(f"said {message[:40]!r}, which makes no sense: {e}")
        else:
            self.whenSaid(kind, body)


@implementer(IHalfCloseableProtocol)
class Switchboard(Words):
    """
    The pipe.

    @ivar workers: those that messages are for, by their numbers.
    """

    transport: Any
    _whenWritten: Callable[[], object] | None = None

    def __init__(self, whenTold: Callable[[Kind, Any], object], whenAlone: Callable[[str], object]) -> None:
        """
        @param whenTold: called with what its other end says that is from no worker.
        @param whenAlone: called with one line if there is no other end any more, or nobody can make anything of it.
        """
        super().__init__(self._enveloped, lambda length: self._whenAlone(f"it would say {length} bytes at once"))
        self.workers: Sequence[WorkerElsewhere] = ()
        self._whenTold = whenTold
        self._whenAlone = whenAlone

    def say(self, number: int, message: bytes) -> None:
        """
        Say something to a worker, or to L{MASTER}.
        """
        self.transport.write(framed(enclose(number, message)))

    def _enveloped(self, envelope: bytes) -> None:
        try:
            number, message = opened(envelope)
            if number == MASTER:
                self._whenTold(*unpack(message))
                return
            worker = self.workers[number]
        except (ValueError, IndexError) as e:
            self._whenAlone(f"it says what makes no sense: {e}")
            return
        worker.came(message)

    def finish(self, whenWritten: Callable[[], object]) -> None:
        """
        That was all.

        @param whenWritten: called when it is written, or can't be.
        """
        self._whenWritten = whenWritten
        self.transport.loseWriteConnection()

    def readConnectionLost(self) -> None:
        """
        See C{IHalfCloseableProtocol}.
        """
        self._whenAlone("it is gone")

    def writeConnectionLost(self) -> None:
        """
        See C{IHalfCloseableProtocol}.
        """
        if self._whenWritten is None:
            self._whenAlone("it does not listen any more")
        else:
            self._whenWritten()

    def connectionLost(self, reason: Any = None) -> None:
        """
        See C{IProtocol}.
        """
        self.writeConnectionLost()
