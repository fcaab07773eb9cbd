"""
Tests for L{smtpsource.net.destination}.
"""

from __future__ import annotations

import os
import socket
from unittest import mock

from hypothesis import strategies as st
from properties import given
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.net import destination
from smtpsource.net.destination import (
    HostDestination,
    ResolutionFailed,
    SinkDestination,
    TCPAddress,
    UNIXAddress,
    UNIXDestination,
    parse,
    resolve,
)
from smtpsource.testing import FakeReactor


class ParseTests(SynchronousTestCase):
    """
    What a user may write for a destination.
    """

    def test_table(self):
        """
        Everything that means something.
        """
        for text, expected in {
            "localhost": HostDestination("localhost", 25),
            "localhost:": HostDestination("localhost", 25),
            "localhost:2525": HostDestination("localhost", 2525),
            "localhost:65535": HostDestination("localhost", 65535),
            "inet:localhost": HostDestination("localhost", 25),
            "inet:localhost:24": HostDestination("localhost", 24),
            "localhost:smtp": HostDestination("localhost", 25),
            "127.0.0.1": HostDestination("127.0.0.1", 25),
            "127.0.0.1:1": HostDestination("127.0.0.1", 1),
            "[127.0.0.1]:1": HostDestination("127.0.0.1", 1),
            "[::1]": HostDestination("::1", 25),
            "[::1]:2525": HostDestination("::1", 2525),
            "inet:[::1]:2525": HostDestination("::1", 2525),
            "[IPv6:::1]:2525": HostDestination("::1", 2525),
            "[fe80::1%lo]:25": HostDestination("fe80::1%lo", 25),
            "unix:/a/b": UNIXDestination("/a/b"),
            "unix:a b:c": UNIXDestination(os.path.abspath("a b:c")),
            "sink:": SinkDestination(),
        }.items():
            self.assertEqual(parse(text), expected, text)

    def test_errors(self):
        """
        Everything else says what would be right.
        """
        for text, words in {
            "": "host before the port",
            ":25": "host before the port",
            "inet:": "host before the port",
            "[]:25": "host before the port",
            "localhost:0": "port from 1 to 65535",
            "localhost:65536": "port from 1 to 65535",
            "localhost:-1": "port from 1 to 65535",
            "localhost:no-such-service": "port from 1 to 65535",
            "localhost:\u0662\u0665": "port from 1 to 65535",
            "::1": "in brackets",
            "::1:25": "in brackets",
            "[::1": "[address]:port",
            "[::1]25": "[address]:port",
            "a b": "host name",
            "a..b:25": "host name",
            "1.2.3": "not all numbers",
            "300.1.1.1": "not all numbers",
            "unix:": "path of a socket",
            "unix:/" + "x" * 107: "at most 107 bytes",
        }.items():
            e = self.assertRaises(ValueError, parse, text)
            self.assertTrue(str(e).startswith("expected "), text)
            self.assertIn(words, str(e))
        self.assertEqual(parse("unix:/" + "x" * 106).path, "/" + "x" * 106)

    def test_family(self):
        """
        The wanted family stays with a name, and an address of the other one is refused.
        """
        for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNSPEC):
            self.assertEqual(parse("localhost", family), HostDestination("localhost", 25, family))
        self.assertEqual(parse("127.0.0.1", socket.AF_INET).host, "127.0.0.1")
        self.assertEqual(parse("[::1]", socket.AF_INET6).host, "::1")
        self.assertRaises(ValueError, parse, "127.0.0.1", socket.AF_INET6)
        self.assertRaises(ValueError, parse, "[::1]", socket.AF_INET)

    def test_shown(self):
        """
        A destination is shown as it could be written.
        """
        for text in ("inet:localhost:25", "inet:[::1]:2525", "inet:127.0.0.1:1", "unix:/a/b", "sink:"):
            self.assertEqual(str(parse(text)), text)
        self.assertEqual((str(UNIXAddress("/x")), str(TCPAddress("::1", 2))), ("unix:/x", "inet:[::1]:2"))

    @given(st.text(alphabet="a1.:[]/%-_ :", max_size=12))
    def test_anything(self, text):
        """
        Any text is a destination, that is shown as one that means the same, or a ValueError.
        """
        try:
            found = parse(text)
        except ValueError as e:
            self.assertTrue(str(e).startswith("expected "))
        else:
            self.assertEqual(parse(str(found)), found)


class ResolveTests(SynchronousTestCase):
    """
    Which addresses a destination has.
    """

    def resolve(self, goal, answer=None, error=None):
        """
        @return: what the resolver was asked, and the outcome.
        """
        reactor = FakeReactor()
        with mock.patch("socket.getaddrinfo", return_value=answer, side_effect=error) as asked:
            found = resolve(reactor, goal)
        reactor.advance(0)
        return [call.args for call in asked.call_args_list], found

    def test_literals(self):
        """
        Nobody is asked for what needs no asking.
        """
        for text, address in (
            ("127.0.0.1:9", TCPAddress("127.0.0.1", 9)),
            ("[::1]:9", TCPAddress("::1", 9)),
            ("unix:/x", UNIXAddress("/x")),
        ):
            asked, found = self.resolve(parse(text))
            self.assertEqual((asked, self.successResultOf(found)), ([], [address]))

    def test_every(self):
        """
        Every address of a name, once each, in the resolver's order.
        """
        answer = [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 9, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", 9)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 9)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", 9)),
        ]
        asked, found = self.resolve(HostDestination("some.name", 9, socket.AF_INET6), answer)
        self.assertEqual(asked, [("some.name", 9, socket.AF_INET6, socket.SOCK_STREAM)])
        expected = [TCPAddress("::1", 9), TCPAddress("127.0.0.2", 9), TCPAddress("127.0.0.1", 9)]
        self.assertEqual(self.successResultOf(found), expected)

    def test_fails(self):
        """
        A name that nobody knows, or that can't be one, says so.
        """
        for error, text in (
            (socket.gaierror(-2, "Name or service not known"), "no address for some.name: Name or service not known"),
            (UnicodeError("label too long"), "no address for some.name: label too long"),
        ):
            _, found = self.resolve(HostDestination("some.name"), error=error)
            failure = self.failureResultOf(found, ResolutionFailed)
            self.assertEqual(failure.getErrorMessage(), text)

    def test_real(self):
        """
        The machine's own resolver knows localhost.
        """
        found = destination._lookUp("localhost", 25, socket.AF_INET)
        self.assertEqual(found, [TCPAddress("127.0.0.1", 25)])
