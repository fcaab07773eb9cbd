"""
What is wrong with a document of rules, and where.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

_Value = TypeVar("_Value")

#: The keys, and the indexes from 0, that lead to a value of a document.
Path = tuple[str | int, ...]

_LONGEST = 60


class Wrong(ValueError):
    """
    Something of a document is not usable. Its text says what, and what would be right, but not where.

    @ivar path: where.
    """

    def __init__(self, path: Path, text: str) -> None:
        super().__init__(text)
        self.path = path


def shown(value: object) -> str:
    """
    A value, in one line that is not long.
    """
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, list | tuple | Mapping):
        return "a table" if isinstance(value, Mapping) else "a list"
    if isinstance(value, int) and value.bit_length() > 64:
        return "that number"
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...{text[0]}"


def alternatives(words: Iterable[str]) -> str:
    """
    Words to choose from.
    """
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def suggestion(word: object, known: Collection[str]) -> str:
    """
    The end of an error about a word that is none of these, if it is like one of them.
    """
    from difflib import get_close_matches  # only where something is wrong

    close = get_close_matches(word.lower(), known, 1) if isinstance(word, str) else []
    return f"; did you mean {close[0]}?" if close else ""


def oneOf(words: Collection[str]) -> Callable[[Any], Any]:
    """
    One of these words.
    """

    def convert(value: object) -> object:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"expected {alternatives(words)}{suggestion(value, words)}")
        return value

    return convert


def usable(path: Path, value: object, convert: Callable[[Any], _Value]) -> _Value:
    """
    @param convert: raises C{ValueError} with what was expected.
    @raise Wrong: it did.
    """
    try:
        return convert(value)
    except Wrong:
        raise
    except ValueError as e:
        raise Wrong(path, f"{shown(value)} is not usable: {e}")


class Table:
    """
    A table of a document, whose keys are known.

    @ivar path: where it is.
    """

    def __init__(self, value: object, path: Path, known: Collection[str], example: str) -> None:
        """
        @param known: all keys that it may have.
        @param example: of such a table.
        @raise Wrong: it is no table, or has another key.
        """
        if not isinstance(value, Mapping):
            raise Wrong(path, f"{shown(value)} is not usable: expected a table, such as {example}")
        for key in value:
            if key not in known:
                raise Wrong(
                    (*path, str(key)), f"no such key: expected {alternatives(known)}{suggestion(str(key), known)}"
                )
        self._values = value
        self.path = path

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def given(self, keys: Iterable[str]) -> list[str]:
        """
        @return: those of the keys that it has.
        """
        return [key for key in keys if key in self._values]

    def at(self, key: str) -> Path:
        """
        Where a key is.
        """
        return (*self.path, key)

    def raw(self, key: str) -> Any:
        """
        A value as it was written, or C{None}.
        """
        return self._values.get(key)

    def get(self, key: str, convert: Callable[[Any], _Value], default: _Value) -> _Value:
        """
        A value, or the default if there is none.

        @raise Wrong: it can't be converted.
        """
        return usable(self.at(key), self._values[key], convert) if key in self._values else default

    def need(self, key: str, convert: Callable[[Any], _Value], example: str) -> _Value:
        """
        The same, if there has to be one.
        """
        if key not in self._values:
            raise Wrong(self.path, f"no {key!r}: expected one, such as {example}")
        return usable(self.at(key), self._values[key], convert)

    def atMostOne(self, keys: Iterable[str], why: str = "") -> str:
        """
        @param why: the end of the error.
        @return: the one of these that there is, or an empty text.
        @raise Wrong: there are two.
        """
        found = self.given(keys)
        if len(found) > 1:
            raise Wrong(self.at(found[1]), f"{found[0]} and {found[1]} exclude each other{why}: expected one of them")
        return found[0] if found else ""


def inWords(error: Wrong, name: str, lineOf: Callable[[Path], int] | None = None) -> str:
    """
    One line for people.

    @param name: of the file, or whatever it is; it may be empty.
    @param lineOf: gives the line of it, from 1 on; 0 for none.
    """
    line = lineOf(error.path) if lineOf is not None else 0
    parts = [f"{name}, line {line}" if line else name] if name else []
    keys = list(error.path)
    if keys[:1] == ["rule"] and len(keys) > 1 and isinstance(keys[1], int):
        parts.append(f"rule {keys[1] + 1}")
        del keys[:2]
    if keys:
        parts.append(_dotted(keys))
    return ": ".join([*parts, str(error)])


def _dotted(keys: Iterable[str | int]) -> str:
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key + 1}]"
        else:
            text += f"{'.' if text else ''}{key if key and key.isprintable() else repr(key)}"
    return text
