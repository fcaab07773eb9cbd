"""
The forms that a result has besides its report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any


def formsOf(
    result: Any,
    asDict: Callable[[Any], dict[str, Any]],
    *,
    csv: str | None,
    hlog: str | None,
    junit: str | None,
    html: str | None,
) -> Iterator[tuple[str, str, Iterable[str]]]:
    """
    Those that were asked for: what each is, where it goes, and its text.

    @param asDict: gives the result as JSON takes it.
    @param csv: where its series goes; C{None} for nowhere, here and below.
    @param hlog: where its histogram log goes.
    @param junit: where it goes as a test.
    @param html: where it goes as a page.
    """
    if csv is not None:
        from smtpsource.report import csvfile

        yield "series", csv, csvfile.lines(result)
    if hlog is not None:
        from smtpsource.report import hlog as hlogfile

        yield "histogram log", hlog, hlogfile.lines(result)
    if junit is not None:
        from smtpsource.report import junit as junitfile

        yield "JUnit report", junit, junitfile.lines(result)
    if html is not None:
        from smtpsource.report.html.page import htmlOf

        yield "HTML report", html, htmlOf([asDict(result)])
