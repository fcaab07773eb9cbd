"""
Tests for L{smtpsource.report} and L{smtpsource.printable}.
"""

from __future__ import annotations

import io
import json
import os
import stat
import sys
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from test_summary import example
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.measure.summary import Messages
from smtpsource.printable import printable
from smtpsource.report import files
from smtpsource.report.counter import Counter
from smtpsource.report.presentation import Presentation
from smtpsource.report.text import duration, render


class Stream(io.StringIO):
    """
    A terminal, or none.
    """

    def __init__(self, terminal=False):
        super().__init__()
        self.terminal = terminal
        self.flushed = 0

    def isatty(self):
        return self.terminal

    def flush(self):
        self.flushed = len(self.getvalue())


class TextTests(SynchronousTestCase):
    """
    A result for people.
    """

    def test_all(self):
        """
        Every figure is there, each in its place.
        """
        self.assertEqual(
            render(example()),
            """\
messages     3 started, 1 accepted, 1 rejected, 1 failed
recipients   4 accepted, 5 rejected
connections  6 opened, 7 failed, 8 lost
bytes        3000000 sent, 900 received
elapsed      2.000 s
rate         0.5 messages/s, 1.5 MB/s sent
own CPU      0.25 s user, 0.50 s system, 250000.0 us for each message
reactor      twisted.internet.selectreactor.SelectReactor
announced    SIZE 100, PIPELINING
TLS          6 with TLSv1.3 TLS_AES_256_GCM_SHA384

latency           count       mean        p50        p90        p99      p99.9        max
mail                  1     500 us     500 us     500 us     500 us     500 us     500 us
message               2     1.00 s     500 ms     1.50 s     1.50 s     1.50 s     1.50 s
transaction           1     2.00 s     2.00 s     2.00 s     2.00 s     2.00 s     2.00 s

replies       code      count  the first one
mail           250          1  250 ok
message        250          1  250 queued
message        451          1  451-not | 451 now ?[0m

errors                  count  the first one
timeout                     1  no reply
""",
        )

    def test_nothing(self):
        """
        A run that came to nothing has no tables, and divides by nothing.
        """
        text = render(example(elapsed=0.0, messages=Messages(0, 0, 0, 0), latency={}, replies={}, errors={}))
        self.assertNotIn("\n\n", text)
        self.assertNotIn("for each message", text)
        self.assertIn(" 0.0 B/s sent\n", text)

    def test_ends(self):
        """
        How it ended stands beside the time it took.
        """
        for ended, words in (
            ("done", "elapsed      2.000 s\n"),
            ("aborted", "elapsed      2.000 s, ended before its time\n"),
            ("signal", "elapsed      2.000 s, stopped before its end\n"),
        ):
            self.assertIn(words, render(example(ended=ended)))

    def test_sink(self):
        """
        What a sink of our own has counted is there.
        """
        text = render(example(sink={"messages": 11, "recipients": 12}))
        self.assertIn("sink         counted 11 messages, 12 recipients itself\n", text)

    def test_bytes(self):
        """
        Amounts are in the unit that suits them.
        """
        for sent, words in ((2, "1.0 B/s"), (5_000, "2.5 kB/s"), (6e9, "3.0 GB/s"), (8e12, "4.0 TB/s")):
            self.assertIn(words, render(example(bytesSent=sent)))

    def test_durations(self):
        """
        So are times, with three digits, at the edges too.
        """
        for seconds, text in (
            (0, "0 us"),
            (0.000084, "84 us"),
            (0.0009994, "999 us"),
            (0.0009996, "1.00 ms"),
            (0.00125, "1.25 ms"),
            (0.009994, "9.99 ms"),
            (0.009996, "10.0 ms"),
            (0.09994, "99.9 ms"),
            (0.09996, "100 ms"),
            (0.9994, "999 ms"),
            (0.9996, "1.00 s"),
            (12.04, "12.0 s"),
            (3600, "3600 s"),
        ):
            self.assertEqual(duration(seconds), text)

    @given(st.floats(0, 3600))
    def test_anyDuration(self, seconds):
        """
        What is shown is what it was, to three digits, and no wider than its column.
        """
        text = duration(seconds)
        number, unit = text.split()
        self.assertApproximates(
            float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1}[unit], seconds, seconds * 0.0051 + 5.1e-7
        )
        self.assertLess(len(text), 11)


