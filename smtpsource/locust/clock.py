"""
The clock of another machine, by asking it what time it is.
"""

from __future__ import annotations


class RemoteClock:
    """
    By how much a steady clock elsewhere is ahead of ours: known to half of the time of the fastest question and answer.
    Nobody's wall clock has a part in it.

    @ivar precision: so many seconds the answer may be wrong by; C{None} as long as there is none.
    """

    precision: float | None = None
    _ahead = 0.0

    def answered(self, asked: float, theirs: float, now: float) -> None:
        """
        There is an answer.

        @param asked: when it was asked for, by our clock.
        @param theirs: what it says.
        @param now: our clock.
        """
        precision = (now - asked) / 2
        if self.precision is None or precision < self.precision:
            self.precision = precision
            self._ahead = theirs - (asked + now) / 2

    def here(self, theirs: float) -> float:
        """
        A time of theirs, by our clock.
        """
        return theirs - self._ahead
