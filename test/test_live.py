"""
Tests for how a run is shown while it goes on: L{smtpsource.report.live.view}, L{smtpsource.report.live.picture},
L{smtpsource.report.live.figures}, L{smtpsource.report.live.terminal} and the option C{--live}.
"""

from __future__ import annotations

import fcntl
import io
import os
import re
import signal
import struct
import sys
import termios
import tty
from dataclasses import replace
from unittest import mock

import pyte
from hypothesis import strategies as st
from patience import TEST_LIMIT
from peers import eventually
from properties import given
from recording import CLOSE, SILENCE, ServingMixin
from results import Run, Screen
from rich.cells import cell_len
from subprocesses import ROOT, Command, python, smtpsource, twistd
from twisted.internet import defer
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource.measure.histogram import percentiles, percentilesSince
from smtpsource.measure.judgement import Delivered
from smtpsource.measure.progress import Awaited
from smtpsource.measure.search import Searching, Step
from smtpsource.phases import BANNER, CONNECT, DELIVERY, LATE, MAIL, MESSAGE, RCPT, RESPONSE, TRANSACTION
from smtpsource.report.live import view
from smtpsource.report.live.figures import Course, Kind
from smtpsource.report.live.picture import line, picture
from smtpsource.report.live.terminal import Terminal, isCapable
from smtpsource.report.live.view import Lines, Picture, Steps
from smtpsource.report.presentation import Presentation

#: A search for a rate, in its fourth step.
SEARCHING = Searching(
    4,
    283.0,
    "bisect",
    200.0,
    400.0,
    65.0,
    (
        Step("climb", 100.0, 100.0, True, "12 ms"),
        Step("climb", 200.0, 200.0, True, "20 ms"),
        Step("climb", 400.0, 310.0, False, "412 ms"),
    ),
)


def watched(run, seconds, accepted=0, step=0.25, took=0.001):
    """
    @return: the course of a run, looked at for so many seconds in which so many messages a second are accepted.
    """
    course = Course(run)
    follow(course, run, seconds, accepted, step, took)
    return course


def follow(course, run, seconds, accepted=0, step=0.25, took=0.001):
    """
    Look on for so many seconds.
    """
    for _ in range(round(seconds / step)):
        run.now["at"] += step
        run.accept(round(accepted * step), took)
        course.look()


