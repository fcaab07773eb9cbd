"""
Many clients at once, who do next to nothing.
"""

from __future__ import annotations

import re
import resource
import select
import socket
import time
from pathlib import Path

from patience import PATIENCE

#: The last line of a reply.
_LAST = re.compile(rb"^\d{3} ", re.MULTILINE)


def rss(pid):
    """
    @return: the memory that a process has now, in bytes.
    """
    return 1024 * int(re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1])


def allowFiles(number):
    """
    Let this process, and those that it starts, open so many files.

    @return: whether that may be.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (number, max(number, hard)))
        except (OSError, ValueError):
            return False
    return True


class Crowd:
    """
    Clients of a server on a port of 127.0.0.1, each of which has had its banner.
    """

    def __init__(self, port, number):
        """
        @param number: how many they are.
        """
        self._sockets = []
        self._poll = select.poll()
        self._byNumber = {}
        for _ in range(number):
            one = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets.append(one)
            self._byNumber[one.fileno()] = one
            self._poll.register(one, select.POLLIN)
        self.whenHeard(1)

    def whenHeard(self, replies):
        """
        Wait until each has had so many replies more.
        """
        waiting = dict.fromkeys(self._byNumber, replies)
        deadline = time.monotonic() + PATIENCE
        while waiting:
            ready = self._poll.poll(1000 * (deadline - time.monotonic()))
            if not ready:
                raise TimeoutError(f"{len(waiting)} clients wait for a reply")
            for number, _ in ready:
                data = self._byNumber[number].recv(4096)
                if not data:
                    raise EOFError("a client was sent away")
                waiting[number] -= len(_LAST.findall(data))
                if waiting[number] <= 0:
                    del waiting[number]

    def say(self, data, size=None):
        """
        Let each say something.

        @param size: so many bytes at a time, and everybody in turn.
        """
        size = size or len(data)
        for at in range(0, len(data), size):
            for one in self._sockets:
                one.sendall(data[at : at + size])

    def leave(self):
        """
        All go.
        """
        for one in self._sockets:
            one.close()
