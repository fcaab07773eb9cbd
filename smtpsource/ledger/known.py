"""
What is known of one run, and what it was learned from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from smtpsource.ledger import records
from smtpsource.ledger.clocks import Clocks
from smtpsource.ledger.reading import LedgerFile, Records
from smtpsource.ledger.strays import Strays
from smtpsource.ledger.units import Integers, Units

#: Arrivals of which a rule of the sink has made that they are none.
LOST = records.DEEDS.index("accept-but-lose")


class Known:
    """
    @ivar run: the number of its id.
    @ivar units: each message for each recipient.
    @ivar strays: what came otherwise than it was sent.
    @ivar clocks: of all ledgers.
    @ivar sources: the ledgers of its generators that were read.
    @ivar sinks: what was read of where it was to arrive.
    @ivar heard: when those were last known to listen, in nanoseconds.
    @ivar sign: when those last had a sign of the server's queue, be it no arrival.
    """

    def __init__(self, run: int) -> None:
        self.run = run
        self.units = Units()
        self.strays = Strays(self.units)
        self.clocks = Clocks()
        self.sources: list[LedgerFile] = []
        self.sinks: list[LedgerFile] = []
        self.heard = self.sign = 0

    def arrivalsAgain(self, file: LedgerFile) -> Iterator[tuple[int, Records, Integers, Integers]]:
        """
        All arrivals of a ledger, read again.

        @return: how many came before, some more of them, the place of each among the units, or -1, and when it came.
        """
        before = original = 0
        for found in file.again():
            arrivals, originals, original = arrivalsIn(found, original)
            places = self.units.match(arrivals["number"], arrivals["address"])
            away = np.flatnonzero(places < 0)
            which = (arrivals["number"][away], arrivals["address"][away], originals[away])
            places[away] = self.strays.forwarded(*which)
            places[(arrivals["run"] != self.run) | (arrivals["flag"] == LOST)] = -1
            yield before, arrivals, places, arrivals["time"] + self.clocks.shift(file)
            before += len(arrivals)


def arrivalsIn(found: Records, original: int) -> tuple[Records, Any, int]:
    """
    @param original: of the first arrival: the address that it was for when it was sent; 0 is the same.
    @return: the arrivals, the same for each of them, and for the one that comes after these records.
    """
    at = np.flatnonzero(found["kind"] == records.ARRIVAL)
    originals = np.zeros(len(at) + 1, np.uint64)
    originals[0] = original
    said = np.flatnonzero(found["kind"] == records.ORIGINAL)
    originals[np.searchsorted(at, said)] = found["address"][said]
    return found[at], originals[:-1], int(originals[-1])
