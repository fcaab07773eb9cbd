"""
What is asked of a sink that is controlled.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from smtpsource.sink.control.events import Events
    from smtpsource.sink.keeping.memory import Memory
    from smtpsource.sink.keeping.transcripts import Transcripts
    from smtpsource.sink.rules.ruleset import RuleSet
    from smtpsource.sink.summary import SinkCounts


class Steered(Protocol):
    """
    A sink that can be steered: L{smtpsource.sink.steering.Steering}.

    @ivar rules: swapped whole, between two replies.
    @ivar memory: the messages that are kept; C{None} if none are.
    @ivar transcripts: the dialogues that are kept; C{None} if none are.
    @ivar events: what happens.
    @ivar ruleCounts: how often each rule had a part in what was done, by its name.
    @ivar counts: what else is counted.
    @ivar marks: what was noted, for the report: each has C{at} (ISO 8601 in UTC) and C{text}.
    """

    rules: RuleSet
    memory: Memory | None
    transcripts: Transcripts | None
    events: Events
    ruleCounts: Counter[str]
    counts: SinkCounts
    marks: deque[dict[str, Any]]

    @property
    def paused(self) -> bool:
        """
        Does it take no more for now?
        """

    def pause(self) -> None:
        """
        Take nothing more until L{resume}.
        """

    def resume(self) -> None:
        """
        Go on.
        """
