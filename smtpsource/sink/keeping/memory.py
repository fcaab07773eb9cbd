"""
The last messages of a sink, kept in memory.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache

from twisted.internet.defer import Deferred
from zope.interface import implementer

from smtpsource.sink.keeping.entry import Entry, entry
from smtpsource.sink.keeping.message import IKeeper, KeptMessage

#: How much is kept of all messages together unless something else is asked for, in octets.
OCTETS = 64 * 1024 * 1024

#: How much is kept of a message that is larger than all that may be kept.
_PART = 65536

_Wanted = Callable[[Entry], bool]


@dataclass(eq=False)
class _Waiting:
    """
    Somebody who waits.

    @ivar missing: how many messages there must be at least before it is worth while to look.
    """

    deferred: Deferred[list[Entry]]
    wanted: _Wanted
    count: int
    missing: int


@implementer(IKeeper)
class Memory:
    """
    A ring of messages: for a new one the oldest go, as many as have to.

    Among several who keep messages it should be the last: whoever waits for a message is told at once.

    @ivar total: how many there ever were, deleted ones included.
    @ivar displaced: how many have given way to others since all were deleted.
    """

    def __init__(self, messages: int, octets: int = OCTETS) -> None:
        """
        @param messages: how many are kept at the most.
        @param octets: how many octets all of them have at the most, envelopes included. Of a message that has more by
            itself only the beginning is kept.
        """
        self.total = self.displaced = 0
        self._messages, self._most = messages, octets
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        self._octets = 0
        self._waiting: list[_Waiting] = []

    @property
    def present(self) -> int:
        """
        How many there are now.
        """
        return len(self._entries)

    def keep(self, message: KeptMessage) -> Callable[[], None]:
        """
        Keep a message, and tell those who wait for it.

        @see: L{IKeeper.keep}
        """
        new = entry(message, self._most if message.size <= self._most else min(self._most, _PART))
        self.delete(new.number)
        self._entries[new.number] = new
        self._octets += new.cost
        self.total += 1
        while len(self._entries) > self._messages or (self._octets > self._most and len(self._entries) > 1):
            self._forget(next(iter(self._entries)))
            self.displaced += 1
        self._tell(new)

        def takeBack() -> None:
            if self._entries.get(new.number) is new:
                self._forget(new.number)
            self.total -= 1

        return takeBack

    def close(self) -> None:
        """
        Nobody waits any longer.
        """
        for waiting in list(self._waiting):
            waiting.deferred.cancel()

    def get(self, number: int) -> Entry | None:
        """
        @return: the message with this number, if it is still there.
        """
        return self._entries.get(number)

    def find(
        self,
        recipient: str | None = None,
        sender: str | None = None,
        subject: str | None = None,
        id: str | None = None,
        after: int | None = None,
    ) -> list[Entry]:
        """
        All messages that are still there and have what is asked for. Texts are globs, for which case does not matter;
        a text matches itself as well, whatever brackets it has.

        @param recipient: one of its recipients.
        @param sender: the path of MAIL; empty is the null sender.
        @param id: its Message-Id, with brackets or without.
        @param after: only messages with numbers above this one.
        @return: the oldest first.
        """
        return list(filter(_wanted(recipient, sender, subject, id, after), self._entries.values()))

    def wait(
        self,
        count: int,
        recipient: str | None = None,
        sender: str | None = None,
        subject: str | None = None,
        id: str | None = None,
        after: int | None = None,
    ) -> Deferred[list[Entry]]:
        """
        Wait until so many messages are there that L{find} finds. Who has waited long enough cancels the Deferred.

        @return: fires with all of them, at once if they are there already.
        @raise ValueError: there is no room for so many.
        """
        if count > self._messages:
            raise ValueError(
                f"count {count} is not usable: expected at most {self._messages}, no more messages are kept"
            )

        def cancelled(deferred: Deferred[list[Entry]]) -> None:
            self._waiting = [waiting for waiting in self._waiting if waiting.deferred is not deferred]

        wanted = _wanted(recipient, sender, subject, id, after)
        waiting = _Waiting(Deferred(cancelled), wanted, count, 0)
        self._waiting.append(waiting)
        self._look(waiting)
        return waiting.deferred

    def delete(self, number: int | None = None) -> int:
        """
        Forget a message, or all of them.

        @return: how many that were.
        """
        numbers = list(self._entries) if number is None else [number] if number in self._entries else []
        for each in numbers:
            self._forget(each)
        if number is None:
            self.displaced = 0
        return len(numbers)

    def displace(self, number: int) -> None:
        """
        Give up all up to one, as if others had come in their place.

        @param number: of the last one that goes.
        """
        for each in [each for each in self._entries if each <= number]:
            self._forget(each)
            self.displaced += 1

    def _forget(self, number: int) -> None:
        self._octets -= self._entries.pop(number).cost

    def _tell(self, new: Entry) -> None:
        for waiting in list(self._waiting):
            if waiting.wanted(new):
                waiting.missing -= 1
                if waiting.missing <= 0:
                    self._look(waiting)

    def _look(self, waiting: _Waiting) -> None:
        """
        See what is there for somebody.
        """
        found = list(filter(waiting.wanted, self._entries.values()))
        waiting.missing = waiting.count - len(found)
        if waiting.missing <= 0 and waiting in self._waiting:
            self._waiting.remove(waiting)
            waiting.deferred.callback(found)


@lru_cache(256)
def _glob(text: str) -> Callable[[str], object]:
    exactly, matches = text.casefold(), re.compile(translate(text), re.IGNORECASE).match
    return lambda value: matches(value) or value.casefold() == exactly


def _wanted(
    recipient: str | None, sender: str | None, subject: str | None, id: str | None, after: int | None
) -> _Wanted:
    """
    @see: L{Memory.find}
    """
    tests: list[Callable[[Entry], object]] = []
    if after is not None:
        tests.append(lambda entry: entry.number > after)
    if recipient is not None:
        isRecipient = _glob(recipient)
        tests.append(lambda entry: any(map(isRecipient, entry.recipients)))
    if sender is not None:
        isSender = _glob(sender)
        tests.append(lambda entry: isSender(entry.sender))
    if subject is not None:
        isSubject = _glob(subject)
        tests.append(lambda entry: isSubject(entry.subject))
    if id is not None:
        isId = _glob(id.strip().removeprefix("<").removesuffix(">"))
        tests.append(lambda entry: isId(entry.messageId))
    return lambda entry: all(test(entry) for test in tests)
