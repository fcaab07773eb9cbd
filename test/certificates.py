"""
Certificates for tests of TLS: an authority, and what it signed for a server and for a client.

Each call makes new ones, which takes some milliseconds::

    certificates = makeCertificates(self.mktemp())
    context = ssl.create_default_context(cafile=certificates.authority)

It needs C{cryptography}, which C{twisted[tls]} brings.
"""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: What the certificate of a server is for, if not told otherwise: all that a peer is reached as.
NAMES = ("localhost", "peer.example", "127.0.0.1", "::1")

_DAY = datetime.timedelta(days=1)

_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


@dataclass(frozen=True)
class Certificates:
    """
    Where the PEM files are.

    @ivar authority: the certificate of the authority, a C{Path} as all of them.
    @ivar certificate: the server's certificate.
    @ivar key: the server's private key, without a password.
    @ivar clientCertificate: the client's certificate.
    @ivar clientKey: the client's private key, without a password.
    """

    authority: Path
    certificate: Path
    key: Path
    clientCertificate: Path
    clientKey: Path


def makeCertificates(directory, names=NAMES, expired=False, selfSigned=False):
    """
    Make an authority, and a certificate for a server and one for a client (C{client.example}).

    @param directory: where to write them: it is made if it isn't there.
    @param names: the server's names and addresses, C{["wrong.example"]} for a certificate of somebody else; the
        first one is its common name as well.
    @param expired: whether the server's certificate is one that was valid until yesterday.
    @param selfSigned: whether the server's certificate is signed by itself: not by the authority.

    @return: L{Certificates}.
    """
    directory = Path(directory).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    issuer = _Issuer("Authority of a test", ec.generate_private_key(ec.SECP256R1()))
    (directory / "authority.pem").write_bytes(_pem(issuer.sign(issuer.name, issuer.key.public_key())))
    for role, subjects, usage in (
        ("server", names, ExtendedKeyUsageOID.SERVER_AUTH),
        ("client", ["client.example"], ExtendedKeyUsageOID.CLIENT_AUTH),
    ):
        key = ec.generate_private_key(ec.SECP256R1())
        isServer = role == "server"
        signer = _Issuer(subjects[0], key) if isServer and selfSigned else issuer
        certificate = signer.sign(_name(subjects[0]), key.public_key(), subjects, usage, isServer and expired)
        (directory / f"{role}.pem").write_bytes(_pem(certificate))
        path = directory / f"{role}.key"
        path.touch(mode=0o600)
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    names = ("authority.pem", "server.pem", "server.key", "client.pem", "client.key")
    return Certificates(*(directory / name for name in names))


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def _alternative(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class _Issuer:
    """
    Whoever signs certificates.
    """

    def __init__(self, name, key):
        self.name = _name(name)
        self.key = key

    def sign(self, subject, publicKey, alternatives=(), usage=None, expired=False):
        """
        @param usage: what the certificate may be used for; C{None} for that of an authority.

        @return: the certificate.
        """
        now = datetime.datetime.now(datetime.UTC)
        isAuthority = usage is None
        granted = {"key_cert_sign", "crl_sign"} if isAuthority else {"digital_signature"}
        own = x509.SubjectKeyIdentifier.from_public_key(publicKey)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(publicKey)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 30 * _DAY)
            .not_valid_after(now - _DAY if expired else now + 30 * _DAY)
            # All that a strict verification asks for, as Python 3.13 and newer do it.
            .add_extension(x509.BasicConstraints(isAuthority, None), critical=True)
            .add_extension(x509.KeyUsage(**{name: name in granted for name in _USAGES}), critical=True)
            .add_extension(own, critical=False)
            .add_extension(issuer, critical=False)
        )
        if not isAuthority:
            names = x509.SubjectAlternativeName([_alternative(name) for name in alternatives])
            builder = builder.add_extension(names, critical=False)
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return builder.sign(self.key, hashes.SHA256())
