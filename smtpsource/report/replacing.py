"""
Replacing a file whole by what is made while nobody waits for its disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from queue import SimpleQueue
from threading import Event

from smtpsource.process.places import Place
from smtpsource.process.streams import Patience
from smtpsource.process.threads import startThread
from smtpsource.report.files import awaitDisk, problemIn, replaceFile


class _Given(Exception):
    """
    It is given up.
    """


class Replacing:
    """
    One new file in the place of an old one: a thread writes it beside that, and gives it its name when it is whole.
    """

    def __init__(self, path: str) -> None:
        """
        @param path: an absolute file name. What is there by then and no file is left as it is.
        @raise OSError: there can't be one more thread.
        """
        self._path = path
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._given = self._done = 0
        self._isWhole = self._isGivenUp = False
        self._problem: str | None = None
        self._ended = Event()
        startThread(self._work, "report")

    @property
    def waiting(self) -> int:
        """
        How many bytes wait for the disk.
        """
        return self._given - self._done

    @property
    def done(self) -> int:
        """
        How many it has taken.
        """
        return self._done

    @property
    def isAwaited(self) -> bool:
        """
        Is it the disk that has something to do?
        """
        return not self._ended.is_set() and (self._isWhole or self.waiting > 0)

    @property
    def isOver(self) -> bool:
        """
        Is it done, or has it failed?
        """
        return self._ended.is_set()

    @property
    def problem(self) -> str | None:
        """
        Why it has failed, as one line; C{None} if it has not.
        """
        return self._problem

    def add(self, piece: bytes) -> None:
        """
        Here is more of it.
        """
        if piece:
            self._given += len(piece)
            self._queue.put(piece)

    def end(self) -> None:
        """
        It is whole.
        """
        self._isWhole = True
        self._queue.put(None)

    def giveUp(self) -> None:
        """
        It is not wanted any more. If the disk has all of it, it may take its place all the same.
        """
        self._isGivenUp = True
        self._queue.put(None)

    def wait(self, patience: Patience) -> None:
        """
        Wait until the place is left alone.

        @param patience: how long to wait for a disk that takes nothing.
        @raise OSError: it was long enough.
        """
        awaitDisk(self._ended, lambda: self._done, patience)

    # In the thread

    def _work(self) -> None:
        try:
            with Place(self._path) as place:
                if place.isFile:
                    replaceFile(place, self._pieces())
        except _Given:
            pass
        except Exception as e:
            self._problem = problemIn(e)
        finally:
            self._ended.set()

    def _pieces(self) -> Iterator[bytes]:
        while (piece := self._queue.get()) is not None:
            if self._isGivenUp:
                break
            yield piece
            self._done += len(piece)
        if self._isGivenUp:
            raise _Given
