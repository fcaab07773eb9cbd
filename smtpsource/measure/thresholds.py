"""
Thresholds: what a user wants of a run, such as C{p99(message) < 250ms and errors < 0.1%}, and whether it was so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from smtpsource.measure.comparisons import OPERATORS, Comparison
from smtpsource.measure.figures import COUNT, Metric, metricOf
from smtpsource.measure.snapshot import Snapshot
from smtpsource.values import numbers

if TYPE_CHECKING:
    from fractions import Fraction

    from smtpsource.measure.drifting import Drifting
    from smtpsource.measure.judgement import Judgement, Verdict
    from smtpsource.measure.minutes import Figure

_COMPARISON = re.compile(r"([^<>=!]*?)\s*([<>=!]+)\s*(.*)", re.DOTALL)

# What drifts may have any name.
_DRIFT = re.compile(r"drift\s*\(\s*(.*?)\s*\)\s*([<>=!]+)\s*([^<>=!()]*)", re.DOTALL)


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
    _comparisons: tuple[Comparison | Drifting, ...] = field(compare=False, repr=False)

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
    def drifting(self) -> list[Figure]:
        """
        The figures of which it asks how they drift.
        """
        return [comparison.figure for comparison in self._comparisons if not isinstance(comparison, Comparison)]

    @property
    def watched(self) -> list[str]:
        """
        The names of those of them that are watched besides.
        """
        words = [figure.name.partition("(") for figure in self.drifting]
        return [name[:-1] for kind, _, name in words if kind == "watched"]

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
    comparisons = [_comparison(part.strip(), onlyLedger) for part in _parts(text)]
    return Threshold(" ".join(text.split()), tuple(comparisons))


def _parts(text: str) -> list[str]:
    """
    What C{and} joins, where it is not in parentheses.
    """
    parts, depth = [""], 0
    for piece in re.split(r"([()]|\band\b)", text):
        depth += (piece == "(") - (piece == ")")
        if piece == "and" and depth <= 0:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


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


def _comparison(text: str, onlyLedger: bool) -> Comparison | Drifting:
    drift = None if onlyLedger else _DRIFT.fullmatch(text)
    if drift is not None:
        from smtpsource.measure.drifting import drifting  # few ask for it

        if drift[2] not in OPERATORS:
            raise ValueError(f"expected one of {', '.join(OPERATORS)} after drift({drift[1]}), not {drift[2]!r}")
        return drifting(*drift.groups())
    match = _COMPARISON.fullmatch(text)
    if match is None or not match[1]:
        example = "p99(message) < 250ms, rate >= 0.99 * asked or errors < 0.1%"
        if onlyLedger:
            example = "lost == 0 or p99(delivery) < 30s"
        raise ValueError(f"expected a comparison such as {example}, not {text!r}")
    metric = metricOf(match[1], onlyLedger)
    if match[2] not in OPERATORS:
        raise ValueError(f"expected one of {', '.join(OPERATORS)} after {metric.name}, not {match[2]!r}")
    return Comparison(metric, match[2], *_operand(metric, match[2], match[3], onlyLedger))


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
