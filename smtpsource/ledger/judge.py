"""
What became of every message of a run: worked out from the records of both ends, in the order in which they are read,
whether all of them are there or they are still being written.

Nothing depends on how the records of several files come between each other: what arrives before it is known to have
been sent is put aside.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smtpsource.ledger import records
from smtpsource.ledger.anomalies import Anomalies
from smtpsource.ledger.attempts import taken
from smtpsource.ledger.clocks import Timing
from smtpsource.ledger.known import LOST, Known, arrivalsIn
from smtpsource.ledger.numbers import HIGHEST
from smtpsource.ledger.reading import LedgerFile, Records
from smtpsource.ledger.strays import GHOST, MISDELIVERED
from smtpsource.ledger.units import (
    EXISTS,
    HERE,
    MEASURED,
    OUTCOME,
    STATES,
    WAITING,
    Integers,
    landed,
)
from smtpsource.ledger.verdict import countsOf, fatesOf, verdictOf
from smtpsource.measure.judgement import Judgement

#: Seconds of silence after which no more is thought to come where something is missing; and where nothing is, so that
#: it is only about what comes twice.
QUIET, SETTLED = 30.0, 1.0

#: So many anomalies of each class are part of a judgement.
_SHOWN = 5


class Judge:
    """
    All that is known of one run.

    @ivar acknowledged: how many messages and recipients are acknowledged.
    @ivar here: how many of those have arrived.
    @ivar known: the rest of it, and where it is from.
    @ivar drained: was L{judge} last told that it had?
    @ivar damages: of the ledgers, a line for each: records may be lost from them, so what is missing is not known.
    """

    def __init__(self, run: int) -> None:
        """
        @param run: the number of its id.
        """
        self.acknowledged = 0
        self.known = known = Known(run)
        self._units, self._strays = known.units, known.strays
        self._here = 0
        self._timing = Timing()
        self.damages: list[str] = []
        # By the ledger: what its last records have said of the next arrival.
        self._original: dict[LedgerFile, int] = {}
        self._explained: dict[LedgerFile, int] = {}
        # How many are unknown, if that was asked for since something was read.
        self._unknown: int | None = None
        self.drained = False
        self._arrivals = self._foreign = self._unidentified = self._damaged = 0
        self._firstIntent = self._lastOutcome = self._lastArrival = 0

    def sent(self, found: Records, file: LedgerFile) -> None:
        """
        Records of a generator's ledger.
        """
        self._unknown = None
        if file not in self.known.sources:
            self.known.sources.append(file)
        kinds: Any = found["kind"]
        sane = self._sane(found, kinds, file)
        intents = np.flatnonzero((kinds == records.INTENT) & sane)
        outcomes = np.flatnonzero((kinds == records.OUTCOME) & sane)
        if not len(intents) and not len(outcomes):
            return
        shift = self.known.clocks.shift(file)
        places, before, after, told = taken(self._units, found, intents, outcomes)
        self._acknowledge(places, before, after, found["time"][told] + shift, found["raw"][told], shift)
        if len(intents):
            time = int(found["time"][intents].min()) + shift
            self._firstIntent = min(self._firstIntent or time, time)
            self._strays.know(found["address"][intents])
            self._land(*self._strays.retry())

    def _sane(self, found: Records, kinds: Any, file: LedgerFile) -> Any:
        """
        Which records can be what was written: messages are numbered from 1. Those that were refused before their
        content have used numbers without a record.
        """
        sane = (found["number"] < HIGHEST) & (found["number"] > 0)
        sane &= (kinds != records.INTENT) | (found["index"] != records.WHOLE)
        wrong = ~sane & ((kinds == records.INTENT) | (kinds == records.OUTCOME))
        if wrong.any() and not any(file.path in damage for damage in self.damages):
            number = found["number"][np.argmax(wrong)]
            self.damages.append(f"{file.path}: the ledger is damaged: it has a message {number}")
        return sane

    def _acknowledge(self, places: Integers, before: Any, after: Any, times: Integers, dues: Any, shift: int) -> None:
        """
        The state of some units has changed.

        @param times: of the outcome of each, if it has a new one; C{dues}: when they were due, by the same clock less
            C{shift}, or 0.
        """
        was, now = _isAcknowledged(before), _isAcknowledged(after)
        here = after & HERE != 0
        self.acknowledged += int(now.sum()) - int(was.sum())
        self._here += int((now & here).sum()) - int((was & here).sum())
        new = now & ~was
        if not new.any():
            return
        self._lastOutcome = max(self._lastOutcome, int(times[new].max()))
        scheduled = new & (dues > 0)
        waits = np.zeros(len(places), np.int64)
        if scheduled.any():
            waits[scheduled] = times[scheduled] - shift - dues[scheduled].astype(np.int64)
        waiting, over = new & ~here, new & here & (after & MEASURED == 0)
        self._units.moment[places[waiting]] = times[waiting]
        if scheduled.any():
            self._units.schedule()
        if len(self._units.due):
            self._units.due[places[waiting]] = np.clip(waits[waiting] // 1000, 0, 0xFFFFFFFF)
        self._measure(places[over], times[over], self._units.moment[places[over]], waits[over])

    def arrived(self, found: Records, file: LedgerFile) -> None:
        """
        Records of a sink's ledger, or what was made of a mailbox.
        """
        self._unknown = None
        if file not in self.known.sinks:
            self.known.sinks.append(file)
        kinds: Any = found["kind"]
        said = kinds != records.TEXT
        if said.any():
            shift = self.known.clocks.shift(file)
            self.known.heard = max(self.known.heard, int(found["time"][said].max()) + shift)
            if (talked := (kinds == records.ALIVE) & (found["flag"] == 1)).any():
                self.known.sign = max(self.known.sign, int(found["time"][talked].max()) + shift)
        self._damaged += int((kinds == records.DAMAGED).sum())
        reports = kinds == records.REPORT
        if reports.any():
            self._strays.report(found[reports & (found["run"] == self.known.run)])
        # The last address may be about one that comes with the next records.
        arrivals, originals, self._original[file] = arrivalsIn(found, self._original.get(file, 0))
        runs = arrivals["run"]
        mine = self.known.areOfRun(arrivals, file)
        self._unidentified += self._strangers(found, arrivals[runs == 0], file)
        self._foreign += len(mine) - int(mine.sum()) - int((runs == 0).sum())
        mine &= arrivals["flag"] != LOST
        self._come(arrivals[mine], originals[mine], file)
        isBack = (kinds == records.TAKEN_BACK) & (found["run"] == self.known.run) & (found["flag"] != LOST)
        if isBack.any():
            back = found[isBack]
            before = self._acknowledgedHere()
            self.known.takeBack(back, file)
            self._arrivals -= len(back)
            self._here += self._acknowledgedHere() - before

    def _acknowledgedHere(self) -> int:
        state = self._units.state
        return int((_isAcknowledged(state) & (state & HERE != 0)).sum())

    def _come(self, arrivals: Records, originals: Any, file: LedgerFile) -> None:
        """
        Arrivals of this run.
        """
        if not len(arrivals):
            return
        self._arrivals += len(arrivals)
        # A mailbox does not say when: the times of its files may be anybody's.
        times = arrivals["time"] + self.known.clocks.shift(file)
        if file.isMailbox:
            times[:] = 0
        self._lastArrival = max(self._lastArrival, int(times.max()))
        places = self._units.match(arrivals["number"], arrivals["address"])
        direct = places >= 0
        self._land(places[direct], times[direct], arrivals["raw"][direct], arrivals["canonical"][direct])
        if not direct.all():
            self._strays.add(arrivals[~direct], originals[~direct], times[~direct])

    def waiting(self, numbers: Collection[int]) -> None:
        """
        These messages were seen in the server's queue, after the generators' ledgers were read.
        """
        places, _ = self._units.all(np.array([number for number in numbers if number < HIGHEST], np.uint64))
        self._units.state[places] |= WAITING

    def _strangers(self, found: Records, arrivals: Records, file: LedgerFile) -> int:
        """
        How many of these arrivals without an id are no reports, and had none that was damaged. What says that they are
        has the time of the arrival.
        """
        explained = found["time"][(found["kind"] == records.REPORT) | (found["kind"] == records.DAMAGED)]
        explained = np.append(explained, self._explained.get(file, -1))
        self._explained[file] = int(explained[0])
        return int((~np.isin(arrivals["time"], explained)).sum()) if len(arrivals) else 0

    def _land(self, places: Integers, times: Integers, raw: Any, canonical: Any) -> None:
        """
        Some have arrived for whom they were meant.
        """
        if not len(places):
            return
        units = self._units
        some, which = np.unique(places, return_index=True)
        before, first = units.state[some], times[which]
        landed(units.state, units, places, raw, canonical)
        new, acknowledged = before & (HERE | MEASURED) == 0, _isAcknowledged(before)
        self._here += int((acknowledged & (before & HERE == 0)).sum())
        units.moment[some[new & ~acknowledged]] = first[new & ~acknowledged]
        over = some[new & acknowledged]
        self._measure(over, units.moment[over], first[new & acknowledged], self._waits(over))

    def _waits(self, places: Integers) -> Integers:
        """
        Nanoseconds from when each was due to its acknowledgement; 0 if there was no schedule.
        """
        due = self._units.due
        return due[places].astype(np.int64) * 1000 if len(due) else np.zeros(len(places), np.int64)

    def _measure(self, places: Integers, acknowledged: Integers, arrived: Integers, waits: Integers) -> None:
        """
        What was acknowledged has arrived, in whatever order.
        """
        if len(places):
            timed = arrived > 0
            self._timing.add(acknowledged[timed], arrived[timed], waits[timed])
            self._units.state[places] |= MEASURED
            self._units.moment[places] = arrived

    def _measureForwarded(self) -> None:
        places, arrived = self._strays.unmeasured()
        self._measure(places, self._units.moment[places], arrived, self._waits(places))

    @property
    def here(self) -> int:
        """
        How many of the acknowledged have arrived for whom they were meant.
        """
        return self._here + self._strays.acknowledgedHere()

    @property
    def backlog(self) -> int:
        """
        How many are acknowledged and have not arrived.
        """
        return self.acknowledged - self.here

    @property
    def unknown(self) -> int:
        """
        How many nobody knows of, and they have not arrived.
        """
        if self._unknown is None:
            self._unknown = self.count()["unknown"]
        return self._unknown

    @property
    def quiet(self) -> float:
        """
        For how many seconds it was listened after the last acknowledgement, the last arrival and any other sign of the
        queue.
        """
        return (self.known.heard - max(self._lastOutcome, self._lastArrival, self.known.sign)) / 1e9

    def enough(self, quiet: float | None, missing: int) -> float:
        """
        For how many seconds it has to be listened without an arrival, until no more are expected.

        @param quiet: what the user says; C{None} if nothing.
        @param missing: how many may still come.
        """
        if not (missing or self.acknowledged):
            return 0.0  # where nothing was sent nothing will come
        if quiet is not None:
            return quiet
        return QUIET if missing else SETTLED

    def latencies(self) -> dict[str, NDArray[np.float64]]:
        """
        Those that are known since this was last asked, in seconds: C{delivery} from the acknowledgement to the first
        arrival, negative if that was earlier, and C{arrival} from when it was due to that.
        """
        self._measureForwarded()
        return self._timing.told()

    def judge(self, drained: bool, reasons: Sequence[str] = ()) -> Judgement:
        """
        What became of all that was sent, as far as was read.

        @param drained: has the server nothing left, as far as can be known, but for what is known to wait there?
        @param reasons: why the result can't be trusted, a line for each, if there are such reasons.
        """
        self._measureForwarded()
        self.drained = drained = drained and bool(self.known.sinks) and not self.damages
        settled = self._strays.settle()
        state = settled.state
        found: dict[str, Any] = dict(countsOf(state, drained))
        found["ghosts"] = int((settled.kinds == GHOST).sum())
        found["astray"] = int(((settled.kinds == MISDELIVERED) & (settled.places < 0)).sum())
        anomalies = Anomalies(self.known, settled, drained)
        doubts = [*self._missing(), *self.damages, *reasons]
        verdict, why = verdictOf(found, drained and not found["queued"], doubts, isWhole=not self.damages)
        states = np.arange(STATES)
        waiting = (_isAcknowledged(states) & (states & (HERE | MEASURED) == 0))[state]
        first, last, end = self._firstIntent, self._lastOutcome, self._lastArrival
        return Judgement(
            verdict=verdict,
            reasons=why,
            drained=drained and not found["queued"],
            **found,
            duplicatedBy=anomalies.doubles() if found["duplicated"] else {},
            arrivals=self._arrivals,
            foreign=self._foreign,
            unidentified=self._unidentified,
            damaged=self._damaged,
            early=self._timing.early,
            backlogPeak=self._timing.peak(self._units.moment[: self._units.size][waiting]),
            drain=max(0, end - last) / 1e9 if end and last else None,
            duration=max(0, (end or last) - first) / 1e9 if first else 0.0,
            anomalies=list(anomalies.first(_SHOWN)),
            buckets=self._timing.buckets(),
        )

    def _missing(self) -> Iterator[str]:
        if not self.known.sources:
            yield "there is no ledger of a generator"
        if not self.known.sinks:
            yield "there is nothing that says what has arrived"

    def anomalies(self) -> Iterator[dict[str, object]]:
        """
        All that is not as it should be, by what L{judge} was told last.
        """
        return Anomalies(self.known, self._strays.settle(), self.drained).all()

    def count(self, drained: bool = False) -> dict[str, int]:
        """
        What L{judge} counts of messages and recipients, in less time: no ledger is read again.
        """
        return countsOf(self._strays.settle().state, drained)

    def fates(self, number: int) -> dict[int, str]:
        """
        What became of one message, by the index of the recipient.
        """
        places, _ = self._units.all(np.array([number], np.uint64))
        fates = enumerate(fatesOf(self._strays.settle().state[places], self.drained))
        return {index: fate for index, fate in fates if fate}


def _isAcknowledged(state: Any) -> Any:
    return (state & (OUTCOME | EXISTS)) == records.ACKNOWLEDGED | EXISTS
