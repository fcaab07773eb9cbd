"""
Which runs ledgers are of.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from smtpsource.ledger import records
from smtpsource.ledger.clocks import Clocks
from smtpsource.ledger.reading import LedgerError, LedgerFile
from smtpsource.report.words import several


def runsIn(files: Sequence[LedgerFile]) -> dict[int, str]:
    """
    The runs in the order of time, each with when it was begun and what it has sent, in words. Those that have sent
    nothing don't count, unless there are no others.
    """
    began: dict[int, int] = {}
    sent: dict[int, int] = {}
    for file in files:
        if file.role == "source":
            # The origin of the clock is about as good for a ledger that does not say when it was begun.
            wall = int(file.header.get("wall") or file.header["offset"])
            began[file.run] = min(began.get(file.run, wall), wall)
            sent[file.run] = sent.get(file.run, 0) + _messagesIn(file)
    runs = {run: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(wall // 10**9)) for run, wall in began.items()}
    order = sorted((run for run in runs if sent[run] or not any(sent.values())), key=lambda run: began[run])
    return {run: f"{runs[run]}, {several(sent[run], 'message', 'messages')}" for run in order}


def _messagesIn(file: LedgerFile) -> int:
    other = LedgerFile(file.path)
    try:
        first = ((part["kind"] == records.INTENT) & (part["flag"] == 1) & (part["index"] == 0) for part in other.rest())
        return sum(int(each.sum()) for each in first)
    finally:
        other.close()


def checkOne(sources: Sequence[LedgerFile]) -> None:
    """
    Two runs have the same id if they had the same seed: then they are no one run in two processes.

    @raise LedgerError: one was over before another began.
    """
    clocks = Clocks()
    periods = []
    for file in sources:
        shift, (begin, end) = clocks.shift(file), file.period()
        if end:
            # A worker may have come to its first message when another was over; but all were ready before any began.
            ready = int(file.header.get("wall") or 0) - int(file.header["offset"])
            periods.append((min(begin, ready) + shift if ready > 0 else begin + shift, end + shift, file.path))
    latest, earlier = 0, ""
    for begin, end, path in sorted(periods):
        if earlier and latest < begin:
            raise LedgerError(
                f"{earlier} and {path} are of two runs with the same id, one after the other, as of the same seed: "
                "expected one of them"
            )
        latest, earlier = max((latest, earlier), (end, path))
