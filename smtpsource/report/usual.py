"""
What is as usual in a summary: nobody misses it who wants to know how a run went.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from smtpsource.measure.histogram import Latency
from smtpsource.measure.summary import Summary
from smtpsource.phases import BDAT, CONNECT, DATA, MAIL, MESSAGE, NAMES, RCPT, RESPONSE, TRANSACTION
from smtpsource.report.page import Fact

#: The phases that tell most. All others are parts of them, or come once in a connection.
_TELLING = {NAMES[phase] for phase in (CONNECT, MESSAGE, TRANSACTION, *range(RESPONSE, len(NAMES)))}

#: The parts of a transaction that do not.
_PARTS = {NAMES[phase] for phase in (MAIL, RCPT, DATA, BDAT)}

#: A part of a transaction takes this part of it, or it is as usual.
_PART = 0.5

#: Seconds of the longest latency of a phase that is as usual; of a part of transactions, where these take no longer.
_LONG = 0.1


class Usual(NamedTuple):
    """
    What is as usual.

    @ivar facts: what is said of the run.
    @ivar phases: those whose latencies are.
    @ivar replies: those whose replies are.
    @ivar codes: of these replies.
    """

    facts: Collection[Fact] = ()
    phases: Collection[str] = ()
    replies: Collection[str] = ()
    codes: Collection[str] = ()

    @property
    def words(self) -> str:
        """
        What it is about.
        """
        parts = [", ".join(fact.label for fact in self.facts)] if self.facts else []
        if self.phases:
            parts.append(f"the latencies of {_joined(self.phases)}")
        if self.replies:
            parts.append(f"the replies {_joined(self.codes)}, as expected")
        return "; ".join(parts)


def usualOf(summary: Summary, said: Iterable[Fact]) -> Usual:
    """
    What is as usual in a summary.

    @param said: what is said of it.
    """
    replies = [phase for phase, codes in summary.replies.items() if all(code[:1] in ("2", "3") for code in codes)]
    if summary.messages.failed:
        replies = []  # what was said may tell why
    return Usual(
        [fact for fact in said if fact.isUsual],
        _phases(summary.latency),
        replies,
        sorted({code for phase in replies for code in summary.replies[phase]}),
    )


def _phases(latencies: Mapping[str, Latency]) -> list[str]:
    """
    The phases that say nothing of their own: of which all together took less than half of what the transactions took,
    and the longest less than some milliseconds or, of parts of transactions, half of the longest one.
    """
    whole = latencies.get(NAMES[TRANSACTION])
    if whole is None:
        return []
    found = []
    for phase, latency in latencies.items():
        isLong = latency.maximum >= max(_LONG, _PART * whole.maximum if phase in _PARTS else 0.0)
        isPart = latency.count * latency.mean >= _PART * whole.count * whole.mean
        if phase not in _TELLING and not isLong and not isPart:
            found.append(phase)
    return found if len(found) > 1 else []


def _joined(words: Collection[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
