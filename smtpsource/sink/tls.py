"""
The sink's side of TLS: the certificate, and what pyOpenSSL needs to know.

pyOpenSSL and cryptography are imported when a connection wants TLS, or when there is a file with a certificate to
check. Of pyOpenSSL's private names C{Connection._ssl} and C{SSL._lib.SSL_session_reused} are used: nothing public
tells whether a handshake has resumed a session.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, cast

from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer

from smtpsource.net.tls.settings import Passphrase, UnusableSetting, checkPEM
from smtpsource.process.unexpected import checkHeadroom
from smtpsource.values import inputs

#: Days that a certificate of our own making is good for, to both sides of now: clocks differ.
_DAYS = 30


def available() -> bool:
    """
    Is there what TLS needs? Looks for it without importing it.
    """
    try:
        return all(find_spec(name) is not None for name in ("OpenSSL", "cryptography"))
    except (ImportError, ValueError):
        return False


def requireTLS() -> None:
    """
    @raise ValueError: there is no TLS here.
    """
    if not available():
        raise ValueError("TLS needs pyOpenSSL and cryptography: pip install 'smtpsource[tls]'")


@implementer(IOpenSSLServerConnectionCreator)
class ServerTLS:
    """
    Makes the TLS side of each connection, all from one context, so that a session can be resumed on any of them.

    @ivar certificate: one of our own making in PEM, from L{prepare} on; empty if there is another, or none.
    @ivar common: gives what is common to all processes of a sink, when it is given a function that makes it.
    """

    certificate = ""

    def __init__(
        self,
        hostname: str,
        certificate: str | None = None,
        key: str | None = None,
        passwordFile: str | None = None,
    ) -> None:
        """
        @param hostname: whom a certificate of our own making is for, beside localhost.
        @param certificate: a PEM file with a certificate, and those between it and an authority; C{None} makes one in
            memory, when it is needed.
        @param key: a PEM file with its private key; C{None} is the same file.
        @param passwordFile: a file whose first line is that key's passphrase; C{None}: it has none.
        @raise ValueError: one of the files can't be used: an L{UnusableSetting} says which. The text is one line.
        """
        self._hostname = hostname
        self._context: Any = None
        self.common: Callable[[Callable[[], bytes]], bytes] = lambda make: make()
        if certificate is not None:
            requireTLS()
            self._context = _fromFiles(certificate, key, passwordFile)

    def prepare(self) -> bool:
        """
        Make the context, unless it is there already.

        @return: is it there now?
        """
        if self._context is None:
            try:
                made = self.common(lambda: _selfSigned(self._hostname))
                self._context, self.certificate = _fromPEM(made)
            except ImportError:
                return False
        return True

    def serverConnectionForTLS(self, tlsProtocol: Any) -> Any:
        """
        The side of a server of one connection.
        """
        from OpenSSL import SSL

        checkHeadroom()  # pyOpenSSL does not look whether OpenSSL had memory for a connection, and crashes
        return SSL.Connection(self._context, None)


def resumed(connection: Any) -> bool:
    """
    Has a handshake resumed an earlier session?

    @param connection: pyOpenSSL's, its handshake completed.
    """
    from OpenSSL import SSL

    reused = getattr(vars(SSL).get("_lib"), "SSL_session_reused", None)
    return reused is not None and bool(reused(connection._ssl))


def isTLSError(error: BaseException | None) -> bool:
    """
    Is it an error of TLS, and not of the connection below?
    """
    return error is not None and type(error).__module__.startswith("OpenSSL")


def explained(error: BaseException | None) -> str:
    """
    What an error of TLS says, on one line.
    """
    if error is None:
        return ""
    # Of OpenSSL's own errors the first argument is a list of libraries, functions and reasons; of a SysCallError it is
    # a number, and of an end of the connection in the handshake a text.
    reasons = error.args[0] if error.args else None
    if isinstance(reasons, list):
        return "; ".join(str(entry[-1]) for entry in reasons) or "no reason given"
    if isTLSError(error) and error.args:
        return str(error.args[-1])
    return str(error) or type(error).__name__


def _newContext() -> Any:
    from OpenSSL import SSL

    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE)
    # Thousands of connections would have their buffers each.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    # Tickets are there by default; this is for clients of TLS 1.2 that have none. Both need the name.
    context.set_session_cache_mode(SSL.SESS_CACHE_SERVER)
    context.set_session_id(b"smtp-sink")
    return context


def _fromFiles(certificate: str, key: str | None, passwordFile: str | None) -> Any:
    from OpenSSL import SSL

    for setting, path in (("certificate", certificate), *([("key", key)] if key else [])):
        try:
            contents = inputs.read(path, inputs.CERTIFICATES, again=True)  # OpenSSL would go on for ever
        except OSError as e:
            raise UnusableSetting(setting, f"expected a readable file: {e.strerror}")
        except ValueError as e:
            raise UnusableSetting(setting, str(e))
        checkPEM(setting, contents)
    ofKey = "certificate" if key is None else "key"
    passphrase = Passphrase(key or certificate, contents, passwordFile, ofKey, "tlsKeyPasswordFile")
    context = _newContext()
    context.set_passwd_cb(lambda longest, twice, data: passphrase.text)
    try:
        context.use_certificate_chain_file(certificate)
    except SSL.Error as e:
        raise UnusableSetting("certificate", f"expected a certificate in PEM ({explained(e)})")
    try:
        context.use_privatekey_file(key or certificate)
        context.check_privatekey()
    except SSL.Error as e:
        passphrase.check(explained(e))
        raise UnusableSetting(
            ofKey, f"expected the certificate's private key in PEM in {key or certificate!r} ({explained(e)})"
        )
    return context


def _selfSigned(hostname: str) -> bytes:
    """
    @return: a certificate and its key, in PEM.
    """
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    names: list[x509.GeneralName] = []
    own = hostname.strip("[]")
    for text in dict.fromkeys([own, "localhost", "127.0.0.1", "::1"]):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(text.lower().removeprefix("ipv6:"))))
        except ValueError:
            names.append(x509.DNSName(text))
    # A common name has at most 64 characters (RFC 5280 appendix A.1).
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, own[:64])])
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=_DAYS))
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _fromPEM(made: bytes) -> tuple[Any, str]:
    """
    @param made: a certificate and its key.
    @return: a context, and the certificate in PEM.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from OpenSSL import crypto

    certificate = x509.load_pem_x509_certificate(made)
    key = cast("Any", serialization.load_pem_private_key(made[made.index(b"-----BEGIN PRIVATE KEY") :], None))
    context = _newContext()
    try:
        context.use_certificate(certificate)
        context.use_privatekey(key)
    except TypeError:
        # pyOpenSSL before 24.3 wants its own; later ones warn of them.
        context.use_certificate(crypto.X509.from_cryptography(certificate))
        context.use_privatekey(crypto.PKey.from_cryptography_key(key))
    return context, certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