class PrintableTests(SynchronousTestCase):
    """
    A server's bytes on a user's terminal.
    """

    def test_cases(self):
        """
        Lines become one; what could move a cursor becomes a question mark.
        """
        for text, shown in (
            (b"250 ok\r\n", "250 ok"),
            (b"250-a\r\n250 b\r\n", "250-a | 250 b"),
            (b"250 a\nb\n", "250 a | b"),
            (b"\x1b[2J\x07\x00", "?[2J??"),
            ("gr\u00fc\u00df".encode(), "gr\u00fc\u00df"),
            (b"\xff", "\ufffd"),
            (b"", ""),
        ):
            self.assertEqual(printable(text), shown)

    @given(st.binary(max_size=50))
    def test_anything(self, text):
        """
        Whatever they are, they are one line that can be printed.
        """
        self.assertTrue(printable(text).isprintable())


class FileTests(SynchronousTestCase):
    """
    A report in a file.
    """

    def setUp(self):
        self.directory = self.mktemp()
        os.makedirs(self.directory)
        self.path = os.path.join(os.path.abspath(self.directory), "report.json")

    def test_whole(self):
        """
        It is JSON, ends with a line end, can be read by those that the umask lets, and nothing else is left.
        """
        self.addCleanup(os.umask, os.umask(0o027))
        files.writeJSON(self.path, {"a": "\u00fc", "b": [1]})
        with open(self.path, encoding="utf-8") as file:
            text = file.read()
        self.assertEqual((json.loads(text), text[-1]), ({"a": "\u00fc", "b": [1]}, "\n"))
        self.assertIn("\u00fc", text)
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o640)
        self.assertEqual(os.listdir(self.directory), ["report.json"])
        self.assertEqual(os.umask(0o027), 0o027)

    def test_notUTF8(self):
        """
        What was no UTF-8 on the command line stays legible.
        """
        text = os.fsdecode(b"caf\xe9")
        files.writeJSON(self.path, {"command": [text]})
        with open(self.path, encoding="utf-8") as file:
            self.assertEqual(json.load(file), {"command": [text]})
        stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        files.write(stream, f"{text} \u00fc")
        self.assertEqual(stream.buffer.getvalue(), b"caf\\udce9 \\xfc")

    def test_special(self):
        """
        What is there and no file is written to, not replaced; a link stays one.
        """
        fifo = os.path.join(self.directory, "fifo")
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        files.writeJSON(os.path.abspath(fifo), {"a": 1})
        self.assertEqual(json.loads(os.read(reader, 1000)), {"a": 1})
        self.assertTrue(stat.S_ISFIFO(os.stat(fifo).st_mode))
        link = os.path.join(self.directory, "link")
        os.symlink("report.json", link)
        files.writeJSON(os.path.abspath(link), {"b": 2})
        self.assertTrue(os.path.islink(link))
        with open(self.path) as file:
            self.assertEqual(json.load(file), {"b": 2})

    def test_full(self):
        """
        A full disk is told of; a reader that is gone is not.
        """
        with open("/dev/full", "w") as full:
            self.assertRaises(OSError, files.write, full, "x")
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "w") as gone:
            files.write(gone, "x")

    def test_atomic(self):
        """
        A reader sees the old report or the new one, never a part: the old one's file is not touched.
        """
        files.writeJSON(self.path, {"old": 1})
        with open(self.path) as old:
            files.writeJSON(self.path, {"new": 2})
            self.assertEqual(json.load(old), {"old": 1})
        with open(self.path) as new:
            self.assertEqual(json.load(new), {"new": 2})

    def test_failed(self):
        """
        If it can't be written, the old one is still there, and nothing half.
        """
        files.writeJSON(self.path, {"old": 1})
        with mock.patch("os.rename", side_effect=OSError(28, "No space left on device")):
            self.assertRaises(OSError, files.writeJSON, self.path, {"new": 2})
        with open(self.path) as old:
            self.assertEqual(json.load(old), {"old": 1})
        self.assertEqual(os.listdir(self.directory), ["report.json"])

    def test_standardOutput(self):
        """
        C{-} is the process's own standard output, though sys.stdout is something else.
        """
        stream = Stream()
        self.patch(sys, "__stdout__", stream)
        files.writeJSON("-", {"a": 1})
        self.assertEqual(json.loads(stream.getvalue()), {"a": 1})
        self.assertEqual(stream.flushed, len(stream.getvalue()))

    def test_readerGone(self):
        """
        A reader that has gone away is no reason to fail.
        """
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "w") as stream:
            files.write(stream, "x" * 100_000)
            files.write(stream, "more")


