"""
Tests for L{smtpsource.plan} and L{smtpsource.sink.plan}, as a program makes plans: what it may give, and what it is
told if it gives something else. What a command line makes of them is in L{test_options} and L{test_sink_options}.
"""

from __future__ import annotations

import os
import pickle
import socket
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import attrs
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from smtpsource import SinkPlan, SourcePlan
from smtpsource.credentials import Credentials
from smtpsource.load import parts
from smtpsource.load.traffic import traffic as newTraffic
from smtpsource.measure.recorder import Recorder
from smtpsource.measure.snapshot import take
from smtpsource.net.destination import HostDestination
from smtpsource.net.tls.settings import TLSSettings
from smtpsource.smtp.parameters import Parameters

NAN = float("nan")
INFINITE = float("inf")

COUNT = "expected a whole number from 1 to 2147483647"
NUMBERS = (0, -1, 2**31, 2.5, 1.0, True, "1", b"1", [], NAN)
NO_NUMBERS = (*NUMBERS, None)

SECONDS = "expected a time in seconds of more than 0 and at most 2147483647"
SECONDS_OR_ZERO = "expected a time in seconds from 0 to 2147483647"
TIMES = (-1, -0.5, NAN, INFINITE, -INFINITE, 2**31, 10**400, True, "1", 1j)

MOMENT = "expected a datetime with a zone, or seconds since 1970"

FLAG = "expected True or False"
FLAGS = (None, 1, 0, "no", b"")

LINE = "expected a text without line ends or NUL bytes"
LINES = ("a\nb", "a\rb", "a>\r\nQUIT\r\n", "a\0", b"a\nb", b"a\rb", b"a>\r\nQUIT\r\n", b"a\0")
UTF8 = "expected a text that can be encoded as UTF-8"
TEXT = "expected a str or bytes"

FAMILY = "expected socket.AF_UNSPEC, AF_INET or AF_INET6"
COMMAND = "expected a tuple of texts, such as ('smtpsource', '-d')"
FROM_ZERO = "expected a whole number from 0 to 2147483647, or None"

STR = "expected a str"
THRESHOLDS = "expected a tuple of texts, such as ('errors == 0',)"
MECHANISMS = "expected a tuple of texts, such as ('PLAIN',)"
TEXTS = "expected a tuple of texts, such as ('127.0.0.2', '127.0.1.0/29')"
MODE = "expected off, auto (where it is announced), require or force"
ADDRESSES = "expected IP addresses"
NAME_SERVER = "expected the address of a name server"

ME = Credentials("me", "secret")

