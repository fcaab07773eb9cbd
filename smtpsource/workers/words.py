"""
What a worker says before a run and after it, as its parent takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from smtpsource.workers.wire import Kind


def understood(kind: Kind, body: Any, meanings: Mapping[Kind, Callable[[Any], Any]] | None = None) -> Any:
    """
    What is made of the body of a message.

    @param meanings: what makes something of those of each kind; C{None}: of the kinds that this module knows.
    @raise ValueError: it makes no sense; the text is one line.
    """
    try:
        return (_MEANINGS if meanings is None else meanings)[kind](body)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as e:
        raise ValueError(f"{type(e).__name__}: {e}") from None


def text(body: Mapping[str, Any]) -> str:
    """
    What a message says that is for people.
    """
    return str(body["text"])


def _ready(body: Mapping[str, Any]) -> dict[str, Any]:
    pid = body.get("pid")
    names = "version", "ledger", "reactor", "loopback"
    texts = {name: None if body.get(name) is None else str(body[name]) for name in names}
    return {"pid": None if pid is None else int(pid), **texts}


_MEANINGS: dict[Kind, Callable[[Any], Any]] = {Kind.READY: _ready, Kind.UNUSABLE: text, Kind.GONE: text}
