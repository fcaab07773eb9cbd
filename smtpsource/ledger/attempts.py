"""
Attempts to send messages, and what came of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from smtpsource.ledger import records
from smtpsource.ledger.reading import Records
from smtpsource.ledger.units import AGAIN, EXISTS, NAMED, OUTCOME, UNSURE, Integers, Units


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
    if another.any():
        told_ = (where[len(begun) : len(begun) + len(told)], named), (where[len(begun) + len(told) :], whole[which])
        after[another & _unsure(before, found["flag"], (mine, intents), *told_)] |= UNSURE
    # Of attempts before the first that there is a record of, nobody knows.
    after[isNew & ~existed & (found["flag"][again] > 1)] |= UNSURE
    units.state[places] = after
    units.address[begun] = found["address"][intents]
    units.raw[begun] = found["raw"][intents].astype(np.uint32)
    units.canonical[begun] = found["canonical"][intents].astype(np.uint32)
    if units.dropTwins(found["number"][intents], found["address"][intents], begun):
        after = units.state[places]
    return places, before, after, decisive


def _unsure(before: Any, flags: Any, *events: tuple[Integers, Integers]) -> Any:
    """
    Which places had an intent while what had become of the one before was not known.

    @param before: the state of each place.
    @param flags: of all records.
    @param events: the places of intents, of outcomes for one recipient, and of those for all; and which records they
        are.
    """
    where = np.concatenate([places for places, _ in events])
    at = np.concatenate([which for _, which in events])
    kinds = np.repeat(np.arange(len(events)), [len(places) for places, _ in events])
    order = np.lexsort((at, where))
    where, at, kinds = where[order], at[order], kinds[order]
    # Parts of a place's story: each but the first begins with an intent.
    isIntent, isOther = kinds == 0, np.append(True, where[1:] != where[:-1])
    part = np.cumsum(isIntent | isOther) - 1
    heads = np.flatnonzero(isIntent | isOther)
    one, all_ = (_last(len(heads), part[kinds == kind], at[kinds == kind]) for kind in (1, 2))
    state = np.where(isIntent[heads], 0, before[where[heads]])
    decisive = np.where(one >= 0, one, np.where(state & NAMED != 0, -1, all_))
    outcome = np.where(decisive >= 0, flags[decisive], state) & OUTCOME
    hadIntent = isIntent[heads] | (state & EXISTS != 0)
    isOpen = hadIntent & ((outcome == 0) | (outcome == records.UNKNOWN))
    # Another follows in the story of the same place.
    isOpen[:-1] &= where[heads[1:]] == where[heads[:-1]]
    isOpen[-1:] = False
    found = np.zeros(len(before), np.bool_)
    found[where[heads[isOpen]]] = True
    # Or it is the first here, and what came before is open.
    first = where[isIntent & isOther]
    carried = before[first]
    found[first] |= (carried & EXISTS != 0) & np.isin(carried & OUTCOME, (0, records.UNKNOWN))
    return found


def _last(size: int, where: Any, values: Any) -> Integers:
    """
    @return: the last of the values for each of so many places, or -1.
    """
    found = np.full(size, -1, np.int64)
    found[where] = values
    return found
