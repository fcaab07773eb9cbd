"""
The beginning of a sink's workers.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Any

from smtpsource.net.reactorchoice import nameOf
from smtpsource.process.processors import allowed
from smtpsource.sink.plan import SinkPlan
from smtpsource.sink.workers.dealing import Dealer
from smtpsource.sink.workers.link import Link
from smtpsource.sink.workers.reuse import shares
from smtpsource.sink.workers.shared import Shared
from smtpsource.sink.workers.task import Task


def start(
    reactor: Any,
    plan: SinkPlan,
    ports: Sequence[Any],
    shared: Shared,
    make: Callable[[Task], Link],
    links: list[Link],
) -> Dealer | None:
    """
    Start all of them.

    @param reactor: provides C{IReactorProcess}.
    @param ports: of the sink; where workers have sockets of their own, they are closed.
    @param make: makes what is said with one.
    @param links: these are added here, one by one.
    @return: what gives them connections, if anything has to.
    @raise OSError: one can't be started.
    """
    count, processors = plan.workerCount, allowed()
    one = plan.evolve(workers=1, pin=False, balance="fewest")
    families: tuple[int, ...] = ()
    listening: list[list[socket.socket]] = [[]] * count
    if plan.balance == "kernel":
        families = tuple(int(port.addressFamily) for port in ports)
        listening = shares(ports, count, plan)
    with ExitStack() as unused:
        for each in chain(*listening):
            unused.callback(each.close)
        for worker in range(count):
            pinned = processors[worker % len(processors)] if plan.pin else None
            link = make(Task(one, worker, count, nameOf(reactor), families, pinned))
            links.append(link)
            link.start(reactor, shared.descriptor, listening[worker])
    if not families:
        return Dealer(reactor, ports, links, shared)
    for port in ports:
        port.stopListening()
    return None
