"""
Whose loopback it is: 127.0.0.1 is another place on each machine, and in each network namespace.
"""

from __future__ import annotations

import os
import socket


def loopback() -> str:
    """
    A word that processes have in common if, and only if, they have one loopback; without Linux, if their machines have
    one name.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = file.read().strip()
        return f"{boot} {os.stat('/proc/self/ns/net').st_ino}"
    except OSError:
        return socket.gethostname()
