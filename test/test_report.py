"""
Tests for L{smtpsource.report} and L{smtpsource.printable}.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import stat
import sys
from dataclasses import replace
from unittest import mock
from xml.etree import ElementTree

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from hypothesis import strategies as st
from properties import given, settings
from results import ADDRESSES, EVERYTHING, FOUND, JUDGED, REPORTS, example, latencies, second
from rich.cells import cell_len
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.measure.histogram import HIGHEST_MICROSECONDS, indexOf
from smtpsource.measure.intervals import Intervals
from smtpsource.measure.marks import Mark
from smtpsource.measure.recorder import Recorder
from smtpsource.measure.search import Found, Step
from smtpsource.measure.summary import Messages, Tally, bucketsOf, latenciesOf, repliesOf
from smtpsource.measure.thresholds import Outcome
from smtpsource.phases import BANNER, CONNECT, DATA, HELO, MAIL, MEANINGS, MESSAGE, QUIT, RCPT, RSET
from smtpsource.printable import printable
from smtpsource.process.streams import Outlet
from smtpsource.report import csvfile, files, hlog, junit
from smtpsource.report.document import documentOf, summaryFrom
from smtpsource.report.facts import answerOf
from smtpsource.report.live.counter import Counter
from smtpsource.report.page import Page, shown
from smtpsource.report.presentation import Presentation
from smtpsource.report.text import render
from smtpsource.report.words import duration


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
FAILED       of 3 messages 1 accepted, 1 rejected, 1 failed; 5 recipients
             refused

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

latency         count    mean     p50     p90     p95     p99   p99.9     max
mail                1  500 us  500 us  500 us  500 us  500 us  500 us  500 us
message             2  1.00 s  500 ms  1.50 s  1.50 s  1.50 s  1.50 s  1.50 s
transaction         1  2.00 s  2.00 s  2.00 s  2.00 s  2.00 s  2.00 s  2.00 s
message: the reply to the content; transaction: from MAIL to that reply; others:
the reply to that command

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
        self.assertEqual(1, text.count("\n\n"), text)
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
            ("running", "elapsed      2.000 s, not at its end\n"),
        ):
            self.assertIn(words, render(example(ended=ended)))

    def test_sink(self):
        """
        What a sink of our own has counted is there.
        """
        text = render(example(sink={"messages": 11, "recipients": 12}))
        self.assertIn("sink         counted 11 messages, 12 recipients itself\n", text)

    def test_everything(self):
        """
        What only some runs have: a schedule, with the rate that it asked for beside the one that was achieved; a
        warm-up; the reasons for which the generator was the limit; thresholds.
        """
        text = render(example(**EVERYTHING, rate=249.5))
        for line in (
            "schedule     500 messages asked, 12 started late, 3 dropped",
            "warm-up      10.000 s, in no other figure: 90 accepted, 1 rejected, 2 failed",
            "rate         asked 250.0 messages/s, achieved 249.5 messages/s, 1.5 MB/s sent",
        ):
            self.assertIn(f"\n{line}\n", text)
        # What it comes to is told first.
        self.assertTrue(
            text.startswith(
                """\
FAILED       1 of 2 thresholds missed; of 3 messages 1 accepted, 1 rejected, 1
             failed; 3 more never started; 12 of them started late; 5 recipients
             refused
LIMITED BY   the generator, not the server: this process used 97% of a processor
pass         p99(message) < 250ms: 31 ms
FAIL         rate >= 0.99 * asked: 431/s (0.99 * asked is 495/s)

"""
            ),
            text,
        )

    def test_addresses(self):
        """
        Several addresses are in a table; one is not worth it.
        """
        table = """

addresses                 opened   failed   accepted
inet:192.0.2.1:25             10        0         90
inet:[2001:db8::1]:25          0        5          0  mx1.example

