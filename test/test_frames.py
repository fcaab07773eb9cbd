"""
Tests for L{smtpsource.measure.frame} and L{smtpsource.measure.frameformat}.
"""

from __future__ import annotations

import json
import tracemalloc
import zlib
from array import array
from dataclasses import fields, replace

from hypothesis import strategies as st
from properties import given, settings
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.measure.counters import COUNTERS, COUNTS, Counters
from smtpsource.measure.frame import Frame, Frames, continued, merged
from smtpsource.measure.frameformat import LATEST, MOST, VERSION
from smtpsource.measure.recorder import Recorder
from smtpsource.measure.snapshot import take
from smtpsource.phases import NAMES, TLS, TRANSACTION
from smtpsource.report.schema import reportSchema

#: Counters of which others than the recorder's functions make sense of.
PLAIN = [name for name in COUNTS if name not in ("accepted", "failed", "takenBack", "recipientsAccepted")]

phases = st.integers(0, len(NAMES) - 1)
seconds = st.one_of(st.floats(0, 0.003), st.floats(0, 4000))
codes = st.sampled_from([b"220", b"250", b"421", b"550", b"\xff2x"])

events = st.one_of(
    st.tuples(st.just("duration"), phases, seconds),
    st.tuples(st.just("reply"), phases, seconds, codes, st.binary(max_size=20)),
    st.tuples(st.just("error"), st.sampled_from(["timeout", "connection-lost"]), st.text(max_size=20)),
    st.tuples(st.just("handshake"), st.just(TLS), seconds, st.sampled_from(["TLSv1.3 x", "TLSv1.2 y"])),
    st.tuples(st.just("transaction"), seconds, st.integers(1, 5)),
    st.tuples(st.just("takeBack"), st.integers(0, 3)),
    st.tuples(st.just("announced"), st.dictionaries(st.sampled_from(["SIZE", "DSN"]), st.text(max_size=3))),
    st.tuples(st.just("count"), st.sampled_from(PLAIN), st.integers(1, 1000)),
    st.tuples(st.just("open"), st.integers(-2, 2)),
    st.just(("cut",)),
)

#: What happens to which of several generators; C{None}: the warm-up of all is over.
courses = st.tuples(
    st.lists(st.tuples(st.integers(0, 3), events), max_size=40),
    st.none() | st.lists(st.tuples(st.integers(0, 3), events), max_size=40),
)


class Generator:
    """
    A recorder that is cut into frames.
    """

    def __init__(self):
        self.recorder = Recorder()
        self._frames = Frames(self.recorder)
        self.at = 0.0
        self.cuts = []

    def cut(self, **others):
        self.at += 1.0
        frame = self._frames.cut(take(self.recorder, self.at, None), **others)
        self.cuts.append(frame)
        return frame

    def restart(self):
        self.recorder.restart()
        self._frames.restart()
        self.at, self.cuts = 0.0, []


def happen(recorder, name, *values):
    """
    @return: what has happened, for a recorder that sees all.
    """
    if name == "count":
        setattr(recorder, values[0], getattr(recorder, values[0]) + values[1])
        if values[0] == "rejected":
            recorder.started += values[1]
    elif name == "open":
        recorder.open = max(0, recorder.open + values[0])
    elif name == "takeBack":
        return name, recorder.takeBack(*values)
    elif name == "transaction":
        recorder.started += 1
        recorder.transaction(*values)
    elif name != "cut":
        getattr(recorder, name)(*values)
    return name, *values


def used(buckets):
    """
    @return: the buckets that are not empty, for each phase.
    """
    return [{index: count for index, count in enumerate(counts) if count} for counts in buckets]