class CourseTests(SynchronousTestCase):
    """
    The figures.
    """

    def test_rate(self):
        """
        The rate is that of the last second; that so far is of all of them.
        """
        run = Run()
        course = watched(run, 10, accepted=100)
        self.assertApproximates(course.rate(), 100, 1e-6)
        follow(course, run, 10, accepted=300)
        self.assertApproximates(course.rate(), 300, 1e-6)
        self.assertApproximates(course.meanRate(), 200, 1e-6)

    def test_lowRate(self):
        """
        Where there are few messages, ten seconds say more than one.
        """
        run = Run()
        course = watched(run, 20, accepted=1, step=1)
        follow(course, run, 0.75)
        self.assertApproximates(course.rate(), 1, 0.15)

    def test_delivered(self):
        """
        While the server is waited for, what is done is the part that has arrived; what is left is by the rate of that.
        """
        run = Run(delivered=Delivered(0, 0, 0, 0))
        course = Course(run)
        self.assertEqual((course.arrivalRate(), course.done(), course.left()), (0.0, None, None))
        run.now["state"] = "delivering"
        self.assertEqual((course.done(), course.left()), (None, None))
        for number in range(1, 41):
            run.now |= {"at": number / 4, "delivered": Delivered(5000, 25 * number, 25 * number, 4000)}
            course.look()
        self.assertApproximates(course.arrivalRate(), 100, 1e-6)
        self.assertApproximates(course.done(), 0.2, 1e-6)
        self.assertApproximates(course.left(), 40, 1e-6)

    def test_nothing(self):
        """
        Nothing is divided by nothing.
        """
        course = Course(Run())
        self.assertEqual((course.rate(), course.meanRate(), course.done(), course.left()), (0, 0, None, None))
        self.assertEqual((course.latencies(), course.refusals(), course.errors(), list(course.rates)), ([], [], [], []))

    def test_history(self):
        """
        There is a rate for each of the last 60 seconds, also where nobody has looked for a while.
        """
        run = Run()
        course = watched(run, 30, accepted=100)
        self.assertEqual([round(rate) for rate in course.rates], [100] * 30)
        run.now["at"] += 4
        course.look()
        self.assertEqual([round(rate) for rate in course.rates], [100] * 30 + [0] * 4)
        follow(course, run, 100, accepted=200)
        self.assertEqual([round(rate) for rate in course.rates], [200] * 60)

    def test_byMessages(self):
        """
        With a number of messages, what is left takes as long as it would at the rate of the last seconds.
        """
        run = Run(total=1000)
        course = watched(run, 4, accepted=100)
        self.assertApproximates(course.done(), 0.4, 1e-9)
        self.assertApproximates(course.left(), 6, 1e-6)

    def test_byTime(self):
        """
        With a duration, time decides; with both, what is over first.
        """
        run = Run(duration=20.0)
        course = watched(run, 5, accepted=100)
        self.assertEqual((course.done(), course.left()), (0.25, 15))
        run.now["total"] = 1000
        course.look()
        self.assertApproximates(course.done(), 0.5, 1e-9)
        self.assertApproximates(course.left(), 5, 1e-6)

    def test_outcomes(self):
        """
        Messages that were refused or have failed are done, too.
        """
        run = Run(total=10)
        run.recorder.started = 10
        run.recorder.rejected = 3
        run.recorder.failed = 2
        self.assertEqual(Course(run).done(), 0.5)

    def test_warmUp(self):
        """
        What was counted in the warm-up is forgotten after it, and tells nothing of how much is left.
        """
        run = Run(total=1000, state="warm-up")
        course = watched(run, 5, accepted=500)
        self.assertEqual((course.done(), course.left()), (None, None))
        run.recorder.restart()
        run.now["state"] = "running"
        run.accept(3)
        course.look()
        self.assertEqual(course.done(), 0.003)
        follow(course, run, 2, accepted=100, took=0.004)
        self.assertApproximates(course.rate(), 100, 1e-6)
        self.assertApproximates(course.meanRate(), 100, 1e-6)
        (transaction,) = course.latencies()
        self.assertApproximates(transaction.soFar[1], 0.004, 1e-5)

    def test_latencies(self):
        """
        Percentiles so far, and of the last ten seconds.
        """
        run = Run()
        course = watched(run, 30, accepted=100, took=0.1)
        follow(course, run, 12, accepted=100, took=0.002)
        (transaction,) = course.latencies()
        self.assertEqual(transaction.name, "transaction")
        for found, expected in zip(transaction.soFar, [0.1] * 6, strict=True):
            self.assertApproximates(found, expected, expected * 0.001)
        for found in transaction.recent:
            self.assertApproximates(found, 0.002, 2e-6)

    @given(
        st.lists(st.tuples(st.integers(0, 14335), st.integers(1, 5)), max_size=30),
        st.lists(st.tuples(st.integers(0, 14335), st.integers(1, 5)), max_size=30),
        st.integers(0, 14336),
    )
    def test_percentiles(self, earlier, later, length):
        """
        They are those that a histogram has of what came in between, however few buckets there were before.
        """
        before = [0] * length
        for index, count in earlier:
            if index < length:
                before[index] += count
        now = before + [0] * (14336 - length)
        new = [0] * 14336
        for index, count in later:
            now[index] += count
            new[index] += count
        self.assertEqual(percentilesSince(now, before, (50, 95, 100)), percentiles(new, (50, 95, 100)) if later else [])

    def test_late(self):
        """
        Of a run that had begun long before it is first looked at, nothing is said of the last seconds until these are
        known.
        """
        run = Run()
        course = Course(run)
        run.now["at"] = 60.0
        run.accept(6000, 0.1)
        course.look()
        (transaction,) = course.latencies()
        self.assertApproximates(transaction.soFar[0], 0.1, 0.001)
        self.assertEqual((transaction.recent, list(course.rates)), (None, []))
        self.assertApproximates(course.rate(), 100, 1e-6)
        follow(course, run, 8, accepted=4, took=0.002)
        self.assertIsNone(transaction.recent)
        self.assertApproximates(course.rate(), 4, 1e-6)
        self.assertEqual([round(rate) for rate in course.rates], [4] * 8)
        follow(course, run, 3, accepted=4, took=0.002)
        (transaction,) = course.latencies()
        for found in transaction.recent:
            self.assertApproximates(found, 0.002, 2e-6)

    def test_early(self):
        """
        Of one that has just begun all is known, even if that comes at once.
        """
        run = Run()
        course = Course(run)
        run.now["at"] = 3.0
        run.accept(30, 0.1)
        course.look()
        (transaction,) = course.latencies()
        self.assertApproximates(transaction.recent[0], 0.1, 0.001)
        self.assertEqual(list(course.rates), [10] * 3)

    def test_noneLately(self):
        """
        Where nothing came back in the last seconds, there are no percentiles of them.
        """
        run = Run()
        course = watched(run, 5, accepted=100)
        follow(course, run, 15)
        (transaction,) = course.latencies()
        self.assertIsNone(transaction.recent)

    def test_phases(self):
        """
        In an open loop: the response from the time that the schedule wanted, the transaction, and how late. Before any
        message: how long connection and greeting take.
        """
        run = Run()
        course = Course(run)
        run.recorder.duration(CONNECT, 0.001)
        run.recorder.reply(BANNER, 0.001, b"220", b"220 hello")
        follow(course, run, 3)
        self.assertEqual([each.name for each in course.latencies()], ["connect", "banner"])
        run.accept(1)
        for phase in (RESPONSE, LATE):
            run.recorder.duration(phase, 0.5)
        follow(course, run, 3)
        self.assertEqual([each.name for each in course.latencies()], ["response", "transaction", "late"])

    def test_refusals(self):
        """
        Only replies that refuse are refusals; the most frequent comes first.
        """
        run = Run()
        for code, times in ((b"250", 9), (b"450", 2), (b"550", 3)):
            for _ in range(times):
                run.recorder.reply(RCPT, 0.001, code, code + b" 4.2.1 \x1b[31mno\r\nreally\r\n")
        self.assertEqual(
            Course(run).refusals(),
            [
                Kind("rcpt 550", 3, "550 4.2.1 ?[31mno | really"),
                Kind("rcpt 450", 2, "450 4.2.1 ?[31mno | really"),
            ],
        )

    def test_errors(self):
        """
        So are errors, and nothing in their texts can do anything to a terminal.
        """
        run = Run()
        for kind, times in (("timeout", 1), ("connection-lost", 2)):
            for _ in range(times):
                run.recorder.error(kind, f"{kind} \x1b]0;title\x07 \ud800")
        self.assertEqual(
            Course(run).errors(),
            [
                Kind("connection-lost", 2, "connection-lost ?]0;title? ?"),
                Kind("timeout", 1, "timeout ?]0;title? ?"),
            ],
        )


def example(**progress):
    """
    @return: a run in which everything happens.
    """
    run = Run(**{"total": 1000, "asked": 500.0, "askedRate": 125.0, "sessions": 7} | progress)
    recorder = run.recorder
    course = watched(run, 4, accepted=100, took=0.0123)
    recorder.started += 60
    recorder.rejected, recorder.failed, recorder.late, recorder.dropped = 30, 20, 11, 3
    recorder.open, recorder.connectionsLost, recorder.connectionsFailed = 5, 2, 4
    for phase, seconds in ((RESPONSE, 1.5), (LATE, 0.25)):
        recorder.duration(phase, seconds)
    for _ in range(30):
        recorder.reply(MESSAGE, 0.001, b"451", b"451 4.3.0 [red]Disk[/red] full :smile:")
    for _ in range(20):
        recorder.error("connection-lost", "the server closed the connection (waiting for the reply to RCPT)")
    follow(course, run, 1)
    return course


