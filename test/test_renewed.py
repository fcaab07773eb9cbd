"""
Tests for L{smtpsource.report.renewed}: the report of a run while that goes on.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
from pathlib import Path
from unittest import mock

from commandlines import CommandTestCase
from dashboards import second as frameOf
from patience import TEST_LIMIT
from peers import eventually
from results import example, latencies, second
from subprocesses import Command, python, reported, smtpsource
from twisted.internet import defer
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.measure.summary import Messages
from smtpsource.process.streams import Patience
from smtpsource.report import replacing
from smtpsource.report.checkpoint import LONG, TOO_MANY
from smtpsource.report.reading import summaryIn
from smtpsource.report.renewed import ROOM, RenewedReport

#: Has the report of a run written anew each second.
OFTEN = """
import sys
from functools import partial
from smtpsource.report import renewed
renewed.RenewedReport = partial(renewed.RenewedReport, period=1.0)
"""

COMMAND = f"{OFTEN}\nfrom smtpsource.__main__ import main; main()"

TWISTD = f"{OFTEN}\nsys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"


class Run:
    """
    A run that goes on as a test says.
    """

    def __init__(self, warmUp=0.0):
        self.warmUp = warmUp
        self.listeners = []
        self.done = defer.Deferred()
        self.samples = []
        self.fault = None

    def onFrame(self, listener):
        self.listeners.append(listener)

    def whenDone(self):
        return self.done

    def summaryNow(self):
        if self.fault is not None:
            raise self.fault
        accepted = 100 * len(self.samples)
        return example(
            **{**latencies(0.1, 0.2), "latency": {}},
            ended="running",
            exit=0,
            elapsed=float(len(self.samples)),
            messages=Messages(accepted + 3, accepted, 0, 0),
            series=self.samples,
        )


class RenewedTests(SynchronousTestCase):
    """
    The report of a run in memory, on a real disk.
    """

    def setUp(self):
        directory = Path(self.mktemp()).resolve()
        directory.mkdir()
        self.path = directory / "run.json"
        self.reactor = MemoryReactorClock()
        self.told = []
        self.cpu = 0.0

    def begun(self, **values):
        self.run_ = Run(**values)
        self.report = RenewedReport(
            *(self.reactor, self.run_, str(self.path), self.told.append), clock=lambda: self.cpu
        )
        self.report.start()

    def passTime(self, seconds, epoch=0):
        """
        Let so many seconds pass, with nothing made in them but what has a turn of its own.
        """
        for _ in range(seconds):
            self.reactor.advance(1.0)
            self.run_.samples.append(second(len(self.run_.samples) + 1))
            for listener in self.run_.listeners:
                listener(frameOf(len(self.run_.samples) - 1, epoch=epoch))

    def make(self, most=1000):
        """
        Have the reactor make so many turns, or all that there are to be made at once.
        """
        # Its own way would make those as well that come of these.
        for _ in range(most):
            due = [call for call in self.reactor.calls if call.getTime() <= self.reactor.seconds()]
            if not due:
                break
            self.reactor.calls.remove(due[0])
            due[0].called = 1
            due[0].func(*due[0].args, **due[0].kw)

    def whenOver(self):
        """
        Wait for the thread.
        """
        self.assertTrue(self.report._replacing._ended.wait(TEST_LIMIT))

    def written(self):
        """
        @return: the report, when all of it is made and written.
        """
        self.make()
        self.whenOver()
        return json.loads(self.path.read_bytes())

    def hold(self, name="replaceFile"):
        """
        Have the disk take nothing until that is wanted.

        @return: set when the disk has something to do; set it to let it.
        """
        asked, goes = threading.Event(), threading.Event()
        self.addCleanup(goes.set)
        real = getattr(replacing, name)

        def held(place, pieces):
            asked.set()
            goes.wait(TEST_LIMIT)
            return real(place, pieces)

        self.patch(replacing, name, held)
        return asked, goes

    def alone(self):
        """
        There is nothing beside it that was left behind.
        """
        self.assertEqual([one.name for one in self.path.parent.iterdir()], [self.path.name])

    def test_minute(self):
        """
        Nothing is written within the first minute; then there is a report once a minute, whole, of all that was so far,
        and it says that it is not of the whole run, which never passes.
        """
        self.begun()
        self.passTime(int(LONG))
        self.make()
        self.assertFalse(self.path.exists())
        for minute in (1, 2, 3):
            self.passTime(1)
            document = self.written()
            told = summaryIn(self.path.read_text())
            self.assertEqual(document["ended"], "running")
            self.assertEqual((told.thresholds, told.timeline), ((), None))
            self.assertEqual((told.exit, told.messages.started), (1, 100 * len(self.run_.samples) + 3))
            self.assertEqual(told.messages.failed, 3)
            self.assertEqual(len(told.series), 60 * minute + 1)
            self.assertEqual(told.latency["transaction"].count, 2)
            (lack,) = told.incomplete
            self.assertIn(f"written while the run went on: what came after {60 * minute + 1}.0 s is not known", lack)
            self.passTime(59)
            self.make()
            self.assertEqual(json.loads(self.path.read_bytes()), document)
        self.alone()
        self.assertEqual(self.told, [])

    def test_pieces(self):
        """
        It is made a piece in each turn of the reactor, and what comes meanwhile is no part of it.
        """
        self.begun()
        self.run_.samples += [second(number) for number in range(1, 940)]
        self.passTime(61)
        self.make(5)
        self.assertLess(self.report._replacing.waiting + self.report._replacing.done, 100_000)
        self.assertFalse(self.path.exists())
        self.run_.samples.append(second(1001))
        self.assertEqual(len(self.written()["series"]), 1000)

    def test_warmUp(self):
        """
        Of a warm-up, however long, there is nothing.
        """
        self.path.write_text("older")
        self.begun(warmUp=1000.0)
        self.passTime(200)
        self.make()
        self.assertEqual(self.path.read_text(), "older")
        self.passTime(1, epoch=1)
        self.assertEqual(self.written()["ended"], "running")

    def test_share(self):
        """
        Where making it takes more than half a per cent of the time, there are longer pauses.
        """
        self.begun()
        real = self.run_.summaryNow

        def slow():
            self.cpu += 1.0
            return real()

        self.run_.summaryNow = slow
        self.passTime(61)
        elapsed = self.written()["elapsed"]
        self.passTime(198)
        self.make()
        self.assertEqual(json.loads(self.path.read_bytes())["elapsed"], elapsed)
        self.passTime(2)
        self.assertGreater(self.written()["elapsed"], elapsed + 198)

    def test_slow(self):
        """
        A disk that takes nothing holds up nobody; it is told once, and another report is not begun before it has taken
        this one. The end does not wait for it for ever.
        """
        asked, goes = self.hold()
        self.begun()
        self.passTime(61)
        self.make()
        self.assertTrue(asked.wait(TEST_LIMIT))
        self.passTime(TOO_MANY)
        self.make()
        self.assertEqual(self.told, [])
        self.passTime(300)
        self.make()
        (told,) = self.told
        self.assertIn(f"the report {self.path} can't be written: its disk takes nothing", told)
        goes.set()
        self.assertEqual(self.written()["elapsed"], 61)
        self.passTime(2)
        self.assertEqual(self.written()["elapsed"], 392)
        asked.clear()
        goes.clear()
        self.passTime(61)
        self.make()
        self.assertTrue(asked.wait(TEST_LIMIT))
        problem = self.assertRaises(OSError, self.report.finish, ["the end"], Patience(0.0))
        self.assertEqual(problem.strerror, "the disk takes nothing")
        self.assertEqual(len(self.told), 1)

    def test_room(self):
        """
        Little waits for such a disk.
        """
        _, goes = self.hold()
        self.begun()
        self.run_.samples += [second(number) for number in range(1, 20_000)]
        self.passTime(61)
        for _ in range(1000):
            self.reactor.advance(0.001)
        self.assertLess(self.report._replacing.waiting, ROOM + 100_000)
        goes.set()
        for _ in range(int(TEST_LIMIT / 0.01)):
            if self.report._replacing._ended.wait(0.01):
                break
            self.reactor.advance(0.1)
        self.assertEqual(len(json.loads(self.path.read_bytes())["series"]), 19_999 + 61)

    def test_full(self):
        """
        A disk that is full is told once, leaves what was there, and is tried again.
        """
        self.path.write_text("older")
        self.begun()

        def full(place, pieces):
            next(pieces)
            raise OSError(errno.ENOSPC, "No space left on device")

        with mock.patch.object(replacing, "replaceFile", full):
            for _ in range(3):
                self.passTime(61)
                self.make()
                self.whenOver()
                self.passTime(1)
        (told,) = self.told
        problem = "No space left on device; the run goes on, and so do the tries"
        self.assertEqual(told, f"the report {self.path} can't be written: {problem}")
        self.assertEqual(self.path.read_text(), "older")
        self.passTime(61)
        self.assertEqual(self.written()["ended"], "running")
        self.alone()

    def test_gone(self):
        """
        So is a directory that is not there any more; one that is again has it.
        """
        self.begun()
        elsewhere = self.path.parent.with_name("elsewhere")
        self.path.parent.rename(elsewhere)
        self.passTime(61)
        self.make()
        self.whenOver()
        self.passTime(1)
        (told,) = self.told
        self.assertIn("No such file or directory", told)
        elsewhere.rename(self.path.parent)
        self.passTime(61)
        self.assertEqual(self.written()["ended"], "running")

    def test_fault(self):
        """
        What can't be made is told, and the run has no part in it.
        """
        self.begun()
        self.run_.fault = ValueError("it is odd")
        self.passTime(61)
        self.make()
        (told,) = self.told
        self.assertIn("it is odd", told)
        self.run_.fault = None
        self.passTime(61)
        self.assertEqual(self.written()["ended"], "running")

    def test_thread(self):
        """
        So is that there can't be one more thread.
        """
        self.begun()
        with mock.patch.object(threading.Thread, "start", side_effect=RuntimeError("can't start new thread")):
            self.passTime(61)
            self.make()
        (told,) = self.told
        self.assertIn("can't start new thread", told)
        self.report.finish(["the end"], Patience())
        self.assertEqual(self.path.read_text(), "the end")

    def test_fifo(self):
        """
        What is no file when its time has come is left as it is.
        """
        self.begun()
        os.mkfifo(self.path)
        self.passTime(61)
        self.make()
        self.whenOver()
        self.assertTrue(self.path.is_fifo())
        self.alone()

    def test_link(self):
        """
        A link stays one; the file behind it keeps its mode.
        """
        real = self.path.with_name("real")
        real.write_text("older")
        os.chmod(real, 0o640)
        self.path.symlink_to("real")
        self.begun()
        self.passTime(61)
        self.assertEqual(self.written()["ended"], "running")
        self.assertTrue(self.path.is_symlink())
        self.assertEqual(real.stat().st_mode & 0o777, 0o640)

    def test_end(self):
        """
        In the end the file is what it should be, however far another report has come: of which only some is made, all
        is made and nothing written, or all is written and it is about to take its place.
        """
        real = os.rename
        for turns in (0, 1, 3, 1000):
            for isHeld in (False, True):
                self.begun()
                asked, goes = threading.Event(), threading.Event()

                def rename(*arguments, asked=asked, goes=goes, **others):
                    asked.set()
                    goes.wait(TEST_LIMIT)
                    real(*arguments, **others)

                with mock.patch.object(os, "rename", rename if isHeld else real):
                    self.passTime(61)
                    self.make(turns)
                    if turns == 1000 and isHeld:
                        self.assertTrue(asked.wait(TEST_LIMIT))
                    self.run_.done.callback(None)
                    ended = threading.Timer(0.05, goes.set)
                    ended.start()
                    self.report.finish(["the end"], Patience())
                    ended.join()
                self.assertEqual(self.path.read_text(), "the end")
                self.alone()
                self.assertEqual(self.reactor.getDelayedCalls(), [])
                self.assertEqual(self.told, [])

    def test_none(self):
        """
        A run that was over soon has its report in the end.
        """
        self.begun()
        self.passTime(2)
        self.run_.done.callback(None)
        self.report.finish(["the end"], Patience())
        self.assertEqual(self.path.read_text(), "the end")


class CommandTests(CommandTestCase):
    """
    Commands whose reports are written each second.
    """

    def whenWritten(self, path, least=1):
        """
        Wait for a report of at least so many seconds.
        """
        return eventually(lambda: path.exists() and len(json.loads(path.read_bytes())["series"]) >= least, "a report")

    def begin(self, *arguments):
        server = self.serve()
        load = ("-d", "-s", "4", "--rate", "50", "--duration", "1h", "--report", "run.json", *arguments)
        return server, python(self, "-c", COMMAND, *load, server.destination)

    @defer.inlineCallbacks
    def killed(self, *arguments):
        """
        @return: the report that is left of a run that was killed when it was written for the second time, the command,
            and the server.
        """
        server, command = self.begin(*arguments)
        path = command.directory / "run.json"
        yield self.whenWritten(path, 2)
        command.signal(signal.SIGKILL)
        result = yield command.whenEnded()
        self.assertNoTraceback(result)
        report = reported(path.read_bytes(), result)
        self.assertEqual((report["ended"], report["exit"], report["reason"]), ("running", 1, None))
        self.assertIn("written while the run went on", report["incomplete"][-1])
        self.assertGreater(report["messages"]["accepted"], 0)
        return report, command, server

    @defer.inlineCallbacks
    def test_killed(self):
        """
        A run that is killed leaves a report, which all commands read, and say what it is.
        """
        report, command, server = yield self.killed()
        self.assertLessEqual(report["messages"]["accepted"], len(server.messages))
        self.assertEqual(report["latency"]["transaction"]["count"], report["messages"]["accepted"])
        cwd = str(command.directory)
        other = yield smtpsource(
            self, "-m", "5", "--quiet", "--report", "other.json", server.destination, cwd=cwd
        ).whenEnded()
        self.assertEqual(other.status, 0, other.err)
        for words, *told in (
            (["html", "run.json"], b"INCOMPLETE", b"not at its end", b"written while the run went on"),
            (["compare", "other.json", "run.json"], b"not come to its end", b"INCOMPLETE"),
            (["merge", "--report", "both.json", "other.json", "run.json"], b"INCOMPLETE", b"not at its end"),
            (["recover", "run.json.checkpoint"], b"was cut off"),
        ):
            result = yield smtpsource(self, *words, cwd=cwd).whenEnded()
            self.assertNoTraceback(result)
            self.assertEqual(result.status, int(words[0] == "recover"), (words, result.err))
            for each in told:
                self.assertIn(each, b" ".join((result.out + result.err).split()), words)
            self.assertNotIn(b"passed", result.out.partition(b"\n")[0])
        both = reported((command.directory / "both.json").read_bytes())
        self.assertEqual((both["ended"], both["exit"]), ("running", 1))

    @defer.inlineCallbacks
    def test_workers(self):
        """
        So does one of several workers; a checkpoint elsewhere makes no difference.
        """
        report, command, _ = yield self.killed("--workers", "2", "--checkpoint", "point")
        self.assertEqual(len(report["environment"]["workers"]), 2)
        self.assertEqual(sorted(one.name for one in command.directory.iterdir())[:2], ["point", "run.json"])

    @defer.inlineCallbacks
    def test_stopped(self):
        """
        One that ends in order has the report of its end, whole, with nothing beside it.
        """
        _, command = self.begin()
        path = command.directory / "run.json"
        yield self.whenWritten(path)
        command.signal(signal.SIGTERM)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1, result.err)
        report = reported(path.read_bytes(), result)
        self.assertEqual((report["ended"], report["incomplete"]), ("signal", []))
        self.assertIn("timeline", report)
        self.assertEqual([one.name for one in command.directory.iterdir()], ["run.json"])

    @defer.inlineCallbacks
    def test_gone(self):
        """
        If the directory goes, one line says so while the run goes on, and another one in the end.
        """
        server = self.serve()
        outer = Path(self.mktemp()).resolve()
        (outer / "in").mkdir(parents=True)
        load = ("-d", "-s", "4", "--rate", "50", "--duration", "1h", "--quiet", "--report", outer / "in" / "run.json")
        command = python(self, "-c", COMMAND, *load, "--checkpoint", outer / "point", server.destination)
        yield self.whenWritten(outer / "in" / "run.json")
        (outer / "in").rename(outer / "out")
        yield command.whenPrinted(rb"can't be written: No such file", "err")
        command.signal(signal.SIGTERM)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1)
        self.assertNoTraceback(result)
        self.assertEqual(result.err.count(b"can't be written"), 1, result.err)
        self.assertEqual(result.err.count(b"could not be written"), 1, result.err)

    @defer.inlineCallbacks
    def test_full(self):
        """
        The same where there is no room for it: what there was stays, and nothing is beside it.
        """
        server = self.serve()
        directory = Path(self.mktemp()).resolve()
        directory.mkdir()
        (directory / "run.json").write_text("older")
        # Nothing gets larger than 4 KiB.
        limited = f'ulimit -f {4096 // 512}; exec "$0" "$@"'
        load = ("-d", "-s", "4", "--rate", "50", "--duration", "1h", "--quiet", "--report", "run.json")
        words = ["/bin/sh", "-c", limited, sys.executable, "-c", COMMAND, *load, server.destination]
        command = Command(self, words, cwd=str(directory))
        yield command.whenPrinted(rb"run.json can't be written: File too large", "err")
        command.signal(signal.SIGTERM)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1)
        self.assertNoTraceback(result)
        self.assertEqual(result.err.count(b"report " + bytes(directory / "run.json")), 2, result.err)
        self.assertEqual((directory / "run.json").read_text(), "older")
        self.assertEqual([one.name for one in directory.glob(".*")], [])

    @defer.inlineCallbacks
    def test_twistd(self):
        """
        Under twistd it is the same.
        """
        server = self.serve()
        load = ("-d", "-s", "4", "--rate", "50", "--duration", "1h", "--report", "run.json")
        command = python(self, "-c", TWISTD, "-n", "smtp-source", *load, server.destination)
        yield self.whenWritten(command.directory / "run.json", 2)
        report = reported((command.directory / "run.json").read_bytes())
        self.assertEqual(report["ended"], "running")
        command.signal(signal.SIGTERM)
        result = yield command.whenEnded()
        self.assertNoTraceback(result)
        self.assertEqual(json.loads((command.directory / "run.json").read_bytes())["ended"], "signal")
