"""
Where a process of ours is reached over HTTP.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from smtpsource.process.listening import joined
from smtpsource.values import names


@dataclass(frozen=True)
class Where:
    """
    A host and a port, or a UNIX socket.

    @ivar host: a name or an address; empty if there is a path.
    @ivar port: 0 is any that is free.
    @ivar path: of a UNIX socket, absolute; empty if there is a host.
    """

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path else joined(self.host, self.port)

    @property
    def isLocal(self) -> bool:
        """
        Can nobody come from another machine? Where they can, a token is needed.
        """
        return bool(self.path) or isLoopback(self.host)


def isLoopback(host: str) -> bool:
    """
    Is this a name or an address of this machine alone?
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def hostAndPort(text: str, expected: str = "expected [HOST:]PORT, such as 8089 or [::1]:8089") -> Where:
    """
    A place as a user writes it: C{[HOST:]PORT}, where the host is 127.0.0.1 if there is none.

    @param expected: what to say if it can't be used.
    @raise ValueError: it can't; the text says what would be right.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = _ipv6(host[1:-1], expected)
    elif ":" in host or text.endswith("]"):
        raise ValueError(f"{expected}; an address of IPv6 stands in brackets")
    elif host:
        host = host if _isIPv4(host) else names.hostname(names.inASCII(host))
    elif colon:
        raise ValueError(f"{expected}; for all addresses say 0.0.0.0:{port or 'PORT'} or [::]:{port or 'PORT'}")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise ValueError(f"{expected}; a port is a number of at most 65535")
    return Where(host or "127.0.0.1", int(port))


def _isIPv4(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def _ipv6(text: str, expected: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise ValueError(f"{expected}; in brackets stands an address of IPv6")
