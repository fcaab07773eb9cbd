"""
Tests for C{--checkpoint} and C{smtpsource recover}: real processes that are killed, and what is left of their runs.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from checkpoints import recordsIn
from commandlines import CommandTestCase
from peers import eventually
from subprocesses import Command, reported, smtpsource
from twisted.internet import defer

from smtpsource.measure.checkpoint import CheckpointError, Reader

FILES = ("report", "csv", "hlog", "junit")


def framesIn(path):
    """
    @return: the frames of a checkpoint, as far as there are any.
    """
    try:
        with Reader(str(path)) as reader:
            return [content for kind, content in reader if kind == "frame"]
    except CheckpointError:
        return []


class RecoverTests(CommandTestCase):
    """
    The commands.
    """

    def setUp(self):
        self.directory = Path(self.mktemp()).resolve()
        self.directory.mkdir()
        self.path = self.directory / "point"

    def run_(self, *arguments, **settings):
        return smtpsource(self, *arguments, cwd=str(self.directory), **settings)

    def outputs(self, name):
        """
        @return: options for all files.
        """
        return [word for kind in FILES for word in (f"--{kind}", f"{name}.{kind}")]

    def whenWritten(self, number, path=None):
        """
        Wait until so many seconds are there.
        """
        return eventually(lambda: len(framesIn(path or self.path)) >= number, f"{number} seconds of a run")

    @defer.inlineCallbacks
    def recovered(self, path="point", status=1):
        """
        @return: the report of a run that was cut off, and what was told of it.
        """
        result = yield self.run_("recover", "--report", "-", path).whenEnded()
        self.assertEqual(result.status, status, result.err)
        self.assertNoTraceback(result)
        return reported(result.out, result), result.err

    @defer.inlineCallbacks
    def test_ended(self):
        """
        Of a run that has ended in order all files are the same, to the last octet; and so is what is told of it.
        """
        server = self.serve()
        load = ("--rate", "200", "--duration", "2.5", "--warmup", "1", "-s", "5", "--threshold", "errors == 0")
        run = yield self.run_(*load, "--checkpoint", "point", *self.outputs("run"), server.destination).whenEnded()
        again = yield self.run_("recover", "point", *self.outputs("again")).whenEnded()
        self.assertEqual((run.status, again.status), (0, 0), (run.err, again.err))
        self.assertEqual(again.out, run.out)
        for kind in FILES:
            texts = [(self.directory / f"{name}.{kind}").read_text() for name in ("run", "again")]
            self.assertEqual(*texts, kind)
            self.assertTrue(texts[0])

    @defer.inlineCallbacks
    def test_killed(self):
        """
        Of a run that is killed all is known but the last second; while it goes on, too.
        """
        server = self.serve()
        run = self.run_("-d", "--rate", "50", "--duration", "1h", "--checkpoint", "point", server.destination)
        yield self.whenWritten(2)
        report, err = yield self.recovered()
        self.assertEqual(report["ended"], "running")
        self.assertIn("the run goes on", report["incomplete"][0])
        run.signal(signal.SIGKILL)
        yield run.whenEnded()
        frames = framesIn(self.path)
        report, err = yield self.recovered()
        self.assertEqual((report["ended"], report["exit"]), ("aborted", 1))
        self.assertEqual(report["messages"]["accepted"], sum(frame.counters.accepted for frame in frames))
        self.assertEqual(len(report["series"]), len(frames))
        self.assertEqual(report["elapsed"], frames[-1].at)
        self.assertIn(b"was cut off", err)
        # What the server has seen is no less, and of the last second it may be more.
        taken = len(server.messages)
        self.assertLessEqual(report["messages"]["accepted"], taken)
        self.assertEqual(report["latency"]["transaction"]["count"], report["messages"]["accepted"])

    @defer.inlineCallbacks
    def test_workers(self):
        """
        The parent of several workers has the checkpoint of all of them.
        """
        server = self.serve()
        load = ("-d", "-s", "4", "--rate", "50", "--duration", "1h", "--workers", "2")
        run = self.run_(*load, "--checkpoint", "point", server.destination)
        yield self.whenWritten(2)
        run.signal(signal.SIGKILL)
        yield run.whenEnded()
        frames = framesIn(self.path)
        report, _ = yield self.recovered()
        self.assertEqual(report["messages"]["accepted"], sum(frame.counters.accepted for frame in frames))
        self.assertGreater(report["messages"]["accepted"], 0)
        ofEach = [worker["started"] for worker in report["environment"]["workers"]]
        self.assertEqual((len(ofEach), sum(ofEach)), (2, sum(frame.counters.started for frame in frames)))

    @defer.inlineCallbacks
    def test_workersEnded(self):
        """
        If they have ended in order, it is the same report as well.
        """
        server = self.serve()
        load = ("-d", "-s", "4", "--rate", "50", "--duration", "2", "--warmup", "1", "--workers", "2", "--quiet")
        options = ("--checkpoint", "point", "--report", "run.report", server.destination)
        run = yield self.run_(*load, *options).whenEnded()
        self.assertEqual(run.status, 0, run.err)
        report, _ = yield self.recovered(status=0)
        self.assertEqual(report, json.loads((self.directory / "run.report").read_text()))

    @defer.inlineCallbacks
    def test_unasked(self):
        """
        A run of more than a minute with a report has one beside that, which is what is left when it is killed; the next
        run leaves that alone, and has one of its own, which is as good when it is killed, too.
        """
        server = self.serve()
        load = ("-d", "--rate", "50", "--report", "run.json", "--duration")
        run = self.run_(*load, "2m", server.destination)
        beside = self.directory / "run.json.checkpoint"
        yield self.whenWritten(1, beside)
        run.signal(signal.SIGKILL)
        yield run.whenEnded()
        before = recordsIn(beside).read_bytes()
        again = self.run_(*load, "2m", server.destination)
        yield again.whenPrinted(
            rb"run\.json\.checkpoint is the checkpoint of another run: .* is .*run\.json\.checkpoint\.2\n", "err"
        )
        yield self.whenWritten(1, f"{beside}.2")
        again.signal(signal.SIGKILL)
        yield again.whenEnded()
        self.assertEqual(recordsIn(beside).read_bytes(), before)
        reports = []
        for name in ("run.json.checkpoint", "run.json.checkpoint.2"):
            report, _ = yield self.recovered(name)
            self.assertEqual(report["ended"], "aborted")
            reports.append(report)
        self.assertNotEqual(reports[0]["started"], reports[1]["started"])

    @defer.inlineCallbacks
    def test_stopped(self):
        """
        When the report is written it is gone; after a run that is stopped, as well.
        """
        server = self.serve()
        run = self.run_("-d", "--rate", "50", "--report", "run.json", "--duration", "2m", server.destination)
        beside = self.directory / "run.json.checkpoint"
        yield self.whenWritten(1, beside)
        run.signal(signal.SIGTERM)
        result = yield run.whenEnded()
        self.assertNoTraceback(result)
        self.assertEqual(sorted(path.name for path in self.directory.iterdir()), ["run.json"])

    @defer.inlineCallbacks
    def test_full(self):
        """
        A disk that is full is said once, and changes nothing else; what was written before it was is there.
        """
        server = self.serve()
        # Nothing gets larger than 4 KiB.
        limited = f'ulimit -f {4096 // 512}; exec "$0" -m smtpsource "$@"'
        load = ("--rate", "200", "--duration", "8", "--warmup", "0.5", "-s", "5", "--quiet", "--report", "-")
        command = ["/bin/sh", "-c", limited, sys.executable, *load, "--checkpoint", "point", server.destination]
        result = yield Command(self, command, cwd=str(self.directory)).whenEnded()
        self.assertEqual(result.status, 0, result.err)
        self.assertNoTraceback(result)
        told = result.err.decode().splitlines()
        self.assertEqual(len([line for line in told if "can't be written" in line]), 1, told)
        self.assertEqual(len([line for line in told if "is not complete" in line]), 1, told)
        whole = reported(result.out)
        report, _ = yield self.recovered()
        self.assertEqual(report["ended"], "aborted")
        self.assertLess(report["messages"]["started"], whole["messages"]["started"])
        self.assertLessEqual(recordsIn(self.path).stat().st_size, 4096)

    @defer.inlineCallbacks
    def test_damaged(self):
        """
        What is damaged is said, in one line each.
        """
        server = self.serve()
        options = ("--rate", "100", "--duration", "3", "-s", "5", "--quiet", "--checkpoint", "point")
        result = yield self.run_(*options, server.destination).whenEnded()
        self.assertEqual(result.status, 0, result.err)
        with Reader(str(self.path)) as reader:
            records = [*reader]
        self.assertEqual(records[-1].kind, "end")
        octets = bytearray(recordsIn(self.path).read_bytes())
        place = octets.rindex(b"\x01\xf5SRF", 0, octets.rindex(b"\x01\xf5SRF")) + 50
        octets[place : place + 5] = b"other"
        recordsIn(self.path).write_bytes(octets)
        report, err = yield self.recovered()
        self.assertIn(b"octets are damaged", err)
        self.assertIn("missing", " ".join(report["incomplete"]))
        self.assertEqual(report["messages"]["accepted"], 300)

    @defer.inlineCallbacks
    def test_refused(self):
        """
        What can't be is told in one line.
        """
        (self.directory / "empty").mkdir()
        (self.directory / "file").write_text("x")
        for words, status, *told in (
            (["recover"], 2, b"no checkpoint", b"expected"),
            (["recover", "a", "b"], 2, b"2 checkpoints"),
            (["recover", "nothing"], 1, b"nothing", b"expected a checkpoint"),
            (["recover", "empty"], 1, b"empty", b"expected a checkpoint"),
            (["recover", "file"], 1, b"file", b"expected a checkpoint"),
            (["--checkpoint", "file", "127.0.0.1:1"], 2, b"--checkpoint", b"expected a directory"),
            (["--checkpoint", "file/in", "127.0.0.1:1"], 2, b"--checkpoint", b"expected a directory"),
            (["--checkpoint", "", "127.0.0.1:1"], 2, b"--checkpoint", b"expected the name of a directory"),
            (["--checkpoint", "new", "--report", "new", "127.0.0.1:1"], 2, b"--report", b"belongs to --checkpoint"),
        ):
            result = yield self.run_(*words).whenEnded()
            self.assertEqual(result.status, status, (words, result.err))
            self.assertOneLine(result.err, *told)
        server = self.serve()
        for status in (0, 2):
            run = self.run_("-m", "2", "--quiet", "--checkpoint", "point", server.destination)
            result = yield run.whenEnded()
            self.assertEqual(result.status, status, result.err)
        self.assertOneLine(result.err, b"--checkpoint", b"another run", b"smtpsource recover")
        self.assertEqual(len(server.messages), 2)
        result = yield self.run_("recover", "--report", os.fspath(self.path / "records"), "point").whenEnded()
        self.assertEqual(result.status, 2)
        self.assertOneLine(result.err, b"belongs to the checkpoint")
        before = sorted(self.path.iterdir())
        (self.directory / "link").symlink_to(self.path)
        (self.path / "below").mkdir()
        for name in ("point/new.json", "link/new.json", "point/below/new.json"):
            for directory in ("point", "link"):
                result = yield self.run_("recover", "--quiet", "--report", name, directory).whenEnded()
                self.assertEqual(result.status, 2)
                self.assertOneLine(result.err, b"--report", b"it would be in the checkpoint")
        (self.path / "below").rmdir()
        self.assertEqual(sorted(self.path.iterdir()), before)
        result = yield self.run_("recover", "--quiet", "--report", "pointed.json", "point").whenEnded()
        self.assertEqual(result.status, 0, result.err)
