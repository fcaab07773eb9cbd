"""
A run as a service: in a Twisted program, in a trial test, under twistd.
"""

from __future__ import annotations

import datetime
import os
import time
from bisect import insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from errno import ENOENT
from sys import maxsize
from typing import TYPE_CHECKING, Any, cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, gatherResults, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorProcess
from twisted.logger import Logger
from twisted.python.failure import Failure

from smtpsource.load.kinds import kindOf
from smtpsource.load.watch import Watch
from smtpsource.measure.counters import OUTCOMES, AddressCounts, sums
from smtpsource.measure.environment import environment
from smtpsource.measure.judgement import Delivered, Judgement
from smtpsource.measure.marks import Mark
from smtpsource.measure.minutes import Minutes, usual
from smtpsource.measure.progress import DELIVERING, WAITING, Progress
from smtpsource.measure.recorder import Recorder
from smtpsource.measure.snapshot import Snapshot
from smtpsource.measure.summary import Summary
from smtpsource.measure.summing import Facts, measured, summaryOf
from smtpsource.measure.timeline import Timeline
from smtpsource.net.destination import (
    Address,
    HostDestination,
    ResolutionFailed,
    SinkDestination,
    TCPAddress,
    UNIXDestination,
    resolve,
)
from smtpsource.net.reactorchoice import nameOf
from smtpsource.net.steady import keepSteady
from smtpsource.net.tls.settings import NO_TLS
from smtpsource.plan import SourcePlan
from smtpsource.process.unexpected import OURS, WORKER_LOST, named

if TYPE_CHECKING:
    from smtpsource.interfaces import AnyReactor, IReactor
    from smtpsource.load.delivery import Delivery
    from smtpsource.load.ownsink import OwnSink
    from smtpsource.load.run import Run
    from smtpsource.load.workersrun import WorkersRun
    from smtpsource.load.workerswatch import WorkersWatch
    from smtpsource.measure.frame import Frame
    from smtpsource.measure.series import Sample
    from smtpsource.measure.step import Step
    from smtpsource.measure.thresholds import Outcome, Threshold
    from smtpsource.pacing.appointment import Appointment


_log = Logger()

#: Seconds that must be measured before a threshold can end a run: the first ones say little.
ABORT_AFTER = 5.0

