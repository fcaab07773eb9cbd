"""
What is known of a run besides what was counted and timed, as a part of its report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from smtpsource.measure.counters import Counters
from smtpsource.measure.recorder import Recorder
from smtpsource.measure.snapshot import Snapshot
from smtpsource.measure.summing import Facts, measured, summaryOf
from smtpsource.report.document import COUNT, FIELDS, documentOf

_NAMES = [each.name for each in fields(Facts)]
_FIELDS = [
    each for each in FIELDS if (each.name or each.path) in _NAMES and each.form is not COUNT and each.path != "marks"
]


def written(facts: Facts) -> dict[str, Any]:
    """
    These fields of the report, but for marks: there may be many of them.
    """
    document: dict[str, Any] = {}
    for each in _FIELDS:
        each.put(document, facts)
    return document


def read(document: Mapping[str, Any]) -> Facts:
    """
    The opposite of L{written}.

    @raise ValueError: they are not as they should be; the text is one line.
    """
    from smtpsource.report.reading import summaryOf as summaryIn  # a run only writes them

    known = summaryIn({**_nothing(), **document})
    return Facts(**{name: getattr(known, name) for name in _NAMES})


def _nothing() -> dict[str, Any]:
    """
    The report of a run of which nothing is known.
    """
    facts = Facts(
        command=(),
        run="",
        seed=None,
        reactor="",
        started="1970-01-01T00:00:00Z",
        elapsed=0.0,
        user=0.0,
        system=0.0,
    )
    figures = Snapshot(0.0, None, Counters(), ())
    found = measured(Recorder(), figures, 0.0, (), list)
    return documentOf(summaryOf(facts, found, exit=1, ended="aborted", reason=None))
