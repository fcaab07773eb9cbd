"""
Everything about a sink that is decided before it starts.
"""

from __future__ import annotations

import os
import pwd
import socket
from typing import Any

from smtpsource.credentials import readUsers
from smtpsource.net.destination import LONGEST_PATH
from smtpsource.sink.faultsettings import Faults
from smtpsource.sink.keepsettings import Control, Keeping, Ledger
from smtpsource.sink.tls import requireTLS
from smtpsource.sink.workersettings import Workers
from smtpsource.sink.worldsettings import WorldDNS
from smtpsource.values import checks, files, kinds, names, numbers
from smtpsource.values.kinds import Kind
from smtpsource.values.option import Flag, Only, Settings, ValueOption, option, setting, switch
from smtpsource.values.rules import Contradiction, Rules, allOf, keepRules, needs


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


def _users(text: str) -> str:
    path = files.readableFile(text)
    readUsers(path, again=True)
    return path


def _user(text: str) -> str:
    try:
        pwd.getpwnam(text)
    except (KeyError, ValueError):
        raise ValueError("expected the name of a user of this system")
    return text


def _directory(text: str) -> str:
    if not os.path.isdir(text):
        raise ValueError("expected a directory")
    return os.path.abspath(text)


def _hasCertificate(plan: Any) -> Rules:
    if plan.tlsKey is not None and plan.tlsCert is None:
        yield Contradiction(
            plan,
            "{tlsKey}: {plan.tlsKey!r} is not usable: expected a {tlsCert} that it belongs to",
            exclusive=False,
        )


class Listening(Settings):
    """
    @ivar host: a name or address to listen on; C{""} is all interfaces.
    @ivar port: 0 is any free port.
    @ivar path: listen on this UNIX-domain socket and not on a host and port.
    @ivar family: C{socket.AF_INET} or C{socket.AF_INET6} to listen on addresses of that family only.
    @ivar backlog: connections the kernel holds until they are accepted.
    @ivar windowSize: bytes of the sockets' receive and send buffers; C{None} is the system's choice.
    """

    heading = "Where it listens"

    host: str = setting(_host, default="127.0.0.1")
    port: int = setting(checks.wholeNumber(0, 65535), default=0)
    path: str | None = setting(checks.optional(_path), default=None)
    family: int = setting(
        checks.family,
        Flag("ipv4", "4", "on IPv4 addresses only", value=socket.AF_INET),
        Flag("ipv6", "6", "on IPv6 addresses only", value=socket.AF_INET6),
        default=socket.AF_UNSPEC,
    )
    backlog: int = setting(checks.count, default=1024)
    windowSize: int | None = option("BYTES", kinds.size, "size of the sockets' buffers", letter="T", default=None)
    _user = Only(
        ValueOption("user", "u", "USER", None, "become this user once it listens; ignored unless root", _user),
        ValueOption("chroot", "R", "DIR", None, "and see nothing but this directory; with -u only", _directory),
    )


