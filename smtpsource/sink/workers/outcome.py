"""
The result of a sink of several workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smtpsource.sink.summary import SinkSummary, WorkerShare
from smtpsource.sink.workers.counted import Counted, added
from smtpsource.sink.workers.link import Link


def summaryOf(counted: Counted, links: Sequence[Link]) -> SinkSummary:
    """
    What workers leave, in one; all else is the parent's to say.

    @param counted: what all have counted.
    """
    numbers: dict[str, Any] = {name: counted.numbers[name] for name in _NUMBERS}
    summary = SinkSummary(
        command=(),
        reactor="",
        started="",
        elapsed=0.0,
        busy=counted.busy,
        ended="",
        sessionsOpen=0,
        sessionsMax=0,
        cpuUser=0.0,
        cpuSystem=0.0,
        errors=counted.errors,
        rules=counted.rules,
        deliberate=counted.deceits,
        kept=counted.kept,
        workers=list(map(_shareOf, links)),
        **numbers,
    )
    results = [link.result for link in links if link.result is not None]
    return added(summary, results) if results else summary


#: What a summary has of these.
_NUMBERS = ("sessions", "quits", "messages", "recipients", "bytesReceived", "bytesSent")


def _shareOf(link: Link) -> WorkerShare:
    counted = link.counted
    return WorkerShare(
        pid=link.pid,
        sessions=counted.numbers["sessions"],
        messages=counted.numbers["messages"],
        cpuUser=counted.cpu[0],
        cpuSystem=counted.cpu[1],
        lost=link.result is None,
        ledger=link.ledger,
    )
