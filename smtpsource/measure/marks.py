"""
Marks: what somebody did, or what happened, at a moment of a run, for all who look at its pictures.
"""

from __future__ import annotations

from smtpsource.records import dataclass

#: What a mark may be of. C{note}: somebody has said so. C{command}: a command that was started then. C{event}:
#: something that has happened to the run itself, such as a worker that is lost.
KINDS = ("note", "command", "event")


@dataclass(frozen=True)
class Mark:
    """
    A moment of a run.

    @ivar at: when it was, in seconds from the start of the run, as the series has them; less than 0 in a warm-up.
    @ivar text: what it is, as one line.
    @ivar kind: one of L{KINDS}.
    @ivar status: the exit status of a command, or minus the number of the signal that ended it; C{None} if it has not
        ended, or is none.
    @ivar seconds: how long it took; C{None} likewise.
    @ivar output: the last part of what a command has written.
    """

    at: float
    text: str
    kind: str = "note"
    status: int | None = None
    seconds: float | None = None
    output: str = ""
