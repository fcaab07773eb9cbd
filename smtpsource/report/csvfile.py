"""
The series of a run as a table: values separated by commas, after a line of headings.
"""

from __future__ import annotations

from collections.abc import Iterator

from smtpsource.measure.series import Sample
from smtpsource.measure.summary import Summary
from smtpsource.report.document import sampleDict


def lines(summary: Summary) -> Iterator[str]:
    """
    One for each sample, after the headings: they are named as in the report. What there is not, such as the latency of
    a second without a transaction, is left empty.
    """
    yield ",".join(name for name in Sample.__slots__ if name != "watched") + "\n"
    for sample in summary.series:
        yield ",".join("" if value is None else f"{value}" for value in sampleDict(sample).values()) + "\n"
