"""
TLS above the descriptor of a transport. It is imported when a connection starts TLS, and not before: OpenSSL takes
longer to load than all the rest.

It is Twisted's own layer with a shorter way for what nearly always happens once a handshake is complete: records come,
and records are sent. For each of them pyOpenSSL would be called six times, and would raise an exception twice, to say
that there is no more to read and that there is nothing to send. All else is left to Twisted's layer: the handshake,
what can't be written yet, errors, and the end.

Of Twisted's private names these are used: C{_newtls.ConnectionMixin}, C{_newtls._BypassTLS}, its C{_connection}, and
of C{TLSMemoryBIOProtocol} C{_tlsConnection}, C{_handshakeDone}, C{_lostTLSConnection}, C{_appSendBuffer},
C{_checkHandshakeStatus}, C{_flushSendBIO}, C{_flushReceiveBIO} and C{_tlsShutdownFinished}. All of them are the same
from 22.10 to 26.10. Of pyOpenSSL's: C{SSL._lib}, C{SSL._ffi}, and C{_ssl}, C{_into_ssl} and C{_from_ssl} of a
C{Connection}. Where one of these is not there, everything goes Twisted's way.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

from OpenSSL import SSL
from twisted.internet import _newtls
from twisted.internet.interfaces import ISSLTransport, ITransport
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import directlyProvides, implementer

from smtpsource.net.lean.descriptor import EagerDescriptor

#: The methods of a transport that pass through its TLS layer, once it has one.
_THROUGH_TLS = ("write", "writeSequence", "loseConnection", "registerProducer", "unregisterProducer")

#: Methods of pyOpenSSL's connection that the short way does without: unless a class has others of its own.
_SKIPPED = ("recv", "send", "bio_read", "bio_write")

#: The most bytes of text in a record (RFC 8446 section 5.1).
_RECORD = 2**14

#: Bytes of a buffer: there is room for a record, encrypted, and for what OpenSSL itself may have to say before it.
_ROOM = 2**16

#: tcp(7), of Linux.
_QUICK_ACK = getattr(socket, "TCP_QUICKACK", 12)

_lib: Any = getattr(SSL, "_lib", None)
_ffi: Any = getattr(SSL, "_ffi", None)

try:
    _read, _write, _whatIsWrong = _lib.SSL_read, _lib.SSL_write, _lib.SSL_get_error
    _feed, _fetch, _waiting = _lib.BIO_write, _lib.BIO_read, _lib.BIO_get_mem_data
    _WANT_READ = _lib.SSL_ERROR_WANT_READ
    _unpack, _NOWHERE = _ffi.unpack, _ffi.NULL
except AttributeError:
    _known = False
else:
    _known = True

_buffers = threading.local()


def _buffer() -> Any:
    """
    What OpenSSL writes to. One for each thread is enough: what is there is copied at once.
    """
    try:
        return _buffers.buffer
    except AttributeError:
        _buffers.buffer = _ffi.new("char[]", _ROOM)
        return _buffers.buffer


@cache
def _isPlain(kind: Any) -> bool:
    """
    Has this class of connections no methods of its own for what the short way does without?
    """
    return _known and all(getattr(kind, name, None) is getattr(SSL.Connection, name) for name in _SKIPPED)


@implementer(ITransport)
class _Wire(_newtls._BypassTLS):
    """
    What a layer writes to. It says itself what it is, and not that it is all that the transport is: Twisted's layer
    would say the same of itself, one interface after the other, which takes more than a tenth of Python's part of a new
    connection, and only the last would remain.
    """


class _TLSLayer(TLSMemoryBIOFactory.protocol):  # type: ignore[misc,valid-type]
    """
    A TLS layer that writes at once. Twisted's own, in newer versions, keeps small writes for the reactor's next
    turn; here a turn costs more than a write, and writes are whole already. For those who look it is of that class.

    @ivar isClient: has this end begun the handshake?
    @ivar _straight: Takes the short way, or Twisted's: called with which. C{None} as long as there is no short one.
    """

    _straight: Callable[[bool], None] | None = None
    isClient = False

    __init__ = TLSMemoryBIOProtocol.__init__
    write = TLSMemoryBIOProtocol.write
    writeSequence = TLSMemoryBIOProtocol.writeSequence

    def _checkHandshakeStatus(self) -> None:
        TLSMemoryBIOProtocol._checkHandshakeStatus(self)
        if self._handshakeDone and self.isClient:
            self._acknowledgeSoon()
        self._goStraight()

    def _acknowledgeSoon(self) -> None:
        """
        Acknowledge at once what the server sends now. After a handshake of TLS 1.3 that are tickets for other sessions;
        a server that has not switched off Nagle's algorithm (RFC 896) says nothing else before, and what we have said
        already would have to wait for our delayed acknowledgement: 40 ms that are not the server's.
        """
        try:
            self.transport._connection.socket.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
        except (AttributeError, OSError):
            pass  # no TCP, or it is closed

    def _goStraight(self) -> None:
        """
        Take the short way from now on: if the handshake is complete, nothing waits to be written, and nobody wants the
        connection to end.
        """
        if not self._handshakeDone or self._appSendBuffer or self.disconnecting or self._lostTLSConnection:
            return
        if self._straight is None:
            kind: Any = type(self._tlsConnection)
            if not _isPlain(kind):
                return
            transport = self.transport._connection
            # They are no methods: Python is slow to find what belongs to an object that has a __getattr__.
            self.dataReceived, transport.write, self._straight = _shortWay(self, self._tlsConnection, transport)
        self._straight(True)

    def _goRound(self) -> None:
        """
        Leave everything to Twisted's layer.
        """
        if self._straight is not None:
            self._straight(False)

    def _bufferedWrite(self, octets: bytes) -> None:
        self._goRound()
        TLSMemoryBIOProtocol._bufferedWrite(self, octets)

    def _unbufferPendingWrites(self) -> None:
        TLSMemoryBIOProtocol._unbufferPendingWrites(self)
        self._goStraight()

    def loseConnection(self) -> None:
        """
        Say goodbye when everything has been written.
        """
        self._goRound()
        TLSMemoryBIOProtocol.loseConnection(self)

    def abortConnection(self) -> None:
        """
        Drop the connection: nothing that comes or is written counts any more.
        """
        self._goRound()
        TLSMemoryBIOProtocol.abortConnection(self)

    # What leads back to itself stays until the garbage collector comes, and with it OpenSSL's 50 kB for each
    # connection. So that is cut: a failure has a frame in which it is a variable, a transport has its own methods.

    def _tlsShutdownFinished(self, reason: Failure | None) -> None:
        self._goRound()
        if reason is not None:
            reason.cleanFailure()
        super()._tlsShutdownFinished(reason)

    def connectionLost(self, reason: Failure) -> None:
        """
        The connection is gone, and the transport knows nothing of this layer any more.
        """
        self._goRound()
        self._straight = None
        self.__dict__.pop("dataReceived", None)
        wire: Any = self.transport
        if wire is None:  # there was no memory to begin with
            self.wrappedProtocol.connectionLost(reason)
            return
        transport: Any = wire._connection
        TLSMemoryBIOProtocol.connectionLost(self, reason)
        # Nothing is written any more, through TLS or otherwise.
        for name in (*_THROUGH_TLS, "getHandle", "getPeerCertificate"):
            vars(transport).pop(name, None)


def _shortWay(
    layer: _TLSLayer, connection: Any, transport: Any
) -> tuple[Callable[[bytes], None], Callable[[bytes], None], Callable[[bool], None]]:
    """
    The short way, in and out.

    @return: what takes the place of the layer's C{dataReceived}; of the transport's C{write}; and what is told whether
        they are to go Twisted's way instead, as somebody may have kept them.
    """
    ssl = connection._ssl  # which owns the two that follow
    incoming, outgoing = connection._into_ssl, connection._from_ssl
    room = _buffer()
    send = EagerDescriptor.write.__get__(transport)
    straight = False

    def dataReceived(data: bytes) -> None:
        if not straight or _feed(incoming, data, len(data)) <= 0:
            TLSMemoryBIOProtocol.dataReceived(layer, data)
            return
        while straight:
            size = _read(ssl, room, _ROOM)
            if size > 0:
                layer.wrappedProtocol.dataReceived(_unpack(room, size))
                # OpenSSL takes no more than a record: to have it read ahead is nothing that pyOpenSSL could ask for.
                if not _waiting(incoming, _NOWHERE):
                    break
            elif _whatIsWrong(ssl, size) == _WANT_READ:
                break
            else:
                # The end, or an error: asked again, OpenSSL says the same.
                layer._flushReceiveBIO()
                return
        else:
            # Somebody has changed what there is to do, and there is more to read.
            layer._flushReceiveBIO()
            return
        if _waiting(outgoing, _NOWHERE):
            layer._flushSendBIO()

    def write(data: bytes) -> None:
        if not straight or not isinstance(data, bytes):
            layer.write(data)
            return
        size = len(data)
        done = 0
        if 0 < size <= _RECORD:
            done = _write(ssl, data, size)
            if done > 0:
                send(_unpack(room, _fetch(outgoing, room, _ROOM)))
        elif size:
            records = []
            start = _ffi.from_buffer(data)
            while done < size and (taken := _write(ssl, start + done, min(size - done, _RECORD))) > 0:
                done += taken
                records.append(_unpack(room, _fetch(outgoing, room, _ROOM)))
            send(b"".join(records))
        if done < size:
            # Such as that OpenSSL has to read first. To be asked again does not confuse it.
            layer.write(data[max(done, 0) :])

    def goStraight(wanted: bool) -> None:
        nonlocal straight
        straight = wanted

    return dataReceived, write, goStraight


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
    transport.protocol = layer = _TLSLayer(factory, transport.protocol, False)
    layer.isClient = client
    transport.getHandle = layer.getHandle
    transport.getPeerCertificate = layer.getPeerCertificate
    directlyProvides(transport, ISSLTransport)
    transport.TLS = True
    layer.makeConnection(_Wire(EagerDescriptor, transport))
    if producer is not None:
        transport.registerProducer(producer, streaming)
