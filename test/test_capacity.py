"""
Is what C{--find-rate} finds what the server can do? A server in memory whose capacity is known by other means is asked.
"""

from __future__ import annotations

import os
import random

from slowserver import SlowFactory
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.plan import SourcePlan
from smtpsource.testing import FakeReactor, runInMemory

#: How many searches; C{make capacity} takes 200.
SEEDS = int(os.environ.get("SEEDS", "8"))

#: The server: one worker, this many contents a second (an M/D/1 queue, as messages come independently of each other),
#: each with a time of its own around that.
PER_SECOND = 100.0
NOISE = 0.2

#: What is promised, in seconds.
LONGEST = 0.2

#: A search's answer is right if it is off by no more than this part.
CLOSE_ENOUGH = 0.1


def noise(rng):
    return lambda: rng.lognormvariate(0, NOISE)


def keepsIt(rate):
    """
    Does the server keep the promise at that rate in the long run? By Lindley's equation alone: none of our code.
    """
    rng = random.Random(1)
    draw = noise(rng)
    now = free = 0.0
    times = []
    for _ in range(300_000):
        now += rng.expovariate(rate)
        free = max(now, free) + draw() / PER_SECOND
        times.append(free - now)
    times.sort()
    return times[int(0.99 * len(times))] < LONGEST


def capacity():
    """
    The highest rate at which it does.
    """
    low, high = PER_SECOND / 2, PER_SECOND
    while high / low > 1.01:
        middle = (low + high) / 2
        if keepsIt(middle):
            low = middle
        else:
            high = middle
    return low


def search(seed, longest=LONGEST):
    reactor = FakeReactor()
    rng = random.Random(seed)
    server = SlowFactory(reactor, PER_SECOND, noise=noise(rng))
    plan = SourcePlan(
        findRate=f"p99(response) < {longest * 1000:g}ms",
        rate=round(rng.uniform(5, 400)),
        arrivals="poisson",
        seed=seed,
        sessionCount=500,
        keepConnections=True,
    )
    return runInMemory(plan, server, reactor=reactor).search


class CapacityTests(SynchronousTestCase):
    """
    Answers, and what the server can really do.
    """

    def test_answers(self):
        """
        19 of 20 answers are within a tenth of it, wherever a search begins, and there is always one.
        """
        wanted = capacity()
        answers = [search(seed).rate for seed in range(SEEDS)]
        self.assertNotIn(None, answers)
        wrong = [answer for answer in answers if abs(answer / wanted - 1) > CLOSE_ENOUGH]
        # Of a few, one may be wrong by chance.
        self.assertLessEqual(len(wrong), max(1, 0.05 * SEEDS), (wanted, sorted(answers)))

    def test_none(self):
        """
        Where the server needs longer for each content than was promised, there is none.
        """
        for seed in range(max(1, SEEDS // 4)):
            self.assertIsNone(search(seed, longest=0.004).rate)
