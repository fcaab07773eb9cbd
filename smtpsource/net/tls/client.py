"""
TLS for the client's connections.

L{TLSSettings<smtpsource.net.tls.settings.TLSSettings>} says what is wanted, L{ClientTLS} makes an OpenSSL context of
that once for a run, and each connection gets a L{TLSConnection} to pass to C{transport.startTLS}. The protocol above
provides L{IHandshakeListener<twisted.internet.interfaces.IHandshakeListener>} and uses it like this::

    def handshakeCompleted(self):       # before any decrypted byte comes
        try:
            self.tls.completed()
        except TLSFailed as e:          # C{dataReceived} may still be called in this turn
            self.transport.abortConnection()

    def dataReceived(self, data):
        self.tls.remember()             # the first time only; the server's session tickets came before the data

    def connectionLost(self, reason):
        explanation = self.tls.explained(reason)

All that has to do with pyOpenSSL and service_identity is in this folder, whose modules can be imported without them:
L{ClientTLS} says what is missing.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.python.failure import Failure
from zope.interface import implementer

from smtpsource.net.tls.context import context
from smtpsource.net.tls.settings import TLSSettings, UnusableSetting
from smtpsource.net.tls.words import CLOSED, errorText, oneLine, refusalText, wrongName
from smtpsource.process.unexpected import checkHeadroom

try:
    from cryptography import x509
    from OpenSSL import SSL
    from service_identity import VerificationError
    from service_identity.hazmat import DNS_ID
    from service_identity.pyopenssl import verify_hostname, verify_ip_address
except ImportError as e:
    _missing: ImportError | None = e
else:
    _missing = None

    class _Connection(SSL.Connection):
        """
        An OpenSSL connection that remembers why its server's certificate was refused.

        @ivar refusal: The number of OpenSSL's error, how far from the server's own certificate, and the certificate;
            C{None} as long as there is nothing against it.
        """

        refusal: tuple[int, int, X509] | None = None

        def do_handshake(self) -> None:
            """
            @see: C{SSL.Connection.do_handshake}

            @raise SSL.SysCallError: also if the server says goodbye in the middle: Twisted (up to 26.10 at least)
                trips over the C{ZeroReturnError}, which has no arguments.
            """
            try:
                super().do_handshake()
            except SSL.ZeroReturnError:
                raise SSL.SysCallError(-1, "Unexpected EOF")


if TYPE_CHECKING:
    from OpenSSL.crypto import X509
    from twisted.protocols.tls import TLSMemoryBIOProtocol

CERTIFICATE_REFUSED = "certificate-refused"
TLS_FAILED = "tls-failed"


class TLSFailed(Exception):
    """
    There is no TLS with this server, or none with one that is to be trusted.

    @ivar kind: C{"certificate-refused"} or C{"tls-failed"}.
    @ivar text: one line for people.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(kind, text)
        self.kind = kind
        self.text = text

    def __str__(self) -> str:
        return self.text


class _Server:
    """
    What is known of the host that connections are made to.

    @ivar sni: the name to ask for, or C{None}.
    @ivar name: the name to verify: an IP address if C{sni} is C{None}.
    @ivar problem: why there is no name to verify; empty if there is one.
    @ivar session: what the last connection that had one has left.
    @ivar secret: by which that session is known again.
    @ivar verified: the certificate whose name was found to be right last: it hardly ever changes.
    """

    session: SSL.Session | None = None
    secret: bytes | None = None
    verified: x509.Certificate | None = None

    def __init__(self, sni: bytes | None, name: str, problem: str = "") -> None:
        self.sni = sni
        self.name = name
        self.problem = problem


