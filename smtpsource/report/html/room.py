"""
What there is room for on a page that is to be sent to somebody: who wants more finds it in the report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from heapq import nlargest
from typing import TypeVar

from smtpsource.report.html import markup
from smtpsource.report.html.markup import Html, Row, element, text

#: The most rows of a table, facts with one label, and lines of a list; and the most bytes of them.
MOST, BYTES = 100, 20_000

#: What is told of each of several, such as the runs that were merged, may have as many bytes.
TOGETHER = 40_000

#: The bytes of a row, and of each cell, with nothing in it.
_ROW, _CELL = 26, 24

_One = TypeVar("_One")


def sizeOf(html: Html) -> int:
    """
    How many bytes it takes.
    """
    return len(html.encode("utf-8", "replace"))


def fitting(rows: Sequence[Sequence[Html]], room: int = BYTES) -> int:
    """
    How many of these rows there is room for, from the first on: one at least.
    """
    used = 0
    for number, row in enumerate(rows):
        used += _ROW + sum(_CELL + sizeOf(cell) for cell in row)
        if number and used > room:
            return number
    return len(rows)


def table(
    caption: str,
    headings: Sequence[str],
    those: Iterable[_One],
    rowOf: Callable[[_One], Sequence[Html]],
    texts: Container[int] = (0,),
    *,
    weight: Callable[[_One], int] | None = None,
    isCount: bool = False,
) -> Html:
    """
    A table of these, or if they are too many, of some: with a last row that says how many others there are.

    @param headings: as in L{markup.table}, like C{texts}.
    @param rowOf: gives the row of one.
    @param weight: those that have the most of it are kept, in their order; else the first ones.
    @param isCount: is the weight how often there was that, and told in the last column?
    """
    all = list(those)
    places: Sequence[int] = range(min(MOST, len(all)))
    if weight is not None and len(all) > MOST:
        places = nlargest(MOST, range(len(all)), key=lambda place: weight(all[place]))
    rows = [rowOf(all[place]) for place in places]
    kept = dict(sorted(zip(places[: fitting(rows)], rows, strict=False)))
    shown = list(kept.values())
    if len(kept) < len(all):
        cells = [_others(len(all) - len(kept), len(all)), *[""] * (len(headings) - 1)]
        if weight is not None and isCount:
            cells[-1] = str(sum(weight(one) for place, one in enumerate(all) if place not in kept))
        shown.append(Row(cells, "aside"))
    return markup.table(caption, headings, shown, texts)


def facts(pairs: Iterable[tuple[str, Html, str]]) -> Html:
    """
    A list of terms and what is said of them; if too much is said of one, some of that, and at the end how much else.

    @param pairs: as in L{markup.definitions}.
    """
    return markup.definitions(_someOfEach(pairs))


def _someOfEach(pairs: Iterable[tuple[str, Html, str]]) -> Iterator[tuple[str, Html, str]]:
    said: Counter[str] = Counter()
    used: Counter[str] = Counter()
    others: Counter[str] = Counter()
    last = ""
    for term, html, style in pairs:
        last = term or last
        said[last] += 1
        used[last] += _CELL + sizeOf(html)
        if said[last] == 1 or (said[last] <= MOST and used[last] <= BYTES):
            yield term, html, style
        else:
            others[last] += 1
    for term, count in others.items():
        yield term, _others(count, said[term]), "aside"


def definitions(pairs: Sequence[tuple[str, Html, str]]) -> Html:
    """
    A list of terms, each with what is said of it: of the first ones, if they are too many.

    @param pairs: as in L{markup.definitions}.
    """
    count = min(MOST, fitting([(text(term), said) for term, said, _ in pairs]))
    rest = [("", _others(len(pairs) - count, len(pairs)), "aside")] if count < len(pairs) else []
    return markup.definitions([*pairs[:count], *rest])


def lines(those: Sequence[Html], join: Callable[[Html], Html] = lambda html: html, room: int = BYTES) -> Html:
    """
    As many of these as there is room for, one at least, and how many others there are.

    @param join: makes HTML of those together.
    """
    count = min(MOST, fitting([[one] for one in those], room))
    more = element("p", f"{_others(len(those) - count, len(those))}.", "aside") if count < len(those) else ""
    return join("".join(those[:count])) + more if those else ""


def _others(count: int, all: int) -> Html:
    return f"{count} others of {all}: see the report"
