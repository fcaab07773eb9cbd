"""
Tests for L{smtpsource.options} and L{smtpsource.commandline}: what a command line means, and what is wrong with it.
"""

from __future__ import annotations

import contextlib
import io
import os
import socket
from unittest import mock

from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from smtpsource import options as module
from smtpsource._version import __version__
from smtpsource.commandline import Flag, Parameter
from smtpsource.net.destination import HostDestination, SinkDestination, UNIXDestination
from smtpsource.options import SourceOptions
from smtpsource.plan import SourcePlan
from smtpsource.report.presentation import Presentation
from smtpsource.tap import Options

GOAL = HostDestination("127.0.0.1", 25)


class Twistd(usage.Options):
    """
    What matters here of the options of twistd.
    """

    optFlags = [["nodaemon", "n", ""]]


def parsed(*arguments, parent=None):
    """
    @return: options that have parsed these arguments.
    """
    options = SourceOptions()
    options.parent = parent
    options.parseOptions(list(arguments))
    return options


class PlanTests(SynchronousTestCase):
    """
    What options mean.
    """

    def check(self, line, **expected):
        """
        A command line, all but its destination, makes exactly this plan; so does its long form.
        """
        arguments = [*line.split(), "127.0.0.1"]
        plan = SourcePlan(**{"destination": GOAL, "command": ("smtp-source", *arguments), **expected})
        self.assertEqual(parsed(*arguments).plan, plan)

    def test_defaults(self):
        """
        A destination alone sends one message over one session, and everything else is as the manual page says.
        """
        options = parsed("127.0.0.1")
        self.check("")
        expected = {
            "message-count": 1,
            "session-count": 1,
            "dont-disconnect": 0,
            "fixed-interval": None,
            "random-interval": None,
            "sender": None,
            "recipient": None,
            "recipient-count": None,
            "number-recipients": 0,
            "recipient-numbering": "prefix",
            "subject": None,
            "length": None,
            "message-file": None,
            "myhostname": socket.gethostname(),
            "lmtp": 0,
            "old-mode": 0,
            "dont-abort": 0,
            "timeout": 300.0,
            "family": socket.AF_UNSPEC,
            "connect-count": 1,
            "connect-parallelism": 100,
            "connect-timeout": 30.0,
            "window-size": None,
            "counter": 0,
            "quiet": 0,
            "report": None,
            "esmtp": 0,
            "pipelining": "off",
            "reactor": None,
            "grace": 5.0,
            "verbose": 0,
            "destination": "127.0.0.1",
        }
        self.assertEqual(dict(options), expected)
        self.assertEqual(options.presentation, Presentation("smtp-source"))
        self.assertEqual((options.plan.timeout, options.plan.grace, options.plan.connectTimeout), (300.0, 5.0, 30.0))

    def test_each(self):
        """
        Each option, by its letter and by its name, sets what it should and nothing else.
        """
        for letter, long, expected in (
            ("-A", "--dont-abort", {"tolerant": True}),
            ("-C 5", "--connect-count 5", {"connectAttempts": 5}),
            ("-d", "--dont-disconnect", {"keepConnections": True}),
            ("-f me@x", "--sender=me@x", {"sender": b"me@x"}),
            ("-l 10k", "--length=10k", {"length": 10240}),
            ("-L", "--lmtp", {"lmtp": True}),
            ("-m 2k", "--message-count=2k", {"messageCount": 2000}),
            ("-M some.name", "--myhostname=some.name", {"myhostname": "some.name"}),
            ("-N", "--number-recipients", {"numberRecipients": True}),
            ("-o", "--old-mode", {"oldMode": True}),
            ("-r 7", "--recipient-count=7", {"recipientCount": 7}),
            ("-R 0.5", "--random-interval=0.5", {"randomInterval": 0.5}),
            ("-s 20", "--session-count=20", {"sessionCount": 20}),
            ("-S hi", "--subject=hi", {"subject": b"hi"}),
            ("-t you@x", "--recipient=you@x", {"recipient": b"you@x"}),
            ("-T 4096", "--window-size=4096", {"windowSize": 4096}),
            ("-v", "--verbose", {"trace": 1}),
            ("-v -v", "--verbose --verbose", {"trace": 2}),
            ("-w 1.5", "--fixed-interval=1.5", {"fixedInterval": 1.5}),
            (None, "--recipient-numbering=suffix", {"recipientNumbering": "suffix"}),
            (None, "--timeout=0.25", {"timeout": 0.25}),
            (None, "--connect-timeout=3", {"connectTimeout": 3.0}),
            (None, "--connect-parallelism=1k", {"connectParallelism": 1000}),
            (None, "--grace=0", {"grace": 0.0}),
        ):
            for line in (letter, long):
                if line is not None:
                    self.check(line, **expected)

    def test_together(self):
        """
        Letters may be run together, with values attached, as scripts have them.
        """
        self.check(
            "-Adc -s20 -m10000 -l512",
            tolerant=True,
            keepConnections=True,
            sessionCount=20,
            messageCount=10000,
            length=512,
        )

    def test_families(self):
        """
        The last of -4 and -6 wins.
        """
        for line, family in (("-4", socket.AF_INET), ("-6", socket.AF_INET6), ("-4 -6", socket.AF_INET6)):
            plan = parsed(*line.split(), "localhost").plan
            self.assertEqual((plan.family, plan.destination), (family, HostDestination("localhost", 25, family)))
        plan = parsed("--ipv6", "--ipv4", "localhost").plan
        self.assertEqual(plan.destination.family, socket.AF_INET)

    def test_destinations(self):
        """
        Each kind of destination.
        """
        for text, expected in (
            ("localhost:2525", HostDestination("localhost", 2525)),
            ("inet:[::1]:24", HostDestination("::1", 24)),
            ("unix:/a/b", UNIXDestination("/a/b")),
            ("sink:", SinkDestination()),
        ):
            self.assertEqual(parsed(text).plan.destination, expected)

    def test_messageFile(self):
        """
        -F reads the file now; a daemon that changes its directory later has it.
        """
        path = self.mktemp()
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(b"Subject: \xff\n\nhi\n")
        self.assertEqual(parsed("-F", path, "127.0.0.1").plan.message, b"Subject: \xff\n\nhi\n")

    def test_relativePaths(self):
        """
        Relative paths are those of the directory in which the command was given.
        """
        self.assertEqual(parsed("--report", "x.json", "127.0.0.1").presentation.report, os.path.abspath("x.json"))
        self.assertEqual(parsed("unix:sock").plan.destination.path, os.path.abspath("sock"))

    def test_presentation(self):
        """
        What is shown, and where.
        """
        for line, expected in (
            ("-c", {"counter": True}),
            ("--counter", {"counter": True}),
            ("--quiet", {"quiet": True}),
            ("--report -", {"report": "-"}),
        ):
            self.assertEqual(parsed(*line.split(), "127.0.0.1").presentation, Presentation("smtp-source", **expected))

    def test_daemon(self):
        """
        Under twistd without -n all goes to the log, and there is no standard output to report to.
        """
        daemon, foreground = Twistd(), Twistd()
        daemon.parseOptions([])
        foreground.parseOptions(["-n"])
        self.assertTrue(parsed("127.0.0.1", parent=daemon).presentation.daemonized)
        self.assertFalse(parsed("127.0.0.1", parent=foreground).presentation.daemonized)
        self.assertEqual(parsed("--report", "-", "127.0.0.1", parent=foreground).presentation.report, "-")
        e = self.assertRaises(usage.UsageError, parsed, "--report", "-", "127.0.0.1", parent=daemon)
        self.assertEqual(str(e), "--report: '-' is not usable by a daemon, it has no standard output: expected a file")

    def test_bytes(self):
        """
        Addresses and subjects that are not ASCII go out as they were typed.
        """
        self.assertEqual(parsed("-S", "gr\u00fc\u00df", "127.0.0.1").plan.subject, "gr\u00fc\u00df".encode())
        self.assertEqual(parsed("-f", "a\udcff", "127.0.0.1").plan.sender, b"a\xff")
        self.assertEqual(parsed("-f", "", "127.0.0.1").plan.sender, b"")

    def test_tap(self):
        """
        twistd uses the same options.
        """
        self.assertIs(Options, SourceOptions)


