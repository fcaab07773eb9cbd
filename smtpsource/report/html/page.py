"""
The page: one file that needs nothing else, and runs nothing but what we have put in it.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Any

from smtpsource._version import __version__
from smtpsource.phases import NAMES
from smtpsource.report.html import sections
from smtpsource.report.html.data import Bounds, dataOf, smallBlock
from smtpsource.report.html.data import block as plainBlock
from smtpsource.report.html.markup import Html, element, section, text
from smtpsource.report.html.room import sizeOf
from smtpsource.report.html.scripts import script
from smtpsource.report.html.scripts import style as styleOfCharts
from smtpsource.report.html.title import headingOf, titleOf
from smtpsource.report.page import Change

Document = Mapping[str, Any]

#: The most bytes of what is told of one run, in tables and as data; where there would be more, there is less data.
BUDGET = 300_000

#: The most runs that are told apart in one chart.
MOST = 8


@cache
def style() -> str:
    """
    The style sheet of a page.
    """
    return styleOfCharts() + (resources.files("smtpsource.report.html") / "page.css").read_text("utf-8")


def prepare() -> None:
    """
    Read now what a page is made of besides reports.
    """
    style()
    script()


def htmlOf(
    documents: Sequence[Document],
    labels: Sequence[str] = (),
    changes: Sequence[Change] = (),
    differences: Sequence[str] = (),
) -> Iterator[Html]:
    """
    A page of these reports, in pieces.

    @param documents: reports, as the schema says: from one to L{MOST}.
    @param labels: what to call them; letters, if there is nothing.
    @param changes: from the first to the second.
    @param differences: what was different of what they ran on.
    @raise ValueError: a histogram is broken.
    """
    labels = labels or "ABCDEFGH"[: len(documents)]
    data = dataOf(documents, labels)
    seen = "".join(body(documents, labels, data["charts"], changes, differences))
    policy = (
        f"default-src 'none'; script-src {_hash(script())}; style-src {_hash(style())}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    yield _head(documents, labels, f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n')
    yield f"<style>{style()}</style>\n</head>\n<body>\n"
    yield seen
    yield _fitting(documents, labels, data, BUDGET * len(documents) - sizeOf(seen))
    yield f"<script>{script()}</script>\n</body>\n</html>\n"


def _fitting(documents: Sequence[Document], labels: Sequence[str], data: Mapping[str, Any], room: int) -> Html:
    """
    The data as a block that is not too large, if that can be.

    @param data: all of it.
    @param room: how many bytes it may have.
    """
    bounds, block = Bounds(), smallBlock(data)
    while len(block) > room:
        less = bounds.smaller(room / len(block))
        if less is None:
            break
        bounds, block = less, smallBlock(dataOf(documents, labels, bounds=less))
    return block


def livePage(
    document: Document, label: str, styles: Sequence[str], scripts: Sequence[str], extra: Html = ""
) -> Iterator[Html]:
    """
    The page of a run that goes on, for who serves it: there is a place for each chart before there are data. Its data
    block has all phases in their order as well.

    @param styles: the addresses of style sheets: L{style} is one.
    @param scripts: those of scripts: L{script} is the first.
    @param extra: more HTML, at the end of the page.
    """
    data = {**dataOf([document], [label], live=True), "phases": NAMES}
    links = "".join(f'<link rel="stylesheet" href="{text(address)}">\n' for address in styles)
    yield _head([document], [label], links) + "</head>\n<body>\n"
    yield from body([document], [label], data["charts"])
    yield extra
    yield plainBlock(data)
    yield "".join(f'<script src="{text(address)}"></script>\n' for address in scripts)
    yield "</body>\n</html>\n"


def body(
    documents: Sequence[Document],
    labels: Sequence[str],
    charts: Sequence[Mapping[str, Any]],
    changes: Sequence[Change] = (),
    differences: Sequence[str] = (),
) -> Iterator[Html]:
    """
    What is seen of a page.

    @param charts: those of the data block.
    """
    yield '<a class="skip" href="#verdict">To the result</a>\n'
    yield f"<header>{headingOf(documents, labels)}</header>\n<main>\n"
    yield from sections.before(documents, labels, changes, differences)
    yield section("charts", "Course", element("div", "".join(map(_figure, charts)), "charts") if charts else "")
    yield from sections.after(documents, labels)
    yield f"</main>\n<footer><p>Made by smtp-source {text(__version__)}</p></footer>\n"


def _figure(chart: Mapping[str, Any]) -> Html:
    unit = f" ({chart['unit'] or 'number'})"
    return (
        f'<figure class="chart" data-chart="{text(chart["id"])}"><figcaption>{text(chart["title"] + unit)}</figcaption>'
        '<div class="plot"><noscript>It takes JavaScript to draw this.</noscript></div>'
        '<details class="behind"><summary>Table</summary></details></figure>'
    )


def _head(documents: Sequence[Document], labels: Sequence[str], more: Html) -> Html:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"{more}"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{titleOf(documents, labels)}</title>\n"
    )


def _hash(content: str) -> str:
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"
