"""
The processors that this process may use; their time that it has used, and has waited for.
"""

from __future__ import annotations

import os
from resource import RUSAGE_SELF, getrusage


def usableProcessors() -> list[int]:
    """
    The numbers of the processors that this process may use, in order; there is at least one.
    """
    try:
        return sorted(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return list(range(os.cpu_count() or 1))


def processTime() -> tuple[float, float]:
    """
    The CPU seconds of this process so far: in user mode and in the kernel.
    """
    usage = getrusage(RUSAGE_SELF)
    return usage.ru_utime, usage.ru_stime


def waitedTime() -> float | None:
    """
    For how many seconds this thread could have run so far, but had no processor; C{None} if the system does not tell.
    """
    try:
        # proc(5): the time on a processor and the time waited for one, in nanoseconds.
        with open("/proc/thread-self/schedstat", "rb", buffering=0) as file:
            return int(file.read(100).split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None
