"""
Reports that were written, made summaries again.
"""

from __future__ import annotations

import datetime
import json

from smtpsource.measure.summary import Summary
from smtpsource.measure.watched import LARGEST, SMALLEST
from smtpsource.report.document import SCHEMA, summaryFrom
from smtpsource.report.schema import problems
from smtpsource.values import inputs, textfiles


class ReportError(ValueError):
    """
    It is no report that can be used. The text is one line: what was wrong, and what would be right.
    """


def read(path: str) -> Summary:
    """
    Read a report.

    @param path: what C{--report} has written.
    @raise ReportError: it can't be read, or is none.
    """
    try:
        content = inputs.read(path, inputs.REPORT)
    except OSError as e:
        raise ReportError(f"{path}: expected a report that can be read: {e.strerror}")
    except ValueError as e:
        raise ReportError(f"{path}: {e}")
    try:
        text = textfiles.withoutMark(content).decode("utf-8")
    except ValueError as e:
        raise ReportError(f"{path}: expected a report of smtpsource in JSON: {e}")
    try:
        return summaryIn(text)
    except ValueError as e:
        raise ReportError(f"{path}: {e}")


def summaryIn(text: str | bytes) -> Summary:
    """
    The summary that a report was made of.

    @param text: the report, as JSON.
    @raise ValueError: it is none that can be used; the text is one line.
    """
    try:
        document = json.loads(text, parse_constant=_noNumber, parse_int=_whole, parse_float=_fraction)
    except (ValueError, RecursionError) as e:
        raise ValueError(f"expected a report of smtpsource in JSON: {e}")
    return summaryOf(document)


#: How deep lists and objects may be in each other; a report of a report has seven.
_DEEPEST = 30


def _noNumber(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _whole(text: str) -> int:
    if len(text) > 20 or abs(int(text)) > LARGEST:
        raise ValueError(f"{text[:20]}... is too large a number")
    return int(text)


def _fraction(text: str) -> float:
    number = float(text)
    if not abs(number) <= LARGEST or 0 < abs(number) < SMALLEST:
        raise ValueError(f"{text[:20]} is too {'small' if abs(number) < 1 else 'large'} a number")
    return number


def summaryOf(report: object) -> Summary:
    """
    The summary that this report was made of. What reports of earlier versions don't have is left out.

    @param report: what C{json.load} made of it.
    @raise ValueError: it is no report, or not of our schema, or broken.
    """
    if not isinstance(report, dict) or not isinstance(report.get("tool"), dict):
        raise ValueError("expected a report of smtpsource")
    name, schema = report["tool"].get("name"), report.get("schema")
    if name != "smtp-source":
        raise ValueError(f"expected a report of smtpsource, not of {name}")
    if schema != SCHEMA:
        raise ValueError(f"expected a report of schema {SCHEMA}, not {schema}; is it of a later version?")
    if _isDeep(report):
        raise ValueError("expected a report with fewer lists and objects in each other")
    for problem in problems(report):
        raise ValueError(problem)
    # A pattern knows nothing of a 30th of February; and times are added to this one.
    if not 1970 <= datetime.datetime.fromisoformat(report["started"]).year < 3000:
        raise ValueError("expected a year from 1970 to 2999 in started")
    return summaryFrom(report)


def _isDeep(document: object) -> bool:
    level = [document]
    for _ in range(_DEEPEST):
        inner: list[object] = []
        for one in level:
            if isinstance(one, dict | list):
                inner.extend(one.values() if isinstance(one, dict) else one)
        level = inner
    return bool(level)
