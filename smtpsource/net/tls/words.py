"""
What is wrong with a TLS connection, or with a server's certificate, in words: one line each.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from smtpsource.net.tls.settings import NO_TLS
from smtpsource.printable import printable

try:
    from cryptography import x509
    from OpenSSL import SSL
except ImportError:
    pass  # L{smtpsource.net.tls.client.ClientTLS} says so

if TYPE_CHECKING:
    from OpenSSL.crypto import X509


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


CLOSED = "the server closed the connection in the TLS handshake"


def wrongName(wanted: str, certificate: x509.Certificate, why: str = "") -> str:
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
    return oneLine(f"wrong name: wanted {wanted}, the certificate is for {shown}{why}")


def refusalText(number: int, depth: int, found: X509) -> str:
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
        return oneLine(f"{text} ({e})")
    return oneLine(text + detail + issuer)


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


def errorText(error: SSL.Error) -> str:
    """
    An error of OpenSSL, in words.
    """
    if isinstance(error, SSL.SysCallError):
        number, text = (*error.args, None, None)[:2]
        return CLOSED if number == -1 else f"the system's error {text or number}"
    return reasons(error)


def reasons(error: SSL.Error) -> str:
    """
    The reasons of an error. Never empty.
    """
    found = []
    # A list of libraries, functions and reasons; reasons are empty where OpenSSL has no words for them.
    for entry in error.args[0] if error.args else ():
        library, _, reason = entry
        found.append(_reason(reason) if reason else f"unnamed error in {library or 'OpenSSL'}")
    telling = [words for words in found if words not in _EMPTY_WORDS]
    return oneLine("; ".join(dict.fromkeys(telling or found))) or "OpenSSL does not say why"


def _reason(reason: str) -> str:
    """
    One reason, in more words if there are some.
    """
    alert = _ALERT.fullmatch(reason)
    if alert is not None:
        return f"the server sent the alert {alert[1]}"
    words = _WORDS.get(reason)
    return reason if words is None else f"{words} ({reason})"


def oneLine(text: str) -> str:
    """
    Text in which a server may have had a say, as one line.
    """
    return printable(text)