class FramesTests(SynchronousTestCase):
    """
    Whatever was counted apart is the same together.
    """

    def same(self, found, wanted):
        """
        Both recorders have counted the same.
        """
        for name in COUNTS:
            self.assertEqual(getattr(found, name), getattr(wanted, name), name)
        self.assertEqual(used(found.buckets), used(wanted.buckets))
        self.assertEqual(found.replies, wanted.replies)
        self.assertEqual(found.errors, wanted.errors)
        self.assertEqual(found.tls, wanted.tls)
        self.assertEqual(found.capabilities is None, wanted.capabilities is None)
        self.assertEqual([texts.keys() for texts in found.replySamples], [codes.keys() for codes in found.replies])
        self.assertEqual(found.errorSamples.keys(), found.errors.keys())

    @given(courses, st.randoms(use_true_random=False))
    @settings(max_examples=200)
    def test_sameAsOne(self, course, random):
        """
        Events of several generators, cut into frames at any moments, which are encoded, decoded, merged or not, and
        added in any order: that is what one recorder counts that sees all of them. So it is after a warm-up.
        """
        generators, one, total = [Generator() for _ in range(4)], Recorder(), Recorder()
        for epoch, part in enumerate(course):
            if part is None:
                continue
            if epoch:
                for each in (one, total, *generators):
                    each.restart()
                total.started = 0  # what is on its way is in the frames
            for index, event in part:
                happen(one, *happen(generators[index].recorder, *event))
                if event == ("cut",):
                    generators[index].cut()
            for generator in generators:
                generator.cut()
            frames = [frame for generator in generators for frame in generator.cuts]
            self.assertEqual({frame.epoch for frame in frames}, {epoch})
            random.shuffle(frames)
            while frames:
                some = [Frame.decode(frames.pop().encode()) for _ in range(min(len(frames), random.randint(1, 4)))]
                merged(some).addTo(total)
            self.same(total, one)

    @given(courses)
    def test_encoded(self, course):
        """
        A frame is the same again when it was encoded.
        """
        generator = Generator()
        for _, event in course[0]:
            happen(generator.recorder, *event)
        frame = generator.cut(
            cpu=(0.5, 0.25), lag=0.01, waited=0.1, gauges={"sessions": 7}, watched={"rss": 0.5}, last=True
        )
        self.assertEqual(Frame.decode(frame.encode()), frame)

    def test_of(self):
        """
        A frame is about what has happened since the one before: also where something was taken back.
        """
        generator = Generator()
        generator.recorder.started = 3
        generator.recorder.transaction(0.001, 1)
        generator.recorder.transaction(0.001, 1)
        generator.recorder.open = 5
        generator.cut()
        generator.recorder.takeBack(2)
        generator.recorder.open = 4
        frame = generator.cut()
        self.assertEqual((frame.number, frame.epoch, frame.at, frame.seconds), (1, 0, 2.0, 1.0))
        self.assertEqual(frame.counters, Counters(accepted=-2, failed=2, takenBack=2, recipientsAccepted=-2, open=4))
        self.assertEqual(frame.buckets, [{}] * len(NAMES))

    def test_gauges(self):
        """
        Gauges of generators side by side are added up; of two frames of one, one after the other, the last is kept. So
        it is with how long they were.
        """
        here, there = Generator(), Generator()
        for generator, sessions in ((here, 3), (there, 4)):
            generator.recorder.open = generator.recorder.started = sessions
            generator.cut(gauges={"sessions": sessions}, cpu=(0.5, 0.25), lag=0.1 * sessions, waited=0.1)
            generator.recorder.open += 10
            generator.cut(gauges={"sessions": 1}, cpu=(0.25, 0.0), lag=0.01, waited=0.2, last=True)
        beside = merged([here.cuts[0], there.cuts[0]])
        self.assertEqual((beside.counters.started, beside.counters.open, beside.gauges), (7, 7, {"sessions": 7}))
        self.assertEqual((beside.at, beside.seconds, beside.cpu, beside.waited), (1.0, 1.0, (1.0, 0.5), 0.1))
        self.assertEqual((beside.last, merged([here.cuts[1], there.cuts[1]]).last), (False, True))
        after = continued(here.cuts)
        self.assertEqual((after.counters.started, after.counters.open, after.gauges), (3, 13, {"sessions": 1}))
        self.assertEqual((after.at, after.seconds, after.cpu, after.last), (2.0, 2.0, (0.75, 0.25), True))
        self.assertApproximates(after.waited, 0.3, 1e-9)
        self.assertApproximates(after.lag, 0.3, 1e-9)


def headOf(frame):
    """
    @return: the header of an encoded frame, and the bytes after it.
    """
    data = zlib.decompress(frame.encode())
    end = 4 + int.from_bytes(data[:4])
    return json.loads(data[4:end]), data[end:]


def encoded(frame, **others):
    """
    @return: a frame as bytes, where this stands in its header.
    """
    head, numbers = headOf(frame)
    text = json.dumps(head | others).encode()
    return zlib.compress(len(text).to_bytes(4) + text + numbers)


json_ = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


