"""
C{[tarpit]}: who makes errors is answered later and later.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from smtpsource.sink.rules import amounts
from smtpsource.sink.rules.facts import Step
from smtpsource.sink.rules.problems import Path, Table, Wrong
from smtpsource.sink.rules.replies import reply

KEYS = ("after", "delay", "step", "max", "close-after", "reply")
_EXAMPLE = "[tarpit] with after = 3"

#: Its reply is one that any command may have.
_ANY: tuple[Step, ...] = ("noop",)


class Tarpit:
    """
    How long the replies of a session take that has had commands refused.

    @ivar document: as it was written.
    @ivar closeAfter: with so many refused commands the session is over: 421, and it is closed; 0 is never.
    @ivar reply: what it is told then, with its line end.
    """

    name = "tarpit"

    def __init__(self, document: Any, path: Path) -> None:
        """
        @raise Wrong: it can't be used.
        """
        table = Table(document, path, KEYS, _EXAMPLE)
        self.document: dict[str, Any] = deepcopy(dict(document))
        self._after: int = table.get("after", amounts.wholeNumber, 3)
        self._delay: float = table.get("delay", amounts.timeOrZero, 1.0)
        self._step: float = table.get("step", amounts.timeOrZero, 0.0)
        self._most: float = table.get("max", amounts.time, max(60.0, self._delay))
        if self._most < self._delay:
            raise Wrong(table.at("max"), f"expected at least the delay, {self._delay:g} s")
        self.closeAfter: int = table.get("close-after", amounts.wholeNumber, 0)
        text = table.raw("reply") if "reply" in table else "421 4.7.0 Too many errors, closing connection"
        self.reply = reply(text, table.at("reply"), _ANY)
        if self.reply[:1] not in b"45":
            code = self.reply[:3].decode("ascii")
            raise Wrong(table.at("reply"), f"{code} is no refusal: expected 4xx or 5xx, such as 421")

    def delay(self, errors: int) -> float:
        """
        @param errors: how many commands of the session were refused by now.
        @return: seconds until each of its replies.
        """
        if not errors or errors < self._after:
            return 0.0
        return min(self._most, self._delay + self._step * (errors - max(1, self._after)))
