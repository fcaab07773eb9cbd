"""
What a worker is told to be.
"""

from __future__ import annotations

from dataclasses import dataclass

from smtpsource.sink.plan import SinkPlan


@dataclass(frozen=True)
class Task:
    """
    Everything about a worker that is decided before it starts.

    @ivar plan: the sink's.
    @ivar worker: which one it is, from 0 on; of so many C{workers}.
    @ivar reactor: the full name of the parent's class of reactor.
    @ivar families: of the sockets that it listens on itself, which are open as descriptors. If there are none, it is
        given connections.
    @ivar processor: the one that it keeps to, or C{None}.
    """

    plan: SinkPlan
    worker: int
    workers: int
    reactor: str
    families: tuple[int, ...] = ()
    processor: int | None = None
