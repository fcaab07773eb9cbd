"""
How much a worker can bring: it may be anybody's, and its parent must not grow without an end by what it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from smtpsource.measure.counters import COUNTERS
from smtpsource.measure.frame import Frame
from smtpsource.workers.wire import Kind

#: In so many seconds more than have passed, so many messages a second, so many of them frames.
_SLACK, _SAID, _FRAMES = 10, 1000, 2

#: Hints of one worker.
_HINTS = 100

#: Characters of all that is kept for a reply code, a kind of error, or a cipher; with what each costs by itself.
_KEPT, _EACH = 4 << 20, 100

#: No worker counts so many of anything in a second. The sums of many are still numbers of 64 bits.
_MOST = 1 << 40


class WorkerBounds:
    """
    What one worker has said so far. True ones never come near these bounds.
    """

    def __init__(self) -> None:
        self._messages = self._frames = self._hints = self._kept = 0
        self._known: set[tuple[Any, str]] = set()

    def check(self, kind: Kind, meaning: Any, passed: float) -> None:
        """
        It has said something.

        @param meaning: see L{understood<smtpsource.load.workerwords.understood>}.
        @param passed: seconds since the run began.
        @raise ValueError: that is too much; the text is one line.
        """
        seconds = _SLACK + max(0.0, passed)
        self._messages += 1
        _atMost(self._messages, seconds * _SAID, "messages")
        if isinstance(meaning, Frame):
            self._frames += 1
            _atMost(self._frames, seconds * _FRAMES, "frames")
            _atMost(meaning.at, seconds, "seconds")
            self._checkCounts(meaning)
            self._keep(meaning)
        elif kind is Kind.HINT:
            self._hints += 1
            _atMost(self._hints, _HINTS, "hints")

    def _checkCounts(self, frame: Frame) -> None:
        tallies = (count for of in (*frame.replies, frame.errors) for count, _ in of.values())
        buckets = (count for of in frame.buckets for count in of.values())
        counters = (getattr(frame.counters, name) for name in COUNTERS)
        _atMost(max(map(abs, chain(tallies, buckets, counters, frame.tls.values()))), _MOST, "of a kind")

    def _keep(self, frame: Frame) -> None:
        for key, text in _words(frame):
            if key not in self._known:
                self._known.add(key)
                self._kept += _EACH + len(key[1]) + len(text)
        _atMost(self._kept, _KEPT, "characters of replies and errors")


def _words(frame: Frame) -> Iterator[tuple[tuple[Any, str], str]]:
    """
    What is kept of a frame: keys, and their texts.
    """
    tables: Iterable[tuple[Any, Any]] = (*enumerate(frame.replies), ("errors", frame.errors))
    for name, tallies in tables:
        for key, (_, text) in tallies.items():
            yield (name, key), text
    for description in frame.tls:
        yield ("tls", description), ""


def _atMost(number: float, most: float, what: str) -> None:
    if number > most:
        raise ValueError(f"{number:g} {what}, where {most:g} are more than there can be")
