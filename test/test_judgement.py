"""
Tests for what is told of a judgement: as text, in JSON, and as figures that thresholds ask for.
"""

from __future__ import annotations

import json

from hypothesis import strategies as st
from properties import given
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.measure.counters import Counters
from smtpsource.measure.judgement import CLASSES, REASONS, Judgement
from smtpsource.measure.snapshot import Snapshot
from smtpsource.measure.thresholds import parse
from smtpsource.phases import DELIVERY, NAMES
from smtpsource.plan import SourcePlan
from smtpsource.report.judgement import documentOf, judgementOf, linesOf
from smtpsource.report.page import Page

counts = st.integers(0, 10**9)
judgements = st.builds(
    Judgement,
    verdict=st.sampled_from(("pass", "fail", "inconclusive")),
    reasons=st.lists(st.text()),
    drained=st.booleans(),
    duplicatedBy=st.dictionaries(st.sampled_from(REASONS), counts),
    drain=st.none() | st.floats(0, 1e6),
    anomalies=st.lists(st.fixed_dictionaries({"id": st.text(), "recipient": st.text(), "class": st.text()})),
    **dict.fromkeys((*CLASSES, "sent", "ghosts", "foreign", "astray", "early"), counts),
)


EARLY = {"early": [0] * 300 + [1] + [0] * 899 + [1]}


def figures(judgement, **counted):
    """
    What a threshold is asked of.
    """
    buckets = [[] for _ in NAMES]
    buckets[DELIVERY] = [0] * 1000 + [100]
    return Snapshot(at=1.0, asked=None, counters=Counters(**counted), buckets=tuple(buckets), judgement=judgement)


class DocumentTests(SynchronousTestCase):
    """
    JSON.
    """

    @given(judgements)
    def test_backAndForth(self, judgement):
        """
        What is written is read again.
        """
        document = json.loads(json.dumps(documentOf(judgement)))
        self.assertEqual(documentOf(judgementOf(document)), document)
        self.assertEqual(document["ghost"], judgement.ghosts)

    def test_others(self):
        """
        There may be more, or less.
        """
        self.assertEqual(Judgement(verdict="pass", sent=3), judgementOf({"verdict": "pass", "sent": 3, "later": 1}))

    def test_early(self):
        """
        How early some came is not lost.
        """
        document = json.loads(json.dumps(documentOf(Judgement(verdict="pass", early=2, buckets=EARLY))))
        self.assertEqual((0.0003, 0.0012), tuple(round(document["earlyBy"][name], 6) for name in ("p50", "max")))
        self.assertEqual(EARLY, judgementOf(document).buckets)
        self.assertIs(documentOf(Judgement(verdict="pass"))["earlyBy"], None)


class TextTests(SynchronousTestCase):
    """
    For people.
    """

    def lines(self, **values):
        return Page(200).lay(linesOf(Judgement(**values), "ledgers")).splitlines()

    def test_pass(self):
        """
        What is not there is not told.
        """
        self.assertEqual(
            [
                "ledger       pass: all 2 acknowledged have arrived, each once",
                "fates        3 messages and recipients: 2 delivered, 1 refused",
                "arrivals     2 of this run",
            ],
            self.lines(verdict="pass", drained=True, sent=3, delivered=2, refused=1, arrivals=2),
        )

    def test_early(self):
        """
        How many came before their acknowledgement was read, and by how much.
        """
        words = "             2 arrived before the acknowledgement was read"
        self.assertIn(words, self.lines(verdict="pass", early=2))
        lines = self.lines(verdict="pass", early=2, buckets=EARLY)
        self.assertIn(f"{words}, by 300 us (p50), up to 1.20 ms", lines)

    def test_bounced(self):
        """
        What has bounced has not arrived, and is not lost.
        """
        lines = self.lines(verdict="pass", drained=True, sent=3, delivered=2, bounced=1)
        self.assertEqual("ledger       pass: 2 acknowledged have arrived, each once, and 1 bounced", lines[0])
        lines = self.lines(verdict="pass", drained=True, sent=60, bounced=60)
        self.assertEqual("ledger       pass: nothing is lost: 60 bounced", lines[0])
        lines = self.lines(verdict="pass", drained=True, sent=60, refused=60)
        self.assertEqual("ledger       pass: nothing is lost: nothing was acknowledged", lines[0])

    def test_more(self):
        """
        Where not all are told, it is said how many there are besides.
        """
        anomalies = [{"id": f"x-{number}-y", "class": "lost"} for number in range(5)]
        values = {"lost": 25, "ghosts": 1, "anomalies": [*anomalies, {"id": "x-6-y", "class": "ghost"}]}
        lines = self.lines(verdict="fail", reasons=("25 lost",), **values)
        self.assertEqual(["lost         x-4-y", "lost         and 20 more", "ghost        x-6-y"], lines[-5:-2])
        self.assertEqual(26, documentOf(Judgement(verdict="fail", **values))["anomalyCount"])

    def test_fail(self):
        """
        The worst comes first, and what to do next comes last.
        """
        lines = self.lines(
            verdict="fail",
            reasons=("1 lost", "2 duplicated"),
            sent=5,
            lost=1,
            delivered=4,
            duplicated=2,
            duplicatedBy={"unseen-reply": 1, "none": 1},
            corrupted=1,
            ghosts=1,
            unidentified=2,
            arrivals=7,
            drain=0.5,
            backlogPeak=3,
            anomalies=({"id": "x-1-y", "recipient": "a@example.com", "class": "duplicated", "reason": "none"},),
        )
        self.assertEqual(
            [
                "ledger       FAIL: 1 lost; 2 duplicated",
                "fates        5 messages and recipients: 4 delivered, 1 lost",
                "             2 duplicated: 1 after a reply that may not have been seen, 1 for no reason",
                "             1 arrived with another body",
                "arrivals     7 of this run, 1 never sent, 2 without an id",
                "drain        500 ms from the last acknowledgement to the last arrival; at most 3 were under way",
                "duplicated   x-1-y for a@example.com, for no reason",
                "duplicated   and 1 more",
                "             the history of one of them:",
                "             smtpsource reconcile --show ID ledgers",
            ],
            lines,
        )

    @given(judgements)
    def test_any(self, judgement):
        """
        Whatever there is in it, the verdict is the first word.
        """
        first = Page().lay(linesOf(judgement)).splitlines()[0]
        self.assertRegex(first.lower(), rf"\Aledger       {judgement.verdict}:")


