"""
What is made for whoever asks, and kept for all who ask soon after: however often they do, making it takes little time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from smtpsource.report.allowance import Allowance


class Kept:
    """
    Something in pieces.
    """

    def __init__(self, make: Callable[[], Iterator[bytes]], allowance: Allowance) -> None:
        """
        @param make: gives the pieces.
        @param allowance: the time for that.
        """
        self._make = make
        self._allowance = allowance
        self._latest: _Copy | None = None

    def pieces(self) -> Iterator[bytes]:
        """
        The pieces: of what is kept, or made anew if that may be.
        """
        if self._latest is None or self._latest.isBroken or self._allowance.isDue:
            self._allowance.begin()
            self._latest = None
            with self._allowance.spend():
                self._latest = _Copy(self._make())
        return self._latest.read(self._allowance)

    def dropOld(self) -> None:
        """
        Keep nothing that nobody would be given any more: a report of a long run is large.
        """
        if self._allowance.isDue:
            self._latest = None

    def drop(self) -> None:
        """
        Something has happened that everybody is to know.
        """
        self._latest = None


class _Copy:
    """
    What is made once: each piece when the first one comes to it.

    @ivar isBroken: could it not be made to its end?
    """

    isBroken = False

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source = source
        self._made: list[bytes] = []

    def read(self, allowance: Allowance) -> Iterator[bytes]:
        """
        All of it, from the beginning.
        """
        place = 0
        while True:
            if place == len(self._made):
                try:
                    with allowance.spend():
                        piece = next(self._source, None)
                except BaseException:
                    self.isBroken = True
                    raise
                if piece is None:
                    return
                self._made.append(piece)
            yield self._made[place]
            place += 1
