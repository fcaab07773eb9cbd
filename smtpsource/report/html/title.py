"""
What a page is called.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from smtpsource.report import facts
from smtpsource.report.html.markup import Html, element, text
from smtpsource.report.html.run import lightly
from smtpsource.report.words import course

Document = Mapping[str, Any]


def titleOf(documents: Sequence[Document], labels: Sequence[str]) -> Html:
    """
    The title of the page's window.
    """
    if len(documents) > 1:
        return f"{text(', '.join(labels))} - smtp-source"
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
