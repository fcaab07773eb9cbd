"""
What the commands of marks have written, as far as there is room for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from smtpsource.measure.marks import Mark
from smtpsource.report.html.markup import Html, element, lines
from smtpsource.report.html.room import sizeOf

#: The most bytes of all that commands have written.
OUTPUTS = 20_000

#: An output of which there is room for less, its elements included, is left out.
_LEAST = 160


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
