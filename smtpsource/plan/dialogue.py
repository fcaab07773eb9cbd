"""
The dialogue: what is said, and what is made of the replies.
"""

from __future__ import annotations

import socket
from typing import TypeVar

from smtpsource.plan.message import ofLine
from smtpsource.values import checks, kinds, names
from smtpsource.values.kinds import Kind
from smtpsource.values.option import Settings, option, switch
from smtpsource.values.rules import allOf, excludes

_Text = TypeVar("_Text", str, bytes)


def machineName() -> str:
    """
    This machine's name, as it says it.

    @raise ValueError: it is not one that may be said in HELO.
    """
    return names.hostname(socket.gethostname())


def _notEmpty(value: _Text) -> _Text:
    if not value:
        raise ValueError("expected a text, not an empty one")
    return value


class DialogueSettings(Settings):
    """
    @ivar myhostname: our name in HELO and LHLO, in default addresses and in Message-Ids.
    @ivar helo: what to say in HELO, EHLO and LHLO, or C{None} for C{myhostname}.
    @ivar lmtp: speak LMTP.
    @ivar oldMode: no HELO or LHLO, and no headers in generated messages.
    @ivar tolerant: count refusals and faults, and go on; otherwise the first ends the run.
    @ivar timeout: seconds for each reply.
    """

    heading = "Dialogue"
    rules = allOf(excludes("{oldMode:f}", "it says no HELO", "helo", when=lambda plan: plan.oldMode))

    myhostname: str = option(
        "NAME",
        Kind(names.hostname, checks.hostname),
        "our name in HELO and LHLO (default: this machine's)",
        letter="M",
        default=lambda: socket.gethostname(),
    )
    helo: bytes | str | None = option(
        "TEXT",
        Kind(lambda text: ofLine.parse(_notEmpty(text)), lambda value: _notEmpty(checks.oneLine(value))),
        "say this in HELO, EHLO and LHLO; elsewhere NAME is said",
        default=None,
    )
    lmtp: bool = switch("speak LMTP", letter="L", default=False)
    oldMode: bool = switch("say no HELO, and send no generated headers", letter="o", default=False)
    tolerant: bool = switch(
        "count refusals and faults and go on; without it the first one ends the run",
        letter="A",
        long="dont-abort",
        default=False,
    )
    timeout: float = option("TIME", kinds.time, "wait this long for each reply", shown="300s", default=300.0)
