"""
HTML made of texts, whatever is in these: nothing of a report is taken for HTML, nor does what is not seen in it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from html import escape

from smtpsource.printable import legible, printable

#: HTML, as against text.
Html = str


def text(value: object) -> Html:
    """
    A text as one line, of which nothing is HTML.
    """
    return escape(printable(str(value)))


def lines(value: str) -> Html:
    """
    The same for a text of several lines.
    """
    return escape(legible(value))


def element(name: str, content: Html, kind: str = "") -> Html:
    """
    An element.

    @param kind: its class.
    """
    return f'<{name} class="{kind}">{content}</{name}>' if kind else f"<{name}>{content}</{name}>"


def section(name: str, title: str, content: Html) -> Html:
    """
    A section with a heading, whose C{id} is its name; nothing, if there is nothing in it.
    """
    if not content:
        return ""
    return (
        f'<section id="{name}" aria-labelledby="of-{name}"><h2 id="of-{name}">{escape(title)}</h2>{content}</section>\n'
    )


def table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[Html]], texts: Container[int] = (0,)) -> Html:
    """
    A table; the first cell of each row is its heading.

    @param caption: a text.
    @param headings: texts.
    @param rows: the cells of each; a row may be a L{Row}.
    @param texts: the columns that are no numbers.
    """
    kinds = ["" if number in texts else "number" for number in range(len(headings))]
    head = "".join(
        f'<th scope="col"{_class(kind)}>{text(heading)}</th>' for heading, kind in zip(headings, kinds, strict=True)
    )
    body = "".join(_row(row, kinds) for row in rows)
    if not body:
        return ""
    # What is wider than the screen is scrolled in itself; by keys, too.
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{text(caption)}"><table><caption>{text(caption)}'
        f"</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


class Row(list[Html]):
    """
    The cells of a row, with a style.

    @ivar style: C{"good"}, C{"bad"}, C{"doubtful"} or nothing.
    """

    def __init__(self, cells: Iterable[Html], style: str = "") -> None:
        super().__init__(cells)
        self.style = style


def _row(cells: Sequence[Html], kinds: Sequence[str]) -> Html:
    style = cells.style if isinstance(cells, Row) else ""
    first, *others = cells
    data = "".join(f"<td{_class(kind)}>{cell}</td>" for cell, kind in zip(others, kinds[1:], strict=True))
    return f'<tr{_class(style)}><th scope="row"{_class(kinds[0])}>{first}</th>{data}</tr>'


def _class(kind: str) -> Html:
    return f' class="{kind}"' if kind else ""


def definitions(pairs: Iterable[tuple[str, Html, str]]) -> Html:
    """
    A list of terms and what is said of them.

    @param pairs: a term as text, empty for the one before; what is said, and its style.
    """
    found: list[Html] = []
    last = None
    for term, said, style in pairs:
        if term and term != last:
            found.append(f"<dt{_class(style)}>{text(term)}</dt>")
            last = term
        found.append(f"<dd{_class(style)}>{said}</dd>")
    return f"<dl>{''.join(found)}</dl>" if found else ""
