"""
The figures that can be asked of a run by name: C{rate}, C{errors}, C{p99(message)}.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smtpsource.measure.histogram import highestOf, lowestOf, middleOf, percentiles
from smtpsource.measure.snapshot import Snapshot
from smtpsource.phases import ARRIVAL, DELIVERY, LATE, NAMES, RESPONSE
from smtpsource.values import numbers

if TYPE_CHECKING:
    from fractions import Fraction

    from smtpsource.measure.judgement import Judgement

_METRIC = re.compile(r"([A-Za-z]+)([0-9]+(?:\.[0-9]+)?)?(?:\s*\(\s*([^\s()]*)\s*\))?")

#: The word of a percentile, and those that stand before a phase as they are.
_PERCENTILE = "p"
_STATISTICS = ("min", "mean", "max", "count")


#: The phases that only ledgers of both ends know.
_DELIVERED = (DELIVERY, ARRIVAL)


class Unmeasured(Exception):
    """
    There is no such figure; the text says why.
    """


@dataclass(frozen=True)
class Kind:
    """
    What a metric counts.

    @ivar wanted: what can be compared with it.
    @ivar example: one such value, or two.
    @ivar exact: gives what a text means: in seconds, per second, or as a number.
    @ivar show: a figure for people.
    """

    wanted: str
    example: str
    exact: Callable[[str], Fraction]
    show: Callable[[float], str]

    def value(self, text: str) -> Fraction:
        """
        What a user means by a text. There may be a space before a unit.

        @raise ValueError: nothing that can be compared with it.
        """
        return self.exact(re.sub(r"(?<=[0-9])\s+(?=[A-Za-z/])", "", text))

    def isFraction(self, text: str) -> bool:
        """
        Is it a part of one, where only whole numbers are? Then a user means per cent.
        """
        return self.exact is numbers.exactCount and re.fullmatch(r"[0-9]*\.[0-9]*[1-9][0-9]*", text) is not None


def digits(number: float) -> str:
    """
    A number for people, with the 6 first digits or those before its point.
    """
    return f"{number:.0f}" if number >= 1e5 else f"{number:.6g}"


def _showTime(seconds: float) -> str:
    if seconds < 0.001:
        return f"{digits(seconds * 1e6)} us"
    return f"{digits(seconds * 1e3)} ms" if seconds < 1 else f"{digits(seconds)} s"


TIME = Kind("a time", "250ms, 1m30s or, in seconds, 0.25", numbers.exactTime, _showTime)
RATE = Kind("a rate", "500/s or 0.99 * asked", numbers.exactRate, lambda rate: f"{digits(rate)}/s")
COUNT = Kind("a whole number, or per cent of the started messages", "0 or 0.1%", numbers.exactCount, digits)


@dataclass(frozen=True)
class Metric:
    """
    One figure of a run.

    @ivar name: as a user writes it.
    @ivar read: gives it, or raises L{Unmeasured}.
    @ivar scheduled: it has a meaning only if the run has a schedule.
    @ivar delivered: only if there are ledgers of both ends.
    @ivar minds: the figure of a verdict in whose place a threshold on this one is.
    @ivar phase: the phase that it is of, if it is of one.
    """

    name: str
    kind: Kind
    read: Callable[[Snapshot], float]
    scheduled: bool = False
    delivered: bool = False
    minds: str = ""
    phase: int | None = None


def metricOf(text: str, onlyLedger: bool = False) -> Metric:
    """
    Find a metric by its name.

    @param onlyLedger: is nothing known but what ledgers of both ends say?
    @raise ValueError: there is none of that name; the text says which there are.
    """
    plain = {name: metric for name, metric in _PLAIN.items() if metric.delivered or not onlyLedger}
    match = _METRIC.fullmatch(text)
    if match is not None:
        word, number, phase = match.groups()
        if phase is None and number is None and word in plain:
            return plain[word]
        if phase is not None and (word == _PERCENTILE if number else word in _STATISTICS):
            return _ofPhase(word, number, _phase(phase, onlyLedger))
    raise ValueError(
        f"expected a metric, one of {', '.join(plain)}, or p99, {', '.join(_STATISTICS)} and a phase, such as "
        f"p99({'delivery' if onlyLedger else 'message'}), not {text!r}{_suggestion(text, plain)}"
    )


def _phase(name: str, onlyLedger: bool) -> int:
    names = [NAMES[phase] for phase in _DELIVERED] if onlyLedger else NAMES
    if name not in names:
        raise ValueError(f"expected a phase, one of {', '.join(names)}, not {name!r}{_suggestion(name, names)}")
    return NAMES.index(name)


def _suggestion(text: str, known: Sequence[str] | dict[str, Metric]) -> str:
    from difflib import get_close_matches  # only where something is wrong

    close = get_close_matches(text, known, 1)
    return f" (did you mean {close[0]}?)" if close else ""


def _ofPhase(word: str, number: str | None, phase: int) -> Metric:
    """
    The metric C{word} C{number}C{(phase)}, such as C{p99(message)}.
    """
    scheduled, delivered = phase in (RESPONSE, LATE, ARRIVAL), phase in _DELIVERED
    if number is not None and not 0 <= float(number) <= 100:
        raise ValueError(f"expected a percentile from p0 to p100, not p{number}")
    if word == "count":
        return Metric(
            f"count({NAMES[phase]})",
            COUNT,
            lambda figures: sum(figures.buckets[phase]),
            scheduled,
            delivered,
            phase=phase,
        )
    statistic = _percentile(float(number)) if number is not None else _STATISTIC_OF[word]

    def read(figures: Snapshot) -> float:
        counts = figures.buckets[phase]
        if any(counts):
            return statistic(counts)
        if phase == LATE and figures.counters.started:
            return 0.0  # it has those only that were late, so nothing in it is as good as can be
        raise Unmeasured(f"no {NAMES[phase]} was measured")

    return Metric(f"{word}{number or ''}({NAMES[phase]})", TIME, read, scheduled, delivered, phase=phase)


def _percentile(wanted: float) -> Callable[[Sequence[int]], float]:
    return lambda counts: percentiles(counts, (wanted,))[0]


def _minimum(counts: Sequence[int]) -> float:
    return lowestOf(next(index for index, count in enumerate(counts) if count)) / 1e6


def _maximum(counts: Sequence[int]) -> float:
    return highestOf(max(index for index, count in enumerate(counts) if count)) / 1e6


def _mean(counts: Sequence[int]) -> float:
    return sum(middleOf(index) * count for index, count in enumerate(counts) if count) / sum(counts) / 1e6


_STATISTIC_OF = {"min": _minimum, "mean": _mean, "max": _maximum}


def _rate(messages: Callable[[Snapshot], float]) -> Callable[[Snapshot], float]:
    def read(figures: Snapshot) -> float:
        count = messages(figures)
        if figures.seconds <= 0:
            raise Unmeasured("no time was measured")
        return count / figures.seconds

    return read


def _asked(figures: Snapshot) -> float:
    if figures.asked is None:
        raise Unmeasured("no rate was asked for")
    return figures.asked


def _askedRate(figures: Snapshot) -> float:
    asked = _asked(figures)
    seconds = figures.at if figures.scheduledSeconds is None else figures.scheduledSeconds
    if seconds <= 0:
        raise Unmeasured("no time was measured")
    return asked / seconds


def _scheduled(count: Callable[[Snapshot], int]) -> Callable[[Snapshot], float]:
    def read(figures: Snapshot) -> float:
        _asked(figures)
        return count(figures)

    return read


def _counted(name: str, counter: str | None = None, *, scheduled: bool = False) -> Metric:
    """
    One of L{smtpsource.measure.counters.Counters}.

    @param counter: its name, if that is another.
    """
    count = operator.attrgetter(f"counters.{counter or name}")
    return Metric(name, COUNT, _scheduled(count) if scheduled else count, scheduled)


def _judged(
    name: str, kind: Kind = COUNT, of: Callable[[Judgement], float] | None = None, *, minds: str = ""
) -> Metric:
    """
    What a judgement says.

    @param of: where it says that, if it is no field of that name.
    @param minds: see L{Metric}.
    """
    value: Callable[[Judgement], float] = of or operator.attrgetter(name)

    def read(figures: Snapshot) -> float:
        if figures.judgement is None:
            raise Unmeasured("there was no ledger of where messages arrive")
        return value(figures.judgement)

    return Metric(name, kind, read, delivered=True, minds=minds)


def _lost(judgement: Judgement) -> float:
    if judgement.queued:
        raise Unmeasured(f"not known: {judgement.queued} acknowledged had not arrived, and may still")
    return judgement.lost


def _drain(judgement: Judgement) -> float:
    if not judgement.drained:
        raise Unmeasured("the queue was not seen to drain")
    if judgement.drain is None:
        raise Unmeasured("when it arrived is not known" if judgement.arrivals else "nothing has arrived")
    return judgement.drain


ACCEPTED = _counted("accepted")
STARTED = _counted("started")

#: Those without a phase. C{rate} is of accepted messages.
_PLAIN = {
    metric.name: metric
    for metric in (
        Metric("rate", RATE, _rate(ACCEPTED.read)),
        Metric("asked", RATE, _askedRate, scheduled=True),
        STARTED,
        ACCEPTED,
        _counted("rejected"),
        _counted("failed"),
        Metric("errors", COUNT, lambda figures: figures.counters.rejected + figures.counters.failed),
        _counted("late", scheduled=True),
        _counted("dropped", scheduled=True),
        _counted("connectionsLost"),
        _counted("connectFailures", "connectionsFailed"),
        _judged("lost", of=_lost, minds="lost"),
        *(_judged(name, minds=name) for name in ("duplicated", "corrupted", "misdelivered", "astray")),
        _judged("unexcused", minds="duplicated"),
        *map(_judged, ("bounced", "queued", "recovered")),
        _judged("ghost", of=operator.attrgetter("ghosts")),
        _judged("backlog", of=operator.attrgetter("backlogPeak")),
        _judged("drain", TIME, _drain),
    )
}
