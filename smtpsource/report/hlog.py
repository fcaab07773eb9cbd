"""
The latencies of each second as a log of HdrHistogram's own format, version 1.3, which its tools read.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from smtpsource._version import __version__
from smtpsource.measure.summary import Summary


def lines(summary: Summary) -> Iterator[str]:
    """
    All lines of the log. Times are in seconds from C{BaseTime}; the histograms are of microseconds, and tagged by
    phase.

    @raise OSError: what was measured could not be kept.
    """
    seconds = summary.measuredFrom()
    zone = datetime.datetime.fromisoformat(summary.started).tzinfo
    began = datetime.datetime.fromtimestamp(seconds, zone)
    yield f"#[Latencies of smtpsource {__version__}, in microseconds]\n"
    yield "#[Histogram log format version 1.3]\n"
    yield f"#[BaseTime: {seconds:.3f} (seconds since epoch)]\n"
    yield f"#[StartTime: {seconds:.3f} (seconds since epoch), {began.ctime()}]\n"
    yield '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'
    if summary.intervals is not None:
        yield from summary.intervals.lines()
