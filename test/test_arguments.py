"""
Tests for L{smtpsource.arguments}: one value each.
"""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from smtpsource import arguments


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
        self.gives(arguments.count, table)
        self.gives(arguments.count, {"2147483647": 2**31 - 1})
        self.refuses(
            arguments.count, "0", "0k", "-1", "+1", "", "k", "1.5", "1e3", "1kk", "1g", " 1", "1 ", "\u0661", "1\n"
        )
        self.refuses(arguments.count, "2147483648", "2148m", "9" * 30)

    def test_sizes(self):
        """
        k is 1024 bytes.
        """
        self.gives(arguments.size, {"1": 1, "4096": 4096, "10k": 10_240, "1m": 1_048_576, "2047M": 2047 * 1024 * 1024})
        self.refuses(arguments.size, "0", "2048m", "1kb", "-5", "")

    @given(st.integers(1, arguments.LARGEST))
    def test_any(self, number):
        """
        Any number in bounds is itself.
        """
        self.assertEqual((arguments.count(str(number)), arguments.size(str(number))), (number, number))

    @given(st.text(max_size=6))
    def test_text(self, text):
        """
        Any text is a number in bounds or a ValueError.
        """
        try:
            value = arguments.count(text)
        except ValueError:
            return
        self.assertTrue(1 <= value <= arguments.LARGEST)


class TimeTests(Case):
    """
    Seconds.
    """

    def test_seconds(self):
        """
        Fractions are welcome; nothing, less than nothing, and for ever are not.
        """
        self.gives(arguments.seconds, {"10": 10.0, "0.25": 0.25, ".5": 0.5, "1e2": 100.0})
        self.refuses(arguments.seconds, "0", "0.0", "-1", "", "x", "1s", "nan", "inf", "-inf", "1e10")

    def test_zero(self):
        """
        Where it makes sense, 0 is a time.
        """
        self.gives(arguments.secondsOrZero, {"0": 0.0, "5": 5.0})
        self.refuses(arguments.secondsOrZero, "-0.1", "nan", "inf", "x", "")

    def test_expected(self):
        """
        What is said fits what was wrong.
        """
        for texts, expected in (
            (("nan", "-nan", "x", ""), "expected a time in seconds, such as 10 or 0.25"),
            (("inf", "1e10"), "expected a time in seconds of at most 2147483647"),
            (("0", "-inf", "-1e10"), "expected a time in seconds of more than 0, such as 10 or 0.25"),
        ):
            for text in texts:
                self.assertEqual(str(self.assertRaises(ValueError, arguments.seconds, text)), expected, text)


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
            self.assertEqual(arguments.hostname(text), text)

    def test_others(self):
        """
        Nothing that would be two words in a command, nor an address that is none.
        """
        self.refuses(
            arguments.hostname,
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
            arguments.hostname, "[", "[]", "[1.2.3]", "[::1]", "[IPv6:1.2.3.4]", "1.2.3.4]", "[1.2.3.4", "[1.2.3.4] "
        )
        self.refuses(arguments.hostname, "[IPv6:fe80::1%eth0]", "[IPv6:fe80::1%a\r\nRSET]")
        self.refuses(arguments.hostname, "\u00fc.example", "x/y", ".".join(["abcdefg"] * 33))


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
        self.assertEqual(arguments.readableFile(os.path.relpath(self.file)), os.path.abspath(self.file))
        self.refuses(arguments.readableFile, self.directory, self.file + "x", "")

    def test_writable(self):
        """
        A file in a directory that is there, made absolute; it need not be there itself. C{-} stays.
        """
        for path in (self.file, self.file + "x"):
            self.assertEqual(arguments.writableFile(os.path.relpath(path)), os.path.abspath(path))
        self.assertEqual(arguments.writableFile("-"), "-")
        self.refuses(arguments.writableFile, self.directory, "", os.path.join(self.directory, "no", "f"), "/")

    def test_nowhere(self):
        """
        A directory that can't be written is named.
        """
        self.patch(os, "access", lambda path, mode: False)
        e = self.assertRaises(ValueError, arguments.writableFile, self.file)
        self.assertIn(os.path.abspath(self.directory), str(e))
