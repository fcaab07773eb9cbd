"""
Where a sink is controlled.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from smtpsource.process.listening import joined


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
