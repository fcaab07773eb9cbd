"""
Files that describe a world, in TOML.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from typing import Any, cast, get_args

from smtpsource.sink.dns.hosting import hosted, meeting
from smtpsource.sink.dns.lines import lineOf
from smtpsource.sink.dns.tables import Path, Table, Unusable, inOneLine, text
from smtpsource.sink.dns.world import ANY, Domain, DomainBehavior, Failing, Trouble, World, patternOf
from smtpsource.values import checks, files, inputs, names, numbers, textfiles

#: The types of records that something may go wrong with alone.
TYPES = ("A", "AAAA", "MX", "NS", "SOA", "TXT")

#: The most addresses that the hosts of one pattern may be spread among.
MOST_SPREAD = 64

_TOP = {"seed", "ttl", "first-address", "hosts", "domain"}
_OF_DOMAIN = {"name", "mx", "txt", "answer", "chance", "times", "types", "delay", "spread", "rules", "profile"}

#: The most bytes of a TXT record.
_MOST_TEXT = 4096

#: The exchange of a domain that says nothing of any.
_USUAL = ((10, f"mx.{ANY}"),)

_TROUBLES = get_args(Trouble)

_NAME = re.compile(r"[a-z0-9_*]([a-z0-9_*-]{0,61}[a-z0-9_*])?(\.[a-z0-9_*]([a-z0-9_*-]{0,61}[a-z0-9_*])?)*")


def readWorld(path: str) -> World:
    """
    Read a world.

    @raise ValueError: the file can't be used. The text is one line: the file, the line, the key, and what would be
        right.
    """
    file = inOneLine(path)
    try:
        content = textfiles.read(path, inputs.SETTINGS)
    except ValueError as e:
        raise ValueError(f"{file} is not usable: {e}") from None
    try:
        return parseWorld(content, os.path.dirname(os.path.abspath(path)))
    except ValueError as e:
        raise ValueError(f"{file}: {e}") from None


def parseWorld(content: bytes, directory: str) -> World:
    """
    Make a world of the content of a file.

    @param directory: where relative names of files start from.
    @raise ValueError: it can't be used. The text is one line: the line, the key, and what would be right.
    """
    try:
        decoded = content.decode("utf-8")
        document = tomllib.loads(decoded)
    except UnicodeDecodeError as e:
        line = content.count(b"\n", 0, e.start) + 1
        raise ValueError(f"line {line} is not usable: expected UTF-8") from None
    except tomllib.TOMLDecodeError as e:
        problem, _, place = str(e).removesuffix(")").rpartition(" (at ")
        raise ValueError(f"{place} is not usable: expected TOML: {problem}") from None
    except RecursionError:
        raise ValueError("it is not usable: expected TOML with fewer brackets in brackets") from None
    try:
        return _world(document, directory)
    except Unusable as e:
        raise ValueError(f"line {lineOf(decoded, e.path)}: {e}") from None


def _world(document: dict[str, Any], directory: str) -> World:
    top = Table(document, (), _TOP)
    seed = top.get("seed", checks.wholeNumber(0), 0)
    ttl = top.get("ttl", _seconds, 0.0)
    first = top.get("first-address", text(_firstAddress, "'127.0.1.1'"), "127.0.1.1")
    if ttl != int(ttl):
        raise top.wrong("ttl", "whole seconds, such as '1m'")
    given = _hosts(Table(document.get("hosts", {}), ("hosts",), None))
    domains = _domains(top, document.get("domain", []), directory)
    if not any(domain.name == ANY for domain in domains):
        domains.append(Domain(ANY, DomainBehavior(ANY), _USUAL))
    try:
        hosts = hosted(domains, given, first)
    except ValueError as e:
        raise Unusable(("domain",), f": {e}") from None
    contested = meeting(hosts, domains)
    if contested is not None:
        what, one, other = contested
        place: Path = ("domain", domains.index(other), "mx") if isinstance(other, Domain) else ("hosts",)
        raise Unusable(
            place, f": {what} is of {one.name} already, whose rules are others: expected a host and an address for each"
        )
    return World(domains, hosts, seed, int(ttl))


def _hosts(table: Table) -> dict[str, tuple[str, ...]]:
    given: dict[str, tuple[str, ...]] = {}
    for key in table.names():
        try:
            name = _host(key)
        except ValueError as e:
            raise Unusable((*table.path, key), f" is no name of a host: {e}") from None
        if name in given:
            raise Unusable((*table.path, key), " is there twice: expected each host once")
        given[name] = table.list(key, text(_address, "'127.0.0.9'"), ())
    return given


def _domains(top: Table, tables: Any, directory: str) -> list[Domain]:
    if not isinstance(tables, list):
        raise top.wrong("domain", "tables with the header [[domain]]")
    domains: list[Domain] = []
    for number, values in enumerate(tables):
        table = Table(values, ("domain", number), _OF_DOMAIN)
        domain = _domain(table, directory)
        for earlier in domains:
            if earlier.name == domain.name:
                raise table.wrong("name", "each domain once")
            if ANY in earlier.name and ANY in domain.name and patternOf(earlier.name).fullmatch(domain.name):
                raise table.wrong("name", f"it before {earlier.name}, which takes all that it is to match")
        domains.append(domain)
    return domains


def _domain(table: Table, directory: str) -> Domain:
    if "name" not in table:
        raise Unusable(table.path, " has no name: expected one, such as name = 'gmail.test'")
    name = table.get("name", text(_domainName, "'gmail.test'"), "")
    failing = _failing(table)
    behavior = DomainBehavior(
        name,
        table.get("rules", text(lambda path: files.readableFile(os.path.join(directory, path)), "'gmail.toml'"), None),
        table.get("profile", text(_word, "'greylisting'"), None),
    )
    null = failing is not None and failing.trouble == "null-mx"
    if null and failing is not None and failing.chance == 1.0 and failing.times is None and "mx" in table:
        raise table.wrong("mx", "none beside the answer null-mx, unless that has chance or times")
    exchanges = table.list("mx", text(_exchange, "'10 mx1.gmail.test'"), () if null else _USUAL)
    if ANY not in name:
        exchanges = tuple((preference, host.replace(ANY, name)) for preference, host in exchanges)
    domain = Domain(
        name,
        behavior,
        exchanges,
        ownAddress=null or not exchanges,
        text=table.list("txt", text(_text, "'v=spf1 -all'"), ()),
        failing=failing,
        delay=table.get("delay", _seconds, 0.0),
        spread=table.get("spread", checks.wholeNumber(1, MOST_SPREAD), 1),
    )
    if domain.spread > 1 and not any(ANY in host for host in domain.hosts):
        raise table.wrong("spread", "it for domains with a star in the names of their hosts alone")
    return domain


def _failing(table: Table) -> Failing | None:
    trouble = table.get("answer", text(names.oneOf(*_TROUBLES), "'nxdomain'"), None)
    chance = table.get("chance", text(_chance, "'30%'"), 1.0)
    times = table.get("times", checks.count, None)
    types = table.list("types", text(names.oneOf(*TYPES), "'MX'"), ())
    if trouble is None:
        for key in ("chance", "times", "types"):
            if key in table:
                raise table.wrong(key, "an answer beside it, such as answer = 'servfail'")
        return None
    fixed = {"null-mx": "MX", "mx-without-address": "A or AAAA"}.get(trouble)
    if fixed is not None and not set(types) <= set(fixed.split(" or ")):
        raise table.wrong("types", f"{fixed}, which {trouble} is about")
    return Failing(cast(Trouble, trouble), chance, times, frozenset(types))


# What one value means. Each raises C{ValueError} with what was expected.


def _seconds(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return checks.secondsOrZero(value)
    return text(numbers.timeOrZero, "'200ms'")(value)


def _chance(value: str) -> float:
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)%", value)
    if found is None or not 0 < float(found[1]) <= 100:
        raise ValueError("expected a chance of more than 0% and at most 100%, such as '30%'")
    return float(found[1]) / 100


def _domainName(value: str) -> str:
    return _checkedName(value, "a domain, such as 'gmail.test' or '*.slow.test'")


def _host(value: str) -> str:
    name = _checkedName(value, expected := "the name of a host, such as 'mx1.gmail.test'")
    if ANY in name:
        raise ValueError(f"expected {expected}")
    return name


def _checkedName(value: str, expected: str) -> str:
    name = value.removesuffix(".").lower()
    if not name.isascii():
        name = names.inASCII(name)
    if not _NAME.fullmatch(name) or len(name) > 253 or _isReverse(name):
        raise ValueError(f"expected {expected}")
    return name


def _isReverse(name: str) -> bool:
    return name == "arpa" or name.endswith(".arpa")


def _exchange(value: str) -> tuple[int, str]:
    expected = "a preference up to 65535 and a host, such as '10 mx1.gmail.test' or '10 mx.*'"
    found = re.fullmatch(r"([0-9]{1,5}) +(\S+)", value.strip())
    if found is None or int(found[1]) > 65535:
        raise ValueError(f"expected {expected}")
    host = _checkedName(found[2], expected)
    if host.count(ANY) > 1 or (ANY in host and ANY not in host.split(".")):
        raise ValueError(f"expected {expected}: a star stands for the domain, and once")
    return int(found[1]), host


def _text(value: str) -> bytes:
    encoded = value.encode()
    if len(encoded) > _MOST_TEXT:
        raise ValueError(f"expected at most {_MOST_TEXT} bytes")
    return encoded


def _word(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", value):
        raise ValueError("expected the name of a profile, such as 'greylisting'")
    return value


def _address(value: str) -> str:
    expected = "expected a loopback address, such as '127.0.0.9' or '::1'"
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        raise ValueError(expected) from None
    if not address.is_loopback:
        raise ValueError(expected)
    return str(address)


def _firstAddress(value: str) -> str:
    address = _address(value)
    if ":" in address:
        raise ValueError("expected an IPv4 loopback address, such as '127.0.1.1'")
    return address
