"""
Replies of a sink that nobody may have seen.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from smtpsource.ledger import records
from smtpsource.ledger.reading import LedgerFile, Records
from smtpsource.ledger.units import Integers

#: Of the latest arrivals of a session: the place among all of the ledger, and the message's number.
_LATEST = np.dtype([("at", "<i8"), ("number", "<u8")])

#: No more replies wait to be seen than these.
_MOST = 4096


def unseenIn(file: LedgerFile, sessions: Integers) -> Integers:
    """
    Arrivals of these sessions whose replies may not have been seen, by their places among all arrivals of the ledger.
    """
    covered = [np.zeros(0, np.int64)]
    # The latest arrivals of each session, of an earlier part.
    latest: dict[int, Any] = {}
    over: set[int] = set()
    ended, before = False, 0
    for found in file.again():
        kinds = found["kind"]
        isArrival = kinds == records.ARRIVAL
        places = before + np.cumsum(isArrival) - isArrival
        before += int(isArrival.sum())
        ended |= bool((kinds == records.END).any())
        arrived = _bySession(found, isArrival, sessions)
        lost = _bySession(found, kinds == records.UNSEEN, sessions)
        over |= lost.keys() | _bySession(found, kinds == records.LEFT, sessions).keys()
        for session in arrived.keys() | lost.keys():
            new = np.zeros(len(arrived.get(session, ())), _LATEST)
            if len(new):
                new["at"], new["number"] = places[arrived[session]], found["number"][arrived[session]]
            mine = np.concatenate((latest.get(session, new[:0]), new))
            for at in lost.get(session, ()):
                earlier = mine["at"][mine["at"] < places[at]]
                covered.append(earlier[max(0, len(earlier) - int(found["size"][at])) :])
            latest[session] = mine[-_MOST:]
    if not ended:
        # It was killed, so the latest replies of those who were there may not have left.
        still = [mine for session, mine in latest.items() if len(mine) and session not in over]
        covered += [mine["at"][mine["number"] == mine["number"][-1]] for mine in still]
    return np.concatenate(covered)


def _bySession(found: Records, which: Any, sessions: Integers) -> dict[int, Integers]:
    """
    Where records of these sessions are, in their order.
    """
    at = np.flatnonzero(which)
    at = at[np.isin(found["session"][at], sessions)]
    at = at[np.argsort(found["session"][at], kind="stable")]
    some, begins = np.unique(found["session"][at], return_index=True)
    return dict(zip(some.tolist(), np.split(at, begins[1:]), strict=True)) if len(at) else {}
