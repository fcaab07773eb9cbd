"""
Tests for L{smtpsource.smtp.proxyprotocol}.
"""

from __future__ import annotations

import ipaddress
from ipaddress import ip_address, ip_network
from typing import get_args

from hypothesis import strategies as st
from properties import given
from twisted.protocols.haproxy._v1parser import V1Parser
from twisted.protocols.haproxy._v2parser import V2Parser
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.smtp.proxyprotocol import ProxyVersion, Sources, header

PARSERS = {"v1": V1Parser, "v2": V2Parser}
SIGNATURE = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"


def parsed(version, octets):
    """
    Source and destination as Twisted reads them, each an address and a port, and what is left over.
    """
    info, remaining = PARSERS[version]().feed(octets)
    return (
        (ip_address(info.source.host), info.source.port),
        (ip_address(info.destination.host), info.destination.port),
        remaining,
    )


def mapped(address):
    """
    An IPv4 address as an IPv4-mapped IPv6 one.
    """
    return ip_address(b"\0" * 10 + b"\xff\xff" + address.packed)


ports = st.integers(0, 65535)


class HeaderTests(SynchronousTestCase):
    """
    L{header}.
    """

    def test_specification(self):
        """
        The example of section 2.1, and the fields of section 2.2 by hand.
        """
        source, destination = ("192.168.0.1", 56324), ("192.168.0.11", 443)
        self.assertEqual(header("v1", source, destination), b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n")
        self.assertEqual(
            header("v2", source, destination),
            SIGNATURE + b"\x21\x11\x00\x0c" + bytes([192, 168, 0, 1, 192, 168, 0, 11]) + b"\xdc\x04\x01\xbb",
        )
        source, destination = ("2001:db8:0:0::1", 1), ("::", 2)
        self.assertEqual(header("v1", source, destination), b"PROXY TCP6 2001:db8::1 :: 1 2\r\n")
        self.assertEqual(
            header("v2", source, destination),
            SIGNATURE + b"\x21\x21\x00\x24\x20\x01\x0d\xb8" + bytes(11) + b"\x01" + bytes(16) + b"\x00\x01\x00\x02",
        )

    @given(st.sampled_from(get_args(ProxyVersion)), st.ip_addresses(), ports, st.ip_addresses(), ports)
    def test_roundTrip(self, version, source, sourcePort, destination, destinationPort):
        """
        A server reads what was meant; with two families, both addresses are IPv6.
        """
        octets = header(version, (str(source), sourcePort), (str(destination), destinationPort))
        if source.version != destination.version:
            source, destination = (each if each.version == 6 else mapped(each) for each in (source, destination))
        self.assertEqual(
            parsed(version, octets + b"EHLO"), ((source, sourcePort), (destination, destinationPort), b"EHLO")
        )
        if version == "v1":
            # The longest lines that a receiver must take.
            self.assertTrue(len(octets) <= (56 if source.version == 4 else 104))
            self.assertRegex(octets, rb"^PROXY TCP(4 [0-9. ]*|6 [0-9a-f: ]*)\r\n$")

    def test_mixed(self):
        """
        An IPv4 address next to an IPv6 one is mapped, and has no dots in text.
        """
        self.assertEqual(
            header("v1", ("2001:db8::1", 1024), ("127.0.0.1", 25)),
            b"PROXY TCP6 2001:db8::1 ::ffff:7f00:1 1024 25\r\n",
        )
        self.assertEqual(
            header("v1", ("192.0.2.1", 1024), ("fe80::1%eth0", 25)),
            b"PROXY TCP6 ::ffff:c000:201 fe80::1 1024 25\r\n",
        )

    def test_unixSocket(self):
        """
        A UNIX socket is the loopback address, without a port.
        """
        self.assertEqual(header("v1", ("192.0.2.1", 1024), None), b"PROXY TCP4 192.0.2.1 127.0.0.1 1024 0\r\n")
        self.assertEqual(header("v1", ("2001:db8::1", 1024), None), b"PROXY TCP6 2001:db8::1 ::1 1024 0\r\n")
        self.assertEqual(
            parsed("v2", header("v2", ("192.0.2.1", 1024), None)),
            ((ip_address("192.0.2.1"), 1024), (ip_address("127.0.0.1"), 0), b""),
        )

    def test_errors(self):
        """
        What is no version, no address or no port.
        """
        good = ("192.0.2.1", 25)
        for arguments, words in (
            (("v3", good, good), "v1 or v2"),
            (("v1", ("localhost", 25), good), "an IPv4 or IPv6 address"),
            (("v1", good, ("", 25)), "an IPv4 or IPv6 address"),
            (("v1", good, ("192.0.2.1", -1)), "ports from 0 to 65535"),
            (("v2", ("192.0.2.1", 65536), None), "ports from 0 to 65535"),
        ):
            e = self.assertRaises(ValueError, header, *arguments)
            self.assertTrue(str(e).startswith("expected ") and words in str(e), str(e))


class SourcesTests(SynchronousTestCase):
    """
    L{Sources}.
    """

    IPV4 = ("127.0.0.1", 25)
    IPV6 = ("::1", 25)

    def test_given(self):
        """
        In turn, and with another port each time, whatever the destination is.
        """
        sources = Sources(["192.0.2.1", "2001:db8::1"])
        self.assertEqual(
            [sources.next(destination) for destination in (self.IPV4, self.IPV6, None, self.IPV4)],
            [("192.0.2.1", 1024), ("2001:db8::1", 1024), ("192.0.2.1", 1025), ("2001:db8::1", 1025)],
        )

    def test_givenPorts(self):
        """
        A single address has all ports from 1024 on before one comes again.
        """
        sources = Sources(["192.0.2.1"])
        found = [sources.next(self.IPV4)[1] for _ in range(64513)]
        self.assertEqual(found, [*range(1024, 65536), 1024])

    def test_generatedIPv4(self):
        """
        Each host of RFC 2544's network once, then again with another port.
        """
        sources = Sources()
        network = ip_network("198.18.0.0/15")
        count = network.num_addresses - 2
        found = [sources.next(self.IPV4 if number % 2 else None) for number in range(count)]
        self.assertEqual(found[:256:255], [("198.18.0.1", 1024), ("198.18.1.0", 1024)])
        self.assertEqual(found[-1], ("198.19.255.254", 1024))
        self.assertEqual(len(set(found)), count)
        self.assertTrue(all(ip_address(host) in network for host, _ in found))
        self.assertEqual(sources.next(self.IPV4), ("198.18.0.1", 1025))

    def test_generatedIPv6(self):
        """
        A C{/64} of RFC 5180's network for each connection, then another host in each.
        """
        sources = Sources()
        found = [sources.next(self.IPV6)[0] for _ in range(65538)]
        self.assertEqual(found[:2], ["2001:2::1", "2001:2:0:1::1"])
        self.assertEqual(found[-3:], ["2001:2:0:ffff::1", "2001:2::2", "2001:2:0:1::2"])
        network = ipaddress.IPv6Network("2001:2::/48")
        self.assertTrue(all(ip_address(host) in network for host in found))
        self.assertEqual(len(set(found)), len(found))

    def test_families(self):
        """
        Generated addresses are of the destination's family, each counted for itself.
        """
        sources = Sources()
        self.assertEqual(
            [sources.next(destination)[0] for destination in (self.IPV4, self.IPV6, None, self.IPV6)],
            ["198.18.0.1", "2001:2::1", "198.18.0.2", "2001:2:0:1::1"],
        )

    def test_headers(self):
        """
        Whatever comes from here fits into a header.
        """
        for sources in (Sources(), Sources(["192.0.2.1", "2001:db8::1"])):
            for destination in (self.IPV4, self.IPV6, None) * 2:
                for version in get_args(ProxyVersion):
                    source = sources.next(destination)
                    found = parsed(version, header(version, source, destination))[0]
                    expected = ip_address(source[0])
                    if destination == self.IPV6 and expected.version == 4:
                        expected = mapped(expected)
                    self.assertEqual(found, (expected, source[1]))
