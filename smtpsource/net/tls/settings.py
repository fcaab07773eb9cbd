"""
What is wanted of TLS. Apart from what does it, because that takes a while to import, and needs pyOpenSSL.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

from smtpsource.values import inputs, kinds, names, textfiles
from smtpsource.values.option import Settings, option, switch
from smtpsource.values.textfiles import lengthOfMark

#: What a failed handshake is called where the other end has no TLS at all.
NO_TLS = "the server does not speak TLS here"


class UnusableSetting(ValueError):
    """
    One of the settings can't be used; the text is one line.

    @ivar setting: its name, of those of L{TLSSettings}.
    """

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(problem)
        self.setting = setting


def readPassphrase(path: str) -> bytes:
    """
    The first line of a file, without its line end.

    @raise ValueError: it can't be read, or there is no such thing in it that OpenSSL takes; the text is one line.
    """
    line = textfiles.read(path, inputs.SECRET, again=True).partition(b"\n")[0].removesuffix(b"\r")
    if not 0 < len(line) <= LONGEST_PASSPHRASE:
        raise ValueError(f"expected a passphrase of 1 to {LONGEST_PASSPHRASE} bytes in the first line")
    return line


class Passphrase:
    """
    What opens the file of a key, of the client's or of a server's.

    @ivar text: for OpenSSL, which would ask the terminal without it; empty if there is none.
    """

    def __init__(self, key: str, contents: bytes, path: str | None, setting: str, keyword: str) -> None:
        """
        @param key: the name of the file with the key, and C{contents} what is in it.
        @param path: the file whose first line it is; C{None} if there is none.
        @param setting: which one C{key} is of, of those of L{TLSSettings}.
        @param keyword: what C{path} is called in a program.
        @raise UnusableSetting: there has to be one, or it can't be read.
        """
        self._key = key
        self._isEncrypted = b"ENCRYPTED" in contents
        self.text = b""
        if path is not None:
            try:
                self.text = readPassphrase(path)
            except ValueError as e:
                raise UnusableSetting("keyPasswordFile", str(e))
        elif self._isEncrypted:
            needed = f"expected {keyword} (--tls-key-password-file) along with it"
            raise UnusableSetting(setting, f"the key in {key!r} has a passphrase: {needed}")

    def check(self, problem: str) -> None:
        """
        @param problem: what OpenSSL says of the key that it could not use.
        @raise UnusableSetting: that is because this passphrase does not open it.
        """
        if self._isEncrypted and _NOT_OPENED.search(problem):
            raise UnusableSetting(
                "keyPasswordFile", f"its first line is not the passphrase of the key in {self._key!r}"
            )


#: OpenSSL has room for so many bytes, and a NUL (PEM_BUFSIZE).
LONGEST_PASSPHRASE = 1023

#: What OpenSSL says of a key that a passphrase does not open.
_NOT_OPENED = re.compile("decrypt|cipherfinal|password|asn1|padding", re.IGNORECASE)

#: Whether TLS is there from the first byte, or asked for.
TLSMode = Literal["off", "starttls", "implicit"]
tlsMode = names.oneOf(*get_args(TLSMode))


#: The versions of TLS.
TLSVersion = Literal["1.0", "1.1", "1.2", "1.3"]
tlsVersion = names.oneOf(*get_args(TLSVersion))


def serverName(text: str) -> str:
    """
    The name that a server's certificate has: a host name, in ASCII or not, or an IP address in its usual form. A dot at
    the end of a name is none of its own.

    @raise ValueError: it is neither.
    """
    try:
        return names.ipAddress(text)
    except ValueError:
        return names.hostname(names.inASCII(text).removesuffix("."))


def ciphers(text: str) -> str:
    """
    A list for OpenSSL.

    @raise ValueError: there is nothing in it.
    """
    if not re.search(r"[^:, ]", names.oneLine(text.encode("utf-8", "replace")).decode()):
        raise ValueError("expected ciphers as OpenSSL names them, such as ECDHE+AESGCM")
    return text


def checkPEM(setting: str, contents: bytes) -> None:
    """
    OpenSSL overlooks what comes right after a byte order mark.

    @param setting: what a PEM file is for, of those of L{TLSSettings}.
    @raise UnusableSetting: it begins with one.
    """
    try:
        marked = lengthOfMark(contents) > 0
    except ValueError as e:
        raise UnusableSetting(setting, f"{e}")
    if marked:
        raise UnusableSetting(setting, "expected PEM without the byte order mark that it begins with")


class TLSSettings(Settings, checked=False):
    """
    What is wanted of TLS. Plain values: a plan checks them, and L{smtpsource.net.tls.client.ClientTLS}
    finds out whether files and ciphers can be used.

    @ivar verify: Check the server's certificate: its chain of issuers, its dates and its name.
    @ivar ca: The name of a PEM file of the CAs to trust, or of a directory with a file for each, by names that are
        hashes, as C{openssl rehash} makes them; C{None} for the system's.
    @ivar serverName: The name to ask for (SNI, RFC 6066 section 3) and to verify: a host name, or an IP address,
        which is only verified. C{None} for the host that is connected to.
    @ivar minimum: The lowest version to offer: C{"1.0"}, C{"1.1"}, C{"1.2"} or C{"1.3"}; C{None} for OpenSSL's choice.
        A bound below 1.2 brings security level 0 with it, unless C{ciphers} has a C{@SECLEVEL}: on higher ones OpenSSL
        does without these versions.
    @ivar maximum: The highest version to offer, likewise.
    @ivar ciphers: The ciphers to offer, as in openssl-ciphers(1), and the names of suites of TLS 1.3. If there are
        only names of one kind the other kind stays as it is.
    @ivar certificate: The name of a PEM file with the client's certificate, followed by its chain.
    @ivar key: The name of a PEM file with the key; C{None} if it is in the file of the certificate.
    @ivar keyPasswordFile: The name of a file whose first line is the key's passphrase; C{None} if it has none.
    @ivar resume: Offer the session of an earlier connection of this run.
    """

    verify: bool = switch("check the server's certificate", long="tls-verify", default=False)
    ca: str | None = option(
        "FILE",
        kinds.readableOrDirectory,
        "trust these CAs, PEM, or a directory with hashed names (default: the system's)",
        long="tls-ca",
        default=None,
    )
    serverName: str | None = option(
        "NAME",
        kinds.text(serverName),
        "the name to ask for and to check (default: the destination's)",
        long="tls-server-name",
        default=None,
    )
    minimum: TLSVersion | None = option(
        "VERSION", kinds.text(tlsVersion), "the lowest version: 1.0, 1.1, 1.2 or 1.3", long="tls-min", default=None
    )
    maximum: TLSVersion | None = option(
        "VERSION", kinds.text(tlsVersion), "the highest version", long="tls-max", default=None
    )
    ciphers: str | None = option(
        "LIST", kinds.text(ciphers), "ciphers to offer, as OpenSSL names them", long="tls-ciphers", default=None
    )
    certificate: str | None = option(
        "FILE", kinds.readable, "our certificate, with its chain, PEM", long="tls-cert", secret=True, default=None
    )
    key: str | None = option(
        "FILE", kinds.readable, "its key (default: in the same file)", long="tls-key", secret=True, default=None
    )
    keyPasswordFile: str | None = option(
        "FILE",
        kinds.readable,
        "its first line is the key's passphrase",
        long="tls-key-password-file",
        secret=True,
        default=None,
    )
    resume: bool = switch("resume the last session, as a returning client does", long="tls-resume", default=False)
