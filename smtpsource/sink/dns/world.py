"""
A world of domains and mail servers, all of whose addresses are this machine's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from ipaddress import ip_address
from typing import Any, Literal

#: What goes wrong with the DNS of a domain. The first six answer for the domain and all below it; null-mx (RFC 7505)
#: for its MX records, mx-without-address for the addresses of its mail servers. truncate is an answer that must be
#: asked for again over TCP.
Trouble = Literal["nxdomain", "servfail", "refused", "timeout", "empty", "truncate", "null-mx", "mx-without-address"]

#: What belongs to every domain that a file says nothing of.
ANY = "*"

#: What may be a domain of mail; its hosts have longer names, of up to 253 octets (RFC 1035 section 2.3.4).
_DOMAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}(\.[a-z0-9][a-z0-9_-]{0,62})*")
_LONGEST = 180


@dataclass(frozen=True)
class DomainBehavior:
    """
    How the sink treats who delivers to a domain: by rules, which come in this order. Without any it is treated as the
    sink treats everybody.

    @ivar name: of the domain; or what stands for several, such as C{*.slow.test}.
    @ivar rules: the path of a file of rules; C{None} is none.
    @ivar profile: the name of a profile of rules; C{None} is none.
    @ivar inline: what the world's file says itself, as a document of rules. These come first.
    """

    name: str
    rules: str | None = None
    profile: str | None = None
    inline: Mapping[str, Any] = field(default_factory=dict)

    @property
    def isUsual(self) -> bool:
        """
        Nothing is said of it.
        """
        return self.rules is None and self.profile is None and not self.inline

    def isLike(self, other: DomainBehavior) -> bool:
        """
        Its rules are the same.
        """
        return (self.rules, self.profile, self.inline) == (other.rules, other.profile, other.inline)


@dataclass(frozen=True)
class Failing:
    """
    When something goes wrong.

    @ivar trouble: what goes wrong.
    @ivar chance: in how many of all cases, up to 1.
    @ivar times: for how many questions of the same name and type, from the first on; C{None} is for all.
    @ivar types: the types of records that this is about, such as C{MX}; none is all.
    """

    trouble: Trouble
    chance: float = 1.0
    times: int | None = None
    types: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Domain:
    """
    A domain; or several, whose names a pattern with stars matches.

    @ivar name: in lower case, without a final dot; a star is any text.
    @ivar exchanges: its MX records: preference and host. A star in the host is the domain's name.
    @ivar ownAddress: it has an address without any MX record.
    @ivar text: its TXT records.
    @ivar failing: what goes wrong; C{None} is nothing.
    @ivar delay: seconds until anything is answered.
    @ivar spread: among how many addresses the hosts are spread whose name has a star.
    """

    name: str
    behavior: DomainBehavior
    exchanges: tuple[tuple[int, str], ...] = ()
    ownAddress: bool = False
    text: tuple[bytes, ...] = ()
    failing: Failing | None = None
    delay: float = 0.0
    spread: int = 1

    @cached_property
    def hosts(self) -> tuple[str, ...]:
        """
        The names of all hosts that take its mail, each once.
        """
        own = (ANY if ANY in self.name else self.name,) if self.ownAddress else ()
        return tuple(dict.fromkeys([*own, *(host for _, host in self.exchanges)]))


@dataclass(frozen=True)
class Host:
    """
    A host.

    @ivar addresses: all it has; of several hosts with a star in their name, those that they are spread among.
    @ivar domain: the first one whose mail it takes; C{None} if it is none's.
    """

    name: str
    addresses: tuple[str, ...]
    domain: Domain | None


@dataclass(frozen=True)
class Node:
    """
    What there is at a name.

    @ivar exists: whether there is such a name at all, or one below it.
    @ivar apex: the name of the zone that it is in.
    @ivar domain: the one that answers for it; C{None} is the world.
    @ivar exchanges: preference and host of its MX records, if it is itself a domain.
    @ivar text: its TXT records.
    @ivar addresses: if it is a host.
    @ivar ofDomain: the domain whose mail that host takes.
    @ivar pointer: the name of the host with the address that this is the name of.
    """

    exists: bool
    apex: str
    domain: Domain | None = None
    exchanges: tuple[tuple[int, str], ...] = ()
    text: tuple[bytes, ...] = ()
    addresses: tuple[str, ...] = ()
    ofDomain: Domain | None = None
    pointer: str = ""


class World:
    """
    All there is.

    @ivar seed: of what is left to chance.
    @ivar ttl: for how many seconds answers may be kept.
    @ivar hosts: all of them.
    """

    def __init__(self, domains: Sequence[Domain], hosts: Sequence[Host], seed: int = 0, ttl: int = 0) -> None:
        """
        @param domains: those with patterns in the order in which they are tried. One of them is L{ANY}.
        @param hosts: those whose name has a star belong to a domain with a pattern.
        """
        self.seed = seed
        self.ttl = ttl
        self.hosts = hosts
        self._domains = {domain.name: domain for domain in domains if ANY not in domain.name}
        self._patterns = [domain for domain in domains if ANY in domain.name]
        self._named = {host.name: host for host in hosts if ANY not in host.name}
        self._starred = [(patternOf(host.name), host) for host in hosts if ANY in host.name]
        self._above = {above for name in [*self._domains, *self._named] for above in _parents(name)}
        self._behaviors = {address: _behaviorOf(host) for host in hosts for address in host.addresses}

    def addresses(self) -> dict[str, DomainBehavior]:
        """
        All addresses, each with the behavior of the domain whose mail goes there.
        """
        return dict(self._behaviors)

    def behaviorOf(self, address: str) -> DomainBehavior | None:
        """
        The behavior of the domain whose mail goes to an address; C{None} if it is none of this world.
        """
        return self._behaviors.get(address)

    def find(self, name: str) -> Node:
        """
        What there is at a name.

        @param name: without a final dot, in any case; empty is the root.
        """
        name = name.lower()
        if name == "arpa" or name.endswith(".arpa"):
            return self._reverse(name)
        domain = self._domains.get(name) or self._patternFor(name)
        host, addresses = self._hostAt(name)
        above = next((each for each in _parents(name) if each in self._domains), None)
        answering = domain or (self._domains[above] if above is not None else None)
        if domain is not None:
            exchanges = tuple((preference, each.replace(ANY, name)) for preference, each in domain.exchanges)
            return Node(True, name, domain, exchanges, domain.text, addresses, host.domain if host else None)
        if host is None:
            return Node(name in self._above, above or "", answering)
        if answering is None:
            answering = host.domain
        return Node(True, above or name, answering, addresses=addresses, ofDomain=host.domain)

    def _patternFor(self, name: str) -> Domain | None:
        """
        The first pattern that a name matches, if it has no domain of its own.
        """
        if not _DOMAIN.fullmatch(name) or len(name) > _LONGEST or name in self._named:
            return None
        below = any(each in self._domains for each in _parents(name))
        for domain in self._patterns:
            # What is below a domain is that domain's, unless somebody says so.
            if not (below and domain.name == ANY) and patternOf(domain.name).fullmatch(name):
                return domain
        return None

    def _hostAt(self, name: str) -> tuple[Host | None, tuple[str, ...]]:
        host = self._named.get(name)
        if host is not None:
            return host, host.addresses
        for pattern, host in self._starred:
            match = pattern.fullmatch(name)
            if match and match[1] not in self._domains and self._patternFor(match[1]) is host.domain:
                assert host.domain is not None
                chosen = drawn(self.seed, "host", name) * len(host.addresses)
                return host, (host.addresses[int(chosen)],)
        return None, ()

    def _reverse(self, name: str) -> Node:
        """
        What there is at a name that stands for an address (RFC 1035 section 3.5, RFC 3596 section 2.5).
        """
        pointer = self._pointers.get(name, "")
        return Node(bool(pointer) or name in self._reverseZones, "arpa", pointer=pointer)

    @cached_property
    def _pointers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for host in self.hosts:
            names = [host.name] if ANY not in host.name else self._examplesOf(host)
            for name in names:
                for address in self._hostAt(name)[1]:
                    found.setdefault(ip_address(address).reverse_pointer, name)
        return found

    @cached_property
    def _reverseZones(self) -> frozenset[str]:
        return frozenset(above for name in self._pointers for above in _parents(name))

    def _examplesOf(self, host: Host) -> Iterator[str]:
        """
        Names of hosts with a star in their name, as many as make it likely that each of their addresses is there.
        """
        assert host.domain is not None
        pattern = host.domain.name if host.domain.name != ANY else f"{ANY}.test"
        for number in range(1, 10 * host.domain.spread + 1):
            name = host.name.replace(ANY, pattern.replace(ANY, f"any{number}"))
            if self._hostAt(name)[0] is host:
                yield name


def _behaviorOf(host: Host) -> DomainBehavior:
    return host.domain.behavior if host.domain is not None else DomainBehavior(host.name)


def _parents(name: str) -> Iterator[str]:
    while "." in name:
        name = name.partition(".")[2]
        yield name


@cache
def patternOf(name: str) -> re.Pattern[str]:
    """
    What matches the names that a name with stars stands for; the first group is what is there for the first star.
    """
    first, *rest = map(re.escape, name.split(ANY))
    return re.compile(f"{first}(.+){'.+'.join(rest)}" if rest else first)


def drawn(seed: int, *words: object) -> float:
    """
    A number from 0 up to 1, the same for the same words, whatever came before.
    """
    digest = hashlib.blake2b("\0".join(map(str, (seed, *words))).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56
