"""
Where the figures come from.
"""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata

from benchmarks.servers import postfix
from smtpsource._version import __version__


def _model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _postfixVersion() -> str | None:
    program = postfix("postconf")
    if program is None:
        return None
    try:
        done = subprocess.run([program, "-d", "-h", "mail_version"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def describe() -> dict[str, object]:
    """
    What figures depend on; all of it can be written as JSON.
    """
    return {
        "processor": _model(),
        "processors": os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "smtpsource": __version__,
        "twisted": _version("twisted"),
        "postfix": _postfixVersion(),
        "aiosmtplib": _version("aiosmtplib"),
        "load": os.getloadavg(),
    }


def line(machine: dict[str, object]) -> str:
    """
    The same for people.
    """
    return (
        f"{machine['processor']}, {machine['processors']} processors; {machine['kernel']}; {machine['python']}; "
        f"Twisted {machine['twisted']}; Postfix {machine['postfix'] or 'not installed'}; "
        f"smtpsource {machine['smtpsource']}"
    )
