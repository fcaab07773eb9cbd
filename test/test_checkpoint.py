"""
Tests for checkpoints: what they are as files, and who writes and reads them.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import replace
from pathlib import Path
from threading import Event
from unittest import mock

from checkpoints import HEADER, Recorded, recordsIn, recovered
from hypothesis import strategies as st
from patience import PATIENCE
from properties import given, settings
from test_frames import Generator
from twisted.trial.unittest import SynchronousTestCase

from smtpsource import report
from smtpsource.measure import checkpoint, checkpointfile
from smtpsource.measure.checkpoint import CheckpointError, Reader
from smtpsource.measure.checkpointfile import LIMIT, CheckpointFile, OccupiedError, Writer
from smtpsource.measure.checkpointlayout import END, FACTS, FRAME, MARK, START, Record, decoded, encoded, headerOf
from smtpsource.measure.marks import Mark
from smtpsource.measure.recorder import Recorder
from smtpsource.report.checkpoint import LONG, MOST, Checkpoint


def framesOf(count):
    """
    @return: so many frames, one after the other.
    """
    generator = Generator()
    for number in range(count):
        generator.recorder.started += 1
        generator.recorder.transaction(0.001 * number, 1)
        generator.cut()
    return generator.cuts


class CheckpointCase(SynchronousTestCase):
    """
    Those with a directory.
    """

    def setUp(self):
        self.path = Path(self.mktemp()).resolve()

    def write(self, octets, header=None):
        """
        A checkpoint with these octets for records.
        """
        self.path.mkdir(exist_ok=True)
        (self.path / "run.json").write_bytes(headerOf(HEADER) if header is None else header)
        recordsIn(self.path).write_bytes(octets)

    def read(self):
        """
        @return: all records, and how many octets are damaged.
        """
        with Reader(str(self.path)) as reader:
            return [*reader], reader.damaged


class ReaderTests(CheckpointCase):
    """
    Records, as they are read.
    """

    RECORDS = (
        Record(FACTS, {"limits": ["\N{SNOWMAN}\udcff"], "seed": 5}),
        *(Record(FRAME, frame) for frame in framesOf(3)),
        Record(MARK, (0, Mark(1.5, "a note", "command", 1, 0.5, "out\n"))),
        Record(FRAME, framesOf(4)[-1]),
        Record(END, {"exit": 0}),
    )

    def setUp(self):
        super().setUp()
        self.octets = [encoded(*record) for record in self.RECORDS]

    def test_whole(self):
        """
        What was written is read, with its header.
        """
        self.write(b"".join(self.octets))
        self.assertEqual(self.read(), ([*self.RECORDS], 0))
        with Reader(str(self.path)) as reader:
            self.assertEqual(reader.header, {"checkpoint": 1, **HEADER})
            self.assertFalse(reader.isWritten)

    def test_torn(self):
        """
        Of what was cut off anywhere, all whole records are read, and nothing is said of the rest.
        """
        octets = b"".join(self.octets)
        ends = [sum(map(len, self.octets[:number])) for number in range(len(self.octets) + 1)]
        for length in range(len(octets) + 1):
            self.write(octets[:length])
            whole = sum(end <= length for end in ends) - 1
            self.assertEqual(self.read(), ([*self.RECORDS[:whole]], 0))

    def test_zeros(self):
        """
        After a power cut a file may end with zeros.
        """
        self.write(b"".join(self.octets) + bytes(5000))
        self.assertEqual(self.read(), ([*self.RECORDS], 0))

    def test_damaged(self):
        """
        What is damaged in the middle is left out, and how much that is is known; wherever it is.
        """
        for number, octets in enumerate(self.octets[:-1]):
            for place in range(len(octets)):
                bad = bytearray(octets)
                bad[place] ^= 0x55
                self.write(b"".join((*self.octets[:number], bad, *self.octets[number + 1 :])))
                rest = [*self.RECORDS[:number], *self.RECORDS[number + 1 :]]
                self.assertEqual(self.read(), (rest, len(octets)), (number, place))

    @given(st.data())
    @settings(max_examples=200)
    def test_strange(self, data):
        """
        Whatever is done to a file, what is read is of what was written, in its order.
        """
        octets = bytearray(b"".join(self.octets))
        for _ in range(data.draw(st.integers(1, 5))):
            place = data.draw(st.integers(0, len(octets)))
            length = data.draw(st.integers(0, 300))
            octets[place : place + length] = data.draw(st.binary(max_size=300) | st.sampled_from(self.octets))
        self.write(octets)
        found, _ = self.read()
        self.assertEqual([one for one in found if one not in self.RECORDS], [])

    @given(st.binary(max_size=300))
    def test_junk(self, octets):
        """
        Any octets are none of ours, as records and as a header.
        """
        self.write(octets)
        self.assertEqual(self.read()[0], [])
        self.write(b"", header=octets)
        self.refused()

    def refused(self, *words):
        """
        It is refused in one line.
        """
        told = str(self.assertRaises(CheckpointError, Reader, str(self.path)))
        self.assertEqual(len(told.splitlines()), 1)
        for word in (str(self.path), "expected a checkpoint", *words):
            self.assertIn(word, told)

    def test_refused(self):
        """
        What is no checkpoint, or of another layout, is told in one line.
        """
        self.refused("there is no")
        self.path.write_text("a file")
        self.refused()
        self.path.unlink()
        self.path.mkdir()
        self.refused("run.json")
        self.write(b"", header=headerOf(HEADER | {"checkpoint": 2}))
        self.refused("layout 1", "not 2")
        for name in HEADER:
            self.write(b"", header=headerOf(HEADER | {name: {}}))
            self.refused(name)
        self.write(b"", header=b"[" * 100_000)
        self.refused()
        (self.path / "run.json").unlink()
        os.mkfifo(self.path / "run.json")
        self.refused("no file")

    def test_marks(self):
        """
        What no mark can be is damaged, as what was read of it would be in a report.
        """
        mark = self.RECORDS[4].content[1]
        for name, values in {
            "at": (10**400, 2.0**61, None, "1", True),
            "seconds": (10**400, -1.0, 2.0**61, [], False, ""),
            "status": (10**400, 0.5, [], True),
            "text": (None, 5),
            "output": (None, 5),
            "kind": ("other", None, []),
        }.items():
            for value in values:
                self.write(encoded(MARK, (0, replace(mark, **{name: value}))) + self.octets[0])
                self.assertEqual(self.read()[0], [self.RECORDS[0]], (name, str(value)[:20]))
        for one in (replace(mark, at=-5.0, status=None, seconds=None), replace(mark, status=-9, seconds=0)):
            self.write(encoded(MARK, (0, one)))
            self.assertEqual(self.read(), ([Record(MARK, (0, one))], 0))

    def test_forged(self):
        """
        Many false beginnings of the longest records are passed by in little time; what is behind them is read.
        """
        self.patch(checkpoint, "_SPARE", 100_000)
        summed = []

        def sumUp(head, content):
            summed.append(len(content))
            return decoded(head, content)

        self.patch(checkpoint, "decoded", sumUp)
        forged = (START + b"F" + (10_000).to_bytes(4, "little") + bytes(4)) * 5000
        beyond = (START + b"F" + (1 << 24).to_bytes(4, "little") + bytes(4)) * 5000
        octets = b"".join((self.octets[0], forged, beyond, bytes(10_000), *self.octets[1:]))
        self.write(octets)
        found, damaged = self.read()
        self.assertEqual(found, [*self.RECORDS])
        self.assertEqual(damaged, len(forged) + len(beyond) + 10_000)
        self.assertLess(sum(summed), 100_000 + 65 * len(octets))

    def test_follow(self):
        """
        Who reads along gets each record when it is whole.
        """
        self.write(b"")
        with Reader(str(self.path)) as reader, open(recordsIn(self.path), "ab", buffering=0) as file:
            for record, octets in zip(self.RECORDS, self.octets, strict=True):
                self.assertEqual(reader.poll(), [])
                file.write(octets[:20])
                self.assertEqual(reader.poll(), [])
                file.write(octets[20:])
                self.assertEqual(reader.poll(), [record])
            self.assertEqual(reader.damaged, 0)

    def test_parts(self):
        """
        Many records are read a part at a time.
        """
        self.write(b"".join(self.octets) * 3)
        with Reader(str(self.path)) as reader:
            found = [reader.poll(most=4) for _ in range(6)]
        self.assertEqual([len(part) for part in found], [4, 4, 4, 4, 4, 1])


class FileTests(CheckpointCase):
    """
    The files, as they are written.
    """

    def test_private(self):
        """
        Nobody else can read them; while they are written, readers know.
        """
        file = CheckpointFile(str(self.path), HEADER)
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (self.path, *sorted(self.path.iterdir()))]
        self.assertEqual(modes, [0o700, 0o600, 0o600])
        with Reader(str(self.path)) as reader:
            self.assertTrue(reader.isWritten)
            file.append(encoded(END, {}))
            self.assertEqual(reader.poll(), [(END, {})])
            file.sync()
            file.close()
            self.assertFalse(reader.isWritten)

    def test_other(self):
        """
        That of another run is left as it is, be it whole or not.
        """
        CheckpointFile(str(self.path), HEADER).close()
        before = sorted((path.name, path.read_bytes()) for path in self.path.iterdir())
        told = str(self.assertRaises(CheckpointError, CheckpointFile, str(self.path), HEADER))
        self.assertIn("another run", told)
        self.assertEqual(sorted((path.name, path.read_bytes()) for path in self.path.iterdir()), before)
        (self.path / "run.json").unlink()
        self.assertRaises(CheckpointError, CheckpointFile, str(self.path), HEADER)

    def test_race(self):
        """
        Also if the other run makes it at the very moment.
        """
        CheckpointFile(str(self.path), HEADER).close()
        (self.path / "run.json").unlink()
        self.patch(checkpointfile, "_isThere", lambda name, directory: False)
        self.assertRaises(OccupiedError, CheckpointFile, str(self.path), HEADER)
        self.assertTrue(recordsIn(self.path).exists())

    def test_removed(self):
        """
        What was made is removed, and nothing else.
        """
        CheckpointFile(str(self.path), HEADER).remove()
        self.assertFalse(self.path.exists())
        self.path.mkdir()
        (self.path / "precious").write_text("x")
        CheckpointFile(str(self.path), HEADER).remove()
        self.assertEqual([path.name for path in self.path.iterdir()], ["precious"])

    def test_removedByOthers(self):
        """
        When somebody else has removed it, who writes is told.
        """
        file = CheckpointFile(str(self.path), HEADER)
        self.addCleanup(file.close)
        file.append(encoded(FACTS, {}))
        file.sync()
        recordsIn(self.path).unlink()
        file.append(encoded(FACTS, {}))
        self.assertIn(f"removed {self.path}", str(self.assertRaises(CheckpointError, file.sync)))

    def test_links(self):
        """
        No link is written through.
        """
        self.path.mkdir()
        victim = self.path / "victim"
        victim.write_text("x")
        (self.path / "records").symlink_to(victim)
        self.assertRaises(CheckpointError, CheckpointFile, str(self.path), HEADER)
        self.assertEqual(victim.read_text(), "x")

    def test_partly(self):
        """
        When a disk gets full in the middle of a record, nothing of it is there.
        """
        file = CheckpointFile(str(self.path), HEADER)
        self.addCleanup(file.close)
        file.append(encoded(FACTS, {}))
        write, room = os.write, [5]

        def full(descriptor, octets):
            if not room:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(descriptor, octets[: room.pop()])

        self.patch(os, "write", full)
        self.assertRaises(OSError, file.append, encoded(END, {}))
        self.assertEqual(self.read(), ([(FACTS, {})], 0))
        self.assertEqual(recordsIn(self.path).stat().st_size, len(encoded(FACTS, {})))


class HeldFile(CheckpointFile):
    """
    One on a disk that takes nothing before it is told to.
    """

    def __init__(self, path):
        super().__init__(path, HEADER)
        self.asked, self.goes = Event(), Event()

    def append(self, record):
        self.asked.set()
        assert self.goes.wait(PATIENCE)
        super().append(record)


class FullFile(CheckpointFile):
    """
    One on a disk that is full for the first tries, but for a little room.
    """

    def __init__(self, path):
        super().__init__(path, HEADER)
        self.tries = self.room = 0
        self.goOn, self.refused = Event(), Event()

    def append(self, record):
        self.tries += 1
        if not self.goOn.is_set() and len(record) > self.room:
            self.refused.set()
            raise OSError(errno.ENOSPC, "No space left on device")
        super().append(record)


class WriterTests(CheckpointCase):
    """
    The thread that writes.
    """

    def setUp(self):
        super().setUp()
        self.patch(checkpointfile, "_AGAIN", 0.01)

    def finish(self, writer):
        writer.finish({"exit": 0}, {})
        self.assertTrue(writer.wait(PATIENCE), writer.problem)
        writer.file.close()
        self.assertEqual(writer.problem, None)

    def assertAll(self, frames):
        """
        Nothing of what is counted is missing.
        """
        found, damaged = self.read()
        self.assertEqual(damaged, 0)
        self.assertEqual(found[-1], (END, {"exit": 0}))
        wanted, got = Recorder(), Recorder()
        for frame in frames:
            frame.addTo(wanted)
        written = [content for kind, content in found if kind == FRAME]
        for frame in written:
            frame.addTo(got)
        self.assertEqual([*map(list, got.buckets)], [*map(list, wanted.buckets)])
        self.assertEqual(got.copy(), wanted.copy())
        self.assertEqual(sum(frame.seconds for frame in written), sum(frame.seconds for frame in frames))
        return written

    def test_usual(self):
        """
        Frame by frame; of facts, what has changed; marks when they do.
        """
        writer = Writer(lambda: CheckpointFile(str(self.path), HEADER), dict)
        frames = framesOf(3)
        writer.put(frames[0], {"a": 1, "b": [2]}, {0: Mark(0.5, "x")})
        writer.put(frames[1], {"a": 1, "b": [3]}, {})
        writer.put(frames[2], {"a": 1, "b": [3]}, {0: Mark(0.5, "x", status=1)})
        self.finish(writer)
        self.assertEqual(self.assertAll(frames), frames)
        found, _ = self.read()
        known, marks = {}, {}
        for kind, content in found:
            if kind == FACTS:
                known |= content
            elif kind == MARK:
                marks |= dict([content])
        self.assertEqual((known, marks), ({"a": 1, "b": [3]}, {0: Mark(0.5, "x", status=1)}))

    def test_blocked(self):
        """
        A disk that takes nothing keeps nobody waiting; little is kept for it, and all is written when it does.
        """
        file = HeldFile(str(self.path))
        writer = Writer(lambda: file, dict)
        frames = framesOf(5 * LIMIT)
        writer.put(frames[0], {}, {})
        self.assertTrue(file.asked.wait(PATIENCE))
        for frame in frames[1:]:
            writer.put(frame, {}, {})
        self.assertEqual(writer.waiting, LIMIT)
        self.assertFalse(writer.wait(0))
        file.goes.set()
        self.finish(writer)
        self.assertEqual(len(self.assertAll(frames)), LIMIT + 1)

    def test_fullBetween(self):
        """
        What is known of a second and what was counted in it are written together, or neither is, however much room
        there is.
        """
        (frame,) = framesOf(1)
        facts = len(encoded(FACTS, {"a": 1}))
        for room in (facts - 1, facts, len(encoded(FRAME, frame)), facts + len(encoded(FRAME, frame)) - 1):
            self.path = Path(self.mktemp()).resolve()
            file = FullFile(str(self.path))
            file.room = room
            writer = Writer(lambda file=file: file, dict)
            writer.put(frame, {"a": 1}, {})
            self.assertTrue(file.refused.wait(PATIENCE))
            self.assertEqual(self.read(), ([], 0))
            file.goOn.set()
            self.finish(writer)
            self.assertEqual(self.assertAll([frame]), [frame])

    def test_full(self):
        """
        A disk that is full is tried again and again.
        """
        file = FullFile(str(self.path))
        writer = Writer(lambda: file, dict)
        frames = framesOf(10)
        for frame in frames:
            writer.put(frame, {}, {})
        writer.finish({"exit": 0}, {})
        self.assertFalse(writer.wait(0.2))
        self.assertEqual((writer.problem, writer.hasFailed), ("No space left on device", False))
        file.goOn.set()
        self.assertTrue(writer.wait(PATIENCE))
        file.close()
        self.assertEqual(self.assertAll(frames), frames)

    def test_impossible(self):
        """
        Where there is that of another run, there is none, and the thread ends.
        """
        CheckpointFile(str(self.path), HEADER).close()
        writer = Writer(lambda: CheckpointFile(str(self.path), HEADER), dict)
        writer.put(framesOf(1)[0], {}, {})
        self.assertFalse(writer.wait(PATIENCE))
        self.assertTrue(writer.hasFailed)
        self.assertIn("another run", writer.problem)


class RunTests(CheckpointCase):
    """
    A run, and when it has a checkpoint.
    """

    def setUp(self):
        super().setUp()
        # Many seconds pass at once: they wait for the disk, and that is no news.
        self.patch(report.checkpoint, "TOO_MANY", 10_000)

    def begun(self, **plan):
        run = Recorded(self.path, isAsked=False, sessionCount=3, **plan)
        run.begin()
        return run

    def test_short(self):
        """
        A run that is not known to be long has none at first; after a minute it has all that was before as well.
        """
        run = self.begun(rate=7.3, messageCount=1000)
        run.passTime(LONG - 1)
        self.assertFalse(self.path.exists())
        run.passTime(3.1)
        run.cutOff()
        self.assertEqual(len(recovered(self.path).series), 62)

    def test_long(self):
        """
        One that is known to be long has it at once.
        """
        run = self.begun(rate=7.3, duration=100.0)
        run.passTime(1.5)
        run.cutOff()
        self.assertEqual(len(recovered(self.path).series), 1)

    def test_end(self):
        """
        It is removed when there is a report, and stays if there is none.
        """
        for hasReport in (True, False):
            run = self.begun(rate=7.3, duration=100.0)
            run.passTime(1000)
            self.assertEqual(len(run.done), 1)
            run.checkpoint.finish(hasReport)
            self.assertEqual(self.path.exists(), not hasReport)
            self.assertEqual(run.told, [])
        self.assertEqual(recovered(self.path).messages, run.done[0].messages)

    def test_asked(self):
        """
        One that was asked for stays.
        """
        run = Recorded(self.path, sessionCount=3, messageCount=5)
        run.begin()
        self.assertTrue(self.path.exists())
        run.passTime(10)
        run.checkpoint.finish(True)
        self.assertEqual(recovered(self.path).messages, run.done[0].messages)

    def occupy(self, *names):
        """
        There are those of other runs.

        @return: what is in them.
        """
        paths = [self.path.with_name(f"{self.path.name}{name}") for name in names]
        for path in paths:
            CheckpointFile(str(path), HEADER).close()
        return lambda: [(path, one.name, one.read_bytes()) for path in paths for one in sorted(path.iterdir())]

    def whenThere(self, run):
        """
        Wait until its thread has made the files.
        """
        pause, writer = Event(), run.checkpoint._writer
        for _ in range(int(PATIENCE / 0.01)):
            if writer.file is not None:
                return
            pause.wait(0.01)
        self.fail(writer.problem)

    def test_told(self):
        """
        What is left is told in the end if there was no time for it before.
        """
        self.occupy("")
        for hasReport in (True, False):
            run = self.begun(rate=7.3, duration=100.0)
            with mock.patch.object(Checkpoint, "_tellIfElsewhere"):
                run.passTime(200)
                self.assertTrue(run.checkpoint._writer.wait(PATIENCE))
            run.checkpoint.finish(hasReport)
            self.assertEqual(len(run.told), not hasReport)

    def test_askedOther(self):
        """
        Where there is that of another run, one that was asked for is refused.
        """
        self.occupy("")
        asked = Recorded(self.path, sessionCount=3, messageCount=5)
        self.assertIn("--checkpoint", str(self.assertRaises(CheckpointError, asked.checkpoint.start)))

    def test_other(self):
        """
        Where there are those of other runs, one that was not asked for is beside them, and it is said where; they stay
        as they are, and it is removed like any other.
        """
        others = self.occupy("", ".2")
        before = others()
        beside = self.path.with_name(f"{self.path.name}.3")
        for hasReport in (False, True):
            run = self.begun(rate=7.3, duration=100.0)
            run.passTime(1.5)
            self.whenThere(run)
            run.passTime(200)
            self.assertEqual(len(run.done), 1)
            run.checkpoint.finish(hasReport)
            self.assertEqual(run.told, [f"{self.path} is the checkpoint of another run: that of this one is {beside}"])
            self.assertEqual(others(), before)
            self.assertEqual(beside.exists(), not hasReport)
            if not hasReport:
                self.assertEqual(recovered(beside).messages, run.done[0].messages)
                beside.rename(self.mktemp())

    def test_many(self):
        """
        Where there are too many the run goes on without, and says so once.
        """
        others = self.occupy("", *(f".{number}" for number in range(2, MOST + 1)))
        before = others()
        run = self.begun(rate=7.3, duration=100.0)
        run.passTime(1.5)
        self.assertFalse(run.checkpoint._writer.wait(PATIENCE))
        run.passTime(200)
        self.assertEqual(len(run.done), 1)
        run.checkpoint.finish(True)
        (told,) = run.told
        self.assertIn("no checkpoint of this run", told)
        self.assertIn(f"{self.path}.{MOST} is the checkpoint of another run", told)
        self.assertEqual(others(), before)
        self.assertFalse(self.path.with_name(f"{self.path.name}.{MOST + 1}").exists())

    def test_removedMeanwhile(self):
        """
        If somebody removes it while the run goes on, that is said once, and the run goes on without.
        """
        for hasReport in (True, False):
            run = self.begun(rate=7.3, duration=100.0)
            run.passTime(1.5)
            self.whenThere(run)
            for name in ("records", "run.json"):
                (self.path / name).unlink()
            self.path.rmdir()
            run.passTime(1)
            self.assertFalse(run.checkpoint._writer.wait(PATIENCE))
            run.passTime(200)
            self.assertEqual(len(run.done), 1)
            run.checkpoint.finish(hasReport)
            self.assertEqual(run.told, [f"there is no checkpoint of this run: somebody has removed {self.path}"])

    def test_gone(self):
        """
        Where nothing can be written, that is said once, and the run goes on.
        """
        self.patch(checkpointfile, "_AGAIN", 0.01)
        tries, triedAgain = [], Event()

        def fail(path, header):
            tries.append(path)
            if len(tries) > 1:
                triedAgain.set()
            raise OSError(errno.EROFS, "Read-only file system")

        self.patch(report.checkpoint, "CheckpointFile", fail)
        run = self.begun(rate=7.3, duration=100.0)
        run.passTime(1.5)
        self.assertTrue(triedAgain.wait(PATIENCE))
        run.passTime(200)
        self.assertEqual(run.done[0].messages.accepted, 730)
        run.checkpoint.finish(True)
        self.assertEqual(len(run.told), 2)
        self.assertIn("can't be written: Read-only file system", run.told[0])
        self.assertIn("is not complete: Read-only file system", run.told[1])
