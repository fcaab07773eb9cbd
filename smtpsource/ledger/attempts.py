"""
Attempts to send messages, and what came of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from smtpsource.ledger import records
from smtpsource.ledger.reading import Records
from smtpsource.ledger.units import AGAIN, EXISTS, NAMED, OUTCOME, Integers, Units


def taken(units: Units, found: Records, intents: Integers, outcomes: Integers) -> tuple[Integers, Any, Any, Integers]:
    """
    Enter intents and outcomes.

    @param intents: which of the records are intents; C{outcomes} likewise.
    @return: the places of all units that they are about, the states of these before and after it, and which record says
        how each of them has ended; -1 if none does.
    """
    isWhole = found["index"][outcomes] == records.WHOLE
    named, whole = outcomes[~isWhole], outcomes[isWhole]
    # All at once: places may move to make room for others.
    single = np.concatenate((intents, named))
    begun, told = np.split(units.make(found["number"][single], found["index"][single]), [len(intents)])
    ended, which = units.all(found["number"][whole])
    places, where = np.unique(np.concatenate((begun, told, ended)), return_inverse=True)
    # For each place, the record that was the last to say something of its kind: later ones replace earlier ones.
    mine = where[: len(begun)]
    start, again = _last(len(places), mine, intents), _last(len(places), mine[::-1], intents[::-1])
    one = _last(len(places), where[len(begun) : len(begun) + len(told)], named)
    all_ = _last(len(places), where[len(begun) + len(told) :], whole[which])
    before = units.state[places]
    isNew, existed = start >= 0, before & EXISTS != 0
    # Another intent is another attempt: what was said before it counts no more. Before the first one, a recipient
    # may have been refused.
    another = isNew & (existed | (again != start))
    one[another & (one < start)] = -1
    isNamed = (one >= 0) | ((before & NAMED != 0) & ~another)
    # Of those who have had no intent yet, a message's outcome says nothing.
    isTold = (all_ > start) & (isNew | existed) & ~isNamed
    decisive = np.where(one >= 0, one, np.where(isTold, all_, -1))
    outcome = np.where(decisive >= 0, found["flag"][decisive] & OUTCOME, before & OUTCOME)
    outcome[another & (decisive < 0)] = 0
    after = before & ~np.uint16(OUTCOME | NAMED) | outcome.astype(np.uint16)
    after[isNew] |= EXISTS
    after[isNamed] |= NAMED
    after[another | (isNew & (found["flag"][start] > 1))] |= AGAIN
    units.state[places] = after
    units.address[begun] = found["address"][intents]
    units.raw[begun] = found["raw"][intents].astype(np.uint32)
    units.canonical[begun] = found["canonical"][intents].astype(np.uint32)
    if units.dropTwins(found["number"][intents], found["address"][intents], begun):
        after = units.state[places]
    return places, before, after, decisive


def _last(size: int, where: Any, values: Any) -> Integers:
    """
    @return: the last of the values for each of so many places, or -1.
    """
    found = np.full(size, -1, np.int64)
    found[where] = values
    return found
