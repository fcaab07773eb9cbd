"""
The tables of docs/plan.rst: which option is which keyword of a plan, as the settings declare it.

C{python docs/plantables.py} writes them into the file, between its markers; C{make plan} does so.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from smtpsource.plan import SourcePlan
from smtpsource.sink.plan import SinkPlan
from smtpsource.values.option import Flag, Only, Setting, ValueOption, headings, settingsOf

PATH = Path(__file__).resolve().parent / "plan.rst"

#: What each marker stands for.
PLANS = {"SourcePlan": SourcePlan, "SinkPlan": SinkPlan}

_HEADS = ("option", "keyword", "is", "default")


def tablesOf(plan: type) -> str:
    """
    The table of a plan, and what options have no part in it.
    """
    rows = [row for group in headings(plan) for row in _rows(group, settingsOf(plan))]
    alone = [
        f"``--{option.long}``"
        for group in headings(plan)
        for one in vars(group).values()
        if isinstance(one, Only)
        for option in one.options
    ]
    rest = textwrap.fill(f"Of the command line alone, and no part of it, are {', '.join(alone)}.", 120)
    return f"{_table(rows)}\n\n{rest}\n"


def _rows(group: type, settings: dict[str, Setting]) -> Iterator[tuple[str, ...]]:
    for path, one in settings.items():
        name, _, inner = path.partition(".")
        if name not in vars(group) or one.nested is not None or one.follows:
            continue
        home = vars(group)[name].nested if inner else group
        yield (
            ", ".join(map(_called, one.options)) or "no option",
            f"``{path}``",
            f"``{_inWords(home.__annotations__[inner or name], home.__module__)}``",
            _default(vars(home)[inner or name]),
        )


def _inWords(kind: str, module: str) -> str:
    """
    A type as it is annotated, with the words of a C{Literal} in place of its name.
    """

    def words(name: re.Match[str]) -> str:
        found = getattr(sys.modules[module], name[0], None)
        return " | ".join(map(repr, get_args(found))) if get_origin(found) is Literal else name[0]

    return re.sub(r"\w+", words, kind)


def _called(option: Flag | ValueOption) -> str:
    value = f" {option.meta}" if isinstance(option, ValueOption) else ""
    return f"``-{option.short}, --{option.long}{value}``" if option.short else f"``--{option.long}{value}``"


def _default(one: Any) -> str:
    # What a function gives is another one on each machine.
    if callable(one._default):
        return ""
    if one._default == ():
        return "empty"  # a cell may not be of punctuation alone
    return f"``socket.{one._default.name}``" if isinstance(one._default, Enum) else f"``{one._default!r}``"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(_HEADS, *rows, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (_HEADS, *rows)
    ]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def written(text: str) -> str:
    """
    The file with its tables as they should be.
    """
    for name, plan in PLANS.items():
        begin, end = f".. begin {name}\n", f".. end {name}\n"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        text, count = pattern.subn(lambda _, b=begin, e=end, p=plan: f"{b}\n{tablesOf(p)}\n{e}", text)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"expected one table of {name}")
    return text


if __name__ == "__main__":
    PATH.write_text(written(PATH.read_text("utf-8")), "utf-8")
