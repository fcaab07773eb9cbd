"""
Tests for L{smtpsource.report.growing}: files that are written while a run goes on.
"""

from __future__ import annotations

import csv
import errno
import os
import signal
import threading
from pathlib import Path
from unittest import mock

from commandlines import CommandTestCase
from hypothesis import strategies as st
from patience import TEST_LIMIT
from peers import eventually
from properties import given
from results import example, second
from subprocesses import smtpsource
from twisted.internet import defer
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.beside.things import Thing, figuresOf
from smtpsource.measure.marks import Mark
from smtpsource.process.streams import Patience
from smtpsource.report import csvfile, growing
from smtpsource.report.growing import GrowingFile


class Run:
    """
    A run that goes on as a test says.
    """

    def __init__(self, warmUp=0.0):
        self.warmUp = warmUp
        self.marks = []
        self.samples = []
        self.listeners = []

    def onFrame(self, listener):
        self.listeners.append(listener)

    @property
    def latest(self):
        return self.samples[-1]

    def second(self, epoch=0, **values):
        """
        One has passed.
        """
        self.samples.append(second(len(self.samples) + 1, **values))
        for listener in self.listeners:
            listener(mock.Mock(epoch=epoch))

    def table(self, **values):
        """
        @return: what is written in the end.
        """
        return csvfile.lines(example(series=self.samples, marks=self.marks, **values))