class ClientTLS:
    """
    The TLS of a run: one OpenSSL context for all its connections.
    """

    def __init__(self, settings: TLSSettings, host: str | None) -> None:
        """
        @param host: the name or address that is connected to; C{None} for a UNIX socket.

        @raise ValueError: this cannot be done; the text is one line that says why.
        """
        if _missing is not None:
            raise ValueError(f"TLS needs pyOpenSSL and service_identity: pip install 'smtpsource[tls]' ({_missing})")
        self.verify = settings.verify
        self.resume = settings.resume
        self._settings = settings
        self._servers: dict[str | None, _Server] = {None: _Server(*_names(settings, host))}
        self.context = context(settings)

    def connection(self, host: str | None = None) -> TLSConnection:
        """
        What one connection needs.

        @param host: what it is connected to, if that is not what all are.
        """
        return TLSConnection(self, self.server(host))

    def server(self, host: str | None = None) -> _Server:
        """
        What is known of a host. If the settings have a name it is the same for all.
        """
        if self._settings.serverName is not None:
            host = None
        server = self._servers.get(host)
        if server is None:
            try:
                server = _Server(*_names(self._settings, host))
            except ValueError as e:
                server = _Server(None, "", str(e))
            self._servers[host] = server
        return server


@implementer(IOpenSSLClientConnectionCreator)
class TLSConnection:
    """
    The TLS of one connection, and the argument of its C{startTLS}.

    @ivar resumed: Whether the handshake was an abbreviated one: known when L{completed} was called.
    @ivar description: Version and cipher, such as C{"TLSv1.3 TLS_AES_256_GCM_SHA384"}: known when L{completed} was
        called, and empty before.
    """

    resumed = False
    description = ""
    # Dropped as soon as it is not needed any more: it leads to the protocol and so back to here.
    _connection: _Connection | None = None
    _handshaking = False
    _failed: TLSFailed | None = None
    _offered: bytes | None = None  # The secret of the session that was offered.
    _secret: bytes | None = None  # Ours when the handshake was complete.

    def __init__(self, tls: ClientTLS, server: _Server) -> None:
        self._tls = tls
        self._server = server

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """
        @see: L{IOpenSSLClientConnectionCreator.clientConnectionForTLS}
        """
        server = self._server
        checkHeadroom()  # pyOpenSSL does not look whether OpenSSL had memory for a connection, and crashes
        connection = self._connection = _Connection(self._tls.context, None)
        self._handshaking = True
        if server.sni is not None:
            connection.set_tlsext_host_name(server.sni)
        if server.session is not None:
            connection.set_session(server.session)
            self._offered = server.secret
        return connection

    def completed(self) -> None:
        """
        Take note that the handshake is complete. To be called from C{handshakeCompleted}: before data, and with it
        tickets for new sessions, are decrypted.

        @raise TLSFailed: the certificate is for others. The connection is to be aborted.
        """
        connection, tls = self._connection, self._tls
        if connection is None or not self._handshaking:
            return
        self._handshaking = False
        self.description = f"{connection.get_protocol_version_name()} {connection.get_cipher_name()}"
        if tls.resume:
            self._secret = _secret(connection)
            if self._offered is not None:
                self.resumed = _resumed(connection, self._secret, self._offered)
        else:
            self._connection = None
        # In a session that is resumed the certificate is that of a connection where it was verified.
        if tls.verify and not self.resumed:
            try:
                _verifyName(self._server, connection)
            except TLSFailed as e:
                self._failed = e
                self._connection = None
                raise

    def remember(self) -> None:
        """
        Offer this connection's session to the next ones. To be called once, with the first data that comes after the
        handshake: the tickets of TLS 1.3 come before it. Does nothing unless sessions are to be resumed.
        """
        connection, server = self._connection, self._server
        if connection is None or self._handshaking:
            return
        self._connection = None
        secret = _secret(connection)
        if secret is None:
            return
        if secret == self._secret and connection.get_protocol_version_name() == "TLSv1.3":
            # No ticket has come. Without one a session of TLS 1.3 cannot be resumed, and one that was resumed is still
            # the same.
            return
        session = connection.get_session()
        if session is not None:
            server.session, server.secret = session, secret

    def explained(self, reason: Failure) -> tuple[str, str] | None:
        """
        What the end of the connection has to do with TLS.

        @param reason: what C{connectionLost} was called with.

        @return: C{"certificate-refused"} or C{"tls-failed"}, and one line of text; C{None} if it is none of TLS's
            business.
        """
        connection, self._connection = self._connection, None
        if self._failed is not None:
            return self._failed.kind, self._failed.text
        if connection is not None and connection.refusal is not None:
            return CERTIFICATE_REFUSED, refusalText(*connection.refusal)
        error = reason.value
        if _missing is None and isinstance(error, SSL.Error):
            return TLS_FAILED, errorText(error)
        if isinstance(error, ConnectionAborted) or not isinstance(error, (ConnectionDone, ConnectionLost)):
            return None
        return (TLS_FAILED, CLOSED) if self._handshaking else None


