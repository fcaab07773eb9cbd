"""
Tests for L{smtpsource.values.numbers}, L{names<smtpsource.values.names>} and the words of SMTP: one value each.
"""

from __future__ import annotations

import os
from typing import get_args
from unittest import mock

from hypothesis import strategies as st
from properties import given
from twisted.trial.unittest import SynchronousTestCase

from smtpsource import credentials
from smtpsource.net.tls import settings
from smtpsource.smtp import commands, parameters, proxyprotocol, sasl
from smtpsource.values import files, names, numbers


class Case(SynchronousTestCase):
    """
    Values and refusals.
    """

    def gives(self, function, table):
        for text, value in table.items():
            self.assertEqual(function(text), value, text)
            self.assertIs(type(function(text)), type(value))

    def refuses(self, function, *texts):
        for text in texts:
            e = self.assertRaises(ValueError, function, text)
            self.assertTrue(str(e).startswith("expected "), (text, str(e)))


class NumberTests(Case):
    """
    Counts and sizes.
    """

    def test_counts(self):
        """
        k is a thousand of messages.
        """
        table = {"1": 1, "20": 20, "007": 7, "10k": 10_000, "10K": 10_000, "2m": 2_000_000, "2147M": 2_147_000_000}
        self.gives(numbers.count, table)
        self.gives(numbers.count, {"2147483647": 2**31 - 1})
        self.refuses(
            numbers.count, "0", "0k", "-1", "+1", "", "k", "1.5", "1e3", "1kk", "1g", " 1", "1 ", "\u0661", "1\n"
        )
        self.refuses(numbers.count, "2147483648", "2148m", "9" * 30)

    def test_sizes(self):
        """
        k is 1024 bytes.
        """
        self.gives(numbers.size, {"1": 1, "4096": 4096, "10k": 10_240, "1m": 1_048_576, "2047M": 2047 * 1024 * 1024})
        self.refuses(numbers.size, "0", "2048m", "1kb", "-5", "")

    @given(st.integers(1, numbers.LARGEST))
    def test_any(self, number):
        """
        Any number in bounds is itself.
        """
        self.assertEqual((numbers.count(str(number)), numbers.size(str(number))), (number, number))

    @given(st.text(max_size=6))
    def test_text(self, text):
        """
        Any text is a number in bounds or a ValueError.
        """
        try:
            value = numbers.count(text)
        except ValueError:
            return
        self.assertTrue(1 <= value <= numbers.LARGEST)


class TimeTests(Case):
    """
    Times, all in one grammar.
    """

    def test_times(self):
        """
        With a unit or several, the larger first, or in seconds without one.
        """
        table = {"250ms": 0.25, "10s": 10.0, "5m": 300.0, "1h": 3600.0, "2d": 172800.0, "1h30m": 5400.0, "10": 10.0}
        table |= {
            "0.25": 0.25,
            ".5": 0.5,
            "1e2": 100.0,
            "1e-3": 0.001,
            "1.5h": 5400.0,
            "250us": 0.00025,
            "1m30s": 90.0,
            "1d2h3m4s5ms": 93784.005,
            "1ms1us": 0.001001,
            "007s": 7.0,
            "2147483647": 2.0**31 - 1,
        }
        self.gives(numbers.time, table)
        self.refuses(
            numbers.time,
            *("", "0", "0.0", "0s", "0h0m", "-1", "+1", "s", "1.", "1e", "1e3s", "1x", "1M", "1 s", "1h 30m", "1m1h"),
            *("1s1s", "1h30", "inf", "-inf", "nan", "1e10", "1e999", "2147483648", "25000d", "\u0661s", "1s\n", "5m,"),
            *("x", "10e5m", "1us1ms"),
        )

    def test_zero(self):
        """
        Where it makes sense, 0 is a time.
        """
        self.gives(numbers.timeOrZero, {"0": 0.0, "0s": 0.0, "0h0m": 0.0, "5": 5.0, "5m": 300.0})
        self.refuses(numbers.timeOrZero, "-0.1", "-1s", "nan", "inf", "x", "")

    def test_expected(self):
        """
        What is said fits what was wrong.
        """
        for texts, expected in (
            (
                ("nan", "-1", "-inf", "x", "", "5x"),
                "expected a time such as 30s, 500ms or 1h30m (a number alone is seconds)",
            ),
            (("1e10", "25000d"), "expected a time of at most 2147483647 seconds"),
            (("0", "0ms"), "expected a time of more than 0, such as 30s, 500ms or 1h30m"),
        ):
            for text in texts:
                self.assertEqual(str(self.assertRaises(ValueError, numbers.time, text)), expected, text)

    @given(st.integers(0, 999), st.integers(0, 99), st.integers(0, 99), st.integers(0, 999), st.integers(0, 999))
    def test_any(self, hours, minutes, seconds, milliseconds, microseconds):
        """
        The parts add up.
        """
        total = (((hours * 60 + minutes) * 60 + seconds) * 1000 + milliseconds) * 1000 + microseconds
        text = f"{hours}h{minutes}m{seconds}s{milliseconds}ms{microseconds}us"
        if total:
            self.assertAlmostEqual(numbers.time(text), total / 1e6, places=9)
        else:
            self.refuses(numbers.time, text)