"""
        self.assertIn(table, render(example(addresses=ADDRESSES)))
        self.assertNotIn("addresses", render(example(addresses=dict([*ADDRESSES.items()][:1]))))

    def workers(self, *each, **values):
        """
        @return: the lines about workers, and about what they could not do in time.

        @param each: of each worker what it has started, its CPU seconds, how many sessions were all busy, and how it
            was lost.
        """
        workers = [
            {"started": started, "cpu": {"user": cpu, "system": 0.25}, "exhausted": exhausted, "lost": lost}
            for started, cpu, exhausted, lost in each
        ]
        text = render(example(environment={"workers": workers}, asked=300, dropped=1, **values), Page(width=200))
        return [line for line in text.splitlines() if line.startswith("workers") or "busy" in line]

    def test_workers(self):
        """
        What each worker has done; of many, the least and the most.
        """
        self.assertEqual(
            self.workers((100, 1.0, None, None), (99, 1.5, None, "was killed")),
            ["workers      2, messages of each 100, 99 (lost); CPU of each 1.25, 1.75 s, the most by worker 2"],
        )
        for equal in ((1.0, 1.0), (0.04, 0.02), (4.2, 4.3)):
            (line,) = self.workers(*((100, cpu, None, None) for cpu in equal))
            self.assertTrue(line.endswith(f"CPU of each {equal[0] + 0.25:.2f}, {equal[1] + 0.25:.2f} s"), line)
        self.assertEqual(
            self.workers(*((100 + number, 9.0 - number, None, None) for number in range(9)), exercise="noop"),
            ["workers      9, NOOPs of each from 100 to 108; CPU of each from 1.25 to 9.25 s, the most by worker 1"],
        )

    def test_workersOfRuns(self):
        """
        Of runs that were added up it is told how many each had.
        """
        environment = {"runs": [{"workers": [{}, {}]}, {}, {"workers": [{}, {}, {}]}]}
        self.assertIn("\nworkers      of 3 runs 2, 1, 3\n", render(example(environment=environment)))
        self.assertNotIn("workers", render(example(environment={"runs": [{}, {}]})))

    def test_busyWorkers(self):
        """
        Sessions that were all busy are those of a worker, which others could not help.
        """
        free, busy, lost = (1, 1.0, None, None), (1, 1.0, 2, None), (1, 1.0, None, "was killed")
        for each, exhausted, said in (
            ((busy, busy), 4, "all 4 sessions were busy"),
            ((free, free, busy), 2, "all 2 sessions of worker 3 were busy, while others had free ones"),
            ((busy, free, busy), 4, "all 4 sessions of workers 1, 3 were busy, while others had free ones"),
            ((lost, (1, 1.0, 1, None)), 1, "the only session of worker 2 was busy"),
        ):
            line = self.workers(*each, exhausted=exhausted)[0]
            self.assertTrue(line.strip().startswith(f"{said}: "), line)

    def test_onTheirWay(self):
        """
        While a run goes on, not all that it has started has been answered.
        """
        fine = {"recipientsRejected": 0, "connectionsFailed": 0, "errors": {}, "ended": "running", "exit": 0}
        for messages, words in (
            (Messages(4741, 4740, 0, 0), "of 4741 messages 4740 accepted, 1 on its way"),
            (Messages(9, 2, 3, 1), "of 9 messages 2 accepted, 3 rejected, 1 failed, 3 on their way"),
            (Messages(1, 0, 0, 0), "of 1 message 0 accepted, 1 on its way"),
            (Messages(2, 2, 0, 0), "all 2 messages accepted"),
        ):
            text = render(example(messages=messages, **fine))
            self.assertEqual(f"running      {words}\n", text.splitlines(True)[0])

    def test_hints(self):
        """
        What may be wrong stands below what it comes to, where it is seen.
        """
        hints = ("no banner for 5 s: perhaps --tls implicit", "something else")
        text = render(example(**EVERYTHING, hints=hints))
        self.assertIn(f"\nhint         {hints[0]}\nhint         {hints[1]}\n", text.partition("\n\n")[0])

    def test_search(self):
        """
        A search for a rate: every step, and what was found.
        """
        steps = (
            Step("climb", 100.0, 99.96, True, "81 us"),
            Step("bisect", 1500.0, 900.0, False, "2.1 s"),
            Step("confirm", 100.0, 100.0, True, "80 us"),
        )
        text = render(example(search=Found("p99(message) < 250ms", 100.0, steps)))
        self.assertTrue(text.startswith("found        100 messages/s kept the promise twice, 1500/s did not\n"), text)
        self.assertIn(
            """
