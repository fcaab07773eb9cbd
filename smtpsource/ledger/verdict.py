"""
From what is known of each message to what became of it, and to a verdict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smtpsource.ledger import records
from smtpsource.ledger.units import (
    AGAIN,
    BOUNCED,
    CORRUPTED,
    ELSEWHERE,
    EXISTS,
    HERE,
    OUTCOME,
    STATES,
    TRANSFORMED,
    TWICE,
    UNSURE,
    WAITING,
)
from smtpsource.measure.judgement import CLASSES, Verdict, faultsOf

_CLASS = {name: number for number, name in enumerate(CLASSES)}

#: Units that are looked at at once.
_PART = 65536

#: Faults that records which are missing from a ledger can't feign.
_CERTAIN = ("corrupted", "duplicated")


def classesOf(state: Any, drained: bool) -> NDArray[np.uint8]:
    """
    The classes that states have, each an index into L{CLASSES}; one more than those are for what was never sent.
    """
    outcome = (state & OUTCOME).astype(np.uint8)
    here, elsewhere, again = state & HERE != 0, state & ELSEWHERE != 0, state & AGAIN != 0
    away = ~here & ~elsewhere
    # Of an attempt that nobody knows about it may be that arrived.
    unsure = state & UNSURE != 0
    # What was not sent when it was tried again may have been sent the first time.
    unsent = (outcome == records.UNSENT) & away & ~again
    acknowledged, refused = outcome == records.ACKNOWLEDGED, outcome == records.REFUSED
    classes = np.full(len(state), _CLASS["unknown"], np.uint8)
    for name, which in (
        ("refused", refused),
        ("queued", acknowledged & away),
        ("lost", acknowledged & away & drained & (state & WAITING == 0)),
        ("bounced", away & (state & BOUNCED != 0)),
        ("misdelivered", ~here & elsewhere),
        ("recovered", here & ~acknowledged & (~refused | unsure)),
        ("delivered", here & acknowledged),
    ):
        classes[which] = _CLASS[name]
    classes[unsent | (state & EXISTS == 0)] = len(CLASSES)
    return classes


def countsOf(state: Any, drained: bool) -> dict[str, int]:
    """
    How many units are of each class, and how many have come to what else there is.
    """
    # There are few states, and many units.
    size = np.zeros(STATES, np.int64)
    for begin in range(0, len(state), _PART):
        size += np.bincount(state[begin : begin + _PART], minlength=STATES)
    states = np.arange(STATES)
    classes = classesOf(states, drained)
    size[classes == len(CLASSES)] = 0
    found = {name: int(size[classes == number].sum()) for number, name in enumerate(CLASSES)}
    found["sent"] = sum(found.values())
    for name, is_ in _besides(states, classes).items():
        found[name] = int(size[is_].sum())
    return found


def _besides(state: Any, classes: Any) -> dict[str, Any]:
    """
    What is said of units besides their class: which of these states it is said of.
    """
    return {
        "duplicated": state & TWICE != 0,
        "corrupted": state & CORRUPTED != 0,
        "transformed": state & TRANSFORMED != 0,
        "contradicted": (classes == _CLASS["refused"]) & (state & HERE != 0),
        "misreported": (state & HERE != 0) & (state & BOUNCED != 0),
    }


def fatesOf(state: Any, drained: bool) -> list[str]:
    """
    For each unit all that is said of it, in words; nothing of what was never sent.
    """
    classes = classesOf(state, drained)
    besides = _besides(state, classes)
    return [
        ", ".join([CLASSES[number], *(name for name, is_ in besides.items() if is_[at])])
        if number < len(CLASSES)
        else ""
        for at, number in enumerate(classes.tolist())
    ]


def unitsThat(name: str, state: Any, drained: bool) -> NDArray[np.int64]:
    """
    The units of which this is said: the name of a class, or one of those that say more.
    """
    states = np.arange(STATES)
    classes = classesOf(states, drained)
    is_ = classes == _CLASS[name] if name in _CLASS else _besides(states, classes)[name] & (classes < len(CLASSES))
    return np.flatnonzero(is_[state])


def verdictOf(
    found: Mapping[str, Any], drained: bool, doubts: Sequence[str], isWhole: bool = True
) -> tuple[Verdict, list[str]]:
    """
    @param found: counts by their names.
    @param drained: was it waited for what may come?
    @param doubts: why nothing can be said for certain, or why it was not waited.
    @param isWhole: was no ledger damaged? Records that are lost from one can make a message look lost, or for another,
        but not be there twice, nor be another.
    @return: the verdict, and why it is none that passes.
    """
    faults = [reason for name, reason in faultsOf(found) if isWhole or name in _CERTAIN]
    doubts = [*doubts, *_doubts(found, drained or bool(doubts))]
    if faults:
        return "fail", [*faults, *doubts]
    return ("inconclusive" if doubts else "pass"), doubts


def _doubts(found: Mapping[str, Any], drained: bool) -> Iterator[str]:
    if not found["sent"]:
        yield "nothing was sent"
    if not drained:
        yield f"the queue was not seen to drain: {found['queued']} acknowledged had not arrived"
