"""
What a run ran on: programs, machine, limits. Numbers of two runs can be compared only if one knows that.
"""

from __future__ import annotations

import os
import platform
import resource
import socket
import sys
import time
from typing import Any

from smtpsource import speedups
from smtpsource._version import __version__
from smtpsource.process.processors import usable


def environment(reactor: str, started: str) -> dict[str, Any]:
    """
    What this process runs on, as JSON takes it; docs/report.rst says what each field means. There is nothing of the
    environment's variables in it, and nothing that is secret.

    @param reactor: the class of the reactor.
    @param started: when the run began.
    """
    return {
        "started": started,
        "timeZone": time.strftime("%Z"),
        "reactor": reactor,
        "versions": _versions(),
        "host": socket.gethostname(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": {"online": os.cpu_count(), "usable": usable()},
        "memory": _memory(),
        "peakMemory": _peakMemory(),
        "limits": {
            "openFiles": dict(
                zip(("soft", "hard"), map(_limit, resource.getrlimit(resource.RLIMIT_NOFILE)), strict=True)
            ),
            "ports": _ephemeralPorts(),
        },
    }


def _versions() -> dict[str, str | None]:
    # What is not imported plays no part in the run.
    twisted, tls = sys.modules.get("twisted"), sys.modules.get("OpenSSL.SSL")
    return {
        "smtpsource": __version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "speedups": speedups.NAME,
        "twisted": None if twisted is None else twisted.__version__,
        "openssl": None if tls is None else tls.SSLeay_version(tls.SSLEAY_VERSION).decode("ascii", "replace"),
    }


def _memory() -> int | None:
    """
    The machine's memory, in bytes.
    """
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def _peakMemory() -> int:
    """
    The most memory that this process has had so far, in bytes.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB


def _limit(value: int) -> int | None:
    return None if value == resource.RLIM_INFINITY else value


def _ephemeralPorts() -> list[int] | None:
    """
    The first and the last port that the system chooses for a connection; see ip(7).
    """
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", "rb") as file:
            first, last = map(int, file.read().split())
    except (OSError, ValueError):
        return None
    return [first, last]
