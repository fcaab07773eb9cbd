"""
The transports of accepted connections, and what they share with those of clients.

See L{smtpsource.net.lean.descriptor} for what they do; here it meets Twisted's transport classes.

Of Twisted's private names these are used: C{FileDescriptor._tempDataBuffer}, C{_tempDataLen},
C{Server._addressType}, C{_getLogPrefix} and C{unix._SendmsgMixin}. All of them are the same from 22.10 to 26.10.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from twisted.internet import tcp, unix
from twisted.internet.address import IPv6Address
from twisted.internet.interfaces import ITLSTransport
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python import log
from zope.interface import classImplements

from smtpsource.net.lean.descriptor import EagerDescriptor
from smtpsource.speedups import compiled

if TYPE_CHECKING:
    from smtpsource.net.lean.interfaces import TransportReactor

_ANCILLARY_SIZE = socket.CMSG_SPACE(4096)


class _WhenAsked:
    """
    An attribute that is worked out each time somebody asks, until it is set.
    """

    def __init__(self, value: Callable[[Any], Any]) -> None:
        self.value = value

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self if instance is None else self.value(instance)


class EagerTransport(EagerDescriptor):
    """
    L{EagerDescriptor} with a TLS layer on demand and names for the log. Goes in front of one of Twisted's
    transport classes.
    """

    # What Twisted's classes say as well, where they have found TLS when they were imported.
    _tlsClientDefault = True

    def startTLS(self, ctx: Any, normal: bool = True) -> None:
        """
        @see: L{twisted.internet.interfaces.ITLSTransport.startTLS}
        """
        from smtpsource.net.lean.tls import startTLS  # and OpenSSL with it, which most runs never need

        startTLS(self, ctx, self._tlsClientDefault if normal else not self._tlsClientDefault)

    def _makeLogstr(self) -> str:
        """
        What log lines about this connection begin with.
        """
        protocol = getattr(self, "protocol", None) or self.lostProtocol()
        return "Uninitialized" if protocol is None else self._nameFor(self._getLogPrefix(protocol))

    def _nameFor(self, prefix: str) -> str:
        return f"{prefix},client"

    logstr: Any = _WhenAsked(_makeLogstr)


def _openSSLIsThere() -> bool:
    """
    Could it be imported? That it is there is found without doing so.
    """
    try:
        return find_spec("OpenSSL") is not None
    except (ImportError, ValueError):
        return False


if _openSSLIsThere():
    classImplements(EagerTransport, ITLSTransport)  # type: ignore[misc]  # the rest is in the classes made of it


@compiled
class UNIXMixin(unix._SendmsgMixin):
    """
    What differs for UNIX sockets: file descriptors can be sent and received along with bytes.
    """

    _writeSomeDataBase: Any = EagerDescriptor
    socket: Any
    protocol: Any
    bufferSize: int
    sendFailed: bool
    logPrefix: Any

    writeSomeData = unix._SendmsgMixin.writeSomeData
    _isSendBufferFull = unix._SendmsgMixin._isSendBufferFull

    def doRead(self) -> Any:
        """
        Hand what came in to the protocol.

        @return: C{None}, or why the connection is over.
        """
        try:
            data, ancillary, _, _ = self.socket.recvmsg(self.bufferSize, _ANCILLARY_SIZE)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if ancillary:
            self._ancillaryReceived(ancillary)
        if data:
            self.protocol.dataReceived(data)
            return None
        return CONNECTION_LOST if self.sendFailed else CONNECTION_DONE

    def _ancillaryReceived(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        """
        Hand over the file descriptors that came along, or close them where nobody wants them.
        """
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self._ancillaryLevelSOLSOCKETTypeSCMRIGHTS(data)
            else:
                log.msg(f"{self.logPrefix()} received unsupported ancillary data ({level=}, {kind=}).")

    def getTcpNoDelay(self) -> bool:
        """
        There is no such thing on UNIX sockets.
        """
        return False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """
        There is no such thing on UNIX sockets: do nothing.
        """


class EagerServer(EagerTransport, tcp.Server):
    """
    The transport of an accepted TCP connection.
    """

    _tlsClientDefault = False

    def __init__(
        self,
        sock: socket.socket,
        protocol: Any,
        client: tuple[Any, ...],
        server: Any,
        sessionno: int,
        reactor: TransportReactor,
    ) -> None:
        # The work of four constructors, without the strings that only a log or repr() would want.
        sock.setblocking(False)
        self.reactor = reactor
        self._tempDataBuffer = []
        self._tempDataLen = 0
        self.socket = sock
        self.fileno = sock.fileno
        self.protocol = protocol
        self.server = server
        self.client = client
        self.sessionno = sessionno
        self.hostname = client[0]
        if len(client) != 2:
            self._addressType = IPv6Address
        reactor.watchReading(sock.fileno(), self)
        self.connected = 1

    def _nameFor(self, prefix: str) -> str:
        return f"{prefix},{self.sessionno},{self.hostname}"

    def _makeRepstr(self) -> str:
        """
        What C{repr()} says.
        """
        protocol = getattr(self, "protocol", None) or self.lostProtocol()
        port = getattr(self.server, "_realPortNumber", None)
        return f"<{protocol.__class__.__name__} #{self.sessionno} on {port}>"

    repstr: Any = _WhenAsked(_makeRepstr)


class EagerUNIXServer(UNIXMixin, EagerServer, unix.Server):
    """
    The transport of an accepted UNIX connection.
    """

    def __init__(
        self,
        sock: socket.socket,
        protocol: Any,
        client: Any,
        server: Any,
        sessionno: int,
        reactor: TransportReactor,
    ) -> None:
        self._sendmsgQueue: list[int] = []
        EagerServer.__init__(self, sock, protocol, (client, None), server, sessionno, reactor)
