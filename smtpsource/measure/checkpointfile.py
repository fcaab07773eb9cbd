"""
Writing checkpoints: the files, and a thread that has the time to wait for their disk.
"""

from __future__ import annotations

import fcntl
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from threading import Condition, Event
from typing import Any

from smtpsource.measure.checkpoint import CheckpointError
from smtpsource.measure.checkpointlayout import END, FACTS, FRAME, HEADER, MARK, RECORDS, encoded, headerOf
from smtpsource.measure.frame import Frame, continued
from smtpsource.measure.marks import Mark
from smtpsource.process.places import Place
from smtpsource.process.threads import startThread
from smtpsource.process.unexpected import named

#: The most frames that wait for a disk; then neighbours become one.
LIMIT = 120

#: Seconds between two tries to write.
_AGAIN = 1.0

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class OccupiedError(CheckpointError):
    """
    That of another run is there.
    """

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path} is the checkpoint of another run: expected another directory, or that one removed "
            f"(smtpsource recover makes a report of it)"
        )


class CheckpointFile:
    """
    The checkpoint of a run that goes on. While it is open, L{Reader<smtpsource.measure.checkpoint.Reader>} knows that.

    @ivar path: the directory.
    """

    def __init__(self, path: str, header: Mapping[str, Any]) -> None:
        """
        @param path: absolute. It is made if there is none.
        @param header: see L{headerOf}.
        @raise OccupiedError: there is one already.
        @raise CheckpointError: it is in a place that a stranger has prepared: see L{smtpsource.process.places}.
        @raise OSError: it can't be made.
        """
        self.path = path
        self._isNew = not os.path.lexists(path)
        os.makedirs(path, mode=0o700, exist_ok=True)
        with Place(os.path.join(path, HEADER)) as place:
            if not self._isNew and os.fstat(place.directory).st_uid not in (os.geteuid(), 0):
                raise CheckpointError(f"{path} belongs to another user: expected another directory")
            if place.status is not None or _isThere(RECORDS, place.directory):
                raise OccupiedError(path)
            # To be kept, and for fsync(2).
            self._directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=place.directory)
        self._descriptor = -1
        try:
            try:
                self._descriptor = os.open(RECORDS, _NEW | os.O_APPEND, 0o600, dir_fd=self._directory)
            except FileExistsError:  # by another run that has begun at the same moment
                self.close()
                raise OccupiedError(path)
            with suppress(OSError):  # where there are no locks, nobody knows
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with open(os.open(HEADER, _NEW, 0o600, dir_fd=self._directory), "wb") as file:
                file.write(headerOf(header))
                file.flush()
                os.fsync(file.fileno())
            os.fsync(self._directory)
        except OSError:
            self.remove()
            raise

    def append(self, record: bytes) -> None:
        """
        Add a record.

        @raise OSError: it can't be written, and nothing of it is there.
        """
        end, written = os.fstat(self._descriptor).st_size, 0
        try:
            while written < len(record):
                written += os.write(self._descriptor, record[written:])
        except OSError:
            os.ftruncate(self._descriptor, end)
            raise

    def sync(self) -> None:
        """
        Have all of it on the disk.

        @raise CheckpointError: somebody has removed it: what is written is lost.
        """
        if not os.fstat(self._descriptor).st_nlink:
            raise CheckpointError(f"somebody has removed {self.path}")
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """
        Nothing more will come.
        """
        for descriptor in (self._descriptor, self._directory):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._directory = -1

    def remove(self) -> None:
        """
        There is no need for it any more. What can't be removed is left.
        """
        with suppress(OSError):
            for name in (HEADER, RECORDS):
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=self._directory)
            if self._isNew:
                os.rmdir(self.path)
        self.close()


def _isThere(name: str, directory: int) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