class PictureTests(SynchronousTestCase):
    """
    What is on a terminal.
    """

    def text(self, course, width=99, height=40, **settings):
        """
        @return: the lines, as they are without colors.
        """
        return [text.plain.rstrip() for text in picture(course, width, height, **settings)]

    def test_delivered(self):
        """
        What has come where the server delivers to has a row, and its times are with the others; a line has them too.
        """
        run = Run(delivered=Delivered(500, 0, 0, 500))
        course = watched(run, 4, accepted=100)
        run.now |= {"delivered": Delivered(400, 100, 100, 500), "state": "delivering"}
        run.recorder.duration(DELIVERY, 1.5)
        follow(course, run, 1)
        text = self.text(course)
        self.assertEqual(text[0], "delivering ━━━━━━━━━━──────────────────────────────  25 %  0:05, 0:15 left")
        self.assertIn("delivered  100 arrived, 20.0/s, 300 to come, 500 at most", text)
        self.assertEqual([row.split()[:3] for row in text if row.startswith("delivery ")], [["delivery", "1.50", "s"]])
        for part in ("; 100 arrived, 20.0/s, 300 to come, 500 at most; transaction p50", "; delivery p50 1.50 s, "):
            self.assertIn(part, line(course))

    def test_awaited(self):
        """
        After the load they say what is waited for, and what ends that.
        """
        run = Run(delivered=Delivered(400, 385, 385, 40), state="delivering", awaited=Awaited(15, 3.4, 30.0, 594.8))
        course = watched(run, 1)
        text = self.text(course)
        at = text.index("delivered  385 arrived, 0.0/s, 15 to come, 40 at most") + 1
        row = ["waiting    for 15, silent for 3 s, over after 30 s of silence (--drain-quiet),"]
        row.append("           in 9:55 at the latest (--drain-timeout)")
        self.assertEqual(text[at : at + 2], row)
        said = ["waiting for 15", *(part.strip() for part in row[0].split(",")[1:-1]), row[1].strip()]
        self.assertIn(", ".join(said), line(course))
        run.now["awaited"] = Awaited(0, 0.2, 1.0, 590.0)
        course.look()
        self.assertIn(
            "waiting    for what may come twice, silent for 0 s, over after 1 s of silence", self.text(course)
        )
        run.now["awaited"] = None
        course.look()
        self.assertNotIn("waiting", line(course))

    def test_all(self):
        """
        Every figure is there, each in its place.
        """
        self.assertEqual(
            "\n".join(self.text(example())),
            """\
running    ━━━━━━━━━━━━━━━━━━──────────────────────  45 %  0:05, 0:07 left
rate       80.0/s accepted, 125/s asked, 80.0/s so far
           ████▁
messages   460 started, 400 accepted, 30 rejected, 20 failed, 11 late, 3 dropped
now        5 connections, 7 sessions, 10 on their way, 2 lost, 4 not made
                p50     p90     p95     p99   p99.9     max
response     1.50 s  1.50 s  1.50 s  1.50 s  1.50 s  1.50 s
  last 10 s  1.50 s  1.50 s  1.50 s  1.50 s  1.50 s  1.50 s
transaction 12.3 ms 12.3 ms 12.3 ms 12.3 ms 12.3 ms 12.3 ms
  last 10 s 12.3 ms 12.3 ms 12.3 ms 12.3 ms 12.3 ms 12.3 ms
late         250 ms  250 ms  250 ms  250 ms  250 ms  250 ms
  last 10 s  250 ms  250 ms  250 ms  250 ms  250 ms  250 ms
refused    30
  message 451           30  451 4.3.0 [red]Disk[/red] full :smile:
errors     20
  connection-lost       20  the server closed the connection (waiting for the reply to RCPT)""",
        )

    def test_wrapped(self):
        """
        What goes on in another line has a comma before it, and no line is too long because of that.
        """
        for width in range(20, 100):
            rows = self.text(example(), width)
            begin = next(number for number, row in enumerate(rows) if row.startswith("messages "))
            end = next(number for number, row in enumerate(rows) if row.startswith("now "))
            those = rows[begin:end]
            self.assertLessEqual(max(map(len, those)), max(width, 24))
            self.assertEqual(
                " ".join(row[11:] for row in those),
                "460 started, 400 accepted, 30 rejected, 20 failed, 11 late, 3 dropped",
            )

    def test_hints(self):
        """
        What may be wrong with what was asked for has a line each, in as many as it takes, before what there may be no
        room for.
        """
        hints = ("no banner for 5 s: perhaps --tls implicit", "words " * 14 + "at the end")
        lines = self.text(watched(Run(hints=hints), 1), width=79, height=5)
        self.assertEqual(
            lines[1:4],
            [
                "hint       no banner for 5 s: perhaps --tls implicit",
                "hint       words words words words words words words words words words words",
                "           words words words at the end",
            ],
        )

    def test_search(self):
        """
        A search for a rate: what is tried, between which bounds, how long it will take, and what came of the last step.
        """
        run = Run(search=SEARCHING)
        self.assertEqual(
            [
                "search     step 4, about 1:05 left: 283/s (bisect), 200/s kept it, 400/s did not",
                "           step 3 (climb): 400/s did not: 412 ms",
            ],
            self.text(watched(run, 1))[1:3],
        )
        run.now["search"] = Searching(1, 100.0, "climb", None, None, None, ())
        self.assertEqual(
            "search     step 1: 100/s (climb), nothing is known yet", self.text(watched(run, 1, accepted=1))[1]
        )

    def test_exercise(self):
        """
        What is counted has its name.
        """
        for exercise, label in (("connect", "connections "), ("noop", "NOOPs      ")):
            shown = self.text(watched(Run(exercise=exercise), 1))
            self.assertEqual(1, sum(line.startswith(f"{label}0 started, ") for line in shown), shown)

    def test_narrow(self):
        """
        In 60 columns nothing but samples is cut off: what does not fit in a line has another.
        """
        lines = self.text(example(), width=59)
        self.assertIn(
            "messages   460 started, 400 accepted, 30 rejected,\n           20 failed, 11 late", "\n".join(lines)
        )
        for text in lines:
            if "451" not in text and "connection-lost" not in text:
                self.assertLessEqual(len(text), 59)

    def test_ascii(self):
        """
        A terminal without Unicode has a bar and heights of ASCII characters.
        """
        lines = self.text(example(), unicode=False)
        self.assertTrue("".join(lines).isascii(), lines)
        self.assertIn("running    ##################----------------------  45 %  0:05, 0:07 left", lines)
        self.assertIn("           @@@@_", lines)

    def test_endless(self):
        """
        Without an end there is no bar.
        """
        run = Run(state="warm-up")
        self.assertEqual(self.text(watched(run, 62))[0], "warm-up    1:02")
        self.assertEqual(self.text(watched(run, 3600))[0], "warm-up    1:01:02")

    def test_closedLoop(self):
        """
        Without a schedule nothing is asked for, late or dropped.
        """
        text = "\n".join(self.text(example(asked=None, askedRate=None)))
        self.assertNotIn("asked", text)
        self.assertNotIn("dropped", text)

    def test_manyKinds(self):
        """
        When there is not room for all kinds, the last line counts the others.
        """
        run = Run()
        for number in range(30):
            for _ in range(number + 1):
                run.recorder.reply(MAIL, 0.001, b"4%02d" % number, b"no")
            run.recorder.error(f"kind-{number:02}", "text")
        lines = self.text(Course(run), height=24)
        self.assertEqual(len(lines), 24)
        self.assertIn("refused    465", lines)
        self.assertIn("  mail 429              30  no", lines)
        others = [text for text in lines if "other kinds" in text]
        self.assertEqual(len(others), 2)
        shown = sum(int(text.split()[2]) for text in lines if text.startswith("  mail"))
        self.assertEqual(shown + int(others[0].rpartition(" ")[2]), 465)

    def test_80(self):
        """
        On a terminal of 80 columns nothing is cut, whatever a run does, but the texts of others.
        """
        steps = [Step("confirm", 12345.5, 12000.0, False, "p99(response): 1.23456 s, errors: 12.3456% (7 of 56)")] * 12
        search = Searching(13, 11999.5, "confirm", 11000.0, 12345.5, 3599.0, steps)
        run = Run(
            search=search,
            asked=1e7,
            askedRate=12345.5,
            overdue=1234567,
            hints=("no banner for 5 s: perhaps the server waits for TLS on this port: --tls implicit",),
            delivered=Delivered(12345678, 1234567, 1234567, 12345678),
            awaited=Awaited(11111111, 29.0, 30.0, 86399.0),
        )
        run.percentiles = (1, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 99.999)
        names = ("started", "accepted", "rejected", "failed", "late", "dropped", "open")
        for name in (*names, "connectionsLost", "connectionsFailed"):
            setattr(run.recorder, name, 12345678)
        for phase in (TRANSACTION, DELIVERY):
            run.recorder.duration(phase, 1.5)
        lines = self.text(watched(run, 86399), width=79, height=60)
        self.assertLessEqual(max(map(len, lines)), 79, lines)
        told = " ".join(" ".join(lines).split())
        for words in ("11999.5/s (confirm), 11000/s kept it, 12345.5/s did not", "p99.99 p99.999 max", steps[0].actual):
            self.assertIn(words, told)

    @given(
        st.integers(1, 200),
        st.integers(1, 60),
        st.lists(st.integers(0, 10**9), min_size=12, max_size=12),
        st.lists(st.text(max_size=100), max_size=12),
        st.sampled_from([None, 0.001, 1000.0, 1e9]),
        st.booleans(),
    )
    def test_any(self, width, height, numbers, texts, asked, unicode):
        """
        Whatever happens, and however small the terminal is, there are no more lines than it has, and no line has a line
        end or anything that a terminal would obey.
        """
        run = Run(total=numbers[0] or None, duration=float(numbers[1]) or None, asked=asked, askedRate=asked)
        recorder = run.recorder
        (recorder.started, recorder.accepted, recorder.rejected, recorder.failed, recorder.late) = numbers[2:7]
        (recorder.dropped, recorder.open, recorder.connectionsLost, recorder.connectionsFailed) = numbers[7:11]
        for number, text in enumerate(texts):
            recorder.error(f"kind-{number}", text)
            recorder.reply(number, 0.5, b"55%d" % (number % 10), text.encode("utf-8", "surrogatepass"))
        run.now["at"] = float(numbers[11])
        course = watched(run, 1)
        lines = self.text(course, width, height, unicode=unicode)
        self.assertLessEqual(len(lines), height)
        self.assertTrue(all(text.isprintable() for text in lines), lines)
        self.assertTrue(line(course).isprintable(), line(course))


