"""
What a checkpoint says of a run, as its summary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from typing import Any

from smtpsource.measure import thresholds
from smtpsource.measure.checkpoint import CheckpointError
from smtpsource.measure.checkpointlayout import END, FACTS, FRAME, Record
from smtpsource.measure.counters import COUNTS, OUTCOMES, sums, together
from smtpsource.measure.frame import Frame
from smtpsource.measure.frameformat import LATEST, MOST
from smtpsource.measure.marks import Mark
from smtpsource.measure.minutes import Minutes, usual
from smtpsource.measure.recorder import Recorder
from smtpsource.measure.series import Sample, Series
from smtpsource.measure.snapshot import take
from smtpsource.measure.step import Step
from smtpsource.measure.summary import Summary, bucketsOf
from smtpsource.measure.summing import Facts, measured, summaryOf, unknownAfter
from smtpsource.measure.timeline import Timeline, tableOf
from smtpsource.report import factsdocument, reading

#: Seconds between two frames that are no gap: how late a frame may be.
_GAP = 0.001


class Recovery:
    """
    Takes the records of a checkpoint in their order, and knows the summary of all of them whenever it is asked.

    @ivar timeline: of the run up to then.
    @ivar missing: how many seconds of it are damaged, up to then.
    """

    def __init__(self, header: Mapping[str, Any], *, keepIntervals: bool = False) -> None:
        """
        @param header: the checkpoint's.
        @param keepIntervals: keep the latencies of every second, for the summary's C{intervals}.
        @raise CheckpointError: it asks for what is not known here.
        """
        self._header = header
        try:
            self._thresholds = [thresholds.parse(text) for text in header["thresholds"]]
        except ValueError as e:
            raise CheckpointError(f"expected a checkpoint of this version of smtpsource: {e}")
        self._minutes: Minutes | None = None
        self._keepIntervals = keepIntervals
        self._facts: dict[str, Any] = {"run": header["run"], "command": header["command"]}
        self._marks: dict[int, Mark] = {}
        self._end: dict[str, Any] | None = None
        self._epoch = 0
        self._warmUp: dict[str, Any] | None = None
        self._reset()

    def _reset(self) -> None:
        self._recorder = Recorder()
        self._series = Series(keepBuckets=self._keepIntervals)
        self.timeline = Timeline()
        self.missing = 0.0
        self._asked: float | None = None
        self._cpu = 0.0, 0.0
        self._last: Frame | None = None

    @property
    def latest(self) -> tuple[Sample | None, Step | None]:
        """
        The last frame, as a sample and as a step.
        """
        return self._series.latest, self.timeline.latest

    def take(self, records: Iterable[Record]) -> None:
        """
        Take those that come next.
        """
        for kind, content in records:
            if kind == FRAME:
                self._frame(content)
            elif kind == FACTS:
                self._facts.update(content)
            elif kind == END:
                self._end = content
            else:
                place, mark = content
                self._marks[place] = mark

    @property
    def hasEnd(self) -> bool:
        """
        Has the run ended in order?
        """
        return self._end is not None

    @property
    def at(self) -> float:
        """
        Up to when it is known, in seconds from its start or from the end of its warm-up.
        """
        return 0.0 if self._last is None else self._last.at

    def summary(self, *, isWritten: bool = False) -> Summary:
        """
        The summary of the run: as it was told, if it has ended in order. If not, it is incomplete, and messages that
        were on their way count as failed.

        @param isWritten: does it go on?
        @raise CheckpointError: what is known does not fit together; the text is one line.
        """
        return self._known(lambda: self._cutOff(isWritten))

    def now(self) -> Summary:
        """
        The summary of a run that goes on, as L{smtpsource.load.service.SourceService.summaryNow} would tell it: what is
        on its way has not failed, and what takes long is left out. If the run has ended, as it was told.

        @raise CheckpointError: as in L{summary}.
        """
        return self._known(self._running)

    def _known(self, otherwise: Callable[[], Summary]) -> Summary:
        try:
            self._checkTotals()
            return self._ended(self._end) if self._end is not None else otherwise()
        except ValueError as e:
            raise CheckpointError(f"expected a checkpoint of this version of smtpsource: {e}")

    def _checkTotals(self) -> None:
        """
        @raise ValueError: all frames together have more than there can be.
        """
        one = self._recorder
        counts = sums((one,), COUNTS).values(), one.errors.values(), one.tls.values(), map(sum, one.buckets)
        replies = (codes.values() for codes in one.replies)
        if max(chain(*counts, *replies)) > MOST or max(self._cpu) > LATEST:
            raise ValueError("what is counted in its seconds is more than there can be in all")

    def _frame(self, frame: Frame) -> None:
        if frame.epoch > self._epoch:
            # What is known of the server stays.
            tls, capabilities = self._recorder.tls, self._recorder.capabilities
            self._warmUp = self._counted()
            self._reset()
            self._epoch = frame.epoch
            self._recorder.tls, self._recorder.capabilities = tls, capabilities
        gap = frame.at - frame.seconds - self.at
        if gap > _GAP:
            self.missing += gap
        frame.addTo(self._recorder)
        self._series.add(frame)
        self.timeline.add(frame)
        if self._minutes is None:
            drifting = [figure for one in self._thresholds for figure in one.drifting]
            self._minutes = Minutes((*drifting, *usual(self._header["exercise"], frame.asked is not None)))
        if not self._facts.get("elapsed"):
            self._minutes.add(frame)  # what the server does after the load is none of it
        self._asked = together(self._asked, frame.asked)
        self._cpu = self._cpu[0] + frame.cpu[0], self._cpu[1] + frame.cpu[1]
        self._last = frame

    def _counted(self) -> dict[str, Any]:
        """
        What a warm-up has brought, as a summary has it.
        """
        counted = sums((self._recorder,), OUTCOMES)
        return {"seconds": self.at, **{name: max(0, count) for name, count in counted.items()}}

    @property
    def _isWarmUp(self) -> bool:
        """
        Was nothing measured yet?
        """
        return self._header["warmUp"] > 0 and self._epoch == 0

    def _ended(self, end: Mapping[str, Any]) -> Summary:
        told = reading.summaryOf({**end, "histograms": {}, "series": []})
        recorder = Recorder() if self._isWarmUp else self._recorder
        lacks = self._damages()
        if sums((recorder,), OUTCOMES) != sums((told.messages,), OUTCOMES):
            lacks = (*lacks, f"its histograms and its series are of {recorder.started} messages only")
        return replace(
            told,
            buckets=bucketsOf(recorder),
            series=self._samples(),
            timeline=tableOf(self._steps()),
            intervals=self._series.intervals,
            incomplete=(*told.incomplete, *lacks),
            exit=told.exit or int(bool(lacks)),
        )

    def _begun(self) -> tuple[Facts, Recorder]:
        """
        What is known of a run that has not ended in order.
        """
        known, recorder = factsdocument.read(self._facts), self._recorder
        if self._isWarmUp:
            known = replace(known, warmUp=self._counted())
            recorder = Recorder()
        elif self._epoch and known.warmUp is None:
            known = replace(known, warmUp=self._warmUp)
        return known, recorder

    def _cutOff(self, isWritten: bool) -> Summary:
        known, recorder = self._begun()
        with _possible(recorder) as unseen:
            unanswered = recorder.inFlight
            recorder.failed += unanswered
            if unseen:
                lack = (
                    f"{unseen} messages are known by their outcomes only: they were started in seconds that are missing"
                )
                known = replace(known, incomplete=(*known.incomplete, lack))
            return self._summed(known, recorder, unanswered, isWritten)

    def _running(self) -> Summary:
        known, recorder = self._begun()
        with _possible(recorder):
            return self._summed(known, recorder, 0, isWritten=True, isNow=True)

    def _summed(
        self, known: Facts, recorder: Recorder, unanswered: int, isWritten: bool, isNow: bool = False
    ) -> Summary:
        if known.elapsed:
            elapsed, cpu = known.elapsed, (known.user, known.system)
        else:
            elapsed, cpu = (0.0, (0.0, 0.0)) if self._isWarmUp else (self.at, self._cpu)
        asked, lasted = self._asked, None if self._last is None else self._last.scheduledSeconds
        if self._isWarmUp:
            asked = lasted = None
        if self._minutes is not None and not isWritten:
            self._minutes.end(elapsed)
        figures = take(recorder, elapsed, None if asked is None else round(asked, 6), lasted)
        figures = replace(figures, minutes=None if self._isWarmUp else self._minutes)
        samples = list(self._samples())
        if samples:
            samples[-1] = replace(samples[-1], failed=samples[-1].failed + unanswered)
        known = replace(
            known,
            elapsed=elapsed,
            user=cpu[0],
            system=cpu[1],
            marks=tuple(mark for _, mark in sorted(self._marks.items())),
            thresholds=() if isNow else tuple(threshold.check(figures) for threshold in self._thresholds),
            incomplete=(*known.incomplete, *(() if isNow else (self._unknown(isWritten),)), *self._damages()),
        )
        return summaryOf(
            known,
            measured(recorder, figures, elapsed, samples, self._steps, quickly=isNow),
            quickly=isNow,
            exit=0 if isNow else 1,  # nobody knows how it would have ended
            ended="running" if isWritten else "aborted",
            reason=None if isWritten else f"the run was cut off after {self._passed}",
            intervals=self._series.intervals,
        )

    @property
    def _passed(self) -> str:
        return f"{self.at:.1f} s{' of its warm-up' if self._isWarmUp else ''}"

    def _unknown(self, isWritten: bool) -> str:
        goesOn = "the run goes on: " if isWritten else ""
        return f"{goesOn}{unknownAfter(self._passed)}"

    def _damages(self) -> tuple[str, ...]:
        return (f"{self.missing:.1f} s are missing: its checkpoint is damaged",) if self.missing else ()

    def _samples(self) -> Sequence[Sample]:
        return () if self._isWarmUp else self._series.samples

    def _steps(self) -> list[Step]:
        return [] if self._isWarmUp else self.timeline.steps


@contextmanager
def _possible(recorder: Recorder) -> Iterator[int]:
    """
    Have counts meanwhile that can be those of a run. Where seconds are missing, what was counted in them may have been
    taken back later, and what was started in them has its outcome elsewhere.

    @return: how many messages are known by their outcomes only.
    """
    counted = sums((recorder,), COUNTS)
    _assign(recorder, {name: max(0, count) for name, count in counted.items()})
    unseen = max(0, -recorder.inFlight)
    recorder.started += unseen
    try:
        yield unseen
    finally:
        _assign(recorder, counted)


def _assign(recorder: Recorder, counts: Mapping[str, int]) -> None:
    for name, count in counts.items():
        setattr(recorder, name, count)
