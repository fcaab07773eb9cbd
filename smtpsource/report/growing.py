"""
A file that is written while a run goes on, so that others can follow it, and most of it is there whatever comes.

A thread writes it: a disk may take its time. What it does not take is made up for at the end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, Protocol

from smtpsource.process.places import Place
from smtpsource.process.streams import Patience
from smtpsource.report.files import awaitDisk, complete, newFile, problemIn, unwritten, writeWhole

if TYPE_CHECKING:
    from smtpsource.measure.frame import Frame

#: How many bytes wait for the disk. If it takes nothing for longer, the rest is written in the end.
ROOM = 16 * 1024 * 1024


class Measured(Protocol):
    """
    What is asked of a run: a L{smtpsource.load.service.SourceService}.
    """

    @property
    def warmUp(self) -> float: ...

    def onFrame(self, listener: Callable[[Frame], None]) -> None: ...


class GrowingFile:
    """
    The file of one run. There is none before there is something to write; then it takes the place of an older one.
    """

    def __init__(self, path: str) -> None:
        """
        @param path: an absolute file name.
        """
        self._path = path
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._ended = Event()
        self._isFull = False
        # Of the thread: what is not as it should be, as people are told of it; and what they were told.
        self._problem: str | None = None
        self._told: str | None = None
        # How many bytes it was given, and how many the thread has written, in the file that is open.
        self._given = self._done = 0
        self._descriptor: int | None = None

    def follow(self, run: Measured, textOf: Callable[[Frame], str], tell: Callable[[str], None]) -> None:
        """
        Write what is to be said of each second that is measured; of a warm-up, nothing.

        @param tell: called with a line that people should know of.
        """

        def second(frame: Frame) -> None:
            if frame.epoch or not run.warmUp:
                self.add(textOf(frame))
            if (problem := self._problem) is not None and problem != self._told:
                self._told = problem
                tell(problem)

        run.onFrame(second)

    def add(self, text: str) -> None:
        """
        Here are more lines. It does not wait for the disk.
        """
        data = text.encode("utf-8", "backslashreplace")
        self._isFull |= self._given - self._done + len(data) > ROOM
        if self._isFull or not data:
            return
        if self._thread is None:
            self._thread = Thread(target=self._work, daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # there can't be one more
                self._isFull = True
                self._ended.set()
                return
        self._given += len(data)
        self._queue.put(data)

    def finish(self, texts: Iterable[str], patience: Patience | None = None) -> None:
        """
        See that it is what it should be in the end.

        @param texts: all of it.
        @param patience: how long to wait for a disk that takes nothing.
        @raise OSError: it can't be written.
        """
        patience = patience or Patience()
        if self._thread is not None:
            self._queue.put(None)
            awaitDisk(self._ended, lambda: self._done, patience)
        descriptor, self._descriptor, self._thread = self._descriptor, None, None
        if descriptor is None:
            writeWhole(self._path, texts, patience)
            return
        try:
            complete(descriptor, self._path, texts)
        finally:
            os.close(descriptor)

    # In the thread

    def _work(self) -> None:
        rest = b""
        try:
            while (piece := self._queue.get()) is not None:
                rest += piece
                try:
                    self._write(rest)
                except OSError as e:  # there may be room again in the next second
                    self._problem = unwritten(self._path, problemIn(e))
                else:
                    self._done += len(rest)
                    rest = b""
        finally:
            self._ended.set()

    def _write(self, data: bytes) -> None:
        """
        Write all of it, or nothing.
        """
        if self._descriptor is None:
            with Place(self._path) as place:
                self._descriptor = newFile(place, (data,))
            return
        if not os.fstat(self._descriptor).st_nlink:
            self._problem = f"somebody has removed {self._path}: it is written anew at the end of the run"
            self._isFull = True
            return
        try:
            with open(self._descriptor, "ab", closefd=False) as file:
                file.write(data)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._done)
            raise