class Saying(Settings):
    """
    @ivar hostname: the name in the banner and in the replies to HELO, EHLO and LHLO.
    @ivar lmtp: LHLO only, and a reply for each recipient (RFC 2033).
    @ivar esmtp: know EHLO, without which there is no extension; LMTP is not asked.
    @ivar eightBitMIME: offer 8BITMIME (RFC 6152), and SMTPUTF8, which may not be offered without.
    @ivar pipelining: offer PIPELINING (RFC 2920); pipelined commands work in any case.
    @ivar enhancedStatusCodes: offer ENHANCEDSTATUSCODES (RFC 2034); replies have them in any case.
    @ivar smtpUTF8: offer SMTPUTF8 (RFC 6531).
    @ivar chunking: offer CHUNKING, the command BDAT (RFC 3030).
    @ivar dsn: offer DSN (RFC 3461).
    @ivar requireTLS: offer REQUIRETLS (RFC 8689), within TLS.
    @ivar mtPriority: offer MT-PRIORITY (RFC 6710).
    @ivar deliverBy: offer DELIVERBY (RFC 2852).
    @ivar xclient: offer XCLIENT, Postfix's extension.
    @ivar xforward: offer XFORWARD, another one; what it says is not looked at.
    @ivar proxyProtocol: connections begin with a header of HAProxy's PROXY protocol, before any TLS.
    """

    heading = "What it says"

    hostname: str = option(
        "NAME",
        Kind(names.hostname, checks.hostname),
        "its name in banner and replies",
        letter="h",
        default="smtp-sink",
    )
    lmtp: bool = switch("speak LMTP: LHLO, and a reply for each recipient", letter="L", default=False)
    esmtp: bool = switch("don't know EHLO; no effect with -L", letter="e", long="no-esmtp", default=True)
    eightBitMIME: bool = switch(
        "don't offer 8BITMIME, nor SMTPUTF8, which needs it", letter="8", long="no-8bitmime", default=True
    )
    pipelining: bool = switch(
        "don't offer PIPELINING; pipelined commands are answered all the same",
        letter="p",
        long="no-pipelining",
        default=True,
    )
    enhancedStatusCodes: bool = switch(
        "don't offer ENHANCEDSTATUSCODES; replies have them all the same",
        letter="E",
        long="no-enhancedstatuscodes",
        default=True,
    )
    smtpUTF8: bool = switch("don't offer SMTPUTF8", long="no-smtputf8", default=True)
    chunking: bool = switch("don't offer CHUNKING, the command BDAT", long="no-chunking", default=True)
    dsn: bool = switch("don't offer DSN", letter="N", long="no-dsn", default=True)
    requireTLS: bool = switch(
        "don't offer REQUIRETLS, which is offered in TLS only", long="no-requiretls", default=True
    )
    mtPriority: bool = switch("don't offer MT-PRIORITY", long="no-mt-priority", default=True)
    deliverBy: bool = switch("don't offer DELIVERBY", long="no-deliverby", default=True)
    xclient: bool = switch("don't offer XCLIENT", letter="C", long="no-xclient", default=True)
    xforward: bool = switch("don't offer XFORWARD", letter="F", long="no-xforward", default=True)
    proxyProtocol: bool = switch("a PROXY header, version 1 or 2, begins every connection", default=False)


class Security(Settings):
    """
    @ivar startTLS: offer STARTTLS (RFC 3207), where there is pyOpenSSL.
    @ivar tls: connections begin with TLS (RFC 8314 section 3.3).
    @ivar tlsCert: a PEM file with a certificate, and those between it and an authority; C{None}: one is made in memory.
    @ivar tlsKey: a PEM file with its private key; C{None}: it is in the same file.
    @ivar tlsKeyPasswordFile: a file whose first line is that key's passphrase; C{None}: it has none.
    @ivar auth: offer AUTH (RFC 4954).
    @ivar authUsers: a file with lines C{user:password} of who may log in; C{None}: everybody may.
    """

    heading = "TLS and AUTH"
    rules = allOf(
        _hasCertificate, needs("{tlsCert}", "tlsKeyPasswordFile", unless=lambda plan: plan.tlsCert is not None)
    )

    startTLS: bool = switch("don't offer STARTTLS", long="no-starttls", default=True)
    tls: bool = setting(_tls, Flag("tls", None, "TLS begins every connection"), default=False)
    tlsCert: str | None = option(
        "FILE", Kind(files.readableFile, _file), "certificate in PEM; else one is made", secret=True, default=None
    )
    tlsKey: str | None = option(
        "FILE", Kind(files.readableFile, _file), "its key, if in another file", secret=True, default=None
    )
    tlsKeyPasswordFile: str | None = option(
        "FILE",
        Kind(files.readableFile, _file),
        "its first line is the key's passphrase",
        secret=True,
        default=None,
    )
    auth: bool = switch("don't offer AUTH", letter="a", long="no-auth", default=True)
    authUsers: str | None = option(
        "FILE", Kind(_users, _file), "who may log in: lines user:password; else all", secret=True, default=None
    )


