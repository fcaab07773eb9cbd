"""
Locust's statistics, filled with what our frames say.

Locust rounds times to whole milliseconds as it counts them, and again where it shows them: 0.1 ms becomes 0. Ours are
exact, as far as the buckets of a frame are: one thousandth.
"""

from __future__ import annotations

import csv
from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from locust.stats import RequestStats, StatsCSV, StatsCSVFileWriter, StatsEntry, StatsError

from smtpsource.measure.frame import Frame
from smtpsource.measure.histogram import highestOf, lowestOf, middleOf, ranks
from smtpsource.phases import NAMES, RESPONSE, TRANSACTION

#: The row of messages, and the type of all rows that are phases.
MESSAGES, PHASE = ("messages", "SMTP"), "phase"


class Row(StatsEntry):
    """
    A row of Locust's table that nobody but us counts in, of times as they are.
    """

    def extend(self, other: StatsEntry) -> None:
        """
        Workers of Locust count nothing.
        """

    def count(self, at: float, buckets: Mapping[int, int], requests: int, failures: int, sent: int = 0) -> None:
        """
        Count more.

        @param at: when they ended, by the wall clock.
        @param buckets: the times that they took.
        @param requests: how many there were.
        @param failures: how many of them failed.
        @param sent: bytes.
        """
        exact: Any = self  # whose times are not whole numbers
        second = int(at)
        if self.last_request_timestamp and second > int(self.last_request_timestamp):
            self._cache_response_times(second - 1)
        timed = sum(buckets.values())
        self.num_requests += requests
        self.num_none_requests += requests - timed
        self.num_failures += failures
        self.num_reqs_per_sec[second] += requests
        self.num_fail_per_sec[second] += failures
        self.total_content_length += sent
        self.last_request_timestamp = at
        for index, count in buckets.items():
            exact.response_times[_milliseconds(highestOf(index))] += count
            exact.total_response_time += _milliseconds(middleOf(index)) * count
        if buckets:
            lowest, highest = _milliseconds(lowestOf(min(buckets))), _milliseconds(highestOf(max(buckets)))
            exact.min_response_time = min(
                lowest, highest if exact.min_response_time is None else exact.min_response_time
            )
            exact.max_response_time = max(highest, exact.max_response_time)

    @property
    def median_response_time(self) -> Any:
        """
        See C{StatsEntry}.
        """
        return self.get_response_time_percentile(0.5)

    def get_response_time_percentile(self, percent: float) -> Any:
        """
        As our reports have it. Locust's way gives the message after that.

        @param percent: from 0 to 1.
        """
        times = sorted(self.response_times)
        reached = list(accumulate(map(self.response_times.__getitem__, times)))
        if not reached:
            return 0
        (rank,) = ranks(reached[-1], [100 * percent])
        return times[bisect_left(reached, rank)]

    def to_dict(self, escape_string_values: bool = False) -> dict[str, Any]:
        """
        For the web UI and HTML.
        """
        exact = {"min_response_time": self.min_response_time or 0, "max_response_time": self.max_response_time}
        return super().to_dict(escape_string_values) | exact


class Statistics:
    """
    What Locust shows of one run.
    """

    def __init__(self, shown: RequestStats) -> None:
        """
        @param shown: Locust's, which are empty.
        """
        self._shown = shown
        self._epoch = 0
        self._began = 0.0
        self._total = shown.total = Row(shown, "Aggregated", "", use_response_times_cache=True)

    def began(self, at: float) -> None:
        """
        The run begins.

        @param at: when, by the wall clock.
        """
        self._began = at
        self._total.start_time = at

    def add(self, frame: Frame, now: float) -> None:
        """
        Count what is in a frame of all workers.

        @param now: the wall clock.
        """
        if frame.epoch > self._epoch:
            # The warm-up is over: what it brought does not count.
            self._epoch = frame.epoch
            self._shown.reset_all()
            self.began(now - frame.at)
        at, counters = self._began + frame.at, frame.counters
        response, transaction = frame.buckets[RESPONSE], frame.buckets[TRANSACTION]
        failures = counters.rejected + counters.failed
        requests = counters.accepted + failures
        for row in (self._total, self._row(*MESSAGES)):
            row.count(at, response or transaction, requests, failures, counters.bytesSent)
        for phase, name in enumerate(NAMES):
            buckets = frame.buckets[phase]
            refused = {code: tally for code, tally in frame.replies[phase].items() if code[:1] in "45"}
            failed = sum(count for count, _ in refused.values())
            if buckets or failed:
                self._row(name, PHASE).count(at, buckets, max(sum(buckets.values()), failed), failed)
            for code, (count, sample) in refused.items():
                self._error(PHASE, name, sample.strip() or code, count, at)
        for kind, (count, sample) in frame.errors.items():
            self._error("error", kind, sample, count, at)

    def _row(self, name: str, method: str) -> Row:
        entries = self._shown.entries
        if (name, method) not in entries:
            entries[name, method] = row = Row(self._shown, name, method, use_response_times_cache=True)
            row.start_time = self._began
        found = entries[name, method]
        assert isinstance(found, Row)
        return found

    def _error(self, method: str, name: str, text: str, count: int, at: float) -> None:
        key = StatsError.create_key(method, name, text)
        error = self._shown.errors.setdefault(key, StatsError(method, name, text, first_seen=at))
        error.occurrences += count
        error.last_seen = at


def _milliseconds(microseconds: float) -> float:
    return microseconds / 1000


def _percentileFields(self: StatsCSV, entry: StatsEntry, use_current: bool = False) -> list[Any]:
    """
    In the place of C{StatsCSV._percentile_fields}, which makes whole numbers of them.
    """
    if not entry.num_requests:
        return self.percentiles_na
    find = entry.get_current_response_time_percentile if use_current else entry.get_response_time_percentile
    return [find(one) or 0 for one in self.percentiles_to_report]


def _writeRows(self: StatsCSVFileWriter) -> None:
    """
    In the place of C{StatsCSVFileWriter.stats_writer}, which writes each second, and complains of the end.
    """
    try:
        _WRITE_ROWS(self)
    except ValueError:
        if not self.requests_csv_filehandle.closed:
            raise


def _closeFiles(self: StatsCSVFileWriter) -> None:
    """
    In the place of C{StatsCSVFileWriter.close_files}, before which the last second is not written.
    """
    for file, write in (
        (self.requests_csv_filehandle, self.requests_csv),
        (self.failures_csv_filehandle, self.failures_csv),
        (self.exceptions_csv_filehandle, self.exceptions_csv),
    ):
        file.seek(0)
        write(csv.writer(file))
        file.truncate()
    _CLOSE_FILES(self)


_WRITE_ROWS, _CLOSE_FILES = StatsCSVFileWriter.stats_writer, StatsCSVFileWriter.close_files


def keepExact() -> None:
    """
    Let Locust's CSV files have times as they are, and all of a run.
    """
    files: Any = StatsCSVFileWriter
    StatsCSV._percentile_fields = _percentileFields  # type: ignore[method-assign, assignment]
    files.stats_writer, files.close_files = _writeRows, _closeFiles
