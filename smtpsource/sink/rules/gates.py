"""
How often a rule applies to those whom it is about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from smtpsource.sink.rules.facts import Facts, Step
from smtpsource.sink.rules.remembered import Remembered

#: What shares a count.
Key = Callable[[Step, Facts], str]


class Gate(Protocol):
    """
    Asked whenever all else of a rule applies.
    """

    def opens(self, step: Step, facts: Facts, now: float) -> bool:
        """
        @param now: seconds of a clock that never steps.
        @return: whether the rule applies this time.
        """


class Times:
    """
    The first few for each key.

    @ivar memory: how often each has come.
    """

    def __init__(self, times: int, key: Key) -> None:
        self._times = times
        self._key = key
        self.memory: Remembered[Any] = Remembered()

    def opens(self, step: Step, facts: Facts, now: float) -> bool:
        """
        See L{Gate.opens}.
        """
        return self.memory.next(self._key(step, facts)) <= self._times


class Every:
    """
    One in so many for each key: the tenth, the twentieth.

    @ivar memory: how often each has come.
    """

    def __init__(self, every: int, key: Key) -> None:
        self._every = every
        self._key = key
        self.memory: Remembered[Any] = Remembered()

    def opens(self, step: Step, facts: Facts, now: float) -> bool:
        """
        See L{Gate.opens}.
        """
        return self.memory.next(self._key(step, facts)) % self._every == 0


class Limit:
    """
    Those that find no token in the bucket of their key. Tokens come steadily; a bucket that nobody has used is full.

    In any second, no more than rate + burst pass. And no less than rate - burst do, as long as nobody wants to pass for
    C{burst / rate} seconds at most; in longer gaps a full bucket spills. With the burst of its own, a hundredth of a
    second's tokens, that is 10 ms. So 200/s is 200 with an error of 2 for any overload at an even pace, in bursts that
    are no further apart than that, and at random (Poisson) from five times the rate on. At random and only twice the
    rate, gaps spill some 6 per cent.

    @ivar memory: when a token of each would come if they came one by one, each as soon as the one before is used.
    """

    def __init__(self, rate: float, burst: int | None, key: Key) -> None:
        """
        @param rate: tokens a second.
        @param burst: how many a bucket holds; C{None} for a hundredth of a second's rate, and 1 at least.
        """
        self._interval = 1 / rate
        # Whoever finds the next token due no later than this has one in the bucket.
        self._early = ((max(1.0, rate / 100) if burst is None else burst) - 1) * self._interval
        self._key = key
        self.memory: Remembered[Any] = Remembered()

    def opens(self, step: Step, facts: Facts, now: float) -> bool:
        """
        See L{Gate.opens}.
        """
        key = self._key(step, facts)
        due = self.memory.get(key, now)
        # Sums of intervals are rounded: who comes a nanosecond early is on time.
        if now + 1e-9 < due - self._early:
            return True
        self.memory.set(key, max(now, due) + self._interval)
        return False


class Connected:
    """
    How many connections are open: in all, and of each client.
    """

    def __init__(self) -> None:
        self.all = 0
        self.clients: Counter[str] = Counter()

    def of(self, client: str | None) -> int:
        """
        @param client: C{None} is all.
        @return: how many are open.
        """
        return self.all if client is None else self.clients[client]

    def opened(self, client: str) -> None:
        """
        One more.
        """
        self.all += 1
        self.clients[client] += 1

    def closed(self, client: str) -> None:
        """
        One less; nothing, if it was none.
        """
        if client in self.clients:
            self.all -= 1
            self.clients[client] -= 1
            if not self.clients[client]:
                del self.clients[client]


class Connections:
    """
    As long as more connections are open than these.

    @ivar connected: those that are.
    """

    def __init__(self, most: int, perClient: bool) -> None:
        self._most = most
        self._perClient = perClient
        self.connected = Connected()

    def opens(self, step: Step, facts: Facts, now: float) -> bool:
        """
        See L{Gate.opens}.
        """
        return self.connected.of(facts.client if self._perClient else None) > self._most