search       asked   achieved  p99(message) < 250ms
climb        100/s    100.0/s  kept: 81 us
bisect      1500/s    900.0/s  BROKEN: 2.1 s
confirm      100/s    100.0/s  kept: 80 us
""",
            text,
        )
        # The mean of all rates says nothing.
        self.assertNotIn("\nrate ", text)

    def test_answers(self):
        """
        What speaks for an answer and against it.
        """
        for wanted, rate, *steps in (
            ("no rate kept the promise: 5/s, the lowest that was tried, did not", None, (10, False), (5, False)),
            (
                "no rate kept the promise: 5/s, the lowest that was tried, only 1 of 3 times",
                *(None, (5, False), (5, True), (5, False)),
            ),
            ("7 messages/s kept the promise once, no higher rate was tried; it was not confirmed", 7, (7, True)),
            (
                "200 messages/s kept the promise twice; 240/s kept it as well, once, and was not confirmed",
                *(200, (200, True), (240, True), (200, True)),
            ),
            (
                "200 messages/s kept the promise twice, 240/s only 1 of 3 times",
                *(200, (200, True), (240, True), (240, False), (400, False), (200, True), (240, False)),
            ),
            (
                "200 messages/s kept the promise twice, 240/s did not, twice; but only as not all of its messages "
                "could be started: the server was too slow for so many sessions, or -s is too low",
                *(200, (200, True), (240, None), (200, True), (240, None)),
            ),
            (
                "200 messages/s kept the promise 2 of 3 times, 240/s did not, twice",
                *(200, (200, True), (240, False), (200, False), (200, True), (240, False)),
            ),
        ):
            tried = tuple(
                Step("confirm", float(each), 1.0, bool(passed), "", True if passed is None else None)
                for each, passed in steps
            )
            self.assertEqual(wanted, answerOf(Found("errors == 0", rate, tried)))

    def test_words(self):
        """
        One is not several, and what was counted has its name.
        """
        fine = {"exit": 0, "recipientsRejected": 0, "connectionsFailed": 0, "errors": {}}
        for number, exercise, words in (
            (1, "mail", "passed       1 message accepted\n"),
            (2, "mail", "passed       all 2 messages accepted\n"),
            (3, "connect", "passed       all 3 connections accepted\n"),
            (1, "noop", "passed       1 NOOP accepted\n"),
        ):
            text = render(example(messages=Messages(number, number, 0, 0), exercise=exercise, **fine))
            self.assertEqual(words, text.splitlines(True)[0])
            self.assertEqual(exercise == "mail", "recipients" in text)
            noun = {"mail": "messages", "noop": "NOOPs", "connect": "connections"}[exercise]
            self.assertIn(f"\n{noun:<13}{number} started, {number} accepted, 0 rejected, 0 failed\n", text)
            self.assertIn(f" {noun}/s, ", text)

    def test_announced(self):
        """
        What the server announces is told once.
        """
        recorder = Recorder()
        recorder.reply(HELO, 0.1, b"250", b"250-mx.example\r\n250-PIPELINING\r\n250 SIZE 100\r\n")
        text = render(example(replies=repliesOf(recorder)))
        self.assertIn("helo           250          1  250-mx.example\n", text)
        self.assertEqual(1, text.count("PIPELINING"))

    def test_percentiles(self):
        """
        Those that somebody asked for, from the buckets; in a second table, where there is no room.
        """
        text = render(example(**latencies(*(n / 1000 for n in range(1, 1001))), percentiles=(25, 95, 99.99)))
        self.assertIn("latency         count    mean     p25     p95  p99.99     max\n", text)
        self.assertIn("message          1000  501 ms  250 ms  950 ms  1.00 s  1.00 s\n", text)
        many = render(example(**latencies(0.25), percentiles=tuple(range(1, 20))))
        self.assertEqual(3, many.count("latency         count"))

    def test_usual(self):
        """
        Without what is as usual a run that has passed has some twenty lines at the most, and the last one says what is
        not there. All that is in them is in the whole as well.
        """
        recorder = Recorder()
        for phase, seconds in (*((CONNECT, 0.002), (BANNER, 0.001), (HELO, 0.001)), (QUIT, 0.001)):
            recorder.reply(phase, seconds, b"220" if phase == BANNER else b"250", b"250 ok\r\n")
        for _ in range(100):
            recorder.reply(MAIL, 0.0005, b"250", b"250 ok\r\n")
            recorder.reply(DATA, 0.0005, b"354", b"354 go on\r\n")
            recorder.reply(MESSAGE, 0.0005, b"250", b"250 queued\r\n")
            recorder.transaction(0.002, 1)
        usual = {
            "exit": 0,
            "messages": Messages(100, 100, 0, 0),
            "errors": {},
            "recipientsRejected": 0,
            "tls": {},
            "connectionsFailed": 0,
            "connectionsLost": 0,
            "recipientsAccepted": 100,
            "latency": latenciesOf(recorder),
            "buckets": bucketsOf(recorder),
            "replies": repliesOf(recorder),
            "sink": {"messages": 100, "recipients": 100},
            "reactor": "smtpsource.net.reactor.LeanReactor",
            "environment": {"versions": {"speedups": "compiled"}},
        }
        text = render(example(**usual), Page(isWhole=False))
        self.assertLessEqual(text.count("\n"), 20)
        self.assertTrue(
            text.endswith(
                """
