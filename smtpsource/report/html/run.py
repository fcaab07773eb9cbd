"""
A run, as the sections of a page have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from smtpsource.measure.summary import Summary
from smtpsource.report.document import summaryFrom

Document = Mapping[str, Any]


class Run(NamedTuple):
    """
    One of a page's runs.

    @ivar name: what it is called.
    @ivar label: the same where there is little room.
    @ivar document: its report, as the schema says.
    @ivar summary: the same, as L{lightly} reads it.
    @ivar level: that of the headings in a section about it, below which there may be others.
    """

    name: str
    label: str
    document: Document
    summary: Summary
    level: int = 3


def lightly(document: Document) -> Summary:
    """
    The summary of a report without what takes long to read: histograms, the series and the timeline.
    """
    return summaryFrom({**document, "histograms": {}, "series": (), "timeline": None})
