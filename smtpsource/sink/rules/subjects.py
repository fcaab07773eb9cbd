"""
What a rule may ask about at each step, and what tells one subject of a step from another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from smtpsource.sink.rules.facts import Facts, Step

#: All steps, in the order of a session.
STEPS: tuple[Step, ...] = get_args(Step)

_BEFORE_MAIL = {"connect", "helo", "starttls", "auth"}

#: At which steps something is not known yet, so that a rule that asks for it could never apply.
UNKNOWN: dict[str, set[str]] = {
    "helo": {"connect"},
    "user": {"connect", "helo"},
    "sender": _BEFORE_MAIL,
    "size-above": _BEFORE_MAIL,
    "size-below": _BEFORE_MAIL,
    "message": _BEFORE_MAIL,
    "domain": _BEFORE_MAIL,
    "recipient": {*_BEFORE_MAIL, "mail"},
}


def domainOf(path: str) -> str:
    """
    What is behind the last C{@} of an address; empty, if there is none.
    """
    return path.rpartition("@")[2] if "@" in path else ""


def identity(step: Step, facts: Facts) -> str:
    """
    What a step is about, as one text. Whatever is drawn is drawn for this, so two of the same have the same fate.

    At C{connect}, C{helo} and C{starttls} that is the client's address; at C{auth} with the user; at C{mail} the
    sender; at C{rcpt} sender and recipient; at C{message} what tells the message from others (its Message-Id) and the
    first recipient, or in LMTP the one that is answered for; at all other steps sender, first recipient and client. The
    ENVID of MAIL (RFC 3461) is a part of it wherever there is one, so a client that wants fates for each message has
    one in each MAIL.
    """
    if step == "rcpt":
        return f"rcpt\0{facts.sender}\0{facts.recipient}\0{facts.message}"
    if step == "message":
        return f"message\0{facts.message}\0{facts.recipient}"
    if step == "mail":
        return f"mail\0{facts.sender}\0{facts.message}"
    if step == "auth":
        return f"auth\0{facts.client}\0{facts.user}"
    if step in _BEFORE_MAIL:
        return f"{step}\0{facts.client}"
    return f"{step}\0{facts.sender}\0{facts.recipient}\0{facts.message}\0{facts.client}"


def _domain(step: Step, facts: Facts) -> str:
    return domainOf(facts.sender if step == "mail" else facts.recipient).lower()


def _message(step: Step, facts: Facts) -> str:
    return facts.message or f"{facts.sender}\0{facts.recipient}"


#: What C{per} may be: all that share the key share a count or a bucket.
PER: dict[str, Callable[[Step, Facts], str]] = {
    "client": lambda step, facts: facts.client,
    "domain": _domain,
    "sender": lambda step, facts: facts.sender.lower(),
    "recipient": lambda step, facts: facts.recipient.lower(),
    "message": _message,
    "all": lambda step, facts: "",
}