#: A run in which nothing has happened.
EMPTY = take(Recorder(), 1.0, None)

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
                    for name in ("sessionCount", "connectAttempts", "connectParallelism", "window")
                ),
                *((name, NUMBERS, f"{COUNT}, or None") for name in ("recipientCount", "length", "windowSize")),
                *((name, NUMBERS, f"{COUNT}, or None") for name in ("chunkSize", "messagesPerConnection")),
                ("messageCount", NUMBERS, f"{COUNT}, or None"),
                *((name, (*TIMES, 0, 0.0, None), SECONDS) for name in ("timeout", "connectTimeout")),
                *((name, (*TIMES, 0), f"{SECONDS}, or None") for name in ("fixedInterval", "randomInterval")),
                *((name, (*TIMES, None), SECONDS_OR_ZERO) for name in ("grace", "hold", "warmUp", "rampUp")),
                ("duration", (*TIMES, 0), f"{SECONDS}, or None"),
                ("startAt", (-1, NAN, INFINITE, True, "@1", datetime(2030, 1, 1)), f"{MOMENT}, or None"),
                ("holdStep", (*TIMES, 0, None), SECONDS),
                *((name, TIMES, f"{SECONDS_OR_ZERO}, or None") for name in ("maxLate", "catchUp")),
                ("rate", (*TIMES, 0), "expected a rate per second of more than 0 and at most 2147483647, or None"),
                ("arrivals", ("", "random"), "expected constant or poisson"),
                ("stagesOf", ("", "messages"), "expected rate or sessions"),
                ("workers", (0, -1, 1025, 1.5, "2", "all", None, True), "expected a whole number from 1 to "),
                ("stages", ("0:1,1:1", None, [1], [(0, 1, 2)]), "expected pairs of the seconds from the stage before"),
                ("stages", ([(1, 1), (1, 1)], [(0, 0), (1, 0)], [(0, 1)]), "expected the first stage to be at 0"),
                ("stages", ([(0, -1)], [(-1, 0)], [(0, NAN)]), "expected a "),
                ("findRate", ("", "errors"), "expected "),
                *(
                    (name, FLAGS, FLAG)
                    for name in ("numberRecipients", "keepConnections", "lmtp", "oldMode", "tolerant", "esmtp", "mx")
                ),
                ("recipientNumbering", ("both", ""), "expected prefix or suffix"),
                ("recipientNumbering", (None, [], b"prefix"), "expected a str"),
                ("trace", (-1, None, "1", 1.0, True), "expected a whole number from 0 to 2147483647"),
                *((name, (-1, "1", 1.0, True), FROM_ZERO) for name in ("numberStart", "seed")),
                ("numberWidth", (0, 65, "2", True), "expected a whole number from 1 to 64, or None"),
                ("thresholds", ("errors == 0", None, {"errors == 0"}), THRESHOLDS),
                ("percentiles", ("p50", 50, None), "expected a tuple of numbers, such as (50, 99.9)"),
                ("percentiles", ((0,), (101,), ("p50",), (True,)), "expected numbers above 0, up to 100, such as 99.9"),
                ("thresholds", ((None,), [b"errors == 0"], (1,)), "expected texts such as 'errors == 0'"),
                ("thresholds", (("errors = 0",), ["errors == 0", ""], ("p99(x) < 1s",)), "expected "),
                ("abortOnThreshold", FLAGS, FLAG),
                ("command", ("smtpsource -d", None, (1,), [b"a"]), COMMAND),
            ),
        )

    def test_refusedOfTraffic(self):
        """
        The same for what is sent.
        """
        addresses = "expected addresses, or pairs of an address and its weight, or None"
        distribution = "expected a text such as lognormal:median=8k,sigma=1.5, or a distribution, or None"
        distributions, lists = ("sizeDistribution", "recipientsDistribution"), ("senders", "recipients")
        self.refuses(
            SourcePlan,
            (
                ("headers", ("X: a", b"X: a", None, {}), "expected a sequence of headers, each such as X-Test: yes"),
                ("headers", (["X"], [b": a"], ["X y: a"]), "expected a name of printable ASCII characters, a colon"),
                ("headers", (["X: a\nb"],), LINE),
                ("headers", (["X: {y}"],), "expected {run}, {n}, "),
                ("headers", ([1],), TEXT),
                ("messages", (1, b"/tmp", ["/tmp"], "a\0b"), "expected a path, or None"),
                ("messages", ("/no/such/path", ""), "expected a directory of .eml files, a Maildir"),
                ("pick", ("", "turn"), "expected in-turn, random or weighted"),
                ("pick", (None, 1), STR),
                *((name, (1, b"fixed:1", (1, 2)), distribution) for name in distributions),
                *((name, ("", "1-2"), "expected fixed:4k, ") for name in distributions),
                *((name, ("a@b", b"a@b", (), [], {"a@b": 1}), addresses) for name in lists),
                *((name, ([("a", 1, 2)],), addresses) for name in lists),
                *((name, (["<a@b>"], [b"a\x07"]), "expected an address such as") for name in lists),
                ("recipients", ([""],), "expected an address such as"),
                *((name, ([1],), TEXT) for name in lists),
                *((name, ([("a", "1")], [("a", -1)]), "expected a weight from 0") for name in lists),
                ("senders", ([("a", 0)],), "expected a weight of more than 0"),
                ("domains", ("", "a..b", ["a..b"], [("a b", 1)]), "expected a host name"),
                ("domains", (1, [], b"a.test"), addresses),
            ),
        )

    def test_exclusionsOfTraffic(self):
        """
        Keywords about what is sent that exclude each other, and those that need others.
        """
        numbers = "needs numberRecipients, or recipientCount without recipients"
        for values, expected in (
            ({"length": 1, "sizeDistribution": "fixed:1"}, "length and sizeDistribution exclude each other"),
            ({"message": "x", "sizeDistribution": "fixed:1"}, "message and sizeDistribution exclude each other"),
            ({"recipientCount": 1, "recipientsDistribution": "fixed:1"}, "recipientCount and recipientsDistribution"),
            ({"sender": "", "senders": ["a"]}, "sender and senders exclude each other"),
            ({"recipient": "a", "recipients": ["a"]}, "recipient and recipients exclude each other"),
            ({"pick": "random"}, "pick needs messages"),
            ({"headers": ["A: b"], "oldMode": True}, "headers and oldMode exclude each other"),
            ({"messagesRecursive": True}, "messagesRecursive needs messages"),
            ({"headers": ["SUBJECT: b"], "subject": "x"}, "subject and headers 'Subject:' exclude each other"),
            ({"numberStart": 1}, f"numberStart {numbers}"),
            ({"numberWidth": 1, "recipientCount": 2, "recipients": ["a"]}, f"numberWidth {numbers}"),
            ({"domains": "a.test", "recipient": ""}, "domains and recipient '' exclude each other"),
        ):
            error = str(self.assertRaises(ValueError, SourcePlan, **values))
            self.assertTrue(error.startswith(expected), error)
        for values in (
            {"numberWidth": 2, "recipientCount": 2},
            {"numberWidth": 2, "recipientsDistribution": "fixed:2"},
            {"numberWidth": 2, "numberRecipients": True, "recipients": ["a"]},
            {"headers": ["Subjects: b"], "subject": "x"},
            {"domains": "a.test", "recipients": ["a"]},
            {"message": "x", "senders": ["a"], "subject": "ignored"},
        ):
            SourcePlan(**values)

    def test_corpus(self):
        """
        With messages that are there, nothing else says what is sent, and weights must be there if they are wanted.
        """
        path = self.mktemp()
        os.makedirs(path)
        with open(os.path.join(path, "a.eml"), "wb") as file:
            file.write(b"A: b\n")
        for name, value in (("length", 1), ("message", "x"), ("sizeDistribution", "fixed:1"), ("subject", "x")):
            error = str(self.assertRaises(ValueError, SourcePlan, messages=path, **{name: value}))
            self.assertIn(" exclude each other", error)
        error = str(self.assertRaises(ValueError, SourcePlan, messages=path, pick="weighted"))
        self.assertTrue(error.startswith("pick: 'weighted' is not usable: expected a readable file: "), error)
        plan = SourcePlan(messages=path, pick="random", headers=["X: y"])
        self.assertEqual((plan.messages.path, len(plan.messages)), (os.path.abspath(path), 1))
        error = str(self.assertRaises(ValueError, SourcePlan, messages=plan.messages, messagesRecursive=True))
        self.assertIn("messagesRecursive and messages exclude each other: expected the path of a directory", error)
        recursive = SourcePlan(messages=path, messagesRecursive=True)
        self.assertEqual(attrs.evolve(recursive, sessionCount=2).messages, recursive.messages)

    def test_refusedOfExtensions(self):
        """
        The same for what came with extensions, TLS and logins.
        """
        self.refuses(
            SourcePlan,
            (
                *((name, ("", "on", "AUTO", "auto\n"), MODE) for name in ("pipelining", "chunking")),
                *((name, (None, True, 1, b"off"), STR) for name in ("pipelining", "chunking", "tls", "exercise")),
                ("parameters", (None, {}, "SIZE", (), Parameters), "expected an instance of Parameters"),
                ("tls", ("", "on", "required", "STARTTLS"), "expected off, starttls or implicit"),
                ("tlsSettings", (None, {}, True, TLSSettings), "expected an instance of TLSSettings"),
                ("mechanisms", ("PLAIN", None, {"PLAIN"}, b"PLAIN", 1), MECHANISMS),
                ("mechanisms", (("",), ["GSSAPI"], ("PLAIN", "x"), ("PLAIN,LOGIN",)), "expected some of PLAIN,LOGIN,"),
                ("mechanisms", ((None,), [b"PLAIN"], ("PLAIN", 1)), STR),
                ("xclient", ("x", "FOO=1", "NAME=", "ADDR=a.b", "PORT=0", " "), "expected "),
                ("xclient", ((("FOO", "1"),), (("NAME", "a"), ("NAME", "b"))), "expected "),
                ("xclient", (None, 1, b"NAME=a"), STR),
                ("xclient", (["NAME=a"], ("NAME", "a"), [("NAME", "a", "b")]), "expected pairs of an attribute and"),
                ("xclient", ([("NAME", 5)], ((1, "a"),)), "expected attributes and values that are texts"),
                ("xclient", ([("NAME", "a b")],), "expected a host name"),
                ("proxyProtocol", ("", "v3", "V1", "1"), "expected v1 or v2, or None"),
                ("proxyProtocol", (1, True, b"v1"), f"{STR}, or None"),
                *((name, ("127.0.0.1", None, b"127.0.0.1", 1), TEXTS) for name in ("proxySources", "bind")),
                *((name, (("x",), [""], ("::1", "::1,::2")), ADDRESSES) for name in ("proxySources", "bind")),
                *((name, ((1,), [None], (b"::1",)), STR) for name in ("proxySources", "bind")),
                ("dnsServer", ("", "dns.example", "127.0.0.1:0", "::1:x"), f"{NAME_SERVER}, such as "),
                ("dnsServer", (("127.0.0.1", 0), ("x", 53), ("127.0.0.1", None), (1, 2)), NAME_SERVER),
                ("dnsServer", (53, b"::1", ("::1",), ("::1", 53, 53), ["::1", 53]), f"{STR}, or None"),
                ("helo", ("", b""), "expected a text, not an empty one, or None"),
                ("helo", LINES, LINE),
                ("helo", ("\udcff",), UTF8),
                ("helo", (1, ["a"]), TEXT),
                ("exercise", ("", "rcpt", "NOOP"), "expected mail, noop or connect"),
            ),
        )

    def test_refusedTLSSettings(self):
        """
        What is wanted of TLS is checked as on the command line, before anything of it is used.
        """
        readable = "expected a readable file: No such file or directory"
        path = "expected the name of a file as a str"
        for name, values, expected in (
            ("verify", (None, 1, "no"), FLAG),
            ("resume", (None, 0, "yes"), FLAG),
            *((name, ("/no/such/file",), readable) for name in ("ca", "certificate", "key")),
            *((name, (5, b"/dev/null", "a\0b", ""), path) for name in ("ca", "certificate", "key")),
            ("serverName", ("", "a b\r\nc", "a..b", "127.1"), "expected a host name"),
            ("serverName", (5, b"a.example"), STR),
            *((name, ("", "1", "TLSv1.2"), "expected 1.0, 1.1, 1.2 or 1.3") for name in ("minimum", "maximum")),
            *((name, (1.2, 5, b"1.2"), STR) for name in ("minimum", "maximum")),
            ("ciphers", (5, b"HIGH"), STR),
            ("ciphers", ("", " : "), "expected ciphers as OpenSSL names them, such as ECDHE+AESGCM"),
        ):
            for value in values:
                settings = TLSSettings(**{name: value})
                error = str(self.assertRaises(ValueError, SourcePlan, tls="starttls", tlsSettings=settings))
                self.assertNotIn("\n", error)
                self.assertTrue(error.startswith("tlsSettings: TLSSettings("), error)
                self.assertIn(f"{name}: {value!r} is not usable: {expected}", error)
        settings = TLSSettings(verify=True, ca=os.path.relpath(os.devnull), serverName="::0001")
        kept = SourcePlan(tls="starttls", tlsSettings=settings).tlsSettings
        self.assertEqual(kept, TLSSettings(verify=True, ca=os.devnull, serverName="::1"))

    def test_exclusionsOfTLS(self):
        """
        Settings that would have no effect, and those that need others.
        """
        needsTLS = "tlsSettings needs tls starttls or implicit"
        noName = "tlsSettings.verify needs a name to check, and {} has none: expected tlsSettings.serverName along with"
        for settings, values, expected in (
            ({"verify": True}, {"tls": "off"}, needsTLS),
            ({"resume": True}, {"tls": "off"}, needsTLS),
            ({"ca": os.devnull}, {}, "tlsSettings.ca needs tlsSettings.verify"),
            ({"key": os.devnull}, {}, "tlsSettings.key needs tlsSettings.certificate"),
            (
                {"minimum": "1.3", "maximum": "1.2"},
                {},
                "tlsSettings.minimum and tlsSettings.maximum exclude each other: expected a minimum of at",
            ),
            ({"verify": True}, {"destination": "sink:"}, noName.format("sink:")),
            ({"verify": True}, {"destination": "unix:/a"}, noName.format("a UNIX socket")),
        ):
            values = {"destination": "mx.example", "tls": "starttls", **values}
            error = str(self.assertRaises(ValueError, SourcePlan, tlsSettings=TLSSettings(**settings), **values))
            self.assertTrue(error.startswith(expected), error)
            self.assertNotIn("\n", error)
        for destination in ("mx.example", "127.0.0.1"):
            SourcePlan(destination=destination, tls="implicit", tlsSettings=TLSSettings(verify=True))
        for destination in ("sink:", "unix:/a"):
            settings = TLSSettings(verify=True, serverName="mx.example")
            SourcePlan(destination=destination, tls="implicit", tlsSettings=settings)

    def test_refusedLogins(self):
        """
        Logins that can't be used are not shown: they have a password somewhere.
        """
        for values in ("me:secret", None, ME, [("me", "secret")], [ME, "secret"], [Credentials("me", b"secret")]):
            error = str(self.assertRaises(ValueError, SourcePlan, mechanisms=["PLAIN"], logins=values))
            self.assertTrue(error.startswith("logins: what was given is not usable: expected "), error)
            self.assertNotIn("secret", error)

    def test_refusedParameters(self):
        """
        Parameters of MAIL and RCPT are checked as on the command line.
        """
        for name, values in (
            ("eightBitMIME", (1, None)),
            ("notify", ("", "SOMETIMES", "NEVER,DELAY")),
            ("ret", ("full\r\nRSET", "ALL")),
            ("envid", ("", "a\nb")),
            ("mtPriority", (10, -10, "3")),
            ("deliverBy", ("soon", "0;R")),
        ):
            for value in values:
                error = str(self.assertRaises(ValueError, SourcePlan, parameters=Parameters(**{name: value})))
                self.assertIn(f"{name}: {value!r} is not usable: expected ", error)

    def test_exclusions(self):
        """
        Keywords that exclude each other, and those that need others.
        """
        login = {"mechanisms": ["PLAIN"], "logins": [ME]}
        noEHLO = "exclude each other: it says no EHLO"
        stages = [(0, 1), (5, 1)]
        openLoops = ({"rate": 5, "messageCount": 1}, {"stages": stages}, {"findRate": "errors == 0"})
        ahead = {"pipelining": "auto", "chunking": "auto"}
        connections = "window needs keepConnections, or messagesPerConnection of more than 1"
        steps = "findRate exclude each other: it has steps of its own"
        for values, expected in (
            ({"length": 1, "message": b"x"}, "length and message exclude each other"),
            ({"fixedInterval": 1.0, "randomInterval": 1.0}, "fixedInterval and randomInterval exclude each other"),
            ({"oldMode": True, "esmtp": True}, f"esmtp and oldMode {noEHLO}"),
            ({"oldMode": True, "pipelining": "auto"}, f"oldMode and pipelining 'auto' {noEHLO}"),
            ({"oldMode": True, "pipelining": "require"}, f"oldMode and pipelining 'require' {noEHLO}"),
            ({"oldMode": True, "chunking": "auto"}, f"oldMode and chunking 'auto' {noEHLO}"),
            ({"oldMode": True, "chunking": "require"}, f"oldMode and chunking 'require' {noEHLO}"),
            ({"oldMode": True, "tls": "starttls"}, f"oldMode and tls 'starttls' {noEHLO}"),
            ({"oldMode": True, "xclient": "NAME=a"}, f"xclient and oldMode {noEHLO}"),
            ({"oldMode": True, "parameters": Parameters(size=True)}, f"parameters and oldMode {noEHLO}"),
            ({"oldMode": True, "parameters": Parameters(mtPriority=0)}, f"parameters and oldMode {noEHLO}"),
            ({"oldMode": True, **login}, f"mechanisms and oldMode {noEHLO}"),
            ({"chunkSize": 1}, "chunkSize needs chunking"),
            ({"window": 2}, "window needs pipelining"),
            ({"window": 2, "pipelining": "auto"}, "window needs chunking"),
            ({"window": 2, "chunking": "force"}, "window needs pipelining"),
            ({"window": 2, **ahead}, connections),
            ({"window": 2, **ahead, "messagesPerConnection": 1}, connections),
            ({"window": 2, **ahead, "messagesPerConnection": 1, "keepConnections": True}, connections),
            (
                {"window": 2, **ahead, "keepConnections": True, "fixedInterval": 1},
                "fixedInterval and window exclude each other: ",
            ),
            (
                {"window": 2, **ahead, "keepConnections": True, "randomInterval": 1},
                "randomInterval and window exclude each other: ",
            ),
            (
                {"rampUp": 5, "duration": 5},
                "rampUp: 5 seconds are not usable: expected less than the 5 seconds of duration, or",
            ),
            (
                {"rampUp": 9, "duration": 5, "warmUp": 4},
                "rampUp: 9 seconds are not usable: expected less than the 9 seconds of warmUp and duration",
            ),
            ({"rate": 5}, "rate needs an end: expected duration or messageCount along with it"),
            ({"rate": 5, "stages": stages}, "rate and stages exclude each other"),
            ({"duration": 5, "stages": stages}, "duration and stages exclude each other"),
            ({"stagesOf": "sessions"}, "stagesOf needs stages"),
            *(({"fixedInterval": 1, **load}, f"fixedInterval and {next(iter(load))} exclude") for load in openLoops),
            *(({"rampUp": 1, **load}, f"rampUp and {next(iter(load))} exclude") for load in openLoops),
            *(
                ({"findRate": "errors == 0", **values}, f"{next(iter(values))} and {steps}")
                for values in ({"stages": stages}, {"duration": 1}, {"messageCount": 1}, {"warmUp": 1})
            ),
            ({"maxLate": 1}, "maxLate needs rate, stages or findRate"),
            ({"catchUp": 1}, "catchUp needs rate or stages"),
            ({"catchUp": 1, "findRate": "errors == 0"}, "catchUp and findRate exclude each other: what is overdue"),
            (
                {"arrivals": "poisson", "stages": stages, "stagesOf": "sessions"},
                "arrivals needs rate, stages or findRate",
            ),
            ({"warmUp": 5, "stages": stages}, "warmUp: 5 seconds are not usable: expected less"),
            ({"oldMode": True, "helo": "a"}, "helo and oldMode exclude each other: it says no HELO"),
            ({"lmtp": True, "esmtp": True}, "esmtp and lmtp exclude each other: LHLO asks"),
            ({"mechanisms": ["PLAIN"]}, "mechanisms needs logins"),
            ({"logins": [ME]}, "logins needs mechanisms"),
            ({"scramIterations": 5000}, "scramIterations needs mechanisms SCRAM-SHA-256"),
            ({"scramIterations": 5000, **login}, "scramIterations needs mechanisms SCRAM-SHA-256"),
            ({"abortOnThreshold": True}, "abortOnThreshold needs thresholds"),
            ({"thresholds": ["late == 0"]}, "thresholds: 'late == 0' is not usable: expected rate or stages"),
            ({"proxySources": ["::1"]}, "proxySources needs proxyProtocol"),
            (
                {"bind": ["::1"], "destination": "unix:/a"},
                "bind and a UNIX socket exclude each other: it has no addresses",
            ),
            ({"mx": True}, "mx and sink: exclude each other: it needs a domain"),
            ({"mx": True, "destination": "unix:/a"}, "mx and a UNIX socket exclude each other: "),
            ({"dnsServer": "::1", "destination": "localhost"}, "dnsServer needs mx"),
        ):
            error = str(self.assertRaises(ValueError, SourcePlan, **values))
            self.assertTrue(error.startswith(expected), error)
            self.assertNotIn("\n", error)

    def test_noMail(self):
        """
        What only mail has is refused where none is sent: it would have no effect, or be asked of the server in vain.
        """
        values = (
            *({"sender": ""}, {"recipient": "a"}, {"recipientCount": 1}, {"numberRecipients": True}, {"subject": ""}),
            *({"recipientNumbering": "suffix"}, {"length": 1}, {"message": "x"}, {"headers": ["A: b"]}),
            *({"sizeDistribution": "fixed:1"}, {"recipientsDistribution": "fixed:1"}, {"senders": ["a"]}),
            *({"recipients": ["a"]}, {"domains": "a.test"}, {"pipelining": "require"}, {"chunking": "auto"}),
            *({"parameters": Parameters(requireTLS=True)}, {"parameters": Parameters(size=True)}),
        )
        for exercise in ("noop", "connect"):
            for value in values:
                error = str(self.assertRaises(ValueError, SourcePlan, exercise=exercise, **value))
                expected = f"{next(iter(value))} and exercise {exercise!r} exclude each other: it sends no mail"
                self.assertEqual(error, expected)
            SourcePlan(exercise=exercise, esmtp=True, helo="a", seed=1, hold=1, xclient="NAME=a")

    def test_noExclusions(self):
        """
        What looks like a contradiction and is none.
        """
        for values in (
            {"oldMode": True, "pipelining": "force", "chunking": "force", "chunkSize": 1},
            {"window": 5, "pipelining": "force", "chunking": "force", "messagesPerConnection": 2},
            {"oldMode": True, "lmtp": True},
            {"oldMode": True, "tls": "implicit"},
            {"oldMode": True, "proxyProtocol": "v1", "bind": ["::1"], "exercise": "connect"},
            {"bind": ["::1"], "destination": "sink:"},
            {"window": 1},
            {"window": 2, "pipelining": "auto", "chunking": "auto", "keepConnections": True},
            {"proxyProtocol": "v2", "destination": "unix:/a"},
            {"mx": True, "destination": "example.com"},
            {"keepConnections": True, "messagesPerConnection": 3},
        ):
            SourcePlan(**values)

    def test_logins(self):
        """
        A user or password that a mechanism can't carry is refused now, and no password is shown.
        """
        for mechanism, user, password, expected in (
            ("PLAIN", "me", "secret\x07", "password without the characters that SASLprep prohibits"),
            ("scram-sha-256", "me", "secret\u200b\u0627b", "expected a password"),
            ("LOGIN", "me", "secret\udcff", "password that can be written in UTF-8"),
            ("XOAUTH2", "me", "secret\1", "token without control characters"),
            ("PLAIN", "", "secret", "user that is not empty"),
            ("CRAM-MD5", "m\udcff", "secret", "user that can be written in UTF-8"),
        ):
            logins = [ME, Credentials(user, password)]
            error = str(self.assertRaises(ValueError, SourcePlan, mechanisms=[mechanism], logins=logins))
            self.assertTrue(error.startswith(f"{mechanism.upper()} can't be used for the user {user!a}: "), error)
            self.assertIn(expected, error)
            self.assertNotIn("secret", error)
            self.assertTrue(error.isprintable(), error)

    def test_noPassword(self):
        """
        What is shown of a plan has no password.
        """
        plan = SourcePlan(mechanisms=["login"], logins=[ME])
        self.assertEqual((plan.mechanisms, plan.logins), (("LOGIN",), (ME,)))
        self.assertIn("'me'", repr(plan))
        self.assertNotIn("secret", repr(plan))
        self.assertNotIn("secret", repr(parts.dialogue(plan)))

    def test_loginsInTurn(self):
        """
        Each connection of a run logs in as the next one.
        """
        you = Credentials("you", "secret")
        login = parts.dialogue(SourcePlan(mechanisms=["LOGIN"], logins=[ME, you])).login
        self.assertEqual([login() for _ in range(3)], [ME, you, ME])
        self.assertIs(parts.dialogue(SourcePlan()).login, None)

    def test_forms(self):
        """
        What may be given in several forms is kept in one.
        """
        for name, forms in (
            ("xclient", ("name=a,addr=2001:db8::1", (("NAME", "a"), ("ADDR", "IPV6:2001:db8::1")))),
            ("xclient", ("", [], ())),
            ("xclient", ([("Helo", "x y"), ("LOGIN", "a,ADDR=::1")], (("HELO", "x y"), ("LOGIN", "a,ADDR=::1")))),
            ("helo", ("gr\u00fc\u00df", "gr\u00fc\u00df".encode())),
        ):
            kept = {getattr(SourcePlan(**{name: form}), name) for form in forms}
            self.assertEqual(kept, {forms[-1]})
        for form in ("127.0.0.1", "127.0.0.1:53", "[127.0.0.1]:53", ("127.0.0.1", 53)):
            plan = SourcePlan(destination="localhost", mx=True, dnsServer=form)
            self.assertEqual(plan.dnsServer, ("127.0.0.1", 53))
        for name in ("bind", "proxySources"):
            plan = SourcePlan(**{name: ["::1", "2001:DB8::1", "127.0.0.1"]}, proxyProtocol="v1")
            self.assertEqual(getattr(plan, name), ("::1", "2001:db8::1", "127.0.0.1"))

    def test_helo(self):
        """
        What is said in place of C{myhostname} is said in the greeting only.
        """
        plan = SourcePlan(myhostname="host", helo="any thing")
        self.assertEqual(parts.dialogue(plan).greeting, b"HELO any thing\r\n")
        self.assertEqual(newTraffic(plan).next().mail, b"MAIL FROM:<foo@host>\r\n")

    def test_parameters(self):
        """
        Parameters arrive in MAIL and in each RCPT, and their extensions are required.
        """
        parameters = Parameters(eightBitMIME=True, notify="NEVER", mtPriority=0)
        plan = SourcePlan(parameters=parameters, sender="a@b", recipient="c@d", recipientCount=2)
        message = newTraffic(plan).next()
        self.assertEqual(message.mail, b"MAIL FROM:<a@b> BODY=8BITMIME MT-PRIORITY=0\r\n")
        rcpts = (b"RCPT TO:<2c@d> NOTIFY=NEVER\r\n", b"RCPT TO:<c@d> NOTIFY=NEVER\r\n")
        self.assertEqual(message.recipientCommands(), rcpts)
        self.assertEqual(parts.dialogue(plan).required, ("8BITMIME", "DSN", "MT-PRIORITY"))
        self.assertTrue(parts.dialogue(plan).greeting.startswith(b"EHLO "))

    def test_size(self):
        """
        SIZE is the same for all messages, and no less than any of them has.
        """
        for values in (
            {},
            {"length": 1},
            {"length": 100_000, "subject": "hi"},
            {"oldMode": False, "numberRecipients": True, "recipientNumbering": "suffix", "recipientCount": 20},
            {"message": b".a\n..b"},
        ):
            traffic = newTraffic(SourcePlan(parameters=Parameters(size=True), **values))
            mails = set()
            for _ in range(50):
                message = traffic.next()
                message.recipientCommands()
                size = sum(map(len, message.bdatContent()))
                mails.add(message.mail)
                declared = int(message.mail.partition(b" SIZE=")[2])
                self.assertTrue(size <= declared <= size + 30, (size, declared))
            self.assertEqual(len(mails), 1)

    def test_proxyHeader(self):
        """
        The PROXY header names the next client and the server; a UNIX socket has no address.
        """
        self.assertIs(parts.dialogue(SourcePlan()).proxyHeader, None)
        header = parts.dialogue(SourcePlan(proxyProtocol="v1", proxySources=["192.0.2.1", "192.0.2.2"])).proxyHeader
        peer = IPv4Address("TCP", "127.0.0.1", 25)
        self.assertEqual(header(peer), b"PROXY TCP4 192.0.2.1 127.0.0.1 1024 25\r\n")
        self.assertEqual(header(peer), b"PROXY TCP4 192.0.2.2 127.0.0.1 1024 25\r\n")
        self.assertEqual(header(UNIXAddress("/a")), b"PROXY TCP4 192.0.2.1 127.0.0.1 1025 0\r\n")

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
        message = newTraffic(SourcePlan(sender="a@b", recipient="c@d", subject="hi", myhostname="h")).next()
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
            ("pipelining", ("off", "auto", "require", "force")),
            ("chunking", ("off", "auto", "require", "force")),
            ("window", (1,)),
            ("tls", ("off", "starttls", "implicit")),
            ("proxyProtocol", (None, "v1", "v2")),
            ("bind", ((), ("127.0.0.2", "::1"))),
            ("messagesPerConnection", (None, 1, 2**31 - 1)),
            ("exercise", ("mail", "noop", "connect")),
            ("hold", (0, 0.5, 2**31 - 1)),
        ):
            for value in values:
                plan = SourcePlan(**{name: value})
                if not isinstance(plan.destination, str) and name != "destination":
                    self.assertEqual(getattr(plan, name), value)
        self.assertEqual(SourcePlan(startAt=datetime(1970, 1, 2, tzinfo=UTC)).startAt, 86400.0)
        self.assertEqual(SourcePlan(command=["x", "-d"]).command, ("x", "-d"))

    def test_again(self):
        """
        A plan can be made of a plan.
        """
        plan = SourcePlan(
            destination="localhost:24",
            sender="a",
            command=("x",),
            pipelining="auto",
            chunking="require",
            window=3,
            keepConnections=True,
            parameters=Parameters(envid="a b"),
            mechanisms=["plain"],
            logins=[ME],
            xclient="NAME=a ADDR=::1 LOGIN=a=b",
            proxyProtocol="v1",
            proxySources=["::1"],
            bind=["127.0.0.1"],
            mx=True,
            dnsServer="[::1]:5353",
            helo="x",
            headers=["X-A: {n}"],
            sizeDistribution="lognormal:median=8k,sigma=1.5",
            recipientsDistribution="uniform:1-3",
            recipients=["a", ("b", 2)],
            domains="a.test:9,b.test",
            seed=0,
        )
        self.assertEqual((attrs.evolve(plan), hash(attrs.evolve(plan))), (plan, hash(plan)))
        self.assertRaises(ValueError, attrs.evolve, plan, messageCount=0)
        self.assertEqual(plan.evolve(), plan)
        self.assertEqual(plan.evolve(messageCount=7), attrs.evolve(plan, messageCount=7))
        self.assertRaises(ValueError, plan.evolve, messageCount=0)
        self.assertRaises(TypeError, plan.evolve, mesageCount=1)

    def test_evolveDestination(self):
        """
        With another destination, what the scheme of the one before said is said no more; what keywords say stays.
        """
        self.assertEqual(SourcePlan(destination="lmtp://a").evolve(destination="b").lmtp, False)
        plan = SourcePlan(destination="smtps://a", esmtp=True)
        self.assertEqual(plan.evolve(sessionCount=2).tls, "implicit")
        self.assertEqual(plan.evolve(destination="b:25").tls, "off")
        self.assertEqual(plan.evolve(destination="smtps://b", sessionCount=2).tls, "implicit")
        self.assertEqual(plan.evolve(destination="lmtp://b", esmtp=False).lmtp, True)
        self.assertEqual(plan.evolve(destination="b", tls="starttls").tls, "starttls")
        self.assertEqual(plan.evolve(tls="starttls").evolve(destination="b").tls, "starttls")
        self.assertEqual(SourcePlan(destination="a", lmtp=True).evolve(destination="b").lmtp, True)

    def test_textsOfCommandLine(self):
        """
        docs/plan.rst says which keywords take a text as on the command line, and that no other does.
        """
        texts = {
            "destination": "localhost:25",
            "sizeDistribution": "uniform:1-3",
            "recipientsDistribution": "uniform:1-3",
            "domains": "a.test:9,b.test",
            "xclient": "NAME=a",
            "findRate": "errors == 0",
        }
        for name, text in texts.items():
            SourcePlan(**{name: text})
        SourcePlan(destination="a.test", mx=True, dnsServer="127.0.0.1:53")
        SourcePlan(thresholds=("errors == 0",), headers=("A: b",))
        for name, text in (
            *(("duration", "30s"), ("rate", "500/s"), ("stages", "0:0,30s:1000"), ("percentiles", "p50,p99")),
            *(("mechanisms", "PLAIN"), ("bind", "127.0.0.1"), ("messageCount", "10k"), ("thresholds", "errors == 0")),
        ):
            self.assertIn(f"{name}: ", str(self.assertRaises(ValueError, SourcePlan, **{name: text})))

    def test_machineName(self):
        """
        A machine whose own name can't be said needs C{myhostname}.
        """
        with mock.patch("socket.gethostname", return_value="bad name"):
            error = self.assertRaises(ValueError, SourcePlan)
            self.assertTrue(str(error).startswith("myhostname: 'bad name' is not usable: expected a host name"), error)
            self.assertEqual(SourcePlan(myhostname="x").myhostname, "x")


