"""
The faults of Postfix's smtp-sink(1), by its letters: what is done at which command.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from smtpsource.values import names, numbers

#: The commands that can be named, as that tool has them: C{connect} is the banner, C{.} the final reply.
WORDS = (
    "connect", "helo", "ehlo", "lhlo", "xclient", "xforward", "auth", "mail", "rcpt", "data", ".", "rset", "noop",
    "vrfy", "quit",
)  # fmt: skip

#: One of them, of a text.
command = names.oneOf(*WORDS)

HARD = "500 5.3.0 Command failed"
SOFT = "450 4.3.0 Command failed"
HANG_UP = b"421 4.0.0 Closing connection\r\n"
ABORTED = b"550 5.3.0 Message refused before its end\r\n"


class Wait(NamedTuple):
    """
    A delay of a reply.

    @ivar word: the command, one of L{WORDS}.
    @ivar seconds: how long.
    @ivar odds: per cent: it is so long times the number of draws below this before the first that is not. C{None}: it
        is once so long, always.
    """

    word: str
    seconds: float
    odds: int | None = None


def commands(text: str) -> tuple[str, ...]:
    """
    A list of commands, separated by commas or spaces.

    @raise ValueError: one of them is none.
    """
    return tuple(command(each.lower()) for each in re.split(r"[\s,]+", text.strip(" \t,")))


def wait(text: str) -> Wait:
    """
    C{COMMAND:TIME} or C{COMMAND:TIME:ODDS}.

    @raise ValueError: it is neither.
    """
    name, _, rest = text.partition(":")
    time, colon, odds = rest.partition(":")
    if not rest:
        raise ValueError("expected COMMAND:TIME or COMMAND:TIME:ODDS, such as data:2s or rcpt:1:30")
    return Wait(
        command(name.lower()),
        numbers.time(time),
        # Odds of 0 are none: as in Postfix's tool, it is always delayed.
        (numbers.wholeNumber(0, 99)(odds) or None) if colon else None,
    )


def _reply(text: str, first: str) -> str:
    if not re.fullmatch(rf"{first}[0-9][0-9](?:[ -].*)?", text, re.DOTALL):
        raise ValueError(f"expected a reply that begins with {first} and two more digits, such as '{first}50 no'")
    names.oneLine(text.encode("utf-8", "surrogateescape"))
    return text


def softReply(text: str) -> str:
    """
    @raise ValueError: it is no reply of the class 4.
    """
    return _reply(text, "4")


def hardReply(text: str) -> str:
    """
    @raise ValueError: it is no reply of the class 5.
    """
    return _reply(text, "5")


@dataclass(slots=True)
class Letter:
    """
    What is done at one command. The first that is set of C{drops}, C{hangsUp} and C{reply} is done, and only without
    these there is a delay.

    @ivar isLogged: it is written to the system's log.
    @ivar drops: the connection is closed, without a reply.
    @ivar hangsUp: a 421, and the connection is closed.
    @ivar reply: the reply that refuses it.
    @ivar waits: seconds, and odds, of the delay.
    """

    isLogged: bool = False
    drops: bool = False
    hangsUp: bool = False
    reply: bytes | None = None
    waits: tuple[float, int | None] | None = None
    _random: random.Random = field(default_factory=random.Random)

    def delay(self) -> float:
        """
        Seconds that this reply is to wait; drawn anew each time.
        """
        if self.waits is None:
            return 0.0
        seconds, odds = self.waits
        if odds is None:
            return seconds
        times = 0
        while self._random.randrange(100) < odds:
            times += 1
        return seconds * times


def lettersOf(plan: Any) -> dict[bytes, Letter]:
    """
    All letters of a plan, by the commands they are for, in capitals.

    @param plan: a L{smtpsource.sink.plan.SinkPlan}.
    """
    found: dict[bytes, Letter] = {}
    # The same delays in each run, as in Postfix's tool.
    draws = random.Random(0)

    def each(words: tuple[str, ...], **what: Any) -> None:
        for word in words:
            letter = found.setdefault(word.upper().encode(), Letter(_random=draws))
            for name, value in what.items():
                setattr(letter, name, value)

    each(plan.syslog, isLogged=True)
    each(plan.drop, drops=True)
    each(plan.hangUp, hangsUp=True)
    each(plan.defer, reply=_line(plan.softReply))
    each(plan.fail, reply=_line(plan.hardReply))
    if plan.delayData is not None:
        each(("data",), waits=(plan.delayData, None))
    for one in plan.delayReply:
        each((one.word,), waits=(one.seconds, one.odds))
    return found


def _line(reply: str) -> bytes:
    return reply.encode("utf-8", "surrogateescape") + b"\r\n"


def logger(found: Mapping[bytes, Letter]) -> Callable[[bytes], None]:
    """
    What writes a command to the system's log (facility mail): nothing, if none is to be.
    """
    if not any(letter.isLogged for letter in found.values()):
        return lambda line: None
    import syslog

    # Now: later there may be another root directory.
    syslog.openlog("smtp-sink", syslog.LOG_PID | syslog.LOG_NDELAY, syslog.LOG_MAIL)
    return lambda line: syslog.syslog(syslog.LOG_INFO, line[:107].decode("ascii", "backslashreplace"))
