"""
What a page is called, and the runs on it.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from smtpsource.printable import printable
from smtpsource.report import facts
from smtpsource.report.html.markup import Html, element, text
from smtpsource.report.html.run import lightly
from smtpsource.report.words import course

Document = Mapping[str, Any]


#: The most characters of a run's name where there is little room for it.
_LONGEST = 40


def shortened(labels: Sequence[str]) -> list[str]:
    """
    The names of runs where there is little room: of long ones both ends, with a letter where these are the same.
    """
    half = (_LONGEST - 3) // 2
    names = [printable(label) for label in labels]
    short = [name if len(name) <= _LONGEST else f"{name[:half]}...{name[-half:]}" for name in names]
    return [
        one if one == name or short.count(one) == 1 else f"{letter} {one}"
        for letter, one, name in zip("ABCDEFGH", short, names, strict=False)
    ]


def titleOf(documents: Sequence[Document], labels: Sequence[str]) -> Html:
    """
    The title of the page's window.
    """
    if len(documents) > 1:
        return f"{text(', '.join(shortened(labels)))} - smtp-source"
    label, said, *_ = facts.verdict(lightly(documents[0]))
    return f"{text(label)}: {text(said)} - smtp-source"


def headingOf(documents: Sequence[Document], labels: Sequence[str]) -> Html:
    """
    Its heading, and which runs it is of.
    """
    if len(documents) == 1:
        return element("h1", "smtp-source") + element("p", _run(documents[0]))
    items = "".join(
        f"<li><strong>{text(label)}</strong> {_run(one)}</li>" for one, label in zip(documents, labels, strict=True)
    )
    return element("h1", f"smtp-source: {len(documents)} runs") + element("ul", items)


def _run(document: Document) -> Html:
    started = datetime.datetime.fromisoformat(document["started"])
    when = f"{started:%Y-%m-%d %H:%M:%S} {started:%z}".strip()
    return f'<time datetime="{text(document["started"])}">{text(when)}</time>, {course(document["elapsed"])}'
