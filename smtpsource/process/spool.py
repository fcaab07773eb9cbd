"""
Lines into a file that is written to while a run goes on, by a thread: a disk may take its time, and so may a reader.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from smtpsource.process.streams import Patience
from smtpsource.process.targets import INTERVAL, Target
from smtpsource.process.threads import inThread
from smtpsource.process.unexpected import named

if TYPE_CHECKING:
    from smtpsource.interfaces import IReactor

#: How many bytes wait for the disk, or for a reader. There is no more room for lines then.
ROOM = 16 * 1024 * 1024

#: So many bytes are given to the thread at once; fewer, if these have waited for so many seconds.
_PIECE, _PATIENCE = 65536, 0.1

#: Seconds between two looks at what is left, at the end.
_LOOK = 0.02

#: In so many seconds the thread looks whether it is to stop, if it does not wait for a disk.
_STOPPED_WITHIN = 10 * INTERVAL


class Spool:
    """
    Takes lines at any time, and never waits. What there is no room for, and what can't be written, is dropped and
    counted.
    """

    def __init__(
        self, reactor: IReactor, open: Callable[[], Target], tell: Callable[[str], None] = lambda problem: None
    ) -> None:
        """
        @param open: where to write.
        @param tell: called with the problem, the first time that one is known of while there are lines.
        """
        self._reactor = reactor
        self._tell: Callable[[str], None] | None = tell
        self._queue: SimpleQueue[tuple[bytes, int] | None] = SimpleQueue()
        self._batch: list[bytes] = []
        self._size = 0
        self._timer: IDelayedCall | None = None
        # Bytes and lines that the thread was given; those that it has seen to, and how many of these it has lost.
        self._given = self._givenLines = self._dropped = 0
        self._done = self._doneLines = self._lost = 0
        self._final: tuple[int, int] | None = None
        self._problem: str | None = None
        self._target: Target | None = None
        self._isOver = self._isRemoved = False
        try:
            self._target = open()
        except OSError as e:
            self._problem = e.strerror or str(e)
        self._ended: Deferred[None] = inThread(reactor, self._work)
        self._ended.addErrback(self._broken)

    @property
    def lines(self) -> int:
        """
        How many lines are written, so far.
        """
        return self._doneLines - self._lost if self._final is None else self._final[0]

    @property
    def dropped(self) -> int:
        """
        How many lines were dropped, so far.
        """
        return self._dropped + self._lost if self._final is None else self._final[1]

    @property
    def waiting(self) -> int:
        """
        How many lines are neither, so far.
        """
        return 0 if self._final else len(self._batch) + self._givenLines - self._doneLines

    @property
    def problem(self) -> str | None:
        """
        Why lines were dropped, as one line; C{None} if it is known of none.
        """
        if self._isRemoved and self._target is not None:
            return self._target.problem
        if self._problem is None and self._target is not None and self._target.problem is not None:
            return self._target.problem
        return self._problem or ("there was no room for them in time" if self._dropped else None)

    def add(self, line: bytes) -> None:
        """
        Here is another line, with its end.
        """
        size = self._size + len(line)
        if self._isOver or self._given - self._done + size > ROOM:
            self._dropped += 1
            return
        self._batch.append(line)
        self._size = size
        if size >= _PIECE:
            self._flush()
        elif self._timer is None:
            self._timer = self._reactor.callLater(_PATIENCE, self._timeOut)

    def finish(self, patience: Patience, most: float) -> Deferred[None]:
        """
        No more lines come: have those written that wait.

        @param patience: how long a reader, or a disk, is waited for that takes nothing.
        @param most: seconds after which nobody is waited for any longer.
        @return: fires when that is done, or it was long enough; then it is known how many there are.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._flush()
        self._isOver = True
        self._queue.put(None)
        over: Deferred[None] = Deferred()
        until = self._reactor.seconds() + most
        self._look(over, patience, until, self._done)
        return over

    def _look(self, over: Deferred[None], patience: Patience, until: float, before: int) -> None:
        done, now = self._done, self._reactor.seconds()
        if done != before:
            patience.renew()
        isStopped = self._target is None or self._target.stopping.is_set()
        if self._ended.called or (isStopped and now >= until):
            # A disk that takes its time may go on with what it has: nobody counts that any more.
            left = self._givenLines - self._doneLines
            self._final = self.lines, self.dropped + left
            over.callback(None)
            return
        if not isStopped and (patience.over or now >= until):
            assert self._target is not None
            self._problem = self._problem or "they were not taken in time"
            self._target.stopping.set()
            until = now + _STOPPED_WITHIN
        self._reactor.callLater(_LOOK, self._look, over, patience, until, done)

    def _timeOut(self) -> None:
        self._timer = None
        self._flush()

    def _flush(self) -> None:
        if self._batch and not self._isOver:
            self._given += self._size
            self._givenLines += len(self._batch)
            self._queue.put((b"".join(self._batch), len(self._batch)))
            self._batch, self._size = [], 0
        self._tellProblem()

    def _tellProblem(self) -> None:
        if self._tell is not None and (problem := self.problem) is not None:
            tell, self._tell = self._tell, None
            tell(problem)

    # In the thread

    def _work(self) -> None:
        target = self._target
        while (piece := self._queue.get()) is not None:
            data, lines = piece
            if target is None or self._isRemoved or target.stopping.is_set():
                self._lost += lines
            else:
                self._lost += lines - target.write(data)
            self._doneLines += lines
            self._done += len(data)
            self._see()
        self._see()
        if target is not None:
            target.close()

    def _see(self) -> None:
        """
        Is what was written still there? If not, no line is: nor does any follow.
        """
        if self._target is not None and (self._isRemoved or not self._target.isKept()):
            self._lost = self._doneLines
            self._isRemoved = True

    def _broken(self, reason: Failure) -> None:
        """
        There is no thread, or it is no more.
        """
        self._problem = self._problem or named(reason.value)[1]
        self._isOver = True
        self._dropped += len(self._batch)
        self._batch = []
        self._tellProblem()
