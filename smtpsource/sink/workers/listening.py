"""
Where a worker gets its connections from.
"""

from __future__ import annotations

import os
import socket
import sys
from contextlib import ExitStack
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

from smtpsource.net.lean.ports import TCPPort, UNIXPort
from smtpsource.net.reactor import LeanReactor
from smtpsource.sink.doors import Doors
from smtpsource.sink.plan import SinkPlan
from smtpsource.sink.workers.factory import WorkerFactory
from smtpsource.sink.workers.wire import CONNECTIONS, LISTENING

#: No more connections are taken in one turn.
_MOST = 50

#: What a message has beside its octet: a descriptor.
_ROOM = socket.CMSG_SPACE(4)

#: Seconds until it is tried again, where there was no descriptor left.
_PAUSE = 0.05

_NO_FILES = b"no file descriptors were left for a connection: raise the limit (ulimit -Hn)"


class WorkerDoors(Doors):
    """
    The parent has opened them, and serves control and names.
    """

    def __init__(self, reactor: Any, plan: SinkPlan, factory: WorkerFactory, families: tuple[int, ...]) -> None:
        """
        @param families: of the sockets to listen on; without any the parent gives connections.
        """
        super().__init__(reactor, plan, factory)
        self._workers = factory
        self._families = families

    def open(self) -> None:
        """
        See L{Doors.open}.
        """
        ports: list[Any] = []
        for number, family in enumerate(self._families, LISTENING):
            port = self._reactor.adoptStreamPort(number, socket.AddressFamily(family), self._factory)
            os.close(number)
            ports.append(port)
        if not ports:
            ports.append(GivenPort(self._reactor, self._workers, socket.socket(fileno=CONNECTIONS)))
        self._factory.ports = ports
        self.addresses = ports


@implementer(IReadDescriptor)
class GivenPort:
    """
    A port whose connections the parent has accepted.
    """

    def __init__(self, reactor: Any, factory: WorkerFactory, given: socket.socket) -> None:
        """
        @param given: a message of it is a connection's family, and the connection.
        """
        self._reactor = reactor
        self._factory = factory
        self._given = given
        self._many = 1
        self._isPaused = self._isShort = False
        self._later: Any = None
        # Twisted's reactors make a copy of a descriptor that they are given, and leave that to be closed.
        self._needed = 1 if isinstance(reactor, LeanReactor) else 2
        self._ports: dict[int, Any] = {}
        given.setblocking(False)
        reactor.addReader(self)

    def fileno(self) -> int:
        """
        See C{IFileDescriptor}.
        """
        return self._given.fileno()

    def logPrefix(self) -> str:
        """
        See C{ILoggingContext}.
        """
        return "GivenPort"

    def doRead(self) -> None:
        """
        Take what there is.
        """
        # As many as came last time, and some more if there were that many.
        most = self._many
        for number in range(most):
            if not self._hasRoom():
                self._many = max(1, number)
                if not number:
                    self._wait()
                return
            try:
                family, sent, _flags, _address = self._given.recvmsg(1, _ROOM, socket.MSG_CMSG_CLOEXEC)
            except OSError:
                self._many = max(1, number)
                return
            if not family:
                # The parent gives none any more.
                self.pauseProducing()
                return
            self._isShort = False
            if not sent:
                # There was room a moment ago.
                self._runShort()
                self._factory.neverCame()
            for _level, _type, data in sent:
                descriptor = int.from_bytes(data, sys.byteorder)
                try:
                    self._take(socket.socket(family[0], socket.SOCK_STREAM, 0, descriptor))
                except OSError:
                    # A client that is gone has no address any more.
                    self._factory.neverCame()
        self._many = min(most + 20, _MOST)

    def _hasRoom(self) -> bool:
        """
        Are there descriptors for another connection? The system drops one that there is none for.
        """
        taken: list[int] = []
        try:
            for _ in range(self._needed):
                taken.append(os.dup(self.fileno()))  # noqa: PERF401
        except OSError:
            return False
        finally:
            for descriptor in taken:
                os.close(descriptor)
        return True

    def _runShort(self) -> None:
        if not self._isShort:
            self._isShort = True
            self._factory.counts.error("out-of-files", _NO_FILES)

    def _wait(self) -> None:
        """
        Leave those who come where they are, until there may be a descriptor for one of them.
        """
        self._runShort()
        self._reactor.removeReader(self)
        self._later = self._reactor.callLater(_PAUSE, self._again)

    def _again(self) -> None:
        self._later = None
        if not self._isPaused:
            self.resumeProducing()

    def _take(self, connection: socket.socket) -> None:
        """
        @raise OSError: it has no address any more.
        """
        family = connection.family
        with ExitStack() as undone:
            undone.callback(connection.close)
            if isinstance(self._reactor, LeanReactor):
                address = connection.getpeername()
                undone.pop_all()
                self._portOf(family)._accepted(connection, address)
            else:
                self._reactor.adoptStreamConnection(connection.fileno(), family, self._factory)

    def _portOf(self, family: int) -> Any:
        """
        What makes the transport of a connection, if our reactor is there: a port that does not listen. From it there is
        a shorter way than from a descriptor.
        """
        if family not in self._ports:
            if family == socket.AF_UNIX:
                self._ports[family] = UNIXPort(b"", self._factory, reactor=self._reactor)
            else:
                interface = "::" if family == socket.AF_INET6 else ""
                self._ports[family] = TCPPort(0, self._factory, interface=interface, reactor=self._reactor)
        return self._ports[family]

    def connectionLost(self, reason: Any) -> None:
        """
        See C{IFileDescriptor}.
        """
        self._given.close()

    def pauseProducing(self) -> None:
        """
        Take none.
        """
        self._isPaused = True
        if self.fileno() >= 0:
            self._reactor.removeReader(self)

    def resumeProducing(self) -> None:
        """
        Take some again.
        """
        self._isPaused = False
        if self.fileno() >= 0 and self._later is None:
            self._reactor.addReader(self)

    def stopListening(self) -> None:
        """
        Take none any more: those that are on their way are closed.
        """
        self.pauseProducing()
        if self._later is not None:
            self._later.cancel()
            self._later = None
        self._given.close()
