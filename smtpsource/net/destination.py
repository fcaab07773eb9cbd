"""
Where the load goes: what a user may write for it, and the addresses that it stands for.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from smtpsource.interfaces import IReactor
from smtpsource.process.threads import inThread
from smtpsource.records import dataclass
from smtpsource.values import names

#: The port of the service "smtp", whatever /etc/services says or lacks.
SMTP_PORT = 25

#: The file of names that this machine knows itself.
HOSTS = "/etc/hosts"

#: The longest path of a UNIX socket: C{sun_path} less its final NUL.
LONGEST_PATH = 107


@dataclass(frozen=True)
class TCPAddress:
    """
    A literal address that can be connected to without asking anybody.

    @ivar host: an IPv4 or IPv6 address.
    @ivar name: whose address it is, if that is another host than the destination: a mail exchanger.
    @ivar preference: that exchanger's; the lowest are tried first.
    """

    host: str
    port: int
    name: str | None = None
    preference: int = field(default=0, compare=False, repr=False)

    def __str__(self) -> str:
        return f"inet:[{self.host}]:{self.port}" if ":" in self.host else f"inet:{self.host}:{self.port}"


@dataclass(frozen=True)
class UNIXAddress:
    """
    The path of a UNIX socket.
    """

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address = TCPAddress | UNIXAddress


def spelled(address: Address) -> dict[str, Any]:
    """
    An address as JSON takes it, for another process.
    """
    return dict(vars(address))


def unspelled(spelled: Mapping[str, Any]) -> Address:
    """
    The opposite of L{spelled}.

    @raise ValueError: it is none.
    """
    try:
        return (UNIXAddress if "path" in spelled else TCPAddress)(**spelled)
    except TypeError as e:
        raise ValueError(f"expected an address, not {dict(spelled)}: {e}") from None


@dataclass(frozen=True)
class HostDestination:
    """
    A host, by name or address, and a port.

    @ivar family: C{socket.AF_INET}, C{socket.AF_INET6}, or C{socket.AF_UNSPEC} for both.
    @ivar scheme: the one that it was written with, if any.
    """

    host: str
    port: int = SMTP_PORT
    family: int = socket.AF_UNSPEC
    scheme: str | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return str(TCPAddress(self.host, self.port))


@dataclass(frozen=True)
class UNIXDestination:
    """
    A UNIX socket.

    @ivar path: absolute.
    @ivar scheme: as in L{HostDestination}.
    """

    path: str
    scheme: str | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True)
class SinkDestination:
    """
    A sink of our own, started for the run.
    """

    def __str__(self) -> str:
        return "sink:"


Destination = HostDestination | UNIXDestination | SinkDestination


#: What the scheme of a destination says, by the names that a plan has for it, and the default port.
SCHEMES: Mapping[str, tuple[Mapping[str, Any], int]] = {
    "smtp": ({"lmtp": False}, SMTP_PORT),
    "smtps": ({"lmtp": False, "tls": "implicit"}, 465),
    "lmtp": ({"lmtp": True}, 24),
}

#: All that a destination may be.
FORMS = "[inet:]host[:port], unix:path, sink:, or smtp://host[:port], smtps:// or lmtp://"


def parse(text: str, family: int = socket.AF_UNSPEC) -> Destination:
    """
    A destination as a user writes it: C{[inet:]host[:port]} with a name, an IPv4 address or C{[IPv6 address]};
    C{unix:path}; C{sink:}; or with a scheme before it, see L{schemeOf}. What that says of the protocol is told by
    L{said}.

    @param family: which addresses of a name are wanted.
    @raise ValueError: it is none of these; the text says what is wrong and what would be right.
    """
    scheme, text = schemeOf(text)
    if text.startswith("unix:"):
        return replace(_parsePath(text.removeprefix("unix:")), scheme=scheme)
    if text == "sink:":
        return SinkDestination()
    text = text.removeprefix("inet:")
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise ValueError("expected [address]:port, such as [::1]:2525")
        host = host[5:] if host[:5].lower() == "ipv6:" else host
        port = port[1:]
    else:
        host, colon, port = text.rpartition(":")
        if not colon:
            host, port = text, ""
        elif ":" in host:
            if isAddress(host) or isAddress(text):
                raise ValueError("expected an IPv6 address to be in brackets, such as [::1]:2525")
            raise ValueError(f"expected {FORMS}")
    if not host:
        raise ValueError("expected a host before the port, such as localhost:2525")
    return HostDestination(_checkedHost(host, family), _port(port, scheme), family, scheme)


def said(text: str) -> Mapping[str, Any]:
    """
    What a destination says of the protocol, by the names that a plan has for it: C{"lmtp"} and C{"tls"}.
    """
    scheme, _ = schemeOf(text)
    return {} if scheme is None else SCHEMES[scheme][0]


def schemeOf(text: str) -> tuple[str | None, str]:
    """
    A scheme before what stands for a host or a socket: a URL such as C{smtp://localhost:2525} or
    C{smtps://mx.example/}, or what Postfix has for its transports: C{lmtp:unix:/path}, C{smtp:[::1]:25}. (A host may
    be called C{smtp}, too: C{smtp:25} is one.)

    @return: the scheme, and what comes after it.
    @raise ValueError: it is another one, or has more to it than these.
    """
    if "@" in text and not re.match(r"(\w+:)?unix:", text):
        raise ValueError("expected no user and no password in it: a login has options of its own")
    match = re.fullmatch(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?(.*)", text, re.DOTALL)
    if match is None or match[1].lower() == "unix":
        return None, text
    scheme, isURL, rest = match[1].lower(), match[2], match[3]
    if not isURL:
        known = scheme in SCHEMES and (rest.startswith("[") or ":" in rest or not _isPort(rest))
        return (scheme, rest) if known else (None, text)
    if scheme not in SCHEMES:
        raise ValueError(
            f"expected smtp://, smtps:// or lmtp://, not {scheme}://, or none of them, as in localhost:2525"
        )
    if rest.startswith("/"):
        raise ValueError(f"expected a host after {scheme}://, or {scheme}:unix:path for a UNIX socket")
    rest = rest.removesuffix("/")
    if re.search("[/?#]", rest):
        raise ValueError(f"expected nothing after the host and the port, as in {scheme}://localhost:2525")
    return scheme, rest


def _isPort(text: str) -> bool:
    """
    Is this a port, by number or by name, or nothing?
    """
    try:
        _port(text, None)
    except ValueError:
        return text.isdigit()
    return True


def shown(text: str) -> str:
    """
    A destination that can't be used, as it stands in an error after a word for it: not at all, if there may be a
    password in it.
    """
    return "" if "@" in text else f" {text!r}"


def _parsePath(path: str) -> UNIXDestination:
    if not path:
        raise ValueError("expected unix: and the path of a socket")
    path = os.path.abspath(path)
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise ValueError(f"expected the path of a socket to be at most {LONGEST_PATH} bytes, as the system wants")
    return UNIXDestination(path)


def isAddress(host: str) -> bool:
    """
    Is this an IPv4 or IPv6 address, maybe with a zone?
    """
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def isKnown(host: str) -> bool:
    """
    Has this host an address? Blocks while that is asked for.
    """
    try:
        return bool(socket.getaddrinfo(host, SMTP_PORT, 0, socket.SOCK_STREAM))
    except (OSError, UnicodeError):
        return False


def _checkedHost(host: str, family: int) -> str:
    host = names.inASCII(host)
    try:
        version = ipaddress.ip_address(host.partition("%")[0]).version
    except ValueError:
        pass
    else:
        if version == 4 and family == socket.AF_INET6:
            raise ValueError("expected an IPv6 address, as -6 asks")
        if version == 6 and family == socket.AF_INET:
            raise ValueError("expected an IPv4 address, as -4 asks")
        return host
    if host.isdigit():
        raise ValueError(f"expected a host before the port, such as localhost:{host}")
    try:
        # A dot at the end says that there is no domain to add to a name.
        names.hostname(host.removesuffix("."))
    except ValueError as e:
        raise ValueError(f"{e}, or unix:path or sink:")
    return host


def _port(text: str, scheme: str | None) -> int:
    if not text:
        return SMTP_PORT if scheme is None else SCHEMES[scheme][1]
    if text.isascii() and text.isdigit():
        number = int(text)
        if 1 <= number <= 65535:
            return number
    elif text.isascii():
        try:
            return socket.getservbyname(text, "tcp")
        except OSError:
            pass
    raise ValueError("expected a port from 1 to 65535 or the name of a service, such as localhost:2525")


class ResolutionFailed(Exception):
    """
    No address is known for a destination. The text says why.
    """


def resolve(reactor: IReactor, destination: HostDestination | UNIXDestination) -> Deferred[list[Address]]:
    """
    All addresses of a destination, in the order in which the resolver gives them.

    @return: fires with at least one, or fails with L{ResolutionFailed}.
    """
    if isinstance(destination, UNIXDestination):
        return succeed([UNIXAddress(destination.path)])
    host, port = destination.host, destination.port
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return inThread(reactor, lambda: _lookUp(host, port, destination.family)).addErrback(_noThread)
    return succeed([TCPAddress(host, port)])


def _noThread(reason: Failure) -> Failure:
    if reason.check(RuntimeError):  # there are too many
        raise ResolutionFailed(f"can't look for the destination's address: {reason.getErrorMessage()}")
    return reason


def _lookUp(host: str, port: int, family: int) -> list[Address]:
    """
    Blocks: not for the reactor's thread.
    """
    try:
        host = names.inASCII(host)
    except ValueError as e:
        raise ResolutionFailed(f"no address for {host!a}: {e}")
    try:
        found: list[Any] = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as e:
        own = _fromHosts(host, port, family) if host.endswith(".") else []
        if own:
            return own
        raise ResolutionFailed(f"no address for {host}: {getattr(e, 'strerror', None) or e}")
    addresses: list[Address] = [TCPAddress(socket.getnameinfo(sockaddr, _NUMERIC)[0], port) for *_, sockaddr in found]
    return list(dict.fromkeys(addresses))


def _fromHosts(host: str, port: int, family: int) -> list[Address]:
    """
    The addresses of a name with a dot at its end: the C library does not look for such in the file of hosts, where all
    names are whole.
    """
    from twisted.names.hosts import searchFileForAll  # it takes a while
    from twisted.python.filepath import FilePath

    found = [ipaddress.ip_address(each) for each in searchFileForAll(FilePath(HOSTS), host[:-1].encode("ascii"))]
    wanted = {int(socket.AF_INET): (4,), int(socket.AF_INET6): (6,)}.get(family, (4, 6))
    return [TCPAddress(str(address), port) for address in found if address.version in wanted]


_NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
