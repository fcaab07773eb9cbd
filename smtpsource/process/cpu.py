"""
The processor time that this process has used, and has waited for.
"""

from __future__ import annotations

from resource import RUSAGE_SELF, getrusage


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
