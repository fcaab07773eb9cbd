"""
Tests for smtpsource.ledger.judge: what became of every message, by records of both ends.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from judgedslowly import judged
from ledgerfiles import BODY, RUN, SECOND, Pages
from properties import given
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.ledger import clocks, records
from smtpsource.ledger.judge import Judge
from smtpsource.ledger.reading import RECORD
from smtpsource.measure.histogram import summarize
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
        besides = ("duplicated", "corrupted", "transformed", "contradicted", "misreported")
        names = (*CLASSES, *besides, "ghosts", "astray", "foreign")
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
        source.sent(15)  # misreported
        sink.arrival(15).report(15)
        sink.arrival(99).arrival(1, run=5).arrival(0, run=0)  # a ghost, a stranger, one without an id
        sink.arrival(13, b"y@example.com")  # for another as well
        judgement = self.judged(source, sink.end())
        self.assertCounts(
            judgement,
            delivered=5,
            lost=2,
            misdelivered=1,
            bounced=1,
            misreported=1,
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
        self.assertEqual((14, 1, 0), (judgement.sent, judgement.unidentified, judgement.damaged))
        self.assertEqual("fail", judgement.verdict)
        self.assertEqual(
            ["2 lost", "1 corrupted", "1 misdelivered", "1 come for others as well", "1 duplicated"],
            list(judgement.reasons),
        )

    def test_sameSeed(self):
        """
        What came before the run began is another run's, which had the same seed and so the same id.
        """
        source = Pages(monotonic=10 * SECOND).sent(1, at=11.0).sent(2, at=11.0)
        sink = Pages("sink", 0, monotonic=0).arrival(1, at=5.0).arrival(2, at=5.0).arrival(2, at=12.0).end(at=90.0)
        self.assertCounts(self.judged(source, sink), lost=1, delivered=1, foreign=2)

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

    def test_manyRecipients(self):
        """
        Also in a message for very many each recipient is found.
        """
        source, sink = Pages(), Pages("sink", 0)
        addresses = [b"%d@example.com" % index for index in range(20_000)]
        for index, address in enumerate(addresses):
            source.intent(1, address, index)
        source.intent(2, addresses[7]).outcome(1).outcome(2)
        for address in addresses[1:]:
            sink.arrival(1, address)
        sink.arrival(1, addresses[19_999]).arrival(1, b"x@example.com").arrival(2, addresses[7])
        self.assertCounts(self.judged(source, sink), delivered=20_000, misdelivered=1, duplicated=1)

    def test_manyAliases(self):
        """
        What came to other addresses of those for whom it was meant is looked up once.
        """
        source, sink = Pages(), Pages("sink", 0)
        for number in range(1, 20_001):
            source.sent(number)
            sink.arrival(number, b"mailbox@example.com", original=b"a@example.com")
        judge = self.judgeOf(source, sink)
        self.assertEqual(20_000, judge.here)
        match = self.patch(judge.known.units, "match", None)
        self.assertEqual(20_000, judge.here)
        match.restore()
        # It turns out to be somebody else's.
        late = Pages().sent(20_001, b"mailbox@example.com").file(self.mktemp())
        self.addCleanup(late.close)
        judge.sent(late.next(), late)
        self.assertEqual(0, judge.here)
        self.assertCounts(judge.judge(True), misdelivered=20_000, lost=1)

    def test_takenBack(self):
        """
        What the sink could not keep has not arrived: what comes again is no duplicate, whatever it was before.
        """
        other = (BODY[0] + 1, BODY[1] + 1)
        source, sink = Pages(), Pages("sink", 0)
        for number in range(1, 7):
            source.sent(number, outcome=records.REFUSED).sent(number, attempt=2)
        sink.arrival(1).takeBack().arrival(1)  # delivered
        sink.arrival(2, body=other).takeBack()  # lost
        sink.arrival(3, b"z@example.com").takeBack().arrival(3)  # delivered
        sink.arrival(4).arrival(4).takeBack().arrival(4)  # duplicated
        sink.arrival(5).arrival(6, deed="accept-but-lose").takeBack().takeBack().arrival(6)  # lost, delivered
        judge = self.judgeOf(source, sink.end())
        judgement = judge.judge(True)
        self.assertCounts(judgement, delivered=4, lost=2, duplicated=1)
        self.assertEqual((6, 4, 5), (judge.acknowledged, judge.here, judgement.arrivals))
        found = {str(each["id"]).split("-")[1]: each for each in judge.anomalies()}
        self.assertEqual(["2", "4", "5"], sorted(found))
        self.assertIn("taken-back", [event["what"] for event in found["2"]["history"]])

    def test_sessionsEnded(self):
        """
        Only those who were there when a sink was killed may not have seen their replies.
        """
        for kind, reason in ((records.LEFT, "none"), (records.ALIVE, "unseen-reply")):
            source, sink = Pages().sent(1), Pages("sink", 0)
            sink.arrival(1, session=1).add(kind, session=1).arrival(1, session=2)
            self.assertEqual({reason: 1}, dict(self.judged(source, sink).duplicatedBy))

    def test_whoseStray(self):
        """
        What came for another was for one whose mail the server has taken, rather than for one whose it has not.
        """
        source, sink = Pages(), Pages("sink", 0)
        for number in range(1, 6):
            source.intent(number, b"a@example.com").intent(number, b"b@example.com", 1)
            sink.arrival(number, b"x@example.com")
        source.outcome(1, records.REFUSED, 0, 550).outcome(1)
        source.outcome(2)
        sink.report(2, b"a@example.com")
        source.outcome(3, records.UNKNOWN, 0, 0).outcome(3)
        source.outcome(4, records.REFUSED, 0, 550).outcome(4, records.UNKNOWN)
        source.outcome(5, records.REFUSED)
        judgement = self.judged(source, sink)
        self.assertCounts(judgement, refused=3, bounced=1, unknown=1, misdelivered=5)

    def test_twice(self):
        """
        A recipient that a message names twice is one, whether or not it is refused, or the message is sent again.
        """
        source, sink = Pages(), Pages("sink", 0)
        for attempt in (1, 2):
            for index, name in enumerate((b"a@example.com", b"b@example.com", b"a@example.com")):
                source.intent(1, name, index, attempt)
            source.outcome(1, (records.UNKNOWN, records.ACKNOWLEDGED)[attempt - 1])
        sink.arrival(1).arrival(1, b"b@example.com")
        judge = self.judgeOf(source, sink)
        self.assertCounts(judge.judge(True), delivered=2)
        self.assertEqual((2, 2), (judge.acknowledged, judge.here))

    def test_reasons(self):
        """
        Why something came twice, each reason by itself.
        """
        source, first, second = Pages(), Pages("sink", 0), Pages("sink", 0)
        for number in range(1, 7):
            source.sent(number)
        source.sent(7, outcome=records.UNKNOWN)
        source.intent(8).outcome(8, records.UNKNOWN).intent(8, attempt=2).outcome(8)
        first.arrival(1, session=1).arrival(1, session=2)
        first.arrival(2, session=3).add(records.UNSEEN, session=3, size=1).arrival(2, session=4)
        first.arrival(3, deed="duplicate").arrival(3, deed="duplicate")
        first.arrival(4, session=5).arrival(4, session=6).add(records.UNSEEN, session=6, size=1)
        first.end()
        second.time = 1
        second.arrival(5, session=1).arrival(6, session=1).arrival(5, session=2).arrival(6, session=3)
        for number in (7, 8):
            second.arrival(number, session=4).arrival(number, session=5)
        second.arrival(1, session=9)
        judge = self.judgeOf(source, first, second)
        judgement = judge.judge(True)
        self.assertEqual({"none": 3, "unseen-reply": 2, "rule": 1, "unknown-outcome": 2}, dict(judgement.duplicatedBy))
        rows = [each for each in judge.anomalies() if each["class"] == "duplicated"]
        found = {int(str(each["id"]).split("-")[1]): each["reason"] for each in rows}
        self.assertEqual(
            {
                1: "none",
                2: "unseen-reply",
                3: "rule",
                4: "none",
                5: "none",
                6: "unseen-reply",
                7: "unknown-outcome",
                8: "unknown-outcome",
            },
            found,
        )

    def test_againForSure(self):
        """
        What was refused before it was sent again is known: it is no reason to come twice, nor to come at all.
        """
        source, sink = Pages(), Pages("sink", 0)
        for number, last in ((1, records.ACKNOWLEDGED), (2, records.REFUSED), (3, records.UNKNOWN)):
            source.sent(number, outcome=records.REFUSED).sent(number, outcome=last, attempt=2)
            sink.arrival(number).arrival(number)
        source.sent(4, outcome=records.UNKNOWN).sent(4, outcome=records.REFUSED, attempt=2)
        sink.arrival(4)
        judge = self.judgeOf(source, sink.end())
        judgement = judge.judge(True)
        self.assertCounts(judgement, delivered=1, refused=1, contradicted=1, recovered=2, duplicated=3)
        self.assertEqual({"none": 2, "unknown-outcome": 1}, dict(judgement.duplicatedBy))

    def test_inconclusive(self):
        """
        What has not drained never passes, but a fault that is known is one.
        """
        source, sink = Pages(), Pages("sink", 0)
        for number in (1, 2):
            source.sent(number)
        sink.arrival(1)
        judgement = self.judged(source, sink, drained=False)
        self.assertEqual("inconclusive", judgement.verdict)
        self.assertCounts(judgement, delivered=1, queued=1)
        sink.arrival(1)
        self.assertEqual("fail", self.judged(source, sink, drained=False).verdict)
        sink.arrival(2)
        source.sent(3)
        for missing in ((source,), (sink,), ()):
            self.assertNotEqual("pass", self.judged(*missing).verdict)

    def test_reasonsGiven(self):
        """
        Whoever has a doubt has no pass.
        """
        source, sink = Pages().sent(1), Pages("sink", 0).arrival(1)
        judgement = self.judged(source, sink, reasons=["the sink was killed"])
        self.assertEqual(("inconclusive", ["the sink was killed"]), (judgement.verdict, list(judgement.reasons)))

    def test_alias(self):
        """
        At another address of whom it was meant for a message has arrived, at that of another recipient it has not.
        """
        source, sink = Pages(), Pages("sink", 0)
        source.sent(1).sent(2, b"b@example.com")
        sink.arrival(1, b"mailbox@example.com", original=b"a@example.com")
        sink.arrival(2, b"a@example.com", original=b"b@example.com")
        judge = self.judgeOf(source, sink)
        self.assertCounts(judge.judge(True), delivered=1, misdelivered=1)
        self.assertEqual((1, 1), (judge.here, judge.backlog))

    def test_damaged(self):
        """
        Reports and messages with damaged ids are not told of as messages without an id as well.
        """
        source, sink = Pages().sent(1), Pages("sink", 0)
        sink.add(records.DAMAGED, at=1.0).arrival(0, run=0, at=1.0).report(1, at=2.0).arrival(0, run=0, at=2.0)
        sink.arrival(0, run=0, at=3.0)
        judgement = self.judged(source, sink)
        self.assertEqual((1, 1), (judgement.damaged, judgement.unidentified))
        self.assertCounts(judgement, bounced=1)

    def test_numbers(self):
        """
        A number that no message can have is no reason to run out of memory.
        """
        source = Pages().sent(1).sent(1 << 40).sent(2_000_000_000).sent(0)
        judge = self.judgeOf(source, Pages("sink", 0).arrival(1))
        judgement = judge.judge(True)
        self.assertCounts(judgement, delivered=1, queued=1)
        self.assertLess(judge.known.units.size, 1 << 20)
        self.assertEqual("inconclusive", judgement.verdict)
        self.assertRegex(judgement.reasons[0], "the ledger is damaged: it has a message 1099511627776")

    def test_refusals(self):
        """
        Of messages that were refused before their content there is no record, however many they are.
        """
        last = (1 << 31) - 1
        for recipients in (1, 3):
            source, sink = Pages(), Pages("sink", 0)
            addresses = [b"%d@example.com" % index for index in range(recipients)]
            for number in (1, 2, 50_000_000, 50_000_003, 50_002_000, 7_000, last, 1_500):
                for index, address in enumerate(addresses):
                    source.intent(number, address, index)
                    if (number, index) != (50_002_000, 0):
                        sink.arrival(number, address)
                source.outcome(number)
            sink.arrival(60_000_000).arrival(1 << 62)
            judge = self.judgeOf(source, sink.end())
            judgement = judge.judge(True)
            self.assertCounts(judgement, delivered=8 * recipients - 1, lost=1, ghosts=2)
            self.assertEqual(["1 lost"], list(judgement.reasons))
            lost = [each["id"] for each in judge.anomalies() if each["class"] == "lost"]
            self.assertEqual([50_002_000], [int(str(each).split("-")[1]) for each in lost])
            self.assertEqual("lost", judge.fates(50_002_000)[0])


class TimeTests(JudgeCase):
    """
    When things happened.
    """

    def latencies(self, *pages):
        judge = self.judgeOf(*pages)
        told = {name: [round(value, 6) for value in values] for name, values in judge.latencies().items()}
        self.assertEqual({"delivery": [], "arrival": []}, {k: list(v) for k, v in judge.latencies().items()})
        return told

    def test_delivery(self):
        """
        From the acknowledgement to the first arrival; one that came before is negative, and early.
        """
        source, sink = Pages(), Pages("sink", 0)
        source.intent(1, at=1.0).outcome(1, at=2.0).intent(2, at=2.5).outcome(2, at=5.0)
        sink.arrival(1, at=2.25).arrival(1, at=3.0).arrival(2, at=4.75)
        for pages in ((source, sink), (sink, source)):
            self.assertEqual({"delivery": [0.25, -0.25], "arrival": []}, self.latencies(*pages))
        judgement = self.judged(source, sink)
        self.assertEqual(1, judgement.early)
        counted = {name: sum(counts) for name, counts in judgement.buckets.items()}
        self.assertEqual({"delivery": 2, "early": 1}, counted)
        self.assertEqual(1, judgement.buckets["delivery"][0])
        self.assertAlmostEqual(0.25, summarize(judgement.buckets["early"]).maximum, places=3)
        self.assertEqual((0.0, 3.75), (judgement.drain, judgement.duration))

    def test_schedule(self):
        """
        From when it was due, if there was a schedule.
        """
        source, sink = Pages(), Pages("sink", 0)
        source.intent(1, at=1.0).outcome(1, at=2.0, due=0.5).intent(2, at=1.0).outcome(2, at=3.0, due=1.5)
        sink.arrival(1, at=2.5).arrival(2, at=3.25)
        for pages in ((source, sink), (sink, source)):
            found = self.latencies(*pages)
            self.assertEqual([0.25, 0.5], sorted(found["delivery"]))
            self.assertEqual([1.75, 2.0], sorted(found["arrival"]))

    def test_clocks(self):
        """
        Clocks of one boot are one; of two machines, those on the wall are compared.
        """
        source = Pages(boot="one", offset=1000 * SECOND).intent(1, at=1.0).outcome(1, at=2.0)
        same = Pages("sink", 0, boot="one", offset=1005 * SECOND).arrival(1, at=2.5)
        other = Pages("sink", 0, boot="two", offset=900 * SECOND).arrival(1, at=102.75)
        self.assertEqual([0.5], self.latencies(source, same)["delivery"])
        self.assertEqual([0.75], self.latencies(source, other)["delivery"])

    def test_backlog(self):
        """
        How many are under way, and the most of them at any moment.
        """
        source, sink = Pages(), Pages("sink", 0)
        for number in range(1, 11):
            source.intent(number, at=number).outcome(number, at=number + 0.1)
        for number in range(1, 9):
            sink.arrival(number, at=6.5 + number)
        judge = self.judgeOf(source, sink)
        self.assertEqual((10, 8, 2), (judge.acknowledged, judge.here, judge.backlog))
        self.assertEqual(7, judge.judge(True).backlogPeak)
        self.assertEqual(4.4, judge.judge(True).drain)

    def test_backlogWithinASecond(self):
        """
        What was under way for less than a second is seen as well.
        """
        source, sink = Pages(), Pages("sink", 0)
        for number in range(1, 51):
            source.intent(number, at=1.0).outcome(number, at=1.1 + number / 1000)
            sink.arrival(number, at=1.5 + number / 1000)
        self.assertEqual(50, self.judged(source, sink).backlogPeak)

    def test_coarser(self):
        """
        If a run is long, fewer looks do.
        """
        self.patch(clocks, "_MOST_STEPS", 16)
        source, sink = Pages(), Pages("sink", 0)
        for number in range(1, 101):
            source.intent(number, at=number).outcome(number, at=number + 0.1)
            sink.arrival(number, at=number + 2.95)
        self.assertTrue(2 <= self.judged(source, sink).backlogPeak <= 8)


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
        kind = draw(st.sampled_from(("arrival",) * 8 + ("unseen", "left", "back", "report", "damaged")))
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
        elif kind == "left":
            pages.add(records.LEFT, session=draw(st.integers(1, 2)))
        elif kind == "back":
            pages.takeBack(draw(st.integers(1, 3)))
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
        self.isMailbox = False
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
        found |= {
            name: getattr(judgement, name)
            for name in ("transformed", "contradicted", "misreported", "astray", "ghosts")
        }
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
            "misreported",
            "bounced",
            "astray",
            "recovered",
        ):
            self.assertEqual(getattr(judgement, name), rows.count(name), name)
        self.assertEqual(judgement.ghosts, rows.count("ghost"))
        if judgement.verdict == "pass":
            self.assertTrue(drained)
