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

# Of whom a message that came for another is missing most likely, by outcome and report.
_RANKS = np.ones(BOUNCED + OUTCOME + 1, np.uint8)
_RANKS[records.ACKNOWLEDGED] = 0
_RANKS[[records.REFUSED, records.UNSENT]] = _RANKS[BOUNCED:] = 2

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
        # The addresses of the run's recipients, in a few sorted pieces; C{None} as long as nobody has asked for them.
        self._addresses: list[NDArray[np.uint64]] | None = None
        self._forget()

    def know(self, addresses: Any) -> None:
        """
        Recipients of the run, which L{Units} know already.
        """
        if self._addresses is None:
            return
        some = np.unique(addresses)
        new = some[~self._isRecipient(some)]
        if not len(new):
            return
        pieces = self._addresses
        while pieces and len(pieces[-1]) < 2 * len(new):
            # So each is sorted in only a few times, however many come.
            new = np.sort(np.concatenate((pieces.pop(), new)), kind="stable")
        pieces.append(new)
        if np.isin(self._waiting["address"], some).any():
            self._forget()

    def _isRecipient(self, addresses: Any) -> Any:
        """
        For each, is it a recipient's of the run? Few runs ask that, and the answer takes its time and memory.
        """
        if self._addresses is None:
            found = np.unique(self._units.address[: self._units.size])
            self._addresses = [found[found > 0]]
        isOne = np.zeros(len(addresses), bool)
        for piece in self._addresses:
            isOne |= within(addresses, piece)
        return isOne

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
        away = np.flatnonzero(self._forwarded() < 0)
        waiting = self._waiting[away]
        places = self._units.match(waiting["number"], waiting["address"])
        right = places >= 0
        if right.any():
            self._drop(away[right])
        found = waiting[right]
        return places[right], found["time"], found["raw"], found["canonical"]

    def takeBack(self, found: Records, times: Integers) -> None:
        """
        Some have not come after all.
        """
        for one, time in zip(found, times, strict=True):
            waiting = self._waiting
            same = (waiting["time"] == time) & (waiting["number"] == one["number"])
            self._drop(np.flatnonzero(same & (waiting["address"] == one["address"]))[:1])

    def _drop(self, which: Integers) -> None:
        self._waiting = np.delete(self._waiting, which)
        self._forget()

    def _forget(self) -> None:
        """
        Nothing is known of which strays were forwarded.
        """
        self._known = np.zeros(0, np.int64)
        self._moves = self._units.moves
        self._once: tuple[Integers, Integers] | None = None

    def _forwarded(self) -> Integers:
        """
        @return: for each stray, the unit that has come to another address; -1 where there is none. It is worked out for
            those of which that was not known.
        """
        if self._moves != self._units.moves:
            self._forget()
        known = np.full(len(self._waiting), -1, np.int64)
        known[: len(self._known)] = self._known
        away = np.flatnonzero(known < 0)
        waiting = self._waiting[away]
        if len(away):
            known[away] = self.forwarded(waiting["number"], waiting["address"], waiting["original"])
            if (known[away] >= 0).any():
                self._once = None
        self._known = known
        return known

    def _forwardedOnce(self) -> tuple[Integers, Integers]:
        """
        @return: the units that have come to another address, in their order, and the first stray of each.
        """
        places = self._forwarded()
        if self._once is None:
            found = np.flatnonzero(places >= 0)
            some, which = np.unique(places[found], return_index=True)
            self._once = some, found[which]
        return self._once

    def forwarded(self, numbers: Any, addresses: Any, originals: Any) -> Integers:
        """
        The same for any arrivals.
        """
        places = np.full(len(numbers), -1, np.int64)
        said = np.flatnonzero(originals)
        if len(said):
            places[said] = self._units.match(numbers[said], originals[said])
            # Another recipient of the run is nobody's other address.
            places[said[self._isRecipient(addresses[said])]] = -1
        return places

    def unmeasured(self) -> tuple[Integers, Integers]:
        """
        Those acknowledged that have come to another address, and of whose time nothing was told yet.

        @return: each once, and when it came.
        """
        if not len(self._waiting):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        places, first = self._forwardedOnce()
        state = self._units.state[places]
        wanted = ((state & (OUTCOME | EXISTS)) == records.ACKNOWLEDGED | EXISTS) & (state & (HERE | MEASURED) == 0)
        return places[wanted], self._waiting["time"][first[wanted]]

    def acknowledgedHere(self) -> int:
        """
        How many acknowledged ones have only come to another address of those for whom they were meant.
        """
        if not len(self._waiting):
            return 0
        state = self._units.state[self._forwardedOnce()[0]]
        return int((state & (OUTCOME | EXISTS | HERE) == records.ACKNOWLEDGED | EXISTS).sum())

    def settle(self) -> Settled:
        """
        What all of them have come to, as far as is known.
        """
        units, waiting = self._units, self._waiting
        state = units.state[: units.size]
        if len(waiting) or len(self._failed):
            state = state.copy()
        places = self._forwarded().copy()
        forwarded = places >= 0
        landed(state, units, places[forwarded], waiting["raw"][forwarded], waiting["canonical"][forwarded])
        self._bounce(state)
        kinds = np.where(forwarded, FORWARDED, MISDELIVERED)
        others = np.flatnonzero(~forwarded)
        isSent, places[others] = self._taken(state, waiting["number"][others])
        kinds[others[~isSent]] = GHOST
        state[places[others][places[others] >= 0]] |= ELSEWHERE
        return Settled(state, kinds, places, waiting["number"], waiting["address"])

    def _taken(self, state: NDArray[np.uint16], numbers: Any) -> tuple[Any, Integers]:
        """
        What came for others of some messages. The recipients of a message to whom nothing came are taken to be those
        that it was for, one for each: first those whose mail the server has taken, and last those that it has refused,
        or says that it could not deliver to.

        @return: for each, was its message sent, and the unit it is taken to be, or -1.
        """
        some, which = np.unique(numbers, return_inverse=True)
        everyone, of = self._units.all(some)
        sent = state[everyone] & EXISTS != 0
        free = np.flatnonzero(sent & (state[everyone] & HERE == 0))
        free = free[np.lexsort((_RANKS[state[everyone[free]] & (OUTCOME | BOUNCED)], of[free]))]
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


def within(values: Any, known: Any) -> Any:
    """
    Which of these values are known.

    @param known: in their order.
    """
    if not len(known):
        return np.zeros(len(values), np.bool_)
    return known[np.minimum(np.searchsorted(known, values), len(known) - 1)] == values
