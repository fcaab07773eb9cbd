"""
The processors that this process may use.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import ceil
from pathlib import Path

#: Where Linux has the control groups, version 2, and says which one this process is in. Of a container that is the top.
_GROUPS, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def allowed() -> list[int]:
    """
    Which ones they are.
    """
    try:
        return sorted(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return list(range(os.cpu_count() or 1))


def usable(groups: Path = _GROUPS, own: Path = _OWN) -> int:
    """
    How many can be kept busy: no more than there is time of in the control group, which is how a container, a pod or a
    service is limited.

    @param groups: where the control groups are.
    @param own: says which one is ours.
    """
    return max(1, min([len(allowed()), *map(ceil, _limits(groups, own))]))


def _limits(groups: Path, own: Path) -> Iterator[float]:
    """
    How many processors' time our control group has, and each that it is in, as far as that is limited.
    """
    try:
        (path,) = (line[3:] for line in own.read_text().splitlines() if line.startswith("0::"))
    except (OSError, ValueError):
        return
    group = Path(path.lstrip("/"))
    for each in (group, *group.parents):
        try:
            # Microseconds, of so many; or "max".
            quota, period = (groups / each / "cpu.max").read_text().split()
            yield int(quota) / int(period)
        except (OSError, ValueError, ZeroDivisionError):
            continue