class ErrorTests(SynchronousTestCase):
    """
    Command lines that can't be used: one line says what, and what would be right.
    """

    def check(self, arguments, *words):
        """
        This can't be used, and the error begins with the first and contains each other of these words.
        """
        error = str(self.assertRaises(usage.UsageError, parsed, *arguments))
        self.assertNotIn("\n", error)
        self.assertTrue(error.startswith(words[0]), error)
        for word in words[1:]:
            self.assertIn(word, error)

    def test_values(self):
        """
        Every value that can be wrong names its option, itself and what was expected.
        """
        for letter, long, values, expected in (
            ("m", "message-count", ("0", "-1", "", "x", "1.5", "1g", "99999m"), "expected"),
            ("s", "session-count", ("0", "-3", "many"), "a whole number of at least 1"),
            ("r", "recipient-count", ("0", "two"), "a whole number of at least 1"),
            ("C", "connect-count", ("0", "-1"), "a whole number of at least 1"),
            (None, "connect-parallelism", ("0", "x"), "a whole number of at least 1"),
            ("l", "length", ("0", "-1", "1kb"), "a size in bytes of at least 1"),
            ("T", "window-size", ("0", "big"), "a size in bytes of at least 1"),
            ("w", "fixed-interval", ("0", "-1", "nan", "inf", "1s", ""), "a time in seconds"),
            ("R", "random-interval", ("0", "-0.5", "x"), "a time in seconds"),
            (None, "timeout", ("0", "never"), "a time in seconds"),
            (None, "connect-timeout", ("0", "-1"), "a time in seconds"),
            (None, "grace", ("-1", "x"), "a time in seconds"),
            ("M", "myhostname", ("", "a b", "a..b", "-x", "1.2.3.4", "[1.2.3]", "x" * 64), "expected a"),
            ("F", "message-file", ("/no/such/file", "/"), "expected a readable file"),
            (None, "recipient-numbering", ("middle", ""), "expected prefix or suffix"),
            (None, "report", ("/no/such/directory/x", "/", ""), "expected"),
            ("f", "sender", ("a\nb", "a\rb"), "expected a text without line ends"),
            ("t", "recipient", ("a\r\nDATA",), "expected a text without line ends"),
            ("S", "subject", ("a\nBcc: b",), "expected a text without line ends"),
        ):
            for value in values:
                shown = (
                    f"-{letter} (--{long}): {value!r} is not usable: "
                    if letter
                    else f"--{long}: {value!r} is not usable: "
                )
                self.check([f"--{long}={value}", "127.0.0.1"], shown, expected)
                if letter:
                    self.check([f"-{letter}", value, "127.0.0.1"], shown, expected)

    def test_emptyFile(self):
        """
        An empty file is no message.
        """
        path = self.mktemp()
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w").close()
        self.check(["-F", path, "127.0.0.1"], "-F (--message-file): ", "this file is empty")

    def test_contradictions(self):
        """
        Options that exclude each other, in any order.
        """
        for one, other, expected in (
            (["-l", "10k"], ["-F", "x"], "-l (--length) '10k' and -F (--message-file) 'x'"),
            (["--length=5"], ["--message-file="], "-l (--length) '5' and -F (--message-file) ''"),
            (["-w", "1.0"], ["-R", "x"], "-w (--fixed-interval) '1.0' and -R (--random-interval) 'x'"),
        ):
            for line in ([*one, *other], [*other, *one]):
                self.check([*line, "127.0.0.1"], f"{expected} exclude each other: give one of them")

    def test_destination(self):
        """
        Exactly one destination, at the end, of a known kind.
        """
        self.check([], "no destination", "expected [inet:]host[:port], unix:path or sink:")
        self.check(["a", "b"], "'b': only one destination can be used")
        self.check(["a", "-d"], "-d: options go before the destination")
        self.check(["a:x"], "destination 'a:x' is not usable: ", "expected a port from 1 to 65535")
        self.check(["::1"], "destination '::1' is not usable: ", "in brackets")
        self.check(["-4", "[::1]"], "destination '[::1]' is not usable: ", "expected an IPv4 address")
        self.check(["-6", "127.0.0.1"], "destination '127.0.0.1' is not usable: ", "expected an IPv6 address")
        self.check([""], "destination '' is not usable: ")

    def test_unknown(self):
        """
        Options that don't exist, and values that are missing.
        """
        self.check(["--no-such", "a"], "option --no-such not")
        self.check(["-Z", "a"], "option -Z not")
        self.check(["-m"], "option -m requires argument")
        self.check(["--lmtp=yes", "a"], "option --lmtp must not have an argument")

    def test_machineName(self):
        """
        A machine whose own name can't be said needs -M.
        """
        with mock.patch("socket.gethostname", return_value="bad name"):
            self.check(["127.0.0.1"], "this machine's name 'bad name' is not usable", "use -M NAME")
            self.assertEqual(parsed("-M", "x", "127.0.0.1").plan.myhostname, "x")

    def test_files(self):
        """
        More sessions than there can be connections are refused before any is made; more than there are messages are
        not counted.
        """
        self.patch(module, "raiseFileLimit", lambda: 10)
        self.check(["-s", "11", "-m", "11", "127.0.0.1"], "-s (--session-count): 11 sessions", "expected at most 10")
        self.assertEqual(parsed("-s", "10", "-m", "20", "127.0.0.1").plan.sessionCount, 10)
        self.assertEqual(parsed("-s", "11", "-m", "10", "127.0.0.1").plan.sessionCount, 11)

    def test_planItself(self):
        """
        A harness that makes a plan directly is told of its mistakes in the same way.
        """
        for values in (
            {"messageCount": 0},
            {"sessionCount": -1},
            {"connectAttempts": 0},
            {"connectParallelism": 0},
            {"recipientCount": 0},
            {"length": 0},
            {"windowSize": 0},
            {"timeout": 0},
            {"connectTimeout": 0.0},
            {"timeout": float("nan")},
            {"grace": -1},
            {"grace": float("nan")},
            {"recipientNumbering": "both"},
            {"length": 1, "message": b"x"},
            {"message": b""},
            {"fixedInterval": 1.0, "randomInterval": 1.0},
            {"destination": "a:b:c"},
        ):
            e = self.assertRaises(ValueError, SourcePlan, **values)
            if "destination" not in values:
                self.assertIn(next(iter(values)), str(e))


