"""
Tests for L{smtpsource.net.destination}.
"""

from __future__ import annotations

import json
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
    said,
    shown,
)
from smtpsource.plan import SourcePlan
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

    def test_finalDot(self):
        """
        A dot at the end of a name is its own, but no label comes after it; an address has none.
        """
        self.assertEqual(parse("localhost."), HostDestination("localhost.", 25))
        self.assertEqual(parse("mx.example.:2525"), HostDestination("mx.example.", 2525))
        for text in (".", "localhost..", ".:25", "127.0.0.1.", "127.0.0.1.:25", "a..b.", ".localhost."):
            self.assertRaises(ValueError, parse, text)

    def test_international(self):
        """
        A name that is not in ASCII is looked up, asked for in TLS and shown as the DNS has it.
        """
        expected = HostDestination("xn--mller-kva.example", 2525)
        for text in ("m\u00fcller.example:2525", "inet:M\u00dcLLER.example:2525", "smtp://m\u00fcller.example:2525"):
            self.assertEqual(parse(text), expected)
        self.assertEqual(SourcePlan(destination="m\u00fcller.example", mx=True).host, expected.host)
        self.assertEqual(parse("\uff11\uff12\uff17.0.0.1"), HostDestination("127.0.0.1", 25))
        e = str(self.assertRaises(ValueError, parse, "\u2603.net"))
        self.assertTrue(e.startswith("expected an international host name such as m\u00fcller.example: "), e)

    def test_schemes(self):
        """
        URLs, as other programs write them, and transports, as Postfix writes them, mean what they say; a host of such a
        name is still one.
        """
        smtp, smtps, lmtp = {"lmtp": False}, {"lmtp": False, "tls": "implicit"}, {"lmtp": True}
        for text, expected, saying in (
            ("smtp://localhost:2525", HostDestination("localhost", 2525), smtp),
            ("smtp://localhost:2525/", HostDestination("localhost", 2525), smtp),
            ("SMTP://localhost", HostDestination("localhost", 25), smtp),
            ("smtp://[::1]/", HostDestination("::1", 25), smtp),
            ("smtp://mx.example.:smtp", HostDestination("mx.example.", 25), smtp),
            ("smtps://mx.example", HostDestination("mx.example", 465), smtps),
            ("smtps://[::1]:25", HostDestination("::1", 25), smtps),
            ("lmtp://127.0.0.1", HostDestination("127.0.0.1", 24), lmtp),
            ("lmtp://127.0.0.1:2424/", HostDestination("127.0.0.1", 2424), lmtp),
            ("lmtp:unix:/run/lmtp", UNIXDestination("/run/lmtp"), lmtp),
            ("lmtp:unix:/run/a@b", UNIXDestination("/run/a@b"), lmtp),
            ("lmtp:unix:lmtp", UNIXDestination(os.path.abspath("lmtp")), lmtp),
            ("lmtp:inet:localhost:2424", HostDestination("localhost", 2424), lmtp),
            ("lmtp:inet:localhost", HostDestination("localhost", 24), lmtp),
            ("smtp:[mx.example]", HostDestination("mx.example", 25), smtp),
            ("smtp:[::1]:2525", HostDestination("::1", 2525), smtp),
            ("smtp:localhost:2525", HostDestination("localhost", 2525), smtp),
            ("smtps:unix:/run/x", UNIXDestination("/run/x"), smtps),
            ("lmtp:sink:", SinkDestination(), lmtp),
            ("smtp:2525", HostDestination("smtp", 2525), {}),
            ("lmtp", HostDestination("lmtp", 25), {}),
            ("inet:smtp:smtp", HostDestination("smtp", 25), {}),
            ("localhost:2525", HostDestination("localhost", 2525), {}),
            ("unix:/run/a@b", UNIXDestination("/run/a@b"), {}),
        ):
            self.assertEqual((parse(text), said(text)), (expected, saying), text)

    def test_otherSchemes(self):
        """
        Others are told apart from addresses that lack their brackets, and what a URL has besides is told.
        """
        for text, words in {
            "tcp:localhost:2525": "or lmtp://",
            "ssl:127.0.0.1:465": "or lmtp://",
            "localhost:25:25": "or lmtp://",
            "http://localhost": "not http://",
            "tcp://localhost:25": "not tcp://",
            "inet://localhost:25": "not inet://",
            "sink://": "not sink://",
            "smtp+ssl://x": "not smtp+ssl://",
            "smtp://": "host before the port",
            "smtp://:25": "host before the port",
            "smtp://localhost:0": "port from 1 to 65535",
            "smtp://localhost/x": "nothing after the host and the port",
            "smtp://localhost:25?x": "nothing after the host and the port",
            "smtp://localhost//": "nothing after the host and the port",
            "lmtp:///run/lmtp": "lmtp:unix:path",
            "smtp://::1:25": "in brackets",
            "smtp:::1": "in brackets",
            "2001:db8::1": "in brackets",
        }.items():
            e = str(self.assertRaises(ValueError, parse, text))
            self.assertTrue(e.startswith("expected "), e)
            self.assertIn(words, e, text)
            self.assertEqual("IPv6" in e, "::1" in text)

    def test_passwords(self):
        """
        A password in a destination is refused, and not repeated.
        """
        for text in (
            *("smtp://me:hunter2@localhost", "smtp://hunter2@localhost:25", "me:hunter2@localhost:25"),
            *("smtps://me:hunter2@[::1]/", "hunter2@localhost", "lmtp:me:hunter2@localhost", "http://me:hunter2@x"),
        ):
            e = str(self.assertRaises(ValueError, parse, text))
            self.assertEqual(e, "expected no user and no password in it: a login has options of its own")
            e = str(self.assertRaises(ValueError, SourcePlan, destination=text))
            self.assertNotIn("hunter2", e)
        self.assertEqual(shown("a:b:c"), " 'a:b:c'")
        self.assertEqual(shown("me:hunter2@localhost"), "")

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

    @given(
        st.sampled_from(["", "", "", "smtp:", "smtps://", "lmtp:", "unix:", "inet:", "x://"]),
        st.text(alphabet="a1.:[]/%-_ :@\n", max_size=12),
    )
    def test_anything(self, scheme, text):
        """
        Any text is a destination, that is shown as one that means the same, or a ValueError.
        """
        text = scheme + text
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

    def test_international(self):
        """
        A name that is not in ASCII is looked up by its A-labels, as IDNA 2008 has them, among this machine's too.
        """
        asked, _ = self.resolve(HostDestination("stra\u00dfe.example", 9), [])
        self.assertEqual(asked, [("xn--strae-oqa.example", 9, socket.AF_UNSPEC, socket.SOCK_STREAM)])
        path = self.mktemp()
        with open(path, "w") as file:
            file.write("192.0.2.1 strasse.example\n192.0.2.2 xn--strae-oqa.example\n")
        self.patch(destination, "HOSTS", path)
        error = socket.gaierror(-2, "Name or service not known")
        _, found = self.resolve(HostDestination("stra\u00dfe.example.", 9), error=error)
        self.assertEqual(self.successResultOf(found), [TCPAddress("192.0.2.2", 9)])
        asked, found = self.resolve(HostDestination("\u2603.net", 9), [])
        self.assertEqual(asked, [])
        self.failureResultOf(found, ResolutionFailed)
        plan = SourcePlan(destination=HostDestination("stra\u00dfe.example"))
        self.assertEqual(plan.host, "xn--strae-oqa.example")

    def test_finalDot(self):
        """
        A whole name that no name server knows may be one of this machine's.
        """
        path = self.mktemp()
        with open(path, "w") as file:
            file.write("192.0.2.1 own.test other\n2001:db8::1 own.test\n")
        self.patch(destination, "HOSTS", path)
        error = socket.gaierror(-2, "Name or service not known")
        for family, expected in (
            (socket.AF_UNSPEC, ["192.0.2.1", "2001:db8::1"]),
            (socket.AF_INET, ["192.0.2.1"]),
            (socket.AF_INET6, ["2001:db8::1"]),
        ):
            _, found = self.resolve(HostDestination("own.test.", 9, family), error=error)
            self.assertEqual(self.successResultOf(found), [TCPAddress(host, 9) for host in expected])
        for host in ("own.test", "its.own.test.", "test."):
            _, found = self.resolve(HostDestination(host), error=error)
            self.failureResultOf(found, ResolutionFailed)

    def test_real(self):
        """
        The machine's own resolver knows localhost.
        """
        found = destination._lookUp("localhost", 25, socket.AF_INET)
        self.assertEqual(found, [TCPAddress("127.0.0.1", 25)])


class SpelledTests(SynchronousTestCase):
    """
    Addresses that go to another process.
    """

    def test_same(self):
        """
        They arrive as they were, with all that is known of them.
        """
        for address in (
            TCPAddress("::1", 25, "mx.example", 10),
            TCPAddress("127.0.0.1", 2525),
            UNIXAddress("/tmp/s\udcff"),
        ):
            there = destination.unspelled(json.loads(json.dumps(destination.spelled(address))))
            self.assertEqual((there, vars(there)), (address, vars(address)))

    def test_others(self):
        """
        What is none is refused in one line.
        """
        for wrong in ({}, {"host": "a"}, {"path": "/a", "port": 3}, {"host": "a", "port": 1, "x": 2}):
            error = str(self.assertRaises(ValueError, destination.unspelled, wrong))
            self.assertTrue(error.startswith(f"expected an address, not {wrong}: "), error)
