"""
Listening ports that accept many connections a second.

Twisted accepts through a generator, two loggers and a log buffer, which are there for the day descriptors run
out. These call accept(2) and leave that day to Twisted's code.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from twisted.internet import tcp, unix

from smtpsource.net.lean.transports import EagerServer, EagerUNIXServer
from smtpsource.speedups import compiled

#: No more connections are accepted in one turn.
_MOST = 200


@compiled
class _LeanPortMixin:
    """
    The accept loop. Goes in front of one of Twisted's port classes.
    """

    socket: Any
    factory: Any
    reactor: Any
    transport: Any
    addressFamily: Any
    numberAccepts: int
    sessionno: int

    if TYPE_CHECKING:

        def _buildAddr(self, address: Any) -> Any: ...

    def doRead(self) -> None:
        """
        Accept who is waiting, as many as came last time and some more if there were that many.
        """
        # Sockets made from these have no need to ask the kernel or the enum module what they are.
        accept, family = self.socket._accept, self.addressFamily
        limit = self.numberAccepts
        accepted = 0
        try:
            while accepted < limit:
                try:
                    descriptor, address = accept()
                except BlockingIOError:
                    break
                except OSError:
                    # Out of descriptors, most likely. Twisted will meet the same error, and knows a way out.
                    super().doRead()  # type: ignore[misc]
                    return
                accepted += 1
                self._accepted(socket.socket(family, socket.SOCK_STREAM, 0, descriptor), address)
            self.numberAccepts = min(limit + 20, _MOST) if accepted == limit else max(1, accepted)
        except BaseException as e:
            self.reactor.logFailure(e)

    def _accepted(self, skt: socket.socket, address: Any) -> None:
        """
        Build a protocol for a new connection, and connect it.
        """
        if len(address) == 4 and self.addressFamily == socket.AF_INET6:
            address = tcp._getrealname(address)
        protocol = self.factory.buildProtocol(self._buildAddr(address))
        if protocol is None:
            skt.close()
            return
        number = self.sessionno
        self.sessionno = number + 1
        protocol.makeConnection(self.transport(skt, protocol, address, self, number, self.reactor))


class TCPPort(_LeanPortMixin, tcp.Port):
    """
    A TCP port whose connections send at once.
    """

    transport: Any = EagerServer


class UNIXPort(_LeanPortMixin, unix.Port):
    """
    A listening UNIX socket whose connections send at once.
    """

    transport: Any = EagerUNIXServer