class Limits(Settings):
    """
    @ivar maxSessions: sessions at the same time; more clients wait for their banner. C{None} is no limit.
    @ivar messageLimit: end after that many messages; not one more is accepted. C{None} is no limit.
    @ivar sessionLimit: end when that many sessions have ended. C{None} is no limit.
    @ivar idleTimeout: seconds after which a silent client is told 421; C{None} is for ever.
    """

    heading = "Limits"

    maxSessions: int | None = option(
        "N", kinds.count, "sessions at once, more clients wait (default: no limit)", letter="m", default=None
    )
    messageLimit: int | None = option(
        "N", kinds.count, "end after N messages, all replies sent", letter="M", long="max-messages", default=None
    )
    sessionLimit: int | None = option("N", kinds.count, "end after N sessions have ended", letter="n", default=None)
    idleTimeout: float | None = option(
        "TIME",
        Kind(numbers.time, checks.optional(checks.seconds)),
        "how long a client may be silent",
        shown="100s",
        letter="t",
        long="timeout",
        default=100.0,
    )


class Clients(Settings):
    """
    @ivar maxLineLength: octets of a command line without its end; those of AUTH may be longer (RFC 4954 section 4).
    @ivar maxRecipients: RCPT commands that are accepted in a transaction; C{None} is no limit.
    @ivar maxMessageSize: octets of a message; it is told to clients (RFC 1870). C{None} is no limit.
    @ivar maxChunkSize: octets of a chunk (RFC 3030). C{None} is no limit.
    @ivar maxCommands: commands in a session. C{None} is no limit.
    @ivar maxLogins: AUTH commands in a session. C{None} is no limit.
    """

    heading = "What clients may do"

    maxLineLength: int = option("BYTES", kinds.wholeNumber(510, 65536), "of a command line", default=2046)
    maxRecipients: int | None = option("N", kinds.count, "recipients of a message; then 452", default=None)
    maxMessageSize: int | None = option("BYTES", kinds.size, "of a message; then 552", default=None)
    maxChunkSize: int | None = option("BYTES", kinds.size, "of a chunk of BDAT; then 552, and the end", default=None)
    maxCommands: int | None = option("N", kinds.count, "commands in a session; then 421", default=None)
    maxLogins: int | None = option("N", kinds.count, "AUTH commands in a session; then 421", default=None)


class Showing(Settings):
    """
    @ivar verbose: log each command and the code of its reply.
    @ivar grace: seconds that sessions get to end a transaction when the sink is stopped.
    @ivar command: the command line, for the report.
    """

    heading = "What it shows"

    _counter = Only(Flag("counter", "c", "show a running count of sessions, QUITs and messages"))
    verbose: bool = switch("log each command and the code of its reply", letter="v", default=False)
    _results = Only(
        Flag("quiet", None, "don't show the result"),
        ValueOption("report", None, "FILE", None, "write the result as JSON; - is stdout", files.writableFile),
    )
    grace: float = setting(checks.secondsOrZero, default=5.0)
    command: tuple[str, ...] = setting(checks.command, default=())


class SinkPlan(
    Listening, Saying, Security, Limits, Clients, Workers, Faults, Keeping, Ledger, Control, WorldDNS, Showing
):
    """
    A sink to be: where it listens, what it says, when it ends. The defaults suit a test on the same host. Each of the
    classes that this is made of tells about its values.

    @raise ValueError: a value can't be used; the text says which, and what was expected.
    """

    def __attrs_post_init__(self) -> None:
        keepRules(self)


#: The settings that a sink without steering can't keep.
_STEERED = (
    "fail", "defer", "drop", "hangUp", "delayReply", "delayData", "delayContent", "abort", "syslog",
    "ruleFiles", "ruleTexts", "profiles", "keep", "maildir", "mbox", "dump", "dumpAppend", "ledgerSync", "control",
    "maxLineLength", "maxRecipients", "maxMessageSize", "maxChunkSize", "maxCommands", "maxLogins",
    "world",
)  # fmt: skip


def isSteered(plan: SinkPlan) -> bool:
    """
    Does a plan want anything that a sink which takes everything, and keeps nothing, can't do?
    """
    return any(getattr(plan, name) != plan.declared[name].default for name in _STEERED)
