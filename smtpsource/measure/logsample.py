"""
Which messages a log of messages has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from smtpsource.phases import NAMES, TRANSACTION
from smtpsource.values import numbers

_EXPECTED = (
    "expected a part of all messages, failed, slow>TIME or PHASE>TIME, or several of these with commas between them, "
    "such as 1%,failed,slow>100ms"
)

#: The phases that a message can have been slow in: those that have replies.
_PHASES = NAMES[:TRANSACTION]


@dataclass(frozen=True)
class LogSample:
    """
    Messages of which any of this is so; made by L{parse<smtpsource.measure.logsample.parse>}.

    @ivar text: as a user wrote it.
    @ivar part: it is one of those that are drawn; of 1 that many.
    @ivar failed: it was rejected, or failed.
    @ivar slow: it took longer than so many seconds, all in all; C{None} for no matter.
    @ivar phases: a reply took longer than so many seconds, by the index of its phase.
    """

    text: str
    part: float = 0.0
    failed: bool = False
    slow: float | None = None
    phases: Mapping[int, float] = field(default_factory=dict)

    @property
    def isDrawn(self) -> bool:
        """
        Is it known before a message is sent whether it is one of them?
        """
        return not (self.failed or self.slow is not None or self.phases)

    def has(self, failed: bool, seconds: float, times: Mapping[int, list[float]]) -> bool:
        """
        Is a message one of them, though it was not drawn?

        @param failed: was it not accepted?
        @param seconds: what it took, all in all.
        @param times: what its replies took.
        """
        return (
            (self.failed and failed)
            or (self.slow is not None and seconds > self.slow)
            or any(max(times.get(phase, (0.0,))) > most for phase, most in self.phases.items())
        )


def parse(text: str) -> LogSample:
    """
    Which messages a text means, such as C{"1%,failed,slow>100ms"}.

    @raise ValueError: none; the text says what was expected.
    """
    part, failed, slow = 0.0, False, None
    phases: dict[int, float] = {}
    for term in re.split(r"\s*,\s*", text.strip()):
        name, sign, limit = re.fullmatch(r"([^>\s]*)\s*(>?)\s*(.*)", term, re.DOTALL).groups()  # type: ignore[union-attr]
        if sign:
            seconds = _time(limit, term)
            if name == "slow":
                slow = seconds if slow is None else min(slow, seconds)
            elif name in _PHASES:
                phase = NAMES.index(name)
                phases[phase] = min(seconds, phases.get(phase, seconds))
            else:
                raise ValueError(f"expected slow or a phase, one of {', '.join(_PHASES)}, before the > of {term!r}")
        elif term == "failed":
            failed = True
        else:
            part = max(part, _part(term))
    return LogSample(text, part, failed, slow, phases)


def _part(term: str) -> float:
    match = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})%", term)
    if match is None:
        raise ValueError(_EXPECTED)
    if not 0 < float(match[1]) <= 100:
        raise ValueError(f"expected more than 0%, and at most 100%, not {term}")
    return float(match[1]) / 100


def _time(text: str, term: str) -> float:
    try:
        return numbers.timeOrZero(text)
    except ValueError as e:
        raise ValueError(f"{e}, in {term!r}")


def given(value: object) -> LogSample:
    """
    What a program may give: a text, or one that was made of it.

    @raise ValueError: it is none.
    """
    if isinstance(value, LogSample):
        return value
    if not isinstance(value, str):
        raise ValueError("expected a text, such as '1%,failed'")
    return parse(value)
