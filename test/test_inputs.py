"""
Tests for L{smtpsource.values.inputs}: files that a user gives, and what is none.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

from hypothesis import strategies as st
from patience import PATIENCE
from properties import given
from subprocesses import ROOT
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.cli.source import SourceOptions
from smtpsource.credentials import readPassword
from smtpsource.messages.addresses import readRecipients
from smtpsource.sink.options import SinkOptions
from smtpsource.values import inputs


class FileCase(SynchronousTestCase):
    """
    Tests with files.
    """

    def setUp(self):
        self.directory = Path(self.mktemp()).resolve()
        self.directory.mkdir()
        self.path = str(self.directory / "file")

    def large(self):
        """
        @return: the path of a file of a terabyte, which takes no room.
        """
        with open(self.path, "wb") as file:
            file.truncate(2**40)
        return self.path

    def fifo(self, *pieces):
        """
        @return: the path of a pipe that somebody writes this to; without anything, nobody does.
        """
        os.mkfifo(self.path)
        if pieces:
            writer = threading.Thread(target=self.feed, args=pieces, daemon=True)
            writer.start()
            self.addCleanup(writer.join)
        return self.path

    def feed(self, *pieces):
        try:
            with open(self.path, "wb", buffering=0) as file:
                for piece in pieces:
                    file.write(piece)
        except BrokenPipeError:
            pass


class ReadTests(FileCase):
    """
    L{inputs.read}.
    """

    def problem(self, path, most=1000, **settings):
        """
        @return: why it can't be read.
        """
        return str(self.assertRaises(ValueError, inputs.read, path, most, **settings))

    @given(st.binary(max_size=2000), st.integers(0, 2000))
    def test_most(self, content, most):
        """
        All of a file, or nothing.
        """
        Path(self.path).write_bytes(content)
        if len(content) <= most:
            self.assertEqual(inputs.read(self.path, most), content)
        else:
            self.assertIn("and there is more", self.problem(self.path, most))

    def test_pieces(self):
        """
        What comes in many pieces is one.
        """
        content = os.urandom(3 * 2**20)
        Path(self.path).write_bytes(content)
        self.assertEqual(inputs.read(self.path, 2**30), content)

    def test_large(self):
        """
        Nothing is read of a file that is too large.
        """
        path = self.large()
        before = time.process_time()
        self.assertEqual(self.problem(path, 2**20), "expected at most 1 MiB, and there is more")
        self.assertLess(time.process_time() - before, 0.1)

    def test_device(self):
        """
        A device may have some lines, such as a terminal, but not go on for ever.
        """
        self.assertEqual(inputs.read("/dev/null", 10), b"")
        self.assertEqual(self.problem("/dev/zero", 2**40), "expected at most 1 MiB from a device, and there is more")
        self.assertEqual(self.problem("/dev/zero", 2**16), "expected at most 64 KiB from a device, and there is more")

    def test_pipe(self):
        """
        A pipe is read to its end, however it comes; and of one that does not end, no more than there may be.
        """
        self.assertEqual(inputs.read(self.fifo(b"a", b"b" * 10**6), 2**20), b"a" + b"b" * 10**6)
        os.unlink(self.path)
        self.assertEqual(
            self.problem(self.fifo(*[b"y\n" * 2**15] * 20), 2**20),
            "expected at most 1 MiB through a pipe, and there is more",
        )

    def test_silentPipe(self):
        """
        One that nobody writes to is not waited for without end.
        """
        self.patch(inputs, "PATIENCE", 0.05)
        self.assertEqual(self.problem(self.fifo()), "expected a file that ends: nothing came for 0.05 seconds")

    def test_again(self):
        """
        What is read again is no pipe.
        """
        for path in (self.fifo(), "/dev/null"):
            problem = self.problem(path, again=True)
            self.assertEqual(problem, "expected a file, and no pipe or device: it is read more than once")

    def test_unreadable(self):
        """
        What can't be read is told as ever.
        """
        self.assertRaises(FileNotFoundError, inputs.read, self.path, 10)
        self.assertRaises(IsADirectoryError, inputs.read, str(self.directory), 10)

    def test_nothingStaysOpen(self):
        """
        No descriptor is left.
        """
        before = os.listdir("/proc/self/fd")
        for path in (self.large(), "/dev/zero", "/dev/null", str(self.directory)):
            try:
                inputs.read(path, 10)
            except (OSError, ValueError):
                pass
        self.assertEqual(os.listdir("/proc/self/fd"), before)


class OptionTests(FileCase):
    """
    Every option that names a file to read.
    """

    #: What has to be given along with some.
    ALONG = {
        "auth-password-file": ["--auth", "PLAIN", "--auth-user", "me"],
        "auth-users": ["--auth", "PLAIN"],
        "control-token-file": ["--control", "0"],
        "world": ["--dns", "0"],
        "tls-ca": ["--tls", "starttls", "--tls-verify", "--tls-server-name", "a.test"],
        "tls-cert": ["--tls", "starttls"],
        "tls-key": ["--tls", "starttls", "--tls-cert", "certificate"],
        "tls-key-password-file": [
            *("--tls", "starttls", "--tls-cert", "certificate", "--tls-key", "certificate"),
        ],
    }

    #: These are written, or are no files.
    OTHERS = {"report", "csv", "hlog", "html", "junit", "log-messages", "mbox"}

    def problems(self, path):
        """
        @return: what the options say of this file.
        """
        (self.directory / "certificate").write_text("x")
        found = {}
        for options, last in ((SourceOptions, "sink:"), (SinkOptions, "127.0.0.1:0")):
            for _, group in options.groups:
                for option in group:
                    if getattr(option, "meta", None) not in ("FILE", "PATH", "DIST") or option.long in self.OTHERS:
                        continue
                    value = f"empirical:{path}" if option.meta == "DIST" else path
                    along = [
                        str(self.directory / one) if one == "certificate" else one
                        for one in self.ALONG.get(option.long, [])
                        if options is SourceOptions or option.long.startswith(("tls-key", "control", "world"))
                    ]
                    if options is SinkOptions:
                        along = [one for one in along if one not in ("--tls", "starttls")]
                    command = [*along, f"--{option.long}", value, last]
                    error = self.assertRaises(usage.UsageError, options().parseOptions, command)
                    found[options.name, option.long] = str(error)
        return found

    def check(self, path):
        """
        Each has one line with its name, the file's and what would be right.
        """
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        found = self.problems(path)
        self.assertLess(tracemalloc.get_traced_memory()[1], 32 * 2**20)
        self.assertGreater(len(found), 12)
        for (tool, option), text in found.items():
            self.assertNotIn("\n", text)
            self.assertIn(path, text, (tool, option))
            self.assertIn("expected", text, (tool, option))
            self.assertIn("--tls" if option.startswith("tls") else f"--{option}", text)
        return found

    def test_endless(self):
        """
        A device that never ends.
        """
        self.check("/dev/zero")

    def test_large(self):
        """
        A file of a terabyte.
        """
        self.check(self.large())

    def test_pipe(self):
        """
        A password and addresses may come through a pipe, such as that of C{<(pass mail)}.
        """
        self.assertEqual(readPassword(self.fifo(b"secret\n")), "secret")
        os.unlink(self.path)
        self.assertEqual(readRecipients(self.fifo(b"a@b.test\n")).values, (b"a@b.test",))
        self.assertTrue(stat.S_ISFIFO(os.stat(self.path).st_mode))


class ScenarioTests(FileCase):
    """
    C{--scenario}.
    """

    def problem(self, text):
        """
        @return: what is wrong with it; it must not take much to find out.
        """
        Path(self.path).write_text(text)
        tracemalloc.start()
        try:
            error = self.assertRaises(usage.UsageError, SourceOptions().parseOptions, ["--scenario", self.path])
            self.assertLess(tracemalloc.get_traced_memory()[1], 64 * 2**20)
        finally:
            tracemalloc.stop()
        self.assertNotIn("\n", str(error))
        self.assertLess(len(str(error)), 4200)
        return str(error)

    def test_dots(self):
        """
        Keys of a hundred thousand parts, wherever they stand.
        """
        parts = ".".join(["a"] * 100_000)
        for text in (
            f"{parts} = 1",
            f"[{parts}]",
            f"[[{parts}]]",
            f"x = {{{parts} = 1}}",
            f"x = [{{b = 1, {parts} = 1}}]",
            " . ".join(['"a.\\""', "'b'"] * 5000) + " = 1",
            f'x = "\n{parts} = 1\n"',
            f'subject = "unended\\"\n{parts} = 1',
        ):
            self.assertIn("expected keys with fewer dots", self.problem(text), text[:50])

    def test_manyKeys(self):
        """
        A hundred thousand keys of the usual kind are no problem to find wrong.
        """
        for text in ("".join(f"k{number} = 1\n" for number in range(20_000)), "x = " + "[" * 100_000, "'" * 900_000):
            self.problem(text)

    def test_dotsInTexts(self):
        """
        Dots in texts and comments are nobody's business.
        """
        dots = ". . . " * 50
        for text in (
            f'subject = "{dots}\\"{dots}"',
            f"subject = '{dots}'",
            f'subject = """{dots}"" \\""" {dots}"""',
            f"subject = '''{dots}'' {dots}'''",
            f"# {dots} \" '''\nsubject = 'x' # {dots}",
        ):
            Path(self.path).write_text(f"destination = 'sink:'\n{text}\n")
            SourceOptions().parseOptions(["--scenario", self.path])


