"""
Why some messages have come more than once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smtpsource.ledger import records
from smtpsource.ledger.known import Known
from smtpsource.ledger.reading import LedgerFile
from smtpsource.ledger.units import OUTCOME, UNSURE, Integers
from smtpsource.ledger.unseen import unseenIn
from smtpsource.measure.judgement import REASONS

_BY_RULE = records.DEEDS.index("duplicate")

#: An arrival: the unit, when it came, the session, its place among the arrivals of the ledger, and two facts.
_ARRIVAL = np.dtype(
    [("unit", "<i8"), ("time", "<i8"), ("session", "<u4"), ("at", "<i8"), ("rule", "?"), ("unseen", "?")]
)


def reasonsOf(known: Known, doubles: Integers) -> NDArray[np.uint8]:
    """
    The reasons, each an index into L{REASONS}.

    @param doubles: units that have arrived more than once, in their order. The ledgers are read again for them.
    """
    found = np.full(len(doubles), REASONS.index("none"), np.uint8)
    if not len(doubles):
        return found
    arrivals = np.sort(
        np.concatenate([_arrivals(known, doubles, file) for file in known.sinks]), order=["unit", "time"]
    )
    # A reply that nobody may have seen explains what came after it.
    isLast = np.append(arrivals["unit"][1:] != arrivals["unit"][:-1], True)
    state = known.units.state[doubles]
    unsure = (state & UNSURE != 0) | (state & OUTCOME == records.UNKNOWN) | (state & OUTCOME == 0)
    for reason, which in (
        ("unseen-reply", np.isin(doubles, arrivals["unit"][arrivals["unseen"] & ~isLast])),
        ("unknown-outcome", unsure),
        ("rule", np.isin(doubles, arrivals["unit"][arrivals["rule"]])),
    ):
        found[which] = REASONS.index(reason)
    return found


def _arrivals(known: Known, doubles: Integers, file: LedgerFile) -> Any:
    """
    All arrivals of these units in one ledger.
    """
    parts = [np.zeros(0, _ARRIVAL)]
    for at, arrivals, places, times in known.arrivalsAgain(file):
        mine = np.isin(places, doubles)
        new = np.zeros(int(mine.sum()), _ARRIVAL)
        new["unit"], new["time"], new["at"] = places[mine], times[mine], at + np.flatnonzero(mine)
        new["session"] = arrivals["session"][mine]
        new["rule"] = arrivals["flag"][mine] == _BY_RULE
        parts.append(new)
    found = np.concatenate(parts)
    if len(found):
        found["unseen"] = np.isin(found["at"], unseenIn(file, np.unique(found["session"])))
    return found