class LoadTests(Case):
    """
    How often, and in which stages.
    """

    def test_rates(self):
        """
        Per second, minute or hour; without a unit it is per second. k is a thousand.
        """
        table = {"500/s": 500.0, "500": 500.0, "30/m": 0.5, "36/h": 0.01, "0.5/s": 0.5, "10k/s": 10_000.0, "3K": 3000.0}
        self.gives(numbers.rate, table)
        self.refuses(
            numbers.rate,
            *(
                "",
                "0",
                "0/s",
                "/s",
                "-5/s",
                "5/",
                "5/d",
                "5/S",
                "5 /s",
                "5/ s",
                "5/ms",
                "1m",
                "5s",
                "1e3",
                "nan",
                "inf",
            ),
            *("2147483648", "3000000k/s", "\u0661/s", "5/s\n"),
        )

    def test_stages(self):
        """
        Times from the stage before, and rates; a time of 0 after the first is a jump.
        """
        self.gives(
            numbers.stages,
            {
                "0:0,30s:1000,5m:1000,30s:0": ((0.0, 0.0), (30.0, 1000.0), (300.0, 1000.0), (30.0, 0.0)),
                "0s:1.5/s,1h30m:600/m": ((0.0, 1.5), (5400.0, 10.0)),
                "0:10,1:10,0:20,250ms:20": ((0.0, 10.0), (1.0, 10.0), (0.0, 20.0), (0.25, 20.0)),
                "0:0,30:1k": ((0.0, 0.0), (30.0, 1000.0)),
            },
        )
        self.refuses(numbers.stages, "", ",", "0:0", "0:0,", "1s:0,1s:5", "0:0,30s", "0:0,30s:", "0:0,:5", "0:5,x:5")
        self.refuses(numbers.stages, "0:0,5:0", "0:5,0:6", "0:0, 5:5", "0:0,5:-1", "0:0:0,1:1", "0:1,2147483647:1,1:1")

    def test_stagesOfSessions(self):
        """
        Sessions are whole.
        """
        self.assertEqual(
            numbers.stages("0:0,30s:100,1m:1k", sessions=True), ((0.0, 0.0), (30.0, 100.0), (60.0, 1000.0))
        )
        for text in ("0:0,30s:1.5", "0:0,30s:100/s", "0:0,5:0"):
            e = self.assertRaises(ValueError, numbers.stages, text, sessions=True)
            self.assertTrue(str(e).startswith("expected "), e)

    def test_expected(self):
        """
        What is said fits what was wrong, and names the stage.
        """
        for function, text, expected in (
            (numbers.rate, "5/x", "expected a rate such as 500/s, 30/m or 10/h (a number alone is per second)"),
            (numbers.rate, "0/h", "expected a rate of more than 0, such as 500/s, 30/m or 10/h"),
            (
                numbers.stages,
                "0:0,5:x",
                "expected a rate such as 500/s, 30/m or 10/h (a number alone is per second), in the stage '5:x'",
            ),
            (numbers.stages, "5:5,5:5", "expected the first stage to be at 0, as in 0:0,30s:1000,5m:1000,30s:0"),
        ):
            self.assertEqual(str(self.assertRaises(ValueError, function, text)), expected)

    @given(st.text(alphabet="0123456789.:,/smhdk", max_size=20), st.booleans())
    def test_anyStages(self, text, sessions):
        """
        Any text gives stages that make sense, or a ValueError.
        """
        try:
            points = numbers.stages(text, sessions)
        except ValueError as e:
            self.assertTrue(str(e).startswith("expected "), e)
            return
        self.assertEqual(points[0][0], 0)
        self.assertTrue(all(seconds >= 0 and value >= 0 for seconds, value in points))
        self.assertTrue(any(seconds for seconds, _ in points) and any(value for _, value in points))