class OtherProcessTests(SynchronousTestCase):
    """
    A plan that another process gets.
    """

    def setUp(self):
        directory = Path(self.mktemp()).resolve()
        directory.mkdir()
        self.file = os.fspath(directory / "file")
        Path(self.file).write_text("a@b.example\n")
        # One that is too large to be kept in memory, and one that is not.
        self.large, self.mbox = os.fspath(directory / "large.eml"), os.fspath(directory / "mbox")
        Path(self.large).write_text("Subject: x\n\n" + "hello\n" * 100_000)
        Path(self.mbox).write_text("From a@b Thu Jan  1 00:00:00 1970\nSubject: x\n\nhello\n")

    def plans(self):
        """
        @return: plans that together say something for each setting.
        """
        yield SourcePlan(
            destination="localhost:24",
            messageCount=7,
            sessionCount=3,
            keepConnections=True,
            duration=9,
            warmUp=1,
            rampUp=2,
            trace=1,
            recipient="r",
            sender="a",
            recipientCount=2,
            numberRecipients=True,
            recipientNumbering="suffix",
            numberStart=1,
            numberWidth=3,
            subject="hi",
            headers=["X-A: {n}"],
            length=100,
            family=socket.AF_INET,
            helo="x",
            tolerant=True,
            timeout=3,
            myhostname="h",
            lmtp=True,
            pipelining="auto",
            chunking="require",
            chunkSize=100,
            window=3,
            connectAttempts=2,
            connectParallelism=2,
            connectTimeout=3,
            messagesPerConnection=4,
            hold=1,
            bind=["127.0.0.1"],
            addresses="all",
            windowSize=4096,
            grace=1,
            thresholds=["p99(message) < 1s and errors < 0.1%"],
            abortOnThreshold=True,
            percentiles=[50],
            command=["smtpsource"],
            xclient="NAME=a",
            ledger=os.path.dirname(self.file),
            ledgerSync=True,
            deliverTo="127.0.0.1:2525",
            drainTimeout=7,
            drainQuiet=1,
            logMessages=self.mbox,
            logSample="1%,failed,slow>100ms,rcpt>1s",
        )
        yield SourcePlan(fixedInterval=1, startAt=7, workers="auto", pin=True)
        yield SourcePlan(rate=7, duration=3, arrivals="poisson", maxLate=1, catchUp=1, message=b"a\n")
        yield SourcePlan(destination="a.test", mx=True, dnsServer="127.0.0.1:53", resolveAgain=7, esmtp=True)
        yield SourcePlan(stages=[(0, 1), (3, 5)], stagesOf="sessions", randomInterval=1)
        yield SourcePlan(findRate="p99(response) < 1s", holdStep=3, oldMode=True, exercise="noop")
        yield SourcePlan(proxyProtocol="v1", proxySources=["127.0.0.1"], mechanisms=["PLAIN"], logins=[ME])
        yield SourcePlan(mechanisms=["SCRAM-SHA-256"], logins=[ME], scramIterations=9999)
        yield SourcePlan(messages=os.path.dirname(self.large), messagesRecursive=True, pick="random", seed=3)
        yield SourcePlan(messages=self.mbox)
        yield SourcePlan(sizeDistribution="lognormal:median=8k,sigma=1.5", recipientsDistribution="uniform:1-3")
        yield SourcePlan(senders=["a@b"], recipients=["a", ("b", 2)], domains="a.test:9,b.test")
        yield SourcePlan(parameters=Parameters(notify="NEVER", ret="FULL", envid="x", requireTLS=True), tls="starttls")
        yield SourcePlan(parameters=Parameters(mtPriority=3, deliverBy="3;R"))
        settings = TLSSettings(verify=True, ca=self.file, serverName="x", minimum="1.2", maximum="1.3", resume=True)
        yield SourcePlan(destination="a.test", tls="implicit", tlsSettings=settings)
        others = TLSSettings(ciphers="ECDHE", certificate=self.file, key=self.file, keyPasswordFile=self.file)
        yield SourcePlan(destination="a.test", tls="implicit", tlsSettings=others)

    def test_same(self):
        """
        Whatever it says, it is the same there, what is secret and what was drawn included; and so is what it sends.
        """
        said = set()
        for plan in self.plans():
            said |= {name for name in plan.declared if getattr(plan, name) != plan.declared[name].default}
            there = pickle.loads(pickle.dumps(plan))
            self.assertEqual((there, there.seedInUse), (plan, plan.seedInUse))  # the latter is not compared
            self.assertEqual([c.check(EMPTY) for c in there.thresholds], [c.check(EMPTY) for c in plan.thresholds])
            if plan.messages is not None:
                self.assertEqual(len(there.messages), len(plan.messages))
                self.assertEqual(bytes(there.messages.read(0)), bytes(plan.messages.read(0)))
                self.assertEqual(bytes(there.messages.sample), bytes(plan.messages.sample))
        self.assertEqual(said, set(SourcePlan.declared))


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
