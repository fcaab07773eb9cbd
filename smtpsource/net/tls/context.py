"""
An OpenSSL context, made of what is wanted of TLS.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from smtpsource.net.tls.settings import Passphrase, TLSSettings, UnusableSetting, checkPEM
from smtpsource.net.tls.words import reasons
from smtpsource.values import inputs

try:
    from OpenSSL import SSL
    from OpenSSL.crypto import X509StoreFlags
except ImportError:
    pass  # L{smtpsource.net.tls.client.ClientTLS} says so

if TYPE_CHECKING:
    from OpenSSL.crypto import X509


# In order. The names are those of pyOpenSSL's constants.
_VERSIONS = {"1.0": "TLS1_VERSION", "1.1": "TLS1_1_VERSION", "1.2": "TLS1_2_VERSION", "1.3": "TLS1_3_VERSION"}


def context(settings: TLSSettings) -> SSL.Context:
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
        if os.path.isdir(settings.ca):
            hasCRL = _hasHashedCRL(settings.ca)
            where: tuple[str | None, str | None] = None, settings.ca
        else:
            hasCRL = b"X509 CRL" in _contents("ca", settings.ca)
            where = settings.ca, None
        try:
            context.load_verify_locations(*where)
        except SSL.Error as e:
            raise UnusableSetting("ca", f"no usable CA certificate in {settings.ca}: {reasons(e)}")
        store = context.get_cert_store()
        if hasCRL and store is not None:
            store.set_flags(X509StoreFlags.CRL_CHECK)
    elif settings.verify:
        context.set_default_verify_paths()
    if settings.verify:
        context.set_verify(SSL.VERIFY_PEER, _verified)


def _hasHashedCRL(path: str) -> bool:
    """
    Is there a list of revoked certificates in a directory of CAs? OpenSSL looks into it when it verifies a certificate,
    and says nothing of one in which it can't find anything.

    @raise UnusableSetting: there is no certificate in it.
    """
    try:
        found = [match[1] for name in os.listdir(path) if (match := re.fullmatch(r"[0-9a-f]{8}\.(r?)[0-9]+", name))]
    except OSError as e:
        raise UnusableSetting("ca", f"cannot read the directory of CAs {path}: {e.strerror}")
    if "" not in found:
        raise UnusableSetting(
            "ca", f"no certificate in the directory {path} has a hash for its name: expected what openssl rehash makes"
        )
    return "r" in found


def _setCertificate(context: SSL.Context, settings: TLSSettings) -> None:
    """
    @raise ValueError: the client's certificate or key cannot be used.
    """
    certificate = settings.certificate
    if certificate is None:
        if settings.key is not None:
            raise ValueError(f"the key {settings.key} needs a certificate")
        if settings.keyPasswordFile is not None:
            raise ValueError(f"the passphrase in {settings.keyPasswordFile} needs a certificate with a key")
        return
    key, ofKey = (certificate, "certificate") if settings.key is None else (settings.key, "key")
    _contents("certificate", certificate)
    passphrase = Passphrase(key, _contents(ofKey, key), settings.keyPasswordFile, ofKey, "keyPasswordFile")
    context.set_passwd_cb(lambda longest, twice, data: passphrase.text)
    try:
        context.use_certificate_chain_file(certificate)
    except SSL.Error as e:
        raise UnusableSetting("certificate", f"no usable certificate in {certificate}: {reasons(e)}")
    try:
        context.use_privatekey_file(key)
        context.check_privatekey()
    except SSL.Error as e:
        found = reasons(e)
        if "mismatch" in found or "no certificate assigned" in found:  # of the key's type, that is
            raise UnusableSetting(ofKey, f"the key in {key} does not match the certificate in {certificate}")
        passphrase.check(found)
        where = key if settings.key else f"{key}, the file of the certificate: expected one there, or a key"
        raise UnusableSetting(ofKey, f"no usable key in {where}: {found}")


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


def _verified(connection: Any, certificate: X509, number: int, depth: int, ok: int) -> bool:
    """
    OpenSSL's verdict on one certificate of the chain. It is for C{SSL.Context.set_verify}.

    @return: whether to go on.
    """
    if ok:
        return True
    connection.refusal = (number, depth, certificate)  # Nothing here may fail, whatever the certificate is like.
    return False