class WordTests(Case):
    """
    Words of which one is wanted.
    """

    def test_words(self):
        """
        Each of them, as it is written; the error has all of them.
        """
        for function, words in (
            (commands.extensionMode, get_args(commands.ExtensionMode)),
            (settings.tlsMode, ("off", "starttls", "implicit")),
            (proxyprotocol.proxyProtocol, ("v1", "v2")),
            (settings.tlsVersion, ("1.0", "1.1", "1.2", "1.3")),
            (parameters.ret, ("FULL", "HDRS")),
            (names.oneOf("a", "b"), ("a", "b")),
        ):
            self.gives(function, {word: word for word in words})
            for text in ("", "x", words[0] + " ", f"{words[0]},{words[1]}", words[0] + "\n", words[0].swapcase() + "x"):
                error = str(self.assertRaises(ValueError, function, text))
                self.assertTrue(error.startswith("expected "), error)
                for word in words:
                    self.assertIn(word, error)

    def test_oneOf(self):
        """
        What is said.
        """
        error = self.assertRaises(ValueError, names.oneOf("a", "b", "c"), "d")
        self.assertEqual(str(error), "expected a, b or c")

    def test_mechanisms(self):
        """
        One or more, in any case, in the order in which they are wanted.
        """
        self.gives(
            credentials.mechanisms,
            {
                "PLAIN": ("PLAIN",),
                "plain": ("PLAIN",),
                "scram-sha-256,Login": ("SCRAM-SHA-256", "LOGIN"),
                ",".join(credentials.MECHANISMS): credentials.MECHANISMS,
            },
        )
        self.refuses(credentials.mechanisms, "", ",", "PLAIN,", "PLAIN, LOGIN", "PLAIN LOGIN", "GSSAPI", "PLAIN\n")
        self.gives(credentials.mechanism, {"xoauth2": "XOAUTH2", "CRAM-MD5": "CRAM-MD5"})
        self.refuses(credentials.mechanism, "", "PLAIN,LOGIN", "EXTERNAL")

    def test_knownMechanisms(self):
        """
        They are those that there are.
        """
        self.assertEqual(set(credentials.MECHANISMS), set(sasl.MECHANISMS))


class ParameterTests(Case):
    """
    Parameters of MAIL and RCPT.
    """

    def test_notify(self):
        """
        NEVER alone, or each of the others once; in any case.
        """
        self.gives(
            parameters.notify,
            {
                "NEVER": "NEVER",
                "never": "NEVER",
                "success": "SUCCESS",
                "DELAY,Failure": "DELAY,FAILURE",
                "SUCCESS,FAILURE,DELAY": "SUCCESS,FAILURE,DELAY",
            },
        )
        self.refuses(
            parameters.notify,
            *(
                "",
                ",",
                "ALWAYS",
                "NEVER,DELAY",
                "DELAY,NEVER",
                "NEVER,NEVER",
                "DELAY,DELAY",
                "DELAY,",
                "DELAY, FAILURE",
            ),
            *("DELAY\r\nRSET", "SUCCESS FAILURE", "SUCCESS,FAILURE,DELAY,DELAY"),
        )

    def test_envelopeId(self):
        """
        1 to 100 printable characters; a blank is one.
        """
        self.gives(parameters.envelopeId, {text: text for text in ("a", "QQ314159", "a b+c=d", "~" * 100)})
        self.refuses(parameters.envelopeId, "", "a" * 101, "a\tb", "a\r\nRSET", "gr\u00fc\u00df", "\x7f", "\udcff")

    def test_priority(self):
        """
        One digit, with or without its sign.
        """
        self.gives(parameters.priority, {"0": 0, "9": 9, "-9": -9, "+3": 3, "-0": 0})
        self.refuses(parameters.priority, "", "10", "-10", "+", "--1", "1.0", " 1", "1\n", "\u0661", "high")

    def test_deliverBy(self):
        """
        Up to nine digits, and what is to be done then. To have a message returned takes more than 0 seconds.
        """
        self.gives(
            parameters.deliverBy,
            {
                "120": "120;N",
                "0": "0;N",
                "-30": "-30;N",
                "+60;n": "60;N",
                "-1;NT": "-1;NT",
                "1;R": "1;R",
                "120;rt": "120;RT",
                "007;R": "7;R",
                "999999999;R": "999999999;R",
                "-999999999": "-999999999;N",
                "2h;r": "7200;R",
                "-1m30s": "-90;N",
            },
        )
        self.refuses(
            parameters.deliverBy,
            *("", ";", "N", ";N", "120;", "120;T", "120;X", "120;NR", "120N", "0;R", "-1;R", "-0;RT", "+0;R"),
            *("1000000000", "1.5", "500ms", "20000d", "1e3", " 1", "1;N ", "1;N\r\nRSET", "\u0661", "--1"),
        )

    @given(st.integers(1, 999_999_999), st.sampled_from(["N", "R", "NT", "RT"]))
    def test_again(self, number, mode):
        """
        What comes out can go in again.
        """
        value = parameters.deliverBy(f"{number};{mode}")
        self.assertEqual((value, parameters.deliverBy(value)), (f"{number};{mode}", value))

    @given(st.text(alphabet="0123456789+-;NRTnrt \n", max_size=14))
    def test_text(self, text):
        """
        Any text gives what can stand in a command, or a ValueError.
        """
        try:
            value = parameters.deliverBy(text)
        except ValueError:
            return
        self.assertRegex(value, r"\A(-?[0-9]{1,9};NT?|[1-9][0-9]{0,8};RT?)\Z")


