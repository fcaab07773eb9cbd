"""
Changes from one run to another that are too much, such as C{p99(message) > +10%}.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from smtpsource.measure.comparisons import OPERATORS
from smtpsource.measure.figures import COUNT, TIME, Kind, Unmeasured, digits, metricOf
from smtpsource.measure.summary import Summary
from smtpsource.tools.comparison import cpuPerMessage, relative
from smtpsource.values.numbers import exactNumber

_EXPRESSION = re.compile(r"([^<>=!]*?)\s*(>=|<=|==|!=|>|<)\s*([+-]?)\s*([0-9.][^\s<>=!]*(?:\s*[A-Za-z/]+|\s*%)?)")


@dataclass(frozen=True)
class Change:
    """
    A difference between two runs that must not be; made by L{parse}.

    @ivar text: as a user wrote it.
    @ivar name: the figure's name.
    @ivar kind: what it counts.
    @ivar sign: how it is compared.
    @ivar limit: what with; in seconds, per second, a number, or a part of one.
    @ivar how: C{"part"}: the part of the first run's figure by which it has changed; C{"difference"}: that itself;
        C{"value"}: the second run's figure; C{"share"}: the same, as a part of the started messages.
    """

    text: str
    name: str
    kind: Kind
    sign: str
    limit: float
    how: str

    def found(self, first: Summary, second: Summary) -> tuple[bool, str]:
        """
        Is there such a difference?

        @return: that, and what there was instead of it, or just so. A figure that there is not is one that must not be.
        """
        try:
            before = 0.0 if self.how in ("value", "share") else self._of(first)
            after = self._of(second)
        except Unmeasured as e:
            return True, str(e)
        compare, show = OPERATORS[self.sign], self.kind.show
        if self.how == "value":
            return compare(after, self.limit), show(after)
        if self.how == "share":
            if not second.messages.started:
                return True, "no message was started"
            part = after / second.messages.started
            return compare(part, self.limit), f"{digits(part * 100)}%"
        if self.how == "part":
            change = relative(before, after)
            shown = f"{change * 100:+.1f}%"
        else:
            change = after - before
            shown = f"{'-' if change < 0 else '+'}{show(abs(change))}"
        return compare(change, self.limit), f"{shown} (from {show(before)} to {show(after)})"

    def _of(self, run: Summary) -> float:
        if self.name != CPU:
            return metricOf(self.name).read(run.figures())
        each = cpuPerMessage(run)
        if each is None:
            raise Unmeasured("no message was started")
        return each


#: The CPU time of the generator for each message: a figure of a whole run only.
CPU = "cpu"


def parse(text: str) -> Change:
    """
    Understand a change.

    @raise ValueError: it is none; the text says what was expected.
    """
    match = _EXPRESSION.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            "expected a figure and a change, such as 'p99(message) > +10%', 'rate < -5%' or 'errors > 0.1%'"
        )
    name, sign, direction, value = match.groups()
    name, kind = (CPU, TIME) if name == CPU else _named(name)
    factor = -1 if direction == "-" else 1
    shown = " ".join(text.split())
    if kind.isFraction(value):
        raise ValueError(
            f"expected a whole number after {name} {sign}, or per cent, such as {name} {sign} {direction}{value}%"
        )
    try:
        if not value.endswith("%"):
            limit = float(kind.value(value)) * factor
            return Change(shown, name, kind, sign, limit, "difference" if direction else "value")
        number = value.removesuffix("%").rstrip()
        limit = float(exactNumber(number)) * factor / 100
    except ValueError:
        example = "250ms" if kind is TIME else "0.1%" if kind is COUNT else "500/s"
        raise ValueError(f"expected a change after {name} {sign}, such as +10%, or a value, such as {example}")
    if not direction and kind is not COUNT:
        raise ValueError(f"expected a sign before {number}%, such as {name} {sign} +{number}%: the change")
    return Change(shown, name, kind, sign, limit, "part" if direction else "share")


def _named(name: str) -> tuple[str, Kind]:
    metric = metricOf(name)
    return metric.name, metric.kind
