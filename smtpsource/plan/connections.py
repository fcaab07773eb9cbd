"""
Connections: where to, from where, how many messages each.
"""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import Any, Literal, get_args

from smtpsource.net.destination import (
    Destination,
    HostDestination,
    SinkDestination,
    UNIXDestination,
    isAddress,
)
from smtpsource.smtp.proxyprotocol import ProxyVersion, proxyProtocol
from smtpsource.values import checks, kinds, names
from smtpsource.values.kinds import Kind
from smtpsource.values.option import Flag, Settings, option, setting, switch
from smtpsource.values.rules import allOf, excludes, needs

#: Which addresses of a name get connections: the first one that answers, or all of them in turn.
Addresses = Literal["first", "all"]

#: What stands for a message.
Exercise = Literal["mail", "noop", "connect"]


def _destination(value: object) -> Destination | str:
    if not isinstance(value, Destination | str):
        raise ValueError("expected a text such as 127.0.0.1:2525, or a Destination")
    if isinstance(value, HostDestination) and not value.host.isascii():
        return replace(value, host=names.inASCII(value.host))
    return value


def _dnsServer(value: object) -> tuple[str, int]:
    if isinstance(value, tuple) and len(value) == 2:
        value = "[{}]:{}".format(*value)
    if not isinstance(value, str):
        raise ValueError("expected a str")
    return names.dnsServer(value)


def _isAddress(plan: Any) -> bool:
    return isinstance(plan.destination, HostDestination) and isAddress(plan.destination.host)


class Connections(Settings):
    """
    @ivar destination: where to; a text is taken as on the command line, so that one with a scheme such as C{lmtp:} says
        C{lmtp}, and one with C{smtps:} C{tls}, too.
    @ivar family: C{socket.AF_INET} or C{socket.AF_INET6} to want only such addresses of a name.
    @ivar addresses: C{"first"}: of a name's addresses, which are tried in order, the one that answers gets all
        connections; C{"all"}: all of them get connections in turn.
    @ivar resolveAgain: look the name up again after so many seconds, and again; C{None} for once.
    @ivar connectAttempts: how often a connection is attempted before its message has failed.
    @ivar connectParallelism: the most connections in the making at once.
    @ivar connectTimeout: seconds for an address to answer.
    @ivar messagesPerConnection: use each connection for so many messages; C{None}: for one, or for all with
        C{keepConnections}.
    @ivar exercise: C{"mail"}; C{"noop"}, a NOOP in place of each message; C{"connect"}, nothing in place of it: what
        is counted are connections, with their greeting, TLS and login. With these two, nothing may be said that only
        mail has.
    @ivar hold: seconds for which a connection is kept open before its QUIT.
    @ivar bind: local addresses to connect from, in turn, and networks for all addresses of hosts in them; empty for the
        system's choice.
    @ivar proxyProtocol: C{"v1"} or C{"v2"} to begin each connection with a header of HAProxy's PROXY protocol.
    @ivar proxySources: source addresses for that header, in turn, likewise; empty for generated ones.
    @ivar mx: the destination is a domain whose mail exchangers are wanted (RFC 5321 section 5.1).
    @ivar dnsServer: C{(address, port)} of the name server for C{mx}, as a text C{"address[:port]"}; C{None} for the
        system's.
    @ivar windowSize: bytes for each of a socket's buffers, or C{None} for the system's choice.
    """

    heading = "Connections"
    rules = allOf(
        excludes(
            "{exercise:c}",
            "each connection counts once",
            *("keepConnections", "messagesPerConnection"),
            when=lambda plan: plan.exercise == "connect",
        ),
        needs("{proxyProtocol}", "proxySources", unless=lambda plan: plan.proxyProtocol),
        excludes(
            "a UNIX socket",
            "it has no addresses",
            *("bind", "mx", "resolveAgain"),
            when=lambda plan: isinstance(plan.destination, UNIXDestination),
            about=["destination"],
        ),
        excludes("an address", "it needs a domain", "mx", when=_isAddress, about=["destination"]),
        excludes("an address", "it needs a name", "resolveAgain", when=_isAddress, about=["destination"]),
        excludes(
            "sink:",
            "it needs a domain",
            "mx",
            when=lambda plan: isinstance(plan.destination, SinkDestination),
            about=["destination"],
        ),
        excludes(
            "sink:",
            "it needs a name",
            "resolveAgain",
            when=lambda plan: isinstance(plan.destination, SinkDestination),
            about=["destination"],
        ),
        needs("{mx}", "dnsServer", unless=lambda plan: plan.mx),
    )

    destination: Destination | str = setting(_destination, default=SinkDestination)
    family: int = setting(
        checks.family,
        Flag("ipv4", "4", "use a name's IPv4 addresses only", True, socket.AF_INET),
        Flag("ipv6", "6", "use a name's IPv6 addresses only", True, socket.AF_INET6),
        default=socket.AF_UNSPEC,
    )
    addresses: Addresses = option(
        "WHICH",
        kinds.words(*get_args(Addresses)),
        "connect to the first address of a name that answers, or to all in turn",
        default="first",
    )
    resolveAgain: float | None = option(
        "TIME", kinds.time, "look the name up again every TIME, such as 30s", default=None
    )
    connectAttempts: int = option(
        "N",
        kinds.count,
        "attempts for each connection, with growing delays",
        letter="C",
        long="connect-count",
        default=1,
    )
    connectParallelism: int = option("N", kinds.count, "connections in the making at once", default=100)
    connectTimeout: float = option(
        "TIME", kinds.time, "wait this long for each address to answer", shown="30s", default=30.0
    )
    messagesPerConnection: int | None = option(
        "N", kinds.count, "use each connection for N messages (default: 1, or all with -d)", default=None
    )
    exercise: Exercise = setting(
        kinds.words(*get_args(Exercise)).check,
        Flag(
            "connect-only", None, "send no mail: -m counts connections, with their greeting and login", value="connect"
        ),
        Flag("noop", None, "send NOOP in place of each message", value="noop"),
        default="mail",
    )
    hold: float = option("TIME", kinds.timeIfAny, "keep each connection open this long before its QUIT", default=0.0)
    bind: tuple[str, ...] = option(
        "ADDRS",
        kinds.addresses,
        "connect from these addresses in turn, separated by commas; 127.0.0.0/29 is all in it",
        default=(),
    )
    proxyProtocol: ProxyVersion | None = option(
        "VERSION",
        kinds.text(proxyProtocol),
        "begin with the header of HAProxy's PROXY protocol, v1 or v2",
        default=None,
    )
    proxySources: tuple[str, ...] = option(
        "ADDRS",
        kinds.addresses,
        "the clients it names, in turn (default: a different one for each connection)",
        long="proxy-source",
        default=(),
    )
    mx: bool = switch("the host is a domain: connect to its mail exchangers", default=False)
    dnsServer: tuple[str, int] | str | None = option(
        "ADDR",
        Kind(names.dnsServer, _dnsServer),
        "with --mx, ask the name server there (default: the system's)",
        default=None,
    )
    windowSize: int | None = option(
        "BYTES", kinds.size, "socket buffers (default: the system's)", letter="T", default=None
    )

    @property
    def host(self) -> str | None:
        """
        The name or address of the destination, if it has one.
        """
        return self.destination.host if isinstance(self.destination, HostDestination) else None
