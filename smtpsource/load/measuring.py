"""
What is measured of a run, from when on, and the summary that is made of it.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from smtpsource.measure.counters import OUTCOMES, sums
from smtpsource.measure.environment import environment
from smtpsource.measure.minutes import Minutes, usual
from smtpsource.measure.summing import Facts, measured, summaryOf
from smtpsource.net.reactorchoice import nameOf
from smtpsource.process.unexpected import WORKER_LOST

if TYPE_CHECKING:
    from smtpsource.interfaces import IReactor
    from smtpsource.load.assessment import Assessment
    from smtpsource.load.run import Run
    from smtpsource.load.watch import Watch
    from smtpsource.load.workersrun import WorkersRun
    from smtpsource.load.workerswatch import WorkersWatch
    from smtpsource.measure.frame import Frame
    from smtpsource.measure.judgement import Judgement
    from smtpsource.measure.limits import Upkeep
    from smtpsource.measure.marks import Mark
    from smtpsource.measure.summary import Summary
    from smtpsource.plan import SourcePlan


class Measuring:
    """
    Begins when the run does, and again when its warm-up is over.

    @ivar hasBegun: has the run begun? Whoever begins it says so.
    @ivar started: when that was, by the time of day.
    @ivar startTime: when measuring began, on the run's clock.
    @ivar elapsed: how many seconds it took; 0 until the load is over.
    @ivar warmUp: what there was in a warm-up; C{None} before it is over.
    @ivar minutes: figures of each minute.
    @ivar figures: all that was measured of the load, when it is over.
    """

    def __init__(
        self,
        reactor: IReactor,
        plan: SourcePlan,
        run: Run | WorkersRun,
        watch: Watch | WorkersWatch,
    ) -> None:
        self._reactor = reactor
        self._plan = plan
        self._run = run
        self._watch = watch
        drifting = [figure for one in plan.thresholds if not isinstance(one, str) for figure in one.drifting]
        self.minutes = Minutes((*drifting, *usual(plan.exercise, plan.openLoop)))
        self.hasBegun = self._isOver = False
        self.started = datetime.datetime.now().astimezone()
        self.startTime = self.elapsed = 0.0
        self.warmUp: dict[str, Any] | None = None
        self.figures = watch.snapshot()
        self._upkeep: Upkeep | None = None
        self._cpuBefore = self._cpuAfter = run.processTime()

    @property
    def warms(self) -> bool:
        """
        Is there a warm-up that is not over?
        """
        return bool(self._plan.warmUp) and self.warmUp is None

    def now(self, *, isOver: bool) -> float:
        """
        How many seconds are measured so far; less than 0 in a warm-up, and 0 before a run.

        @param isOver: is all over, also what comes after the load?
        """
        if not self.hasBegun:
            return 0.0
        passed = (self._run.endedAt() if isOver else self._run.clock()) - self.startTime
        return passed - self._plan.warmUp if self.warms else passed

    def start(self, began: float) -> None:
        """
        Measure from now on.

        @param began: when that is, which may be some microseconds ago, or, of workers, soon.
        """
        self.startTime = began
        self._cpuBefore = self._cpuAfter = self._run.processTime()
        if self.warmUp is None:
            ahead = datetime.timedelta(seconds=began - self._run.clock())
            self.started = (datetime.datetime.now() + ahead).astimezone()
        self._watch.start(began)

    def forget(self, began: float) -> dict[str, Any]:
        """
        The warm-up is over: nothing of it counts.

        @param began: when measuring began.
        @return: the warm-up's counts.
        """
        recorder = self._run.recorder
        self.warmUp = {"seconds": began - self.startTime, **sums((recorder,), OUTCOMES)}
        lost, sample = recorder.errors.get(WORKER_LOST), recorder.errorSamples.get(WORKER_LOST)
        recorder.restart()
        if lost is not None and sample is not None:
            # They are lost to what is measured, too.
            recorder.errors[WORKER_LOST], recorder.errorSamples[WORKER_LOST] = lost, sample
        self._run.restartAddresses()
        return self.warmUp

    def add(self, frame: Frame) -> None:
        """
        Another second is over.
        """
        if self._upkeep is None:
            self.minutes.add(frame)

    # The end: each may raise anything

    def loadOver(self) -> None:
        """
        It took so long. Workers are told to begin a moment later; the run may be stopped in between.
        """
        self._isOver = True
        self.elapsed = max(0.0, self._run.endedAt() - self.startTime) if self.hasBegun else 0.0

    def endProcessTime(self) -> None:
        """
        It took so much CPU time.
        """
        self._cpuAfter = self._cpuBefore
        self._cpuAfter = self._run.processTime()

    def end(self) -> None:
        """
        What is counted from now on is none of the load.
        """
        self.figures = replace(self._watch.finish(), minutes=self.minutes)
        self._upkeep = self._watch.upkeep
        self.minutes.end(self.figures.at)

    def judged(self, judgement: Judgement) -> None:
        """
        It is known what has become of every message.
        """
        # Rates and counts are of the load; what is known of deliveries is known now.
        now = self._watch.finish()
        self.figures = replace(self.figures, buckets=now.buckets, judgement=judgement)

    # What comes of it

    def facts(self, assessment: Assessment, marks: Sequence[Mark], *, inSeconds: bool = False) -> Facts:
        """
        What is known of the run by now besides what was counted and timed.

        @param inSeconds: of workers, only what is in the frames that were told.
        """
        plan, run, known = self._plan, self._run, assessment.known
        upkeep = self._upkeep or self._watch.upkeep
        reactor, started = nameOf(self._reactor), self.started.isoformat(timespec="milliseconds")
        surroundings = known(lambda: environment(reactor, started), {})
        if run.ledgers:
            surroundings["ledger"] = run.ledgers[0] if len(run.ledgers) == 1 else list(run.ledgers)
        if workers := run.workers(inSeconds=inSeconds):
            surroundings["workers"] = list(workers)
        if run.messageLog is not None:
            surroundings["messageLog"] = {**run.messageLog, "file": plan.logMessages}
        return Facts(
            command=plan.command,
            run=run.id.decode("ascii"),
            seed=plan.seedInUse,
            reactor=reactor,
            started=started,
            elapsed=self.elapsed,
            user=self._cpuAfter[0] - self._cpuBefore[0],
            system=self._cpuAfter[1] - self._cpuBefore[1],
            exercise=plan.exercise,
            percentiles=plan.percentiles,
            environment=surroundings,
            warmUp=self.warmUp,
            exhausted=run.exhausted,
            catchUp=run.catchUp,
            limits=known(lambda: tuple(run.limits(upkeep)), ()),
            disturbances=known(lambda: tuple(run.disturbances(upkeep)), ()),
            hints=run.standingHints,
            incomplete=tuple(run.incomplete),
            search=known(lambda: run.found, None),
            addresses=known(lambda: run.byAddress() if self.hasBegun else {}, {}),
            marks=tuple(marks),
            thresholds=tuple(assessment.outcomes),
            judgement=assessment.judgement,
            sink=assessment.sinkReport,
        )

    def summarize(
        self,
        assessment: Assessment,
        marks: Sequence[Mark],
        *,
        stopped: bool,
        delivers: bool,
        quickly: bool = False,
    ) -> Summary:
        """
        @param stopped: as in L{Assessment.exit}.
        @param delivers: likewise.
        @param quickly: as in L{measured<smtpsource.measure.summing.measured>}.
        """
        facts, known = self.facts(assessment, marks), assessment.known
        series, recorder = self._watch.series, self._run.recorder
        found = measured(
            *(recorder, self.figures, facts.elapsed, series.samples, lambda: self._watch.timeline.steps, known),
            quickly=quickly,
        )
        reason = assessment.reason
        return summaryOf(
            facts,
            found,
            quickly=quickly,
            exit=known(lambda: assessment.exit(stopped=stopped, delivers=delivers), 1),
            ended="aborted" if reason is not None else "signal" if stopped else "done",
            reason=reason,
            intervals=series.intervals,
        )

    def summaryNow(self, assessment: Assessment, marks: Sequence[Mark]) -> Summary:
        """
        The summary of what has happened so far, made as quickly as possible.
        """
        before = self.figures, self.elapsed, self._cpuAfter
        if not self._isOver and self.hasBegun:
            self.figures = replace(self._watch.snapshot(), minutes=self.minutes)
            self.elapsed = self.figures.at
            self._cpuAfter = self._run.processTime()
        try:
            summary = self.summarize(assessment, marks, stopped=False, delivers=False, quickly=True)
            return replace(summary, ended="running", exit=0, reason=None)
        finally:
            self.figures, self.elapsed, self._cpuAfter = before