class PeriodicTests(SynchronousTestCase):
    """
    When something is shown.
    """

    def setUp(self):
        self.clock = Clock()
        self.screen = Screen()
        self.run_ = Run()

    def start(self, costs):
        """
        @return: a picture, the computing of which takes so many seconds.
        """
        times = iter([0.0, costs / 2] * 1000)
        shown = Picture(self.clock, self.run_, self.screen, lambda: next(times))
        shown.start()
        return shown

    def test_often(self):
        """
        A picture comes four times a second.
        """
        self.start(0.001)
        self.clock.pump([0.0625] * 64)
        self.assertEqual(len(self.screen.shown), 16)

    def test_expensive(self):
        """
        One that takes long comes less often: no more than a hundredth of the time is spent on it.
        """
        self.start(0.02)
        self.clock.pump([0.0625] * 164)
        self.assertEqual(len(self.screen.shown), 6)

    def test_stop(self):
        """
        At the end the terminal is told, and nothing is left for the reactor.
        """
        shown = self.start(0.001)
        self.clock.advance(0.25)
        shown.stop()
        self.assertEqual((self.screen.closed, self.clock.getDelayedCalls()), (1, []))

    def test_notNow(self):
        """
        While the terminal takes nothing, nothing is drawn; later it is.
        """
        shown = self.start(0.001)
        self.screen.offered = None
        self.clock.advance(0.25)
        self.assertEqual(self.screen.shown, [])
        self.screen.offered = (80, 24)
        self.clock.advance(0.25)
        self.assertEqual(len(self.screen.shown), 1)
        shown.stop()

    def test_tiny(self):
        """
        A terminal of one line or column gets what fits.
        """
        shown = self.start(0.001)
        for size in ((80, 1), (1, 24), (1, 1), (2, 2)):
            self.screen.offered = size
            self.clock.advance(0.25)
            self.assertLessEqual(len(self.screen.shown[-1]), max(1, size[1] - 1))
            for text in self.screen.shown[-1]:
                self.assertLessEqual(cell_len(re.sub(r"\x1b\[[0-9;]*m", "", text)), max(1, size[0] - 1))
        shown.stop()

    def test_lines(self):
        """
        Lines come once a second, each with all that matters.
        """
        said = []
        self.run_.now |= {"asked": 10.0, "askedRate": 125.0}
        shown = Lines(self.clock, self.run_, said.append, clock=self.clock.seconds)
        shown.start()
        for _ in range(12):
            self.clock.advance(0.25)
            self.run_.now["at"] += 0.25
            self.run_.accept(25)
        shown.stop()
        self.assertEqual(len(said), 3)
        self.assertEqual(
            said[-1],
            "0:02 running; 100/s accepted, 125/s asked, 100/s so far; 275 started, 275 accepted, 0 rejected, 0 failed, "
            "0 late, 0 dropped; 0 connections, 1 session, 0 on their way; transaction p50 1.00 ms, p90 1.00 ms, "
            "p95 1.00 ms, p99 1.00 ms, p99.9 1.00 ms, max 1.00 ms in the last 10 s\n",
        )
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_steps(self):
        """
        Where nobody has asked for it, a search says each of its steps once, the last of them when it is over.
        """
        said = []
        self.run_.now["search"] = SEARCHING
        shown = Steps(self.clock, self.run_, said.append)
        shown.start()
        self.clock.pump([0.5] * 7)
        self.assertEqual(
            [
                "step 1 (climb): 100/s kept it: 12 ms\n",
                "step 2 (climb): 200/s kept it: 20 ms\n",
                "step 3 (climb): 400/s did not: 412 ms\n",
            ],
            said,
        )
        last = Step("bisect", 283.0, 283.0, True, "30 ms")
        self.run_.now["search"] = replace(SEARCHING, steps=(*SEARCHING.steps, last))
        shown.stop()
        self.assertEqual(["step 4 (bisect): 283/s kept it: 30 ms\n"], said[3:])


