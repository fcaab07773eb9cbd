"""
The series of a run as a table: values separated by commas, after a line of headings (RFC 4180, with line feeds).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from smtpsource.measure.marks import Mark
from smtpsource.measure.series import Sample
from smtpsource.measure.summary import Summary
from smtpsource.printable import printable
from smtpsource.report.document import sampleDict

#: A spreadsheet takes what begins so for a formula.
_FORMULA = ("=", "+", "-", "@")


def lines(summary: Summary) -> Iterator[str]:
    """
    One for each sample, after the headings: they are named as in the report. What there is not, such as the latency of
    a second without a transaction, is left empty. At the end of each are the marks that were set in its time, and what
    was watched.
    """
    watched = sorted({name for sample in summary.series for name in sample.watched or ()})
    yield headings(watched)
    marks = deque(sorted((mark for mark in summary.marks if mark.at >= 0), key=lambda mark: mark.at))
    for left, sample in zip(range(len(summary.series) - 1, -1, -1), summary.series, strict=True):
        of = []
        while marks and (marks[0].at <= sample.time or not left):
            of.append(marks.popleft())
        yield row(sample, of, watched)


def headings(watched: Sequence[str]) -> str:
    """
    The first line.

    @param watched: the names of what was watched.
    """
    names = [name for name in Sample.__slots__ if name != "watched"]
    return ",".join([*names, "mark", *map(_quoted, watched)]) + "\n"


def row(sample: Sample, marks: Sequence[Mark], watched: Sequence[str]) -> str:
    """
    The line of one sample.

    @param marks: those of its time.
    @param watched: as in L{headings}.
    """
    figures = sample.watched or {}
    values = [*sampleDict(sample).values(), *(figures.get(name) for name in watched)]
    texts = ["" if value is None else f"{value}" for value in values]
    texts.insert(len(texts) - len(watched), _quoted(" | ".join(mark.text for mark in marks)))
    return ",".join(texts) + "\n"


def _quoted(text: str) -> str:
    """
    The text of somebody else as one value, on one line: it may be anything, and the table is opened by spreadsheets.
    """
    text = printable(text)
    if text.lstrip().startswith(_FORMULA):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"') else text
