"""
Tests for smtpsource.ledger.judge: what became of every message, by records of both ends.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from judgedslowly import judged
from ledgerfiles import BODY, RUN, Pages
from properties import given
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.ledger import records
from smtpsource.ledger.judge import Judge
from smtpsource.ledger.reading import RECORD
from smtpsource.measure.judgement import CLASSES, REASONS


class JudgeCase(SynchronousTestCase):
    """
    A judge that is fed from files.
    """

    def judgeOf(self, *pages):
        """
        A judge that has read all of these.
        """
        judge = Judge(RUN)
        directory = self.mktemp()
        for each in pages:
            file = each.file(directory)
            self.addCleanup(file.close)
            feed = judge.sent if file.role == "source" else judge.arrived
            for found in file.rest():
                feed(found, file)
        return judge

    def judged(self, *pages, drained=True, reasons=()):
        """
        What it says of them.
        """
        judgement = self.judgeOf(*pages).judge(drained, reasons)
        self.assertEqual(judgement.sent, sum(getattr(judgement, name) for name in CLASSES))
        return judgement

    def assertCounts(self, judgement, **counts):
        """
        All counts are these, and the others are 0.
        """
        names = (*CLASSES, "duplicated", "corrupted", "transformed", "contradicted", "ghosts", "astray", "foreign")
        found = {name: getattr(judgement, name) for name in names}
        self.assertEqual(counts, {name: count for name, count in found.items() if count})


class ClassesTests(JudgeCase):
    """
    One planted fault of each kind, and none.
    """

    def test_none(self):
        """
        All has arrived: that passes.
        """
        source, sink = Pages(), Pages("sink", 0)
        for number in range(1, 101):
            source.sent(number)
            sink.arrival(number)
        judgement = self.judged(source, sink.end())
        self.assertEqual(("pass", []), (judgement.verdict, list(judgement.reasons)))
        self.assertCounts(judgement, delivered=100)
        self.assertEqual(100, judgement.arrivals)

    def test_each(self):
        """
        One of each, in one run.
        """
        other = (BODY[0] + 1, BODY[1] + 1)
        source, sink = Pages(), Pages("sink", 0)
        source.sent(1)  # lost
        source.sent(2)  # lost by a rule
        sink.arrival(2, deed="accept-but-lose")
        source.sent(3)  # misdelivered
        sink.arrival(3, b"z@example.com")
        source.sent(4)  # duplicated
        sink.arrival(4).arrival(4)
        source.sent(5)  # corrupted
        sink.arrival(5, body=other)
        source.sent(6)  # transformed
        sink.arrival(6, body=(other[0], BODY[1]))
        source.sent(7, outcome=records.UNKNOWN)  # recovered
        sink.arrival(7)
        source.intent(8)  # recovered, without an outcome
        sink.arrival(8)
        source.sent(9, outcome=records.UNKNOWN)  # unknown
        source.sent(10, outcome=records.REFUSED)  # refused
        source.sent(11, outcome=records.REFUSED)  # contradicted
        sink.arrival(11)
        source.sent(12)  # bounced
        sink.report(12)
        source.sent(13)  # fine
        sink.arrival(13)
        source.sent(14, outcome=records.UNSENT)  # not sent
        sink.arrival(99).arrival(1, run=5).arrival(0, run=0)  # a ghost, a stranger, one without an id
        sink.arrival(13, b"y@example.com")  # for another as well
        judgement = self.judged(source, sink.end())
        self.assertCounts(
            judgement,
            delivered=4,
            lost=2,
            misdelivered=1,
            bounced=1,
            recovered=2,
            refused=2,
            unknown=1,
            duplicated=1,
            corrupted=1,
            transformed=1,
            contradicted=1,
            ghosts=1,
            astray=1,
            foreign=1,
        )
        self.assertEqual((13, 1, 0), (judgement.sent, judgement.unidentified, judgement.damaged))
        self.assertEqual("fail", judgement.verdict)
        self.assertEqual(
            ["2 lost", "1 corrupted", "1 misdelivered", "1 come for others as well", "1 duplicated"],
            list(judgement.reasons),
        )

    def test_recipients(self):
        """
        Recipients of one message are apart from each other.
        """
        source, sink = Pages(), Pages("sink", 0)
        for number in (1, 2, 3):
            for index, name in enumerate(b"abc"):
                source.intent(number, b"%c@example.com" % name, index)
        source.outcome(1, records.REFUSED, 1, 550).outcome(1).outcome(2).outcome(3, records.UNKNOWN)
        sink.arrival(1, b"a@example.com").arrival(1, b"c@EXAMPLE.com")
        sink.arrival(2, b"c@example.com").arrival(2, b"b@example.com").arrival(3, b"b@example.com")
        judgement = self.judged(source, sink)
        self.assertCounts(judgement, delivered=4, refused=1, lost=1, recovered=1, unknown=2)


ADDRESSES = (b"a@example.com", b"b@example.com", b"c@example.com", b"z@example.com", b"y@example.com")
OTHER_BODY = (BODY[0] + 1, BODY[1] + 1)
BODIES = (BODY, BODY, BODY, (BODY[0] + 1, BODY[1]), OTHER_BODY)

outcomes = st.sampled_from((records.ACKNOWLEDGED,) * 4 + (records.REFUSED, records.UNKNOWN, records.UNSENT))


@st.composite
def attempts(draw, number):
    """
    What is written of one attempt to send a message: calls of L{Pages}.
    """
    recipients = range(1 + number % 3)
    calls = []
    attempt = draw(st.integers(1, 2))
    if draw(st.booleans()) and draw(st.booleans()):
        calls.append(("outcome", (number, records.REFUSED, draw(st.sampled_from(recipients)))))
    calls += [("intent", (number, ADDRESSES[index], index, attempt)) for index in recipients]
    for index in recipients:
        if draw(st.integers(0, 4)) == 0:
            calls.append(("outcome", (number, draw(outcomes), index)))
    if draw(st.integers(0, 5)):
        calls.append(("outcome", (number, draw(outcomes))))
    return calls


@st.composite
def generators(draw, numbers):
    """
    The ledger of one generator, whose messages come between each other.
    """
    pages = Pages()
    stories = [[call for part in draw(st.lists(attempts(each), max_size=2)) for call in part] for each in numbers]
    while stories := [story for story in stories if story]:
        story = draw(st.sampled_from(stories))
        for _ in range(draw(st.integers(1, 4))):
            if story:
                name, values = story.pop(0)
                getattr(pages, name)(*values)
    return pages


@st.composite
def sinks(draw):
    """
    The ledger of a sink. No two records of any have the same time.
    """
    pages = Pages("sink", 0)
    pages.time = draw(st.integers(0, 10**6)) / 1e7
    for _ in range(draw(st.integers(0, 12))):
        kind = draw(st.sampled_from(("arrival",) * 8 + ("unseen", "report", "damaged")))
        number = draw(st.integers(1, 7))
        if kind == "arrival":
            pages.arrival(
                number,
                ADDRESSES[draw(st.sampled_from((0, 0, 0, 1, 1, 2, 3, 4)))],
                run=draw(st.sampled_from((RUN,) * 8 + (0, 1))),
                deed=draw(st.sampled_from(("",) * 8 + records.DEEDS)),
                body=draw(st.sampled_from(BODIES)),
                original=draw(st.sampled_from((None, None, *ADDRESSES[:3]))),
                session=draw(st.integers(1, 2)),
            )
        elif kind == "unseen":
            pages.add(records.UNSEEN, session=draw(st.integers(1, 2)), size=draw(st.integers(0, 3)))
        elif kind == "report":
            pages.report(
                number, draw(st.sampled_from((b"", *ADDRESSES[:4]))), draw(st.sampled_from(("failed", "delayed")))
            )
        else:
            pages.add(records.DAMAGED)
    return pages.end() if draw(st.booleans()) else pages


class MemoryFile:
    """
    A ledger that is not on the disk.
    """

    def __init__(self, pages):
        self.header = pages.header
        self.path = self.name = "memory"
        self.role = pages.header["role"]
        self.octets = b"".join(pages.records)
        self.records = np.frombuffer(self.octets, RECORD)
        self.at = 0

    def next(self, count):
        found = self.records[self.at : self.at + count]
        self.at += len(found)
        return found

    def again(self):
        yield self.records[: self.at // 2]
        yield self.records[self.at // 2 : self.at]

    def wall(self, time):
        return time + self.header["offset"]

    def fields(self):
        size = records.SIZE
        return [records.fields(self.octets[at : at + size]) for at in range(0, len(self.octets), size)]


class OrderTests(SynchronousTestCase):
    """
    Whatever the order in which records are read.
    """

    @given(st.data(), st.booleans())
    def test_anyOrder(self, data, drained):
        """
        In whatever parts the records of several ledgers are read, and however these come between each other, the
        judgement is the one that is reached record by record.
        """
        pages = [data.draw(generators(numbers)) for numbers in ((1, 2, 3), (4, 5))]
        pages += data.draw(st.lists(sinks(), min_size=1, max_size=2))
        files = [MemoryFile(each) for each in pages]
        judge = Judge(RUN)
        for file in files:
            (judge.sent if file.role == "source" else judge.arrived)(file.next(0), file)
        while left := [file for file in files if file.at < len(file.records)]:
            file = data.draw(st.sampled_from(left))
            feed = judge.sent if file.role == "source" else judge.arrived
            feed(file.next(data.draw(st.integers(1, 40))), file)
            if data.draw(st.integers(0, 9)) == 0:
                judge.judge(False)
                judge.latencies()
        judgement = judge.judge(drained)
        of = {role: [file.fields() for file in files if file.role == role] for role in ("source", "sink")}
        expected = judged(RUN, of["source"], of["sink"], drained)
        found = {name: getattr(judgement, name) for name in (*CLASSES, "sent", "arrivals", "duplicated", "corrupted")}
        found |= {name: getattr(judgement, name) for name in ("transformed", "contradicted", "astray", "ghosts")}
        found |= {name: getattr(judgement, name) for name in ("foreign", "damaged")}
        found |= {"acknowledged": judge.acknowledged, "here": judge.here, **judgement.duplicatedBy}
        expected.pop("unidentified", None)
        self.assertEqual({name: count for name, count in found.items() if count}, expected)
        self.assertEqual(sum(judgement.duplicatedBy.get(reason, 0) for reason in REASONS), judgement.duplicated)
        self.assertEqual(judgement.sent, sum(getattr(judgement, name) for name in CLASSES))
        rows = [anomaly["class"] for anomaly in judge.anomalies()]
        for name in (
            "lost",
            "misdelivered",
            "duplicated",
            "corrupted",
            "contradicted",
            "bounced",
            "astray",
            "recovered",
        ):
            self.assertEqual(getattr(judgement, name), rows.count(name), name)
        self.assertEqual(judgement.ghosts, rows.count("ghost"))
        if judgement.verdict == "pass":
            self.assertTrue(drained)
