"""
What workers say, as a run of them takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from smtpsource.measure.counters import AddressCounts
from smtpsource.measure.frame import Frame
from smtpsource.printable import printable
from smtpsource.workers import words
from smtpsource.workers.wire import Kind


@dataclass(frozen=True)
class WorkerEnd:
    """
    What a worker has said in the end: see L{Kind.END}.
    """

    limits: tuple[str, ...] = ()
    disturbances: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    exhausted: int | None = None
    catchUp: float | None = None
    addresses: Mapping[str, AddressCounts] = field(default_factory=dict)
    warmUp: Mapping[str, int] = field(default_factory=dict)
    ledger: str | None = None
    messageLog: Mapping[str, Any] | None = None


def understood(kind: Kind, body: Any) -> Any:
    """
    What is made of the body of such a message.

    @raise ValueError: it makes no sense; the text is one line.
    """
    return words.understood(kind, body, _MEANINGS)


def _end(body: Mapping[str, Any]) -> WorkerEnd:
    exhausted, catchUp, ledger = body.get("exhausted"), body.get("catchUp"), body.get("ledger")
    return WorkerEnd(
        limits=_lines(body.get("limits")),
        disturbances=_lines(body.get("disturbances")),
        hints=_lines(body.get("hints")),
        exhausted=None if exhausted is None else int(exhausted),
        catchUp=None if catchUp is None else float(catchUp),
        addresses={where: _used(*counts) for where, counts in (body.get("addresses") or {}).items()},
        warmUp={name: int(count) for name, count in (body.get("warmUp") or {}).items()},
        ledger=None if ledger is None else str(ledger),
        messageLog=_logged(body.get("messageLog")),
    )


def _logged(found: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if found is None:
        return None
    problem = found["problem"]
    return {
        "file": str(found["file"]),
        "lines": int(found["lines"]),
        "dropped": int(found["dropped"]),
        "unknown": int(found["unknown"]),
        "problem": None if problem is None else printable(str(problem)),
    }


def addedUp(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """
    What came of two parts of a log of messages, if they are there.
    """
    if one is None or other is None:
        return one or other
    counts = {name: one[name] + other[name] for name in ("lines", "dropped", "unknown")}
    return {**one, **counts, "problem": one["problem"] or other["problem"]}


def _lines(found: Any) -> tuple[str, ...]:
    return tuple(map(str, found or ()))


def _used(opened: Any, failed: Any, accepted: Any, name: str | None) -> AddressCounts:
    return AddressCounts(int(opened), int(failed), int(accepted), name)


_MEANINGS: dict[Kind, Callable[[Any], Any]] = {
    Kind.FRAME: Frame.decode,
    Kind.STEPPED: Frame.decode,
    Kind.WANT: lambda body: (int(body["count"]), int(body["epoch"])),
    Kind.TROUBLE: words.text,
    Kind.BROKEN: lambda body: f"{body['kind']}: {body['text']}",
    Kind.HINT: words.text,
    Kind.END: _end,
}
