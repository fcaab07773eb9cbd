"""
What arrives where the server delivers to: looked at while a run goes on, and waited for after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from smtpsource.ledger import records
from smtpsource.ledger.clocks import indexesOf
from smtpsource.ledger.judge import Judge
from smtpsource.ledger.listening import DEAF
from smtpsource.ledger.reading import LedgerError, LedgerFile
from smtpsource.measure.histogram import highestOf, lowestOf
from smtpsource.measure.judgement import Delivered, Judgement
from smtpsource.measure.progress import Awaited
from smtpsource.measure.recorder import Recorder
from smtpsource.phases import NAMES
from smtpsource.process.unexpected import named

#: Seconds between two looks at what the ledgers have.
LOOK = 0.25

# What a run says that was stopped.
_STOPPED = "the run was stopped"
_UNFINISHED = "the run was stopped before the server had delivered everything"
_UNHEARD = "nothing is missing, but the run was stopped before it was clear that nothing comes twice"


class Delivery:
    """
    Reads the ledgers of this run and of its sink as they grow, and judges them in the end.

    @ivar waiting: the load is over, and arrivals are waited for.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        run: int,
        recorder: Recorder,
        whenBroken: Callable[[BaseException], object],
    ) -> None:
        """
        @param run: the number of the run's id.
        @param recorder: is told how long deliveries took.
        @param whenBroken: told what was raised and was not expected.
        """
        self._reactor = reactor
        self._run = run
        self._recorder = recorder
        self._whenBroken = whenBroken
        self._judge = Judge(run)
        self._files: list[LedgerFile] = []
        self._call: IDelayedCall | None = None
        self._ended: Deferred[None] | None = None
        self._reasons: list[str] = []
        self._drained = self.waiting = self._isStopped = False
        self._counts: dict[str, int] = {}
        self._hasReports = False
        self._arrivedBefore = self._peak = 0

    def begin(self, sources: Iterable[str], sink: str) -> None:
        """
        Look at all ledgers from now on.

        @param sources: the paths of the run's own: one for each process that sends.
        @param sink: that of its sink's.
        @raise LedgerError: one of them can't be read.
        """
        # Those of the generator first: so fewer arrivals have to wait for their intents.
        for path in (*sources, sink):
            self._files.append(LedgerFile(path))
        self._heard = self._reactor.seconds()
        self._later(LOOK)

    def restart(self) -> None:
        """
        The warm-up is over: what arrives in a second is counted from here on.
        """
        self._arrivedBefore = self._judge.here
        self._peak = self._judge.backlog

    def delivered(self) -> Delivered:
        """
        How far the server has come.
        """
        judge = self._judge
        return Delivered(judge.acknowledged, judge.here, judge.here - self._arrivedBefore, self._peak)

    def upToDate(self) -> Delivered:
        """
        The same with what was written since the last look, for a sample of this very moment.
        """
        if self._call is not None:
            with suppress(LedgerError):  # the next look meets it again
                for _ in range(_MOST_READS):
                    if not self._read():
                        break
                self._record()
        return self.delivered()

    def awaited(self) -> Awaited | None:
        """
        What is waited for, while it is.
        """
        return self._awaited() if self.waiting else None

    def drain(self, quiet: float | None, timeout: float) -> Deferred[None]:
        """
        The load is over: wait for what the server still has.

        @param quiet: seconds without an arrival after which no more are thought to come; C{None}: see L{Judge.enough}.
        @param timeout: seconds after which nobody waits any longer, though they come.
        @return: fires when the waiting is over.
        """
        self._ended = ended = Deferred[None]()
        self._quiet, self._timeout = quiet, timeout
        self._began = self._arrival = self._sign = self._reactor.seconds()
        self.waiting = True
        if self._reasons or self._isStopped:
            self._end()
        else:
            self._later(0)
        return ended

    def giveUp(self, reason: str) -> None:
        """
        Wait no longer, if that is not over: nothing can be said for sure.

        @param reason: why, as one line.
        """
        if self._drained:
            return
        self._reasons.append(reason)
        if self.waiting:
            self._end()

    def interrupt(self) -> None:
        """
        The run is stopped: as L{giveUp}, but what there is to say about it is known in the end.
        """
        if not self._drained and not self._reasons:
            self._isStopped = True
            if self.waiting:
                self._end()

    def finish(self) -> Judgement:
        """
        Both ledgers are closed: read what is left of them, and judge.
        """
        self._stop()
        for file in self._files:
            try:
                for found in file.rest():
                    self._feed(found, file)
                if file.fault is not None:
                    self._reasons.append(file.fault)
            except LedgerError as e:
                self._reasons.append(str(e))
        self._record()
        self._compare()
        if self._isStopped:
            stopped = _UNHEARD if self._judge.acknowledged else _STOPPED
            self._reasons.append(_UNFINISHED if self._missing() else stopped)
        return self._judge.judge(self._drained and not self._reasons, list(dict.fromkeys(self._reasons)))

    def _compare(self) -> None:
        """
        What was counted as accepted is acknowledged in the ledger: if it is not, there is more that is not there.
        """
        recorder, found = self._recorder, self._judge.acknowledged
        # Of a message that was taken back all recipients are, and one is counted.
        counted = recorder.accepted if recorder.takenBack else recorder.recipientsAccepted
        if found < counted:
            self._reasons.append(
                f"the generator's ledger is not whole: {counted} were accepted, and {found} are acknowledged in it"
            )

    def close(self) -> None:
        """
        Look at nothing any more. May be called any number of times.
        """
        self._stop()
        for file in self._files:
            file.close()

    def _later(self, seconds: float) -> None:
        self._stop()
        self._call = self._reactor.callLater(seconds, self._look)

    def _stop(self) -> None:
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None

    def _look(self) -> None:
        try:
            more = self._read()
            self._record()
            if self.waiting and not more and self._isOver():
                self._end()
                return
        except LedgerError as e:
            self.giveUp(str(e))
        except Exception as e:
            self.giveUp(": ".join(named(e)))
            self._whenBroken(e)
        else:
            # A megabyte at a time: the load goes on in between.
            self._later(0 if more else LOOK)

    def _read(self) -> bool:
        """
        Read some of both.

        @return: may there be more?
        """
        most = 0
        for file in self._files:
            found = file.next()
            most = max(most, len(found))
            if len(found):
                self._feed(found, file)
        return most >= _MANY

    def _feed(self, found: Any, file: LedgerFile) -> None:
        self._counts = {}
        if file.role == "source":
            self._judge.sent(found, file)
            return
        self._judge.arrived(found, file)
        self._hear()
        now, kinds, ofRun = self._reactor.seconds(), found["kind"], found["run"] == self._run
        hasReports = bool(((kinds == records.REPORT) & ofRun).any())
        self._hasReports |= hasReports
        if hasReports or ((kinds == records.ARRIVAL) & ofRun).any():
            self._arrival = self._sign = now
        elif ((kinds == records.ALIVE) & (found["flag"] == 1)).any():
            self._sign = now  # the sink has heard somebody, though nothing came of it

    def _isOver(self) -> bool:
        """
        Is there nothing to wait for any more?
        """
        awaited = self._awaited()
        self._drained = awaited.silent >= awaited.enough
        if not self._drained and awaited.left <= 0:
            self._reasons.append(
                f"the sink has not been heard for {self._deafFor:.1f} s: that nothing has arrived says nothing"
                if self._isDeaf
                else f"the server was still delivering {self._timeout:g} s after the load, when it was waited for no "
                "longer"
            )
        return self._drained or bool(self._reasons)

    def _hear(self) -> None:
        """
        The sink has written something. If it could not for a while, the silence begins here: clients may only now be
        heard.
        """
        now = self._reactor.seconds()
        if self.waiting and self._isDeaf:
            self._arrival = self._sign = now
        self._heard = now

    @property
    def _deafFor(self) -> float:
        return float(self._reactor.seconds()) - self._heard

    @property
    def _isDeaf(self) -> bool:
        return self._deafFor > DEAF

    def _awaited(self) -> Awaited:
        now, missing = self._reactor.seconds(), self._missing()
        left = max(0.0, self._began + self._timeout - now)
        enough = self._judge.enough(self._quiet, missing)
        if missing:
            # What is missing may have come when nobody listened.
            return Awaited(missing, max(0.0, self._heard - self._sign), enough, left)
        return Awaited(0, now - self._arrival, enough, left)

    def _missing(self) -> int:
        """
        How many may still come: they are acknowledged, or nobody knows of them; but no report says that they won't.
        """
        judge = self._judge
        if judge.backlog and not self._hasReports:
            return judge.backlog  # counting takes longer, and those that nobody knows of make no difference
        if not self._counts:
            self._counts = judge.count()
        return sum(self._counts[name] for name in ("queued", "misdelivered", "unknown"))

    def _end(self) -> None:
        self._stop()
        self.waiting = False
        ended, self._ended = self._ended, None
        if ended is not None:
            ended.callback(None)

    def _record(self) -> None:
        self._peak = max(self._peak, self._judge.backlog)
        for name, seconds in self._judge.latencies().items():
            recorder = self._recorder.latencies[NAMES.index(name)]
            for microseconds, count in _counted(seconds):
                recorder.record(microseconds / 1e6, count)


#: As many records as this, and there may be more; and how often that is read for a sample, which waits for it.
_MANY, _MOST_READS = 8192, 16


def _counted(seconds: NDArray[np.float64]) -> list[tuple[float, int]]:
    """
    Latencies that are one for a histogram of 3 digits, as one: the microseconds, and how many. What came before its
    acknowledgement was read took no time.
    """
    indexes, counts = np.unique(indexesOf(seconds * 1e6), return_counts=True)
    return [
        ((lowestOf(index) + highestOf(index) + 1) / 2, count)
        for index, count in zip(indexes.tolist(), counts.tolist(), strict=True)
    ]
