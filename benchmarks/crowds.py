"""
What a sink needs for many clients who do next to nothing: C{python -m benchmarks.crowds}.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

#: How long to wait for what has to happen, in seconds.
_PATIENCE = 600.0

#: The last line of a reply.
_LAST = re.compile(rb"^\d{3} ", re.MULTILINE)

_HEADER = b"Subject: slow\r\nX-Slow: " + b"x" * 77


def rss(pid: int) -> int:
    """
    The memory that a process has now, in bytes.
    """
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def allowFiles(number: int) -> bool:
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

    def __init__(self, port: int, number: int) -> None:
        """
        @param number: how many they are.
        """
        self._poll = select.poll()
        self._sockets: dict[int, socket.socket] = {}
        for _ in range(number):
            one = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets[one.fileno()] = one
            self._poll.register(one, select.POLLIN)
        self.whenHeard(1)

    def whenHeard(self, replies: int) -> None:
        """
        Wait until each has had so many replies more.

        @raise TimeoutError: they never came.
        @raise EOFError: a client was sent away.
        """
        waiting = dict.fromkeys(self._sockets, replies)
        deadline = time.monotonic() + _PATIENCE
        while waiting:
            ready = self._poll.poll(max(0.0, 1000 * (deadline - time.monotonic())))
            if not ready:
                raise TimeoutError(f"{len(waiting)} clients wait for a reply")
            for number, _ in ready:
                data = self._sockets[number].recv(4096)
                if not data:
                    raise EOFError("a client was sent away")
                if number in waiting:
                    waiting[number] -= len(_LAST.findall(data))
                    if waiting[number] <= 0:
                        del waiting[number]

    def say(self, data: bytes, size: int | None = None) -> None:
        """
        Let each say something.

        @param size: so many bytes at a time, and everybody in turn.
        """
        size = size or len(data)
        for at in range(0, len(data), size):
            for one in self._sockets.values():
                one.sendall(data[at : at + size])

    def leave(self) -> None:
        """
        All go.
        """
        for one in self._sockets.values():
            one.close()


def _measure(pid: int, port: int, clients: int, slow: bool) -> None:
    before = rss(pid)
    crowd = Crowd(port, clients)
    if slow:
        crowd.say(b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n")
        crowd.whenHeard(3)
        crowd.say(_HEADER, 1)
    now = rss(pid)
    kind = "slow" if slow else "idle"
    print(f"{clients} {kind} clients: {now / 2**20:.0f} MiB, {(now - before) / clients / 1024:.1f} KiB for each")
    crowd.leave()


def main() -> int:
    """
    Run one command line.

    @return: 1 if so many files may not be open.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crowds", description=__doc__)
    parser.add_argument("--clients", type=int, default=5000, metavar="N", help="how many (default: 5000)")
    parser.add_argument("--slow", action="store_true", help="they send a header, byte by byte in turn")
    parser.add_argument("options", nargs="*", help="of the sink, after --")
    given = parser.parse_args()
    if not allowFiles(given.clients + 90):
        print(f"this process may not open {given.clients + 90} files: see ulimit -n", file=sys.stderr)
        return 1
    command = [sys.executable, "-m", "smtpsource.sink", "--timeout", "1h", *given.options, "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as sink:
        try:
            assert sink.stdout is not None
            port = int(sink.stdout.readline().rpartition(":")[2])
            _measure(sink.pid, port, given.clients, given.slow)
        finally:
            sink.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
