"""
A connected socket that sends at once and closes without detours.

Twisted's transports queue what is written, ask to be told when the socket is writable, and send on the next
turn of the reactor: two changes of the epoll set and one more round through the event loop for each message.
This tries C{send} inside C{write} when nothing is queued before it, and queues only what the kernel did
not take.

It belongs to L{smtpsource.net.reactor.LeanReactor}; L{smtpsource.net.lean.interfaces} says what it needs of it.

Of Twisted's private names these are used: C{FileDescriptor._tempDataLen}, C{_writeDisconnecting},
C{_writeDisconnected}, C{_isSendBufferFull} and C{_maybePauseProducer}; and those of C{Connection} that this
class takes the place of: C{_closeSocket} and C{_aborting}. All are the same from 22.10 to 26.10.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from errno import EAGAIN, ENOBUFS
from typing import TYPE_CHECKING, Any
from weakref import ref

from twisted.internet import error
from twisted.internet.abstract import FileDescriptor
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python.failure import Failure

from smtpsource.speedups import compiled

if TYPE_CHECKING:
    from smtpsource.net.lean.interfaces import TransportReactor

# One Failure for all, as the reactor itself does for ConnectionDone and ConnectionLost.
_ABORTED = Failure(error.ConnectionAborted())
_DONE = Failure(CONNECTION_DONE)

# So much of a large content is sent in one turn: others want to send, too.
_MOST_AT_ONCE = 1 << 20

# Linger for no time: close(2) drops what is unsent and sends RST.
_LINGER_NOT = struct.pack("ii", 1, 0)


@compiled
class EagerDescriptor(FileDescriptor):
    """
    What client and server transports have in common: reading, writing and closing one connected socket.

    Class L{FileDescriptor} is a base so that this class can stand for the wire below a TLS layer: its
    methods go straight to the socket, whatever C{TLS} says. See L{EagerTransport.startTLS}.

    @ivar sendFailed: Whether an eager C{send} met an error other than a full buffer. The error is reported
        on a later turn; until then end-of-file counts as a lost connection, because the kernel tells a
        reset only once.
    @ivar lostProtocol: A function that returns the protocol which lost this connection, as long as there is
        one: for the names in log lines.
    """

    reactor: TransportReactor  # type: ignore[assignment]  # which is more than Twisted's IReactorFDSet
    socket: socket.socket
    protocol: Any
    sendFailed = False
    TLS = False
    _aborting = False
    _turn = -1  # The turn of the reactor in which a push producer has sent C{_sentInTurn} bytes.
    _sentInTurn = 0
    lostProtocol: Any = staticmethod(lambda: None)
    _sendmsgQueue: Any = ()  # File descriptors to send; UNIX transports have a list.
    _hasMore = False  # The producer has more, for C{sendSome}.

    # -- Writing

    def write(self, data: bytes) -> None:
        """
        Send C{data}, now if nothing waits before it.

        Never raises for the sake of the network and never calls the protocol: an error is reported through
        C{connectionLost} on a later turn.

        @raise TypeError: C{data} is not bytes.
        """
        if not isinstance(data, bytes):
            raise TypeError("Data must be bytes")
        if not self.connected or self._writeDisconnected or not data:
            return
        if (
            self._tempDataLen or self.dataBuffer or self._sendmsgQueue or self.producer is not None
        ) and self._mustQueue(len(data)):
            FileDescriptor.write(self, data)
            return
        try:
            sent = self.socket.send(data)
        except OSError as e:
            self.sendFailed = e.errno not in (EAGAIN, ENOBUFS)
            sent = 0
        if sent != len(data):
            self._keep(data, sent)

    def sendSome(self, data: memoryview) -> int:
        """
        Send the beginning of C{data}, as much as the kernel takes now, without a copy and without a queue; for the
        producer that is registered, which is asked for more (C{resumeProducing}) as soon as that makes sense, unless
        all of it was sent.

        @return: How many bytes were sent.
        """
        if self._tempDataLen or self.dataBuffer or self._sendmsgQueue:
            self.producerPaused = True  # so it is asked for more when that is sent
            return 0
        sent = 0
        if self.connected:
            try:
                sent = self.socket.send(data[:_MOST_AT_ONCE])
            except OSError as e:
                # The next turn will meet the error again, and report it as every error is reported.
                self.sendFailed = e.errno not in (EAGAIN, ENOBUFS)
        if sent < len(data) and not self._hasMore:
            self._hasMore = True
            self.startWriting()
        return sent

    def _mustQueue(self, size: int) -> bool:
        """
        Whether C{size} more bytes have to wait for their turn: because something is queued, because it is
        C{doWrite} that asks a pull producer for more, or because a push producer has written so much in this
        turn that it is to pause: a peer that reads as fast as it writes must not keep all others waiting.
        """
        if self._tempDataLen or self.dataBuffer or self._sendmsgQueue:
            return True
        if self.producer is None:
            return False
        if not self.streamingProducer:
            return True
        turn = self.reactor.turn
        if turn != self._turn:
            self._turn = turn
            self._sentInTurn = 0
        self._sentInTurn += size
        return self._sentInTurn > self.bufferSize

    def _keep(self, data: bytes, sent: int) -> None:
        """
        Queue C{data} from offset C{sent} on, without copying it.

        If C{send} failed, C{doWrite} will meet the error again and report it as every error is reported.
        """
        self.dataBuffer = data
        self.offset = sent
        self._maybePauseProducer()
        self.startWriting()

    def _isSendBufferFull(self) -> bool:
        """
        Whether more than C{bufferSize} bytes wait. Unlike the original it doesn't count what was sent.
        """
        return len(self.dataBuffer) - self.offset + self._tempDataLen > self.bufferSize

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """
        Send all of C{iovec} as one piece, now if nothing waits before it.

        @raise TypeError: One of C{iovec} is not bytes; nothing was sent.
        """
        pieces = iovec if isinstance(iovec, (list, tuple)) else list(iovec)
        for piece in pieces:
            if not isinstance(piece, bytes):
                raise TypeError("Data must be bytes")
        EagerDescriptor.write(self, b"".join(pieces))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        Take data from C{producer} until it is unregistered.

        @raise RuntimeError: There is a producer already.
        """
        FileDescriptor.registerProducer(self, producer, streaming)
        if not streaming and self.producer is producer and self.connected:
            # It gets asked for more when what was written before is sent; which it already may be.
            self.startWriting()

    def startWriting(self) -> None:
        """
        Ask the reactor to call C{doWrite}, unless the connection was aborted.
        """
        if not self._aborting:
            self.reactor.addWriter(self)

    def doWrite(self) -> Any:
        """
        Send what was queued.

        @return: C{None}, or why the connection is over.
        """
        if self._aborting:
            return None
        if not self._hasMore or self._tempDataLen or self.dataBuffer or self._sendmsgQueue:
            return FileDescriptor.doWrite(self)
        if self.sendFailed:
            return CONNECTION_LOST
        self._hasMore = False
        producer: Any = self.producer
        if producer is not None:
            producer.resumeProducing()
        if self._hasMore or not self.connected:
            return None
        # That was all of it, or what comes now is queued: what is to be done then is as always.
        return FileDescriptor.doWrite(self)

    def writeSomeData(self, data: Any) -> Any:
        """
        Send the beginning of C{data}.

        @return: How many bytes the kernel took, or why the connection is over.
        """
        try:
            return self.socket.send(memoryview(data)[: self.SEND_LIMIT])
        except OSError as e:
            return 0 if e.errno in (EAGAIN, ENOBUFS) else CONNECTION_LOST

    # -- Reading

    def startReading(self) -> None:
        """
        Ask the reactor to call C{doRead}, unless the connection was aborted.
        """
        if not self._aborting:
            self.reactor.addReader(self)

    def doRead(self) -> Any:
        """
        Hand what came in to the protocol.

        @return: C{None}, or why the connection is over.
        """
        try:
            data = self.socket.recv(self.bufferSize)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if data:
            self.protocol.dataReceived(data)
            return None
        return CONNECTION_LOST if self.sendFailed else CONNECTION_DONE

    # -- Closing

    def loseConnection(self) -> None:
        """
        Close the connection when all data has been written: at the end of this turn if it already has.
        """
        if (
            self.connected
            and not self.disconnecting
            and not self._writeDisconnecting
            and self.producer is None
            and not self._mustQueue(0)
        ):
            self.disconnecting = 1
            self.reactor.forget(self.fileno())
            self.reactor.finishSoon(self)
        else:
            FileDescriptor.loseConnection(self)

    def abortConnection(self) -> None:
        """
        Drop the connection and all unsent data, at the end of this turn: the peer gets a reset, the protocol
        C{connectionLost} with L{ConnectionAborted<error.ConnectionAborted>}.
        """
        if self.disconnected or self._aborting:
            return
        self._aborting = True
        # Nothing is read or written any more, whoever asks for it.
        self.disconnecting = 1
        self._writeDisconnected = True
        self.reactor.forget(self.fileno())
        self.reactor.finishSoon(self)

    def doSoon(self) -> Any:
        """
        Do what had to wait until the events of this turn were handled. The reactor calls this once for each
        call of C{finishSoon}.

        @return: C{None}, or why the connection is over.
        """
        if not self.connected:
            return None
        if self._aborting:
            self.connectionLost(_ABORTED)
        elif self.disconnecting and self.producer is None and not self._mustQueue(0):
            self.connectionLost(_DONE)
        return None

    def connectionLost(self, reason: Failure) -> None:
        """
        Close the socket and tell the protocol. Harmless when called again.
        """
        try:
            skt = self.socket
        except AttributeError:
            return
        self.disconnected = 1
        self.connected = 0
        if self.producer is not None:
            self.producer.stopProducing()
            self.producer = None
        self.reactor.forget(skt.fileno())
        self._closeSocket(not isinstance(reason.value, error.ConnectionAborted))
        protocol = self.protocol
        del self.protocol, self.socket, self.fileno
        try:
            self.lostProtocol = ref(protocol)
        except TypeError:  # It has slots, and none for this.
            pass
        protocol.connectionLost(reason)

    def _closeSocket(self, orderly: bool) -> None:
        """
        Close the socket.

        @param orderly: Whether to say goodbye with FIN, rather than with RST.
        """
        try:
            if orderly:
                self.socket.shutdown(socket.SHUT_RDWR)
            else:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        except OSError:
            pass
        try:
            self.socket.close()
        except OSError:
            pass
