"""
Where the keys of a text in TOML stand. C{tomllib} does not say, and libraries that keep the whole text do not count
lines either.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from smtpsource.sink.rules.problems import Path
from smtpsource.values.tomltext import TEXT

#: Pieces of which a text is made, for who only looks for keys: texts, comments, line ends, brackets, and all between.
_PIECE = re.compile(rf"{TEXT.pattern}|(?P<end>\n)|(?P<bracket>[\[\]{{}}])|[^\"'#\n\[\]{{}}]+", re.DOTALL)
_HEADER = re.compile(r"\s*(\[\[?)([^\[\]]*)\]\]?\s*")
_PART = re.compile(r"\s*(?:\"([^\"]*)\"|'([^']*)'|([^.\s\"']+))\s*(?:\.|$)")


def lineOf(text: str) -> Callable[[Path], int]:
    """
    @param text: that is valid.
    @return: what gives the line in which a key stands, from 1 on, or the table that it is in; 0, if there is none.
    """
    lines = _linesOf(text)

    def find(path: Path) -> int:
        while path and path not in lines:
            path = path[:-1]
        return lines.get(path, 0)

    return find


def _linesOf(text: str) -> dict[Path, int]:
    found: dict[Path, int] = {}
    tables: Counter[Path] = Counter()
    table: Path = ()
    for number, line in _statements(text):
        header = _HEADER.fullmatch(line)
        if header is None:
            path = (*table, *_parts(line.partition("=")[0]))
        else:
            path = table = _within(_parts(header[2]), tables, header[1] == "[[")
        for length in range(len(path), 0, -1):
            found.setdefault(path[:length], number)
    return found


def _within(parts: Path, tables: Counter[Path], isArray: bool) -> Path:
    """
    The path of a header: a table in an array of tables is in the last of them.
    """
    path: Path = ()
    for index, part in enumerate(parts):
        path = (*path, part)
        if isArray and index == len(parts) - 1:
            tables[path] += 1
        if tables[path]:
            path = (*path, tables[path] - 1)
    return path


def _statements(text: str) -> list[tuple[int, str]]:
    """
    Headers, and keys with what follows them in the same line; each with its line. Comments are left out, and so is all
    that is within a value of several lines.
    """
    found: list[tuple[int, str]] = []
    number, begun, depth, line = 1, 1, 0, ""
    for match in _PIECE.finditer(text + "\n"):
        piece = match[0]
        if match["bracket"] and "=" in line:
            depth += 1 if piece in "[{" else -1
        if match["end"] and not depth:
            if line.strip():
                found.append((begun, line))
            line, begun = "", number + 1
        elif not match["end"] and not piece.startswith("#"):
            line += piece
        number += piece.count("\n")
    return found


def _parts(key: str) -> Path:
    """
    Of a key with dots.
    """
    return tuple(next(filter(None, match.groups()), "") for match in _PART.finditer(key.strip()))
