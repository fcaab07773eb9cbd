"""
A run as a service: in a Twisted program, in a trial test, under twistd.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorProcess
from twisted.logger import Logger
from twisted.python.failure import Failure

from smtpsource.load.assessment import Assessment
from smtpsource.load.beginning import Beginning
from smtpsource.load.kinds import kindOf
from smtpsource.load.marking import Marking
from smtpsource.load.measuring import Measuring
from smtpsource.load.standing import progressOf
from smtpsource.load.watch import Watch
from smtpsource.load.whereabouts import Whereabouts
from smtpsource.measure.counters import AddressCounts
from smtpsource.measure.judgement import Delivered
from smtpsource.measure.progress import Progress
from smtpsource.measure.recorder import Recorder
from smtpsource.measure.snapshot import Snapshot
from smtpsource.measure.summary import Summary
from smtpsource.measure.summing import Facts
from smtpsource.measure.timeline import Timeline
from smtpsource.net.destination import Address, ResolutionFailed
from smtpsource.net.steady import keepSteady
from smtpsource.plan import SourcePlan
from smtpsource.process.unexpected import OURS, WORKER_LOST

if TYPE_CHECKING:
    from smtpsource.interfaces import AnyReactor, IReactor
    from smtpsource.load.delivery import Delivery
    from smtpsource.load.run import Run
    from smtpsource.load.workersrun import WorkersRun
    from smtpsource.load.workerswatch import WorkersWatch
    from smtpsource.measure.frame import Frame
    from smtpsource.measure.marks import Mark
    from smtpsource.measure.series import Sample
    from smtpsource.measure.step import Step


_log = Logger()

#: A process that did nothing for so many seconds is a mark of its run.
_STILL = 3.0


def _showInLog(line: str) -> None:
    _log.info("{line}", line=line)


class SourceService(Service):
    """
    Runs a plan once, from C{startService} to its end, and gives its L{Summary} to all who asked for it.

    Nothing here stops the reactor, and nothing outlives the run.

    @ivar recorder: what is counted, while the run goes on.
    @ivar marks: what was marked of it so far, in order.
    @ivar watched: gives the figures of what is watched besides, by name; for those who watch to replace.
    """

    name = "smtp-source"

    def __init__(
        self,
        reactor: AnyReactor,
        plan: SourcePlan,
        *,
        clock: Callable[[], float] = time.perf_counter,
        show: Callable[[str], None] = _showInLog,
        tell: Callable[[str], None] = _showInLog,
        keepIntervals: bool = False,
    ) -> None:
        """
        @param reactor: what to connect with, an L{IReactor<smtpsource.interfaces.IReactor>} such as
            C{twisted.internet.reactor}, which is a module for type checkers; the run begins when it runs.
        @param plan: what to do.
        @param clock: measures latencies: seconds, on a scale that never goes backward.
        @param show: called with each line of the dialogue, if the plan asks for a trace; else they go into the log.
        @param tell: called with each line about the run that its user should know of while it goes on; else they go
            into the log.
        @param keepIntervals: keep the latencies of every second, for the summary's C{intervals}.
        @raise TypeError: the plan is none.
        """
        if not isinstance(plan, SourcePlan):
            raise TypeError(f"expected SourceService(reactor, plan) with a SourcePlan, not {type(plan).__name__}")
        self.recorder = Recorder()
        reactor = cast("IReactor", reactor)
        self._reactor = reactor
        self._plan = plan
        self._clock = clock
        self._marking = Marking(self.now)
        self.marks = self._marking.marks
        self._run = self._newRun(show, tell)
        self._whereabouts = Whereabouts(reactor, plan, self._run, event=self._marking.event, tell=tell)
        self._beginning = Beginning(reactor, plan, self._run, self._whereabouts, tell)
        self.watched: Callable[[], Mapping[str, float]] = dict
        self._listeners: list[Callable[[Frame], None]] = []
        self._endings: list[Callable[[float], Deferred[Any]]] = []
        self._othersOver: Deferred[Any] | None = None
        self._watch = self._newWatch(keepIntervals)
        self._measuring = Measuring(reactor, plan, self._run, self._watch)
        self._assessment = Assessment(plan, self._run)
        self._waiting: list[Deferred[Summary]] = []
        self._summary: Summary | None = None
        self._ending = self._stopping = self._begun = False

    def _newRun(self, show: Callable[[str], None], tell: Callable[[str], None]) -> Run | WorkersRun:
        reactor, plan, count = self._reactor, self._plan, self._plan.workerCount
        if plan.workers not in ("auto", count):
            tell(f"{plan.workers} workers were asked for, and {count} can have a session and a message each")
        if count == 1:
            kind = kindOf(plan)
            return kind(reactor, plan, self.recorder, self._clock, self._sessionsOver, show, self._warm, tell)
        if not IReactorProcess.providedBy(reactor):
            raise TypeError("expected a reactor that can start processes, for several workers")
        from smtpsource.load.workersrun import WorkersRun  # for those who want several

        run = WorkersRun(reactor, plan, self.recorder, self._clock, self._sessionsOver, self._warm, tell)
        run.whenLost = self._marking.event
        return run

    def _newWatch(self, keepIntervals: bool) -> Watch | WorkersWatch:
        reactor, run = self._reactor, self._run
        kind: Any = Watch
        if self._plan.workerCount > 1:
            from smtpsource.load.workerswatch import WorkersWatch  # likewise

            kind = WorkersWatch
        watch: Watch | WorkersWatch = kind(
            reactor,
            run,
            self._sampled,
            keepBuckets=keepIntervals,
            delivered=lambda: self._deliveredNow(),
            whenCut=self._cut,
            watched=lambda: self.watched(),
        )
        return watch

    def startService(self) -> None:
        """
        Begin as soon as the reactor runs. A service runs its plan once: a second call is an error.

        @raise RuntimeError: it has run already.
        """
        if self._begun:
            raise RuntimeError("a SourceService runs its plan once: make another for another run")
        super().startService()
        keepSteady(self._reactor)
        self._begun = True
        self._measuring.started = datetime.datetime.now().astimezone()
        self._reactor.callWhenRunning(self._run.guarded, self._begin)

    def stopService(self) -> Deferred[Any]:
        """
        Start no further message; give those that are on their way the plan's grace period, then end them.

        @return: fires when everything is closed, soon after the grace period at the latest.
        """
        super().stopService()
        if self._summary is not None:
            return succeed(None)
        ended = self.whenDone()
        if not self._stopping:
            self._stopping = True
            self._endOthers()
            self._beginning.breakOff()
            if self._delivery is not None:
                self._delivery.interrupt()
            if self._begun:
                self._run.drain()
            else:
                self._finish()
        return ended

    def whenDone(self) -> Deferred[Summary]:
        """
        @return: fires with the run's L{Summary} when it is over; never fails. If a part of it can't be made it is left
            out, and that is an C{internal-error} or C{out-of-memory} of the run.
        """
        if self._summary is not None:
            return succeed(self._summary)
        waiting: Deferred[Summary] = Deferred()
        self._waiting.append(waiting)
        return waiting

    @property
    def percentiles(self) -> tuple[float, ...]:
        """
        See L{smtpsource.measure.progress.Running}.
        """
        return self._plan.percentiles

    @property
    def thresholds(self) -> tuple[str, ...]:
        """
        What must be so of the run.
        """
        return tuple(str(getattr(threshold, "text", threshold)) for threshold in self._plan.thresholds)

    @property
    def warmUp(self) -> float:
        """
        How many seconds of it are not to be measured.
        """
        return self._plan.warmUp

    def progress(self) -> Progress:
        """
        How far the run has come.
        """
        isOver = self._summary is not None
        return progressOf(self._plan, self._run, self._beginning, self._measuring, isOver=isOver)

    def _deliveredNow(self) -> Delivered | None:
        return None if self._delivery is None else self._delivery.upToDate()

    def byAddress(self) -> dict[str, AddressCounts]:
        """
        See L{smtpsource.measure.progress.Running}.
        """
        return self._run.byAddress() if self._measuring.hasBegun else {}

    @property
    def samples(self) -> Sequence[Sample]:
        """
        What happened in each second so far.
        """
        return self._watch.series.samples

    @property
    def latest(self) -> Sample | None:
        """
        What happened in the last second; C{None} before it is over.
        """
        return self._watch.series.latest

    @property
    def latestStep(self) -> Step | None:
        """
        The same with all that pictures show of it; C{None} likewise.
        """
        return self._watch.timeline.latest

    @property
    def latestIntervals(self) -> str:
        """
        The latencies of that second, if they are kept: as lines of
        L{Intervals<smtpsource.measure.intervals.Intervals>}.
        """
        intervals = self._watch.series.intervals
        return "" if intervals is None else intervals.latest

    @property
    def timeline(self) -> Timeline:
        """
        All that is known of the time that is measured so far. When a warm-up is over there is another one.
        """
        return self._watch.timeline

    def onFrame(self, listener: Callable[[Frame], None]) -> None:
        """
        Have something called with each frame of the run, a second each, as soon as there is one: as long as it takes,
        the run waits. The first frame of another C{epoch} says that a warm-up is over, and that all before it does not
        count.
        """
        self._listeners.append(listener)

    def onEnd(self, end: Callable[[float], Deferred[Any]]) -> None:
        """
        Have something called when the load is over, or when it is told to stop, with the seconds that it may take. The
        summary is made when the L{Deferred} that it returns has fired.
        """
        self._endings.append(end)

    @property
    def runId(self) -> str:
        """
        The run's id, which is in every Message-Id.
        """
        return self._run.id.decode("ascii")

    def now(self) -> float:
        """
        How many seconds of the run are measured so far; less than 0 in a warm-up, and 0 before a run.
        """
        return self._measuring.now(isOver=self._summary is not None)

    def mark(self, text: str, kind: str = "note") -> Mark:
        """
        Mark this moment.

        @param text: what it is, as one line.
        @param kind: one of L{smtpsource.measure.marks.KINDS}.
        """
        return self._marking.mark(text, kind)

    def remark(self, mark: Mark, **more: Any) -> Mark:
        """
        More is known of a moment that was marked.

        @param more: fields of L{Mark}.
        @return: what stands in its place now.
        """
        return self._marking.remark(mark, **more)

    def facts(self) -> Facts:
        """
        What is known of the run by now besides what was counted and timed. How long it took, and how much CPU time, is
        0 until the load is over. Of workers it is what is in the frames that were told.
        """
        return self._measuring.facts(self._assessment, self.marks, inSeconds=True)

    def summaryNow(self) -> Summary:
        """
        The summary of what has happened so far, or of the whole run when it is over. It takes a millisecond or
        two; so before the end there is no timeline in it, no figures of latencies but for their buckets, and no effects
        of marks: see L{smtpsource.measure.summing.completed}.
        """
        if self._summary is not None:
            return self._summary
        return self._measuring.summaryNow(self._assessment, self.marks)

    def breakDown(self, kind: str, text: str) -> None:
        """
        This process can't go on: end the run in order. For those who know that from outside of the run, such as by
        the reactor's log.

        @param kind: one of L{smtpsource.process.unexpected.OURS}.
        @param text: one line about it.
        """
        if self._begun and self._summary is None:
            self._run.breakDown(kind, text)

    def isMisnamed(self) -> bool:
        """
        Did the run end with the first connection because the destination is not what its scheme says: C{smtps:} where
        there is no TLS, or a socket that is not there?
        """
        return self._measuring.hasBegun and self._assessment.isMisnamed()

    # The course of a run

    def _begin(self) -> None:
        if self._stopping:
            return
        ready = self._beginning.prepare(self._measuring.started)
        ready.addCallbacks(lambda addresses: self._run.guarded(self._beginSessions, addresses), self._notBegun)

    @property
    def _delivery(self) -> Delivery | None:
        return self._beginning.delivery

    def _beginSessions(self, addresses: list[Address]) -> None:
        if self._ending:
            return  # it was stopped meanwhile
        # The time to find the destination, or to start one, is not the server's.
        began = self._run.beginsAt()
        self._measuring.start(began)
        if self._stopping or self._run.draining:
            self._run.abandon()
        else:
            self._measuring.hasBegun = True
            self._run.begin(addresses, began)
            self._whereabouts.follow(addresses)

    def _cut(self, frame: Frame) -> None:
        if frame.lag >= _STILL:
            self._marking.event(f"the generator stood still for {frame.lag:.1f} s", frame.lag)
        self._measuring.add(frame)
        for listener in self._listeners:
            listener(frame)

    def _sampled(self, snapshot: Snapshot) -> None:
        if not self._ending and not self._measuring.warms:
            self._assessment.look(replace(snapshot, minutes=self._measuring.minutes))

    def _warm(self, began: float) -> dict[str, Any]:
        """
        The warm-up is over.

        @param began: when measuring began.
        @return: the warm-up's counts.
        """
        counts = self._measuring.forget(began)
        if self._delivery is not None:
            self._delivery.restart()
        self._measuring.start(began)
        return counts

    def _notBegun(self, reason: Failure) -> None:
        known = (
            "smtpsource.sink.companion.CompanionFailed",
            "smtpsource.ledger.reading.LedgerError",
            "smtpsource.workers.link.WorkerFailed",
        )
        if not reason.check(ResolutionFailed, *known):
            self._run.broken(reason.value)  # which ends it
            return
        if not self._stopping:
            self._assessment.failure = text = reason.getErrorMessage()
            isWorker = reason.check("smtpsource.workers.link.WorkerFailed")
            self.recorder.error("no-workers" if isWorker else "no-destination", text)
        self._run.abandon()

    # The end: whatever is raised here, there is a summary

    def _sessionsOver(self) -> None:
        if self._ending:
            return
        self._ending = True
        self._run.reserve.release()
        self._endOthers()
        self._beginning.breakOff()
        self._whereabouts.stop()
        known, measuring = self._assessment.known, self._measuring
        for part in (
            self._endWarmUp,
            measuring.loadOver,
            self._run.closeLedger,
            measuring.endProcessTime,
            measuring.end,
        ):
            known(part, None)
        if self._delivery is None or not self._measuring.hasBegun:
            self._stopSink()
            return
        if not (OURS - {WORKER_LOST}).isdisjoint(self.recorder.errors):
            self._delivery.giveUp("the generator broke down")
        # What the server does now is none of the load.
        self._watch.goOn(measuring.figures)
        self._delivery.drain(self._plan.drainQuiet, self._plan.drainTimeout).addCallback(lambda _: self._stopSink())

    def _stopSink(self) -> None:
        self._run.closeLog().addCallback(lambda _: self._logClosed())

    def _logClosed(self) -> None:
        sink = self._beginning.sink
        if sink is None:
            self._finish()
        else:
            sink.stop().addBoth(self._sinkStopped, sink.isDestination)

    def _endWarmUp(self) -> None:
        if self._measuring.hasBegun and self._run.warmingUp:
            self._run.endInWarmUp()

    def _sinkStopped(self, result: dict[str, Any] | Failure, isDestination: bool) -> None:
        if isDestination:
            self._assessment.known(lambda: self._assessment.compare(result), None)
        if self._delivery is not None and self._measuring.hasBegun:
            self._assessment.known(self._judge, None)
        self._finish()

    def _judge(self) -> None:
        assert self._delivery is not None
        self._assessment.judgement = judgement = self._delivery.finish()
        self._measuring.judged(judgement)

    def _endOthers(self) -> None:
        """
        What goes on beside the run has to end.
        """
        if self._othersOver is None:
            grace = self._plan.grace
            self._othersOver = DeferredList([maybeDeferred(end, grace) for end in self._endings], consumeErrors=True)

    def _finish(self) -> None:
        self._endOthers()
        assert self._othersOver is not None
        self._othersOver.addCallback(lambda _: self._end())

    def _end(self) -> None:
        if self._summary is None:
            if self._delivery is not None:
                self._delivery.close()
            assessment, measuring = self._assessment, self._measuring
            assessment.known(lambda: assessment.check(measuring.figures), None)
            self._summary = measuring.summarize(
                assessment, self.marks, stopped=self._stopping, delivers=self._delivery is not None
            )
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                one.callback(self._summary)
