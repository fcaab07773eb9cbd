"""
A queue of Postfix that is watched: how many files are in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from smtpsource.beside.looks import namesOf

#: Its parts.
PARTS = ("maildrop", "incoming", "active", "deferred", "hold")

#: Of one part no more are counted: that takes about a second.
MOST = 1_000_000

#: How deep directories are in each other: hash_queue_depth.
_DEEPEST = 4


def check(directory: str) -> None:
    """
    @raise ValueError: there is no such queue, or nobody may read it.
    """
    try:
        parts = [name for name in PARTS if os.path.isdir(os.path.join(directory, name))]
        for name in parts:
            next(_files(os.path.join(directory, name), 0), None)
        if not parts:
            os.listdir(directory)
    except OSError as e:
        raise ValueError(f"expected the directory of a queue that may be read: {e.strerror}")
    if not parts:
        raise ValueError(f"expected a queue of Postfix, such as /var/spool/postfix, with {', '.join(PARTS)}")


class QueueLook:
    """
    Looks at one: the number of files in each of L{PARTS}.
    """

    FIGURES = PARTS

    def __init__(self, name: str, where: Mapping[str, Any]) -> None:
        self.name = name
        self._directory = where["directory"]

    def look(self) -> dict[str, float]:
        """
        See L{Look.look<smtpsource.beside.looks.Look.look>}.
        """
        found: dict[str, float] = {}
        problem: OSError | None = None
        for part, name in zip(PARTS, namesOf(self.name, PARTS), strict=True):
            try:
                found[name] = _count(os.path.join(self._directory, part))
            except OSError as e:
                problem = e
        if not found and problem is not None:
            raise problem
        return found


def _count(directory: str) -> int:
    count = 0
    for count, _ in enumerate(_files(directory, 0), 1):
        if count >= MOST:
            break
    return count


def _files(directory: str, depth: int) -> Iterator[str]:
    """
    The names of all files, in hashed directories as well. What is moved meanwhile is counted once, twice or not at all.
    """
    with os.scandir(directory) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                yield entry.name
            elif depth < _DEEPEST:
                try:
                    yield from _files(entry.path, depth + 1)
                except FileNotFoundError:
                    pass