class StrangeTests(SynchronousTestCase):
    """
    Frames come over a network. What is none is told in one line.
    """

    def setUp(self):
        generator = Generator()
        generator.recorder.transaction(0.5, 1)
        generator.recorder.reply(TRANSACTION, 0.5, b"250", b"250 \xff")
        generator.recorder.error("timeout", "text")
        self.frame = generator.cut()

    def refused(self, data, text=""):
        """
        It is told from a frame, in one line.
        """
        told = str(self.assertRaises(ValueError, Frame.decode, data))
        self.assertIn("expected a frame", told)
        self.assertIn(text, told)
        self.assertEqual(len(told.splitlines()), 1)

    def tolerated(self, data):
        """
        It is either refused or a frame that does no harm.
        """
        try:
            frame = Frame.decode(data)
        except ValueError as e:
            self.assertEqual(len(str(e).splitlines()), 1)
            return
        merged([frame, self.frame]).addTo(Recorder())
        self.assertEqual(Frame.decode(frame.encode()), frame)

    @given(st.binary(max_size=200))
    def test_junk(self, data):
        """
        Any bytes, compressed or not.
        """
        self.tolerated(data)
        self.tolerated(zlib.compress(data))
        self.tolerated(zlib.compress(len(data).to_bytes(4) + data))

    @given(st.sampled_from([field.name for field in fields(Frame)]), json_)
    @settings(max_examples=300)
    def test_fields(self, name, value):
        """
        Something else in one of the fields; and in the fields of fields.
        """
        self.tolerated(encoded(self.frame, **{name: value}))
        known = headOf(self.frame)[0][name]
        if isinstance(known, dict):
            self.tolerated(encoded(self.frame, **{name: known | dict.fromkeys(known, value)}))
        elif isinstance(known, list):
            self.tolerated(encoded(self.frame, **{name: [value, *known[1:]]}))

    def test_truncated(self):
        """
        Not all of it, or more than that.
        """
        data = self.frame.encode()
        for length in range(len(data)):
            self.refused(data[:length])
        self.refused(data + b"x", "longer")

    def test_otherVersion(self):
        """
        One of another version is said to be such.
        """
        self.refused(encoded(self.frame, version=VERSION + 1), "another version")

    def test_wrongField(self):
        """
        Which field is wrong is said.
        """
        self.refused(encoded(self.frame, lag=-1.0), "lag")
        self.refused(encoded(self.frame, epoch=2), "epoch")
        self.refused(encoded(self.frame, **{"surplus\n" * 1000: 1}), "surplus")

    def test_ranges(self):
        """
        No number is one that a report can't have: too large, or less than nothing.
        """
        ofReport = reportSchema()["$defs"]
        self.assertEqual((MOST, LATEST), (ofReport["count"]["maximum"], ofReport["seconds"]["maximum"]))
        counters = headOf(self.frame)[0]["counters"]
        taken = {"accepted": -3, "recipientsAccepted": -3}
        for name, value in (
            *(("counters", counters | {name: MOST + 1}) for name in COUNTERS),
            *(("counters", counters | {name: -1}) for name in COUNTERS if name not in taken),
            ("errors", {"timeout": [-1, "text"]}),
            ("errors", {"timeout": [MOST + 1, "text"]}),
            ("replies", [{"250": [-1, "250"]}, *[{}] * (len(NAMES) - 1)]),
            ("tls", {"TLS": -1}),
            ("cpu", [-0.1, 0]),
            ("cpu", [0, 10**400]),
            ("at", 2 * LATEST),
        ):
            self.refused(encoded(self.frame, **{name: value}), name)
        self.assertEqual(Frame.decode(encoded(self.frame, counters=taken)).counters, Counters(**taken))

    def test_hostile(self):
        """
        What is made to take much memory, takes no more than a few megabytes.
        """
        bomb = zlib.compress(bytes(1 << 28))
        nested = b"[" * 1_000_000
        long = b"[" + b"[]," * 10_000_000 + b"[]]"
        buckets = [1] + [0] * (len(NAMES) - 1)
        head = zlib.decompress(encoded(self.frame, buckets=buckets, replies=[{}] * len(NAMES)))
        head = head[: 4 + int.from_bytes(head[:4])]
        for data in (
            bomb,
            zlib.compress(len(nested).to_bytes(4) + nested),
            zlib.compress(len(long).to_bytes(4) + long),
            zlib.compress(b"\xff\xff\xff\xff" + b"{}"),
            # A bucket that would make a list of billions; and one with more latencies than there can be.
            zlib.compress(head + array("I", [0xFFFFFFF0]).tobytes() + array("q", [1]).tobytes()),
            zlib.compress(head + array("I", [1]).tobytes() + array("q", [-(1 << 63)]).tobytes()),
            encoded(self.frame, buckets=[1 << 60, *buckets[1:]]),
            encoded(self.frame, buckets=[-1, 2, *buckets[2:]]),
        ):
            tracemalloc.start()
            self.refused(data)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            self.assertLess(peak, 32 << 20)

    def test_longTexts(self):
        """
        A server may reply with any code, and a long text each time. It is counted, whatever becomes of the texts.
        """
        replies = [{f"{code}": (1, "\xff" * 200) for code in range(200, 600)} for _ in NAMES]
        again = Frame.decode(replace(self.frame, replies=replies).encode())
        self.assertEqual(
            [{code: count for code, (count, _) in of.items()} for of in again.replies],
            [dict.fromkeys(of, 1) for of in replies],
        )
        again.addTo(Recorder())
