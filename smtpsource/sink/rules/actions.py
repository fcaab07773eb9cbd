"""
The table C{do} of a rule: what is done.
"""

from __future__ import annotations

from collections.abc import Collection

from smtpsource.sink.rules import amounts, replies
from smtpsource.sink.rules.delays import Delay, delay
from smtpsource.sink.rules.draws import Draw
from smtpsource.sink.rules.facts import Deceit, Fate, Step
from smtpsource.sink.rules.problems import Path, Table, Wrong, alternatives
from smtpsource.sink.rules.subjects import STEPS

#: These add to whatever else is done.
TIMING = ("delay", "stutter", "throttle", "split")

#: These are done to messages, against what is said.
DECEITS: tuple[Deceit, ...] = ("accept-but-lose", "reject-but-keep", "duplicate", "corrupt")

_ENDS = ("stall", "close", "reset")
_REPLIES = ("reply", "texts")
_OUTCOMES = (*_REPLIES, "garble", *_ENDS, "tls-fail", *DECEITS)
KEYS = (*_OUTCOMES, *TIMING)

#: Content has no reply of its own.
_OF_CONTENT = ("delay", "throttle", *_ENDS)
_OF_TLS: tuple[Step, ...] = ("connect", "starttls")
_OF_MESSAGES: tuple[Step, ...] = ("message",)

EXAMPLE = 'do = { reply = "451 4.7.1 come back" }'


class Actions:
    """
    What a rule does.

    @ivar final: whether there is more than timing, so that no other rule is asked.
    @ivar drawn: whether it is not always the same.
    """

    _delay: Delay | None = None
    _reply: bytes | None = None
    _texts: list[tuple[bytes, float]] | None = None
    _deceit: Deceit | None = None

    def __init__(self, value: object, path: Path, steps: Collection[Step]) -> None:
        """
        @param value: the table.
        @raise Wrong: it can't be used at one of these steps.
        """
        self._table = table = Table(value, path, KEYS, EXAMPLE)
        if not table.given(KEYS):
            raise Wrong(path, f"expected what is to be done, such as {EXAMPLE}")
        _checkSteps(table, steps)
        _checkTogether(table)
        self.final = bool(table.given(_OUTCOMES))
        if "delay" in table:
            self._delay = delay(table.raw("delay"), table.at("delay"))
        if "reply" in table:
            self._reply = replies.reply(table.raw("reply"), table.at("reply"), steps)
        if "texts" in table:
            self._texts = replies.texts(table.raw("texts"), table.at("texts"), steps)
        self._stutter: float | None = table.get("stutter", amounts.bytesPerSecond, None)
        self._throttle: float | None = table.get("throttle", amounts.bytesPerSecond, None)
        self._flags = {key: table.get(key, amounts.true, False) for key in ("split", "garble", *_ENDS, "tls-fail")}
        for deceit in DECEITS:
            if table.get(deceit, amounts.true, False):
                self._deceit = deceit
        self._checkDeceit()
        self.drawn = self._texts is not None or (self._delay is not None and self._delay.drawn)

    def _checkDeceit(self) -> None:
        """
        What is said of a message must be what the deceit is about.
        """
        if self._deceit is None:
            return
        if self._deceit == "reject-but-keep" and self._reply is None and self._texts is None:
            self._reply = replies.REFUSED
        wanted, expected = (b"45", "4xx or 5xx") if self._deceit == "reject-but-keep" else (b"2", "2xx")
        for reply in [self._reply] if self._reply is not None else [text for text, _ in self._texts or ()]:
            if reply[:1] not in wanted:
                key = self._table.given(_REPLIES)[0]
                code = reply[:3].decode("ascii")
                raise Wrong(self._table.at(key), f"{code} is no reply of {self._deceit}: expected {expected}")

    def fate(self, name: str, draw: Draw | None) -> Fate:
        """
        @param name: of the rule.
        @param draw: needed only for what is L{drawn}.
        """
        flags = self._flags
        reply, seconds = self._reply, 0.0
        if self._texts is not None and draw is not None:
            reply = replies.drawn(self._texts, draw[2])
        if self._delay is not None:
            seconds = self._delay.seconds(draw[1] if draw is not None else 0.5)
        return Fate(
            (name,),
            reply,
            seconds,
            self._stutter,
            self._throttle,
            flags["split"],
            flags["garble"],
            flags["stall"],
            flags["close"],
            flags["reset"],
            flags["tls-fail"],
            self._deceit,
        )


def _checkSteps(table: Table, steps: Collection[Step]) -> None:
    """
    Is there a time for all that, at each step?
    """
    for key in table.given(KEYS):
        right = _OF_MESSAGES if key in DECEITS else _OF_TLS if key == "tls-fail" else STEPS
        for step in steps:
            if step not in right:
                raise Wrong(table.at(key), f"not usable at {step}: expected it in a rule on {alternatives(right)}")
            if step == "content" and key not in _OF_CONTENT:
                raise Wrong(
                    table.at(key),
                    f"not usable at content, which has no reply: expected {alternatives(_OF_CONTENT)}",
                )


def _checkTogether(table: Table) -> None:
    """
    Can all that be done to the same client?
    """
    table.atMostOne((*_REPLIES, "garble", "stall", "tls-fail"))
    table.atMostOne((*_ENDS, "tls-fail"))
    for other in ("garble", *_ENDS, "tls-fail"):
        table.atMostOne((*DECEITS, other))
    if table.given((*_ENDS, "tls-fail")) and not table.given((*_REPLIES, "garble")):
        for key in table.given(("stutter", "split")):
            raise Wrong(table.at(key), "nothing is sent here: expected a reply or garble with it")


def joined(first: Fate, second: Fate) -> Fate:
    """
    What two rules do. Of each timing that of the first counts, if it has one.

    @param first: of a rule that does nothing but timing.
    """
    return Fate(
        first.rules + second.rules,
        second.reply,
        first.delay or second.delay,
        second.stutter if first.stutter is None else first.stutter,
        second.throttle if first.throttle is None else first.throttle,
        first.split or second.split,
        second.garble,
        second.stall,
        second.close,
        second.reset,
        second.tlsFail,
        second.deceit,
    )


def adds(first: Fate, second: Fate) -> bool:
    """
    Is there any timing in the second that the first has not?
    """
    return bool(
        (second.delay and not first.delay)
        or (second.stutter is not None and first.stutter is None)
        or (second.throttle is not None and first.throttle is None)
        or (second.split and not first.split)
    )
