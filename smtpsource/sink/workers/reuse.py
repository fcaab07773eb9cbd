"""
Ports that several processes listen on, each by a socket of its own: SO_REUSEPORT, see socket(7).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from itertools import chain
from typing import Any

from smtpsource.sink.listen import setUp
from smtpsource.sink.plan import SinkPlan


def shares(ports: Sequence[Any], count: int, plan: SinkPlan) -> list[list[socket.socket]]:
    """
    Sockets for so many processes, each of which accepts its part of the connections to each port.

    @param ports: were made without this option, so that nobody else's server on them goes unnoticed. They are to be
        closed then: the kernel does not share with a socket that has listened before it had the option.
    @return: those of each process.
    @raise OSError: it is not possible.
    """
    found: list[list[socket.socket]] = [[] for _ in range(count)]
    for port in ports:
        first: socket.socket = port.socket
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        for each in found:
            try:
                each.append(_another(first, plan))
            except OSError:
                for one in chain(*found):
                    one.close()
                raise
    return found


def _another(first: socket.socket, plan: SinkPlan) -> socket.socket:
    one = socket.socket(first.family, socket.SOCK_STREAM)
    try:
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if first.family == socket.AF_INET6:
            only = first.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        one.bind(first.getsockname())
        one.listen(plan.backlog)
        setUp(one, plan)
    except OSError:
        one.close()
        raise
    return one
