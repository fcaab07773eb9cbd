"""
A reactor for many small messages.

It is Twisted's epoll reactor with three differences, none of which a program sees except in its use of the
processor:

  - C{doRead} and C{doWrite} are called without setting up a logging context around each: there is one, which
    finds out who is being called when something is logged.

  - Transports send within C{write} when they can: see L{smtpsource.net.transports}.

  - Connecting to address literals and UNIX paths, and accepting, take few calls: see
    L{smtpsource.net.connectors} and L{smtpsource.net.ports}.

Name it with C{twistd --reactor=smtpsource}, or before anything imports C{twisted.internet.reactor}::

    from smtpsource.net import reactor
    reactor.install()

It needs epoll(7): where there is none, importing this module raises L{ImportError}.

Of Twisted's private names these are used: C{EPollReactor._poller}, C{_selectables}, C{_reads}, C{_writes},
C{_remove}, C{_doReadOrWrite} and C{_disconnectSelectable}. All of them are the same from 22.10 to 26.10.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from threading import get_ident
from time import perf_counter
from typing import Any

from twisted.internet import error
from twisted.internet.epollreactor import EPOLLIN, EPOLLOUT, EPollReactor
from twisted.python import context, log
from twisted.python.log import ILogContext

from smtpsource.net.connectors import ConnectTimeouts, TCPConnector, UNIXConnector
from smtpsource.net.ports import TCPPort, UNIXPort
from smtpsource.net.transports import EagerServer, EagerUNIXServer

_INOUT = EPOLLIN | EPOLLOUT

#: So many events are handled in one turn, even if there are more: timed calls and signals must not wait for all. The
#: system tells of the others in the next turns, before it comes to these again.
_MOST_EVENTS = 200

#: If so many of them have taken so many seconds, the others wait for the next turn.
_FEW_EVENTS, _TURN = 8, 0.02


class _LogContext(dict[str, Any]):
    """
    The logging context of everything the reactor calls: asked for the C{"system"}, it asks the log prefix of
    who is being called.

    @ivar current: The descriptor whose event is being handled, or C{None}.
    @ivar thread: The reactor's thread.
    """

    current: Any = None
    thread = 0

    def _system(self) -> Any:
        # Other threads inherit the context; what they log has nothing to do with the event that is handled here.
        if self.current is None or get_ident() != self.thread:
            return dict.get(self, "system", "-")
        try:
            return self.current.logPrefix()
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
    @ivar turn: How often events were waited for.
    @ivar retrying: Transports that will call connect(2) again, and that nothing else knows of.
    @ivar handlingEvents: Whether what runs now was called for an event, not by a timed call.
    """

    handlingEvents = False
    turn = 0

    def __init__(self) -> None:
        self.connectTimeouts = ConnectTimeouts()
        # Descriptors taken out of the epoll set since the last poll. An event for one of them is about a
        # socket that may be closed by now, whose number may already belong to another.
        self._stale: set[int] = set()
        self._soon: list[Any] = []
        # Events that were told of already, and have to wait.
        self._left: list[tuple[int, int]] = []
        self.retrying: set[Any] = set()
        self._logContext = _LogContext()
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
            self._stale.add(fd)

    def finishSoon(self, descriptor: Any) -> None:
        """
        Call C{descriptor.doSoon} after all events of this turn, or of the next if there is none under way.
        An exception, or what it returns other than C{None}, disconnects it.
        """
        self._soon.append(descriptor)

    # -- The event loop

    def mainLoop(self) -> None:
        """
        Handle events until the reactor is stopped.
        """
        self._logContext = _LogContext(context.get(ILogContext))
        self._logContext.thread = get_ident()
        context.call({ILogContext: self._logContext}, super().mainLoop)

    def doPoll(self, timeout: float | None) -> None:
        """
        Wait for events and handle them.

        @param timeout: How long to wait at most, in seconds; C{None} is for ever.
        """
        if timeout is None:
            timeout = -1
        due = self.connectTimeouts.due
        if due is not None:
            remaining = due - self.seconds()
            if remaining <= 0:
                self.connectTimeouts.expire(due - remaining)
                timeout = 0
            elif timeout < 0 or timeout > remaining:
                timeout = remaining
        if self._soon:
            timeout = 0
        logContext = self._logContext
        events = self._leftEvents()
        if not events:
            self._stale.clear()
            try:
                events = self._poller.poll(timeout, min(len(self._selectables), _MOST_EVENTS))
            except InterruptedError:
                return
        self.turn += 1
        self.handlingEvents = True
        try:
            if len(events) > _FEW_EVENTS:
                self._handleMany(events)
            else:
                self._handle(events)
            if self._soon:
                self._doSoon()
        finally:
            self.handlingEvents = False
            logContext.current = None

    def _handleMany(self, events: list[tuple[int, int]]) -> None:
        """
        Handle events, and leave those for which there is no time in this turn to the next one.
        """
        until = perf_counter() + _TURN
        for start in range(0, len(events), _FEW_EVENTS):
            self._handle(events[start : start + _FEW_EVENTS])
            if perf_counter() >= until:
                self._left = events[start + _FEW_EVENTS :]
                return

    def _leftEvents(self) -> list[tuple[int, int]]:
        """
        Those that there was no time for, as far as somebody still waits for them.
        """
        if not self._left:
            return self._left
        left, self._left = self._left, []
        reads, writes = self._reads, self._writes
        waited = [
            (fd, event & ~((0 if fd in reads else EPOLLIN) | (0 if fd in writes else EPOLLOUT))) for fd, event in left
        ]
        return [(fd, event) for fd, event in waited if event]

    def _handle(self, events: list[tuple[int, int]]) -> None:
        """
        Handle events.
        """
        selectables = self._selectables
        logContext = self._logContext
        stale = self._stale
        for fd, event in events:
            if fd in stale:
                continue
            selectable = selectables.get(fd)
            if selectable is None:
                continue
            logContext.current = selectable
            ready = event & _INOUT
            if ready != EPOLLIN and event != EPOLLOUT:
                # Errors, and both at once: Twisted knows the rare cases.
                self._logged(self._doReadOrWrite, selectable, fd, event)
                continue
            try:
                if selectable.fileno() == -1:
                    why: Any = error.ConnectionFdescWentAway("File descriptor lost")
                elif ready == EPOLLIN:
                    why = selectable.doRead()
                else:
                    why = selectable.doWrite()
            except BaseException as e:
                why = e
                log.err()
            if why:
                self._logged(self._disconnectSelectable, selectable, why, ready == EPOLLIN)

    doIteration = doPoll

    def _logged(self, call: Callable[..., Any], *arguments: Any) -> None:
        """
        Make a call, and log what it raises.
        """
        try:
            call(*arguments)
        except KeyboardInterrupt:
            raise
        except BaseException:
            log.err()

    def _doSoon(self) -> None:
        """
        Call C{doSoon} of all that asked for it so far.
        """
        soon, self._soon = self._soon, []
        for descriptor in soon:
            self._logContext.current = descriptor
            try:
                why = descriptor.doSoon()
            except BaseException as e:
                why = e
                log.err()
            if why:
                self._logged(self._disconnectSelectable, descriptor, why, False)

    def _remove(
        self, xer: Any, primary: set[int], other: set[int], selectables: Any, event: int, antievent: int
    ) -> None:
        """
        Remember that descriptors of other transports have left the epoll set, too.
        """
        fd = xer.fileno()
        super()._remove(xer, primary, other, selectables, event, antievent)
        if fd not in selectables:
            self._stale.add(fd)

    def removeAll(self) -> list[Any]:
        """
        Remove all selectables, and return a list of them: with those that are about to be finished, without
        those that have not begun.
        """
        soon, self._soon = self._soon, []
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


def install() -> None:
    """
    Make this the reactor of the process.

    @raise error.ReactorAlreadyInstalledError: There is one already.
    """
    from twisted.internet.main import installReactor

    installReactor(LeanReactor())


__all__ = ["LeanReactor", "install"]
