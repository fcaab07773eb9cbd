"""
The marks of a run, as they are made while it goes on.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from smtpsource.measure.marks import Mark

#: The most events of one run, of which each server or worker that comes and goes again and again makes some.
MOST_EVENTS = 1000


class Marking:
    """
    Makes them.

    @ivar marks: all of them, in order.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """
        @param now: how many seconds of the run are measured so far.
        """
        self.marks: list[Mark] = []
        self._now = now
        self._events = 0

    def mark(self, text: str, kind: str) -> Mark:
        """
        Mark this moment.

        @param text: what it is, as one line.
        @param kind: one of L{smtpsource.measure.marks.KINDS}.
        """
        mark = Mark(self._now(), text, kind)
        self.marks.append(mark)
        return mark

    def event(self, text: str, earlier: float = 0.0) -> None:
        """
        Mark what has happened to the run itself: up to L{MOST_EVENTS} of that.

        @param earlier: so many seconds ago.
        """
        self._events += 1
        if self._events > MOST_EVENTS:
            return
        if self._events == MOST_EVENTS:
            text += "; no more events are marked"
        mark = Mark(self._now() - earlier, text, "event")
        insort(self.marks, mark, key=lambda each: each.at)

    def remark(self, mark: Mark, **more: Any) -> Mark:
        """
        More is known of a moment that was marked.

        @param more: fields of L{Mark}.
        @return: what stands in its place now.
        """
        place = next(place for place, each in enumerate(self.marks) if each is mark)
        self.marks[place] = replace(mark, **more)
        return self.marks[place]
