"""
Tests for L{smtpsource.plan} and L{smtpsource.sink.plan}, as a program makes plans: what it may give, and what it is
told if it gives something else. What a command line makes of them is in L{test_options} and L{test_sink_options}.
"""

from __future__ import annotations

import dataclasses
import socket
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from smtpsource import SinkPlan, SourcePlan
from smtpsource.net.destination import HostDestination

NAN = float("nan")
INFINITE = float("inf")

COUNT = "expected a whole number from 1 to 2147483647"
NUMBERS = (0, -1, 2**31, 2.5, 1.0, True, "1", b"1", [], NAN)
NO_NUMBERS = (*NUMBERS, None)

SECONDS = "expected a time in seconds of more than 0 and at most 2147483647"
SECONDS_OR_ZERO = "expected a time in seconds from 0 to 2147483647"
TIMES = (-1, -0.5, NAN, INFINITE, -INFINITE, 2**31, 10**400, True, "1", 1j)

FLAG = "expected True or False"
FLAGS = (None, 1, 0, "no", b"")

LINE = "expected a text without line ends or NUL bytes"
LINES = ("a\nb", "a\rb", "a>\r\nQUIT\r\n", "a\0", b"a\nb", b"a\rb", b"a>\r\nQUIT\r\n", b"a\0")
UTF8 = "expected a text that can be encoded as UTF-8"
TEXT = "expected a str or bytes"

FAMILY = "expected socket.AF_UNSPEC, AF_INET or AF_INET6"
COMMAND = "expected a sequence of texts"

HOSTNAMES = ("", "a b", "a\r\nRSET", "a\n", "a..b", "-a", "1.2.3.4", "gr\u00fcn", "[IPv6:fe80::1%a\r\nRSET]")


class Case(SynchronousTestCase):
    """
    Plans with one bad value.
    """

    def refuses(self, make, table):
        """
        Each of these values is refused, in one line that names the keyword, the value and what would be right.
        """
        for name, values, expected in table:
            for value in values:
                error = str(self.assertRaises(ValueError, make, **{name: value}))
                self.assertNotIn("\n", error)
                self.assertIn(expected, error)
                if len(repr(value)) < 60:
                    self.assertTrue(error.startswith(f"{name}: {value!r} is not usable: expected "), error)


