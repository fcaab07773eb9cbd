"""
The parent accepts connections, and gives each to the worker that has the fewest.

That is exact, however few connections there are; the kernel's own ways to share a port are not: see
docs/performance.rst.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from typing import Any

from smtpsource.sink.workers.link import Link
from smtpsource.sink.workers.shared import GONE, Shared

#: No more connections are accepted in one turn.
_MOST = 200

#: Seconds until it is tried again, where no worker takes any, or there is no descriptor for one.
_PAUSE = 0.01

_LEVEL, _RIGHTS = socket.SOL_SOCKET, socket.SCM_RIGHTS


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
        self._many = 1
        self._isOver = False
        self._isWaiting = False
        self._ports = list(ports)
        self._held: tuple[bytes, int] | None = None
        self._gone = [shared.place(link.task.worker, GONE) for link in links]
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
            os.close(self._held[1])
            self._held = None

    def _accept(self, port: Any) -> None:
        # A socket made of the descriptor would be of no use here.
        accept, family = port.socket._accept, bytes([port.addressFamily])
        # As many as came last time, and some more if there were that many.
        most = self._many
        for number in range(most):
            try:
                descriptor, _address = accept()
            except BlockingIOError:
                self._many = max(1, number)
                return
            except OSError:
                # Out of descriptors, most likely.
                self._wait()
                return
            if self._give(family, descriptor):
                os.close(descriptor)
            else:
                self._held = family, descriptor
                self._wait()
                return
        self._many = min(most + 20, _MOST)

    def _give(self, family: bytes, descriptor: int) -> bool:
        """
        @return: whether a worker has taken it.
        """
        numbers, gone = self._shared.numbers, self._gone
        # Of those with as few, the one whose turn it is.
        self._turn += 1
        count, turn = len(self._links), self._turn
        loads = [
            (link.given - numbers[place], (worker - turn) % count, worker)
            for worker, (link, place) in enumerate(zip(self._links, gone, strict=True))
            if link.isReady
        ]
        while loads:
            least = min(loads)
            link = self._links[least[2]]
            try:
                link.connections.sendmsg([family], [(_LEVEL, _RIGHTS, descriptor.to_bytes(4, sys.byteorder))])
            except OSError:
                loads.remove(least)
                continue
            link.given += 1
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
            if not self._give(*self._held):
                self._wait()
                return
            os.close(self._held[1])
            self._held = None
        self.begin()
