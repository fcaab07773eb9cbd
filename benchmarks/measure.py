"""
Run a program, and tell what it used. For Linux only.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

#: The directory that has the package C{smtpsource} and this one.
ROOT = Path(__file__).resolve().parent.parent

#: How soon the memory of a program that runs is looked at, and how often later on, in seconds.
_FIRST_GLANCE = 0.002
_GLANCE = 0.05

#: How long a run may take, in seconds, before it is killed.
DEADLINE = 600.0


class RunFailed(Exception):
    """
    A program did not do what it should.
    """


class Used:
    """
    What a program used.

    @ivar user: seconds of CPU in user mode.
    @ivar system: the same in the kernel.
    @ivar wall: seconds from start to end.
    @ivar peak: most resident memory in bytes, or L{None}.
    """

    def __init__(self, user: float, system: float, wall: float, peak: int | None) -> None:
        self.user = user
        self.system = system
        self.wall = wall
        self.peak = peak


def raiseFileLimit() -> None:
    """
    Let what we start have as many open files as possible.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def processors() -> tuple[int, int] | None:
    """
    A processor for the server and one for the clients, or L{None} if there is only one.
    """
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else None


@contextmanager
def _on(processor: int | None) -> Iterator[None]:
    """
    What is started meanwhile stays on this processor.
    """
    if processor is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processor})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def start(
    command: Sequence[str], directory: Path, out: IO[bytes] | int, err: IO[bytes], processor: int | None = None
) -> subprocess.Popen[bytes]:
    """
    Start a program.

    @param directory: where it may leave files; postal writes a log there.
    @param processor: where it has to stay, or L{None}.
    """
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    with _on(processor):
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment, cwd=directory
        )


def processTime(pid: int) -> float:
    """
    Seconds of CPU that a process which runs has used, user and system, to the nanosecond (its CPU-time clock; see
    clock_getcpuclockid(3)).
    """
    return time.clock_gettime((~pid << 3) | 2)


def peakMemory(pid: int) -> int | None:
    """
    Most memory that a process had resident since it began this program, in bytes; L{None} if it is gone.
    """
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            for line in file:
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return None


def _floor() -> int:
    """
    A child's C{ru_maxrss} is never less than this: Linux counts what the child shared with us before it began its own
    program.
    """
    return peakMemory(os.getpid()) or sys.maxsize


def run(
    command: Sequence[str],
    log: Path,
    processor: int | None = None,
    seconds: float | None = None,
    glance: Callable[[], object] = lambda: None,
) -> Used:
    """
    Run a program to its end.

    @param log: where its errors go; its directory is the program's.
    @param seconds: end it with C{SIGTERM} after so long; L{None} if it ends by itself.
    @param glance: called many times meanwhile.
    @raise RunFailed: it could not start, did not end in time, or said that it failed.
    """
    floor = _floor()
    peak = None
    with open(log, "wb") as err:
        began = time.monotonic()
        try:
            process = start(command, log.parent, subprocess.DEVNULL, err, processor)
        except OSError as e:
            raise RunFailed(f"{command[0]}: {e.strerror}")
        deadline = began + (DEADLINE if seconds is None else seconds)
        overdue = seconds is None
        pause = _FIRST_GLANCE
        try:
            ended = select.poll()
            descriptor = os.pidfd_open(process.pid)
            try:
                ended.register(descriptor, select.POLLIN)
                while not ended.poll(max(0, min(pause, deadline - time.monotonic())) * 1000):
                    pause = min(2 * pause, _GLANCE)
                    peak = peakMemory(process.pid) or peak
                    glance()
                    if time.monotonic() >= deadline:
                        process.send_signal(signal.SIGKILL if overdue else signal.SIGTERM)
                        overdue, deadline = True, deadline + 5
                wall = time.monotonic() - began
            finally:
                os.close(descriptor)
        except BaseException:
            process.kill()
            process.wait()
            raise
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode == -signal.SIGKILL:
        raise RunFailed(f"{Path(command[0]).name} did not end in time")
    if process.returncode not in ((0,) if seconds is None else (0, -signal.SIGTERM)):
        raise RunFailed(f"{Path(command[0]).name} ended with status {process.returncode}: {lastLine(log)}")
    exact = usage.ru_maxrss * 1024
    return Used(usage.ru_utime, usage.ru_stime, wall, exact if exact > floor else peak)


def lastLine(log: Path) -> str:
    """
    The last that a program said.
    """
    lines = log.read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