#: A run that begins so many seconds later than it should is late.
_LATE = 0.1

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
        self._run = self._newRun(show, tell)
        self._sink: OwnSink | None = None
        self._sinkReport: dict[str, Any] | None = None
        self._judgement: Judgement | None = None
        self.marks: list[Mark] = []
        self.watched: Callable[[], Mapping[str, float]] = dict
        self._listeners: list[Callable[[Frame], None]] = []
        self._endings: list[Callable[[float], Deferred[Any]]] = []
        self._othersOver: Deferred[Any] | None = None
        self._addresses: Sequence[Address] = ()
        self._watch = self._newWatch(keepIntervals)
        drifting = [figure for one in plan.thresholds if not isinstance(one, str) for figure in one.drifting]
        self._minutes = Minutes((*drifting, *usual(plan.exercise, plan.openLoop)))
        self._figures = self._watch.snapshot()
        self._upkeep = self._watch.upkeep
        self._warmUp: dict[str, Any] | None = None
        self._waiting: list[Deferred[Summary]] = []
        self._summary: Summary | None = None
        self._tell = tell
        self._appointment: Appointment | None = None
        self._lookingAgain: IDelayedCall | None = None
        self._toldOfLookUp = False
        self._ending = self._measured = False
        self._failure: str | None = None
        self._outcomes: list[Outcome] = []
        self._stopping = False
        self._cannotPass: dict[Threshold, Outcome] = {}
        self._begun = self._beganRun = False
        self._started = datetime.datetime.now().astimezone()
        self._elapsed = 0.0
        self._cpuBefore = self._cpuAfter = self._run.processTime()

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
        run.whenLost = self._event
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
        self._started = datetime.datetime.now().astimezone()
        self._startTime = self._clock()
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
            if self._appointment is not None:
                self._appointment.breakOff()
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
        run, plan = self._run, self._plan
        begun, state = self._beganRun, self._state()
        # When the load is over nothing is asked for.
        asks = begun and state != DELIVERING
        duration = sum(seconds for seconds, _ in plan.stages) or plan.duration
        if duration is not None and not plan.stages:
            duration += plan.warmUp
        return Progress(
            at=max(0.0, run.clock() - run.startTime) if begun else 0.0,
            state=state,
            sessions=run.openSessions,
            asked=run.scheduledMessages() if asks else self._figures.asked if begun else None,
            askedRate=run.askedRate() if asks else None,
            overdue=run.overdue() if asks else None,
            ofWarmUp=run.ofWarmUp(),
            givesUpAt=run.givesUpAt() if begun else None,
            total=plan.messageLimit if plan.messageLimit < maxsize else None,
            duration=duration,
            exercise=plan.exercise,
            search=run.searching,
            hints=run.standingHints,
            delivered=self._delivered(),
            awaited=None if self._delivery is None else self._delivery.awaited(),
            workers=run.working,
            startsIn=None if self._appointment is None else self._appointment.left,
        )

    def _state(self) -> str:
        if self._summary is not None:
            return "over"
        if self._delivery is not None and self._delivery.waiting:
            return DELIVERING
        if self._appointment is not None:
            return WAITING
        return self._run.state if self._beganRun else "starting"

    def _delivered(self) -> Delivered | None:
        return None if self._delivery is None else self._delivery.delivered()

    def _deliveredNow(self) -> Delivered | None:
        return None if self._delivery is None else self._delivery.upToDate()

    def byAddress(self) -> dict[str, AddressCounts]:
        """
        See L{smtpsource.measure.progress.Running}.
        """
        return self._run.byAddress() if self._beganRun else {}

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
        if not self._beganRun:
            return 0.0
        passed = (self._run.clock() if self._summary is None else self._run.endedAt()) - self._startTime
        warms = self._plan.warmUp and self._warmUp is None
        return passed - self._plan.warmUp if warms else passed

    def mark(self, text: str, kind: str = "note") -> Mark:
        """
        Mark this moment.

        @param text: what it is, as one line.
        @param kind: one of L{smtpsource.measure.marks.KINDS}.
        """
        mark = Mark(self.now(), text, kind)
        self.marks.append(mark)
        return mark

    def _event(self, text: str, earlier: float = 0.0) -> None:
        """
        Mark what has happened to the run itself.

        @param earlier: so many seconds ago.
        """
        mark = Mark(self.now() - earlier, text, "event")
        insort(self.marks, mark, key=lambda each: each.at)

    def remark(self, mark: Mark, **more: Any) -> Mark:
        """
        More is known of a moment that was marked.

        @param more: fields of L{Mark}.
        @return: what stands in its place now.
        """
        place = next(place for place, each in enumerate(self.marks) if each is mark)
        self.marks[place] = replace(mark, **more)
        return self.marks[place]

    def facts(self) -> Facts:
        """
        What is known of the run by now besides what was counted and timed. How long it took, and how much CPU time, is
        0 until the load is over.
        """
        run, known = self._run, self._known
        upkeep = self._upkeep if self._ending else self._watch.upkeep
        reactor, started = nameOf(self._reactor), self._started.isoformat(timespec="milliseconds")
        surroundings = known(lambda: environment(reactor, started), {})
        if run.ledgers:
            surroundings["ledger"] = run.ledgers[0] if len(run.ledgers) == 1 else list(run.ledgers)
        if run.workers:
            surroundings["workers"] = list(run.workers)
        if run.messageLog is not None:
            surroundings["messageLog"] = {**run.messageLog, "file": self._plan.logMessages}
        return Facts(
            command=self._plan.command,
            run=run.id.decode("ascii"),
            seed=self._plan.seedInUse,
            reactor=reactor,
            started=started,
            elapsed=self._elapsed,
            user=self._cpuAfter[0] - self._cpuBefore[0],
            system=self._cpuAfter[1] - self._cpuBefore[1],
            exercise=self._plan.exercise,
            percentiles=self._plan.percentiles,
            environment=surroundings,
            warmUp=self._warmUp,
            exhausted=run.exhausted,
            catchUp=run.catchUp,
            limits=known(lambda: tuple(run.limits(upkeep)), ()),
            disturbances=known(lambda: tuple(run.disturbances(upkeep)), ()),
            hints=run.standingHints,
            incomplete=tuple(run.incomplete),
            search=known(lambda: run.found, None),
            addresses=known(self.byAddress, {}),
            marks=tuple(self.marks),
            thresholds=tuple(self._outcomes),
            judgement=self._judgement,
            sink=self._sinkReport,
        )

    def summaryNow(self) -> Summary:
        """
        The summary of what has happened so far, or of the whole run when it is over. It takes a millisecond or
        two; so before the end there is no timeline in it, and no figures of latencies but for their buckets: see
        L{smtpsource.measure.summing.withLatencies}.
        """
        if self._summary is not None:
            return self._summary
        before = self._figures, self._elapsed, self._cpuAfter
        if not self._ending and self._beganRun:
            self._figures = replace(self._watch.snapshot(), minutes=self._minutes)
            self._elapsed = self._figures.at
            self._cpuAfter = self._run.processTime()
        try:
            return replace(self._summarize(quickly=True), ended="running", exit=0, reason=None)
        finally:
            self._figures, self._elapsed, self._cpuAfter = before

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
        destination, errors = self._plan.destination, self.recorder.errorSamples
        if self._plan.tolerant or not self._beganRun:
            return False
        if isinstance(destination, UNIXDestination):
            missing = os.strerror(ENOENT) in errors.get("connect-failed", "")
            return destination.scheme is not None and not self._run.reached and missing
        if not isinstance(destination, HostDestination) or destination.scheme != "smtps":
            return False
        return not self.recorder.tls and NO_TLS in errors.get("tls-failed", "")

    # The course of a run

    def _begin(self) -> None:
        if self._stopping:
            return
        ready = self._run.prepare()
        ofOurs = isinstance(self._plan.destination, SinkDestination) or self._plan.deliverTo is not None
        find = self._startSink if ofOurs else self._resolve
        found: Deferred[list[Address]] = maybeDeferred(find)
        found.addCallback(self._withinReach)
        # Both take their time; whichever fails first is the end.
        both: Deferred[list[Any]] = gatherResults([found, ready], consumeErrors=True)
        both.addCallbacks(lambda results: self._bothReady(results[0]), lambda reason: reason.value.subFailure)
        both.addCallback(self._whenItIsTime)
        both.addCallbacks(lambda addresses: self._run.guarded(self._beginSessions, addresses), self._notBegun)

    def _bothReady(self, addresses: list[Address]) -> list[Address]:
        if self._sink is not None and not self._ending:
            self._sink.watchDelivery()
        return addresses

    def _startSink(self) -> Deferred[list[Address]]:
        from smtpsource.load.ownsink import OwnSink  # a run against another server needs none of it

        self._sink = OwnSink(self._reactor, self._plan, self._run)
        started: Deferred[Any] = self._sink.start()
        return started if self._sink.isDestination else started.addCallback(lambda _: self._resolve())

    @property
    def _delivery(self) -> Delivery | None:
        return None if self._sink is None else self._sink.delivery

    def _resolve(self) -> Deferred[list[Address]]:
        destination = self._plan.destination
        assert not isinstance(destination, str | SinkDestination)
        if not self._plan.mx:
            return resolve(self._reactor, destination)
        from smtpsource.net.mx import lookUp  # twisted.names takes a while

        assert isinstance(destination, HostDestination) and not isinstance(self._plan.dnsServer, str)
        found = lookUp(self._reactor, destination.host, self._plan.dnsServer, destination.family)
        port = destination.port
        return found.addCallback(
            lambda hosts: [TCPAddress(host.address, port, host.name, host.preference) for host in hosts]
        )

    def _withinReach(self, addresses: list[Address]) -> list[Address]:
        sources = self._run.sources
        if sources is not None:
            addresses = [address for address in addresses if sources.reach(address)]
            if not addresses:
                raise ResolutionFailed("no address of the destination is of the same family as one to bind to")
        return addresses

    def _whenItIsTime(self, addresses: list[Address]) -> list[Address] | Deferred[list[Address]]:
        """
        Go on with these at the time that the plan has for it.
        """
        at = self._plan.startAt
        if at is None or self._stopping:
            return addresses
        from smtpsource.pacing.appointment import Appointment  # for those who have one

        assert isinstance(at, float)
        lead = self._run.beginsAt() - self._clock()
        self._appointment = appointment = Appointment(self._reactor, at - lead)
        why = "this process was held up" if appointment.left else "it took that long to find the destination"

        def begin(late: float) -> list[Address]:
            self._appointment = None
            if late > _LATE and self._started.timestamp() < at:
                self._tell(f"the run begins {late:.1f} s late: {why}")
            return addresses

        return appointment.wait().addCallback(begin)

    def _beginSessions(self, addresses: list[Address]) -> None:
        if self._ending:
            return  # it was stopped meanwhile
        # The time to find the destination, or to start one, is not the server's.
        began = self._run.beginsAt()
        self._measure(began)
        if self._stopping or self._run.draining:
            self._run.abandon()
        else:
            self._beganRun = True
            self._addresses = addresses
            self._run.begin(addresses, began)
            self._lookAgainLater()

    def _lookAgainLater(self) -> None:
        seconds = self._plan.resolveAgain
        if seconds is not None and not self._ending:
            self._lookingAgain = self._reactor.callLater(seconds, self._run.guarded, self._lookAgain)

    def _lookAgain(self) -> None:
        """
        Look for the destination's addresses again, while the run goes on with those that are known.
        """
        found: Deferred[list[Address]] = maybeDeferred(self._resolve)
        found.addCallback(self._withinReach).addCallbacks(self._foundAgain, self._notFoundAgain)
        found.addErrback(lambda reason: self._run.broken(reason.value))

    def _foundAgain(self, addresses: list[Address]) -> None:
        if self._ending:
            return
        if set(addresses) != set(self._addresses):
            self._addresses = addresses
            self._event(f"the destination has other addresses: {', '.join(map(str, addresses))}")
        self._run.reroute(addresses)
        self._lookAgainLater()

    def _notFoundAgain(self, reason: Failure) -> None:
        """
        The name server may have its troubles: that is none of the mail server.
        """
        reason.trap(ResolutionFailed)
        if self._ending:
            return
        text = reason.getErrorMessage()
        self.recorder.error("no-new-addresses", text)
        if not self._toldOfLookUp:
            self._toldOfLookUp = True
            self._tell(f"{text}; the run goes on with the addresses that it has")
        self._lookAgainLater()

    def _measure(self, began: float) -> None:
        """
        Measure from now on.

        @param began: when that is, which may be some microseconds ago, or, of workers, soon.
        """
        self._startTime = began
        self._cpuBefore = self._cpuAfter = self._run.processTime()
        if self._warmUp is None:
            ahead = datetime.timedelta(seconds=began - self._clock())
            self._started = (datetime.datetime.now() + ahead).astimezone()
        self._watch.start(began)

    def _cut(self, frame: Frame) -> None:
        if frame.lag >= _STILL:
            self._event(f"the generator stood still for {frame.lag:.1f} s", frame.lag)
        if not self._measured:
            self._minutes.add(frame)
        for listener in self._listeners:
            listener(frame)

    def _sampled(self, snapshot: Snapshot) -> None:
        """
        A second has passed: is there a threshold that has failed?
        """
        if not self._plan.abortOnThreshold or snapshot.at < ABORT_AFTER or self._cannotPass or self._ending:
            return
        if self._plan.warmUp and self._warmUp is None:
            return  # nothing of it is measured
        if snapshot.delivered is not None:
            # So much is known for sure.
            known = Judgement(verdict="inconclusive", backlogPeak=snapshot.delivered.peak)
            snapshot = replace(snapshot, judgement=known)
        snapshot = replace(snapshot, minutes=self._minutes)
        for threshold in self._plan.thresholds:
            assert not isinstance(threshold, str)
            outcome = threshold.cannotPass(snapshot)
            if outcome is not None:
                self._cannotPass[threshold] = outcome
                self._run.trouble(f"threshold {outcome.text!r} failed: {outcome.actual}", tolerable=False)
                return

    def _warm(self, began: float) -> dict[str, Any]:
        """
        The warm-up is over.

        @param began: when measuring began.
        @return: the warm-up's counts.
        """
        recorder = self.recorder
        self._warmUp = {"seconds": began - self._startTime, **sums((recorder,), OUTCOMES)}
        lost, sample = recorder.errors.get(WORKER_LOST), recorder.errorSamples.get(WORKER_LOST)
        recorder.restart()
        if lost is not None and sample is not None:
            # They are lost to what is measured, too.
            recorder.errors[WORKER_LOST], recorder.errorSamples[WORKER_LOST] = lost, sample
        self._run.restartAddresses()
        if self._delivery is not None:
            self._delivery.restart()
        self._measure(began)
        return self._warmUp

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
            self._failure = reason.getErrorMessage()
            isWorker = reason.check("smtpsource.workers.link.WorkerFailed")
            self.recorder.error("no-workers" if isWorker else "no-destination", self._failure)
        self._run.abandon()

    # The end: whatever is raised here, there is a summary

    def _sessionsOver(self) -> None:
        if self._ending:
            return
        self._ending = True
        self._run.reserve.release()
        self._endOthers()
        if self._appointment is not None:
            self._appointment.breakOff()
        if self._lookingAgain is not None and self._lookingAgain.active():
            self._lookingAgain.cancel()
        self._known(self._endWarmUp, None)
        # Workers are told to begin a moment later; the run may be stopped in between.
        self._elapsed = max(0.0, self._run.endedAt() - self._startTime) if self._beganRun else 0.0
        self._known(self._run.closeLedger, None)
        self._cpuAfter = self._known(self._run.processTime, self._cpuBefore)
        self._known(self._endMeasuring, None)
        if self._delivery is None or not self._beganRun:
            self._stopSink()
            return
        if not (OURS - {WORKER_LOST}).isdisjoint(self.recorder.errors):
            self._delivery.giveUp("the generator broke down")
        # What the server does now is none of the load.
        self._watch.goOn(self._figures)
        self._delivery.drain(self._plan.drainQuiet, self._plan.drainTimeout).addCallback(lambda _: self._stopSink())

    def _stopSink(self) -> None:
        self._run.closeLog().addCallback(lambda _: self._logClosed())

    def _logClosed(self) -> None:
        if self._sink is None:
            self._finish()
        else:
            self._sink.stop().addBoth(self._sinkStopped)

    def _endWarmUp(self) -> None:
        if self._beganRun and self._run.warmingUp:
            self._run.endInWarmUp()

    def _endMeasuring(self) -> None:
        self._figures = replace(self._watch.finish(), minutes=self._minutes)
        self._upkeep = self._watch.upkeep
        self._measured = True
        self._minutes.end(self._figures.at)

    def _checkThresholds(self) -> None:
        # What has ended the run stays what it was then.
        self._outcomes = [
            self._cannotPass.get(t) or t.check(self._figures) for t in self._plan.thresholds if not isinstance(t, str)
        ]

    def _sinkStopped(self, result: dict[str, Any] | Failure) -> None:
        assert self._sink is not None
        report = None
        if self._sink.isDestination:
            self._known(lambda: self._compare(result), None)
            report = None if isinstance(result, Failure) else result
        if self._delivery is not None and self._beganRun:
            self._known(self._judge, None)
        self._sinkReport = report
        self._finish()

    def _judge(self) -> None:
        """
        What has become of every message.
        """
        assert self._delivery is not None
        self._judgement = judgement = self._delivery.finish()
        # Rates and counts are of the load; what is known of deliveries is known now.
        now = self._watch.finish()
        self._figures = replace(self._figures, buckets=now.buckets, judgement=judgement)

    def _compare(self, result: dict[str, Any] | Failure) -> None:
        """
        The server's own count is the judge of ours.
        """
        if isinstance(result, Failure):
            if self._failure is None:
                self.recorder.error("no-sink-report", result.getErrorMessage())
                self._failure = result.getErrorMessage()
        elif self._plan.exercise == "mail" and result["messages"] < self.recorder.accepted:
            self._failure = f"the sink counted only {result['messages']} of {self.recorder.accepted} accepted messages"
            self.recorder.error("lost-by-server", self._failure)

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
            self._known(self._checkThresholds, None)
            self._summary = self._summarize()
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                one.callback(self._summary)

    def _known(self, find: Callable[[], Any], otherwise: Any) -> Any:
        """
        A part of the end.

        @param otherwise: what to give if C{find} raises something: then the run has failed.
        """
        try:
            return find()
        except Exception as e:
            kind, text = named(e)
            self.recorder.error(kind, text)
            self._failure = self._failure or f"{kind}: {text}"
            return otherwise

    def _exit(self, reason: str | None) -> int:
        """
        The exit status that this run deserves.
        """
        recorder = self.recorder
        if self._run.incomplete or not OURS.isdisjoint(recorder.errors):
            return 1  # its figures are not to be judged by
        limit = self._plan.messageLimit
        wholeTime = not self._stopping and (limit == maxsize or self._plan.duration is not None)
        complete = wholeTime or recorder.accepted == limit
        if self._stopping and self._plan.hold:
            complete = False  # connections were to be held for longer
        spotless = recorder.accepted == recorder.started and not (recorder.recipientsRejected or recorder.dropped)
        # After a reply too many nobody knows what the others answer; and idle load is all about idle connections.
        if "unexpected-reply" in recorder.errors or (self._plan.hold and "closed-while-idle" in recorder.errors):
            spotless = False
        if not all(outcome.passed for outcome in self._outcomes):
            return 3
        if self._delivery is not None and not self._isDelivered():
            return 1
        found = self._run.found
        if found is not None:
            # What rates that are too high have done to messages is part of the search.
            return 1 if reason is not None or self._stopping else 0 if found.rate is not None else 3
        return 0 if reason is None and complete and spotless else 1

    def _isDelivered(self) -> bool:
        """
        Has all become of the messages that should, but for what thresholds are on?
        """
        if self._judgement is None:
            return False
        from smtpsource.measure.thresholds import verdictBesides  # there may be none

        known = [threshold for threshold in self._plan.thresholds if not isinstance(threshold, str)]
        return verdictBesides(known, self._judgement) == "pass"

    def _summarize(self, *, quickly: bool = False) -> Summary:
        facts = self.facts()
        series, figures = self._watch.series, self._figures
        found = measured(
            *(self.recorder, figures, facts.elapsed, series.samples, lambda: self.timeline.steps, self._known),
            quickly=quickly,
        )
        reason = self._failure or self._run.reason
        return summaryOf(
            facts,
            found,
            exit=self._known(lambda: self._exit(reason), 1),
            ended="aborted" if reason is not None else "signal" if self._stopping else "done",
            reason=reason,
            intervals=self._watch.series.intervals,
        )
