"""
Which way, and when: the addresses of a destination, whose turn it is to connect, and how long to wait for another try.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from random import uniform

from smtpsource.net.destination import Address


def retryDelay(failures: int) -> float:
    """
    How many seconds to wait before another attempt: about 0.1 at first, growing up to 10, with some jitter.

    @param failures: how many attempts have failed before the last.
    """
    from twisted.application.internet import backoffPolicy  # 20 ms, for those who need it

    delay: float = backoffPolicy(initialDelay=0.1, maxDelay=10.0)(failures)
    return delay


def sessionDelay(failures: int) -> float:
    """
    How many seconds a session waits that could not connect, before it takes another message: at least 0.05 at first,
    then twice as long each time, up to 2; with jitter, so that not all of them come at once.

    @param failures: how many connections could not be had before this one, since it has had one.
    """
    longest = min(2.0, 0.1 * 2 ** min(failures, 10))
    return uniform(longest / 2, longest)


class ConnectQueue:
    """
    Lets a number of sessions connect at once and the others wait, first come first served.
    """

    def __init__(self, parallel: int) -> None:
        """
        @param parallel: how many may connect at the same time.
        """
        self._free = parallel
        # Very many may wait, and any of them may want no more.
        self._waiting: OrderedDict[Callable[[], None], None] = OrderedDict()

    def enter(self, connect: Callable[[], None]) -> None:
        """
        Call C{connect} as soon as there is room, maybe now. Every call of it is to be followed by one of L{leave}.
        """
        if self._free:
            self._free -= 1
            connect()
        else:
            self._waiting[connect] = None

    def withdraw(self, connect: Callable[[], None]) -> bool:
        """
        Wait no longer.

        @return: was it still waiting?
        """
        waiting = connect in self._waiting
        self._waiting.pop(connect, None)
        return waiting

    def leave(self) -> None:
        """
        One that was let in has connected, or given up.
        """
        if self._waiting:
            connect, _ = self._waiting.popitem(last=False)
            connect()
        else:
            self._free += 1


class Target:
    """
    An address of a route, and how often it was used.

    @ivar opened: connections to it that were made.
    @ivar failed: attempts to connect to it that failed.
    @ivar accepted: messages that were accepted on those of its connections that are over.
    """

    __slots__ = ("accepted", "address", "failed", "opened")

    def __init__(self, address: Address) -> None:
        self.address = address
        self.forget()

    def forget(self) -> None:
        """
        Count from now on.
        """
        self.opened = self.failed = self.accepted = 0


class _Turn:
    """
    Targets that are tried one after the other, and which of them comes first.
    """

    def __init__(self, targets: Sequence[Target]) -> None:
        self.targets = tuple(targets)
        self.first = 0

    def inOrder(self) -> tuple[Target, ...]:
        return self.targets[self.first :] + self.targets[: self.first]


class Route:
    """
    The addresses of a destination, shared by all who connect to it. The one that answered last is tried first; or,
    where the load is spread, all of them are first in turn.

    @ivar known: whatever was an address of it, in the order in which they came to be: also those that are gone, because
        what was counted of them stays counted.
    """

    def __init__(self, addresses: Sequence[Address], spread: bool = False, start: int = 0) -> None:
        """
        @param addresses: at least one.
        @param spread: every attempt to connect is to the address whose turn it is, among those of the best preference.
            So those that answer get connections evenly, whatever becomes of the others: a connection that has tried one
            in vain takes the next turn, too. Addresses of lesser preference are for connections that have tried all
            before them (RFC 5321 section 5.1).
        @param start: whose turn is first where the load is spread, from 0: other processes begin with others.
        """
        self._spread = spread
        self.known: dict[Address, Target] = {}
        self._turns: list[_Turn] = []
        self.change(addresses)
        if spread:
            for turn in self._turns:
                turn.first = start % len(turn.targets)

    def change(self, addresses: Sequence[Address]) -> None:
        """
        These are the addresses from now on. Whose turn it is stays, and so does the address that answered last, as far
        as they are among them.

        @param addresses: at least one.
        """
        for address in addresses:
            self.known.setdefault(address, Target(address))
        groups: dict[int, list[Target]] = {}
        for address in addresses:
            preference = getattr(address, "preference", 0) if self._spread else 0
            groups.setdefault(preference, []).append(self.known[address])
        before = [target for turn in self._turns for target in turn.inOrder()]
        self._turns = [self._turn(targets, before) for _, targets in sorted(groups.items())]

    def _turn(self, targets: Sequence[Target], before: Sequence[Target]) -> _Turn:
        targets = list(dict.fromkeys(targets))
        if self._spread:
            # Name servers give addresses in another order each time: that must not decide whose turn it is.
            return _Turn([*(one for one in before if one in targets), *(one for one in targets if one not in before)])
        turn = _Turn(targets)
        if before and before[0] in targets:
            turn.first = targets.index(before[0])
        return turn

    def next(self, tried: Sequence[Target] = ()) -> Target | None:
        """
        The one to try now.

        @param tried: those that this connection has tried in vain.
        @return: C{None} if these are all.
        """
        if not tried and not self._spread:
            # The usual case: this is for each connection.
            turn = self._turns[0]
            return turn.targets[turn.first]
        for turn in self._turns:
            targets = turn.targets
            number = len(targets)
            for index in range(turn.first, turn.first + number):
                target = targets[index % number]
                if target not in tried:
                    if self._spread:
                        turn.first = (index + 1) % number
                    return target
        return None

    def answered(self, target: Target) -> None:
        """
        A connection was made.
        """
        if self._spread:
            return
        turn = self._turns[0]
        if target is not turn.targets[turn.first] and target in turn.targets:
            turn.first = turn.targets.index(target)
