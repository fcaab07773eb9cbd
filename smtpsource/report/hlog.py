"""
The latencies of each second as a log of HdrHistogram's own format, version 1.3, which its tools read.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from smtpsource._version import __version__
from smtpsource.measure.summary import Summary

if TYPE_CHECKING:
    from smtpsource.measure.frame import Frame


class Run(Protocol):
    """
    What is asked of a run that goes on: a L{smtpsource.load.service.SourceService}.
    """

    @property
    def latestIntervals(self) -> str: ...

    def summaryNow(self) -> Summary: ...


def lines(summary: Summary) -> Iterator[str]:
    """
    All lines of the log. Times are in seconds from C{BaseTime}; the histograms are of microseconds, and tagged by
    phase.

    @raise OSError: what was measured could not be kept.
    """
    yield from headings(summary)
    if summary.intervals is not None:
        yield from summary.intervals.lines()


def headings(summary: Summary) -> Iterator[str]:
    """
    Those before the first interval.
    """
    seconds = summary.measuredFrom()
    zone = datetime.datetime.fromisoformat(summary.started).tzinfo
    began = datetime.datetime.fromtimestamp(seconds, zone)
    yield f"#[Latencies of smtpsource {__version__}, in microseconds]\n"
    yield "#[Histogram log format version 1.3]\n"
    yield f"#[BaseTime: {seconds:.3f} (seconds since epoch)]\n"
    yield f"#[StartTime: {seconds:.3f} (seconds since epoch), {began.ctime()}]\n"
    yield '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'


class Growing:
    """
    The same while a run goes on.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._hasBegun = False

    def __call__(self, frame: Frame) -> str:
        """
        What comes with this second.
        """
        before = "" if self._hasBegun else "".join(headings(self._run.summaryNow()))
        self._hasBegun = True
        return before + self._run.latestIntervals