class FigureTests(SynchronousTestCase):
    """
    Thresholds.
    """

    def test_counts(self):
        """
        Each is what its name says.
        """
        named = {
            "duplicated": 2,
            "corrupted": 3,
            "misdelivered": 4,
            "astray": 5,
            "bounced": 6,
            "recovered": 7,
            "lost": 8,
        }
        judgement = Judgement(verdict="fail", drained=True, **named, ghosts=10, backlogPeak=9, drain=90.0)
        for name, value in {**named, "ghost": 10, "queued": 0, "backlog": 9}.items():
            outcome = parse(f"{name} == {value}").check(figures(judgement))
            self.assertEqual((outcome.passed, outcome.actual), (True, str(value)))
        for text, passed in (("drain < 2m", True), ("drain < 1m", False), ("p99(delivery) < 30s", True)):
            self.assertEqual(parse(text).check(figures(judgement)).passed, passed, text)
        self.assertTrue(parse("lost <= 10%").check(figures(judgement, started=100)).passed)

    def test_notKnown(self):
        """
        What is not known does not hold.
        """
        queued = Judgement(verdict="inconclusive", queued=3, delivered=2)
        for judgement, text, actual in (
            (None, "lost == 0", "there was no ledger of where messages arrive"),
            (None, "backlog < 5", "there was no ledger of where messages arrive"),
            (queued, "lost == 0", "not known: 3 acknowledged had not arrived, and may still"),
            (queued, "drain < 1h", "the queue was not seen to drain"),
            (Judgement(verdict="pass", drained=True), "drain < 1h", "nothing has arrived"),
            (Judgement(verdict="pass", drained=True, arrivals=2), "drain < 1h", "when it arrived is not known"),
        ):
            outcome = parse(text).check(figures(judgement))
            self.assertEqual((outcome.passed, outcome.actual, outcome.value), (False, actual, None))

    def test_needsLedger(self):
        """
        A plan has to say where the server delivers to, if that is asked.
        """
        for text in ("lost == 0", "errors == 0 and duplicated < 2", "p99(delivery) < 1s", "drain < 1m"):
            self.assertTrue(parse(text).needsLedger)
            problem = self.assertRaises(ValueError, SourcePlan, destination="127.0.0.1", thresholds=(text,))
            self.assertIn("deliverTo", str(problem))
            SourcePlan(destination="127.0.0.1", thresholds=(text,), ledger="ledgers", deliverTo="2525")
        self.assertFalse(parse("connectionsLost == 0").needsLedger)
        parse("lost == 0", onlyLedger=True)
        problem = self.assertRaises(ValueError, parse, "lost == 0 and errors == 0", onlyLedger=True)
        self.assertNotIn("rejected", str(problem))
