"""
The transports of accepted connections, and what they share with those of clients.

See L{smtpsource.net.lean.descriptor} for what they do; here it meets Twisted's transport classes.

Of Twisted's private names these are used: C{FileDescriptor._tempDataBuffer}, C{_tempDataLen},
C{Server._addressType}, C{_getLogPrefix}, C{unix._SendmsgMixin}, C{_newtls.ConnectionMixin},
C{_newtls._BypassTLS} and C{TLSMemoryBIOProtocol._tlsShutdownFinished}. All of them are the same from 22.10 to 26.10.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet import tcp, unix
from twisted.internet.address import IPv6Address
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python import log
from twisted.python.failure import Failure
from zope.interface import directlyProvides

from smtpsource.net.lean.descriptor import EagerDescriptor
from smtpsource.speedups import compiled

try:
    from twisted.internet import _newtls
    from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
except ImportError:  # No pyOpenSSL: there is no startTLS to take care of.
    _newtls = None  # type: ignore[assignment]
else:

    class _WholeWrites(TLSMemoryBIOFactory.protocol):  # type: ignore[misc,valid-type]
        """
        A TLS layer that writes at once. Twisted's own, in newer versions, keeps small writes for the reactor's next
        turn; here a turn costs more than a write, and writes are whole already. For those who look it is of that class.
        """

        __init__ = TLSMemoryBIOProtocol.__init__
        write = TLSMemoryBIOProtocol.write
        writeSequence = TLSMemoryBIOProtocol.writeSequence
        loseConnection = TLSMemoryBIOProtocol.loseConnection

        # What leads back to itself stays until the garbage collector comes, and with it OpenSSL's 50 kB for each
        # connection. So that is cut: a failure has a frame in which it is a variable, a transport has its own methods.

        def _tlsShutdownFinished(self, reason: Failure | None) -> None:
            if reason is not None:
                reason.cleanFailure()
            super()._tlsShutdownFinished(reason)

        def connectionLost(self, reason: Failure) -> None:
            """
            The connection is gone, and the transport knows nothing of this layer any more.
            """
            transport: Any = self.transport
            TLSMemoryBIOProtocol.connectionLost(self, reason)
            transport.forgetTLS()


if TYPE_CHECKING:
    from smtpsource.net.lean.interfaces import TransportReactor

#: The methods of a transport that pass through its TLS layer, once it has one.
_THROUGH_TLS = ("write", "writeSequence", "loseConnection", "registerProducer", "unregisterProducer")

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

    _tlsClientDefault: bool

    def startTLS(self, ctx: Any, normal: bool = True) -> None:
        """
        @see: L{twisted.internet.interfaces.ITLSTransport.startTLS}
        """
        # From here on the application's bytes pass through the TLS layer, and those of the TLS layer go
        # straight to the socket. The instance gets the methods which know this: before startTLS nobody
        # needs to ask.
        for name in _THROUGH_TLS:
            setattr(self, name, getattr(_newtls.ConnectionMixin, name).__get__(self))
        # What follows is _newtls.startTLS, but for the layer's class.
        client = self._tlsClientDefault if normal else not self._tlsClientDefault
        producer, streaming = self.producer, self.streamingProducer
        if producer is not None:
            self.unregisterProducer()
        factory = TLSMemoryBIOFactory(ctx, client, None)  # type: ignore[arg-type]
        self.protocol = layer = _WholeWrites(factory, self.protocol, False)
        self.getHandle = layer.getHandle
        self.getPeerCertificate = layer.getPeerCertificate
        directlyProvides(self, ISSLTransport)
        self.TLS = True
        layer.makeConnection(_newtls._BypassTLS(EagerDescriptor, self))
        if producer is not None:
            self.registerProducer(producer, streaming)

    def forgetTLS(self) -> None:
        """
        The connection is gone: nothing is written any more, through TLS or otherwise.
        """
        for name in (*_THROUGH_TLS, "getHandle", "getPeerCertificate"):
            self.__dict__.pop(name, None)

    def _makeLogstr(self) -> str:
        """
        What log lines about this connection begin with.
        """
        protocol = getattr(self, "protocol", None) or self.lostProtocol()
        return "Uninitialized" if protocol is None else self._nameFor(self._getLogPrefix(protocol))

    def _nameFor(self, prefix: str) -> str:
        return f"{prefix},client"

    logstr: Any = _WhenAsked(_makeLogstr)


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
