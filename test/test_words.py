"""
Tests for L{smtpsource.cli.words}, and for what no command line may do: guess what was meant, and repeat a secret.
"""

from __future__ import annotations

import getopt
import io
import os
import sys

from commandlines import parsed, sinkParsed
from hypothesis import strategies as st
from properties import given
from subprocesses import smtpsource, twistd
from twisted.internet import defer
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource.__main__ import main
from smtpsource.cli.source import SourceOptions
from smtpsource.cli.words import split
from smtpsource.sink.options import SinkOptions
from smtpsource.values.option import ValueOption

LETTERS = "dm:s:A"
LONGS = ["auth-password-file=", "auth-user=", "lmtp", "message-count=", "subject="]

#: What is given where a secret may stand.
SECRET = "hunter2"

_WORDS = ["-d", "-dA", "-m", "-m5", "-dm", "-s", "5", "-5", "-", "--", "x", "", "--lmtp", "--subject", "--subject=a=b"]


class SplitTests(SynchronousTestCase):
    """
    Words taken apart.
    """

    def refused(self, *words):
        """
        @return: the text of the usage error.
        """
        return str(self.assertRaises(usage.UsageError, split, words, LETTERS, LONGS))

    @given(st.lists(st.sampled_from(_WORDS), max_size=8), st.booleans())
    def test_asGetopt(self, words, anywhere):
        """
        Whatever can be taken apart is taken apart as getopt does it; what it does not take isn't taken either.
        """
        function = getopt.gnu_getopt if anywhere else getopt.getopt
        try:
            expected = function(words, LETTERS, LONGS)
        except getopt.GetoptError:
            expected = None
        try:
            given, rest = split(words, LETTERS, LONGS, anywhere=anywhere)
        except usage.UsageError as e:
            if expected is not None:
                self.assertIn("is an option (a value like that is written ", str(e))
        else:
            self.assertEqual(([(name, value) for name, value, _ in given], rest), expected)

    def test_abbreviated(self):
        """
        A name that is not all there is no option, even if it could mean one only.
        """
        for word, expected in (
            ("--lmt", "--lmt: no such option; did you mean --lmtp?"),
            ("--message_count=5", "--message_count: no such option; did you mean --message-count?"),
            ("--auth-p", "--auth-p: no such option; did you mean --auth-password-file?"),
            ("--auth", "--auth: no such option; did you mean --auth-password-file or --auth-user?"),
            ("--mesage-count", "--mesage-count: no such option; did you mean --message-count?"),
            ("--mesages", "--mesages: no such option; did you mean --message-count?"),
            ("--conut", "--conut: no such option; did you mean --message-count?"),
            ("--xyz", "--xyz: no such option"),
            ("-x5", "-x: no such option"),
            ("-dx", "-x: no such option"),
        ):
            self.assertEqual(self.refused(word, "a"), expected)

    def test_called(self):
        """
        An option that has a letter is proposed with it, as errors call it.
        """
        for parse, word, meant in (
            (parsed, "--sesions", "-s (--session-count)"),
            (parsed, "--sessions", "-s (--session-count)"),
            (parsed, "--tmeout=5", "--timeout"),
            (parsed, "--hlep", "--help"),
            (sinkParsed, "--sesions", "-m (--max-sessions)"),
            (parsed, "-D", "-d (--dont-disconnect)"),
            (parsed, "-n", "-N (--number-recipients)"),
        ):
            expected = f"{word.partition('=')[0]}: no such option; did you mean {meant}?"
            self.assertEqual(str(self.assertRaises(usage.UsageError, parse, word)), expected)

    def test_optional(self):
        """
        A plain word may come after an option that takes none or one; a name, an address or an option is none.
        """
        for words, value, rest in (
            (["--lmtp", "tls"], "tls", []),
            (["--lmtp=tls", "a"], "tls", ["a"]),
            (["--lmtp", "127.0.0.1"], "", ["127.0.0.1"]),
            (["--lmtp", "sink:"], "", ["sink:"]),
            (["--lmtp", "--", "tls"], "", ["tls"]),
            (["--lmtp"], "", []),
        ):
            given, others = split(words, LETTERS, LONGS, optional=["--lmtp"])
            self.assertEqual(([(one.name, one.value) for one in given], others), ([("--lmtp", value)], rest))

    def test_pairs(self):
        """
        A value of two words, which become one text; where there is a blank in the first, it has both.
        """
        for words, value, rest in (
            (["--subject", "10m", "a b", "c"], "10m a b", ["c"]),
            (["--subject=10m", "a b", "c"], "10m a b", ["c"]),
            (["--subject", "10m a b", "c"], "10m a b", ["c"]),
            (["--subject=10m a b", "c"], "10m a b", ["c"]),
            (["--subject", "10m", "-", "c"], "10m -", ["c"]),
        ):
            given, others = split(words, LETTERS, LONGS, pairs=["--subject"])
            self.assertEqual(([(one.name, one.value) for one in given], others), ([("--subject", value)], rest))
        for words in (["--subject"], ["--subject", "10m"], ["--subject=10m"], ["--subject", "10m", "--lmtp"]):
            error = self.assertRaises(usage.UsageError, split, words, LETTERS, LONGS, pairs=["--subject"])
            self.assertIn("--subject: its value is missing", str(error))

    def test_secrets(self):
        """
        What may be the value of an option that there is not is not repeated, however it was joined to it.
        """
        for words in (
            ["--auth-password", SECRET],
            [f"--auth-password={SECRET}"],
            [f"--auth-password:{SECRET}"],
            [f"--auth-password{SECRET}"],
            [f"--auth-passwd{SECRET}"],
            ["--auth-passwrd", SECRET],
            [f"--auth-passwrd={SECRET}"],
            [f"--token{SECRET}"],
            [f"--auth-user{SECRET}"],
            [f"--auth-user-{SECRET}"],
            [f"--auth-user={SECRET}", f"--auth-password-file-{SECRET}"],
            [f"-p{SECRET}"],
            ["-p", SECRET],
            [f"--lmtp={SECRET}"],
        ):
            self.assertNotIn(SECRET, self.refused(*words))
        expected = "no such option; did you mean --auth-password-file?"
        self.assertEqual(self.refused(f"--auth-password={SECRET}"), f"--auth-password: {expected}")
        self.assertEqual(self.refused(f"--auth-password{SECRET}"), f"--auth-password...: {expected}")
        self.assertEqual(self.refused("--auth-users"), "--auth-users: no such option; did you mean --auth-user?")

    def test_missing(self):
        """
        An option is not the value of the one before it, unless it is written as that.
        """
        for words, expected in (
            (["-m"], "-m: its value is missing"),
            (["--subject"], "--subject: its value is missing"),
            (["-m", "-d", "a"], "-m: its value is missing: -d is an option (a value like that is written -m-d)"),
            (
                ["--subject", "--lmtp"],
                "--subject: its value is missing: --lmtp is an option (a value like that is written --subject=--lmtp)",
            ),
            (
                ["-m", f"--auth-user={SECRET}"],
                "-m: its value is missing: --auth-user is an option (a value like that is written -m--auth-user)",
            ),
            (["-m", "-dA", "a"], "-m: its value is missing: -d is an option (a value like that is written -m-d)"),
            (["--lmtp=yes"], "--lmtp: expected no value after it"),
        ):
            self.assertEqual(self.refused(*words), expected)
        for words in (["-m", "-5"], ["-m", "-x"], ["-m", "-really"], ["-m-d"], ["--subject=--lmtp"], ["-m", ""]):
            self.assertEqual(len(split(words, LETTERS, LONGS)[0]), 1, words)


