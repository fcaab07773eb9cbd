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

All that has to do with pyOpenSSL and service_identity is in this module, which can be imported without them:
L{ClientTLS} says what is missing.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.python.failure import Failure
from zope.interface import implementer

from smtpsource.net.tls.settings import NO_TLS, TLSSettings, UnusableSetting, checkPEM
from smtpsource.printable import printable
from smtpsource.values import inputs

try:
    from cryptography import x509
    from OpenSSL import SSL
    from OpenSSL.crypto import X509StoreFlags
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
            @see: L{SSL.Connection.do_handshake}

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

# In order. The names are those of pyOpenSSL's constants.
_VERSIONS = {"1.0": "TLS1_VERSION", "1.1": "TLS1_1_VERSION", "1.2": "TLS1_2_VERSION", "1.3": "TLS1_3_VERSION"}

# The numbers are X509_V_ERR_... of OpenSSL's x509_vfy.h, which do not change; pyOpenSSL has no public name for some,
# and no public way to OpenSSL's own words.
_UNKNOWN = (2, 19, 20, 21)
_REFUSALS = {
    2: "unknown issuer",
    3: "no CRL of its issuer",
    7: "wrong signature",
    9: "not yet valid",
    10: "expired",
    11: "the CRL of its issuer is not yet valid",
    12: "the CRL of its issuer has expired",
    13: "impossible notBefore date",
    14: "impossible notAfter date",
    18: "self-signed",
    19: "unknown issuer",
    20: "unknown issuer",
    21: "unknown issuer",
    22: "certificate chain too long",
    23: "revoked",
    24: "invalid CA certificate",
    25: "path length constraint exceeded",
    26: "not meant for TLS servers",
    27: "not trusted for TLS servers",
    28: "rejected for TLS servers",
    32: "CA certificate without the right to sign certificates",
    34: "unknown critical extension",
    41: "invalid or inconsistent extension",
    47: "name outside of what the CA may certify",
    48: "name excluded from what the CA may certify",
    66: "weak key",
    67: "weak key",
    68: "weak digest",
    79: "invalid CA certificate",
}

# Names of a certificate in one line of text: no more than this many.
_NAMES = 8

# OpenSSL's reasons from SSL_R_SSLV3_ALERT_UNEXPECTED_MESSAGE (1010) up stand for alerts that were received. How they
# begin varies with its version.
_ALERT = re.compile(r"(?:(?:ssl/tls|tls|sslv3|tlsv13) alert|tlsv1(?: alert)?) (.+)")

_WORDS = {
    "wrong version number": NO_TLS,
    "unknown protocol": NO_TLS,
    "http request": NO_TLS,
    "unsupported protocol": "the server's TLS version is not among those allowed here",
    "no protocols available": "no TLS version is left by the settings here",
    "no ciphers available": "no cipher is left by the settings here",
    "wrong cipher returned": "the server chose a cipher that is not among those allowed here",
}

# Reasons that say nothing which others did not say.
_EMPTY_WORDS = ("record layer failure", "PEM lib", "system lib", "BIO lib")

_CLOSED = "the server closed the connection in the TLS handshake"


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
            raise ValueError(f"TLS needs pyOpenSSL and service_identity: install the extra tls ({_missing})")
        self.verify = settings.verify
        self.resume = settings.resume
        self._settings = settings
        self._servers: dict[str | None, _Server] = {None: _Server(*_names(settings, host))}
        self.context = _context(settings)

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
            return CERTIFICATE_REFUSED, _refusalText(*connection.refusal)
        error = reason.value
        if _missing is None and isinstance(error, SSL.Error):
            return TLS_FAILED, _errorText(error)
        if isinstance(error, ConnectionAborted) or not isinstance(error, (ConnectionDone, ConnectionLost)):
            return None
        return (TLS_FAILED, _CLOSED) if self._handshaking else None


# -- What the settings come to


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


def _context(settings: TLSSettings) -> SSL.Context:
    """
    @raise ValueError: a file cannot be used, or OpenSSL does not know what is asked for.
    """
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    # Sessions are kept here, not in OpenSSL's cache, which nothing would ever look into.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    # Many a server closes without TLS's own goodbye. By default OpenSSL takes that for an attack: an error, and a
    # session that is not to be resumed. SMTP says itself where something ends, and TCP's end counts as without TLS.
    context.set_options(
        SSL.OP_NO_COMPRESSION | getattr(SSL, "OP_NO_RENEGOTIATION", 0) | getattr(SSL, "OP_IGNORE_UNEXPECTED_EOF", 0)
    )
    _setVersions(context, settings)
    _setCiphers(context, settings)
    _setTrust(context, settings)
    _setCertificate(context, settings)
    return context


