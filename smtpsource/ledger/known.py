"""
What is known of one run, and what it was learned from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from smtpsource.ledger import records
from smtpsource.ledger.clocks import Clocks
from smtpsource.ledger.reading import LedgerFile, Records
from smtpsource.ledger.strays import Strays
from smtpsource.ledger.units import CORRUPTED, HERE, TRANSFORMED, TWICE, Integers, Units, landed

#: Arrivals of which a rule of the sink has made that they are none.
LOST = records.DEEDS.index("accept-but-lose")


_Key = tuple[int, int, int, int]


class Known:
    """
    @ivar run: the number of its id.
    @ivar units: each message for each recipient.
    @ivar strays: what came otherwise than it was sent.
    @ivar clocks: of all ledgers.
    @ivar sources: the ledgers of its generators that were read.
    @ivar sinks: what was read of where it was to arrive.
    @ivar gone: for each of those, how many arrivals were taken back, by what L{_keysOf} says of them.
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
        self.gone: dict[LedgerFile, Counter[_Key]] = {}
        self.heard = self.sign = 0

    def areOfRun(self, found: Records, file: LedgerFile) -> Any:
        """
        Which arrivals are of this run: they have its id, and did not come before it began. Another run with the same
        seed has the same id.
        """
        ours = (found["run"] == self.run) & (found["number"] > 0)
        began = self._beginning(file)
        return ours if began is None else ours & (found["time"] >= began)

    def _beginning(self, file: LedgerFile) -> int | None:
        """
        When the run began, by the clock of a sink's ledger; C{None} if that is not the clock of all generators.
        """
        boots = {source.header.get("boot") for source in self.sources}
        if file.isMailbox or boots != {file.header.get("boot")}:
            return None
        moments = [source.header.get("monotonic") for source in self.sources]
        return min(moment if type(moment) is int else 0 for moment in moments)

    def takeBack(self, found: Records, file: LedgerFile) -> None:
        """
        Arrivals of this run that were read have not come after all: see anew what has come for the same units.

        @param found: what says so.
        """
        self.gone.setdefault(file, Counter()).update(_keysOf(found))
        places = self.units.match(found["number"], found["address"])
        away = places < 0
        self.strays.takeBack(found[away], found["time"][away] + self.clocks.shift(file))
        places = np.unique(places[places >= 0])
        self.units.state[places] &= np.uint16(0xFFFF ^ (HERE | TWICE | CORRUPTED | TRANSFORMED))
        for sink in self.sinks if len(places) else ():
            for _, arrivals, units, _ in self.arrivalsAgain(sink):
                mine = np.isin(units, places)
                bodies = arrivals["raw"][mine], arrivals["canonical"][mine]
                landed(self.units.state, self.units, units[mine], *bodies)

    def arrivalsAgain(self, file: LedgerFile) -> Iterator[tuple[int, Records, Integers, Integers]]:
        """
        All arrivals of a ledger, read again.

        @return: how many came before, some more of them, the place of each among the units, or -1, and when it came.
        """
        before = original = 0
        gone = Counter(self.gone.get(file))
        for found in file.again():
            arrivals, originals, original = arrivalsIn(found, original)
            places = self.units.match(arrivals["number"], arrivals["address"])
            away = np.flatnonzero(places < 0)
            which = (arrivals["number"][away], arrivals["address"][away], originals[away])
            places[away] = self.strays.forwarded(*which)
            places[~self.areOfRun(arrivals, file) | (arrivals["flag"] == LOST)] = -1
            if gone:
                places[_among(arrivals, gone)] = -1
            yield before, arrivals, places, arrivals["time"] + self.clocks.shift(file)
            before += len(arrivals)


def _keysOf(found: Records) -> list[_Key]:
    """
    What is the same in an arrival and in what takes it back.
    """
    return list(zip(*(found[name].tolist() for name in ("session", "time", "number", "address")), strict=True))


def _among(arrivals: Records, gone: Counter[_Key]) -> list[int]:
    """
    Which arrivals are gone; these are counted off.
    """
    found = []
    sessions = [key[0] for key in gone]
    maybe = np.flatnonzero(np.isin(arrivals["session"], sessions))
    for at, key in zip(maybe.tolist(), _keysOf(arrivals[maybe]), strict=True):
        if gone[key] > 0:
            gone[key] -= 1
            found.append(at)
    return found


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
