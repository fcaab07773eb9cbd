"""
Thresholds as values of a plan. What they are is imported by those who have some.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smtpsource.values.kinds import Kind

if TYPE_CHECKING:
    from smtpsource.measure.thresholds import Threshold


def _parse(text: str) -> Threshold:
    from smtpsource.measure.thresholds import parse

    return parse(text)


def _given(value: object) -> Threshold:
    from smtpsource.measure.thresholds import asThreshold

    return asThreshold(value)


#: What must be so of what is measured.
threshold = Kind(_parse, _given)