class CounterTests(SynchronousTestCase):
    """
    The running counter.
    """

    def show(self, terminal, *counts, step=0.1):
        """
        @return: what was shown, with the count at each step of so many seconds.
        """
        clock, stream = Clock(), Stream(terminal)
        left = list(counts)
        counter = Counter(clock, lambda: left[0], stream)
        counter.start()
        while len(left) > 1:
            del left[0]
            clock.advance(step)
        counter.stop()
        self.assertEqual(clock.getDelayedCalls(), [])
        self.assertEqual(stream.flushed, len(stream.getvalue()))
        return stream.getvalue()

    def test_terminal(self):
        """
        On a terminal each new number overwrites the old, ten times a second; then the line ends.
        """
        self.assertEqual(self.show(True, 0, 1, 1, 5, 9), "1\r5\r9\r\n")

    def test_elsewhere(self):
        """
        Elsewhere there is a line a second, and one at the end.
        """
        self.assertEqual(self.show(False, *range(11), step=0.25), "4\n8\n10\n")

    def test_short(self):
        """
        However short a run, its number is shown.
        """
        self.assertEqual((self.show(True, 7), self.show(False, 7)), ("7\r\n", "7\n"))


class PresentationTests(SynchronousTestCase):
    """
    What is shown where.
    """

    def setUp(self):
        self.out, self.err = Stream(), Stream()
        self.patch(sys, "__stdout__", self.out)
        self.patch(sys, "__stderr__", self.err)

    def show(self, problem=None, exit=0, **wishes):
        """
        @return: the status, standard output and standard error.
        """
        presentation = Presentation("smtp-source", **wishes)
        status = presentation.show(example(exit=exit), "text\n", problem)
        return status, self.out.getvalue(), self.err.getvalue()

    def test_usual(self):
        """
        The text, on standard output.
        """
        self.assertEqual(self.show(), (0, "text\n", ""))

    def test_problem(self):
        """
        What ended the run, on standard error, whatever else is not shown.
        """
        self.assertEqual(self.show("mail refused", 1, quiet=True), (1, "", "smtp-source: mail refused\n"))

    def test_report(self):
        """
        The report, in a file.
        """
        path = os.path.abspath(self.mktemp())
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.assertEqual(self.show(report=path), (0, "text\n", ""))
        with open(path) as file:
            self.assertEqual(json.load(file), example(exit=0).asDict())

    def test_reportOnStandardOutput(self):
        """
        With C{--report -} standard output is JSON and nothing else; the text goes to standard error.
        """
        status, out, err = self.show(report="-", exit=1)
        self.assertEqual((status, json.loads(out)["exit"], err), (1, 1, "text\n"))

    def test_unwritable(self):
        """
        A report that can't be written makes a good run fail, and says why.
        """
        status, out, err = self.show(report="/no/such/directory/x")
        self.assertEqual((status, out), (1, "text\n"))
        self.assertEqual(
            err, "smtp-source: the report /no/such/directory/x could not be written: No such file or directory\n"
        )

    def test_daemon(self):
        """
        A daemon's text, trouble and counter go to the log.
        """
        events = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        status, out, err = self.show("trouble", daemonized=True)
        clock = Clock()
        stop = Presentation("smtp-source", counter=True, daemonized=True).startCounter(clock, lambda: 42)
        clock.advance(1)
        stop()
        self.assertEqual((status, out, err), (0, "", ""))
        lines = [event["line"] for event in events if "line" in event]
        self.assertEqual(lines, ["smtp-source: trouble", "text", "42", "42"])

    def test_counter(self):
        """
        The counter runs only if it was asked for, and on standard error if standard output is for the report.
        """
        for wishes, expected in (
            ({}, ("", "")),
            ({"counter": True}, ("9\n", "")),
            ({"counter": True, "report": "-"}, ("9\n", "9\n")),
        ):
            clock = Clock()
            stop = Presentation("smtp-source", **wishes).startCounter(clock, lambda: 9)
            stop()
            self.assertEqual((self.out.getvalue(), self.err.getvalue()), expected)
            self.assertEqual(clock.getDelayedCalls(), [])