class GrowingTests(SynchronousTestCase):
    """
    A file of a run.
    """

    def setUp(self):
        self.path = os.path.abspath(self.mktemp())
        self.file = GrowingFile(self.path)

    def text(self):
        return Path(self.path).read_text()

    def written(self, wanted):
        """
        Wait until all of it is in the file.
        """
        done = threading.Event()
        for _ in range(int(TEST_LIMIT / 0.01)):
            if os.path.exists(self.path) and self.text() == wanted:
                return
            done.wait(0.01)
        self.assertEqual(self.text(), wanted)

    def follow(self, **values):
        run = Run(**values)
        self.told = []
        self.file.follow(run, csvfile.Growing(run), self.told.append)
        return run

    def test_rows(self):
        """
        Each second has its row as soon as it is over, with its marks; the whole file is the same, and no other one.
        """
        run = self.follow()
        run.second(watched={"rss": 1.0})
        self.written("".join(run.table()))
        run.marks += [Mark(-1.0, "warm"), Mark(1.5, "a, b"), Mark(1.6, "c")]
        run.second(watched={"rss": 2.0})
        run.second()
        self.written("".join(run.table()))
        inode = os.stat(self.path).st_ino
        run.samples.append(second(3.25, seconds=0.25))
        self.file.finish(run.table())
        self.assertEqual(self.text(), "".join(run.table()))
        self.assertEqual(os.stat(self.path).st_ino, inode)

    def test_moreWatched(self):
        """
        What is watched later than in the first second has a column in the end.
        """
        run = self.follow()
        run.second()
        run.second(watched={"rss": 2.0})
        self.file.finish(run.table())
        self.assertEqual(self.text(), "".join(run.table()))
        self.assertIn(",rss\n", self.text())

    def test_rate(self):
        """
        What is to be watched has its column from the first row on, though a rate is not known before there were two
        looks; so it is the same file in the end.
        """
        run = Run()
        self.file.follow(run, csvfile.Growing(run, figuresOf([Thing("x", "pid", {})])), self.fail)
        run.second(watched={"x rss": 1.0, "x threads": 1, "x descriptors": 3})
        run.second(watched={"x rss": 1.0, "x threads": 1, "x descriptors": 3, "x cpu": 0.5})
        self.written("".join(run.table()))
        self.assertIn(",x cpu,", self.text().splitlines()[0])
        inode = os.stat(self.path).st_ino
        self.file.finish(run.table())
        self.assertEqual(self.text(), "".join(run.table()))
        self.assertEqual(os.stat(self.path).st_ino, inode)

    def test_warmUp(self):
        """
        Of a warm-up there is nothing, and an older file stays as long.
        """
        Path(self.path).write_text("older")
        run = self.follow(warmUp=2.0)
        run.second()
        del run.samples[:]
        self.assertEqual(self.text(), "older")
        run.second(epoch=1)
        self.written("".join(run.table()))
        self.file.finish(run.table())
        self.assertEqual(self.text(), "".join(run.table()))

    def test_none(self):
        """
        A run without a second writes its file in the end.
        """
        self.file.finish(["whole\n"])
        self.assertEqual(self.text(), "whole\n")

    @given(st.text(st.sampled_from("ab\n"), max_size=30), st.lists(st.text(st.sampled_from("ab\n"), max_size=15)))
    def test_any(self, before, pieces):
        """
        Whatever there is so far, in the end it is what it should be.
        """
        self.file = GrowingFile(self.path)
        self.file.add(before)
        self.file.finish(pieces)
        self.assertEqual(self.text(), "".join(pieces))

    def test_large(self):
        """
        The same with more than is looked at at once.
        """
        lines = [f"{number}\n" for number in range(50_000)]
        for wanted in (lines, lines[:-20_000], [*lines[:-1], "x\n", *lines], ["x\n", *lines]):
            self.file = GrowingFile(self.path)
            self.file.add("".join(lines))
            self.file.finish(wanted)
            self.assertEqual(self.text(), "".join(wanted))

    def test_replaced(self):
        """
        If somebody takes the file away or puts another one there, it is written anew.
        """
        for other in (None, "of somebody else\n"):
            self.file = GrowingFile(self.path)
            self.file.add("1\n")
            self.written("1\n")
            os.rename(self.path, f"{self.path}.old")
            if other is not None:
                Path(self.path).write_text(other)
            self.file.finish(["1\n", "2\n"])
            self.assertEqual((self.text(), Path(f"{self.path}.old").read_text()), ("1\n2\n", "1\n"))
            os.unlink(self.path)

    def test_removed(self):
        """
        If somebody removes it while the run goes on, people are told, once; in the end it is there.
        """
        run = self.follow()
        run.second()
        self.written("".join(run.table()))
        os.unlink(self.path)
        self.until(run, lambda: self.told)
        for _ in range(3):
            run.second()
        self.file.finish(run.table())
        self.assertEqual(
            (self.text(), self.told),
            ("".join(run.table()), [f"somebody has removed {self.path}: it is written anew at the end of the run"]),
        )

    def test_notWritten(self):
        """
        If it can't be written they are told, once.
        """
        self.patch(growing, "newFile", mock.Mock(side_effect=OSError(errno.ENOSPC, "No space left on device")))
        run = self.follow()
        self.until(run, lambda: self.told)
        for _ in range(3):
            run.second()
        self.file.finish(run.table())
        problem = "No space left on device; the run goes on, and so do the tries"
        self.assertEqual((self.text(), self.told), ("".join(run.table()), [f"{self.path} can't be written: {problem}"]))

    def until(self, run, isSo):
        """
        Let seconds pass until something is so.
        """
        done = threading.Event()
        for _ in range(int(TEST_LIMIT / 0.01)):
            run.second()
            if isSo():
                return
            done.wait(0.01)
        self.fail("it never was")

    def test_mode(self):
        """
        It has the mode of the file whose place it takes.
        """
        Path(self.path).write_text("older")
        os.chmod(self.path, 0o640)
        self.file.add("1\n")
        self.written("1\n")
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o640)
        self.file.finish(["1\n"])

    def test_fullDisk(self):
        """
        If there is no room the run goes on, and rows are whole; what is missing comes when there is room.
        """
        real, failing = os.ftruncate, threading.Event()
        self.file.add("1\n")
        self.written("1\n")

        class Full:
            """
            Takes half of it.
            """

            def __init__(self, descriptor, *others, **more):
                self._descriptor = descriptor

            def __enter__(self):
                return self

            def __exit__(self, *others):
                pass

            def write(self, data):
                os.write(self._descriptor, data[:1])
                raise OSError(errno.ENOSPC, "No space left on device")

        def truncated(*arguments):
            real(*arguments)
            failing.set()

        with mock.patch.object(growing, "open", Full, create=True), mock.patch.object(os, "ftruncate", truncated):
            self.file.add("2\n")
            self.assertTrue(failing.wait(TEST_LIMIT))
            self.assertEqual(self.text(), "1\n")
        self.file.add("3\n")
        self.written("1\n2\n3\n")
        self.file.finish(["1\n", "2\n", "3\n"])

    def test_blockedDisk(self):
        """
        A disk that takes nothing holds up nobody: not the run, even if more comes than is kept; nor its end, which
        says so.
        """
        blocked, released = threading.Event(), threading.Event()
        self.addCleanup(released.set)
        real = growing.newFile

        def newFile(*arguments):
            blocked.set()
            released.wait()
            return real(*arguments)

        self.patch(growing, "newFile", newFile)
        self.patch(growing, "ROOM", 10)
        for number in range(20):
            self.file.add(f"{number}\n")
        self.assertTrue(blocked.wait(TEST_LIMIT))
        problem = self.assertRaises(OSError, self.file.finish, ["0\n"], Patience(0.0))
        self.assertEqual(problem.strerror, "the disk takes nothing")
        self.assertFalse(os.path.exists(self.path))

    def test_tooMuch(self):
        """
        What was more than is kept is in the file in the end.
        """
        self.patch(growing, "ROOM", 4)
        lines = [f"{number}\n" for number in range(100)]
        for line in lines:
            self.file.add(line)
        self.file.finish(lines)
        self.assertEqual(self.text(), "".join(lines))


class CommandTests(CommandTestCase):
    """
    Files of a command.
    """

    @defer.inlineCallbacks
    def test_killed(self):
        """
        A run that is killed leaves its table and its histograms up to the last second, all lines whole.
        """
        server = self.serve()
        command = smtpsource(
            self, "-d", "-s", "2", "--rate", "50", "-m", "1m", "--csv", "a.csv", "--hlog", "a.hlog", server.destination
        )
        table, log = command.directory / "a.csv", command.directory / "a.hlog"
        yield eventually(
            lambda: table.exists() and log.exists() and len(table.read_text().splitlines()) > 3, "some rows"
        )
        command.signal(signal.SIGKILL)
        yield command.whenEnded()
        self.assertTrue(table.read_text().endswith("\n"))
        rows = list(csv.DictReader(table.read_text().splitlines()))
        self.assertGreater(len(rows), 2)
        times = [float(row["time"]) for row in rows]
        self.assertEqual(times, sorted(times))
        self.assertGreater(sum(int(row["accepted"]) for row in rows), 0)
        *headings, last = log.read_text().splitlines(keepends=True)
        self.assertIn('"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n', headings)
        self.assertRegex(last, r"\ATag=\w+,[0-9.]+,[0-9.]+,[0-9.]+,HISTF[\w+/=]+\n\Z")
