"""
What there was to be seen of a run, for those who can't look at all of it every time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from smtpsource.measure.series import Sample
from smtpsource.printable import printable
from smtpsource.report.html.data import MOST_WATCHED


class Seen:
    """
    Few samples, and one value of each column, from which follows what a page would have of all of them: which charts,
    and of what was watched the first, the last and the highest.
    """

    def __init__(self) -> None:
        self._columns: dict[str, float] = {}
        self._first: dict[str, float] = {}
        self._highest: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._latest: Sample | None = None

    def add(self, sample: Sample, columns: Mapping[str, float | None]) -> None:
        """
        Take what happened in a second.

        @param columns: what charts may show of it.
        """
        self._latest = sample
        for name, value in columns.items():
            if value is not None:
                self._columns[name] = value or self._columns.get(name, value)
        for name, value in (sample.watched or {}).items():
            self._first.setdefault(name, value)
            self._highest[name] = max(value, self._highest.get(name, value))
            self._last[name] = value

    def charted(self, sample: Sample) -> Sample:
        """
        The same with no more of what was watched than there are charts of.
        """
        if len(self._first) <= MOST_WATCHED or not sample.watched:
            return sample
        names = islice(self._first, MOST_WATCHED)
        return replace(sample, watched={name: sample.watched[name] for name in names if name in sample.watched})

    @property
    def samples(self) -> Sequence[Sample]:
        """
        Samples of the last second, but with all that was watched as it was first, at its highest, and last.
        """
        if self._latest is None:
            return ()
        if not self._last:
            return (self._latest,)
        return [replace(self._latest, watched=dict(those)) for those in (self._first, self._highest, self._last)]

    @property
    def run(self) -> dict[str, Any]:
        """
        The same as L{smtpsource.report.html.charts.chartsOf} takes it: of each column a value that is not 0, if there
        was one; of what was watched the last.
        """
        names = sorted(islice(self._first, MOST_WATCHED))
        columns = self._columns | {f"watched{number}": self._last[name] for number, name in enumerate(names)}
        return {
            "series": {name: [value] for name, value in columns.items()},
            "watched": [printable(name) for name in names],
        }