class HelpTests(SynchronousTestCase):
    """
    What --help and --version show.
    """

    def test_everyOption(self):
        """
        Every option is there once, with its letter, its value's name and its default.
        """
        text = SourceOptions().getUsage()
        headings = [line for line in text.splitlines() if line.endswith(":") and line.count(" ") == 0]
        self.assertEqual(
            headings, ["Load:", "Message:", "Dialogue:", "Extensions:", "Connections:", "Results:", "Other:"]
        )
        for _, group in SourceOptions.groups:
            for option in group:
                left = f"  -{option.short}, --{option.long}" if option.short else f"      --{option.long}"
                if isinstance(option, Parameter):
                    left += f" {option.meta}"
                lines = [line for line in text.splitlines() if line == left or line.startswith(left + " ")]
                self.assertEqual(len(lines), 1, left)
                if isinstance(option, Parameter) and option.default is not None:
                    self.assertIn(f"(default: {option.default})", " ".join(text.split()))
        self.assertIn("--version", text)
        self.assertTrue(all(len(line) <= 106 for line in text.splitlines()))

    def test_manualPage(self):
        """
        Every letter of smtp-source(1) is there, and no other.
        """
        letters = {option.short for _, group in SourceOptions.groups for option in group if option.short}
        self.assertEqual(letters, set("46AcCdfFlLmMNorRsStTvw"))

    def test_methods(self):
        """
        A flag that says it has a method of its own has one.
        """
        for _, group in SourceOptions.groups:
            for option in group:
                if isinstance(option, Flag) and option.method:
                    self.assertTrue(hasattr(SourceOptions, f"opt_{option.long}"))
                    self.assertTrue(hasattr(SourceOptions, f"opt_{option.short}"))

    def test_options(self):
        """
        --help and --version say what they should and exit with 0.
        """
        for argument, start in (
            ("--version", f"smtp-source {__version__}\n"),
            ("--help", "Usage: smtpsource [options]"),
        ):
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                e = self.assertRaises(SystemExit, parsed, argument)
            self.assertFalse(e.code)
            self.assertTrue(out.getvalue().startswith(start), out.getvalue())
