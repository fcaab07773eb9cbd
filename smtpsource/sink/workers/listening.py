"""
Where a worker gets its connections from.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

from smtpsource.sink.doors import Doors
from smtpsource.sink.plan import SinkPlan
from smtpsource.sink.workers.factory import WorkerFactory
from smtpsource.sink.workers.wire import CONNECTIONS, LISTENING

#: No more connections are taken in one turn.
_MOST = 50


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
        for _ in range(_MOST):
            try:
                family, descriptors, _flags, _address = socket.recv_fds(self._given, 1, 1)
            except OSError:
                return
            if not family:
                # The parent gives none any more.
                self.pauseProducing()
                return
            for descriptor in descriptors:
                try:
                    self._reactor.adoptStreamConnection(descriptor, socket.AddressFamily(family[0]), self._factory)
                except OSError:
                    # A client that is gone has no address any more.
                    self._factory.neverCame()
                finally:
                    os.close(descriptor)

    def connectionLost(self, reason: Any) -> None:
        """
        See C{IFileDescriptor}.
        """
        self._given.close()

    def pauseProducing(self) -> None:
        """
        Take none.
        """
        if self.fileno() >= 0:
            self._reactor.removeReader(self)

    def resumeProducing(self) -> None:
        """
        Take some again.
        """
        if self.fileno() >= 0:
            self._reactor.addReader(self)

    def stopListening(self) -> None:
        """
        Take none any more: those that are on their way are closed.
        """
        self.pauseProducing()
        self._given.close()
