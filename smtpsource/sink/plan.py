"""
Everything about a sink that is decided before it starts.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from smtpsource import checks
from smtpsource.net.destination import LONGEST_PATH


def _host(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a host name or address as a str")
    checks.oneLine(value)
    return value


def _path(value: object) -> str:
    if not isinstance(value, str) or not value or "\0" in value or len(os.fsencode(value)) > LONGEST_PATH:
        raise ValueError(f"expected the path of a socket, a str of at most {LONGEST_PATH} bytes")
    return value


_CHECKS: dict[str, checks.Check] = {
    "host": _host,
    "port": checks.wholeNumber(0, 65535),
    "path": checks.optional(_path),
    "family": checks.family,
    "backlog": checks.count,
    "windowSize": checks.optional(checks.count),
    "hostname": checks.hostname,
    "lmtp": checks.flag,
    "esmtp": checks.flag,
    "pipelining": checks.flag,
    "eightBitMIME": checks.flag,
    "enhancedStatusCodes": checks.flag,
    "verbose": checks.flag,
    "maxSessions": checks.optional(checks.count),
    "messageLimit": checks.optional(checks.count),
    "sessionLimit": checks.optional(checks.count),
    "idleTimeout": checks.optional(checks.seconds),
    "grace": checks.secondsOrZero,
    "command": checks.command,
}


@dataclass(frozen=True)
class SinkPlan:
    """
    A sink to be: where it listens, what it says, when it ends. The defaults suit a test on the same host.

    @ivar host: a name or address to listen on; C{""} is all interfaces.
    @ivar port: 0 is any free port.
    @ivar path: listen on this UNIX-domain socket and not on a host and port.
    @ivar family: C{socket.AF_INET} or C{socket.AF_INET6} to listen on addresses of that family only.
    @ivar backlog: connections the kernel holds until they are accepted.
    @ivar windowSize: bytes of the sockets' receive and send buffers; L{None} is the system's choice.
    @ivar maxSessions: sessions at the same time; more clients wait for their banner. L{None} is no limit.
    @ivar messageLimit: end after that many messages; not one more is accepted. L{None} is no limit.
    @ivar sessionLimit: end when that many sessions have ended. L{None} is no limit.
    @ivar idleTimeout: seconds after which a silent client is told 421; L{None} is for ever.
    @ivar grace: seconds that sessions get to end a transaction when the sink is stopped.
    @ivar command: the command line, for the report.

    The others are those of L{smtpsource.sink.dialogue.dialogue}.

    @raise ValueError: a value can't be used; the text says which, and what was expected.
    """

    host: str = "127.0.0.1"
    port: int = 0
    path: str | None = None
    family: int = socket.AF_UNSPEC
    backlog: int = 1024
    windowSize: int | None = None
    hostname: str = "smtp-sink"
    lmtp: bool = False
    esmtp: bool = True
    pipelining: bool = True
    eightBitMIME: bool = True
    enhancedStatusCodes: bool = True
    verbose: bool = False
    maxSessions: int | None = None
    messageLimit: int | None = None
    sessionLimit: int | None = None
    idleTimeout: float | None = 100.0
    grace: float = 5.0
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checks.check(self, _CHECKS)
