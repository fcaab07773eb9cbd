"""
What is wanted of TLS. Apart from what does it, because that takes a while to import, and needs pyOpenSSL.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TLSSettings:
    """
    What is wanted of TLS. Plain values: nothing is checked before L{smtpsource.net.tls.ClientTLS} is made.

    @ivar verify: Check the server's certificate: its chain of issuers, its dates and its name.
    @ivar ca: The name of a PEM file of the CAs to trust; C{None} for the system's.
    @ivar serverName: The name to ask for (SNI, RFC 6066 section 3) and to verify: a host name, or an IP address,
        which is only verified. C{None} for the host that is connected to.
    @ivar minimum: The lowest version to offer: C{"1.0"}, C{"1.1"}, C{"1.2"} or C{"1.3"}; C{None} for OpenSSL's choice.
        A bound below 1.2 brings security level 0 with it, unless C{ciphers} has a C{@SECLEVEL}: on higher ones OpenSSL
        does without these versions.
    @ivar maximum: The highest version to offer, likewise.
    @ivar ciphers: The ciphers to offer, as in openssl-ciphers(1), and the names of suites of TLS 1.3. If there are
        only names of one kind the other kind stays as it is.
    @ivar certificate: The name of a PEM file with the client's certificate, followed by its chain.
    @ivar key: The name of a PEM file with the key, not encrypted; C{None} if it is in the file of the certificate.
    @ivar resume: Offer the session of an earlier connection of this run.
    """

    verify: bool = False
    ca: str | None = None
    serverName: str | None = None
    minimum: str | None = None
    maximum: str | None = None
    ciphers: str | None = None
    certificate: str | None = None
    key: str | None = None
    resume: bool = False
