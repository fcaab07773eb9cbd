"""
The table C{when} of a rule: to whom it applies.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection
from fnmatch import translate
from functools import lru_cache
from typing import Any

from smtpsource.sink.rules import amounts
from smtpsource.sink.rules.facts import Facts, Step
from smtpsource.sink.rules.problems import Path, Table, Wrong, alternatives, shown, usable
from smtpsource.sink.rules.subjects import STEPS, UNKNOWN, domainOf

#: Whether something is so, at a step.
Condition = Callable[[Step, Facts], bool]

_Matches = Callable[[str], bool]
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_TEXTS: dict[str, Callable[[Facts], str]] = {
    "helo": lambda facts: facts.helo,
    "user": lambda facts: facts.user,
    "sender": lambda facts: facts.sender,
}

KEYS = ("client", "domain", "helo", "recipient", "sender", "size-above", "size-below", "tls", "user")


def conditions(value: object, path: Path, steps: Collection[Step]) -> tuple[Condition, ...]:
    """
    Of a table C{when}; all of them must hold.

    @param steps: of its rule.
    @raise Wrong: it can't be used, or could never hold at one of the steps.
    """
    table = Table(value, path, KEYS, 'when = { recipient = "*@slow.test" }')
    for key in table.given(KEYS):
        needKnown(key, table.at(key), steps)
    if {"size-above", "size-below"} <= set(table.given(KEYS)):
        above, below = (table.get(key, amounts.size, 0) for key in ("size-above", "size-below"))
        if above + 1 >= below:
            raise Wrong(table.at("size-below"), f"no size is between: expected one of at least {above + 2} bytes")
    found: list[Condition] = []
    for key in table.given(KEYS):
        at, written = table.at(key), table.raw(key)
        if key == "tls":
            found.append(_tls(usable(at, written, amounts.flag)))
        elif key.startswith("size-"):
            found.append(_size(usable(at, written, amounts.size), key == "size-above"))
        elif key == "client":
            found.append(_client(_texts(written, at)))
        else:
            matches = _globs(_texts(written, at))
            found.append(_address(key, matches) if key in ("recipient", "domain") else _plain(_TEXTS[key], matches))
    return tuple(found)


def needKnown(what: str, path: Path, steps: Collection[Step]) -> None:
    """
    See that something is known at all steps of a rule.

    @raise Wrong: at one of them it isn't.
    """
    unknown = UNKNOWN.get(what, set())
    for step in steps:
        if step in unknown:
            known = alternatives(each for each in STEPS if each not in unknown)
            raise Wrong(path, f"it is not known at {step}, so this rule could never apply: expected a rule on {known}")


def _texts(value: Any, path: Path) -> list[tuple[Path, str]]:
    """
    One text, or a list of them, with their places.
    """
    if isinstance(value, str):
        return [(path, value)]
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return [((*path, index), one) for index, one in enumerate(value)]
    expected = "more than an empty list" if value == [] else "a text, or a list of texts"
    raise Wrong(path, f"{shown(value)} is not usable: expected {expected}")


def _globs(texts: list[tuple[Path, str]]) -> _Matches:
    """
    Does one of these globs match all of a text? Letters are the same in either case.
    """
    patterns = [usable(path, text, _pattern) for path, text in texts]
    match = re.compile("|".join(patterns), re.IGNORECASE).match
    return lambda text: match(text) is not None


def _pattern(glob: str) -> str:
    """
    @raise ValueError: a bracket has no end, or what is in it can't be.
    """
    index = 0
    while (start := glob.find("[", index)) >= 0:
        # As fnmatch has it, a bracket that comes first is one of the characters.
        first = start + (2 if glob[start + 1 : start + 2] == "!" else 1)
        end = glob.find("]", first + 1)
        if end < 0:
            raise ValueError(
                "expected a glob: '*' is any text, '?' any character, '[ab]' one of these; for the bracket itself '[[]'"
            )
        inside = glob[first:end]
        if glob[start - 1 : start] == "@" and re.fullmatch(r"(?i)(?:ipv6:)?[0-9a-f]*[.:][0-9a-f.:]+", inside):
            raise ValueError(f"expected '@[[]{inside}]' for an address literal: '[' begins a choice of characters")
        if any(first > last for first, last in re.findall(r"(.)-(.)", inside, re.DOTALL)):
            raise ValueError(f"expected a range from low to high in '[{inside}]', such as '[a-z]'")
        index = end + 1
    return translate(glob)


@lru_cache(maxsize=4096)
def _parsed(client: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _client(texts: list[tuple[Path, str]]) -> Condition:
    """
    Is the client one of these addresses, in one of these networks, or matched by one of these globs?
    """
    networks: list[_Network] = []
    globs = []
    for path, text in texts:
        if _isGlob(text):
            globs.append((path, text))
        else:
            networks.append(usable(path, text, _network))
    matches = _globs(globs) if globs else None

    def isOne(step: Step, facts: Facts) -> bool:
        if matches is not None and matches(facts.client):
            return True
        address = _parsed(facts.client)
        return address is not None and any(address in network for network in networks)

    return isOne


def _isGlob(text: str) -> bool:
    return text.lower() == "local" or any(character in text for character in "*?[")


def _network(text: str) -> _Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as e:
        if "has host bits set" in str(e):
            network = ipaddress.ip_network(text, strict=False)
            raise ValueError(f"expected a network such as {network}, not an address in it")
        raise ValueError(
            "expected an address such as 192.0.2.1, a network such as 192.0.2.0/24 or 2001:db8::/32, a glob such as "
            "192.0.*, or local for UNIX sockets"
        )


def _plain(fact: Callable[[Facts], str], matches: _Matches) -> Condition:
    return lambda step, facts: matches(fact(facts))


def _address(key: str, matches: _Matches) -> Condition:
    """
    For recipients and their domains. Where it is no matter of a single one, it is enough that one of them matches.
    """
    part: Callable[[str], str] = domainOf if key == "domain" else str

    def isOne(step: Step, facts: Facts) -> bool:
        if step == "mail":
            return matches(part(facts.sender))
        if step == "rcpt" or not facts.recipients:
            return matches(part(facts.recipient))
        return any(matches(part(each)) for each in facts.recipients)

    return isOne


def _tls(wanted: bool) -> Condition:
    return lambda step, facts: facts.tls is wanted


def _size(limit: int, above: bool) -> Condition:
    if above:
        return lambda step, facts: facts.size > limit
    return lambda step, facts: facts.size < limit
