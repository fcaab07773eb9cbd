"""
Making a session's connections, again and again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from errno import EADDRNOTAVAIL, EMFILE, ENFILE
from os import strerror
from typing import Any

from twisted.internet import error
from twisted.internet.interfaces import IConnector, IDelayedCall
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from smtpsource.interfaces import IReactor
from smtpsource.net.destination import Address, UNIXAddress
from smtpsource.net.factory import SMTPSourceFactory
from smtpsource.net.sources import Sources


def retryDelay(failures: int) -> float:
    """
    How many seconds to wait before another attempt: about 0.1 at first, growing up to 10, with some jitter.

    @param failures: how many attempts have failed before the last.
    """
    from twisted.application.internet import backoffPolicy  # 20 ms, for those who need it

    delay: float = backoffPolicy(initialDelay=0.1, maxDelay=10.0)(failures)
    return delay


#: Seconds before a UNIX socket whose queue was full is asked again.
_QUEUE_DELAY = 0.01


class ConnectQueue:
    """
    Lets a number of sessions connect at once and the others wait, first come first served.
    """

    def __init__(self, parallel: int) -> None:
        """
        @param parallel: how many may connect at the same time.
        """
        self._free = parallel
        # Very many may wait, and any of them may want no more.
        self._waiting: OrderedDict[Callable[[], None], None] = OrderedDict()

    def enter(self, connect: Callable[[], None]) -> None:
        """
        Call C{connect} as soon as there is room, maybe now. Every call of it is to be followed by one of L{leave}.
        """
        if self._free:
            self._free -= 1
            connect()
        else:
            self._waiting[connect] = None

    def withdraw(self, connect: Callable[[], None]) -> bool:
        """
        Wait no longer.

        @return: was it still waiting?
        """
        waiting = connect in self._waiting
        self._waiting.pop(connect, None)
        return waiting

    def leave(self) -> None:
        """
        One that was let in has connected, or given up.
        """
        if self._waiting:
            connect, _ = self._waiting.popitem(last=False)
            connect()
        else:
            self._free += 1


class Route:
    """
    The addresses of a destination, shared by all who connect to it: the one that answered last is tried first.
    """

    def __init__(self, addresses: Sequence[Address]) -> None:
        self.addresses = tuple(addresses)
        self.preferred = 0


class ReconnectingConnector:
    """
    Connects, when asked, to the first address that answers; if none does, tries again after a growing delay.

    Holds one L{IConnector} for each address that it has tried, from each source address, and uses it again.
    """

    __slots__ = (
        "_attempt",
        "_attempts",
        "_build",
        "_clock",
        "_connector",
        "_connectors",
        "_delayed",
        "_entered",
        "_factory",
        "_failure",
        "_index",
        "_onClosed",
        "_onFailure",
        "_onGiveUp",
        "_queue",
        "_reactor",
        "_route",
        "_source",
        "_sources",
        "_started",
        "_stopping",
        "_timeout",
        "_tried",
    )

    def __init__(
        self,
        reactor: IReactor,
        route: Route,
        queue: ConnectQueue,
        clock: Callable[[], float],
        build: Callable[[], Protocol],
        onFailure: Callable[[], None],
        onGiveUp: Callable[[str, str], None],
        onClosed: Callable[[], None],
        *,
        attempts: int = 1,
        timeout: float = 30.0,
        windowSize: int | None = None,
        sources: Sources | None = None,
    ) -> None:
        """
        @param clock: gives seconds on a scale that never goes backward.
        @param build: makes the protocol of a connection; its C{serverName} is set to the name that the address has.
        @param onFailure: called each time that an address does not answer.
        @param onGiveUp: called with a kind and a text when the last attempt has failed on every address.
        @param onClosed: called when a connection that was made is gone, after its protocol has been told.
        @param attempts: how often all addresses are tried for one connection.
        @param timeout: seconds for each address.
        @param sources: the addresses to connect from; C{None} for the system's choice.
        """
        self._reactor = reactor
        self._route = route
        self._queue = queue
        self._clock = clock
        self._build = build
        self._onFailure = onFailure
        self._onGiveUp = onGiveUp
        self._onClosed = onClosed
        self._attempts = attempts
        self._timeout = timeout
        self._factory = SMTPSourceFactory(self, self._built, windowSize)
        self._sources = sources
        self._connectors: dict[tuple[int, str | None], IConnector] = {}
        self._connector: IConnector | None = None
        self._delayed: IDelayedCall | None = None
        self._entered = False
        self._stopping = False
        self._started = 0.0
        self._index = 0

    def connect(self) -> None:
        """
        Make a connection. C{build} is called when it is there, or else C{onGiveUp}.
        """
        self._stopping = False
        self._attempt = 1
        self._begin()

    def lastAttempt(self) -> None:
        """
        Don't begin another attempt after this one; if it is over already, give up.
        """
        self._attempts = 0
        if self._delayed is not None and not self._entered:
            self._delayed.cancel()
            self._delayed = None
            self._onGiveUp(*_explained(self._failure, self._route.addresses[self._index], self._source))

    def stop(self) -> bool:
        """
        Connect no further.

        @return: was it connecting? Then C{onGiveUp} is not called any more.
        """
        if self._delayed is not None:
            self._delayed.cancel()
            self._delayed = None
            if self._entered:
                self._leave()
            return True
        if not self._entered:
            return self._queue.withdraw(self._enter)
        self._stopping = True
        assert self._connector is not None
        self._connector.stopConnecting()
        return True

    def sinceStarted(self) -> float:
        """
        Seconds since connect(2) was called for the connection that has just been made.
        """
        return self._clock() - self._started

    def connected(self) -> None:
        """
        The factory: an address has answered.
        """
        self._route.preferred = self._index
        self._leave()

    def closed(self) -> None:
        """
        The factory: the connection is gone.
        """
        self._onClosed()

    def failed(self, reason: Failure) -> None:
        """
        The factory: an address has not answered.
        """
        if self._stopping:
            self._leave()
            return
        if _queueIsFull(reason) and self.sinceStarted() < self._timeout:
            self._delayed = self._reactor.callLater(_QUEUE_DELAY, self._askAgain)
            return
        self._onFailure()
        self._failure = reason
        self._tried += 1
        if self._tried < len(self._route.addresses):
            self._index = (self._index + 1) % len(self._route.addresses)
            self._try()
            return
        self._leave()
        if self._attempt < self._attempts:
            self._delayed = self._reactor.callLater(retryDelay(self._attempt - 1), self._again)
        else:
            address = self._route.addresses[self._index]
            self._onGiveUp(*_explained(self._failure, address, self._source))

    def _built(self) -> Protocol:
        protocol = self._build()
        name = getattr(self._route.addresses[self._index], "name", None)
        if name is not None:
            protocol.serverName = name  # type: ignore[attr-defined]
        return protocol

    def _askAgain(self) -> None:
        """
        The same address, the same attempt.
        """
        self._delayed = None
        assert self._connector is not None
        self._connector.connect()

    def _again(self) -> None:
        self._delayed = None
        self._attempt += 1
        self._begin()

    def _begin(self) -> None:
        self._tried = 0
        self._queue.enter(self._enter)

    def _enter(self) -> None:
        self._entered = True
        self._index = self._route.preferred
        self._try()

    def _leave(self) -> None:
        self._entered = False
        self._queue.leave()

    def _try(self) -> None:
        address = self._route.addresses[self._index]
        self._source = source = None if self._sources is None else self._sources.next(address)
        self._connector = connector = self._connectors.get((self._index, source))
        self._started = self._clock()
        if connector is not None:
            connector.connect()
            return
        if isinstance(address, UNIXAddress):
            connector = self._reactor.connectUNIX(address.path, self._factory, timeout=self._timeout)
        else:
            bindAddress = None if source is None else (source, 0)
            connector = self._reactor.connectTCP(
                address.host, address.port, self._factory, timeout=self._timeout, bindAddress=bindAddress
            )
        self._connector = self._connectors[self._index, source] = connector


def _explained(reason: Failure, address: Address, source: str | None) -> tuple[str, str]:
    """
    What to call a failed connection in a report, and one line about it.

    @param source: where it was to come from, if somebody has said so: that may be what is wrong.
    """
    where = f"{address}" if source is None else f"{address} from {source}"
    if reason.check(error.ConnectionRefusedError):
        return "connect-refused", f"{where}: connection refused"
    if reason.check(error.TimeoutError, error.TCPTimedOutError):
        return "connect-timeout", f"{where}: no answer to the attempt to connect"
    exception: Any = reason.value
    number = getattr(exception, "osError", None)
    if number in (EMFILE, ENFILE):
        return "out-of-files", f"{where}: {strerror(number)}"
    if number == EADDRNOTAVAIL and not reason.check(error.ConnectBindError):
        return "out-of-ports", f"{where}: {strerror(number)}"
    system = exception.args[0] if reason.check(error.ConnectError) and exception.args else None
    why = system or getattr(exception, "strerror", None) or reason.getErrorMessage()
    if isinstance(why, Failure):
        why = why.getErrorMessage()
    return "connect-failed", f"{where}: {why}"


def _queueIsFull(reason: Failure) -> bool:
    """
    Did a UNIX socket refuse because too many wait to be accepted? connect(2) says EAGAIN then; Twisted takes that for a
    connection in the making, and finds it hung up.
    """
    exception: Any = reason.value
    if not reason.check(error.ConnectError):
        return False
    found = [*exception.args, getattr(exception, "string", None)]
    return any(isinstance(one, Failure) and one.check(error.ConnectionDone) for one in found)
