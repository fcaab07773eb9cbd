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

    @raise ValueError: it has something that no document can have; the text is one line.
    """
    steps = list(on) if isinstance(on, Iterable) and not isinstance(on, str | bytes) else on
    rule = {"name": f"added {next(_numbers)}", "on": steps, "do": do, **more}
    needPlain(rule)
    return rule


def needPlain(value: object, where: str = "") -> None:
    """
    See that a value is one that a document of rules can have: texts, numbers, lists, tables.

    @param where: the keys that lead to it.
    @raise ValueError: it is not; the text is one line.
    """
    if isinstance(value, Mapping):
        for key, each in value.items():
            needPlain(each, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list | tuple):
        for each in value:
            needPlain(each, where)
    elif value is not None and not isinstance(value, str | int | float):
        raise ValueError(f"{where}: {value!r} is not usable: expected a text, a number, a list or a table")


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
        return max(0, self._counts().get(self.name, 0) - self._before)

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
