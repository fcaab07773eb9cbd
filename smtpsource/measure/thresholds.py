"""
Thresholds: what a user wants of a run, such as C{p99(message) < 250ms and errors < 0.1%}, and whether it was so.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from smtpsource.measure.figures import ACCEPTED, COUNT, RATE, STARTED, Metric, Unmeasured, digits, metricOf
from smtpsource.measure.snapshot import Snapshot
from smtpsource.values import numbers

if TYPE_CHECKING:
    from fractions import Fraction

    from smtpsource.measure.judgement import Judgement, Verdict

#: How a figure can be compared.
OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}

_COMPARISON = re.compile(r"([^<>=!]*?)\s*([<>=!]+)\s*(.*)", re.DOTALL)


@dataclass(frozen=True)
class _Comparison:
    """
    @ivar factor: of C{other}; without it, what C{metric} is compared with: in seconds, per second, a number, or per
        cent.
    """

    metric: Metric
    sign: str
    factor: Fraction
    other: Metric | None = None
    perCent: bool = False

    def check(self, figures: Snapshot, others: Snapshot | None = None) -> tuple[bool, str, float | None]:
        """
        @param others: where C{other} is taken from, if that is not C{figures}.
        @return: is it so, the figure as text, and as a number.
        """
        compare = OPERATORS[self.sign]
        show = self.metric.kind.show
        try:
            value = self.metric.read(figures)
            if self.perCent:
                started = figures.counters.started
                if not started:
                    raise Unmeasured("no message was started")
                # Whole numbers on both sides: 7 of 1000 are exactly 0.7 per cent.
                share = value * 100 / started
                passed = compare(value * 100 * self.factor.denominator, self.factor.numerator * started)
                return passed, f"{digits(share)}% ({digits(value)} of {started})", share
            if self.other is None:
                return compare(value, float(self.factor)), show(value), value
            limit = float(self.factor) * self.other.read(others or figures)
        except Unmeasured as e:
            return False, str(e), None
        factor = "" if self.factor == 1 else f"{digits(float(self.factor))} * "
        return compare(value, limit), f"{show(value)} ({factor}{self.other.name} is {show(limit)})", value

    def cannotPass(self, figures: Snapshot) -> bool:
        """
        While a run goes on: has it failed, whatever is still to come?

        What is not measured yet may come. Messages on their way may be accepted. Counts grow: one that is to be high is
        no failure before the end, only C{accepted} as a part of others is. Other parts, rates and latencies are taken
        for what they will be.
        """
        if self.sign == "!=":
            return False
        if self.sign == "==":
            return any(replace(self, sign=sign).cannotPass(figures) for sign in ("<=", ">="))
        atBest = _atBest(figures, self.metric)
        part = self.perCent or self.other is not None
        if self.sign in ("<", "<="):
            if self.metric.kind is COUNT and self.other not in (None, ACCEPTED, STARTED):
                return False
            passed, _, value = self.check(figures, atBest)
        else:
            if self.metric.kind is COUNT and not (self.metric is ACCEPTED and part):
                return False
            if self.metric.kind is RATE and not part and not self._asked(figures):
                return False
            passed, _, value = self.check(atBest, figures)
        return not passed and value is not None

    def _asked(self, figures: Snapshot) -> bool:
        """
        Has a schedule, if there is one, asked for so much up to now? Its rate may rise.
        """
        return figures.asked is None or replace(self, metric=metricOf("asked")).check(figures)[0]


def _atBest(figures: Snapshot, metric: Metric) -> Snapshot:
    """
    These figures, if all messages on their way had been accepted; for a rate with the one that a schedule may have
    asked for this very moment.
    """
    due = metric.kind is RATE and figures.asked is not None
    now = figures.counters
    best = replace(now, accepted=now.started - now.rejected - now.failed + due)
    return replace(figures, counters=best)


@dataclass(frozen=True)
class Outcome:
    """
    What became of a threshold.

    @ivar text: the threshold.
    @ivar passed: was it so?
    @ivar actual: what there was instead of what was wanted, or as wanted.
    @ivar value: the same as a number, in seconds, per second or per cent if it is one of these; C{None} if nothing was
        measured. Of several comparisons, that of the first one that failed, or of the first.
    """

    text: str
    passed: bool
    actual: str
    value: float | None


@dataclass(frozen=True)
class Threshold:
    """
    What is wanted of a run; made by L{parse<smtpsource.measure.thresholds.parse>}.

    @ivar text: as a user wrote it.
    """

    text: str
    _comparisons: tuple[_Comparison, ...] = field(compare=False, repr=False)

    def __reduce__(self) -> Any:
        """
        To another process it goes as its text.
        """
        return parse, (self.text,)

    @property
    def needsSchedule(self) -> bool:
        """
        Does it ask for something that only a run with a schedule has?
        """
        return any(metric.scheduled for metric in self._metrics())

    @property
    def needsLedger(self) -> bool:
        """
        Does it ask for something that is only known by ledgers of both ends?
        """
        return any(metric.delivered for metric in self._metrics())

    @property
    def minds(self) -> set[str]:
        """
        The figures of a verdict in whose place it is.
        """
        return {comparison.metric.minds for comparison in self._comparisons}

    def _metrics(self) -> list[Metric]:
        return [metric for c in self._comparisons for metric in (c.metric, c.other) if metric is not None]

    def check(self, figures: Snapshot) -> Outcome:
        """
        See whether it is so.

        A figure that there is not, such as the latency of a phase that never happened, is a failure.

        @param figures: of the measured time, as made by L{Snapshot.since}.
        """
        return self._outcome([comparison.check(figures) for comparison in self._comparisons])

    def cannotPass(self, figures: Snapshot) -> Outcome | None:
        """
        See, while a run goes on, whether it can't be so any more: of counts, whether they are too high; of latencies,
        rates and parts of the messages, whether they are wrong now, with messages on their way taken for accepted.

        @param figures: of the time measured so far.
        @return: what made it fail; C{None} if it may still be so.
        """
        failed = [comparison.cannotPass(figures) for comparison in self._comparisons]
        if not any(failed):
            return None
        checked = [comparison.check(figures) for comparison in self._comparisons]
        return self._outcome([(not bad, shown, value) for bad, (_, shown, value) in zip(failed, checked, strict=True)])

    def _outcome(self, results: list[tuple[bool, str, float | None]]) -> Outcome:
        passed = all(fine for fine, _, _ in results)
        value = next((value for fine, _, value in results if not fine), results[0][2])
        if len(results) == 1:
            return Outcome(self.text, passed, results[0][1], value)
        actual = ", ".join(
            f"{c.metric.name}: {shown}" for c, (_, shown, _) in zip(self._comparisons, results, strict=True)
        )
        return Outcome(self.text, passed, actual, value)


def verdictBesides(thresholds: Iterable[Threshold], judgement: Judgement) -> Verdict:
    """
    The verdict on what these thresholds say nothing of.
    """
    return judgement.verdictWithout(set[str]().union(*(threshold.minds for threshold in thresholds)))


def parse(text: str, *, onlyLedger: bool = False) -> Threshold:
    """
    Understand a threshold: comparisons of a metric with a value, joined by C{and}.

    @param onlyLedger: is nothing known but what ledgers of both ends say?
    @raise ValueError: it is none; the text says what was expected.
    """
    comparisons = [_comparison(part.strip(), onlyLedger) for part in re.split(r"\band\b", text)]
    return Threshold(" ".join(text.split()), tuple(comparisons))


def asThreshold(value: object) -> Threshold:
    """
    What a program may give for one: a text, or what L{parse} has made of it.

    @raise ValueError: it is something else.
    """
    if isinstance(value, str):
        return parse(value)
    if not isinstance(value, Threshold):
        raise ValueError("expected texts such as 'errors == 0'")
    return value


def _comparison(text: str, onlyLedger: bool) -> _Comparison:
    match = _COMPARISON.fullmatch(text)
    if match is None or not match[1]:
        example = "p99(message) < 250ms, rate >= 0.99 * asked or errors < 0.1%"
        if onlyLedger:
            example = "lost == 0 or p99(delivery) < 30s"
        raise ValueError(f"expected a comparison such as {example}, not {text!r}")
    metric = metricOf(match[1], onlyLedger)
    if match[2] not in OPERATORS:
        raise ValueError(f"expected one of {', '.join(OPERATORS)} after {metric.name}, not {match[2]!r}")
    return _Comparison(metric, match[2], *_operand(metric, match[2], match[3], onlyLedger))


def _operand(metric: Metric, sign: str, text: str, onlyLedger: bool) -> tuple[Fraction, Metric | None, bool]:
    """
    What a metric is compared with: number, metric, and whether it is per cent.
    """
    kind = metric.kind
    wrong = ValueError(f"expected {kind.wanted} after {metric.name} {sign}, such as {kind.example}, not {text!r}")
    if kind.isFraction(text):
        raise ValueError(
            f"expected a whole number after {metric.name} {sign}, or per cent of the started messages, such as "
            f"{metric.name} {sign} {text}%, not {text!r}"
        )
    try:
        if "%" in text and kind is COUNT:
            return numbers.exactNumber(text.removesuffix("of started").rstrip().removesuffix("%").rstrip()), None, True
        if "*" not in text and not text[:1].isalpha():
            return kind.value(text), None, False
        words = [word.strip() for word in text.split("*")]
        factors = [numbers.exactNumber(word) for word in words if not word[:1].isalpha()]
    except ValueError:
        raise wrong
    metrics = [word for word in words if word[:1].isalpha()]
    if len(factors) > 1 or len(metrics) != 1:
        raise wrong
    other = metricOf(metrics[0], onlyLedger)
    if other.kind is not kind:
        raise wrong
    return factors[0] if factors else numbers.exactNumber("1"), other, False
