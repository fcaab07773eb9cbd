"""
A reactor for many small messages.

It is Twisted's epoll reactor with five differences. All but the last a program sees only in its use of the processor:

  - C{doRead} and C{doWrite} are called without setting up a logging context around each: there is one, which
    finds out who is being called when something is logged.

  - Transports send within C{write} when they can: see L{smtpsource.net.lean.transports}.

  - What is raised again and again is logged a few times only, and a turn that could not be completed, because events
    could not be waited for, is not tried again at once.

  - Connecting to address literals and UNIX paths, and accepting, take few calls: see
    L{smtpsource.net.lean.connectors} and L{smtpsource.net.lean.ports}.

  - Its clock never steps: C{seconds()}, and with it all delayed calls, go by CLOCK_MONOTONIC and not by the time of
    day.

Name it with C{twistd --reactor=smtpsource}, or before anything imports C{twisted.internet.reactor}::

    from smtpsource.net import reactor
    reactor.install()

It needs epoll(7): where there is none, importing this module raises C{ImportError}.

Of Twisted's private names these are used: C{EPollReactor._poller}, C{_selectables}, C{_reads}, C{_writes},
C{_remove}, C{_POLL_DISCONNECTED}, C{_disconnectSelectable}, C{_started}, C{_moveCallLaterSooner} and, in the
compiled L{Turns}, C{_newTimedCalls}. All of them are the same in all
releases from 22.10 to 26.10.
"""

from __future__ import annotations

import socket
import time
from threading import get_ident
from typing import TYPE_CHECKING, Any

from twisted.internet import error
from twisted.internet.epollreactor import EPOLLIN, EPOLLOUT, EPollReactor
from twisted.logger import Logger
from twisted.python import context, log
from twisted.python.failure import Failure
from twisted.python.log import ILogContext

from smtpsource.net.lean.connectors import ConnectTimeouts, TCPConnector, UNIXConnector
from smtpsource.net.lean.ports import TCPPort, UNIXPort
from smtpsource.net.lean.transports import EagerServer, EagerUNIXServer
from smtpsource.net.lean.turns import Turns
from smtpsource.process.unexpected import FATAL, SPARE, Reserve

if TYPE_CHECKING:
    from smtpsource.net.lean.interfaces import TransportReactor

_INOUT = EPOLLIN | EPOLLOUT

_log = Logger()

#: How many events are asked for where there is no memory for more: Python keeps room for such small things.
_FEW = 16

#: Of what is raised in the same place only so many are logged: every connection may do it, and every turn.
_MOST_LOGGED = 3

#: Seconds to wait before the next turn if one could not be completed.
_PAUSE = 0.05

_GONE = error.ConnectionFdescWentAway("File descriptor lost")


class _LogContext(dict[str, Any]):
    """
    The logging context of everything the reactor calls: asked for the C{"system"}, it asks the log prefix of
    who is being called.

    @ivar turns: Knows who is being called.
    @ivar thread: The reactor's thread.
    """

    turns: Any = None
    thread = 0

    def _system(self) -> Any:
        # Other threads inherit the context; what they log has nothing to do with the event that is handled here.
        current = self.turns.current
        if current is None or get_ident() != self.thread:
            return dict.get(self, "system", "-")
        try:
            return current.logPrefix()
        except Exception:
            return "(buggy logPrefix method)"

    def __getitem__(self, key: str) -> Any:
        return self._system() if key == "system" else dict.__getitem__(self, key)

    def get(self, key: str, default: Any = None) -> Any:
        return self._system() if key == "system" else dict.get(self, key, default)

    def copy(self) -> dict[str, Any]:
        return {**self, "system": self._system()}


