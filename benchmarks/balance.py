"""
How a sink's workers share connections, and what that takes: C{python -m benchmarks.balance}.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measure import processTime

#: How long to wait for what has to happen, in seconds.
_PATIENCE = 600.0

#: Connections at once, where the shares of two workers are looked at.
_FEW = (2, 4, 8, 20, 40, 200)

_TICKS = 1e6


class Sink:
    """
    A sink in a process of its own, and its workers.
    """

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-P", "-m", "smtpsource.sink", *options, "127.0.0.1:0"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        found = re.search(r":([0-9]+)$", self._process.stdout.readline().strip())
        assert found is not None
        self.address = ("127.0.0.1", int(found[1]))
        self.pid = self._process.pid
        self.workers = [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        self._before = [_sockets(pid) for pid in self.workers]

    def shares(self) -> list[int]:
        """
        How many connections each worker has.
        """
        return [_sockets(pid) - before for pid, before in zip(self.workers, self._before, strict=True)]

    def cpu(self) -> tuple[float, float]:
        """
        The CPU seconds of the first process, and of its workers.
        """
        return processTime(self.pid), sum(map(processTime, self.workers))

    def close(self) -> None:
        """
        End it.
        """
        self._process.terminate()
        self._process.communicate(timeout=_PATIENCE)


def _sockets(pid: int) -> int:
    number = 0
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            number += os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:")
        except FileNotFoundError:
            pass  # closed by now
    return number


def crowd(sink: Sink, number: int) -> list[int]:
    """
    So many clients come at once, and leave.

    @return: how many each worker had.
    """
    clients = [socket.create_connection(sink.address, _PATIENCE) for _ in range(number)]
    for client in clients:
        client.recv(512)
    found = sink.shares()
    for client in clients:
        client.close()
    end = time.monotonic() + _PATIENCE
    while any(sink.shares()):
        if time.monotonic() > end:
            raise TimeoutError("connections were not closed")
    return found


def visits(sink: Sink, number: int) -> tuple[float, float]:
    """
    So many clients come one after the other, and say QUIT.

    @return: the CPU seconds of the first process, and of its workers.
    """
    before = sink.cpu()
    for _ in range(number):
        with socket.create_connection(sink.address, _PATIENCE) as client:
            client.sendall(b"QUIT\r\n")
            while client.recv(512):
                pass
    after = sink.cpu()
    return after[0] - before[0], after[1] - before[1]


def main() -> None:
    """
    Measure it.
    """
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="of so many clients at once (default: 50)")
    parser.add_argument("--visits", type=int, default=10000, help="clients one after the other (default: 10000)")
    given = parser.parse_args()
    for options in (("--workers", "1"), ("--workers", "2"), ("--workers", "2", "--balance", "kernel")):
        sink = Sink(*options)
        try:
            print(" ".join(options))
            parent, workers = visits(sink, given.visits)
            each = [f"{seconds / given.visits * _TICKS:.1f} us" for seconds in (parent, workers)]
            print(f"  CPU for a connection: {each[0]} of the first process, {each[1]} of the workers")
            for number in _FEW if sink.workers else ():
                larger = [max(crowd(sink, number)) for _ in range(given.rounds)]
                mean = sum(larger) / len(larger) / number
                alone = sum(each == number for each in larger)
                print(
                    f"  {number} at once: the larger share is {mean:.0%} on average, {max(larger)} at worst; "
                    f"{alone} times of {given.rounds} one worker had all"
                )
        finally:
            sink.close()


if __name__ == "__main__":
    main()
