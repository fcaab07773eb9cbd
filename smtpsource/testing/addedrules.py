"""
Rules that a test adds to those of a sink.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any

#: Rules without a name are given one, by which they are removed.
_numbers = count(1)


def written(on: str | Iterable[str], do: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """
    A rule as a document of rules has it, with a name.
    """
    return {"name": f"added {next(_numbers)}", "on": on if isinstance(on, str) else list(on), "do": do, **more}


class AddedRule:
    """
    A rule that a test has added. In a C{with} statement it is removed at its end.

    @ivar name: its name.
    """

    def __init__(self, name: str, counts: Callable[[], Mapping[str, int]], remove: Callable[[str], object]) -> None:
        """
        @param counts: how often each rule has had a part in what was done.
        @param remove: removes the rule of this name.
        """
        self.name = name
        self._counts = counts
        self._remove = remove
        # Another one may have had this name.
        self._before = counts().get(name, 0)

    @property
    def count(self) -> int:
        """
        How often it has had a part in what was done.
        """
        return self._counts().get(self.name, 0) - self._before

    def remove(self) -> None:
        """
        Remove it, if it is still there.
        """
        self._remove(self.name)

    def __enter__(self) -> AddedRule:
        """
        Here it is.
        """
        return self

    def __exit__(self, *raised: object) -> None:
        """
        Here it is not any more.
        """
        self.remove()
