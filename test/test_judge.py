"""
Tests for smtpsource.ledger.judge: what became of every message, by records of both ends.
"""

from __future__ import annotations

from ledgerfiles import BODY, RUN, Pages
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.ledger import records
from smtpsource.ledger.judge import Judge
from smtpsource.measure.judgement import CLASSES


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