def _setVersions(context: SSL.Context, settings: TLSSettings) -> None:
    """
    @raise ValueError: there is no such version, here or anywhere, or none between the bounds.
    """
    lowest, highest = settings.minimum, settings.maximum
    for version in (lowest, highest):
        if version is not None and version not in _VERSIONS:
            raise ValueError(f"{version!r} is not a TLS version: expected one of {', '.join(_VERSIONS)}")
    if lowest is not None and highest is not None and lowest > highest:
        raise ValueError(f"the minimum TLS version {lowest} is above the maximum {highest}")
    for setting, version, change in (
        ("minimum", lowest, context.set_min_proto_version),
        ("maximum", highest, context.set_max_proto_version),
    ):
        if version is not None:
            try:
                change(getattr(SSL, _VERSIONS[version]))
            except (AttributeError, SSL.Error):
                raise UnusableSetting(setting, f"{_library()} does not have TLS {version}")


def _setCiphers(context: SSL.Context, settings: TLSSettings) -> None:
    """
    @raise ValueError: no cipher is left.
    """
    given = [name for name in re.split(r"[:, ]+", settings.ciphers or "") if name]
    # Suites of TLS 1.3 name no key exchange. The others have such names as well: TLS_RSA_WITH_AES_128_CBC_SHA.
    suites = [name for name in given if name.startswith("TLS_") and "_WITH_" not in name]
    others = [name for name in given if name not in suites]
    if settings.ciphers is not None and not given:
        raise UnusableSetting("ciphers", "the list of ciphers is empty")
    if suites:
        if not hasattr(context, "set_tls13_ciphersuites"):
            raise UnusableSetting("ciphers", "this pyOpenSSL cannot choose ciphers of TLS 1.3: it takes 25.2 or newer")
        try:
            context.set_tls13_ciphersuites(":".join(suites).encode())
        except SSL.Error:
            raise UnusableSetting("ciphers", f"{_library()} has no such ciphers: {':'.join(suites)}")
    old = any(version in ("1.0", "1.1") for version in (settings.minimum, settings.maximum))
    if old and "@SECLEVEL" not in (settings.ciphers or ""):
        others = [*(others or ["DEFAULT"]), "@SECLEVEL=0"]
    if others:
        try:
            context.set_cipher_list(":".join(others).encode())
        except SSL.Error:
            raise UnusableSetting("ciphers", f"{_library()} has no such ciphers: {':'.join(others)}")


def _setTrust(context: SSL.Context, settings: TLSSettings) -> None:
    """
    @raise ValueError: the file of CAs cannot be used.
    """
    if settings.ca is not None:
        contents = _contents("ca", settings.ca)
        try:
            context.load_verify_locations(settings.ca)
        except SSL.Error as e:
            raise UnusableSetting("ca", f"no usable CA certificate in {settings.ca}: {_reasons(e)}")
        store = context.get_cert_store()
        if b"X509 CRL" in contents and store is not None:
            store.set_flags(X509StoreFlags.CRL_CHECK)
    elif settings.verify:
        context.set_default_verify_paths()
    if settings.verify:
        context.set_verify(SSL.VERIFY_PEER, _verified)


def _setCertificate(context: SSL.Context, settings: TLSSettings) -> None:
    """
    @raise ValueError: the client's certificate or key cannot be used.
    """
    certificate = settings.certificate
    if certificate is None:
        if settings.key is not None:
            raise ValueError(f"the key {settings.key} needs a certificate")
        return
    key, ofKey = (certificate, "certificate") if settings.key is None else (settings.key, "key")
    _contents("certificate", certificate)
    # Asked for nothing OpenSSL asks for the passphrase itself, on the terminal.
    if b"ENCRYPTED" in _contents(ofKey, key):
        raise UnusableSetting(ofKey, f"the key in {key} is encrypted: decrypt it first")
    try:
        context.use_certificate_chain_file(certificate)
    except SSL.Error as e:
        raise UnusableSetting("certificate", f"no usable certificate in {certificate}: {_reasons(e)}")
    try:
        context.use_privatekey_file(key)
        context.check_privatekey()
    except SSL.Error as e:
        reasons = _reasons(e)
        if "mismatch" in reasons or "no certificate assigned" in reasons:  # of the key's type, that is
            raise UnusableSetting(ofKey, f"the key in {key} does not match the certificate in {certificate}")
        where = key if settings.key else f"{key}, the file of the certificate: expected one there, or a key"
        raise UnusableSetting(ofKey, f"no usable key in {where}: {reasons}")


def _contents(setting: str, path: str) -> bytes:
    """
    @param setting: what the file is for.
    @raise UnusableSetting: the file cannot be read. OpenSSL would say so in fewer words.
    """
    what = {"ca": "CA"}.get(setting, setting)
    try:
        contents = inputs.read(path, inputs.CERTIFICATES, again=True)
    except (OSError, ValueError) as e:
        raise UnusableSetting(setting, f"cannot read the {what} file {path}: {getattr(e, 'strerror', None) or e}")
    checkPEM(setting, contents)
    return contents


def _library() -> str:
    """
    Such as C{"OpenSSL 3.0.19"}.
    """
    return " ".join(SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode("ascii", "replace").split()[:2])


# -- Sessions


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


# -- The server's certificate


def _verified(connection: Any, certificate: X509, number: int, depth: int, ok: int) -> bool:
    """
    OpenSSL's verdict on one certificate of the chain. It is for L{SSL.Context.set_verify}.

    @return: whether to go on.
    """
    if ok:
        return True
    connection.refusal = (number, depth, certificate)  # Nothing here may fail, whatever the certificate is like.
    return False


