"""
Which of all things that have numbers are one worker's: every so-manieth.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """
    The part of a run that one of its workers does. Of what is numbered from 0, it is each number that leaves C{index}
    when it is divided by C{count}: so all shares together are the whole, and each is as even as can be.

    @ivar index: which worker, from 0.
    @ivar count: how many there are.
    """

    index: int = 0
    count: int = 1

    def of(self, total: int) -> int:
        """
        How many of so many are in it. What has no limit has none here.
        """
        return max(0, (total - self.index + self.count - 1) // self.count)

    def number(self, place: int) -> int:
        """
        Which one of the whole is the one at this place of it, both from 0.
        """
        return self.index + place * self.count


#: A run of one process.
WHOLE = Share()