with -v      recipients, bytes, reactor, announced, sink; the latencies of
             banner, helo, mail, data and quit; the replies 220, 250 and 354, as
             expected
"""
            ),
            text,
        )
        whole = render(example(**usual)).splitlines()
        rows = [
            row for row in text.partition("\nwith -v")[0].splitlines() if not row.startswith(("connect: ", "trans"))
        ]
        self.assertEqual([row for row in rows if row not in whole], [])
        self.assertEqual([name for name in MEANINGS if f"\n{name} " in text], ["connect", "message", "transaction"])
        self.assertNotIn("with -v", "\n".join(whole))

    def test_unusual(self):
        """
        What is not as usual is never left out: replies that refuse something, what a sink has not got, recipients that
        were refused, a phase that takes half of the time or that has taken long once; where a message has failed, no
        reply at all.
        """
        recorder = Recorder()
        for number in range(100):
            recorder.reply(MAIL, 0.001, b"250", b"250 ok\r\n")
            recorder.reply(RCPT, 0.004, b"450" if number == 7 else b"250", b"450 busy\r\n")
            recorder.reply(DATA, 2.5 if number == 7 else 0.0001, b"354", b"354 go on\r\n")
            recorder.reply(QUIT, 0.0001, b"221", b"221 bye\r\n")
            recorder.reply(RSET, 0.0001, b"250", b"250 ok\r\n")
            recorder.transaction(2.6 if number == 7 else 0.007, 1)
        what = {"latency": latenciesOf(recorder), "buckets": bucketsOf(recorder), "replies": repliesOf(recorder)}
        text = render(example(**what, sink={"messages": 1, "recipients": 3}), Page(isWhole=False))
        for row in (
            "recipients   4 accepted, 5 rejected\n",
            "sink         counted 1 message, 3 recipients itself\n",
            "\ndata              100 ",
            "\nrcpt           250         99  450 busy\n",
            "\nrcpt           450          1  450 busy\n",
            "\ntimeout                     1  no reply\n",
            "\nwith -v      bytes, announced; the latencies of mail, rcpt, rset and quit\n",
            "\nquit           221        100  221 bye\n",
            "\nreactor      twisted.internet.selectreactor.SelectReactor\n",
        ):
            self.assertIn(row, text)
        self.assertEqual(text.count("\nmail "), 1)

    @given(st.sampled_from(REPORTS), st.integers(60, 120), st.booleans())
    def test_widths(self, document, width, isWhole):
        """
        No line of any run is longer than there is room for, and no word of it is cut.
        """
        summary = summaryFrom(document)
        lines = render(summary, Page(width, isWhole=isWhole)).splitlines()
        self.assertLessEqual(max(map(len, lines)), width)
        words = " ".join(render(summary, Page(1000, isWhole=isWhole)).split())
        if len(summary.latency) == 0 or width >= 77:
            self.assertEqual(" ".join(" ".join(lines).split()), words)

    @given(st.integers(40, 200), st.text(max_size=300), st.integers(0, 10**8))
    def test_width(self, width, text, count):
        """
        No line is longer than there is room for, whatever a server says, and no word of it is lost.
        """
        sample = printable(text)
        tallies = {"500": Tally(count, sample)}
        page = render(example(replies={"mail": tallies}, reason=sample, search=FOUND), Page(width))
        self.assertLessEqual(max(map(cell_len, page.split("\n"))), width)
        self.assertIn("".join(sample.split()), "".join(page.split()))

    def test_colors(self):
        """
        Colors, where they are wanted, and what a server says can't add any.
        """
        tallies = {"250": Tally(1, "\x1b[31mx"), "451": Tally(1, "451 y"), "550": Tally(1, "550 z")}
        hostile = example(**{**EVERYTHING, "replies": {"mail": tallies}})
        page = render(hostile, Page(80, True))
        for line in (
            "\x1b[1;31mFAIL  ",
            "\x1b[1;31mLIMITED BY ",
            "\x1b[33mmail           451",
            "\x1b[1;31mmail           550",
        ):
            self.assertIn(line, page)
        self.assertNotIn("\x1b[31mx", page)
        self.assertEqual(render(hostile), re.sub("\x1b\\[[0-9;]*m", "", page))
        # Nor can it where it is said.
        self.assertEqual(page, shown(page))
        self.assertEqual("?[5mx\n", shown("\x1b[5mx\n"))

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
        for text, expected in (
            (b"250 ok\r\n", "250 ok"),
            (b"250-a\r\n250 b\r\n", "250-a | 250 b"),
            (b"250 a\nb\n", "250 a | b"),
            (b"\x1b[2J\x07\x00", "?[2J??"),
            ("gr\u00fc\u00df".encode(), "gr\u00fc\u00df"),
            (b"\xff", "\ufffd"),
            (b"", ""),
        ):
            self.assertEqual(printable(text), expected)

    @given(st.binary(max_size=50))
    def test_anything(self, text):
        """
        Whatever they are, they are one line that can be printed.
        """
        self.assertTrue(printable(text).isprintable())


def writeJSON(path, document):
    """
    Write this as a report.
    """
    files.writeWhole(path, files.jsonPieces(document, ascii=path == "-"))


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
        writeJSON(self.path, {"a": "\u00fc", "b": [1]})
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
        writeJSON(self.path, {"command": [text]})
        with open(self.path, encoding="utf-8") as file:
            self.assertEqual(json.load(file), {"command": [text]})

    def test_special(self):
        """
        What is there and no file is written to, not replaced; a link stays one.
        """
        fifo = os.path.join(self.directory, "fifo")
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        writeJSON(os.path.abspath(fifo), {"a": 1})
        self.assertEqual(json.loads(os.read(reader, 1000)), {"a": 1})
        self.assertTrue(stat.S_ISFIFO(os.stat(fifo).st_mode))
        link = os.path.join(self.directory, "link")
        os.symlink("report.json", link)
        writeJSON(os.path.abspath(link), {"b": 2})
        self.assertTrue(os.path.islink(link))
        with open(self.path) as file:
            self.assertEqual(json.load(file), {"b": 2})

    def test_atomic(self):
        """
        A reader sees the old report or the new one, never a part: the old one's file is not touched.
        """
        writeJSON(self.path, {"old": 1})
        with open(self.path) as old:
            writeJSON(self.path, {"new": 2})
            self.assertEqual(json.load(old), {"old": 1})
        with open(self.path) as new:
            self.assertEqual(json.load(new), {"new": 2})

    def test_failed(self):
        """
        If it can't be written, the old one is still there, and nothing half.
        """
        writeJSON(self.path, {"old": 1})
        with mock.patch("os.rename", side_effect=OSError(28, "No space left on device")):
            self.assertRaises(OSError, writeJSON, self.path, {"new": 2})
        with open(self.path) as old:
            self.assertEqual(json.load(old), {"old": 1})
        self.assertEqual(os.listdir(self.directory), ["report.json"])

    def test_lists(self):
        """
        A long list of objects, such as the samples of a run, has a line for each.
        """
        document = {"a": {"b": [1, 2]}, "c": [], "series": [{"x": 1, "y": [2]}, {"x": None}], "d": ["e"]}
        writeJSON(self.path, document)
        with open(self.path) as file:
            text = file.read()
        self.assertEqual(json.loads(text), document)
        self.assertIn('  "series": [\n    {"x": 1, "y": [2]},\n    {"x": null}\n  ],\n', text)

    @given(
        st.dictionaries(
            st.text(max_size=5),
            st.recursive(
                st.none() | st.integers() | st.text(max_size=9),
                lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
            ),
            max_size=5,
        ),
        st.booleans(),
    )
    @settings(deadline=None)
    def test_anyDocument(self, document, ascii):
        """
        Whatever is in a document, it is JSON.
        """
        self.assertEqual(json.loads("".join(files.jsonPieces(document, ascii))), document)

    def test_standardOutput(self):
        """
        C{-} is the process's own standard output, though sys.stdout is something else.
        """
        stream = Stream()
        self.patch(sys, "__stdout__", stream)
        writeJSON("-", {"a": 1})
        self.assertEqual(json.loads(stream.getvalue()), {"a": 1})
        self.assertEqual(stream.flushed, len(stream.getvalue()))

    def test_standardOutputLost(self):
        """
        Standard output that is closed or full, or whose reader has gone away, is told of.
        """
        reader, writer = os.pipe()
        os.close(reader)
        with open("/dev/full", "w") as full, open(writer, "w") as unread:
            for stream, problem in ((None, "closed"), (full, "No space left"), (unread, "Broken pipe")):
                self.patch(sys, "__stdout__", stream)
                self.assertIn(problem, self.assertRaises(OSError, writeJSON, "-", {"a": 1}).strerror)


def readCSV(summary):
    """
    @return: the rows of a table, as a program reads them.
    """
    return list(csv.DictReader(csvfile.lines(summary)))


class TableTests(SynchronousTestCase):
    """
    The series of a run as a table.
    """

    def test_rows(self):
        """
        There is a row for each sample, under the names that it has in the report; what there is not is empty.
        """
        rows = readCSV(example(**EVERYTHING))
        document = documentOf(example(**EVERYTHING))["series"]
        for row, sample in zip(rows, document, strict=True):
            watched = sample.pop("watched", {"rss": None})
            wanted = {**sample, "mark": row["mark"], **watched}
            self.assertEqual(list(row), list(wanted))
            self.assertEqual(row, {name: "" if value is None else str(value) for name, value in wanted.items()})
        self.assertEqual([row["p99"] for row in rows], ["0.002", ""])
        self.assertEqual([row["rss"] for row in rows], ["4096.0", ""])
        self.assertEqual([row["mark"] for row in rows], ["", 'systemctl reload "postfix", twice'])

    def test_marks(self):
        """
        A mark stands in the row of its second, several of one second beside each other; one that was set after the
        last sample, in the last row; one of the warm-up nowhere, as its seconds.
        """
        marks = [Mark(-1.0, "warm"), Mark(0.0, "a"), Mark(1.0, "b"), Mark(1.1, "c"), Mark(3.5, "d"), Mark(9.0, "e")]
        rows = readCSV(example(series=[second(time) for time in range(1, 5)], marks=marks))
        self.assertEqual([row["mark"] for row in rows], ["a | b", "c", "", "d | e"])

    def test_hostileMarks(self):
        """
        Whatever the text of a mark or the name of what is watched: it is one value on one line, and no formula.
        """
        for text, found in (
            ('say "no", twice', 'say "no", twice'),
            ("a\r\nb\n", "a | b"),
            ("=1+2", "'=1+2"),
            (" \t@SUM(A1)", "'  @SUM(A1)"),
            ("-5", "'-5"),
            ("'quoted'", "'quoted'"),
            ("\x1b[31m", "?[31m"),
        ):
            summary = example(series=[second(1, watched={text: 2.5})], marks=[Mark(0.5, text)])
            self.assertEqual(len(list(csvfile.lines(summary))), 2)
            (row,) = readCSV(summary)
            self.assertEqual((row["mark"], row[found]), (found, "2.5"))

    def test_empty(self):
        """
        Without samples there are the headings.
        """
        self.assertEqual([line.count(",") for line in csvfile.lines(example())], [21])


class HistogramLogTests(SynchronousTestCase):
    """
    The latencies of each second, for HdrHistogram's tools.
    """

    def log(self, **values):
        """
        @return: the intervals that hdrh's reader finds in a log, and the reader.
        """
        path = self.mktemp()
        files.writeWhole(os.path.abspath(path), hlog.lines(example(**values)))
        self.addCleanup(os.unlink, path)
        reader = HistogramLogReader(path, HdrHistogram(1, HIGHEST_MICROSECONDS, 3))
        self.addCleanup(reader.close)
        return list(iter(reader.get_next_interval_histogram, None)), reader

    def test_read(self):
        """
        Each has its phase as a tag, the time at which it was, and its latencies in microseconds.
        """
        intervals = Intervals()
        intervals.add(0.0, 1.0, "transaction", {100: 1, 200: 1})
        intervals.add(1.0, 1.5, "response", {indexOf(3_000_000): 1})
        found, reader = self.log(intervals=intervals, started="2026-01-02T03:04:05.250+01:00")
        self.assertEqual([one.get_tag() for one in found], ["transaction", "response"])
        began = 1767319445.25
        self.assertEqual(reader.get_start_time_sec(), began)
        self.assertEqual(
            [(one.get_start_time_stamp(), one.get_end_time_stamp()) for one in found],
            [(began * 1000, (began + 1) * 1000), ((began + 1) * 1000, (began + 2.5) * 1000)],
        )
        self.assertEqual([one.get_total_count() for one in found], [2, 1])
        self.assertEqual([one.get_value_at_percentile(100) for one in found], [200, 3_000_319])

    def test_warmUp(self):
        """
        Its times are those of the server's log, also after a warm-up.
        """
        warmUp = {"seconds": 10.5, "accepted": 1, "rejected": 0, "failed": 0}
        text = "".join(hlog.lines(example(warmUp=warmUp, started="1970-01-01T00:00:01+00:00")))
        self.assertIn("#[Histogram log format version 1.3]\n", text)
        self.assertIn("#[BaseTime: 11.500 (seconds since epoch)]\n", text)
        self.assertIn("#[StartTime: 11.500 (seconds since epoch), Thu Jan  1 00:00:11 1970]\n", text)

    def test_nothing(self):
        """
        A run in which nothing happened has a log without intervals.
        """
        self.assertEqual(self.log(intervals=Intervals())[0], [])
        self.assertEqual(self.log()[0], [])


class JUnitTests(SynchronousTestCase):
    """
    A run as a test.
    """

    def suite(self, **values):
        """
        @return: the test suite, as an XML parser reads it.
        """
        (suite,) = ElementTree.fromstring("".join(junit.lines(example(**values))).encode())
        return suite

    def failures(self, suite):
        """
        @return: for each test, the message of its failure, or C{None}.
        """
        return {
            case.get("name"): None if (failure := case.find("failure")) is None else failure.get("message")
            for case in suite.iter("testcase")
        }

    def test_judged(self):
        """
        What became of every message is a test of its own; and the run has not failed, if nothing else has.
        """
        usual = {"messages": Messages(3, 3, 0, 0), "recipientsRejected": 0}
        suite = self.suite(**usual, exit=1, judgement=JUDGED)
        self.assertEqual(self.failures(suite), {"run": None, "ledger": "fail: 1 lost"})
        self.assertEqual((suite.get("tests"), suite.get("failures")), ("2", "1"))
        suite = self.suite(**usual, exit=0, judgement=replace(JUDGED, verdict="pass", reasons=()))
        self.assertEqual(self.failures(suite), {"run": None, "ledger": None})
        suite = self.suite(exit=1, judgement=JUDGED)
        self.assertEqual(sorted(name for name, failure in self.failures(suite).items() if failure), ["ledger", "run"])

    def test_good(self):
        """
        A run in which all was accepted is one test, which passed.
        """
        suite = self.suite(exit=0, environment={"host": "load.example"})
        self.assertEqual(self.failures(suite), {"run": None})
        self.assertEqual(
            {name: suite.get(name) for name in ("tests", "failures", "time", "timestamp", "hostname")},
            {
                "tests": "1",
                "failures": "0",
                "time": "2.000",
                "timestamp": "2026-01-02T03:04:05",
                "hostname": "load.example",
            },
        )
        self.assertIn("messages     3 started", suite.findtext("system-out"))

    def test_thresholds(self):
        """
        Each threshold is a test of its own, and the run is one for what became of its messages.
        """
        suite = self.suite(**EVERYTHING)
        self.assertEqual(
            self.failures(suite),
            {
                "run": "3 started, 1 accepted, 1 rejected, 1 failed",
                "p99(message) < 250ms": None,
                "rate >= 0.99 * asked": "it was 431/s (0.99 * asked is 495/s)",
            },
        )
        self.assertEqual((suite.get("tests"), suite.get("failures")), ("3", "2"))

    def test_both(self):
        """
        If thresholds have failed, the run itself fails where it would without them.
        """
        one = Outcome("errors < 1%", False, "50%", 50.0)
        for values, failed in (
            ({"messages": Messages(4, 2, 2, 0)}, True),
            ({"recipientsRejected": 1}, True),
            ({"ended": "signal"}, True),
            ({"ended": "aborted", "reason": "rcpt refused: 550"}, True),
            ({"ended": "aborted", "reason": "threshold 'errors < 1%' failed: 50%"}, False),
            ({}, False),
        ):
            good = {"messages": Messages(4, 4, 0, 0), "recipientsRejected": 0, "dropped": 0, "errors": {}}
            suite = self.suite(exit=3, thresholds=(one,), **{**good, **values})
            self.assertEqual(self.failures(suite)["run"] is not None, failed, values)
            self.assertEqual(suite.get("failures"), str(1 + failed))

    def test_failed(self):
        """
        A run with refusals or faults has failed, with what there was of them.
        """
        suite = self.suite(exit=1)
        self.assertEqual(self.failures(suite), {"run": "3 started, 1 accepted, 1 rejected, 1 failed"})
        self.assertIn("timeout: no reply", suite.find("testcase/failure").text)
        suite = self.suite(exit=1, ended="aborted", reason="MAIL was refused")
        self.assertEqual(self.failures(suite), {"run": "MAIL was refused"})
        suite = self.suite(exit=1, ended="signal")
        self.assertIn("stopped before its end", suite.find("testcase/failure").text)

    @given(st.text())
    @settings(deadline=None)
    def test_anything(self, text):
        """
        Whatever a server or a user has said, it is XML, and what can be in XML is in it.
        """
        outcome = Outcome(text, False, text, None)
        suite = self.suite(exit=1, reason=text, thresholds=(outcome,), errors={"timeout": Tally(1, text)})
        readable = text.isprintable() and text.isascii()
        self.assertEqual(suite.get("failures"), "2")
        if readable:
            self.assertIn(f"it was {text}", self.failures(suite).values())

    def test_impossible(self):
        """
        What can't be is a question mark.
        """
        suite = self.suite(exit=1, reason='a\x00\x1b\ud800\uffffb\U0001f600<&>"\x9b')
        self.assertEqual(self.failures(suite)["run"], 'a????b\U0001f600<&>"?')


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
        counter = Counter(clock, lambda: left[0], Outlet(stream))
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
        status = presentation.show(example(exit=exit), "text\n", documentOf, problem)
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
            self.assertEqual(json.load(file), documentOf(example(exit=0)))

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

    def test_otherFiles(self):
        """
        The series, the log and the test result go to files of their own.
        """
        directory = os.path.abspath(self.mktemp())
        os.makedirs(directory)
        paths = {name: os.path.join(directory, name) for name in ("csv", "hlog", "html", "junit")}
        self.assertEqual(self.show(**paths), (0, "text\n", ""))
        for name, beginning in (
            ("csv", "time,seconds,"),
            ("hlog", "#["),
            ("html", "<!DOCTYPE html>"),
            ("junit", "<?xml "),
        ):
            with open(paths[name]) as file:
                self.assertTrue(file.read().startswith(beginning), name)
        self.assertEqual(sorted(os.listdir(directory)), ["csv", "hlog", "html", "junit"])

    def test_othersOnStandardOutput(self):
        """
        With C{-} for one of them, standard output is that and nothing else.
        """
        for name, beginning in (
            ("csv", "time,seconds,"),
            ("hlog", "#["),
            ("html", "<!DOCTYPE html>"),
            ("junit", "<?xml "),
        ):
            self.setUp()
            status, out, err = self.show(**{name: "-"})
            self.assertEqual((status, err), (0, "text\n"))
            self.assertTrue(out.startswith(beginning), out)

    def test_othersUnwritable(self):
        """
        All that can be written is, whatever can't.
        """
        path = os.path.abspath(self.mktemp())
        os.makedirs(os.path.dirname(path), exist_ok=True)
        status, _, err = self.show(csv="/no/such/directory/x", hlog="/dev/full", junit=path)
        self.assertEqual(status, 1)
        self.assertEqual(
            err,
            "smtp-source: the series /no/such/directory/x could not be written: No such file or directory\n"
            "smtp-source: the histogram log /dev/full could not be written: No space left on device\n",
        )
        self.assertTrue(os.path.exists(path))

    def test_wantsIntervals(self):
        """
        A run keeps the latencies of each second only for a log.
        """
        self.assertEqual(
            [Presentation("x", **wishes).wantsIntervals for wishes in ({}, {"csv": "x"}, {"hlog": "x"})],
            [False, False, True],
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
