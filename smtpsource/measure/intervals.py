"""
The latencies of each second of a run, one after the other: the lines of a log that HdrHistogram's tools read.

They go to a file without a name, which is gone when the process is, so that a run of days needs no memory for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import IO

from smtpsource.measure.encoding import encode
from smtpsource.measure.histogram import highestOf


class Intervals:
    """
    Histograms, each with a time and a tag.

    @ivar latest: the lines that were added since whoever sets it has last made it empty.
    """

    def __init__(self) -> None:
        import tempfile  # for those who keep them, and while files can still be opened

        self._tempfile = tempfile
        self._file: IO[str] | None = None
        self._problem: OSError | None = None
        self.latest = ""

    def add(self, begin: float, seconds: float, tag: str, buckets: Mapping[int, int]) -> None:
        """
        Keep these latencies. If that is not possible, L{lines} will say so: it is no reason to end a run.

        @param begin: when the interval began, in seconds from the start of the run.
        @param seconds: how long it was.
        @param tag: what they are latencies of.
        @param buckets: how many are in each that is used; there is one.
        """
        counts = [0] * (max(buckets) + 1)
        for index, count in buckets.items():
            counts[index] = count
        longest = highestOf(len(counts) - 1) / 1e3
        line = f"Tag={tag},{begin:.3f},{seconds:.3f},{longest:.3f},{encode(counts)}\n"
        self.latest += line
        if self._problem is not None:
            return
        try:
            if self._file is None:
                self._file = self._tempfile.TemporaryFile("w+", encoding="ascii")
            self._file.write(line)
        except OSError as e:
            self._problem = e

    def lines(self) -> Iterator[str]:
        """
        All of them: tag, beginning, length, the longest latency in milliseconds, histogram.

        @raise OSError: they could not be kept.
        """
        if self._problem is not None:
            raise self._problem
        if self._file is not None:
            self._file.seek(0)
            yield from self._file
