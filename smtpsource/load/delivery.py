"""
What arrives where the server delivers to: looked at while a run goes on, and waited for after it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from smtpsource.ledger import records
from smtpsource.ledger.judge import Judge
from smtpsource.ledger.listening import DEAF
from smtpsource.ledger.reading import LedgerError, LedgerFile
from smtpsource.measure.histogram import HIGHEST_MICROSECONDS
from smtpsource.measure.judgement import Delivered, Judgement
from smtpsource.measure.recorder import Recorder
from smtpsource.phases import NAMES
from smtpsource.process.unexpected import named

#: Seconds between two looks at what the ledgers have.
LOOK = 0.25

#: When nothing is missing any more, something may still come twice: that is waited for so many seconds.
LAST_LOOK = 1.0


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
        self._drained = self.waiting = False
        self._unknown: int | None = None
        self._arrivedBefore = self._peak = 0

    def begin(self, source: str, sink: str) -> None:
        """
        Look at both ledgers from now on.

        @param source: the path of the run's own.
        @param sink: that of its sink's.
        @raise LedgerError: one of them can't be read.
        """
        # That of the generator first: so fewer arrivals have to wait for their intents.
        for path in (source, sink):
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

    def drain(self, quiet: float, timeout: float) -> Deferred[None]:
        """
        The load is over: wait for what the server still has.

        @param quiet: seconds without an arrival after which no more are thought to come.
        @param timeout: seconds after which nobody waits any longer, though they come.
        @return: fires when the waiting is over.
        """
        self._ended = ended = Deferred[None]()
        self._quiet, self._timeout = quiet, timeout
        self._began = self._latest = self._reactor.seconds()
        self.waiting = True
        if self._reasons:
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
            self._peak = max(self._peak, self._judge.backlog)
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
        self._unknown = None
        if file.role == "source":
            self._judge.sent(found, file)
            return
        self._judge.arrived(found, file)
        self._hear()
        if ((found["kind"] == records.ARRIVAL) & (found["run"] == self._run)).any():
            self._latest = self._reactor.seconds()

    def _isOver(self) -> bool:
        """
        Is there nothing to wait for any more?
        """
        judge, now = self._judge, self._reactor.seconds()
        silent = now - self._latest
        if not judge.backlog:
            if self._unknown is None:
                self._unknown = judge.count()["unknown"]
            # Those that nobody knows of may still come; but where nothing was sent nothing will.
            enough = self._quiet if self._unknown else min(self._quiet, LAST_LOOK) if judge.acknowledged else 0.0
        else:
            enough = self._quiet
        if enough and (judge.backlog or self._unknown):
            silent = self._heard - self._latest  # as far as is known
        self._drained = silent >= enough
        if not self._drained and now - self._began >= self._timeout:
            self._reasons.append(
                f"the sink has not been heard for {now - self._heard:.1f} s: that nothing has arrived says nothing"
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
            self._latest = now
        self._heard = now

    @property
    def _isDeaf(self) -> bool:
        return self._reactor.seconds() - self._heard > DEAF

    def _end(self) -> None:
        self._stop()
        self.waiting = False
        ended, self._ended = self._ended, None
        if ended is not None:
            ended.callback(None)

    def _record(self) -> None:
        for name, seconds in self._judge.latencies().items():
            recorder = self._recorder.latencies[NAMES.index(name)]
            for microseconds, count in _counted(seconds):
                recorder.record(microseconds / 1e6, count)


#: As many records as this, and there may be more.
_MANY = 8192


def _counted(seconds: NDArray[np.float64]) -> list[tuple[float, int]]:
    """
    Latencies that are one for a histogram of 3 digits, as one: the microseconds, and how many. What came before its
    acknowledgement was read took no time.
    """
    whole = np.clip(seconds * 1e6, 0, HIGHEST_MICROSECONDS).astype(np.int64)
    # As the buckets have it: one for each up to 2047, then 1024 for each doubling.
    shift = np.maximum(np.frexp(whole.astype(np.float64))[1] - 11, 0)
    middle = ((whole >> shift) << shift) + 0.5 * (1 << shift)
    values, counts = np.unique(middle, return_counts=True)
    return list(zip(values.tolist(), counts.tolist(), strict=True))