class AddressTests(Case):
    """
    IP addresses.
    """

    def test_addresses(self):
        """
        One or more, each in its usual form.
        """
        self.gives(names.ipAddress, {"127.0.0.2": "127.0.0.2", "::1": "::1", "2001:DB8:0:0::1": "2001:db8::1"})
        self.gives(
            names.ipAddresses,
            {"192.0.2.1": ("192.0.2.1",), "127.0.0.2,::1,127.0.0.2": ("127.0.0.2", "::1", "127.0.0.2")},
        )
        self.refuses(names.ipAddress, "10.0.0.0/30")
        for function in (names.ipAddress, names.ipAddresses):
            self.refuses(
                function,
                *("", "localhost", "127.1", "256.0.0.1", "127.0.0.1:25", "[::1]", "::1::", "1", "10.0.0.0/8", " ::1"),
                *("10.0.0.0/33", "::/129", "10.0.0.0/", "/8", "a/8", "10.0.0.0/30/30", "fe80::%lo/120", "10.0.0.0/-1"),
                *("127.0.0.01", "127.0.0.1\n", "1.2.3.4-5"),
            )
        self.refuses(names.ipAddress, "127.0.0.1,127.0.0.2")
        self.refuses(names.ipAddresses, ",", "127.0.0.1,", "127.0.0.1, 127.0.0.2", "127.0.0.1 127.0.0.2")

    def test_networks(self):
        """
        Of a network, all addresses of hosts. There is a limit to that.
        """
        self.gives(
            names.ipAddresses,
            {
                "127.0.0.0/29": tuple(f"127.0.0.{n}" for n in range(1, 7)),
                "127.0.0.8/31,::1": ("127.0.0.8", "127.0.0.9", "::1"),
                "127.0.0.1/32": ("127.0.0.1",),
                "2001:DB8::/126": ("2001:db8::1", "2001:db8::2", "2001:db8::3"),
                "10.0.0.0/255.255.255.252": ("10.0.0.1", "10.0.0.2"),
            },
        )
        self.assertEqual(len(names.ipAddresses("fd00::/120")), 255)
        self.assertEqual(len(names.ipAddresses("10.0.0.0/16")), 65534)
        self.assertEqual(names.networks(["127.0.0.0/30", "::1"]), ("127.0.0.1", "127.0.0.2", "::1"))
        for text, expected in (
            ("10.0.0.1/29", "expected a network such as 10.0.0.0/29, not an address in it"),
            ("10.0.0.0/15", "expected a network of at most 65536 addresses, from /16 on, not /15"),
            ("::/64", "expected a network of at most 65536 addresses, from /112 on, not /64"),
            ("10.0.0.0/16,10.1.0.0/16", "expected at most 65536 addresses in all"),
        ):
            self.assertEqual(str(self.assertRaises(ValueError, names.ipAddresses, text)), expected)

    def test_inASCII(self):
        """
        Names with other characters become A-labels, as IDNA 2008 has it; those in ASCII stay what they are.
        """
        self.gives(
            names.inASCII,
            {
                "MX_1.Example.": "MX_1.Example.",
                "m\u00fcller.example": "xn--mller-kva.example",
                "M\u00dcLLER.example.": "xn--mller-kva.example.",
                "fa\u00df.example": "xn--fa-hia.example",
                "\u4f8b\u3048\u3002\u30c6\u30b9\u30c8": "xn--r8jz45g.xn--zckzah",
            },
        )
        with mock.patch.dict("sys.modules", {"idna": None}):  # rather nothing than another host
            self.assertRaises(ImportError, names.inASCII, "stra\u00dfe.example")
        self.refuses(names.inASCII, "\u2603.net", "a..\u00fc", "\u00fc" * 64, "\u00fc b", "\u00fc\ud800")

    def test_dnsServers(self):
        """
        With a port or without it; an IPv6 address with a port is in brackets.
        """
        self.gives(
            names.dnsServer,
            {
                "192.0.2.53": ("192.0.2.53", 53),
                "127.0.0.1:5353": ("127.0.0.1", 5353),
                "127.0.0.1:1": ("127.0.0.1", 1),
                "127.0.0.1:65535": ("127.0.0.1", 65535),
                "::1": ("::1", 53),
                "2001:DB8::53": ("2001:db8::53", 53),
                "[::1]": ("::1", 53),
                "[::1]:5353": ("::1", 5353),
            },
        )
        self.refuses(
            names.dnsServer,
            *(
                "",
                ":",
                ":53",
                "[]",
                "[]:53",
                "[::1",
                "::1]",
                "[::1]53",
                "[::1]:",
                "127.0.0.1:",
                "dns.example",
                "dns:53",
            ),
            *("127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:100000", "127.0.0.1:-1", "127.0.0.1:x", "127.0.0.1:53:53"),
            *("127.0.0.1\n", "127.0.0.1:53\n", " ::1", "1:2:3", "127.0.0.1,127.0.0.2", "127.0.0.1:\u0665", "53"),
        )

    @given(st.ip_addresses(), st.integers(1, 65535))
    def test_anyServer(self, address, port):
        """
        Any address and port.
        """
        text = f"[{address}]" if address.version == 6 else str(address)
        self.assertEqual(names.dnsServer(f"{text}:{port}"), (str(address), port))
        self.assertEqual(names.dnsServer(str(address)), (str(address), 53))


