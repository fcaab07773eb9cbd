"""
Where the load goes: what a user may write for it, and the addresses that it stands for.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from threading import Thread
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from smtpsource import arguments
from smtpsource.interfaces import IReactor

#: The port of the service "smtp", whatever /etc/services says or lacks.
SMTP_PORT = 25

#: The longest path of a UNIX socket: C{sun_path} less its final NUL.
LONGEST_PATH = 107


@dataclass(frozen=True)
class TCPAddress:
    """
    A literal address that can be connected to without asking anybody.

    @ivar host: an IPv4 or IPv6 address.
    @ivar name: whose address it is, if that is another host than the destination: a mail exchanger.
    """

    host: str
    port: int
    name: str | None = None

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


@dataclass(frozen=True)
class HostDestination:
    """
    A host, by name or address, and a port.

    @ivar family: C{socket.AF_INET}, C{socket.AF_INET6}, or C{socket.AF_UNSPEC} for both.
    """

    host: str
    port: int = SMTP_PORT
    family: int = socket.AF_UNSPEC

    def __str__(self) -> str:
        return str(TCPAddress(self.host, self.port))


@dataclass(frozen=True)
class UNIXDestination:
    """
    A UNIX socket.

    @ivar path: absolute.
    """

    path: str

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


def parse(text: str, family: int = socket.AF_UNSPEC) -> Destination:
    """
    A destination as a user writes it: C{[inet:]host[:port]} with a name, an IPv4 address or C{[IPv6 address]};
    C{unix:path}; or C{sink:}.

    @param family: which addresses of a name are wanted.
    @raise ValueError: it is none of these; the text says what is wrong and what would be right.
    """
    if text.startswith("unix:"):
        return _parsePath(text.removeprefix("unix:"))
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
            raise ValueError("expected an IPv6 address to be in brackets, such as [::1]:2525")
    if not host:
        raise ValueError("expected a host before the port, such as localhost:2525")
    return HostDestination(_checkedHost(host, family), _port(port), family)


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


def _checkedHost(host: str, family: int) -> str:
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
        return arguments.hostname(host)
    except ValueError as e:
        raise ValueError(f"{e}, or unix:path or sink:")


def _port(text: str) -> int:
    if not text:
        return SMTP_PORT
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
        return _inThread(reactor, lambda: _lookUp(host, port, destination.family))
    return succeed([TCPAddress(host, port)])


def _inThread(reactor: IReactor, call: Callable[[], list[Address]]) -> Deferred[list[Address]]:
    """
    The result of a call that blocks. Unlike those of the reactor's pool, this thread does not keep the process from
    ending: a resolver may take its time, and the user may not.
    """
    result: Deferred[list[Address]] = Deferred()

    def run() -> None:
        try:
            found: list[Address] | Failure = call()
        except Exception:
            found = Failure()
        reactor.callFromThread(result.callback, found)

    try:
        Thread(target=run, daemon=True).start()
    except RuntimeError as e:  # there are too many
        return fail(ResolutionFailed(f"can't look for the destination's address: {e}"))
    return result


def _lookUp(host: str, port: int, family: int) -> list[Address]:
    """
    Blocks: not for the reactor's thread.
    """
    try:
        found: list[Any] = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as e:
        raise ResolutionFailed(f"no address for {host}: {getattr(e, 'strerror', None) or e}")
    addresses: list[Address] = [TCPAddress(socket.getnameinfo(sockaddr, _NUMERIC)[0], port) for *_, sockaddr in found]
    return list(dict.fromkeys(addresses))


_NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