class SecretTests(TestCase):
    """
    Each of our command lines.
    """

    timeout = 120

    def test_everyOption(self):
        """
        No option of the source and the sink can be abbreviated, and where a secret may be given, such as a password in
        place of the name of its file, it is not repeated.
        """
        for kind, parse, goal in ((SourceOptions, parsed, "127.0.0.1"), (SinkOptions, sinkParsed, ":1")):
            longs = [option.long for _, group in kind.groups for option in group]
            for long in longs:
                short = long[:-1]
                if short not in longs:
                    error = str(self.assertRaises(usage.UsageError, parse, f"--{short}=1", goal))
                    self.assertTrue(error.startswith(f"--{short}: no such option; did you mean "), error)
            secret = [o.long for _, group in kind.groups for o in group if isinstance(o, ValueOption) and o.secret]
            self.assertLessEqual({"auth-users", "tls-key"}, {*secret})
            for long in secret:
                for value in (
                    SECRET,
                    f"me:{SECRET}",
                    f"{SECRET}\n",
                    f"a\0{SECRET}",
                    f"-----BEGIN\n{SECRET}",
                    SECRET * 99,
                ):
                    if long == "auth-user" and value.isprintable():
                        continue
                    for words in ([f"--{long}={value}", goal], [f"--{long}", value, goal], [f"--{long}", value]):
                        error = str(self.assertRaises(usage.UsageError, parse, *words))
                        self.assertNotIn(SECRET, error)

    def test_words(self):
        """
        Nor are words that are too many.
        """
        for words in (["127.0.0.1", SECRET], ["127.0.0.1", f"--auth-password={SECRET}"], ["127.0.0.1", f"-p{SECRET}"]):
            self.assertNotIn(SECRET, str(self.assertRaises(usage.UsageError, parsed, *words)))

    def test_tools(self):
        """
        The commands beside the load want whole names, too.
        """
        for tool in ("compare", "merge", "calibrate"):
            err = io.StringIO()
            self.patch(sys, "stderr", err)
            stopped = self.assertRaises(SystemExit, main, [tool, "a", f"--repor={SECRET}", "b"])
            self.assertEqual(stopped.code, 2)
            self.assertTrue(err.getvalue().startswith(f"smtpsource {tool}: --repor: no such option"), err.getvalue())
            self.assertNotIn(SECRET, err.getvalue())

    @defer.inlineCallbacks
    def test_processes(self):
        """
        So it is with the command, and under twistd; with a scenario, and with a password in the environment, which
        is in no error, report or log.
        """
        directory = os.path.abspath(self.mktemp())
        os.makedirs(directory)
        scenario = os.path.join(directory, "load.toml")
        with open(scenario, "w") as file:
            file.write(f"[login]\nauth = 'PLAIN'\nauth-user = 'me'\nauth-password-file = '{SECRET}'\n")
        environment = {"SMTPSOURCE_PASSWORD": SECRET}
        commands = [
            smtpsource(self, f"--auth-password={SECRET}", "127.0.0.1:1"),
            smtpsource(self, "--scenario", scenario, "127.0.0.1:1", env=environment),
            smtpsource(self, "--auth=PLAIN", "--auth-user=me", "--report", "-", "127.0.0.1:1", env=environment),
            twistd(self, "-n", "smtp-source", f"--auth-password={SECRET}", "127.0.0.1:1"),
        ]
        results = yield defer.gatherResults([command.whenEnded() for command in commands])
        statuses = [result.status for result in results]
        self.assertEqual(statuses[:3], [2, 2, 1])
        self.assertIn(statuses[3], (0, 1))  # twistd's own: 0 up to Twisted 22.10
        for result, expected in zip(
            results,
            (
                b"--auth-password: no such option; did you mean --auth-password-file?",
                b"load.toml: login.auth-password-file: what was given is not usable: expected a readable file: No such",
                b"refused",
                b"--auth-password: no such option; did you mean --auth-password-file?",
            ),
            strict=True,
        ):
            self.assertIn(expected, result.out + result.err)
            self.assertNotIn(SECRET.encode(), result.out + result.err)