def _verifyName(server: _Server, connection: SSL.Connection) -> None:
    """
    Is the certificate for the server that was asked for?

    @raise TLSFailed: it is not.
    """
    if server.problem:
        raise TLSFailed(CERTIFICATE_REFUSED, _line(server.problem))
    found = connection.get_peer_certificate()
    if found is None:
        # Anonymous ciphers do without, and OpenSSL has nothing to verify then.
        raise TLSFailed(CERTIFICATE_REFUSED, "no certificate: the server has sent none")
    try:
        certificate = found.to_cryptography()
    except ValueError as e:
        raise TLSFailed(CERTIFICATE_REFUSED, _line(f"not readable: {e}"))
    if certificate == server.verified:
        return
    verify = verify_ip_address if server.sni is None else verify_hostname
    try:
        verify(connection, server.name)
    except VerificationError:
        raise TLSFailed(CERTIFICATE_REFUSED, _wrongName(server.name, certificate))
    except Exception as e:  # Whatever is wrong with the names in it.
        raise TLSFailed(CERTIFICATE_REFUSED, _wrongName(server.name, certificate, f" ({e})"))
    server.verified = certificate


def _wrongName(wanted: str, certificate: x509.Certificate, why: str = "") -> str:
    """
    Which name was wanted, and which there are.

    @param why: in brackets, what else there is to say.
    """
    try:
        value = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [*value.get_values_for_type(x509.DNSName), *map(str, value.get_values_for_type(x509.IPAddress))]
    except Exception:  # There are none, or they cannot be read.
        names = []
    shown = ", ".join(names[:_NAMES]) or "none"
    if len(names) > _NAMES:
        shown += f" and {len(names) - _NAMES} more"
    return _line(f"wrong name: wanted {wanted}, the certificate is for {shown}{why}")


def _refusalText(number: int, depth: int, found: X509) -> str:
    """
    What is wrong with a certificate of the chain.

    @param number: of OpenSSL's error.
    @param depth: how far it is from the server's own certificate.
    """
    text = _REFUSALS.get(number, f"OpenSSL's verification error {number}")
    try:
        certificate = found.to_cryptography()
        detail = _detail(number, certificate)
        issuer = f" (the issuer {_of(certificate.subject)})" if depth and number not in _UNKNOWN else ""
    except Exception as e:  # OpenSSL reads what the cryptography package does not.
        return _line(f"{text} ({e})")
    return _line(text + detail + issuer)


def _detail(number: int, certificate: x509.Certificate) -> str:
    """
    What to add to the words of L{_REFUSALS}.
    """
    if number == 10:
        return f": not valid after {_date(certificate, 'not_valid_after')}"
    if number == 9:
        return f": not before {_date(certificate, 'not_valid_before')}"
    if number in (18, 19):
        return f": {_of(certificate.subject)}"
    if number in _UNKNOWN:
        return f": {_of(certificate.issuer)}"
    if number in (66, 67):
        return f": {getattr(certificate.public_key(), 'key_size', 'unknown')} bits"
    if number == 68:
        return f": {getattr(certificate.signature_hash_algorithm, 'name', 'unknown')}"
    return ""


def _date(certificate: x509.Certificate, name: str) -> str:
    """
    A date of a certificate.

    @param name: of the attribute, as it was before cryptography 42: there it had no time zone, but was in UTC as well.
    """
    date = getattr(certificate, f"{name}_utc", None) or getattr(certificate, name)
    return f"{date:%Y-%m-%d %H:%M:%S} UTC"


def _of(name: x509.Name) -> str:
    """
    A distinguished name.
    """
    return name.rfc4514_string() or "a nameless one"


# -- Words


def _errorText(error: SSL.Error) -> str:
    """
    An error of OpenSSL, in words.
    """
    if isinstance(error, SSL.SysCallError):
        number, text = (*error.args, None, None)[:2]
        return _CLOSED if number == -1 else f"the system's error {text or number}"
    return _reasons(error)


def _reasons(error: SSL.Error) -> str:
    """
    The reasons of an error. Never empty.
    """
    found = []
    # A list of libraries, functions and reasons; reasons are empty where OpenSSL has no words for them.
    for entry in error.args[0] if error.args else ():
        library, _, reason = entry
        found.append(_reason(reason) if reason else f"unnamed error in {library or 'OpenSSL'}")
    telling = [words for words in found if words not in _EMPTY_WORDS]
    return _line("; ".join(dict.fromkeys(telling or found))) or "OpenSSL does not say why"


def _reason(reason: str) -> str:
    """
    One reason, in more words if there are some.
    """
    alert = _ALERT.fullmatch(reason)
    if alert is not None:
        return f"the server sent the alert {alert[1]}"
    words = _WORDS.get(reason)
    return reason if words is None else f"{words} ({reason})"


def _line(text: str) -> str:
    """
    Text in which a server may have had a say, as one line.
    """
    return printable(text)
