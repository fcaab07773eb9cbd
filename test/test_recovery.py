"""
Tests for what is recovered of a run: all that was known of it, whatever has become of it.
"""

from __future__ import annotations

import json
from dataclasses import fields, replace
from math import inf, nan
from pathlib import Path
from unittest import mock

from checkpoints import HEADER, Recorded, recovered
from patience import PATIENCE
from sessions import Server
from test_frames import Generator
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.measure.checkpoint import CheckpointError, Reader
from smtpsource.measure.counters import Counters
from smtpsource.measure.frameformat import LATEST, MOST
from smtpsource.measure.summary import Summary
from smtpsource.measure.summing import completed
from smtpsource.phases import NAMES
from smtpsource.report import csvfile, hlog
from smtpsource.report.checkpoint import OF_FRAMES
from smtpsource.report.checkpointed import Checkpointed
from smtpsource.report.document import documentOf
from smtpsource.report.reading import summaryIn
from smtpsource.report.recovery import Recovery
from smtpsource.report.schema import problems


def atOnce(parts):
    """
    @return: what comes of something that is made with pauses.
    """
    while True:
        try:
            next(parts)
        except StopIteration as e:
            return e.value


class RecoveryTests(SynchronousTestCase):
    """
    Runs in memory, and their checkpoints.
    """

    def setUp(self):
        self.path = Path(self.mktemp()).resolve()

    def recorded(self, **plan):
        run = Recorded(self.path, **plan)
        run.begin()
        return run

    def assertSame(self, found, summary, without=()):
        """
        They are the same, but for some fields.
        """
        for field in fields(Summary):
            if field.name not in (*without, "intervals", "series"):
                self.assertEqual(getattr(found, field.name), getattr(summary, field.name), field.name)
        found, known = documentOf(found), documentOf(summary)
        self.assertEqual(found["series"], known["series"])

    def ended(self, **plan):
        """
        A run that has ended in order.

        @return: its own summary.
        """
        run = self.recorded(**plan)
        run.passTime(1000)
        (summary,) = run.done
        run.checkpoint.finish(True)
        self.assertEqual(run.told, [])
        return summary

    def test_followed(self):
        """
        Who follows it is told when all that was there is read, and not while it shows what was long ago.
        """
        run = self.recorded(rate=7.3, duration=900.0, sessionCount=3)
        run.passTime(400)
        run.cutOff()
        clock, seen = Clock(), []
        with mock.patch.object(Reader, "isWritten", True):
            followed = Checkpointed(clock, str(self.path))
            followed.whenRead().addCallback(lambda _: seen.append(followed.progress().at))
            known = []
            followed.onFrame(lambda frame: known.append(list(seen)))
            followed.start()
            clock.pump([0] * 20)
        self.assertGreater(len(known), 300)
        self.assertFalse(any(known))
        self.assertEqual([round(at) for at in seen], [400])
        followed.end("enough")

    def test_ended(self):
        """
        Of a run that has ended in order it is all, to the last figure and each second's latencies.
        """
        summary = self.ended(rate=7.3, duration=20.0, sessionCount=3, thresholds=("errors == 0", "rate > 100"))
        found = recovered(self.path)
        self.assertSame(found, summary)
        self.assertEqual((summary.exit, len(summary.series)), (3, 20))
        self.assertEqual([*csvfile.lines(found)], [*csvfile.lines(summary)])
        self.assertEqual([*hlog.lines(found)], [*hlog.lines(summary)])

    def test_warm(self):
        """
        What came in a warm-up is in no figure but those of the warm-up.
        """
        summary = self.ended(rate=7.0, duration=10.0, sessionCount=3, warmUp=5.0)
        self.assertEqual(summary.warmUp["accepted"], 35)
        self.assertSame(recovered(self.path), summary)

    def test_failures(self):
        """
        Replies, errors and their texts, and messages that were refused.
        """

        def decide(connection, event, usual):
            number = len(connection.factory.mails)
            return {3: b"550 5.1.1 no", 7: "close"}.get(number % 11, usual) if event == b"RCPT" else usual

        summary = self.ended(server=Server(decide), rate=7.0, duration=10.0, sessionCount=3, tolerant=True)
        self.assertEqual((bool(summary.messages.rejected), bool(summary.messages.failed)), (True, True))
        self.assertSame(recovered(self.path), summary)

    def test_cutOff(self):
        """
        Of a run that was killed it is all up to the last second; what was on its way has failed.
        """

        def decide(connection, event, usual):
            return None if connection.factory.reactor.seconds() > 4.5 else usual

        server = Server(decide)
        run = Recorded(self.path, server, rate=7.3, duration=20.0, sessionCount=3, thresholds=("failed == 0",))
        server.reactor = run.reactor
        run.begin()
        run.passTime(9.3)
        run.cutOff()
        found, known = recovered(self.path), run.service.recorder
        self.assertEqual((found.ended, found.exit), ("aborted", 1))
        self.assertIn("cut off after 9.0 s", found.reason)
        (incomplete,) = found.incomplete
        self.assertIn("what came after 9.0 s is not known", incomplete)
        self.assertEqual(found.messages.accepted, known.accepted)
        self.assertEqual((found.messages.failed, found.messages.started), (3, known.accepted + 3))
        self.assertEqual([(one.passed, one.value) for one in found.thresholds], [(False, 3)])
        self.assertEqual(sum(sample.failed for sample in found.series), 3)
        self.assertEqual((found.elapsed, found.asked), (9.0, 66))
        # As often as it is asked.
        with Reader(str(self.path)) as reader:
            recovery = Recovery(reader.header)
            recovery.take(reader)
            self.assertEqual(recovery.summary(), recovery.summary())

    def test_sameAsNow(self):
        """
        It says what the run itself would have said of that moment.
        """
        run = self.recorded(rate=7.3, duration=20.0, sessionCount=3, warmUp=2.0)
        run.passTime(9.001)
        now = run.service.summaryNow()
        run.cutOff()
        new = ("ended", "exit", "incomplete", "elapsed", "rate", "askedRate", "asked", "user", "system", "environment")
        # What takes long is not there while a run goes on.
        new += ("latency", "timeline")
        self.assertSame(recovered(self.path, isWritten=True), now, without=new)

    def test_now(self):
        """
        While a run goes on, what is on its way has not failed, nothing is incomplete, and no threshold is judged, as
        the run itself would have said.
        """

        def decide(connection, event, usual):
            return None if connection.factory.reactor.seconds() > 4.5 else usual

        server = Server(decide)
        run = Recorded(self.path, server, rate=7.3, duration=20.0, sessionCount=3, thresholds=("rate > 1000/s",))
        server.reactor = run.reactor
        run.begin()
        run.service.mark("begun")
        run.passTime(9.001)
        now = run.service.summaryNow()
        run.cutOff()
        with Reader(str(self.path)) as reader:
            recovery = Recovery(reader.header)
            recovery.take(reader)
            found = recovery.now()
        self.assertEqual((found.messages.failed, found.messages.started - found.messages.accepted), (0, 3))
        self.assertEqual((found.ended, found.exit, found.incomplete), ("running", 0, ()))
        self.assertEqual([mark.effect for mark in found.marks], [None])
        new = ("elapsed", "rate", "askedRate", "asked", "user", "system", "environment")
        self.assertSame(found, now, without=new)

    def test_cutOffInWarmUp(self):
        """
        Of a run that was killed in its warm-up nothing was measured.
        """
        run = self.recorded(rate=7.3, duration=20.0, sessionCount=3, warmUp=5.0)
        run.passTime(3.2)
        run.cutOff()
        found = recovered(self.path)
        self.assertIn("after 3.0 s of its warm-up", found.reason)
        self.assertEqual((found.messages.started, found.series, found.elapsed), (0, [], 0.0))
        self.assertEqual((found.warmUp["seconds"], found.warmUp["accepted"]), (3.0, 22))

    def test_atOnce(self):
        """
        A run that was killed before its first second was over.
        """
        run = self.recorded(rate=7.3, duration=20.0, sessionCount=3)
        run.passTime(0.5)
        run.cutOff()
        found = recovered(self.path)
        self.assertEqual((found.messages.started, found.ended, found.exit), (0, "aborted", 1))

    def test_goesOn(self):
        """
        A run that goes on is read as it is written.
        """
        run = self.recorded(rate=7.3, duration=20.0, sessionCount=3)
        with Reader(str(self.path)) as reader:
            self.assertTrue(reader.isWritten)
            recovery = Recovery(reader.header)
            self.assertEqual(recovery.summary(isWritten=True).ended, "running")
            run.passTime(100)
            writer = run.checkpoint._writer
            self.assertTrue(writer.wait(PATIENCE))
            recovery.take(reader.poll())
            self.assertTrue(recovery.hasEnd)
            self.assertSame(recovery.summary(), run.done[0])
            run.checkpoint.finish(False)
            self.assertFalse(reader.isWritten)

    def test_marks(self):
        """
        Marks are there as they were in the end, and what has come of each.
        """
        run = self.recorded(rate=7.3, duration=20.0, sessionCount=3)
        run.passTime(5.5)
        mark = run.service.mark("postfix restart", "command")
        run.passTime(1)
        run.service.mark("a note \N{SNOWMAN}")
        run.service.remark(mark, status=1, seconds=0.25, output="no\n")
        run.passTime(5)
        now = run.service.summaryNow()
        run.cutOff()
        found = recovered(self.path)
        self.assertEqual([one.text for one in found.marks], ["postfix restart", "a note \N{SNOWMAN}"])
        self.assertEqual(found.marks, atOnce(completed(now)).marks)

    def test_watched(self):
        """
        What was watched besides is in the series.
        """
        run = Recorded(self.path, rate=7.3, duration=20.0, sessionCount=3)
        run.service.watched = lambda: {"rss": 5.0}
        run.begin()
        run.passTime(4.5)
        run.cutOff()
        self.assertEqual([dict(one.watched) for one in recovered(self.path).series], [{"rss": 5.0}] * 4)

    def test_watchedLarge(self):
        """
        Whatever is watched, what was written can be read again; what is no figure is not known. So it is in a report.
        """
        largest = 2.0**63
        numbers = [2.0**62, largest, -largest, 2**63, 1e-300, 5, 0.5, largest * 1.01, 1e308, 10**400, inf, -inf, nan]
        run = Recorded(self.path, rate=7.3, duration=20.0, sessionCount=3)
        run.service.watched = lambda: {"rss": 5.0, **{str(at): number for at, number in enumerate(numbers)}}
        run.begin()
        run.passTime(2.5)
        run.cutOff()
        known = {"rss": 5.0, "0": 2.0**62, "1": largest, "2": -largest, "3": 2**63, "4": 0, "5": 5, "6": 0.5}
        found = recovered(self.path)
        self.assertEqual([dict(one.watched) for one in found.series], [known] * 2)
        report = json.dumps(documentOf(found), allow_nan=False)
        self.assertEqual([dict(one.watched) for one in summaryIn(report).series], [known] * 2)

    def test_missing(self):
        """
        Seconds that are missing are said, and no run passes without them.
        """
        summary = self.ended(rate=7.0, duration=10.0, sessionCount=3)
        with Reader(str(self.path)) as reader:
            recovery = Recovery(reader.header)
            frames = 0
            for record in reader:
                frames += record.kind == "frame"
                if not (record.kind == "frame" and 3 < frames < 6):
                    recovery.take([record])
        found = recovery.summary()
        self.assertEqual(found.exit, 1)
        self.assertIn("2.0 s are missing", " ".join(found.incomplete))
        # All else is known by its end.
        self.assertEqual(found.messages, summary.messages)
        self.assertEqual(found.latency, summary.latency)

    def assertWhole(self, summary):
        """
        Its report is as the schema says, and what was started has its outcomes.
        """
        document = json.loads(json.dumps(documentOf(summary)))
        self.assertEqual([*problems(document)], [])
        counted = document["messages"]
        self.assertEqual(counted["started"], counted["accepted"] + counted["rejected"] + counted["failed"])

    def test_startedUnseen(self):
        """
        Messages whose start is in a second that is missing, and whose outcome is not, are said; whoever goes on reading
        has counted them as before.
        """
        recovery = Recovery({**HEADER, "checkpoint": 1})
        generator = Generator()
        generator.recorder.started = 50
        generator.cut()
        for _ in range(50):
            generator.recorder.transaction(0.001, 1)
        generator.recorder.started += 7
        recovery.take([("frame", generator.cut())])
        for _ in range(2):
            found = recovery.summary()
            self.assertEqual((found.messages.started, found.messages.accepted, found.messages.failed), (50, 50, 0))
            self.assertIn("43 messages are known by their outcomes only", " ".join(found.incomplete))
            now = recovery.now().messages
            self.assertEqual((now.started, now.accepted, now.failed), (50, 50, 0))
        recovery.take([("frame", generator.cut())])
        self.assertEqual(recovery.summary().messages.started, 50)

    def test_takenBackUnseen(self):
        """
        What was accepted in a second that is missing and taken back in one that is not was accepted never; so it is in
        a warm-up.
        """
        recovery = Recovery({**HEADER, "checkpoint": 1, "warmUp": 2.0})
        generator = Generator()
        generator.recorder.started = 3
        for _ in range(3):
            generator.recorder.transaction(0.001, 1)
        generator.cut()
        generator.recorder.takeBack(2)
        recovery.take([("frame", generator.cut())])
        self.assertEqual(recovery.summary().warmUp["accepted"], 0)
        generator.restart()
        generator.recorder.started += 3
        for _ in range(3):
            generator.recorder.transaction(0.001, 1)
        generator.cut()
        generator.recorder.takeBack(2)
        recovery.take([("frame", generator.cut())])
        found = recovery.summary()
        self.assertWhole(found)
        self.assertEqual((found.messages.accepted, found.messages.failed, found.warmUp["accepted"]), (0, 2, 0))

    def test_strange(self):
        """
        Facts that can't be are one line.
        """
        run = self.recorded(rate=7.0, duration=10.0, sessionCount=3)
        run.cutOff()
        with Reader(str(self.path)) as reader:
            for content in ({"limits": 5}, {"environment": []}, {"elapsed": "x"}, {"started": "1"}):
                recovery = Recovery(reader.header)
                recovery.take([("facts", content)])
                told = str(self.assertRaises(CheckpointError, recovery.summary))
                self.assertEqual(len(told.splitlines()), 1)
                recovery = Recovery(reader.header)
                recovery.take([("end", {"schema": 1, **content})])
                self.assertRaises(CheckpointError, recovery.summary)
            self.assertRaises(CheckpointError, Recovery, {**reader.header, "thresholds": ["nothing < 5"]})

    def test_tooMuch(self):
        """
        Seconds that can be, but not so many of them, are one line.
        """
        frame = Generator().cut()
        nothing = [{}] * len(NAMES)
        for changed in (
            {"counters": Counters(bytesSent=MOST)},
            {"errors": {"timeout": (MOST, "text")}},
            {"replies": [{"250": (MOST, "250")}, *nothing[1:]]},
            {"buckets": [{5: MOST}, *nothing[1:]]},
            {"cpu": (LATEST, 0.0)},
        ):
            recovery = Recovery(HEADER)
            recovery.take([("frame", replace(frame, **changed)), ("frame", replace(frame, **changed))])
            for ask in (recovery.summary, recovery.now):
                self.assertIn("more than there can be", str(self.assertRaises(CheckpointError, ask)))

    def test_fields(self):
        """
        The end says all that frames don't.
        """
        self.assertEqual(set(OF_FRAMES), {"histograms", "series", "timeline"})
