"""
A unit of systemd that is watched: its control group, which is there again when the unit is started again. See
cgroups(7).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from typing import Any

from smtpsource.beside.looks import Rate, namesOf

#: Where control groups are.
ROOT = "/sys/fs/cgroup"

#: Seconds that systemctl may take.
_PATIENCE = 10.0

#: Of each version: the controller, a file of it, a word before the number where there are several, what it is of the
#: figure's unit.
_V2 = {
    "memory": ("", "memory.current", "", 1.0),
    "rss": ("", "memory.stat", "anon", 1.0),
    "cpu": ("", "cpu.stat", "usage_usec", 1e-6),
    "processes": ("", "pids.current", "", 1.0),
}
_V1 = {
    "memory": ("memory", "memory.usage_in_bytes", "", 1.0),
    "rss": ("memory", "memory.stat", "total_rss", 1.0),
    "cpu": ("cpuacct", "cpuacct.usage", "", 1e-9),
    "processes": ("pids", "pids.current", "", 1.0),
}


def directoriesOf(unit: str, root: str = ROOT) -> dict[str, str]:
    """
    The directories of a unit's control group, by their controllers; of version 2 there is one, without.

    @param unit: its name; C{.service} may be left out.
    @raise ValueError: there is no such unit, or it does not run.
    """
    if not re.fullmatch(r"[A-Za-z0-9:_.@\\-]{1,255}", unit) or unit.startswith("-"):
        raise ValueError("expected the name of a unit, such as unit:postfix@-.service")
    name = unit if re.search(r"\.(service|scope|slice|socket|mount)$", unit) else f"{unit}.service"
    group = _groupOf(name)
    if os.path.exists(f"{root}/cgroup.controllers"):
        directories = {"": f"{root}/{group}"}
    else:
        directories = {controller: f"{root}/{controller}/{group}" for controller, *_ in _V1.values()}
    if not any(map(os.path.isdir, directories.values())):
        raise ValueError(f"expected a unit that runs: there is no control group {group} in {root}")
    return directories


def _groupOf(name: str) -> str:
    """
    The control group of a unit, as systemd says; or, if it says nothing, where it would be.
    """
    import subprocess  # nothing else has a use for it

    command = ["systemctl", "show", "--property=LoadState", "--property=ControlGroup", "--", name]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        said = {}
    else:
        lines = done.stdout.decode("utf-8", "replace").splitlines()
        said = dict(line.split("=", 1) for line in lines if "=" in line)
    if said.get("LoadState") == "not-found":
        raise ValueError("expected a unit of systemd: it knows none of that name")
    if said.get("LoadState") and not said.get("ControlGroup"):
        raise ValueError("expected a unit that runs: it has no process")
    return (said.get("ControlGroup") or f"/system.slice/{name}").lstrip("/")


class UnitLook:
    """
    Looks at one: C{memory} in bytes, its cache included, C{rss} without it, C{cpu} in processors that it keeps busy,
    and C{processes}, threads included.
    """

    FIGURES = tuple(_V2)

    def __init__(self, name: str, where: Mapping[str, Any]) -> None:
        self.name = name
        self._directories = where["directories"]
        self._cpu = Rate()

    def look(self) -> dict[str, float]:
        """
        See L{Look.look<smtpsource.beside.looks.Look.look>}.
        """
        found: dict[str, float] = {}
        problem: OSError | None = None
        isThere = False
        files = _V2 if "" in self._directories else _V1
        for figure, name in zip(self.FIGURES, namesOf(self.name, self.FIGURES), strict=True):
            controller, file, word, factor = files[figure]
            try:
                number = _number(f"{self._directories[controller]}/{file}", word)
            except OSError as e:
                problem = e
                continue
            isThere = True
            value = None if number is None else number * factor
            if figure == "cpu" and value is not None:
                value = self._cpu.of(time.monotonic(), value)
            if value is not None:
                found[name] = value
        if not isThere and problem is not None:
            raise problem
        return found


def _number(path: str, word: str) -> float | None:
    with open(path, encoding="ascii", errors="replace") as file:
        text = file.read()
    match = re.search(rf"^{word} ?([0-9]+)$", text, re.MULTILINE)
    return None if match is None else float(match[1])
