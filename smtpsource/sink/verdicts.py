"""
What is said of a message by what was decided about it.
"""

from __future__ import annotations

from dataclasses import replace

from smtpsource.sink.rules.facts import Fate
from smtpsource.sink.speech import GARBAGE

REFUSED = b"554 5.6.0 Message refused\r\n"


def isAccepting(fate: Fate | None) -> bool:
    """
    Does a client that meets this fate get the usual reply, or another that accepts?
    """
    if fate is None:
        return True
    if fate.garble or fate.deceit == "reject-but-keep":
        return False
    if fate.reply is not None:
        return fate.reply[:1] in (b"2", b"3")
    return not fate.isSilent


def replyOf(fate: Fate | None, usual: bytes) -> bytes:
    """
    What a client that meets a fate is told.

    @param usual: if it is none.
    """
    if fate is None:
        return usual
    if fate.garble:
        return GARBAGE
    if fate.reply is not None:
        return fate.reply
    if fate.isSilent:
        return b""
    return REFUSED if fate.deceit == "reject-but-keep" else usual


def answered(fates: list[tuple[list[int], Fate | None]], usual: bytes) -> tuple[bytes, Fate | None]:
    """
    @return: the replies to all, and how they are said.
    """
    reply = b"".join(replyOf(fate, usual) for _, fate in fates)
    decided = [fate for _, fate in fates if fate is not None]
    if len(decided) < 2:
        return reply, replace(decided[0], garble=False) if decided else None
    last = decided[-1]
    return reply, replace(
        last,
        delay=max(fate.delay for fate in decided),
        stutter=next((fate.stutter for fate in decided if fate.stutter is not None), None),
        throttle=next((fate.throttle for fate in decided if fate.throttle is not None), None),
        split=any(fate.split for fate in decided),
        garble=False,
    )
