"""
From what is known of each message to what became of it, and to a verdict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smtpsource.ledger import records
from smtpsource.ledger.strays import Settled
from smtpsource.ledger.units import AGAIN, BOUNCED, EXISTS, HERE, OUTCOME
from smtpsource.measure.judgement import CLASSES, Verdict

_CLASS = {name: number for number, name in enumerate(CLASSES)}

#: What must not be, and what it is called.
_FAULTS = {
    "lost": "lost",
    "corrupted": "corrupted",
    "misdelivered": "misdelivered",
    "astray": "come for others as well",
    "duplicated": "duplicated",
}


def classesOf(settled: Settled, drained: bool) -> NDArray[np.uint8]:
    """
    The class of each unit, an index into L{CLASSES}; one more than those are for what was never sent.
    """
    state = settled.state
    outcome = (state & OUTCOME).astype(np.uint8)
    here, again = state & HERE != 0, state & AGAIN != 0
    # What was not sent when it was tried again may have been sent the first time.
    unsent = (outcome == records.UNSENT) & ~here & ~settled.other & ~again
    acknowledged, refused = outcome == records.ACKNOWLEDGED, outcome == records.REFUSED
    away = ~here & ~settled.other
    bounced = away & (state & BOUNCED != 0)
    classes = np.full(len(state), _CLASS["unknown"], np.uint8)
    for name, which in (
        ("refused", refused),
        ("queued" if not drained else "lost", acknowledged & away),
        ("bounced", bounced),
        ("misdelivered", settled.other),
        ("recovered", here & ~acknowledged & (~refused | again)),
        ("delivered", here & acknowledged),
    ):
        classes[which] = _CLASS[name]
    classes[unsent | (state & EXISTS == 0)] = len(CLASSES)
    return classes


def verdictOf(found: Mapping[str, Any], drained: bool, doubts: Sequence[str]) -> tuple[Verdict, list[str]]:
    """
    @param found: counts by their names.
    @param drained: was it waited for what may come?
    @param doubts: why nothing can be said for certain.
    @return: the verdict, and why it is none that passes.
    """
    faults = list(_faults(found))
    doubts = [*doubts, *_doubts(found, drained)]
    if faults:
        return "fail", [*faults, *doubts]
    return ("inconclusive" if doubts else "pass"), doubts


def _faults(found: Mapping[str, Any]) -> Iterator[str]:
    for name, words in _FAULTS.items():
        if found[name]:
            yield f"{found[name]} {words}"


def _doubts(found: Mapping[str, Any], drained: bool) -> Iterator[str]:
    if not found["sent"]:
        yield "nothing was sent"
    if not drained:
        yield f"the queue was not seen to drain: {found['queued']} acknowledged had not arrived"