class LeanReactor(EPollReactor):
    """
    L{EPollReactor} with a shorter way from the kernel to the protocol and back.

    @ivar connectTimeouts: Who is connecting, and until when.
    @ivar retrying: Transports that will call connect(2) again, and that nothing else knows of.
    @ivar spare: Memory for what is to be said when there is none.
    """

    # IReactorTime: on Linux, the same scale as time.perf_counter's.
    seconds = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self.connectTimeouts = ConnectTimeouts()
        self._turns = Turns(self)
        self.retrying: set[Any] = set()
        self._timesLogged: dict[Any, int] = {}
        self.spare = Reserve(SPARE)
        super().__init__()

    # -- What our transports need

    def watchReading(self, fd: int, descriptor: Any) -> None:
        """
        Call C{descriptor.doRead} from now on, and C{doWrite} no more.
        """
        if fd in self._selectables:
            self._poller.modify(fd, EPOLLIN)
            self._writes.discard(fd)
        else:
            self._poller.register(fd, EPOLLIN)
            self._selectables[fd] = descriptor
        self._reads.add(fd)

    def watchConnecting(self, fd: int, descriptor: Any) -> None:
        """
        Call C{descriptor.doWrite} when C{fd}, which is new, is connected.
        """
        self._poller.register(fd, EPOLLOUT)
        self._selectables[fd] = descriptor
        self._writes.add(fd)

    def forget(self, fd: int) -> None:
        """
        Call nothing for C{fd} any more; do nothing if it is not known.
        """
        if self._selectables.pop(fd, None) is not None:
            self._poller.unregister(fd)
            self._reads.discard(fd)
            self._writes.discard(fd)
            self._turns.stale[fd] = None

    def finishSoon(self, descriptor: Any) -> None:
        """
        Call C{descriptor.doSoon} after all events of this turn, or of the next if there is none under way.
        An exception, or what it returns other than C{None}, disconnects it.
        """
        self._turns.soon.append(descriptor)

    # -- The event loop

    def mainLoop(self) -> None:
        """
        Handle events until the reactor is stopped.
        """
        logContext = _LogContext(context.get(ILogContext))
        logContext.turns = self._turns
        logContext.thread = get_ident()
        context.call({ILogContext: logContext}, self._loop)

    def _loop(self) -> None:
        while self._started:
            try:
                while self._started:
                    self.runUntilCurrent()
                    timeout = self.timeout()
                    self.doIteration(self.running and timeout)
            except BaseException as e:
                self._turnFailed(e)
        _log.info("Main loop terminated.")

    def _turnFailed(self, exception: BaseException) -> None:
        """
        A turn could not be completed: tell the log, and those who look there for what is L{FATAL}. Timed calls go on,
        so do those from other threads, and who wants to be closed is.
        """
        try:
            self.logFailure(exception, "Unexpected error in main loop", **{FATAL: True})
            self._turns.doSoon()
        except Exception:
            pass  # such as that there is no memory left at all
        time.sleep(_PAUSE)

    def doPoll(self, timeout: float | None) -> None:
        """
        Wait for events and handle them: L{Turns.poll}.
        """
        self._turns.poll(timeout)

    doIteration = doPoll

    @property
    def turn(self) -> int:
        """
        How often events were waited for.
        """
        return self._turns.turn

    @property
    def handlingEvents(self) -> bool:
        """
        Whether what runs now was called for an event, not by a timed call.
        """
        return self._turns.handlingEvents

    def iterate(self, delay: float = 0.0) -> None:
        """
        @see: L{twisted.internet.interfaces.IReactorCore.iterate}
        """
        before, self._turns.once = self._turns.once, True
        try:
            super().iterate(delay)
        finally:
            self._turns.once = before

    # What is waited for may be another thing then

    def stop(self) -> None:
        """
        @see: L{twisted.internet.interfaces.IReactorCore.stop}
        """
        self._turns.isChanged = True
        super().stop()

    def crash(self) -> None:
        """
        @see: L{twisted.internet.interfaces.IReactorCore.crash}
        """
        self._turns.isChanged = True
        super().crash()

    def _moveCallLaterSooner(self, delayedCall: Any) -> None:
        self._turns.isChanged = True
        super()._moveCallLaterSooner(delayedCall)

    def logFailure(self, exception: BaseException, why: str | None = None, **event: Any) -> None:
        """
        Log an exception that is handled now, unless there were enough of this kind.

        @param why: what was going on.
        @param event: more for the log event.
        """
        if isinstance(exception, MemoryError):
            self.spare.release()
        traceback = exception.__traceback__
        while traceback is not None and traceback.tb_next is not None:
            traceback = traceback.tb_next
        place = None if traceback is None else (traceback.tb_frame.f_code, traceback.tb_lineno)
        # Without memory, anything may be raised anywhere.
        kind = MemoryError if isinstance(exception, MemoryError) else (type(exception), place, why)
        number = self._timesLogged.get(kind, 0) + 1
        if number <= _MOST_LOGGED:
            self._timesLogged[kind] = number
            log.err(Failure(exception), why, **event)
            if number == _MOST_LOGGED:
                log.msg(f"{type(exception).__name__} as above: what comes of it from now on is not logged")

    def _remove(
        self, xer: Any, primary: set[int], other: set[int], selectables: Any, event: int, antievent: int
    ) -> None:
        """
        Remember that descriptors of other transports have left the epoll set, too.
        """
        fd = xer.fileno()
        super()._remove(xer, primary, other, selectables, event, antievent)
        if fd not in selectables:
            self._turns.stale[fd] = None

    def removeAll(self) -> list[Any]:
        """
        Remove all selectables, and return a list of them: with those that are about to be finished, without
        those that have not begun.
        """
        soon, self._turns.soon = self._turns.soon, []
        removed: list[Any] = super().removeAll()
        known = set(map(id, removed))
        for descriptor in [*soon, *self.retrying]:
            if id(descriptor) not in known and (descriptor.connected or getattr(descriptor, "begun", False)):
                known.add(id(descriptor))
                removed.append(descriptor)
        return removed

    # -- Connecting and listening

    def connectTCP(self, host: Any, port: Any, factory: Any, timeout: float = 30.0, bindAddress: Any = None) -> Any:
        """
        @see: L{twisted.internet.interfaces.IReactorTCP.connectTCP}
        """
        connector = TCPConnector(host, port, factory, timeout, bindAddress, self)
        connector.connect()
        return connector

    def listenTCP(self, port: Any, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        """
        @see: L{twisted.internet.interfaces.IReactorTCP.listenTCP}
        """
        listeningPort = TCPPort(port, factory, backlog, interface, self)
        listeningPort.startListening()
        return listeningPort

    def connectUNIX(self, address: Any, factory: Any, timeout: float = 30, checkPID: Any = False) -> Any:
        """
        @see: L{twisted.internet.interfaces.IReactorUNIX.connectUNIX}
        """
        connector = UNIXConnector(address, factory, timeout, self, checkPID)
        connector.connect()
        return connector

    def listenUNIX(self, address: Any, factory: Any, backlog: int = 50, mode: int = 0o666, wantPID: Any = False) -> Any:
        """
        @see: L{twisted.internet.interfaces.IReactorUNIX.listenUNIX}
        """
        listeningPort = UNIXPort(address, factory, backlog, mode, self, wantPID)
        listeningPort.startListening()
        return listeningPort

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: Any, factory: Any) -> Any:
        """
        @see: L{twisted.internet.interfaces.IReactorSocket.adoptStreamPort}
        """
        listeningPort: Any
        if addressFamily not in self._supportedAddressFamilies:
            raise error.UnsupportedAddressFamily(addressFamily)
        if addressFamily == socket.AF_UNIX:
            listeningPort = UNIXPort._fromListeningDescriptor(self, fileDescriptor, factory)
        else:
            listeningPort = TCPPort._fromListeningDescriptor(self, fileDescriptor, addressFamily, factory)
        listeningPort.startListening()
        return listeningPort

    def adoptStreamConnection(self, fileDescriptor: int, addressFamily: Any, factory: Any) -> Any:
        """
        @see: L{twisted.internet.interfaces.IReactorSocket.adoptStreamConnection}
        """
        if addressFamily not in self._supportedAddressFamilies:
            raise error.UnsupportedAddressFamily(addressFamily)
        if addressFamily == socket.AF_UNIX:
            return EagerUNIXServer._fromConnectedSocket(fileDescriptor, factory, self)
        return EagerServer._fromConnectedSocket(fileDescriptor, addressFamily, factory, self)


if TYPE_CHECKING:
    # Connectors and ports give it to transports as Any: here its type is compared with what these ask.
    _asAsked: type[TransportReactor] = LeanReactor


def install() -> None:
    """
    Make this the reactor of the process.

    @raise error.ReactorAlreadyInstalledError: There is one already.
    """
    from twisted.internet.main import installReactor

    installReactor(LeanReactor())


__all__ = ["LeanReactor", "install"]
