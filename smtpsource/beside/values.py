"""
Values of the options for what goes on beside a run. As in L{smtpsource.values.numbers}, each function takes the text of
an option and raises C{ValueError} with what was expected.
"""

from __future__ import annotations

from typing import NamedTuple

from smtpsource.values import numbers

#: A command is not repeated more often than once in so many seconds.
LEAST = 1.0

#: The most bytes of a command: a shell gets it as an argument.
_LONGEST = 65_536


class Errand(NamedTuple):
    """
    A command at a moment of the run, or at several.

    @ivar seconds: when, in seconds of the run; or how many there are from each time to the next.
    @ivar command: for the shell.
    @ivar repeated: is it started again and again?
    """

    seconds: float
    command: str
    repeated: bool = False


def once(text: str) -> Errand:
    """
    A time, a blank and a command: C{"10m systemctl restart postfix"}.
    """
    seconds, command = _parted(text)
    return Errand(numbers.timeOrZero(seconds), command)


def repeatedly(text: str) -> Errand:
    """
    The same for a command that is repeated.
    """
    seconds, command = _parted(text)
    every = numbers.time(seconds)
    if every < LEAST:
        raise ValueError(f"expected a time of at least {LEAST:g}s")
    return Errand(every, command, True)


def _parted(text: str) -> tuple[str, str]:
    seconds, _, command = text.partition(" ")
    if not command.strip():
        raise ValueError("expected a time and a command, such as 10m 'systemctl restart postfix'")
    if len(command.encode("utf-8", "surrogateescape")) > _LONGEST:
        raise ValueError(f"expected a command of at most {_LONGEST} bytes")
    return seconds, command
