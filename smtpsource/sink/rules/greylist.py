"""
C{[greylist]}: who has not been seen yet is asked to come back.
"""

from __future__ import annotations

import ipaddress
from copy import deepcopy
from functools import lru_cache
from typing import Any

from smtpsource.sink.rules import amounts
from smtpsource.sink.rules.facts import Facts, Fate, Step
from smtpsource.sink.rules.problems import Path, Table, Wrong, oneOf, usable
from smtpsource.sink.rules.remembered import Remembered
from smtpsource.sink.rules.replies import reply

KEYS = ("key", "delay", "window", "auto-whitelist", "reply")
_PARTS = ("client", "sender", "recipient")
_EXAMPLE = '[greylist] with delay = "5m"'

#: As a number of seconds: this one has come back.
_PASSED = -1.0

_STEPS: tuple[Step, ...] = ("rcpt",)


class Greylist:
    """
    Refuses each recipient until the same is asked for again, after a delay and within a window. Whoever has come back
    once is known as long as it is remembered at all (see L{Remembered}).

    @ivar document: as it was written.
    @ivar memory: when each was first seen, or that it has come back.
    @ivar returned: how many of a client's have come back.
    """

    name = "greylist"
    final = True
    hasState = True

    def __init__(self, document: Any, path: Path) -> None:
        """
        @raise Wrong: it can't be used.
        """
        table = Table(document, path, KEYS, _EXAMPLE)
        self.document: dict[str, Any] = deepcopy(dict(document))
        self._parts = _keyParts(table)
        self._delay: float = table.get("delay", amounts.time, 300.0)
        self._window: float = table.get("window", amounts.time, 2 * 86400.0)
        if self._window <= self._delay:
            raise Wrong(table.at("window" if "window" in table else "delay"), "expected a window longer than the delay")
        self._enough: int = table.get("auto-whitelist", amounts.wholeNumber, 0)
        text = table.raw("reply") if "reply" in table else "451 4.7.1 Greylisted: come back later"
        written = reply(text, table.at("reply"), _STEPS)
        if written[:1] not in b"45":
            raise Wrong(table.at("reply"), f"{written[:3].decode('ascii')} is no refusal: expected 4xx or 5xx")
        self._fate = Fate((self.name,), written)
        self.memory: Remembered[float] = Remembered()
        self.returned: Remembered[Any] = Remembered()

    def inherit(self, other: Greylist) -> None:
        """
        Know whom another one knows, if it has the same key.
        """
        if other._parts == self._parts:
            self.memory = other.memory
            self.returned = other.returned

    def fate(self, step: Step, facts: Facts, now: float) -> Fate | None:
        """
        @param now: seconds of a clock that never steps.
        @return: the refusal, or C{None}.
        """
        client = networkOf(facts.client)
        if self._enough and self.returned.get(client, 0) >= self._enough:
            return None
        facets = {"client": client, "sender": facts.sender.lower(), "recipient": facts.recipient.lower()}
        key = "\0".join(facets[part] for part in self._parts)
        first = self.memory.get(key, now)
        if first == _PASSED:
            return None
        waited = now - first
        if self._delay <= waited <= self._window:
            self.memory.set(key, _PASSED)
            self.returned.next(client)
            return None
        self.memory.set(key, now if waited > self._window else first)
        return self._fate


def _keyParts(table: Table) -> tuple[str, ...]:
    written = table.raw("key")
    if written is None or written == "triplet":
        return _PARTS
    if not isinstance(written, list) or not written:
        raise Wrong(
            table.at("key"), 'expected "triplet", or a list of its parts, such as ["client", "sender", "recipient"]'
        )
    found = [usable((*table.at("key"), index), part, oneOf(_PARTS)) for index, part in enumerate(written)]
    return tuple(part for part in _PARTS if part in found)


@lru_cache(maxsize=4096)
def networkOf(client: str) -> str:
    """
    The network that stands for a client: the /24 of an IPv4 address, the /64 of an IPv6 address, else the same text.
    """
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return client
    address = getattr(address, "ipv4_mapped", None) or address
    return str(ipaddress.ip_network(f"{address}/{24 if address.version == 4 else 64}", strict=False))
