"""
What tables of a TOML file say, value by value.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

_Value = TypeVar("_Value")

#: The keys that lead to a value, and indices of lists.
Path = tuple[str | int, ...]

#: The most of a value that is shown.
_MOST_SHOWN = 60


class Unusable(ValueError):
    """
    Something in a file can't be used. The text says what and what was expected; it has no name of a file, nor a line.

    @ivar path: where it is.
    """

    def __init__(self, path: Path, problem: str) -> None:
        keys = [inOneLine(key) for key in path if isinstance(key, str)]
        super().__init__(f"{'.'.join(keys)}{problem}")
        self.path = path


class Table:
    """
    One table.

    @ivar path: the keys that lead to it.
    """

    def __init__(self, values: Any, path: Path, known: Collection[str] | None) -> None:
        """
        @param values: what should be a table.
        @param known: the keys that it may have; C{None} is any.
        @raise Unusable: it is no table, or has another key.
        """
        if not isinstance(values, Mapping):
            raise Unusable(path, f": {shown(values)} is not usable: expected a table")
        self.path = path
        self._values = values
        for key in values if known is not None else ():
            if known is not None and key not in known:
                raise Unusable((*path, key), f" is no key: expected one of {', '.join(sorted(known))}")

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def names(self) -> list[str]:
        """
        The keys it has, in the order of the file.
        """
        return list(self._values)

    def get(self, key: str, convert: Callable[[Any], _Value], default: _Value) -> _Value:
        """
        A value.

        @param convert: gives what it means, or raises C{ValueError} with what was expected.
        @param default: what it is if there is no such key.
        @raise Unusable: it is not usable.
        """
        if key not in self._values:
            return default
        value = self._values[key]
        try:
            return convert(value)
        except Unusable:
            raise
        except ValueError as e:
            raise Unusable((*self.path, key), f": {shown(value)} is not usable: {e}") from None

    def list(self, key: str, convert: Callable[[Any], _Value], default: tuple[_Value, ...]) -> tuple[_Value, ...]:
        """
        A list of values, or one of them.

        @param convert: as in L{get}, for each.
        @raise Unusable: one of them is not usable.
        """
        if key not in self._values:
            return default
        values = self._values[key]
        found = []
        for value in values if isinstance(values, list) else [values]:
            try:
                found.append(convert(value))
            except ValueError as e:
                raise Unusable((*self.path, key), f": {shown(value)} is not usable: {e}") from None
        return tuple(found)

    def wrong(self, key: str, expected: str) -> Unusable:
        """
        What to raise for a value that does not go with others.

        @param expected: what would be right.
        """
        return Unusable((*self.path, key), f": {shown(self._values[key])} is not usable: expected {expected}")


def text(convert: Callable[[str], _Value], example: str) -> Callable[[Any], _Value]:
    """
    What takes nothing but texts.

    @param example: what would be right, if it is none.
    """

    def converted(value: Any) -> _Value:
        if not isinstance(value, str):
            raise ValueError(f"expected a text, such as {example}")
        return convert(value)

    return converted


def shown(value: object) -> str:
    """
    A value, as TOML has it if it is short.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | Mapping):
        return "a list" if isinstance(value, list) else "a table"
    said = repr(value) if isinstance(value, str) else str(value)
    return said if len(said) <= _MOST_SHOWN else f"{said[:_MOST_SHOWN]}..."


def inOneLine(name: str) -> str:
    """
    A key or the name of a file.
    """
    return name if name and name.isprintable() else repr(name)