class NameTests(Case):
    """
    Host names.
    """

    def test_names(self):
        """
        Names as hosts have them, underscores too, and address literals.
        """
        for text in (
            "localhost",
            "a.b.c",
            "x-y.example",
            "_x.y",
            "3com.com",
            "[192.0.2.1]",
            "[IPv6:2001:db8::1]",
            "a" * 63,
        ):
            self.assertEqual(names.hostname(text), text)

    def test_others(self):
        """
        Nothing that would be two words in a command, nor an address that is none.
        """
        self.refuses(
            names.hostname,
            "",
            ".",
            "a..b",
            "a.",
            ".a",
            "a b",
            "a\r\nQUIT",
            "a\n",
            "-a",
            "a-",
            "a" * 64,
            "1.2.3.4",
            "12",
        )
        self.refuses(
            names.hostname, "[", "[]", "[1.2.3]", "[::1]", "[IPv6:1.2.3.4]", "1.2.3.4]", "[1.2.3.4", "[1.2.3.4] "
        )
        self.refuses(names.hostname, "[IPv6:fe80::1%eth0]", "[IPv6:fe80::1%a\r\nRSET]")
        self.refuses(names.hostname, "\u00fc.example", "x/y", ".".join(["abcdefg"] * 33))


class PathTests(Case):
    """
    Files.
    """

    def setUp(self):
        self.directory = self.mktemp()
        os.makedirs(self.directory)
        self.file = os.path.join(self.directory, "f")
        with open(self.file, "w") as file:
            file.write("x")

    def test_readable(self):
        """
        A file that can be read, made absolute.
        """
        self.assertEqual(files.readableFile(os.path.relpath(self.file)), os.path.abspath(self.file))
        self.refuses(files.readableFile, self.directory, self.file + "x", "")

    def test_writable(self):
        """
        A file in a directory that is there, made absolute; it need not be there itself. C{-} stays.
        """
        for path in (self.file, self.file + "x"):
            self.assertEqual(files.writableFile(os.path.relpath(path)), os.path.abspath(path))
        self.assertEqual(files.writableFile("-"), "-")
        self.refuses(files.writableFile, self.directory, "", os.path.join(self.directory, "no", "f"), "/")

    def test_nowhere(self):
        """
        A directory that can't be written is named.
        """
        self.patch(os, "access", lambda path, mode, **where: False)
        e = self.assertRaises(ValueError, files.writableFile, self.file)
        self.assertIn(os.path.abspath(self.directory), str(e))
