"""
Where a sink listens: host and port in every family the host has, or a UNIX-domain socket.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.error import CannotListenError

from smtpsource.process.listening import ListenError, causeOf, joined, removeStale
from smtpsource.sink.factory import SinkFactory
from smtpsource.sink.plan import SinkPlan

# Address families that a host may lack although the resolver or the wildcard gives them.
_NOT_HERE = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)


def listen(reactor: Any, plan: SinkPlan, factory: SinkFactory) -> list[Any]:
    """
    Listen as the plan says.

    @param reactor: provides C{IReactorTCP} and C{IReactorUNIX}, and C{IReactorSocket} to listen on all IPv6
        interfaces.
    @return: the ports (C{IListeningPort}), one for each address, all of the same number.
    @raise ListenError: it is not possible; nothing is left open.
    """
    ports: list[Any] = []
    try:
        if plan.path is not None:
            removeStale(plan.path)
            ports.append(reactor.listenUNIX(plan.path, factory, backlog=plan.backlog, mode=0o666))
        else:
            _listenTCP(reactor, plan, factory, ports)
            if factory.world is not None:
                _listenInWorld(reactor, plan, factory, ports)
    except (CannotListenError, ListenError, OSError) as e:
        for port in ports:
            port.stopListening()
        if isinstance(e, ListenError):
            raise
        where = f"unix:{plan.path}" if plan.path is not None else f"inet:{joined(plan.host, plan.port)}"
        raise ListenError(f"can't listen on {where}", e) from e
    for port in ports:
        if getattr(port, "socket", None) is not None:
            setUp(port.socket, plan)
    return ports


def described(address: Any) -> str:
    """
    An address as a client would be told: C{inet:127.0.0.1:2525}, C{inet:[::1]:2525}, C{unix:/path}.
    """
    if isinstance(address, UNIXAddress):
        return f"unix:{os.fsdecode(address.name or b'')}"
    return f"inet:{joined(address.host, address.port)}"


def _listenTCP(reactor: Any, plan: SinkPlan, factory: SinkFactory, ports: list[Any]) -> None:
    found = socket.getaddrinfo(plan.host or None, plan.port, plan.family, socket.SOCK_STREAM, 0, socket.AI_PASSIVE)
    # IPv4 first: for a free port, the first one decides.
    addresses = sorted({(family, str(sockaddr[0])) for family, _, _, _, sockaddr in found})
    number = plan.port
    missing: Exception | None = None
    for family, address in addresses:
        try:
            if family == socket.AF_INET6 and not plan.host:
                port = _listenIPv6Only(reactor, number, plan.backlog, factory)
            else:
                port = reactor.listenTCP(number, factory, plan.backlog, address)
        except (CannotListenError, OSError) as e:
            if getattr(causeOf(e), "errno", None) not in _NOT_HERE:
                raise
            missing = e
        else:
            ports.append(port)
            number = port.getHost().port
    if missing is not None and not ports:
        raise missing


def _listenInWorld(reactor: Any, plan: SinkPlan, factory: SinkFactory, ports: list[Any]) -> None:
    """
    Listen on all addresses of a world where nobody does yet, by the number of the first port.
    """
    assert factory.world is not None
    number = ports[0].getHost().port
    taken = {port.getHost().host for port in ports}
    for address in factory.world.addresses():
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        everywhere = "::" if family == socket.AF_INET6 else "0.0.0.0"
        if address in taken or everywhere in taken or plan.family not in (socket.AF_UNSPEC, family):
            continue
        try:
            ports.append(reactor.listenTCP(number, factory, plan.backlog, address))
        except CannotListenError as e:
            raise ListenError(f"can't listen on inet:{joined(address, number)}", e) from e


def _listenIPv6Only(reactor: Any, number: int, backlog: int, factory: SinkFactory) -> Any:
    """
    Listen on all IPv6 interfaces and leave IPv4 to the socket that has it already. A reactor's own
    C{listenTCP} takes both or not, as the system has it.
    """
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as listener:
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(("::", number))
        listener.listen(backlog)
        return reactor.adoptStreamPort(listener.fileno(), socket.AF_INET6, factory)


def setUp(listener: socket.socket, plan: SinkPlan) -> None:
    """
    Set what accepted connections inherit from the socket that listens.
    """
    if plan.path is None:
        # Two replies in a row must not wait for the client's delayed acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if plan.windowSize is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, plan.windowSize)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, plan.windowSize)
