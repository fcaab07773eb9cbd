"""
The upper bounds of dependencies in pyproject.toml. They are there for packages whose private names we use: what comes
after the newest release that was tried may not have them any more.

C{bounds.py names} tells which packages these are. C{bounds.py move}, run by a Python that has newer releases of them,
moves the bounds behind these, and never back.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"

#: The name, all up to the bound, and the bound.
_BOUNDED = re.compile(r'"(([A-Za-z0-9._-]+)(?:\[[a-z,]+\])?>=[0-9.]+,<)([0-9.]+)"')


def names(text: str) -> list[str]:
    """
    Which packages have an upper bound.
    """
    return [match[2] for match in _BOUNDED.finditer(text)]


def moved(text: str, newest: Callable[[str], str]) -> str:
    """
    The same with every bound behind the newest release: with as many numbers as it has, the last of them one more than
    the release's.

    @param newest: gives the newest release of a package.
    """

    def move(match: re.Match[str]) -> str:
        bound = [int(number) for number in match[3].split(".")]
        release = [int(number) for number in re.findall(r"[0-9]+", newest(match[2]))[: len(bound)]]
        if release >= bound:
            bound = [*release[:-1], release[-1] + 1]
        return f'"{match[1]}{".".join(map(str, bound))}"'

    return _BOUNDED.sub(move, text)


def main(command: str) -> None:
    """
    Do what was asked for.
    """
    text = PROJECT.read_text("utf-8")
    if command == "names":
        print(*names(text))
    elif command == "move":
        PROJECT.write_text(moved(text, version), "utf-8")
    else:
        raise SystemExit("expected names or move")


if __name__ == "__main__":
    main(*sys.argv[1:])
