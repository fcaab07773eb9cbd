"""
The parent accepts connections, and gives each to the worker that has the fewest.

That is exact, however few connections there are; the kernel's own ways to share a port are not: see
docs/performance.rst.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

from smtpsource.sink.workers.link import Link
from smtpsource.sink.workers.shared import GONE, Shared

#: No more connections are accepted in one turn.
_MOST = 200

#: Seconds until it is tried again, where no worker takes any, or there is no descriptor for one.
_PAUSE = 0.01


class Dealer:
    """
    Stands for the ports of a sink, in the parent: what these would do with a connection, it does.
    """

    def __init__(self, reactor: Any, ports: Sequence[Any], links: Sequence[Link], shared: Shared) -> None:
        """
        @param ports: they listen, and must not have accepted anything.
        """
        self._reactor = reactor
        self._links, self._shared = links, shared
        self._turn = -1
        self._isOver = False
        self._isWaiting = False
        self._ports = list(ports)
        self._held: tuple[int, socket.socket] | None = None
        for port in self._ports:
            port.doRead = lambda port=port: self._accept(port)

    def begin(self) -> None:
        """
        Accept from now on.
        """
        if not self._isOver:
            for port in self._ports:
                port.startReading()

    def close(self) -> None:
        """
        Accept nothing any more.
        """
        self._isOver = True
        if self._held is not None:
            self._held[1].close()
            self._held = None

    def _accept(self, port: Any) -> None:
        for _ in range(_MOST):
            try:
                connection, _address = port.socket.accept()
            except BlockingIOError:
                return
            except OSError:
                # Out of descriptors, most likely.
                self._wait()
                return
            if not self._give(port.addressFamily, connection):
                self._held = port.addressFamily, connection
                self._wait()
                return

    def _give(self, family: int, connection: socket.socket) -> bool:
        """
        @return: whether a worker has taken it.
        """
        numbers, place = self._shared.numbers, self._shared.place
        there = [link for link in self._links if link.isReady]
        # Of those with as few, the one whose turn it is.
        count = len(self._links)
        self._turn = (self._turn + 1) % count
        turn = self._turn

        def load(link: Link) -> tuple[int, int]:
            worker = link.task.worker
            return link.given - numbers[place(worker, GONE)], (worker - turn) % count

        for link in sorted(there, key=load):
            try:
                socket.send_fds(link.connections, [bytes([family])], [connection.fileno()])
            except OSError:
                continue
            link.given += 1
            connection.close()
            return True
        return False

    def _wait(self) -> None:
        for port in self._ports:
            port.stopReading()
        if not self._isWaiting:
            self._isWaiting = True
            self._reactor.callLater(_PAUSE, self._again)

    def _again(self) -> None:
        self._isWaiting = False
        if self._isOver:
            return
        if self._held is not None:
            family, connection = self._held
            if not self._give(family, connection):
                self._wait()
                return
            self._held = None
        self.begin()
