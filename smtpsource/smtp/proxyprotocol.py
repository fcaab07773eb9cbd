"""
The header of HAProxy's PROXY protocol, and the clients that we pretend to be a proxy for.

The specification is U{https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt}. The header comes before anything
else on a connection, in front of TLS too, and has no answer.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Literal, get_args

from smtpsource.values import names

#: The versions of the protocol: text and binary.
ProxyVersion = Literal["v1", "v2"]

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_VERSION_2_PROXY = 0x21
_TCP_OVER_IPV4 = 0x11
_TCP_OVER_IPV6 = 0x21

#: A host, an IPv4 or IPv6 address as text, and a port.
Endpoint = tuple[str, int]


def header(version: str, source: Endpoint, destination: Endpoint | None) -> bytes:
    """
    The header for a connection that a proxy relays from a client to us.

    Both addresses must be of one family. If only one is IPv6, the other is written as an IPv4-mapped IPv6 address (RFC
    4291 section 2.5.5.2), as HAProxy does: nothing that is said is untrue then, and a server with a socket for both
    families sees the like without any proxy.

    @param version: one of L{ProxyVersion}.
    @param source: the client.
    @param destination: where the client has connected to. C{None} is a UNIX socket, which has no address that fits: the
        loopback address of the source's family and port 0 stand for it. (The protocol's own word for what it has no
        address for is UNKNOWN, but then a server ignores the source too, or rejects the connection.)
    @raise ValueError: the version is none; a host is no address; a port is not in 0 to 65535.
    """
    client = _address(source[0])
    ports = source[1], 0 if destination is None else destination[1]
    if destination is None:
        server: IPv4Address | IPv6Address = _LOOPBACK[client.version]
    else:
        server = _address(destination[0])
    if not all(0 <= port <= 65535 for port in ports):
        raise ValueError("expected ports from 0 to 65535")
    if client.version != server.version:
        client, server = _mapped(client), _mapped(server)
    if version == "v1":
        text = f"PROXY TCP{client.version} {_text(client)} {_text(server)} {ports[0]} {ports[1]}\r\n"
        return text.encode("ascii")
    if version == "v2":
        family = _TCP_OVER_IPV4 if client.version == 4 else _TCP_OVER_IPV6
        addresses = client.packed + server.packed + struct.pack("!HH", *ports)
        return _SIGNATURE + struct.pack("!BBH", _VERSION_2_PROXY, family, len(addresses)) + addresses
    raise ValueError("expected v1 or v2")


_LOOPBACK: dict[int, IPv4Address | IPv6Address] = {4: IPv4Address("127.0.0.1"), 6: IPv6Address("::1")}


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        # A zone means something on one machine only, and the header has no place for it.
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        raise ValueError("expected an IPv4 or IPv6 address")


def _mapped(address: IPv4Address | IPv6Address) -> IPv6Address:
    return address if isinstance(address, IPv6Address) else IPv6Address(0xFFFF << 32 | int(address))


def _text(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        # The protocol knows hexadecimal digits only, and newer Pythons than 3.12 write the end with dots.
        low = int(address) & 0xFFFFFFFF
        return f"::ffff:{low >> 16:x}:{low & 0xFFFF:x}"
    return str(address)


#: Addresses for tests of network equipment, that nobody on the Internet has: RFC 2544 appendix C.2.2 and RFC 5180
#: section 8.
IPV4_NETWORK = ipaddress.IPv4Network("198.18.0.0/15")
IPV6_NETWORK = ipaddress.IPv6Network("2001:2::/48")

#: The ports that a client's system takes for its end of a connection: all but the first 1024, which need privileges.
_FIRST_PORT = 1024
_PORTS = 65536 - _FIRST_PORT


class Sources:
    """
    The clients that connections are relayed for, one after the other.

    Given addresses come in turn. Otherwise each connection gets an address of its own, of its destination's family:
    198.18.0.1 to 198.19.255.254, then again from the start; or one in a C{/64} of its own in 2001:2::/48, for servers
    that take a C{/64} for one client, and from the 65,537th on the next address in each.

    When all addresses have been used, they come again with the next port, from 1024 on. So a pair of address and port
    comes back only when all others of them were used.
    """

    def __init__(self, addresses: Sequence[str] = (), start: int = 0, step: int = 1) -> None:
        """
        @param addresses: the given ones; empty: generate them.
        @param start: which pair of an address and a port comes first, from 0.
        @param step: every so-manieth is taken: other processes have those between.
        """
        self._addresses = tuple(addresses)
        self._step = step
        self._givenCount = start
        self._counts = {4: start, 6: start}

    def next(self, destination: Endpoint | None) -> Endpoint:
        """
        The client of a new connection.

        @param destination: where the connection goes, or C{None} for a UNIX socket. It decides about the family of a
            generated address, IPv4 for a UNIX socket; given addresses are used for any, see L{header}.
        """
        if self._addresses:
            turn, index = divmod(self._givenCount, len(self._addresses))
            self._givenCount += self._step
            return self._addresses[index], _FIRST_PORT + turn % _PORTS
        version = 6 if destination is not None and ":" in destination[0] else 4
        count = self._counts[version]
        self._counts[version] += self._step
        if version == 4:
            turn, index = divmod(count, _IPV4_HOSTS)
            return str(IPv4Address(_FIRST_IPV4 + index)), _FIRST_PORT + turn % _PORTS
        # There are more addresses than connections that anybody could make: the port stays what it is.
        host, subnet = divmod(count, 65536)
        return str(IPv6Address(_FIRST_IPV6 + (subnet << 64) + host % (2**64 - 1))), _FIRST_PORT


_FIRST_IPV4 = int(IPV4_NETWORK.network_address) + 1
#: Without the addresses of the network and of its broadcast.
_IPV4_HOSTS = IPV4_NETWORK.num_addresses - 2
_FIRST_IPV6 = int(IPV6_NETWORK.network_address) + 1


#: A version of HAProxy's PROXY protocol.
proxyProtocol = names.oneOf(*get_args(ProxyVersion))
