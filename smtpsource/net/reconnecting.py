"""
Making a session's connections, again and again.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EADDRNOTAVAIL, EMFILE, ENFILE
from os import strerror
from socket import gaierror
from typing import Any

from twisted.internet import error
from twisted.internet.base import ReactorBase
from twisted.internet.interfaces import IConnector, IDelayedCall
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from smtpsource.interfaces import IReactor
from smtpsource.net.destination import Address, TCPAddress, UNIXAddress
from smtpsource.net.factory import SMTPSourceFactory
from smtpsource.net.patience import Deadline
from smtpsource.net.route import ConnectQueue, Route, Target, retryDelay
from smtpsource.net.sources import Sources

#: Seconds before a UNIX socket whose queue was full is asked again.
_QUEUE_DELAY = 0.01

#: How many L{IConnector}s each session keeps, to use them again: enough for the addresses of most destinations. There
#: may be any number of addresses, and of sources: a network has 65536, each with a connector of 1.5 kB.
_KEPT = 4


class ReconnectingConnector:
    """
    Connects, when asked, to the first address that answers; if none does, tries again after a growing delay.

    Keeps an L{IConnector} for an address that it has tried, from a source address, and uses it again; but only a few.

    @ivar target: the address that it connects to, or was connected to last.
    """

    __slots__ = (
        "_attempt",
        "_attempts",
        "_build",
        "_clock",
        "_connector",
        "_connectors",
        "_deadline",
        "_delayed",
        "_entered",
        "_factory",
        "_failure",
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
        "_timedOut",
        "_timeout",
        "_timesItself",
        "_tried",
        "target",
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
        # Twisted's own reactors would give up before they have looked whether there was an answer.
        self._timesItself = isinstance(reactor, ReactorBase) and not hasattr(reactor, "connectTimeouts")
        self._deadline: Deadline | None = None
        self._timedOut = False
        self._factory = SMTPSourceFactory(self, self._built, windowSize)
        self._sources = sources
        self._connectors: dict[tuple[Target, str | None], IConnector] = {}
        self._connector: IConnector | None = None
        self._delayed: IDelayedCall | None = None
        self._entered = False
        self._stopping = False
        self._started = 0.0
        self.target: Target
        self._tried: tuple[Target, ...] = ()

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
            self._onGiveUp(*_explained(self._failure, self.target.address, self._source))

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
        self._stopConnecting()
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
        self._route.answered(self.target)
        if self._deadline is not None:
            self.endTimeout()
        self._leave()

    def endTimeout(self) -> None:
        """
        The factory: an address has answered, whatever comes of that.
        """
        deadline, self._deadline = self._deadline, None
        if deadline is not None and deadline.active():
            deadline.cancel()

    def closed(self) -> None:
        """
        The factory: the connection is gone.
        """
        self._onClosed()

    def failed(self, reason: Failure) -> None:
        """
        The factory: an address has not answered.
        """
        self.endTimeout()
        if self._stopping:
            if self._entered:
                self._leave()
            return
        if self._timedOut:
            self._timedOut = False
            reason = Failure(error.TimeoutError())
        if _queueIsFull(reason) and self.sinceStarted() < self._timeout:
            self._delayed = self._reactor.callLater(_QUEUE_DELAY, self._askAgain)
            return
        self._onFailure()
        self._failure = reason
        self._tried += (self.target,)
        target = self._route.next(self._tried)
        if target is not None:
            self._try(target)
            return
        self._leave()
        if self._attempt < self._attempts:
            self._delayed = self._reactor.callLater(retryDelay(self._attempt - 1), self._again)
        else:
            self._onGiveUp(*_explained(self._failure, self.target.address, self._source))

    def _built(self) -> Protocol:
        protocol = self._build()
        name = getattr(self.target.address, "name", None)
        if name is not None:
            protocol.serverName = name  # type: ignore[attr-defined]
        return protocol

    def _askAgain(self) -> None:
        """
        The same address, the same attempt.
        """
        self._delayed = None
        self._connect()

    def _again(self) -> None:
        self._delayed = None
        self._attempt += 1
        self._begin()

    def _begin(self) -> None:
        self._tried = ()
        self._queue.enter(self._enter)

    def _enter(self) -> None:
        self._entered = True
        target = self._route.next()
        assert target is not None
        self._try(target)

    def _leave(self) -> None:
        self._entered = False
        self._queue.leave()

    def _try(self, target: Target) -> None:
        self.target = target
        self._source = None if self._sources is None else self._sources.next(target.address)
        self._started = self._clock()
        self._connect()

    def _connect(self) -> None:
        """
        Begin to connect. Whatever is raised by that is a failure like any other.
        """
        which = self.target, self._source
        try:
            self._connector = connector = self._connectors.get(which)
            if self._timesItself:
                self._deadline = Deadline(self._reactor, self._timeout, self._timeIsUp)
            if connector is not None:
                connector.connect()
            else:
                if len(self._connectors) >= _KEPT:
                    self._dropOldest()
                self._connector = self._connectors[which] = self._newConnector(self.target.address)
        except Exception:
            self._connector = None
            self._connectors.pop(which, None)  # nobody knows what it would do when it is asked again
            self._delayed = self._reactor.callLater(0, self._failedAtOnce, Failure())

    def _dropOldest(self) -> None:
        """
        Keep a connector no longer. It is not connected: another is about to be.
        """
        connector: Any = self._connectors.pop(next(iter(self._connectors)))
        connector.transport = None  # which knows the connector: only the garbage collector would free them

    def _newConnector(self, address: Address) -> IConnector:
        timeout = None if self._timesItself else self._timeout
        if isinstance(address, UNIXAddress):
            return self._reactor.connectUNIX(address.path, self._factory, timeout=timeout)  # type: ignore[arg-type]
        bindAddress = None if self._source is None else (self._source, 0)
        return self._reactor.connectTCP(
            address.host,
            address.port,
            self._factory,
            timeout=timeout,  # type: ignore[arg-type]
            bindAddress=bindAddress,
        )

    def _failedAtOnce(self, reason: Failure) -> None:
        self._delayed = None
        self.failed(reason)

    def _timeIsUp(self) -> None:
        self._timedOut = True
        self._stopConnecting()

    def _stopConnecting(self) -> None:
        """
        Let the present attempt fail.
        """
        assert self._connector is not None
        try:
            self._connector.stopConnecting()
        except error.NotConnectingError:
            self._leave()  # it is connected, but the protocol could not be built


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
    if reason.check(gaierror) and isinstance(address, TCPAddress) and "%" in address.host:
        return "connect-failed", f"{where}: there is no network interface {address.host.partition('%')[2]!r}"
    number = getattr(exception, "osError", None)
    if number in (EMFILE, ENFILE):
        return "out-of-files", f"{where}: {strerror(number)}"
    if number == EADDRNOTAVAIL and not reason.check(error.ConnectBindError):
        return "out-of-ports", f"{where}: {strerror(number)}"
    system = exception.args[0] if reason.check(error.ConnectError) and exception.args else None
    why = system or getattr(exception, "strerror", None) or reason.getErrorMessage()
    if isinstance(why, Failure):
        why = why.getErrorMessage()
    return "connect-failed", f"{where}: {why or type(exception).__name__}"


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
