"""
How it is looked at what is watched.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Gone(LookupError):
    """
    It is not there, and will not be again. The text is one line.
    """


class Look(Protocol):
    """
    What looks at one thing, again and again; it may take its time.

    @ivar name: the thing's.
    """

    name: str

    def look(self) -> dict[str, float]:
        """
        @return: what there is to see, by the names of figures: see L{namesOf}.
        @raise Gone: it is not there any more.
        @raise OSError: it can't be seen.
        @raise ValueError: it is not what it should be.
        """


def namesOf(name: str, figures: Iterable[str]) -> list[str]:
    """
    What the figures of a thing are called.

    @param name: the thing's.
    @param figures: what there may be to see of it; nothing, if it is one figure that is called as the thing is.
    """
    return [f"{name} {figure}" for figure in figures] or [name]


class Rate:
    """
    How much a number grows in a second.
    """

    def __init__(self) -> None:
        self._before: tuple[float, float] | None = None

    def of(self, now: float, number: float) -> float | None:
        """
        @param now: seconds on a clock that never goes back.
        @return: C{None} if it is not known yet, or the number began anew.
        """
        before, self._before = self._before, (now, number)
        if before is None or number < before[1] or now <= before[0]:
            return None
        return (number - before[1]) / (now - before[0])
