"""
TLS above the descriptor of a transport: Twisted's own layer, but for one thing. It is imported when a connection
starts TLS, and not before: OpenSSL takes longer to load than all the rest.

Of Twisted's private names these are used: C{_newtls.ConnectionMixin}, C{_newtls._BypassTLS}, its C{_connection}, and
C{TLSMemoryBIOProtocol._tlsShutdownFinished}. All of them are the same from 22.10 to 26.10.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import _newtls
from twisted.internet.interfaces import ISSLTransport
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import directlyProvides

from smtpsource.net.lean.descriptor import EagerDescriptor

#: The methods of a transport that pass through its TLS layer, once it has one.
_THROUGH_TLS = ("write", "writeSequence", "loseConnection", "registerProducer", "unregisterProducer")


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
        transport: Any = self.transport._connection
        TLSMemoryBIOProtocol.connectionLost(self, reason)
        # Nothing is written any more, through TLS or otherwise.
        for name in (*_THROUGH_TLS, "getHandle", "getPeerCertificate"):
            vars(transport).pop(name, None)


def startTLS(transport: Any, contextFactory: Any, client: bool) -> None:
    """
    From here on the application's bytes pass through a TLS layer, and those of the TLS layer go straight to the socket.

    @param transport: an L{EagerTransport<smtpsource.net.lean.transports.EagerTransport>}.
    @param contextFactory: what makes the connection of OpenSSL, as Twisted has it.
    @param client: whether this is the end that begins the handshake.
    """
    # The instance gets the methods which know this: before startTLS nobody needs to ask.
    for name in _THROUGH_TLS:
        setattr(transport, name, getattr(_newtls.ConnectionMixin, name).__get__(transport))
    # What follows is _newtls.startTLS, but for the layer's class.
    producer, streaming = transport.producer, transport.streamingProducer
    if producer is not None:
        transport.unregisterProducer()
    factory = TLSMemoryBIOFactory(contextFactory, client, None)  # type: ignore[arg-type]
    transport.protocol = layer = _WholeWrites(factory, transport.protocol, False)
    transport.getHandle = layer.getHandle
    transport.getPeerCertificate = layer.getPeerCertificate
    directlyProvides(transport, ISSLTransport)
    transport.TLS = True
    layer.makeConnection(_newtls._BypassTLS(EagerDescriptor, transport))
    if producer is not None:
        transport.registerProducer(producer, streaming)