def _names(settings: TLSSettings, host: str | None) -> tuple[bytes | None, str]:
    """
    @return: what to send as SNI, and the name to verify: an IP address if the former is C{None}.

    @raise ValueError: there is nothing to verify, or it is not a name.
    """
    name = host if settings.serverName is None else settings.serverName
    if name is None:
        if settings.verify:
            raise UnusableSetting(
                "serverName", "cannot verify a certificate without a server name: expected serverName"
            )
        return None, ""
    try:
        # RFC 6066 section 3: no addresses. The zone of a link-local one is none of the certificate's business either.
        return None, str(ipaddress.ip_address(name.partition("%")[0]))
    except ValueError:
        pass
    try:
        # Likewise: no trailing dot, and internationalized names in their ASCII form.
        sni: bytes = DNS_ID(name.removesuffix(".")).hostname
    except (ValueError, ImportError) as e:
        if settings.serverName is None and not settings.verify:
            # Such as 2130706433, which is an address to the resolver and nothing to anybody else.
            return None, ""
        raise UnusableSetting("serverName", f"{name!r} is not a server name that a certificate could have ({e})")
    return sni, sni.decode("ascii")


def _secret(connection: SSL.Connection) -> bytes | None:
    """
    What tells the sessions of a connection apart: the master secret, and in TLS 1.3 the pre-shared key.

    In a full handshake of TLS 1.3 there is none before the first ticket has come.
    """
    try:
        return connection.master_key()
    except SSL.Error:
        return None


def _resumed(connection: SSL.Connection, secret: bytes | None, offered: bytes) -> bool:
    """
    Was the session resumed that was offered?

    pyOpenSSL (26.4) does not say. But only in an abbreviated handshake the secret of the session is the old one, until
    in TLS 1.3 the next ticket comes.
    """
    reused = getattr(connection, "session_reused", None)
    return bool(reused()) if reused is not None else secret == offered


def _verifyName(server: _Server, connection: SSL.Connection) -> None:
    """
    Is the certificate for the server that was asked for?

    @raise TLSFailed: it is not.
    """
    if server.problem:
        raise TLSFailed(CERTIFICATE_REFUSED, oneLine(server.problem))
    found = connection.get_peer_certificate()
    if found is None:
        # Anonymous ciphers do without, and OpenSSL has nothing to verify then.
        raise TLSFailed(CERTIFICATE_REFUSED, "no certificate: the server has sent none")
    try:
        certificate = found.to_cryptography()
    except ValueError as e:
        raise TLSFailed(CERTIFICATE_REFUSED, oneLine(f"not readable: {e}"))
    if certificate == server.verified:
        return
    verify = verify_ip_address if server.sni is None else verify_hostname
    try:
        verify(connection, server.name)
    except VerificationError:
        raise TLSFailed(CERTIFICATE_REFUSED, wrongName(server.name, certificate))
    except Exception as e:  # Whatever is wrong with the names in it.
        raise TLSFailed(CERTIFICATE_REFUSED, wrongName(server.name, certificate, f" ({e})"))
    server.verified = certificate
