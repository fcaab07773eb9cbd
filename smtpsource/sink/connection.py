"""
One connection of the sink, from its place among the others to its end; what is said on it is
L{smtpsource.sink.protocol}'s.

When there is a place for it, a connection may begin with a PROXY header, and after that with TLS. Then comes the
banner.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionClosed
from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from smtpsource.sink import proxy, tls

if TYPE_CHECKING:
    from smtpsource.sink.interfaces import Command, SessionFactory

UNAVAILABLE = b"421 4.3.2 Service not available, closing connection\r\n"
IDLE = b"421 4.4.2 Idle for too long, closing connection\r\n"


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class SinkConnection(LineReceiver):
    """
    Begins and ends a session.

    @ivar factory: gives the dialogue, the counters and the limits.
    @ivar commands: what to do for each verb now; see L{Dialogue}.
    @ivar active: whether anything was received since L{SinkFactory.sweep} last looked. A flag instead of a
        time: reading a clock for each chunk is not free.
    @ivar quietSince: when the sweep first found nothing received, in the reactor's seconds.
    @ivar begun: whether there is a place for it, which is when a session begins to count.
    @ivar inTransaction: whether MAIL was accepted (RFC 5321 section 3.3).
    @ivar inTLS: whether TLS has begun.
    @ivar source: the address that a PROXY header tells, as bytes; empty if there is none.
    """

    factory: SessionFactory
    commands: Mapping[bytes, Command]
    # In real life an ITLSTransport and IConsumer, such as tcp.Server.
    transport: Any

    #: For our reactor: what this raises is told to the factory, and need not be logged.
    explainsFailures = True

    active = True
    quietSince = 0.0
    begun = False
    inTransaction = False
    inTLS = False
    source = b""

    # What has come of a PROXY header.
    _header = b""
    # A PROXY header or a handshake is not complete: nothing can be said.
    _mute = False
    # The reply to STARTTLS is on its way.
    _wantsTLS = False
    # Nothing that follows in this connection is looked at; it closes once the replies are out.
    _ended = False
    # The sink is ending: no new transaction; and none may be completed if _refusing.
    _ending = False
    _refusing = False

    def connectionMade(self) -> None:
        """
        Ask for a place; the factory says L{begin} when there is one.
        """
        factory = self.factory
        self.counts = factory.counts
        self.dialogue = factory.dialogue
        self.commands = factory.dialogue.commands
        # A client that doesn't read its replies is not read from either: see pauseProducing.
        self.transport.registerProducer(self, True)
        factory.connected(self)

    def begin(self) -> None:
        """
        There is a place: the session begins.
        """
        self.begun = True
        if self.factory.proxyProtocol:
            self._mute = True
            # So it costs those nothing that have none.
            self.dataReceived = self._headerReceived  # type: ignore[method-assign]
        else:
            self._open()

    def _open(self) -> None:
        """
        Send the banner, in TLS if the client speaks it from the first byte on.
        """
        if self.factory.implicitTLS:
            self._startTLS()
        else:
            self._greet()

    def _greet(self) -> None:
        """
        Send the banner.
        """
        self._send(self.dialogue.banner)

    def _headerReceived(self, data: bytes) -> None:
        """
        Take data until there is a PROXY header.
        """
        self.active = True
        self._header += data
        counts = self.counts
        counts.bytesReceived += len(data)
        try:
            found = proxy.parse(self._header)
        except ValueError:
            del self.dataReceived
            counts.error("proxy", self._header)
            self._ended = True
            self._close()
            return
        if found is None:
            return
        del self.dataReceived
        self._mute = False
        source, length = found
        rest, self._header = self._header[length:], b""
        counts.proxied(source)
        self.source = source
        self._open()
        if rest:
            counts.bytesReceived -= len(rest)
            # It may belong to a TLS layer that is there since just now.
            (self.transport.protocol if self.inTLS else self).dataReceived(rest)

    def end(self) -> None:
        """
        Look at nothing that follows, and close when the replies up to here are written.
        """
        self._ended = True

    def startTLSAfterReply(self) -> None:
        """
        Start TLS when the reply to this command, the last one that is looked at, is written.
        """
        self._ended = self._wantsTLS = True

    def _startTLS(self) -> None:
        """
        Let all that follows be TLS.

        @see: L{handshakeCompleted}
        """
        self.inTLS = self._mute = True
        self.factory.tls.prepare()
        self.transport.startTLS(self.factory.tls)

    def handshakeCompleted(self) -> None:
        """
        There is TLS now.
        """
        if not self._mute:
            return
        self._mute = False
        self.counts.handshake(tls.resumed(self.transport.getHandle()))
        if self.factory.implicitTLS:
            self._greet()

    def beginAnew(self) -> None:
        """
        Forget all that the client has said.
        """
        raise NotImplementedError

    # The end of a session that isn't the client's own wish.

    def endSoon(self) -> None:
        """
        The sink is stopping: a session without a transaction ends now, another one after its transaction.
        """
        self._ending = True
        if self.inTransaction and not self._refusing:
            self.commands = self.dialogue.toComplete
        elif not self._ended:
            self._endWith(UNAVAILABLE)

    def refuseMore(self) -> None:
        """
        The sink has all the messages it wants: the client may only quit.
        """
        self._ending = self._refusing = True
        self.commands = self.dialogue.toQuit

    def idledOut(self) -> None:
        """
        Nothing was received for too long: say so and close, or abort if that was of no use.
        """
        if self._ended:
            self.abort()
        else:
            self.counts.error("timeout", b"")
            self._endWith(IDLE)

    def abort(self) -> None:
        """
        Drop the connection, whatever is in the way of an orderly end.
        """
        self._ended = self._ending = True
        self.transport.abortConnection()

    def readConnectionLost(self) -> None:
        """
        The client has said all it wants to; it may still be reading replies, as C{nc -N} does.
        """
        if self.inTransaction and not self._ending:
            self.counts.error("lost", b"the client closed the connection in a transaction")
        self._ended = True
        self._close()

    def writeConnectionLost(self) -> None:
        """
        Never happens: this side closes both directions at once.
        """

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The session is over.
        """
        # An old twisted.mail changes the value for all connections, but not the type; to look at that takes longer.
        isClosed = isinstance(reason.value, ConnectionClosed) or reason.check(ConnectionClosed)
        if not isClosed and not tls.isTLSError(reason.value):
            self.factory.whenBroken(reason.value)
        elif not (self._ended or self._ending):
            if self.inTLS and (self._mute or tls.isTLSError(reason.value)):
                self.counts.error("tls", tls.explained(reason.value).encode())
            elif self._mute:
                self.counts.error("proxy", self._header)
            elif self.inTransaction:
                self.counts.error("lost", reason.getErrorMessage().encode())
        self._ended = True
        self.factory.disconnected(self)

    def _send(self, reply: bytes) -> None:
        self.counts.bytesSent += len(reply)
        self.transport.write(reply)

    def _endWith(self, reply: bytes) -> None:
        if self._mute:
            self.abort()
            return
        self._ended = True
        self._send(reply)
        self._close()

    def _close(self) -> None:
        if self._wantsTLS:
            self._ended = self._wantsTLS = False
            self.beginAnew()
            self._startTLS()
        elif self.transport is not None and not self.transport.disconnecting:
            # There may be none, without memory. It does not close as long as it has a producer that is paused.
            self.transport.unregisterProducer()
            self.transport.loseConnection()