class PresentationTests(SynchronousTestCase):
    """
    What is shown of which run.
    """

    def start(self, live, terminal):
        """
        @return: what was scheduled, and what came to standard error.
        """
        clock = Clock()
        stream = io.StringIO()
        stream.isatty = lambda: terminal
        self.patch(sys, "__stderr__", stream)
        stop = Presentation("smtp-source", live=live).startView(clock, Run())
        calls = len(clock.getDelayedCalls())
        clock.pump([0.5] * 3)
        stop()
        self.assertEqual(clock.getDelayedCalls(), [])
        return calls, stream.getvalue()

    def test_remark(self):
        """
        What the picture has as well is said where there is none: not yet, no longer, or none that can be seen.
        """
        clock, stream, screen = Clock(), io.StringIO(), Screen()
        stream.isatty = lambda: True
        self.patch(sys, "__stderr__", stream)
        presentation = Presentation("smtp-source", live="on")
        self.patch(view, "view", lambda reactor, source, *_: Picture(reactor, source, screen, lambda: 0.0))
        presentation.remark("0")
        stop = presentation.startView(clock, Run())
        presentation.remark("1")
        clock.advance(0.5)
        presentation.remark("2")
        screen.drawn = False
        presentation.remark("3")
        screen.drawn = True
        stop()
        presentation.remark("4")
        self.assertEqual(stream.getvalue(), "".join(f"smtp-source: {n}\n" for n in "0134"))

    def test_pipe(self):
        """
        By default nothing is shown where nobody sees it, and rich isn't even imported.
        """
        with mock.patch.dict(sys.modules, {"smtpsource.report.live.view": None}):
            self.assertEqual(self.start("auto", False), (0, ""))
            self.assertEqual(self.start("off", True), (0, ""))

    def test_lines(self):
        """
        C{on} is a line a second there.
        """
        calls, text = self.start("on", False)
        self.assertEqual(calls, 1)
        self.assertRegex(text, r"\A0:00 running; [^\n]+\n\Z")


class TerminalTests(SynchronousTestCase):
    """
    A terminal, for which nobody waits.
    """

    def setUp(self):
        self.master, self.slave = os.openpty()
        self.addCleanup(os.close, self.master)
        tty.setraw(self.slave)
        os.set_blocking(self.master, False)
        self.resize(40, 10)
        self.stream = os.fdopen(self.slave, "w", encoding="utf-8")
        self.addCleanup(self.stream.close)
        self.emulator = pyte.Screen(40, 10)
        self.parser = pyte.ByteStream(self.emulator)

    def resize(self, columns, lines):
        """
        The terminal's window has another size.
        """
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def open(self):
        """
        @return: the terminal.
        """
        terminal = Terminal(self.stream)
        self.addCleanup(terminal.close, 0)
        return terminal

    def screen(self):
        """
        @return: what is to be seen, without empty lines at the end.
        """
        try:
            while True:
                self.parser.feed(os.read(self.master, 65536))
        except BlockingIOError:
            pass
        return "\n".join(text.rstrip() for text in self.emulator.display).rstrip("\n").split("\n")

    def test_draw(self):
        """
        Each picture stands in the place of the one before, whichever is higher, and what was there before stays.
        """
        self.stream.write("$ command\r\n")
        self.stream.flush()
        terminal = self.open()
        for lines in (["a", "b"], ["longer"], ["1", "2", "3"]):
            terminal.draw(lines)
            self.assertEqual(self.screen(), ["$ command", *lines])
        self.assertFalse(self.emulator.cursor.hidden)
        terminal.close()
        self.assertEqual(self.screen(), ["$ command"])
        self.assertEqual((self.emulator.cursor.x, self.emulator.cursor.y), (0, 1))

    def test_bottom(self):
        """
        At the bottom of the screen it scrolls once, not each time.
        """
        self.stream.write("".join(f"{number}\r\n" for number in range(9)))
        self.stream.flush()
        terminal = self.open()
        for _ in range(3):
            terminal.draw(["a", "b", "c"])
        self.assertEqual(self.screen(), ["3", "4", "5", "6", "7", "8", "a", "b", "c"])
        terminal.close()
        self.assertEqual(self.screen(), ["3", "4", "5", "6", "7", "8"])

    def test_tooLong(self):
        """
        A line that is longer than it should be, as some terminals see it, does not become two.
        """
        terminal = self.open()
        for _ in range(2):
            terminal.draw(["x" * 50, "y"])
            self.assertEqual(self.screen(), ["x" * 40, "y"])
        self.stream.write("z" * 50)
        self.stream.flush()
        self.assertEqual(self.screen(), ["x" * 40, "y", "z" * 40, "z" * 10])

    def test_size(self):
        """
        The size is that of the window, as it is now; while it changes nothing is drawn.
        """
        terminal = self.open()
        self.assertEqual(terminal.size(), (40, 10))
        self.resize(60, 20)
        self.assertEqual([terminal.size(), terminal.size()], [None, (60, 20)])
        self.resize(0, 0)
        self.assertEqual([terminal.size(), terminal.size()], [None, (80, 24)])

    def test_stopped(self):
        """
        A terminal that takes nothing any more is not waited for; when it does again, it gets the rest of what it has
        taken a part of, and then the newest.
        """
        terminal = self.open()
        number = 0
        while terminal.size() is not None:
            number += 1
            self.assertLess(number, 10_000)
            terminal.draw([f"{number}" * 5] * 9)
        self.assertIsNone(terminal.size())
        stuck = number
        for _ in range(1000):
            if terminal.size() is not None:
                break
            self.screen()
        self.assertEqual(self.screen(), [f"{stuck}" * 5] * 9)
        terminal.draw(["newest"])
        self.assertEqual(self.screen(), ["newest"])

    def test_stoppedForGood(self):
        """
        It can be closed all the same, and what else is written to it is not affected by how it was written to here.
        """
        terminal = self.open()
        while terminal.size() is not None:
            terminal.draw(["x" * 39] * 9)
        terminal.close(0.05)
        self.assertTrue(os.get_blocking(self.slave))

    def test_nameless(self):
        """
        A terminal that can't be found by its name will do, and isn't waited for either.
        """
        self.patch(os, "ttyname", mock.Mock(side_effect=OSError(19, "No such device")))
        terminal = self.open()
        terminal.draw(["a"])
        self.assertEqual(self.screen(), ["a"])
        for _ in range(10_000):
            if terminal.size() is None:
                break
            terminal.draw(["x" * 39] * 9)
        self.assertIsNone(terminal.size())
        terminal.close(0)
        self.assertEqual(self.stream.isatty(), True)

    def test_gone(self):
        """
        A terminal that is closed, as a window can be, is no reason for anything.
        """
        terminal = self.open()
        terminal.draw(["a"])
        os.close(self.master)
        for _ in range(3):
            terminal.size()
            terminal.draw(["b"])
        terminal.close()
        self.master = os.dup(self.slave)

    def test_say(self):
        """
        On a terminal that only has lines, lines follow each other.
        """
        terminal = self.open()
        for text in ("one\r\n", "two\r\n"):
            terminal.say(text)
        terminal.close()
        self.assertEqual(self.screen(), ["one", "two"])

    def test_encoding(self):
        """
        A terminal without Unicode says so, and gets nothing that it can't show.
        """
        for encoding, unicode in (("utf-8", True), ("UTF8", True), ("ascii", False), ("iso8859-1", False)):
            self.stream.reconfigure(encoding=encoding)
            terminal = self.open()
            self.assertEqual(terminal.unicode, unicode)
            terminal.draw(["\u4e16"])
            terminal.close(0)

    def test_types(self):
        """
        On a terminal of no type, or of one that says that it is none, the cursor can't be moved.
        """
        self.assertEqual([isCapable(each) for each in (None, "", "dumb", "unknown")], [False] * 4)
        self.assertEqual([isCapable(each) for each in ("xterm", "linux", "screen-256color")], [True] * 3)


