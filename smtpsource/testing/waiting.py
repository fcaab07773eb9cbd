"""
Waiting for messages: what may be asked for, and what is told when they did not come.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from smtpsource.testing.received import ReceivedMessage, described

#: The most seconds.
_LONGEST = 2**31


def needUsable(name: str, count: object, timeout: object) -> None:
    """
    See that somebody can wait for so many messages so long.

    @param name: that of the count, for who has given it.
    @param timeout: seconds.
    @raise ValueError: it can't be; the text is one line.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"{name}: {count!r} is not usable: expected a whole number of at least 1")
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 <= timeout <= _LONGEST:
        raise ValueError(f"timeout: {timeout!r} is not usable: expected a number of seconds of at least 0")


def shortfall(
    count: int, timeout: float, criteria: Mapping[str, str], there: Iterable[ReceivedMessage], displaced: str
) -> str:
    """
    What to say when fewer messages came than were waited for.

    @param criteria: what was asked for.
    @param there: all messages that did come.
    @param displaced: see L{gaveWay}.
    """
    asked = "".join(f", {name} {value!r}" for name, value in criteria.items())
    lines = [f"message {described(each)}" for each in there]
    if displaced:
        lines.append(displaced)
    came = "these have come:\n  " + "\n  ".join(lines) if lines else "no message has come"
    closing = "," if asked else ""
    return f"expected {count} message{'s'[: count != 1]}{asked}{closing} within {timeout:g} s; {came}"


def gaveWay(number: int, keep: str, keepBytes: str) -> str:
    """
    What to say of messages that are not there any more.

    @param number: how many.
    @param keep: the setting for how many messages are kept.
    @param keepBytes: likewise for their octets.
    @return: empty if there are none.
    """
    return f"{number} more had come before and had to give way ({keep}, {keepBytes})" if number else ""


def sizeText(octets: int) -> str:
    """
    A size as an option of the command has it, such as C{"64m"}.
    """
    for unit, sign in ((2**30, "g"), (2**20, "m"), (2**10, "k")):
        if octets and octets % unit == 0:
            return f"{octets // unit}{sign}"
    return str(octets)
