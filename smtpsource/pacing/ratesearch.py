"""
The search for the highest rate that keeps a promise: up in steps, then closer and closer, then a confirmation.
"""

from __future__ import annotations

#: By how much the rate grows from step to step, until a step fails; and falls, until the first one passes.
FACTOR = 2.0

#: The search is over when the lowest rate that failed is this much higher than the highest that passed.
CLOSE = 1.05

#: The parts of the rate that was found which are tried again at the end.
CONFIRMED = (0.8, 1.0, 1.2)

#: How often the search goes on when even the highest of these keeps the promise.
AGAIN = 2

#: A rate so low is no rate: the search gives up. Messages per second.
LOWEST = 0.1

#: No server takes more.
HIGHEST = 1e6

#: The part of the messages asked for that a step must start, or its rate was not reached.
REACHED = 0.99


class RateSearch:
    """
    Says which rate to try next, until it knows.

    @ivar rate: to be tried now, in messages per second; C{None}: the search is over.
    @ivar purpose: as in L{Step}.
    @ivar best: the highest that has passed; C{None} if none has.
    """

    def __init__(self, first: float) -> None:
        """
        @param first: the rate to try first.
        """
        self.rate: float | None = first
        self.purpose = "climb"
        self.best: float | None = None
        self._failed: float | None = None
        self._toConfirm: list[float] = []
        self._confirmed: list[bool] = []
        self._again = AGAIN

    def tried(self, passed: bool) -> None:
        """
        The rate was tried; find the next one.
        """
        assert self.rate is not None
        if self.purpose == "confirm":
            self._confirmed.append(passed)
            if self._toConfirm:
                self.rate = self._toConfirm.pop(0)
            elif self._again and all(self._confirmed[1:]) and self.rate * FACTOR <= HIGHEST:
                # There is more to it than the search has found.
                self._again -= 1
                self.purpose = "climb"
                self.best, self._failed = self.rate, None
                self.rate *= FACTOR
            else:
                self.rate = None
            return
        if passed:
            self.best = self.rate
        else:
            self._failed = self.rate
        if self.best is None:
            assert self._failed is not None
            self.rate = self._failed / FACTOR if self._failed / FACTOR >= LOWEST else None
        elif self._failed is None and self.best * FACTOR <= HIGHEST:
            self.rate = self.best * FACTOR
        elif self._failed is not None and self._failed / self.best > CLOSE:
            self.purpose = "bisect"
            self.rate = (self.best + self._failed) / 2
        else:
            self.purpose = "confirm"
            self._confirmed = []
            self._toConfirm = [part * self.best for part in CONFIRMED]
            self.rate = self._toConfirm.pop(0)
