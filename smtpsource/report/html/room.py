"""
What there is room for on a page that is to be sent to somebody, of marks: their rows, and what commands have written.
Who wants more of it finds it in the report.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from smtpsource.measure.marks import Mark
from smtpsource.report.html.markup import Html, element, lines

#: The most bytes of all rows of marks, and of all that commands have written.
ROWS, OUTPUTS = 40_000, 20_000

#: Those of a row, and of each cell, with nothing in it.
_ROW, _CELL = 26, 24

#: An output of which there is room for less, its elements included, is left out.
_LEAST = 160


def sizeOf(html: Html) -> int:
    """
    How many bytes it takes.
    """
    return len(html.encode("utf-8", "replace"))


def fitting(rows: Sequence[Sequence[Html]]) -> int:
    """
    How many of these rows there is room for, from the first on: one at least.
    """
    used = 0
    for number, row in enumerate(rows):
        used += _ROW + sum(_CELL + sizeOf(cell) for cell in row)
        if number and used > ROWS:
            return number
    return len(rows)


def outputsOf(marks: Sequence[Mark]) -> list[Html]:
    """
    What the command of each mark has written, to be opened. Where there is no room for all of it, it is the end of
    each, or that it is in the report; first of all those have room whose command has failed.
    """
    found = [""] * len(marks)
    room = OUTPUTS
    for hasFailed in (True, False):
        outputs = {
            place: mark.output.rstrip()
            for place, mark in enumerate(marks)
            if mark.output.strip() and bool(mark.status) == hasFailed
        }
        each = _share([sizeOf(_shown(output)) for output in outputs.values()], room)
        for place, output in outputs.items():
            found[place] = _within(output, each)
            room -= sizeOf(found[place])
    return found


def _share(sizes: Sequence[int], room: int) -> int:
    """
    How much each of these may have, so that there is room for all: small ones leave theirs to the others.
    """
    for place, size in enumerate(sorted(sizes)):
        each = room // (len(sizes) - place)
        if size > each:
            return max(0, each)
        room -= size
    return max(sizes, default=0)


def _within(output: str, room: int) -> Html:
    whole = _shown(output)
    if sizeOf(whole) <= room:
        return whole
    if room < _LEAST:
        return " (output: see the report)"
    return next(one for one in _ends(output, room) if sizeOf(one) <= room)


def _ends(output: str, room: int) -> Iterator[Html]:
    """
    The ends of it, each shorter than the one before: it may have characters that take much more room than others.
    """
    kept = len(output)
    while kept:
        kept = min(kept - 1, kept * room // sizeOf(_shown(output[-kept:])))
        yield _shown(output[len(output) - kept :], f"the last {kept} of {len(output)} characters of output")


def _shown(output: str, what: str = "output") -> Html:
    return element("details", f"<summary>{what}</summary><pre>{lines(output)}</pre>")