class StandardInputTests(FileCase):
    """
    C{-F -} and C{--scenario -}.
    """

    def give(self, content):
        """
        Let this be standard input.
        """
        Path(self.path).write_bytes(content)
        before = os.dup(0)
        self.addCleanup(os.close, before)
        self.addCleanup(os.dup2, before, 0)
        with open(self.path, "rb") as file:
            os.dup2(file.fileno(), 0)

    def parsed(self, *arguments):
        options = SourceOptions()
        options.parseOptions(arguments)
        return options

    def refused(self, *arguments):
        return str(self.assertRaises(usage.UsageError, self.parsed, *arguments))

    def test_message(self):
        """
        It is the message.
        """
        self.give(b"Subject: x\n\n\xfftext\n")
        self.assertEqual(self.parsed("-F", "-", "sink:").plan.message, b"Subject: x\n\n\xfftext\n")

    def test_fromScenario(self):
        """
        So it is where a scenario says so, though all of that is looked at again when the command line excludes a part.
        """
        scenario = self.directory / "s.toml"
        scenario.write_text("message-file = '-'\nrate = 5\nduration = '5s'\n")
        self.give(b"Subject: x\n\n")
        options = self.parsed("--scenario", str(scenario), "--stages", "0:1,5:1", "sink:")
        self.assertEqual(options.plan.message, b"Subject: x\n\n")

    def test_scenario(self):
        """
        It is the scenario, and errors call it by its name.
        """
        self.give(b"\xef\xbb\xbfdestination = 'unix:socket'\nsession-count = 5\n")
        plan = self.parsed("--scenario", "-").plan
        self.assertEqual((plan.sessionCount, plan.destination.path), (5, os.path.abspath("socket")))
        self.give(b"session-count = 0\n")
        self.assertTrue(
            self.refused("--scenario", "-", "sink:").startswith("standard input: session-count: 0 is not usa")
        )
        self.give(b"session-count = \n")
        self.assertTrue(self.refused("--scenario", "-", "sink:").startswith("standard input: line 1, column "))

    def test_both(self):
        """
        It can't be both, wherever that is said.
        """
        expected = "--scenario and -F (--message-file) exclude each other: standard input is read once only"
        self.assertEqual(self.refused("--scenario", "-", "-F", "-", "sink:"), expected)
        self.give(b"message-file = '-'\n")
        self.assertEqual(self.refused("--scenario", "-", "sink:"), f"{expected} (message-file is in standard input)")

    def test_nothing(self):
        """
        Nothing is no message, and no scenario either.
        """
        for arguments in (["-F", "-", "sink:"], ["--scenario", "-", "sink:"]):
            self.give(b"")
            self.assertIn(
                "'-' is not usable: expected something on standard input, which is empty", self.refused(*arguments)
            )

    def test_output(self):
        """
        What is read from a file that the shell has opened is not written over.
        """
        self.give(b"Subject: x\n\n")
        self.assertIn("it belongs to -F (--message-file)", self.refused("-F", "-", "--report", self.path, "sink:"))

    def test_processes(self):
        """
        Through a pipe; and standard input that is closed.
        """
        for redirected, words, status, expected in (
            ("", ["-F", "-", "--quiet", "sink:"], 0, ""),
            (
                "<&-",
                ["-F", "-", "sink:"],
                2,
                "-F (--message-file): '-' is not usable: expected standard input that",
            ),
            (
                "<&-",
                ["--scenario", "-"],
                2,
                "--scenario: '-' is not usable: expected standard input that can be read",
            ),
        ):
            done = subprocess.run(
                ["sh", "-c", f'exec "$@" {redirected}', "sh", sys.executable, "-m", "smtpsource", *words],
                input="Subject: x\n\ntext\n",
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            self.assertEqual(done.returncode, status, done)
            self.assertEqual(done.stderr.count("\n"), int(bool(expected)), done)
            self.assertIn(expected, done.stderr)
