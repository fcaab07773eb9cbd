"""
Which of the messages that a connection has accepted may turn out not to be.
"""

from __future__ import annotations

from array import array
from sys import maxsize


class Doubts:
    """
    What is kept of the messages that are in doubt if replies are found to be out of step. The refusal of a content was
    taken then for the refusal of something that came after it. So it is one that was accepted right before one that was
    accepted in part; and the last one, as what came after it is not known. Where all are in doubt, all are kept.

    @ivar forgotten: of how many nothing is kept, as there were too many.
    """

    def __init__(self, width: int, most: int | None = None) -> None:
        """
        @param width: how many numbers are kept of each message.
        @param most: of so many at least there is room, and of twice as many at most; C{None}: of all.
        """
        self._width = width
        self._most = None if most is None else most * width
        self._kept = array("d")
        self.clear()

    def clear(self) -> None:
        """
        There is another connection.
        """
        del self._kept[:]
        # The last one that was accepted, if it is not kept; and how many were accepted in part.
        self._latest: tuple[float, ...] | None = None
        self._inPart = 0
        self.forgotten = 0

    def accepted(self, inDoubt: int, *numbers: float) -> None:
        """
        A message was accepted.

        @param inDoubt: how many would be in doubt if replies were found to be out of step now: what the protocol says.
        @param numbers: what is to be kept of it.
        """
        if inDoubt == maxsize:
            self._keep(numbers)
        elif inDoubt - 1 > self._inPart:
            self._inPart = inDoubt - 1
            if self._latest is None:
                self._keep(numbers)  # the protocol counts one for it, whatever was before it
                return
            self._keep(self._latest)
            self._latest = numbers
        elif inDoubt:
            self._latest = numbers

    def take(self, number: int) -> list[tuple[float, ...]]:
        """
        So many are in doubt now.

        @return: what was kept of these, or of as many of them as anything is kept of; in their order.
        """
        if self._latest is not None:
            self._keep(self._latest)
            self._latest = None
        kept, width = self._kept, self._width
        begin = max(0, len(kept) - number * width)
        found = [tuple(kept[place : place + width]) for place in range(begin, len(kept), width)]
        del kept[begin:]
        return found

    def _keep(self, numbers: tuple[float, ...]) -> None:
        kept = self._kept
        kept.extend(numbers)
        # Many are dropped at a time: each time what is left moves.
        if self._most is not None and len(kept) > 2 * self._most:
            self.forgotten += (len(kept) - self._most) // self._width
            del kept[: -self._most]