class LiveTestCase(ServingMixin, TestCase):
    """
    Runs on a terminal.
    """

    timeout = TEST_LIMIT

    def start(self, *arguments, columns=80, lines=24, script=None, env=None):
        """
        @return: a command on a terminal of this size.
        """
        environment = {"TERM": "xterm-256color", "NO_COLOR": None, "LC_ALL": "C.UTF-8", **(env or {})}
        if script is None:
            command = smtpsource(self, *arguments, terminal=True, env=environment)
        else:
            shell = ["/bin/sh", "-c", script, "sh", sys.executable, "-m", "smtpsource", *arguments]
            command = Command(self, shell, terminal=True, env=environment)
        self.resize(command, columns, lines)
        return command

    def resize(self, command, columns, lines):
        """
        The window of a command's terminal has another size.
        """
        fcntl.ioctl(command.transport.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        command.emulator = pyte.Screen(columns, lines)
        command.parser = pyte.ByteStream(command.emulator)
        command.parsed = 0

    def screen(self, command):
        """
        @return: the lines to be seen on its terminal, when the last picture was complete.
        """
        new = bytes(command.out[command.parsed :])
        begun = new.rfind(b"\x1b[?7l")
        if begun > new.rfind(b"\x1b[?7h"):
            new = new[:begun]
        command.parsed += len(new)
        command.parser.feed(new)
        return [text.rstrip() for text in command.emulator.display]

    def whenSeen(self, command, *texts):
        """
        @return: a L{defer.Deferred} that fires when all of these are to be seen.
        """
        return eventually(
            lambda: all(text in "\n".join(self.screen(command)) for text in texts),
            f"{texts} in {self.screen(command)}",
        )

    def assertEnded(self, command, result, status, summary):
        """
        It has ended with this status and summary, and nothing is left of what was seen before.
        """
        self.assertEqual(result.status, status, result)
        self.assertNotIn(b"Traceback", result.out)
        last = "\n".join(self.screen(command))
        self.assertFalse(command.emulator.cursor.hidden)
        self.assertIn(pyte.modes.DECAWM, command.emulator.mode)
        self.assertIn(summary, last)
        self.assertNotIn(" so far", last)
        self.assertNotIn("last 10 s", last)


class LiveTests(LiveTestCase):
    """
    C{--live}, as its users meet it.
    """

    @defer.inlineCallbacks
    def test_picture(self):
        """
        On a terminal there are a bar, the time that is left, rates, percentiles, and each kind of refusal and error
        with a sample. Ctrl-C ends the run in order: all of it makes way for the summary, and the status is 1.
        """
        server = self.serve({"RCPT": [None, "450 4.2.1 [red]Mailbox[/red] is busy", None, CLOSE]})
        command = self.start("-A", "-s", "2", "-w", "0.02", "-m", "100k", server.destination, lines=60)
        yield self.whenSeen(
            command,
            " %  0:0",
            " left",
            "/s so far",
            "p50     p90     p95     p99   p99.9     max",
            "last 10 s",
            "2 sessions",
            "  rcpt 450               1  450 4.2.1 [red]Mailbox[/red] is busy",
            "  connection-lost        1  the server closed the connection",
        )
        self.assertIn(b"\x1b[31merrors", command.out)
        command.transport.write(b"\x03")
        result = yield command.whenEnded()
        self.assertEnded(command, result, 1, "stopped before its end")
        self.assertIn("  the first one", "\n".join(self.screen(command)))

    @defer.inlineCallbacks
    def test_summaries(self):
        """
        The summary of any run fits into 80 columns, the verdict is first and in its color; in 100 columns it is as wide
        as it is useful. Without a terminal it is plain.
        """
        server = self.serve({"RCPT": [None, "450 4.2.1 Mailbox is busy, and will be for a while: try again later"]})
        many = ",".join(f"p{n}" for n in range(5, 100, 5))
        for arguments, status, verdict in (
            (("-d", "-s", "4", "-m", "40", "sink:"), 0, "32mpassed "),
            (("-v", "-d", "-m", "2", "sink:"), 0, "32mpassed "),
            (("--workers", "2", "-s", "4", "-m", "40", "--percentiles", many, "sink:"), 0, "32mpassed "),
            (("--rate", "100", "-m", "20", "--threshold", "p99(response) < 1us", "sink:"), 3, "1;31mFAILED "),
            (("-A", "-m", "4", server.destination), 1, "1;31mFAILED "),
            (("--find-rate", "p99(response) < 1us", "--hold-step", "0.1", "--rate", "99", "sink:"), 3, "1;31mfound "),
            (("--noop", "-m", "5", "sink:"), 0, "32mpassed "),
            (("--connect-only", "-m", "5", "sink:"), 0, "32mpassed "),
        ):
            command = self.start("--live", "off", *arguments)
            result = yield command.whenEnded()
            self.assertEqual(result.status, status, result.out)
            lines = result.out.decode().replace("\r", "").splitlines()
            begin = next(number for number, text in enumerate(lines) if text.startswith(f"\x1b[{verdict}"))
            plain = [re.sub("\x1b\\[[0-9;]*m", "", text) for text in lines[begin:]]
            self.assertLessEqual(max(map(len, plain)), 79, plain)
            self.assertNotIn("\x1b", "".join(plain))
            self.assertEqual("-v" in arguments, not any(text.startswith("with -v ") for text in plain), plain)
            if status == 0 and "-v" not in arguments and many not in arguments:
                self.assertLessEqual(len(plain), 25, plain)
        piped = yield smtpsource(self, "-d", "-m", "2", "sink:").whenEnded()
        self.assertTrue(piped.out.startswith(b"passed       all 2 messages accepted\n"), piped.out)
        self.assertNotIn(b"\x1b", piped.out)

    @defer.inlineCallbacks
    def test_summaryElsewhere(self):
        """
        The picture is on standard error: the summary in a file is the summary and nothing else.
        """
        server = self.serve()
        script = 'echo before; "$@" > out; echo "status $?"'
        command = self.start("-w", "0.1", "-d", "-m", "12", server.destination, script=script)
        yield command.whenPrinted(rb" so far")
        result = yield command.whenEnded()
        self.assertEqual(result.status, 0)
        text = (command.directory / "out").read_text()
        self.assertRegex(text, r"\Apassed       all 12 messages accepted")
        self.assertNotIn("\x1b", text)
        self.assertEqual([each for each in self.screen(command) if each], ["before", "status 0"])

    @defer.inlineCallbacks
    def test_reportOnStandardOutput(self):
        """
        C{--report -} is as whole as ever; the summary follows the picture.
        """
        server = self.serve()
        command = self.start(
            "-w", "0.1", "-d", "-m", "12", "--report", "-", server.destination, script='"$@" > out', lines=40
        )
        yield command.whenPrinted(rb" so far")
        result = yield command.whenEnded()
        self.assertEnded(command, result, 0, "messages     12 started, 12 accepted")
        self.assertRegex((command.directory / "out").read_text(), r"\A\{\n")

    @defer.inlineCallbacks
    def test_narrow(self):
        """
        In 60 columns every figure is there.
        """
        server = self.serve({"RCPT": [None, "450 4.2.1 " + "No " * 50]})
        command = self.start("-A", "--rate", "50", "-s", "5", "-m", "1k", server.destination, columns=60)
        yield self.whenSeen(command, " left", "50.0/s asked", "0 dropped", "transaction", "rcpt 450", "…")
        command.transport.write(b"\x03")
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1)

    @defer.inlineCallbacks
    def test_strangeTexts(self):
        """
        Whatever a server says, wide, combining or meant for the terminal, every line stays where it is.
        """
        texts = [
            "\u4e16\u754c" * 60,
            "e\u0301" * 90,
            "\u05d0\u202e \x1b[2J\x1b[H\x9b2J \t\x07",
            "\U0001f468\u200d" * 40,
        ]
        server = self.serve({"RCPT": [f"45{number} {text}" for number, text in enumerate(texts)]})
        command = self.start("-A", "-w", "0.05", "-m", "10k", server.destination, columns=60)
        yield self.whenSeen(command, "refused    4", "transaction", "last 10 s")
        for _ in range(4):
            drawn = command.out.count(b"\x1b[?7h")
            yield eventually(lambda drawn=drawn: command.out.count(b"\x1b[?7h") > drawn, "another picture")
            seen = self.screen(command)
            for number, start in enumerate(("running ", "rate ")):
                self.assertTrue(seen[number].startswith(start), seen)
            first = seen.index("refused    4")
            for number, text in enumerate(seen[first + 1 : first + 5]):
                self.assertRegex(text, rf"\A  rcpt 45{number} +1  45{number} ")
            self.assertEqual([text for text in seen[first + 5 :] if text], [])
        command.transport.write(b"\x03")
        result = yield command.whenEnded()
        self.assertNotIn(b"\x1b[2J", result.out)

    @defer.inlineCallbacks
    def test_resized(self):
        """
        When the window has another size, the next pictures fit into it.
        """
        server = self.serve()
        command = self.start("-w", "0.05", "-d", "-m", "10k", server.destination)
        yield self.whenSeen(command, " left", "last 10 s")
        self.resize(command, 50, 6)
        # Only what comes after it is of that size.
        yield eventually(lambda: self.pictures(command)[-1:] and len(self.pictures(command)[-1]) == 5, "a lower one")
        self.assertTrue(all(len(text) < 50 for text in self.pictures(command)[-1]), self.pictures(command)[-1])
        command.transport.write(b"\x03")
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1)

    def pictures(self, command):
        """
        @return: the lines of each picture that was drawn as a whole.
        """
        found = re.findall(r"\x1b\[\?7l(.*?)\x1b\[J\x1b\[\?7h", command.out.decode("utf-8", "ignore"), re.DOTALL)
        plain = [re.sub(r"\x1b\[[0-9;]*[mK]", "", text) for text in found]
        return [text.split("\r\n")[:-1] for text in plain]

    @defer.inlineCallbacks
    def test_noColor(self):
        """
        With NO_COLOR there is a picture without colors.
        """
        server = self.serve()
        command = self.start("-w", "0.1", "-d", "-m", "12", server.destination, env={"NO_COLOR": "1"})
        yield command.whenPrinted(rb" so far")
        result = yield command.whenEnded()
        self.assertEqual(result.status, 0)
        self.assertNotRegex(result.out, rb"\x1b\[[0-9;]*[34][0-9][0-9;]*m")

    @defer.inlineCallbacks
    def test_dumb(self):
        """
        On a terminal that can't move its cursor there is a line a second.
        """
        server = self.serve()
        command = self.start("-w", "0.25", "-d", "-m", "12", server.destination, env={"TERM": "dumb"}, columns=200)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 0)
        self.assertNotIn(b"\x1b", result.out)
        self.assertRegex(
            result.out, rb"\A(\d:\d\d running; [^\n]*/s accepted, [^\n]*\n){2,}passed       all 12 messages accepted"
        )

    @defer.inlineCallbacks
    def test_ascii(self):
        """
        A terminal without Unicode gets none.
        """
        server = self.serve({"MAIL": ["451 4.3.0 \u4e16\u754c", None]})
        env = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
        command = self.start("-A", "-w", "0.01", "-d", "-m", "1k", server.destination, env=env)
        yield self.whenSeen(command, "#-", "mail 451 ", "\\u4e16")
        command.transport.write(b"\x03")
        result = yield command.whenEnded()
        self.assertTrue(result.out.isascii())

    @defer.inlineCallbacks
    def test_secondInterrupt(self):
        """
        A second Ctrl-C ends the process at once; the terminal is as it was.
        """
        server = self.serve({".": [SILENCE]})
        command = self.start("--grace", "10000", "-m", "9", server.destination)
        yield self.whenSeen(command, "1 on their way")
        command.transport.write(b"\x03")
        yield self.whenSeen(command, "draining")
        command.transport.write(b"\x03")
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1)
        self.screen(command)
        self.assertFalse(command.emulator.cursor.hidden)
        self.assertIn(pyte.modes.DECAWM, command.emulator.mode)

    @defer.inlineCallbacks
    def test_fault(self):
        """
        When a fault ends the run, its line and the summary are all that stays.
        """
        server = self.serve({"DATA": [None] * 5 + ["451 4.3.0 Disk full"]})
        command = self.start("-w", "0.1", "-d", "-m", "1000", server.destination, lines=60)
        yield command.whenPrinted(rb" so far")
        result = yield command.whenEnded()
        words = (
            "smtpsource: data refused: 451 4.3.0 Disk full\n"
            "FAILED       ended before its time: data refused: 451 4.3.0 Disk full\n\nmessages     6 started"
        )
        self.assertEnded(command, result, 1, words)

    @defer.inlineCallbacks
    def test_otherOutput(self):
        """
        With C{-c}, C{-v}, C{--quiet} and C{--live off} there is no picture: what was there before is as it was.
        """
        for arguments, pattern in (
            (["-c"], rb"\A(\d\r)+\r\npassed "),
            (["-v"], rb"\A<<< 220 "),
            (["--quiet"], rb"\A\Z"),
            (["--live", "off"], rb"\Apassed "),
        ):
            server = self.serve()
            command = self.start(*arguments, "-w", "0.2", "-d", "-m", "4", server.destination)
            result = yield command.whenEnded()
            # The summary has colors, and that is all.
            out = re.sub(rb"\x1b\[[0-9;]*m", b"", result.out)
            self.assertRegex(out, pattern)
            self.assertNotIn(b"\x1b", out)

    @defer.inlineCallbacks
    def test_quietOn(self):
        """
        C{--quiet --live on}: a picture, and nothing after it.
        """
        server = self.serve()
        command = self.start("--quiet", "--live", "on", "-w", "0.2", "-d", "-m", "5", server.destination)
        yield command.whenPrinted(rb" so far")
        result = yield command.whenEnded()
        self.assertEqual(result.status, 0)
        self.assertEqual([text for text in self.screen(command) if text], [])

    @defer.inlineCallbacks
    def test_background(self):
        """
        Nothing is drawn while the terminal is somebody else's.
        """
        server = self.serve()
        script = 'set -m; "$@" & wait $!; echo "status $?"'
        command = self.start("-w", "0.2", "-d", "-m", "5", server.destination, script=script, lines=60)
        result = yield command.whenEnded()
        self.assertNotIn(b" so far", result.out)
        self.assertIn(b"messages     5 started", result.out)
        self.assertIn(b"status 0", result.out)

    @defer.inlineCallbacks
    def test_piped(self):
        """
        Where standard error is no terminal nothing is shown; with C{--live on} a line a second is.
        """
        server = self.serve()
        arguments = ["-w", "0.25", "-d", "-m", "12", server.destination]
        result = yield smtpsource(self, *arguments).whenEnded()
        self.assertEqual((result.status, result.err), (0, b""))
        result = yield smtpsource(self, "--live", "on", *arguments).whenEnded()
        self.assertEqual(result.status, 0)
        self.assertRegex(result.err, rb"\A(\d:\d\d running; [^\n\x1b]*/s accepted, [^\n\x1b]*\n){2,}\Z")
        self.assertRegex(result.out, rb"\Apassed       all 12 messages accepted")

    @defer.inlineCallbacks
    def test_searchPiped(self):
        """
        A search for a rate has a line for each step, where there is no terminal; and none with C{--quiet}.
        """
        options = ["--find-rate", "rate >= 0.3 * asked", "--hold-step", "0.1", "--rate", "100k", "-d", "-s", "1"]
        server = self.serve()
        result = yield smtpsource(self, *options, server.destination).whenEnded()
        self.assertEqual(0, result.status, result)
        lines = result.err.decode().splitlines()
        self.assertRegex(lines[0], r"\Astep 1 \(climb\): 100000/s did not: ")
        self.assertEqual(
            [f"step {number}" for number in range(1, len(lines) + 1)], [x.partition(" (")[0] for x in lines]
        )
        self.assertRegex(result.out, rb"\Afound        [0-9.]+ messages/s kept the promise (?:twice|\d of \d times), ")
        result = yield smtpsource(self, *options, "--quiet", server.destination).whenEnded()
        self.assertEqual((0, b"", b""), (result.status, result.out, result.err))

    @defer.inlineCallbacks
    def test_stuckTerminal(self):
        """
        A terminal that takes nothing, as after Ctrl-S, does not keep the run from going on or ending.
        """
        server = self.serve()
        program = (
            "import os, subprocess, sys\n"
            "master, slave = os.openpty()\n"
            "os.set_blocking(slave, False)\n"
            "try:\n"
            "    while True: os.write(slave, b'x' * 1000)\n"
            "except BlockingIOError: pass\n"
            "os.set_blocking(slave, True)\n"
            "done = subprocess.run([sys.executable, '-m', 'smtpsource', *sys.argv[1:]], stderr=slave)\n"
            "print('status', done.returncode)\n"
        )
        arguments = ["-w", "0.2", "-d", "-m", "8", "--live", "on", server.destination]
        command = python(self, "-c", program, *arguments, env={"TERM": "xterm", "PYTHONPATH": str(ROOT)})
        result = yield command.whenEnded()
        self.assertRegex(result.out, rb"(?s)\Apassed       all 8 messages accepted.*status 0\n\Z")

    @defer.inlineCallbacks
    def test_twistd(self):
        """
        A terminal of C{twistd -n} has the log: a picture is there only when it is asked for.
        """
        server = self.serve()
        for arguments, seen in (([], False), (["--live", "on"], True)):
            arguments = ["-n", "--pidfile=", "smtp-source", *arguments, "-w", "0.2", "-d", "-m", "5"]
            env = {"TERM": "xterm", "LC_ALL": "C.UTF-8"}
            command = twistd(self, *arguments, server.destination, terminal=True, env=env)
            self.resize(command, 80, 60)
            result = yield command.whenEnded()
            self.assertEqual(result.status, 0)
            self.assertEqual(b" so far" in result.out, seen)
            self.assertIn("messages     5 started", "\n".join(self.screen(command)))

    @defer.inlineCallbacks
    def test_terminate(self):
        """
        SIGTERM ends it in order, too.
        """
        server = self.serve()
        command = self.start("-w", "0.1", "-d", "-m", "10k", server.destination, lines=60)
        yield command.whenPrinted(rb" so far")
        command.signal(signal.SIGTERM)
        result = yield command.whenEnded()
        self.assertEnded(command, result, 1, "stopped before its end")
