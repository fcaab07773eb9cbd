"""
Arrivals that were not simply for whom their message was sent: at another address, of messages that nobody has sent, or
earlier than they are known to have been sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smtpsource.ledger import records
from smtpsource.ledger.reading import Records
from smtpsource.ledger.units import (
    BOUNCED,
    ELSEWHERE,
    EXISTS,
    HERE,
    MEASURED,
    OUTCOME,
    Integers,
    Units,
    landed,
)

_STRAY = np.dtype(
    [
        ("number", "<u8"),
        ("address", "<u8"),
        ("original", "<u8"),
        ("time", "<i8"),
        ("raw", "<u4"),
        ("canonical", "<u4"),
    ]
)
_FAILED = records.ACTIONS.index("failed")

#: What a stray is: of a message that was never sent; for whom it was meant, at another address; for another.
GHOST, FORWARDED, MISDELIVERED = range(3)


@dataclass(frozen=True)
class Settled:
    """
    What strays have come to.

    @ivar state: of all units, with what they say of them.
    @ivar kinds: for each stray, one of those above.
    @ivar places: for each stray, the unit it is of; -1 if there is none: a ghost, or one too many.
    @ivar numbers: for each stray, the number of its message; C{addresses}: where it came.
    """

    state: NDArray[np.uint16]
    kinds: Integers
    places: Integers
    numbers: NDArray[np.uint64]
    addresses: NDArray[np.uint64]


class Strays:
    """
    All of them, and the reports of a server about what it could not deliver.
    """

    def __init__(self, units: Units) -> None:
        self._units = units
        self._waiting = np.zeros(0, _STRAY)
        self._failed = np.zeros(0, np.dtype([("number", "<u8"), ("address", "<u8")]))
        self._addresses: NDArray[np.uint64] | None = None

    def forget(self) -> None:
        """
        The run has more recipients than there were.
        """
        self._addresses = None

    def _recipients(self) -> NDArray[np.uint64]:
        """
        All addresses of the run, in their order. Few runs need them, and they take their time and memory.
        """
        if self._addresses is None:
            found = np.unique(self._units.address[: self._units.size])
            self._addresses = found[found > 0]
        return self._addresses

    def add(self, arrivals: Records, originals: Any, times: Integers) -> None:
        """
        More of them.

        @param originals: for each the address that it was sent to; 0 is that where it came.
        """
        new = np.zeros(len(arrivals), _STRAY)
        for name in ("number", "address"):
            new[name] = arrivals[name]
        for name in ("raw", "canonical"):
            new[name] = arrivals[name].astype(np.uint32)
        new["original"], new["time"] = originals, times
        self._waiting = np.concatenate((self._waiting, new))

    def report(self, found: Records) -> None:
        """
        Reports about messages of this run.
        """
        failed = found[found["flag"] == _FAILED]
        new = np.zeros(len(failed), self._failed.dtype)
        new["number"], new["address"] = failed["number"], failed["address"]
        self._failed = np.concatenate((self._failed, new))

    def retry(self) -> tuple[Integers, Integers, Any, Any]:
        """
        Those of whom it is known by now that they have come to the right place.

        @return: their units, times and digests. They are strays no more.
        """
        waiting = self._waiting
        places = self._units.match(waiting["number"], waiting["address"])
        right = places >= 0
        if right.any():
            self._waiting = waiting[~right]
        found = waiting[right]
        return places[right], found["time"], found["raw"], found["canonical"]

    def _forwarded(self) -> Integers:
        """
        @return: for each stray, the unit that has come to another address; -1 where there is none.
        """
        waiting = self._waiting
        return self.forwarded(waiting["number"], waiting["address"], waiting["original"])

    def forwarded(self, numbers: Any, addresses: Any, originals: Any) -> Integers:
        """
        The same for any arrivals.
        """
        places = np.full(len(numbers), -1, np.int64)
        said = np.flatnonzero(originals)
        if len(said):
            places[said] = self._units.match(numbers[said], originals[said])
            # Another recipient of the run is nobody's other address.
            places[said[_within(addresses[said], self._recipients())]] = -1
        return places

    def unmeasured(self) -> tuple[Integers, Integers]:
        """
        Those acknowledged that have come to another address, and of whose time nothing was told yet.

        @return: each once, and when it came.
        """
        if not len(self._waiting):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        places = self._forwarded()
        found = places >= 0
        places, which = np.unique(places[found], return_index=True)
        state = self._units.state[places]
        wanted = ((state & (OUTCOME | EXISTS)) == records.ACKNOWLEDGED | EXISTS) & (state & (HERE | MEASURED) == 0)
        return places[wanted], self._waiting["time"][found][which[wanted]]

    def acknowledgedHere(self) -> int:
        """
        How many acknowledged ones have only come to another address of those for whom they were meant.
        """
        if not len(self._waiting):
            return 0
        places = self._forwarded()
        state = self._units.state[np.unique(places[places >= 0])]
        return int((state & (OUTCOME | EXISTS | HERE) == records.ACKNOWLEDGED | EXISTS).sum())

    def settle(self) -> Settled:
        """
        What all of them have come to, as far as is known.
        """
        units, waiting = self._units, self._waiting
        state = units.state[: units.size]
        if len(waiting) or len(self._failed):
            state = state.copy()
        places = self._forwarded()
        forwarded = places >= 0
        landed(state, units, places[forwarded], waiting["raw"][forwarded], waiting["canonical"][forwarded])
        kinds = np.where(forwarded, FORWARDED, MISDELIVERED)
        others = np.flatnonzero(~forwarded)
        isSent, places[others] = self._taken(state, waiting["number"][others])
        kinds[others[~isSent]] = GHOST
        state[places[others][places[others] >= 0]] |= ELSEWHERE
        self._bounce(state)
        return Settled(state, kinds, places, waiting["number"], waiting["address"])

    def _taken(self, state: NDArray[np.uint16], numbers: Any) -> tuple[Any, Integers]:
        """
        What came for others of some messages. The recipients of a message to whom nothing came are taken to be those
        that it was for, one for each.

        @return: for each, was its message sent, and the unit it is taken to be, or -1.
        """
        some, which = np.unique(numbers, return_inverse=True)
        everyone, of = self._units.all(some)
        sent = state[everyone] & EXISTS != 0
        free = np.flatnonzero(sent & (state[everyone] & HERE == 0))
        room = np.bincount(of[free], minlength=len(some))
        # How many of the same message come before each.
        order = np.argsort(which, kind="stable")
        before = np.empty(len(which), np.int64)
        before[order] = np.arange(len(which)) - np.searchsorted(which[order], which[order])
        places = np.full(len(which), -1, np.int64)
        fits = before < room[which]
        places[fits] = everyone[free[(np.cumsum(room) - room)[which[fits]] + before[fits]]]
        return np.bincount(of[sent], minlength=len(some))[which] > 0, places

    def _bounce(self, state: NDArray[np.uint16]) -> None:
        failed = self._failed
        places = self._units.match(failed["number"], failed["address"])
        state[places[places >= 0]] |= BOUNCED
        # A report that names nobody whom we know is about all of them.
        vague = failed["number"][places < 0]
        everyone, which = self._units.all(vague)
        alone = self._units.counts(vague)[which] == 1
        state[everyone[alone | (failed["address"][places < 0][which] == 0)]] |= BOUNCED


def _within(values: Any, known: Any) -> Any:
    """
    Which of these values are known.

    @param known: in their order.
    """
    if not len(known):
        return np.zeros(len(values), np.bool_)
    return known[np.minimum(np.searchsorted(known, values), len(known) - 1)] == values
