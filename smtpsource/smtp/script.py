"""
The usual course of a message, as data: the replies that come if nothing is unusual. It is the same whether commands go
out one by one or in groups.
"""

from __future__ import annotations

from functools import cache

from smtpsource.phases import DATA, MAIL, MESSAGE, RCPT
from smtpsource.smtp.replies import MORE, YES
from smtpsource.speedups import compiled


@compiled
class Script:
    """
    Replies that are owed to what was written for one message, and what is wanted of each.

    @ivar phases: what each of them answers, as bytes of phases.
    @ivar digits: the first digit that is wanted of each, in ASCII. Where it is a 3, only 354 will do.
    @ivar recipients: the message's.
    @ivar isEnvelope: these end with the reply to DATA: the content comes next. Else they end with the message.
    """

    def __init__(self, steps: list[tuple[int, int]], recipients: int) -> None:
        self.phases = bytes(phase for phase, _ in steps)
        self.digits = bytes(digit for _, digit in steps)
        self.recipients = recipients
        self.isEnvelope = steps[-1][0] == DATA


def _addressing(recipients: int) -> list[tuple[int, int]]:
    return [(MAIL, YES), *[(RCPT, YES)] * recipients]


@cache
def envelope(recipients: int) -> Script:
    """
    MAIL, every RCPT, and DATA (RFC 5321 section 3.3).
    """
    return Script([*_addressing(recipients), (DATA, MORE)], recipients)


@cache
def content(recipients: int, replies: int) -> Script:
    """
    The content.

    @param replies: one, or in LMTP one for each recipient (RFC 2033 section 4.2).
    """
    return Script([(MESSAGE, YES)] * replies, recipients)


@cache
def whole(recipients: int, replies: int) -> Script:
    """
    A message whose content is in the group: MAIL, every RCPT, and BDAT (RFC 3030).
    """
    return Script([*_addressing(recipients), *[(MESSAGE, YES)] * replies], recipients)
