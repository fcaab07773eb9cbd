"""
The report of a run while that goes on: once a minute it is written anew, so that there is one whatever comes.

Nothing of it holds up the run: it is made a piece in each turn of the reactor, and a thread writes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from smtpsource.measure.summing import soFar
from smtpsource.report.allowance import SHARE, Allowance
from smtpsource.report.checkpoint import LONG, TOO_MANY
from smtpsource.report.files import problemIn, unwritten, writeWhole
from smtpsource.report.pieces import reportPieces
from smtpsource.report.replacing import Replacing

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall

    from smtpsource.measure.frame import Frame
    from smtpsource.measure.summary import Summary
    from smtpsource.process.streams import Patience

#: How many bytes wait for the disk before there are more.
ROOM = 1024 * 1024

#: Seconds between two looks, then, whether it has taken some.
_INTERVAL = 0.05

#: A frame comes a second after the one before, or a little less.
_EARLY = 0.5


class Renewable(Protocol):
    """
    What is asked of a run: a L{smtpsource.load.service.SourceService}.
    """

    @property
    def warmUp(self) -> float: ...

    def onFrame(self, listener: Callable[[Frame], None]) -> None: ...

    def summaryNow(self) -> Summary: ...

    def whenDone(self) -> Deferred[Any]: ...


class RenewedReport:
    """
    The file of one run. If that is over within a minute, nothing is written before; nor in a warm-up, of which there is
    nothing to tell.
    """

    def __init__(
        self,
        reactor: Any,
        run: Renewable,
        path: str,
        tell: Callable[[str], None],
        *,
        period: float = LONG,
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        """
        @param reactor: provides C{IReactorTime}.
        @param path: an absolute file name.
        @param tell: called with each line that people should know of.
        @param period: it is written anew after so many seconds; later, where making it takes too much of them.
        @param clock: for the seconds that it takes.
        """
        self._reactor = reactor
        self._run = run
        self._path = path
        self._tell = tell
        self._period = period
        self._allowance = Allowance(reactor.seconds, SHARE, clock, interval=period - _EARLY)
        # How long the run has gone on, and how long the disk has taken nothing: in seconds, and in frames.
        self._seconds = 0.0
        self._still = self._before = 0
        self._replacing: Replacing | None = None
        self._call: IDelayedCall | None = None
        self._isTold = False

    def start(self) -> None:
        """
        Begin to listen.
        """
        self._run.onFrame(self._frame)
        self._run.whenDone().addCallback(self._over)

    def finish(self, texts: Iterable[str], patience: Patience) -> None:
        """
        Write what it is in the end, whatever is under way.

        @param texts: all of it.
        @param patience: how long to wait for a disk that takes nothing.
        @raise OSError: it can't be written.
        """
        self._stop()
        if self._replacing is not None:
            self._replacing.wait(patience)
        writeWhole(self._path, texts, patience)

    def _frame(self, frame: Frame) -> None:
        self._seconds += frame.seconds
        if self._replacing is not None:
            self._look(self._replacing)
        isMeasured = frame.epoch or not self._run.warmUp
        isIdle = self._replacing is None and self._call is None
        if isIdle and isMeasured and self._seconds > self._period and self._allowance.isDue:
            self._allowance.begin()
            # This turn has had enough to do.
            self._call = self._reactor.callLater(0, self._begin)

    def _begin(self) -> None:
        self._call = None
        try:
            with self._allowance.spend():
                pieces = reportPieces(soFar(self._run.summaryNow()))
        except Exception as e:
            self._complain(problemIn(e))
            return
        # The summary alone takes a millisecond or two.
        self._call = self._reactor.callLater(0, self._open, pieces)

    def _open(self, pieces: Iterator[bytes]) -> None:
        self._call = None
        try:
            self._replacing = Replacing(self._path)
        except OSError as e:
            self._complain(problemIn(e))
            return
        self._still = self._before = 0
        self._goOn(self._replacing, pieces)

    def _goOn(self, replacing: Replacing, pieces: Iterator[bytes]) -> None:
        """
        Make another piece in the next turn, or when there is room for it.
        """
        delay = 0.0 if replacing.waiting < ROOM else _INTERVAL
        self._call = self._reactor.callLater(delay, self._make, replacing, pieces)

    def _make(self, replacing: Replacing, pieces: Iterator[bytes]) -> None:
        self._call = None
        if replacing.isOver:
            return  # it has failed
        if replacing.waiting < ROOM:
            try:
                with self._allowance.spend():
                    piece = next(pieces, None)
            except Exception as e:
                # The run has no part in it.
                replacing.giveUp()
                self._complain(problemIn(e))
                return
            if piece is None:
                replacing.end()
                return
            replacing.add(piece)
        self._goOn(replacing, pieces)

    def _look(self, replacing: Replacing) -> None:
        """
        How has the disk come along?
        """
        if replacing.isOver:
            self._replacing = None
            if replacing.problem is not None:
                self._complain(replacing.problem)
            return
        isStill = replacing.isAwaited and replacing.done == self._before
        self._still, self._before = self._still + 1 if isStill else 0, replacing.done
        if self._still > TOO_MANY:
            self._complain("its disk takes nothing")

    def _complain(self, problem: str) -> None:
        if not self._isTold:
            self._isTold = True
            self._tell(unwritten(f"the report {self._path}", problem))

    def _over(self, summary: Any) -> Any:
        self._stop()
        return summary

    def _stop(self) -> None:
        """
        Write no more of what is under way.
        """
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._replacing is not None:
            self._replacing.giveUp()
