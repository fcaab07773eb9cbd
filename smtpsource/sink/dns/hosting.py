"""
Which address each host of a world has.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence

from smtpsource.sink.dns.world import ANY, Domain, DomainBehavior, Host

#: The most addresses of a world: the sink listens on each.
MOST_ADDRESSES = 4096


def hosted(domains: Sequence[Domain], given: Mapping[str, tuple[str, ...]], first: str) -> list[Host]:
    """
    Give every host an address of its own: one after the other, in the order in which domains name them.

    @param domains: all of the world.
    @param given: the addresses of some hosts by their names.
    @param first: the first of the other addresses. None ends with 0 or 255.
    @return: all hosts.
    @raise ValueError: there are too many; the text says what was expected.
    """
    taken = {address for addresses in given.values() for address in addresses}
    free = _free(first, taken)
    found: dict[tuple[str, str], Host] = {}
    for domain in domains:
        for name in domain.hosts:
            # Hosts with a star are each pattern's own, if they have the same name.
            key = (name, domain.name if ANY in name else "")
            if key not in found:
                number = domain.spread if ANY in name else 1
                found[key] = Host(name, given[name] if name in given else _taken(free, number), domain)
    named = {host.name for host in found.values()}
    hosts = list(found.values())
    for name, addresses in given.items():
        if name not in named:
            hosts.append(Host(name, addresses, next((each for each in domains if _isIn(name, each)), None)))
    if sum(len(host.addresses) for host in hosts) > MOST_ADDRESSES:
        raise ValueError(f"expected domains with at most {MOST_ADDRESSES} addresses in all")
    return hosts


def meeting(hosts: Sequence[Host], domains: Sequence[Domain]) -> tuple[str, DomainBehavior, Domain | str] | None:
    """
    Look for an address where two behaviors would meet.

    @return: the host or the address that they share, the first behavior, and the domain of the other one, or the name
        of its host if it is no domain's; C{None} if there is no such thing.
    """
    owners = {host.name: host.domain.behavior for host in hosts if host.domain is not None and ANY not in host.name}
    for domain in domains:
        for name in domain.hosts:
            if name in owners and not owners[name].isLike(domain.behavior):
                return name, owners[name], domain
    behaviors: dict[str, DomainBehavior] = {}
    for host in hosts:
        behavior = host.domain.behavior if host.domain is not None else DomainBehavior(host.name)
        for address in host.addresses:
            if not behaviors.setdefault(address, behavior).isLike(behavior):
                return address, behaviors[address], host.domain or host.name
    return None


def _isIn(name: str, domain: Domain) -> bool:
    return name == domain.name or name.endswith(f".{domain.name}")


def _taken(free: Iterator[str], number: int) -> tuple[str, ...]:
    addresses = []
    for _ in range(number):
        address = next(free, None)
        if address is None:
            raise ValueError(f"expected domains with at most {MOST_ADDRESSES} addresses in all")
        addresses.append(address)
    return tuple(addresses)


def _free(first: str, taken: set[str]) -> Iterator[str]:
    """
    The addresses that nobody has, from the first one on.
    """
    start = ipaddress.IPv4Address(first)
    for number in range(MOST_ADDRESSES * 2):
        address = start + number
        if not address.is_loopback:
            return
        if int(address) & 0xFF not in (0, 0xFF) and str(address) not in taken:
            yield str(address)
