"""
Files that describe a world, in TOML.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, cast, get_args

from smtpsource.sink.dns import values
from smtpsource.sink.dns.hosting import hosted, meeting
from smtpsource.sink.dns.world import ANY, Domain, DomainBehavior, Failing, Trouble, World, patternOf
from smtpsource.sink.rules import PROFILES, amounts
from smtpsource.sink.rules.lines import lineOf
from smtpsource.sink.rules.problems import Path, Table, Wrong, inWords, oneOf, shown, usable
from smtpsource.sink.rules.ruleset import RuleSet
from smtpsource.sink.rules.written import fromFile
from smtpsource.values import checks, inputs, textfiles, tomltext

#: The types of records that something may go wrong with alone.
TYPES = ("A", "AAAA", "MX", "NS", "SOA", "TXT")

#: The most addresses that the hosts of one pattern may be spread among.
MOST_SPREAD = 64

#: What tables of rules a domain may have within its own.
_RULES = ("rule", "greylist", "tarpit")

#: The keys at the top, and those of a domain.
KEYS = ("seed", "ttl", "first-address", "hosts", "domain")
KEYS_OF_DOMAIN = (
    *("name", "mx", "txt", "answer", "chance", "times", "types", "delay", "spread"),
    *("rules", "profile", *_RULES),
)
_EXAMPLE = "{ name = 'gmail.test' }"

#: The exchange of a domain that says nothing of any.
_USUAL = ((10, f"mx.{ANY}"),)

_TROUBLES = get_args(Trouble)


def readWorld(path: str) -> World:
    """
    Read a world.

    @raise ValueError: the file can't be used, or one that it names. The text is one line: the file, the line, the key,
        and what would be right.
    """
    try:
        content = textfiles.read(path, inputs.SETTINGS)
    except ValueError as e:
        raise ValueError(f"{path!r} is not usable: {e}") from None
    return parseWorld(content, path if path.isprintable() else repr(path), os.path.dirname(os.path.abspath(path)))


def worldOf(path: str | None) -> World:
    """
    The world of a file; without one, that with any domain.

    @raise ValueError: as L{readWorld} does.
    """
    return parseWorld(b"", "") if path is None else readWorld(path)


def parseWorld(content: bytes, name: str, directory: str = ".") -> World:
    """
    Make a world of the content of a file.

    @param name: of the file.
    @param directory: where relative names of other files start from.
    @raise ValueError: as L{readWorld} does.
    """
    try:
        document = tomltext.parsed(content)
    except tomltext.Unparsable as e:
        raise ValueError(f"{name}, {e.place}: {e}" if e.place else f"{name}: {e}") from None
    try:
        return _world(document, directory)
    except Wrong as e:
        raise ValueError(inWords(e, name, lineOf(content.decode("utf-8")))) from None


def _world(document: object, directory: str) -> World:
    top = Table(document, (), KEYS, _EXAMPLE)
    seed = top.get("seed", amounts.wholeNumber, 0)
    ttl = top.get("ttl", values.wholeSeconds, 0)
    first = top.get("first-address", values.text(values.firstAddress, "'127.0.1.1'"), "127.0.1.1")
    given = _hosts(top.raw("hosts") if "hosts" in top else {})
    domains = _domains(top, directory)
    if not any(domain.name == ANY for domain in domains):
        domains.append(Domain(ANY, DomainBehavior(ANY), _USUAL))
    try:
        hosts = hosted(domains, given, first)
    except ValueError as e:
        raise Wrong(top.at("domain"), str(e)) from None
    contested = meeting(hosts, domains)
    if contested is not None:
        what, one, other = contested
        place: Path = ("domain", domains.index(other), "mx") if isinstance(other, Domain) else ("hosts",)
        raise Wrong(
            place, f"{what} is of {one.name} already, whose rules are others: expected a host and an address for each"
        )
    return World(domains, hosts, seed, ttl)


def _hosts(table: Any) -> dict[str, tuple[str, ...]]:
    path: Path = ("hosts",)
    if not isinstance(table, dict):
        raise Wrong(path, f"{shown(table)} is not usable: expected a table of names and addresses")
    given: dict[str, tuple[str, ...]] = {}
    for key, value in table.items():
        try:
            name = values.host(key)
        except ValueError as e:
            raise Wrong((*path, key), f"no name of a host: {e}") from None
        if name in given:
            raise Wrong((*path, key), "it is there twice: expected each host once")
        given[name] = _several((*path, key), value, values.text(values.address, "'127.0.0.9'"))
    return given


def _domains(top: Table, directory: str) -> list[Domain]:
    tables = top.raw("domain") if "domain" in top else []
    if not isinstance(tables, list):
        raise Wrong(top.at("domain"), f"{shown(tables)} is not usable: expected tables with the header [[domain]]")
    domains: list[Domain] = []
    for number, one in enumerate(tables):
        table = Table(one, ("domain", number), KEYS_OF_DOMAIN, _EXAMPLE)
        domain = _domain(table, directory)
        for earlier in domains:
            if earlier.name == domain.name:
                raise _wrong(table, "name", "each domain once")
            if ANY in earlier.name and ANY in domain.name and patternOf(earlier.name).fullmatch(domain.name):
                raise _wrong(table, "name", f"it before {earlier.name}, which takes all that it is to match")
        domains.append(domain)
    return domains


def _domain(table: Table, directory: str) -> Domain:
    name = table.need("name", values.text(values.domain, "'gmail.test'"), "name = 'gmail.test'")
    failing = _failing(table)
    null = failing is not None and failing.trouble == "null-mx"
    if null and failing is not None and failing.chance == 1.0 and failing.times is None and "mx" in table:
        raise _wrong(table, "mx", "none beside the answer null-mx, unless that has chance or times")
    exchanges = _listed(table, "mx", values.text(values.exchange, "'10 mx1.gmail.test'"), () if null else _USUAL)
    if ANY not in name:
        exchanges = tuple((preference, host.replace(ANY, name)) for preference, host in exchanges)
    domain = Domain(
        name,
        _behavior(table, name, directory),
        exchanges,
        ownAddress=null or not exchanges,
        text=_listed(table, "txt", values.text(values.content, "'v=spf1 -all'"), ()),
        failing=failing,
        delay=table.get("delay", amounts.timeOrZero, 0.0),
        spread=table.get("spread", checks.wholeNumber(1, MOST_SPREAD), 1),
    )
    if domain.spread > 1 and not any(ANY in host for host in domain.hosts):
        raise _wrong(table, "spread", "it for domains with a star in the names of their hosts alone")
    return domain


def _behavior(table: Table, name: str, directory: str) -> DomainBehavior:
    """
    The rules of a domain, which have to be usable.
    """
    inline = {key: table.raw(key) for key in table.given(_RULES)}
    try:
        RuleSet.made(inline)
    except Wrong as e:
        raise Wrong((*table.path, *e.path), str(e)) from None

    rules = table.get("rules", values.text(lambda path: os.path.join(directory, path), "'gmail.toml'"), None)
    if rules is not None:
        try:
            fromFile(rules)
        except ValueError as e:
            raise Wrong(table.at("rules"), str(e)) from None
    return DomainBehavior(name, rules, table.get("profile", oneOf(PROFILES), None), inline)


def _failing(table: Table) -> Failing | None:
    trouble = table.get("answer", oneOf(_TROUBLES), None)
    chance = table.get("chance", values.chance, 1.0)
    times = table.get("times", amounts.count, None)
    types = _listed(table, "types", oneOf(TYPES), ())
    if trouble is None:
        for key in table.given(("chance", "times", "types")):
            raise _wrong(table, key, "an answer beside it, such as answer = 'servfail'")
        return None
    about = {"null-mx": ("MX",), "mx-without-address": ("A", "AAAA")}.get(trouble, TYPES)
    if not set(types) <= set(about):
        raise _wrong(table, "types", f"{' or '.join(about)}, which {trouble} is about")
    return Failing(cast(Trouble, trouble), chance, times, frozenset(types))


def _wrong(table: Table, key: str, expected: str) -> Wrong:
    return Wrong(table.at(key), f"{shown(table.raw(key))} is not usable: expected {expected}")


def _several(path: Path, value: Any, convert: Callable[[Any], Any]) -> tuple[Any, ...]:
    """
    A list of values, or one of them.
    """
    return tuple(usable(path, each, convert) for each in (value if isinstance(value, list) else [value]))


def _listed(table: Table, key: str, convert: Callable[[Any], Any], default: tuple[Any, ...]) -> tuple[Any, ...]:
    return _several(table.at(key), table.raw(key), convert) if key in table else default
