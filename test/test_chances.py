"""
Chances and limits of rules as clients of a sink meet them, on a clock of their own.
"""

from __future__ import annotations

import random
from collections import Counter

from sinks import TRANSACTION, Pair
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.sink.rules.ruleset import RuleSet

#: Seeds that are looked at.
SEEDS = 60

#: What chi-squared with as many degrees of freedom exceeds once in 2,000, and what it stays below as often.
MOST, LEAST = 102.7, 30.3

REFUSED = {"reply": "451 4.7.1 come back"}


def ruled(seed, **rule):
    """
    @return: a session of a sink with one rule, and a seed.
    """
    pair = Pair(keep=1)
    pair.factory.steering.rules = RuleSet.fromDict({"seed": seed, "rule": [rule]})
    return pair


class ChanceTests(SynchronousTestCase):
    """
    Over many seeds, a chance is what was written: each seed has its share, with as much scatter as chance has and no
    less.
    """

    def assertChance(self, hits, draws, chance):
        """
        @param hits: of each seed, in so many draws.
        """
        expected, variance = draws * chance, draws * chance * (1 - chance)
        squared = sum((number - expected) ** 2 / variance for number in hits)
        self.assertTrue(LEAST < squared < MOST, (chance, squared, hits))

    def test_recipients(self):
        """
        At RCPT, where each recipient is another draw, and in another transaction the same ones are.
        """
        for chance in (0.05, 0.5):
            hits, again = [], []
            line = b"".join(b"RCPT TO:<%d@example.com>\r\n" % number for number in range(200))
            for seed in range(SEEDS):
                pair = ruled(seed, on="rcpt", chance=chance, do=REFUSED)
                first, second = (pair.codes(b"RSET\r\nMAIL FROM:<a@b>\r\n" + line)[2:] for _ in range(2))
                hits.append(first.count(451))
                again.append(sum(one != other for one, other in zip(first, second, strict=True)))
            self.assertChance(hits, 200, chance)
            # Who tries again has another draw.
            self.assertChance(again, 200, 2 * chance * (1 - chance))

    def test_messages(self):
        """
        At the end of messages, which are known by their Message-Id.
        """
        hits = []
        for seed in range(SEEDS):
            pair = ruled(seed, on="message", chance="20%", do=REFUSED)
            said = b"".join(TRANSACTION + b"Message-Id: <%d@x>\r\n\r\nx\r\n.\r\n" % number for number in range(100))
            hits.append(pair.codes(said).count(451))
        self.assertChance(hits, 100, 0.2)

    def test_texts(self):
        """
        Of several replies each comes as often as its weight says.
        """
        texts = [{"text": "451 4.3.0 a", "weight": 3}, {"text": "452 4.3.1 b"}]
        hits = []
        line = b"".join(b"RCPT TO:<%d@example.com>\r\n" % number for number in range(100))
        for seed in range(SEEDS):
            pair = ruled(seed, on="rcpt", do={"texts": texts})
            counts = Counter(pair.codes(b"MAIL FROM:<a@b>\r\n" + line)[1:])
            self.assertEqual(counts[451] + counts[452], 100)
            hits.append(counts[451])
        self.assertChance(hits, 100, 0.75)


class LimitTests(SynchronousTestCase):
    """
    C{limit = "200/s"}: in each second 200 pass, and at most two more or fewer, however many come.
    """

    def passed(self, arrivals, sessions=20):
        """
        Let clients ask to send a message at these times, each the next session in turn.

        @return: how many may, by the second in which they ask.
        """
        pair = ruled(0, on="mail", limit="200/s", do=REFUSED)
        protocols = [(pair.protocol, pair.transport)]
        while len(protocols) < sessions:
            pair.connect()
            protocols.append((pair.protocol, pair.transport))
        counts = Counter()
        for number, time in enumerate(arrivals):
            pair.clock.advance(max(0.0, time - pair.clock.seconds()))
            pair.protocol, pair.transport = protocols[number % sessions]
            if pair.codes(b"MAIL FROM:<a@b>\r\nRSET\r\n")[0] == 250:
                counts[int(time)] += 1
        return counts

    def assertLimited(self, arrivals):
        """
        In each of five seconds.
        """
        counts = self.passed(arrivals)
        for second in range(5):
            self.assertTrue(198 <= counts[second] <= 202, (second, counts))

    def test_even(self):
        """
        They come at an even pace, at any above the limit.
        """
        for rate in (220, 400, 600, 2000):
            self.assertLimited([number / rate for number in range(5 * rate)])

    def test_bursts(self):
        """
        They come in bursts that are no further apart than 10 ms, as a busy sink reads them.
        """
        for size in (5, 40):
            self.assertLimited([number / 100 for number in range(500) for _ in range(size)])

    def test_random(self):
        """
        They come at random, and five times as many as may pass.
        """
        randomly = random.Random(13)
        time, arrivals = 0.0, []
        while time < 5:
            arrivals.append(time)
            time += randomly.expovariate(1000)
        self.assertLimited(arrivals)

    def test_never(self):
        """
        Never more than that in any second, wherever it begins, even after a pause.
        """
        times = [number / 1000 for number in range(1500)] + [3 + number / 1000 for number in range(1500)]
        pair = ruled(0, on="mail", limit="200/s", do=REFUSED)
        passed = []
        for time in times:
            pair.clock.advance(max(0.0, time - pair.clock.seconds()))
            if pair.codes(b"MAIL FROM:<a@b>\r\nRSET\r\n")[0] == 250:
                passed.append(time)
        for begin in passed:
            self.assertLessEqual(sum(begin <= time < begin + 1 for time in passed), 202)