class SourcePlanTests(Case):
    """
    L{SourcePlan}.
    """

    def test_refused(self):
        """
        What can't be used is said so.
        """
        self.refuses(
            SourcePlan,
            (
                ("destination", ("a:b:c", "", "[::1", "host:0"), "expected "),
                ("destination", (None, 25, b"localhost", ("localhost", 25)), "expected a text such as 127.0.0.1:2525"),
                ("family", (None, 1, 99, "inet", 2.0, True), FAMILY),
                ("myhostname", HOSTNAMES, "expected a"),
                ("myhostname", (None, b"a", 1), "expected a host name as a str"),
                *((name, LINES, LINE) for name in ("sender", "recipient", "subject")),
                *((name, ("\udcff",), UTF8) for name in ("sender", "recipient", "subject", "message")),
                *((name, (1, ["a"], bytearray(b"a")), TEXT) for name in ("sender", "recipient", "subject", "message")),
                ("message", ("", b""), "expected a message, headers and all, not an empty one"),
                *(
                    (name, NO_NUMBERS, COUNT)
                    for name in ("messageCount", "sessionCount", "connectAttempts", "connectParallelism")
                ),
                *((name, NUMBERS, f"{COUNT}, or None") for name in ("recipientCount", "length", "windowSize")),
                *((name, (*TIMES, 0, 0.0, None), SECONDS) for name in ("timeout", "connectTimeout")),
                *((name, (*TIMES, 0), f"{SECONDS}, or None") for name in ("fixedInterval", "randomInterval")),
                ("grace", (*TIMES, None), SECONDS_OR_ZERO),
                *(
                    (name, FLAGS, FLAG)
                    for name in ("numberRecipients", "keepConnections", "lmtp", "oldMode", "tolerant")
                ),
                ("recipientNumbering", ("both", "", None, [], b"prefix"), "expected prefix or suffix"),
                ("trace", (-1, None, "1", 1.0, True), "expected a whole number from 0 to 2147483647"),
                ("command", ("smtpsource -d", None, (1,), [b"a"]), COMMAND),
            ),
        )

    def test_exclusions(self):
        """
        Keywords that exclude each other.
        """
        for values, expected in (
            ({"length": 1, "message": b"x"}, "length and message exclude each other"),
            ({"fixedInterval": 1.0, "randomInterval": 1.0}, "fixedInterval and randomInterval exclude each other"),
        ):
            self.assertTrue(str(self.assertRaises(ValueError, SourcePlan, **values)).startswith(expected))

    def test_long(self):
        """
        A long value is shortened: the error stays readable.
        """
        error = str(self.assertRaises(ValueError, SourcePlan, subject=b"x" * 10_000 + b"\n"))
        self.assertTrue(error.startswith("subject: b'xxx"), error)
        self.assertLess(len(error), 300)

    def test_texts(self):
        """
        A text is the same as its bytes in UTF-8.
        """
        for name in ("sender", "recipient", "subject", "message"):
            for text in ("me@example.com", "hi", "gr\u00fc\u00df", "a b"):
                one, other = SourcePlan(**{name: text}), SourcePlan(**{name: text.encode()})
                self.assertEqual(getattr(one, name), text.encode())
                self.assertEqual((one, hash(one)), (other, hash(other)))
        self.assertEqual(SourcePlan(sender="", recipient=b"").sender, b"")
        self.assertEqual(SourcePlan(message="a: b\r\n\r\nc\n").message, b"a: b\r\n\r\nc\n")

    def test_textsAreSent(self):
        """
        What was given as text arrives in the traffic.
        """
        message = SourcePlan(sender="a@b", recipient="c@d", subject="hi", myhostname="h").traffic().next()
        self.assertEqual((message.mail, message.recipientCommands()), (b"MAIL FROM:<a@b>\r\n", (b"RCPT TO:<c@d>\r\n",)))
        self.assertIn(b"\r\nSubject: hi\r\n", message.content()[0])

    def test_accepted(self):
        """
        The edges of what can be used.
        """
        for name, values in (
            ("destination", ("sink:", "[::1]:24", HostDestination("a", 1))),
            ("family", (socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6, 0)),
            ("myhostname", ("a", "[127.0.0.1]", "[IPv6:::1]")),
            ("messageCount", (1, 2**31 - 1)),
            ("recipientCount", (None, 1)),
            ("timeout", (1, 0.001, 2**31 - 1)),
            ("grace", (0, 0.0, 5)),
            ("fixedInterval", (None, 1, 0.5)),
            ("trace", (0, 1, 2)),
        ):
            for value in values:
                plan = SourcePlan(**{name: value})
                if not isinstance(plan.destination, str) and name != "destination":
                    self.assertEqual(getattr(plan, name), value)
        self.assertEqual(SourcePlan(command=["x", "-d"]).command, ("x", "-d"))

    def test_again(self):
        """
        A plan can be made of a plan.
        """
        plan = SourcePlan(destination="localhost:24", sender="a", command=("x",))
        self.assertEqual(dataclasses.replace(plan), plan)
        self.assertRaises(ValueError, dataclasses.replace, plan, messageCount=0)

    def test_machineName(self):
        """
        A machine whose own name can't be said needs C{myhostname}.
        """
        with mock.patch("socket.gethostname", return_value="bad name"):
            error = self.assertRaises(ValueError, SourcePlan)
            self.assertTrue(str(error).startswith("myhostname: 'bad name' is not usable: expected a host name"), error)
            self.assertEqual(SourcePlan(myhostname="x").myhostname, "x")


class SinkPlanTests(Case):
    """
    L{SinkPlan}.
    """

    def test_refused(self):
        """
        What can't be used is said so.
        """
        self.refuses(
            SinkPlan,
            (
                ("host", ("a\nb", "a\0"), LINE),
                ("host", (None, 1, b"localhost"), "expected a host name or address as a str"),
                ("port", (-1, 65536, 25.0, None, "25", True), "expected a whole number from 0 to 65535"),
                (
                    "path",
                    ("", "a\0b", "/" + "x" * 120, 1, b"/a"),
                    "expected the path of a socket, a str of at most 107",
                ),
                ("family", (None, 1, "inet"), FAMILY),
                ("hostname", HOSTNAMES, "expected a"),
                ("hostname", (None, b"a"), "expected a host name as a str"),
                ("backlog", NO_NUMBERS, COUNT),
                *(
                    (name, NUMBERS, f"{COUNT}, or None")
                    for name in ("windowSize", "maxSessions", "messageLimit", "sessionLimit")
                ),
                ("idleTimeout", (*TIMES, 0), f"{SECONDS}, or None"),
                ("grace", (*TIMES, None), SECONDS_OR_ZERO),
                *(
                    (name, FLAGS, FLAG)
                    for name in ("lmtp", "esmtp", "pipelining", "eightBitMIME", "enhancedStatusCodes", "verbose")
                ),
                ("command", ("smtpsink -c", None, (1,)), COMMAND),
            ),
        )

    def test_accepted(self):
        """
        The edges of what can be used.
        """
        for name, values in (
            ("host", ("", "localhost", "::1", "0")),
            ("port", (0, 65535)),
            ("path", (None, "/tmp/sock", "/" + "x" * 106)),
            ("maxSessions", (None, 1)),
            ("idleTimeout", (None, 0.5)),
            ("grace", (0,)),
        ):
            for value in values:
                self.assertEqual(getattr(SinkPlan(**{name: value}), name), value)
