"""
A search for the highest rate that keeps a promise: which rate comes next, and what is to be thought of each. Whoever
holds the rates is elsewhere.
"""

from __future__ import annotations

from smtpsource.measure.search import Found, Searching, Step
from smtpsource.measure.thresholds import Threshold
from smtpsource.measure.trial import Trial
from smtpsource.pacing.ratesearch import LONGER, LOWEST, REACHED, RateSearch
from smtpsource.plan import SourcePlan

#: The rate to begin with, in messages per second, where the plan has none.
FIRST = 100.0


class Search:
    """
    What is known of the rates that a plan's search has tried.
    """

    def __init__(self, plan: SourcePlan) -> None:
        """
        @param plan: one with a promise.
        """
        assert isinstance(plan.findRate, Threshold)
        self._promise = plan.findRate
        self._holdStep = plan.holdStep
        self._rates = RateSearch(plan.rate or FIRST, max(LOWEST, 1 / plan.holdStep))
        self._steps: list[Step] = []

    @property
    def next(self) -> tuple[float, float] | None:
        """
        What is to be tried now: how many messages per second, and for how many seconds. C{None}: the search is over.
        """
        rate = self._rates.rate
        return None if rate is None else (rate, self._holdStep * (LONGER if self._rates.purpose == "confirm" else 1))

    @property
    def found(self) -> Found:
        """
        What came of it, up to now.
        """
        return Found(self._promise.text, self._rates.best, tuple(self._steps))

    def searching(self, passed: float | None) -> Searching:
        """
        How far it has come.

        @param passed: for how many seconds the rate has been held that is tried now; C{None}: it is not yet.
        """
        rates, left, next_ = self._rates, self._rates.left, self.next
        seconds = None
        if left is not None:
            steps, again = left
            seconds = self._holdStep * (steps + LONGER * again)
            if next_ is not None and passed is not None:
                seconds = max(0.0, seconds - min(next_[1], passed))
        return Searching(
            len(self._steps) + (next_ is not None),
            rates.rate,
            rates.purpose,
            rates.low,
            rates.high,
            seconds,
            self._steps,
        )

    def judge(self, trial: Trial) -> str | None:
        """
        Was the promise kept, and the rate reached?

        @param trial: what came of what was to be tried.
        @return: why there is no use in going on, if so.
        """
        rate = self._rates.rate
        happened, started, unanswered = trial.happened, trial.started, trial.unanswered
        assert rate is not None and happened.asked is not None
        outcome = self._promise.check(happened.withUnanswered(unanswered, trial.waited))
        actual = outcome.actual
        if unanswered:
            actual = f"{unanswered} of {started} messages had no answer {trial.waited:.0f} s later; {actual}"
        reached = happened.asked - started <= max(1, (1 - REACHED) * happened.asked)
        if not reached:
            actual = f"only {started} of {happened.asked:.0f} messages could be started; {actual}"
        passed = outcome.passed and reached
        accepted = happened.counters.accepted
        step = Step(self._rates.purpose, rate, accepted / happened.at, passed, actual, outcome.passed, outcome.value)
        self._steps.append(step)
        if outcome.value is None and accepted:
            return f"{self._promise.text}: {outcome.actual}: no step will tell"
        if happened.asked and not any(step.achieved for step in self._steps):
            texts = (text for _, text in trial.errors.values())
            return f"nothing was accepted at {rate:g} messages/s: {next(texts, actual)}"
        self._rates.tried(passed)
        return None
