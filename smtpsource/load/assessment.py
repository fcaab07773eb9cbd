"""
What a run is judged by: its thresholds, what has become of its messages, and what of it could not be told.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from errno import ENOENT
from sys import maxsize
from typing import TYPE_CHECKING, Any

from twisted.python.failure import Failure

from smtpsource.measure.judgement import Judgement
from smtpsource.net.destination import HostDestination, UNIXDestination
from smtpsource.net.tls.settings import NO_TLS
from smtpsource.process.unexpected import OURS, named

if TYPE_CHECKING:
    from smtpsource.load.run import Run
    from smtpsource.load.workersrun import WorkersRun
    from smtpsource.measure.snapshot import Snapshot
    from smtpsource.measure.thresholds import Outcome, Threshold
    from smtpsource.plan import SourcePlan

#: Seconds that must be measured before a threshold can end a run: the first ones say little.
ABORT_AFTER = 5.0


class Assessment:
    """
    Looks at a run while it goes on, and gives its exit status in the end.

    @ivar failure: what has failed besides the run, as one line.
    @ivar outcomes: what became of the thresholds, when that is known.
    @ivar judgement: what became of every message, if ledgers of both ends say so.
    @ivar sinkReport: the report of the sink that was the destination.
    """

    def __init__(self, plan: SourcePlan, run: Run | WorkersRun) -> None:
        self._plan = plan
        self._run = run
        self._recorder = run.recorder
        self._thresholds: Sequence[Threshold] = [one for one in plan.thresholds if not isinstance(one, str)]
        self._cannotPass: dict[Threshold, Outcome] = {}
        self.failure: str | None = None
        self.outcomes: Sequence[Outcome] = ()
        self.judgement: Judgement | None = None
        self.sinkReport: dict[str, Any] | None = None

    @property
    def reason(self) -> str | None:
        """
        What ended the run before its time, or makes it worth nothing, as one line.
        """
        return self.failure or self._run.reason

    def known(self, find: Callable[[], Any], otherwise: Any) -> Any:
        """
        A part of the end.

        @param otherwise: what to give if C{find} raises something: then the run has failed.
        """
        try:
            return find()
        except Exception as e:
            kind, text = named(e)
            self._recorder.error(kind, text)
            self.failure = self.failure or f"{kind}: {text}"
            return otherwise

    def look(self, snapshot: Snapshot) -> None:
        """
        A second has passed: is there a threshold that has failed? If so, it ends the run.

        @param snapshot: what was measured so far.
        """
        if not self._plan.abortOnThreshold or snapshot.at < ABORT_AFTER or self._cannotPass:
            return
        if snapshot.delivered is not None:
            # So much is known for sure.
            known = Judgement(verdict="inconclusive", backlogPeak=snapshot.delivered.peak)
            snapshot = replace(snapshot, judgement=known)
        for threshold in self._thresholds:
            outcome = threshold.cannotPass(snapshot)
            if outcome is not None:
                self._cannotPass[threshold] = outcome
                self._run.trouble(f"threshold {outcome.text!r} failed: {outcome.actual}", tolerable=False)
                return

    def check(self, figures: Snapshot) -> None:
        """
        See what became of the thresholds.

        @param figures: all that was measured.
        """
        # What has ended the run stays what it was then.
        self.outcomes = [self._cannotPass.get(one) or one.check(figures) for one in self._thresholds]

    def compare(self, result: dict[str, Any] | Failure) -> None:
        """
        The sink that was the destination has ended: its own count is the judge of ours.

        @param result: its report, or why there is none.
        """
        if isinstance(result, Failure):
            if self.failure is None:
                self._recorder.error("no-sink-report", result.getErrorMessage())
                self.failure = result.getErrorMessage()
            return
        self.sinkReport = result
        accepted = self._recorder.accepted
        if self._plan.exercise == "mail" and result["messages"] < accepted:
            self.failure = f"the sink counted only {result['messages']} of {accepted} accepted messages"
            self._recorder.error("lost-by-server", self.failure)

    def exit(self, *, stopped: bool, delivers: bool) -> int:
        """
        The exit status that the run deserves.

        @param stopped: was it told to stop?
        @param delivers: is it known what the server has delivered?
        """
        plan, run, recorder, reason = self._plan, self._run, self._recorder, self.reason
        if run.incomplete or not OURS.isdisjoint(recorder.errors):
            return 1  # its figures are not to be judged by
        limit = plan.messageLimit
        wholeTime = not stopped and (limit == maxsize or plan.duration is not None)
        complete = wholeTime or recorder.accepted == limit
        if stopped and plan.hold:
            complete = False  # connections were to be held for longer
        spotless = recorder.accepted == recorder.started and not (recorder.recipientsRejected or recorder.dropped)
        # After a reply too many nobody knows what the others answer; and idle load is all about idle connections.
        if "unexpected-reply" in recorder.errors or (plan.hold and "closed-while-idle" in recorder.errors):
            spotless = False
        if not all(outcome.passed for outcome in self.outcomes):
            return 3
        if delivers and not self._isDelivered():
            return 1
        found = run.found
        if found is not None:
            # What rates that are too high have done to messages is part of the search.
            return 1 if reason is not None or stopped else 0 if found.rate is not None else 3
        return 0 if reason is None and complete and spotless else 1

    def _isDelivered(self) -> bool:
        """
        Has all become of the messages that should, but for what thresholds are on?
        """
        if self.judgement is None:
            return False
        from smtpsource.measure.thresholds import verdictBesides  # there may be none

        return verdictBesides(self._thresholds, self.judgement) == "pass"

    def isMisnamed(self) -> bool:
        """
        Did the run, which has begun, end with the first connection because the destination is not what its scheme says?
        """
        destination, errors = self._plan.destination, self._recorder.errorSamples
        if self._plan.tolerant:
            return False
        if isinstance(destination, UNIXDestination):
            missing = os.strerror(ENOENT) in errors.get("connect-failed", "")
            return destination.scheme is not None and not self._run.reached and missing
        if not isinstance(destination, HostDestination) or destination.scheme != "smtps":
            return False
        return not self._recorder.tls and NO_TLS in errors.get("tls-failed", "")
