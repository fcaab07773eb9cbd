"""
Everything about a sink that is decided before it starts.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from smtpsource.net.destination import LONGEST_PATH
from smtpsource.sink.tls import requireTLS
from smtpsource.values import checks


def _host(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a host name or address as a str")
    checks.oneLine(value)
    return value


def _path(value: object) -> str:
    if not isinstance(value, str) or not value or "\0" in value or len(os.fsencode(value)) > LONGEST_PATH:
        raise ValueError(f"expected the path of a socket, a str of at most {LONGEST_PATH} bytes")
    return value


def _file(value: object) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("expected the name of a file as a str")
    # A daemon changes its directory.
    return os.path.abspath(value)


def _tls(value: object) -> bool:
    if checks.flag(value):
        requireTLS()
    return bool(value)


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
    "startTLS": checks.flag,
    "tls": _tls,
    "tlsCert": checks.optional(_file),
    "tlsKey": checks.optional(_file),
    "auth": checks.flag,
    "authUsers": checks.optional(_file),
    "chunking": checks.flag,
    "dsn": checks.flag,
    "smtpUTF8": checks.flag,
    "requireTLS": checks.flag,
    "mtPriority": checks.flag,
    "deliverBy": checks.flag,
    "xclient": checks.flag,
    "proxyProtocol": checks.flag,
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
    @ivar hostname: the name in the banner and in the replies to HELO, EHLO and LHLO.
    @ivar lmtp: LHLO only, and a reply for each recipient (RFC 2033).
    @ivar esmtp: know EHLO, without which there is no extension; LMTP is not asked.
    @ivar pipelining: offer PIPELINING (RFC 2920); pipelined commands work in any case.
    @ivar eightBitMIME: offer 8BITMIME (RFC 6152), and SMTPUTF8, which may not be offered without.
    @ivar enhancedStatusCodes: offer ENHANCEDSTATUSCODES (RFC 2034); replies have them in any case.
    @ivar startTLS: offer STARTTLS (RFC 3207), where there is pyOpenSSL.
    @ivar tls: connections begin with TLS (RFC 8314 section 3.3).
    @ivar tlsCert: a PEM file with a certificate, and those between it and an authority; L{None}: one is made in memory.
    @ivar tlsKey: a PEM file with its private key; L{None}: it is in the same file.
    @ivar auth: offer AUTH (RFC 4954).
    @ivar authUsers: a file with lines C{user:password} of who may log in; L{None}: everybody may.
    @ivar chunking: offer CHUNKING, the command BDAT (RFC 3030).
    @ivar dsn: offer DSN (RFC 3461).
    @ivar smtpUTF8: offer SMTPUTF8 (RFC 6531).
    @ivar requireTLS: offer REQUIRETLS (RFC 8689), within TLS.
    @ivar mtPriority: offer MT-PRIORITY (RFC 6710).
    @ivar deliverBy: offer DELIVERBY (RFC 2852).
    @ivar xclient: offer XCLIENT, Postfix's extension.
    @ivar proxyProtocol: connections begin with a header of HAProxy's PROXY protocol, before any TLS.
    @ivar verbose: log each command and the code of its reply.
    @ivar maxSessions: sessions at the same time; more clients wait for their banner. L{None} is no limit.
    @ivar messageLimit: end after that many messages; not one more is accepted. L{None} is no limit.
    @ivar sessionLimit: end when that many sessions have ended. L{None} is no limit.
    @ivar idleTimeout: seconds after which a silent client is told 421; L{None} is for ever.
    @ivar grace: seconds that sessions get to end a transaction when the sink is stopped.
    @ivar command: the command line, for the report.

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
    startTLS: bool = True
    tls: bool = False
    tlsCert: str | None = None
    tlsKey: str | None = None
    auth: bool = True
    authUsers: str | None = None
    chunking: bool = True
    dsn: bool = True
    smtpUTF8: bool = True
    requireTLS: bool = True
    mtPriority: bool = True
    deliverBy: bool = True
    xclient: bool = True
    proxyProtocol: bool = False
    verbose: bool = False
    maxSessions: int | None = None
    messageLimit: int | None = None
    sessionLimit: int | None = None
    idleTimeout: float | None = 100.0
    grace: float = 5.0
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checks.check(self, _CHECKS)
        if self.tlsKey is not None and self.tlsCert is None:
            raise ValueError(f"tlsKey: {self.tlsKey!r} is not usable: expected a tlsCert that it belongs to")
