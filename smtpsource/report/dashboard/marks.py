"""
The marks of a run, as those know them who look at it: only what is another is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import is_

from smtpsource.measure.marks import Mark
from smtpsource.report.dashboard.history import asJSON
from smtpsource.report.html.data import markOf

#: So many of them go into one event.
AT_ONCE = 500


class Marks:
    """
    What was told of them. What a command has written is none of it: no chart shows that.
    """

    def __init__(self) -> None:
        self._known: list[Mark] = []
        self._texts: list[bytes] = []

    def renew(self, marks: Sequence[Mark]) -> Iterator[bytes]:
        """
        Take what they are by now. Where nothing has changed this takes some microseconds, however many they are.

        @return: what is another than before, as L{pieces} has it.
        """
        known = self._known
        if len(known) == len(marks) and all(map(is_, known, marks)):
            return iter(())
        texts = [
            text if old is new else _written(new) for old, new, text in zip(known, marks, self._texts, strict=False)
        ]
        same = zip(texts, self._texts, strict=False)
        first = next((place for place, (new, old) in enumerate(same) if new != old), len(texts))
        self._known = list(marks)
        self._texts = texts + [_written(mark) for mark in marks[len(texts) :]]
        return self.pieces(first)

    def pieces(self, first: int = 0) -> Iterator[bytes]:
        """
        Those from one on, as JSON: the place of the first, and what they are from there on.
        """
        for start in range(first, len(self._texts), AT_ONCE):
            yield b'{"from":%d,"marks":[%s]}' % (start, b",".join(self._texts[start : start + AT_ONCE]))


def _written(mark: Mark) -> bytes:
    return asJSON(markOf(vars(mark)))
