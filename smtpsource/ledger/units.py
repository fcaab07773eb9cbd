"""
What is known of each message for each recipient: in arrays, so that millions of them have room.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smtpsource.ledger.numbers import Numbers, grown
from smtpsource.ledger.records import ACKNOWLEDGED, REFUSED, UNKNOWN, UNSENT

# A state has its outcome in its lowest bits, and these. There was an intent; the outcome is of this recipient alone;
# the message was sent again; it has arrived for whom it was meant, and again; a report says that it can't arrive; it
# arrived with another body, or with the same in other octets; its time until then was told; it arrived for others only;
# it was sent again while nobody knew what had become of it; it was seen in the server's queue.
OUTCOME = 7
EXISTS, NAMED, AGAIN, HERE, TWICE, BOUNCED, CORRUPTED, TRANSFORMED, MEASURED, ELSEWHERE, UNSURE, WAITING = (
    1 << bit for bit in range(3, 15)
)
#: There are so many states.
STATES = 1 << 15
assert max(ACKNOWLEDGED, REFUSED, UNKNOWN, UNSENT) <= OUTCOME

#: So many places of a message are looked at one after the other.
_FEW = 16
#: What stands for a number that was never met.
_NOWHERE = 1 << 40

Integers = NDArray[np.int64]


class Units:
    """
    Each message and recipient has a place in all of these arrays. As long as each message has one recipient, and few
    numbers are left out, it is the number of the message.

    @ivar size: how many places are in use.
    @ivar moves: how often any has got another place.
    @ivar state: the outcome and the bits above.
    @ivar address: the digest of the address; C{raw} and C{canonical} are the lower halves of those of the body.
    @ivar moment: if it is here, when it came, else when it was acknowledged.
    @ivar due: microseconds from when it was due to its acknowledgement, for runs with a schedule, else empty.
    """

    def __init__(self) -> None:
        self.size = self.moves = 0
        self.state = np.zeros(1024, np.uint16)
        self.address = np.zeros(1024, np.uint64)
        self.raw = np.zeros(1024, np.uint32)
        self.canonical = np.zeros(1024, np.uint32)
        self.moment = np.zeros(1024, np.int64)
        self.due = np.zeros(0, np.uint32)
        # By the number of the message, once one has several recipients: its first place, and how many it has.
        self._first: NDArray[np.uint32] | None = None
        self._count = np.zeros(0, np.uint16)
        self._numbers = Numbers()

    def make(self, numbers: Any, indexes: Any) -> Integers:
        """
        The places of messages and recipients, whether they are known or not.
        """
        of: Integers = numbers.astype(np.int64)
        if not len(of):
            return of
        of = self._numbers.room(of)
        if self._first is None:
            if not indexes.any():
                self._reach(int(of.max()) + 1)
                return of
            self._split()
        index: Integers = indexes.astype(np.int64)
        some, which = np.unique(of, return_inverse=True)
        wanted = np.zeros(len(some), np.int64)
        np.maximum.at(wanted, which, index + 1)
        self._make(some, wanted)
        return self._firstOf(of) + index

    def _split(self) -> None:
        """
        From now on a message may have several places.
        """
        self._first = np.arange(self.size, dtype=np.uint32)
        self._count = np.ones(self.size, np.uint16)

    def _firstOf(self, numbers: Integers) -> Integers:
        assert self._first is not None
        return self._first[numbers].astype(np.int64)

    def _make(self, numbers: Integers, wanted: Integers) -> None:
        """
        Have so many places for each of these messages, next to each other.
        """
        assert self._first is not None
        top = int(numbers.max()) + 1
        self._first = grown(self._first, top)
        self._count = grown(self._count, top)
        known = self._count[numbers].astype(np.int64)
        more = wanted > known
        numbers, wanted, known = numbers[more], wanted[more], known[more]
        firsts = self.size + np.cumsum(wanted) - wanted
        self._reach(self.size + int(wanted.sum()))
        for at in np.flatnonzero(known):
            # Its first recipients came with earlier records.
            self._move(int(self._first[numbers[at]]), int(firsts[at]), int(known[at]))
        self._first[numbers] = firsts
        self._count[numbers] = wanted

    def _move(self, old: int, new: int, count: int) -> None:
        self.moves += 1
        for array in (self.state, self.address, self.raw, self.canonical, self.moment, self.due):
            if not len(array):
                continue
            array[new : new + count] = array[old : old + count]
            array[old : old + count] = 0

    def _reach(self, size: int) -> None:
        self.size = max(self.size, size)
        self.state = grown(self.state, size)
        self.address = grown(self.address, size)
        self.raw = grown(self.raw, size)
        self.canonical = grown(self.canonical, size)
        self.moment = grown(self.moment, size)
        if len(self.due):
            self.schedule()

    def schedule(self) -> None:
        """
        There is a schedule: have room for L{due}.
        """
        self.due = grown(self.due, len(self.state))

    def counts(self, numbers: Any) -> Integers:
        """
        How many places each of these messages has.
        """
        return self._counts(self._numbers.inside(numbers))

    def _counts(self, numbers: Any) -> Integers:
        if self._first is None:
            counts: Integers = (numbers < self.size).astype(np.int64)
            return counts
        counts = np.zeros(len(numbers), np.int64)
        inside = numbers < len(self._count)
        counts[inside] = self._count[numbers[inside].astype(np.int64)]
        return counts

    def find(self, numbers: Any, indexes: Any) -> Integers:
        """
        The places of messages and recipients; -1 where there is none.
        """
        numbers = self._numbers.inside(numbers)
        known = indexes < self._counts(numbers)
        of: Integers = np.where(known, numbers, 0).astype(np.int64)
        first = of if self._first is None else self._firstOf(of)
        found: Integers = np.where(known, first + indexes, -1)
        return found

    def all(self, numbers: Any) -> tuple[Integers, Integers]:
        """
        All places of some messages.

        @return: the places, and for each of them which of C{numbers} it is of.
        """
        numbers = self._numbers.inside(numbers)
        counts = self._counts(numbers)
        which = np.repeat(np.arange(len(numbers)), counts)
        first = numbers[which].astype(np.int64)
        if self._first is None:
            return first, which
        inMessage = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
        return self._firstOf(first) + inMessage, which

    def areSent(self, numbers: Any) -> Any:
        """
        Which of these messages were about to be sent.
        """
        places, which = self.all(numbers)
        sent = np.zeros(len(numbers), np.bool_)
        sent[which[self.state[places] & EXISTS != 0]] = True
        return sent

    def match(self, numbers: Any, addresses: Any) -> Integers:
        """
        The places of messages for these addresses; -1 where there is none.
        """
        numbers = self._numbers.inside(numbers)
        counts = self._counts(numbers)
        found = np.full(len(numbers), -1, np.int64)
        open_ = np.flatnonzero(counts)
        if not len(open_):
            return found
        first = numbers[open_].astype(np.int64)
        if self._first is not None:
            first = self._firstOf(first)
        left, wanted = counts[open_], addresses[open_]
        index = 0
        while len(open_):
            if index == _FEW:
                found[open_] = self._search(numbers[open_], wanted)
                break
            place = first + index
            right = (self.address[place] == wanted) & (self.state[place] & EXISTS != 0)
            found[open_[right]] = place[right]
            index += 1
            on = ~right & (left > index)
            open_, first, left, wanted = open_[on], first[on], left[on], wanted[on]
        return found

    def _search(self, numbers: Any, addresses: Any) -> Integers:
        """
        What L{match} does, for messages with many places.

        @param numbers: what stands for them here.
        """
        assert self._first is not None
        some, which = np.unique(numbers.astype(np.int64), return_inverse=True)
        counts = self._count[some].astype(np.int64)
        of = np.repeat(np.arange(len(some)), counts)
        places = np.repeat(self._firstOf(some) - np.cumsum(counts) + counts, counts) + np.arange(len(of))
        alive = self.state[places] & EXISTS != 0
        of, places = of[alive], places[alive]
        if not len(places):
            return np.full(len(numbers), -1, np.int64)
        keys = _keys(of, self.address[places])
        order = np.argsort(keys, kind="stable")
        wanted = _keys(which, addresses)
        at = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
        found: Integers = np.where(keys[order[at]] == wanted, places[order[at]], -1)
        return found

    def dropTwins(self, numbers: Any, addresses: Any, places: Integers) -> bool:
        """
        A recipient that a message names twice is one: servers deliver to it once.

        @param places: of messages for these addresses.
        @return: was there one?
        """
        if self._first is None:
            return False
        twins = places[self.match(numbers, addresses) != places]
        self.state[twins] &= np.uint16(0xFFFF ^ EXISTS)
        return bool(len(twins))

    def names(self, places: Integers) -> tuple[Integers, Integers]:
        """
        The other way round.

        @return: the number of the message at each of these places, and the index of the recipient.
        """
        numbers, indexes = places, np.zeros(len(places), np.int64)
        if self._first is not None:
            messages = np.flatnonzero(self._count)
            order = messages[np.argsort(self._first[messages])]
            numbers = order[np.searchsorted(self._first[order], places, "right") - 1]
            indexes = places - self._firstOf(numbers)
        return self._numbers.outside(numbers), indexes


def _keys(which: Integers, addresses: Any) -> Any:
    """
    One number for each pair: as good as a digest.
    """
    return addresses.astype(np.uint64) ^ (which.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))


def landed(state: Any, units: Units, places: Integers, raw: Any, canonical: Any) -> None:
    """
    Say in C{state} that some have arrived for whom they were meant, with these digests of their bodies.
    """
    differs = canonical.astype(np.uint32) != units.canonical[places]
    state[places[differs]] |= CORRUPTED
    state[places[~differs & (raw.astype(np.uint32) != units.raw[places])]] |= TRANSFORMED
    places, counts = np.unique(places, return_counts=True)
    state[places[(state[places] & HERE != 0) | (counts > 1)]] |= TWICE
    state[places] |= HERE
