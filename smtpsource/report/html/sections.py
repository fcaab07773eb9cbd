"""
What stands on a page besides charts: what a run has come to, what was said, on what it ran.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from smtpsource.report.html import origin, result, tables
from smtpsource.report.html.markup import Html, section, text
from smtpsource.report.html.run import Run, lightly
from smtpsource.report.html.title import shortened
from smtpsource.report.page import Change

Document = Mapping[str, Any]


def before(
    documents: Sequence[Document],
    labels: Sequence[str],
    changes: Sequence[Change] = (),
    differences: Sequence[str] = (),
) -> Iterator[Html]:
    """
    The sections that come before the charts.

    @param documents: reports, as the schema says.
    @param labels: what to call them.
    @param changes: from the first to the second.
    @param differences: what was different of what they ran on.
    """
    runs = _runs(documents, labels)
    yield section("verdict", "Result", _each(runs, result.result))
    yield section("changes", "What has changed", result.changed(shortened(labels), changes) + result.notes(differences))


def after(documents: Sequence[Document], labels: Sequence[str]) -> Iterator[Html]:
    """
    The sections that come after them.
    """
    runs = _runs(documents, labels)
    for name, title, content in _AFTER:
        yield section(name, title, _each(runs, content))


def _runs(documents: Sequence[Document], labels: Sequence[str]) -> list[Run]:
    level = 3 if len(documents) == 1 else 4
    found = zip(labels, shortened(labels), documents, strict=True)
    return [Run(name, label, one, lightly(one), level) for name, label, one in found]


def _each(runs: Sequence[Run], content: Callable[[Run], Html]) -> Html:
    if len(runs) == 1:
        return content(runs[0])
    found = [(run, content(run)) for run in runs]
    return "".join(f'<h3 title="{text(run.name)}">{text(run.label)}</h3>{html}' for run, html in found if html)


_AFTER: tuple[tuple[str, str, Callable[[Run], Html]], ...] = (
    ("marks", "Marks", tables.marks),
    ("counts", "Figures", result.counted),
    ("search", "Search", tables.search),
    ("latencies", "Latencies", tables.latencies),
    ("watched", "Watched", tables.watched),
    ("replies", "Replies", tables.replies),
    ("errors", "Errors", tables.errors),
    ("addresses", "Addresses", tables.addresses),
    ("workers", "Workers", origin.workers),
    ("environment", "Environment", origin.environment),
    ("command", "Command", origin.command),
)
