"""
The series of a run as a table: values separated by commas, after a line of headings (RFC 4180, with line feeds).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import TYPE_CHECKING, Protocol

from smtpsource.measure.marks import Mark
from smtpsource.measure.series import Sample
from smtpsource.measure.summary import Summary
from smtpsource.printable import printable
from smtpsource.report.document import sampleDict

if TYPE_CHECKING:
    from smtpsource.measure.frame import Frame

#: A spreadsheet takes what begins so for a formula.
_FORMULA = ("=", "+", "-", "@")


class Run(Protocol):
    """
    What is asked of a run that goes on: a L{smtpsource.load.service.SourceService}.
    """

    @property
    def latest(self) -> Sample | None: ...

    @property
    def marks(self) -> Sequence[Mark]: ...


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
        yield row(sample, [*_until(sample.time if left else inf, marks)], watched)


def _until(time: float, marks: deque[Mark]) -> Iterator[Mark]:
    """
    Those up to then, which are taken out.
    """
    while marks and marks[0].at <= time:
        yield marks.popleft()


class Growing:
    """
    The same while a run goes on. It has columns for what may be watched, and for what else is in its first second.
    """

    def __init__(self, run: Run, figures: Iterable[str] = ()) -> None:
        """
        @param figures: the names of what may be watched: a rate is known from the second look on.
        """
        self._run = run
        self._figures = figures
        self._watched: list[str] | None = None
        self._marks = 0

    def __call__(self, frame: Frame) -> str:
        """
        What comes with this second.
        """
        sample = self._run.latest
        assert sample is not None
        before = ""
        if self._watched is None:
            self._watched = sorted({*self._figures, *(sample.watched or ())})
            before = headings(self._watched)
        marks = deque(self._run.marks[self._marks :])
        of = [*_until(sample.time, marks)]
        self._marks += len(of)
        return before + row(sample, [mark for mark in of if mark.at >= 0], self._watched)


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
    values = [*sampleDict(sample).values(), *(round(figures[name], 6) if name in figures else None for name in watched)]
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
