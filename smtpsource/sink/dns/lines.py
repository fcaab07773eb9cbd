"""
Where in a TOML file something is.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

#: What may have brackets and line ends that mean nothing: texts of several lines, those of one, and comments.
_TEXT = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+"{3,5}|"(?:[^"\\\n]|\\.)*+"|'
    r"'''(?:[^']|'(?!''))*+'{3,5}|'[^'\n]*+'|#[^\n]*+",
    re.DOTALL,
)


def lineOf(text: str, path: Sequence[str | int]) -> int:
    """
    The line where a key begins, or the header of a table.

    @param text: TOML that can be read.
    @param path: the keys that lead there, and indices of lists.
    @return: its number, from 1 on; 1 if there is no such thing.
    """
    lines = text.split("\n")
    statements = list(_statements(text))
    # What a beginning of the file has, longer ones have as well.
    found = bisect_left(statements, True, key=lambda each: _has(tomllib.loads("\n".join(lines[: each[1]])), path))
    return statements[found][0] if found < len(statements) else 1


def _statements(text: str) -> Iterator[tuple[int, int]]:
    """
    The first and the last line of each header, and of each key with its value.
    """
    bare = _TEXT.sub(_blank, text)
    first = depth = 0
    for number, line in enumerate(bare.split("\n"), 1):
        if not first and line.strip():
            first = number
        depth += line.count("[") + line.count("{") - line.count("]") - line.count("}")
        if first and not depth:
            yield first, number
            first = 0


def _blank(found: re.Match[str]) -> str:
    """
    A text or a comment without what is in it; one of several lines is like a table of as many.
    """
    if found[0].startswith("#"):
        return ""
    ends = found[0].count("\n")
    return "{" + "\n" * ends + "}" if ends else "x"


def _has(document: Any, path: Sequence[str | int]) -> bool:
    for key in path:
        try:
            document = document[key]
        except (KeyError, IndexError, TypeError):
            return False
    return True