class Writer:
    """
    Writes a checkpoint in a thread of its own: nobody waits for it. What a disk does not take waits for that; when this
    is too much, several frames become one.

    @ivar problem: why it can't be written, as it was found last; C{None} if it can.
    @ivar hasFailed: it can't be, ever.
    @ivar file: what is written, once it is there.
    """

    def __init__(self, begin: Callable[[], CheckpointFile], asDocument: Callable[[Any], Mapping[str, Any]]) -> None:
        """
        @param begin: opens the file; called in the thread, again and again until there is one.
        @param asDocument: gives facts as JSON takes them; called there, too.
        @raise OSError: there can't be one more thread.
        """
        self.problem: str | None = None
        self.hasFailed = False
        self.file: CheckpointFile | None = None
        self._begin = begin
        self._asDocument = asDocument
        self._changed = Condition()
        self._frames: list[Frame] = []
        self._marks: dict[int, Mark] = {}
        self._facts: Any = None
        self._end: Mapping[str, Any] | None = None
        self._isOver = False
        self._ended = Event()
        # Of the thread: what was written of facts, and what is to be written next.
        self._known: dict[str, Any] = {}
        self._left: deque[bytes] = deque()
        startThread(self._run, "checkpoint")

    @property
    def waiting(self) -> int:
        """
        How many frames have to wait.
        """
        return len(self._frames)

    def put(self, frame: Frame, facts: Any, marks: Mapping[int, Mark]) -> None:
        """
        Write what has come of a second.

        @param facts: all that is known by now besides.
        @param marks: those that are new or have changed, by their places.
        """
        with self._changed:
            frames = self._frames
            if len(frames) >= LIMIT and frames[-1].epoch == frame.epoch:
                frames[-1] = continued((frames[-1], frame))
            else:
                frames.append(frame)
            self._facts = facts
            self._marks.update(marks)
            self._changed.notify()

    def finish(self, end: Mapping[str, Any] | None, marks: Mapping[int, Mark]) -> None:
        """
        Write this as well, which is the last of all.

        @param end: a report as JSON takes it, without what frames say; C{None} for none.
        @param marks: see L{put}.
        """
        with self._changed:
            self._marks.update(marks)
            self._end, self._isOver = end, True
            self._changed.notify()

    def wait(self, seconds: float) -> bool:
        """
        Wait until all is written, but no longer than that.

        @return: is it?
        """
        return self._ended.wait(seconds) and not self.hasFailed

    def _run(self) -> None:
        try:
            while not self._writeAll():
                pass
        except Exception as e:
            self.problem = str(e) if isinstance(e, CheckpointError) else ": ".join(named(e))
            self.hasFailed = True
        finally:
            self._ended.set()

    def _writeAll(self) -> bool:
        """
        Write what is there, or wait for something to write.

        @return: was it the last?
        """
        with self._changed:
            if self._left or self.problem is not None:
                self._changed.wait(_AGAIN)
            else:
                self._changed.wait_for(lambda: self._frames or self._isOver)
            taken = None if self._left else self._take()
            isLast = self._isOver and not self._frames and self._end is None
        if taken is not None:
            self._left.extend(self._records(*taken))
        try:
            self.file = self.file or self._begin()
            while self._left:
                self.file.append(self._left[0])
                self._left.popleft()
            self.file.sync()
        except OSError as e:
            self.problem = e.strerror or str(e)
            return False
        self.problem = None
        return isLast

    def _take(self) -> tuple[list[Frame], dict[int, Mark], Any, Mapping[str, Any] | None]:
        taken = self._frames, self._marks, self._facts, self._end
        self._frames, self._marks, self._facts, self._end = [], {}, None, None
        return taken

    def _records(
        self, frames: list[Frame], marks: dict[int, Mark], facts: Any, end: Mapping[str, Any] | None
    ) -> Iterator[bytes]:
        known = {} if facts is None else self._asDocument(facts)
        changed = {name: value for name, value in known.items() if self._known.get(name, self) != value}
        self._known.update(changed)
        before = encoded(FACTS, changed) if changed else b""
        for frame in frames:
            # With its facts, or not at all: they fit together.
            yield before + encoded(FRAME, frame)
            before = b""
        for mark in marks.items():
            yield encoded(MARK, mark)
        if end is not None:
            yield encoded(END, end)
