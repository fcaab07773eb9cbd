"""
Tests for shares of a run: what several processes do of it comes to what one does.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import chain
from random import Random

from hypothesis import strategies as st
from properties import given, settings
from sessions import Server, times
from slowserver import SlowFactory
from test_schedule import COURSES
from together import Together, ids
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.load.search import Search
from smtpsource.measure.counters import Counters
from smtpsource.measure.frame import Frame
from smtpsource.measure.snapshot import Snapshot
from smtpsource.measure.trial import Trial
from smtpsource.pacing.schedule import Profile, Schedule
from smtpsource.pacing.share import WHOLE, Share
from smtpsource.phases import NAMES
from smtpsource.testing import FakeReactor

SHARES = st.integers(1, 7).map(lambda count: [Share(index, count) for index in range(count)])


class ShareTests(SynchronousTestCase):
    """
    Who has which of all things.
    """

    @given(SHARES, st.integers(0, 1000))
    def test_all(self, shares, total):
        """
        Each thing is in one share, and they are as even as can be.
        """
        parts = [[share.number(place) for place in range(share.of(total))] for share in shares]
        self.assertEqual(sorted(chain(*parts)), list(range(total)))
        self.assertLessEqual(max(map(len, parts)) - min(map(len, parts)), 1)


class ScheduleTests(SynchronousTestCase):
    """
    Shares of a schedule.
    """

    @settings(max_examples=100)
    @given(COURSES, SHARES, st.data())
    def test_even(self, points, shares, data):
        """
        Of even arrivals, all shares together want what the one schedule wants, each message at the same time; and so
        they say how many are wanted at any time, and for how long.
        """

        def schedule(share=WHOLE):
            return Schedule(Profile(points), share=share)

        found = [times(schedule(share)) for share in shares]
        whole = times(schedule())
        self.assertEqual(found, [whole[share.index :: share.count] for share in shares])
        one, several = schedule(), [schedule(share) for share in shares]
        end = sum(seconds for seconds, _ in points)
        moment = st.one_of(st.floats(0, 1.2 * end), st.sampled_from(whole or [0.0]))
        if data.draw(st.booleans()):
            most, since = data.draw(st.integers(0, 500)), data.draw(moment)
            for each in (one, *several):
                each.limit(most, since)
            self.assertEqual(sum(each.last for each in several), one.last)
        for _ in range(data.draw(st.integers(1, 5))):
            time = data.draw(moment)
            self.assertEqual(sum(each.asked(time) for each in several), one.asked(time))
            self.assertEqual(sum(each.before(time) for each in several), one.before(time))
            self.assertEqual({each.lasted(time) for each in several}, {one.lasted(time)})
            self.assertEqual({each.isOver(time) for each in several}, {one.isOver(time)})
            self.assertApproximates(sum(each.rateAt(time) for each in several), one.rateAt(time), 1e-6)
        time = data.draw(moment)
        self.assertEqual(sum(each.skip(time) for each in several), one.skip(time))
        self.assertEqual(min(each.next for each in several), one.next)
        self.assertEqual(sorted(chain(*map(times, several))), times(one))

    def test_poisson(self):
        """
        Of independent arrivals each share draws its own, and all of them together are such ones again: over many
        windows, their number varies as much as it is large, and so does each share's.
        """
        rate, windows, width = 400.0, 1000, 0.25
        several = [
            Schedule(Profile([(0.0, rate)], windows * width), "poisson", Random(index), Share(index, 4))
            for index in range(4)
        ]
        counts = [[each.skip((number + 1) * width) for number in range(windows)] for each in several]
        for numbers, expected in [(counts[0], 25), (counts[3], 25), (list(map(sum, zip(*counts, strict=True))), 100)]:
            mean = sum(numbers) / windows
            variance = sum((number - mean) ** 2 for number in numbers) / (windows - 1)
            self.assertApproximates(mean, expected, 5 * math.sqrt(expected / windows))
            self.assertApproximates(variance / expected, 1, 5 * math.sqrt(2.1 / windows))
        # No share knows what another does.
        first, second = counts[:2]
        together = sum((a - 25) * (b - 25) for a, b in zip(first, second, strict=True)) / windows
        self.assertApproximates(together / 25, 0, 5 / math.sqrt(windows))

    def test_poissonLimit(self):
        """
        There, each share has its part of the messages.
        """
        several = [Schedule(Profile([(0.0, 50.0)]), "poisson", Random(i), Share(i, 3)) for i in range(3)]
        for each in several:
            each.limit(10)
        self.assertEqual([each.asked(1e6) for each in several], [4, 3, 3])
        for each in several:
            each.limit(10, 2.0)
        self.assertEqual([each.last - each.before(2.0) for each in several], [4, 3, 3])


class OpenLoopTests(SynchronousTestCase):
    """
    Shares of an open loop.
    """

    def mails(self, count, **plan):
        server = Server()
        together = Together(count, server, **plan)
        together.finish()
        self.assertEqual(together.total("started"), together.total("accepted"))
        return together, [round(at - together.begun, 6) for at in server.mails], ids(server)

    def test_same(self):
        """
        Whatever the number of shares: the same messages at the same times, no more than was said, and they say the same
        of what was asked for.
        """
        for plan in (
            {"rate": 20.0, "duration": 2.0},
            {"rate": 20.0, "messageCount": 31},
            {"rate": 20.0, "messageCount": 31, "warmUp": 0.5},
            {"stages": ((0.0, 0.0), (1.0, 40.0), (1.0, 40.0), (0.5, 0.0)), "stagesOf": "rate"},
        ):
            results = []
            for count in (1, 2, 3, 4):
                together, at, found = self.mails(count, sessionCount=8, keepConnections=True, seed=7, **plan)
                # Who is over before the others knows of no more than that.
                seconds = max(run.scheduledSeconds() for run in together.runs)
                asked = sum(run.scheduledMessages() for run in together.runs)
                results.append((at, found, together.total("started"), seconds, asked))
            self.assertEqual(results, results[:1] * 4)

    def test_sessions(self):
        """
        They have no more sessions together than there may be, and say who has run out of them.
        """
        together = Together(3, Server(lambda connection, event, usual: None), rate=100.0, duration=1.0, sessionCount=8)
        together.until(lambda: together.reactor.seconds() > together.begun + 0.5)
        self.assertEqual([len(run.open) for run in together.runs], [3, 3, 2])
        self.assertEqual([run.exhausted for run in together.runs], [3, 3, 2])
        for run in together.runs:
            run.abort()
        together.finish()


class BeginningTests(SynchronousTestCase):
    """
    When shares begin, and who joins when.
    """

    def test_together(self):
        """
        Nothing is done before the time that was told.
        """
        together = Together(2, rate=10.0, duration=1.0)
        together.reactor.advance(0.0199)
        self.assertEqual([len(run.open) for run in together.runs], [0, 0])
        together.reactor.advance(0.0002)
        self.assertEqual([len(run.open) for run in together.runs], [1, 0])
        together.finish()

    def test_notYet(self):
        """
        A run that is told to end before it has begun does so, and never begins.
        """
        for end in ("drain", "expire", "abort"):
            together = Together(2, rate=10.0, duration=1.0)
            for run in together.runs:
                getattr(run, end)()
            together.finish()
            self.assertLess(together.reactor.seconds(), together.begun)
            self.assertEqual((together.total("started"), together.reactor.getDelayedCalls()), (0, []))


class TroubleTests(SynchronousTestCase):
    """
    Who decides that a run ends.
    """

    def refuse(self, **plan):
        def decide(connection, event, usual):
            return b"550 no" if event == b"MAIL" else usual

        return Together(2, Server(decide), rate=10.0, duration=1.0, sessionCount=2, keepConnections=True, **plan)

    def test_refusal(self):
        """
        The first refusal of a share is told, and only that; the run goes on until somebody says that it ends.
        """
        together = self.refuse()
        together.until(lambda: together.total("rejected") == 10)
        self.assertEqual(together.troubles, ["mail refused: 550 no"] * 2)
        self.assertEqual([run.draining for run in together.runs], [False, False])
        for run in together.runs:
            run.drain()
        together.finish()
        self.assertEqual(together.total("started"), together.total("rejected"))

    def test_tolerated(self):
        """
        One that is tolerated is not told.
        """
        together = self.refuse(tolerant=True)
        together.finish()
        self.assertEqual((together.troubles, together.total("rejected")), ([], 10))

    def test_broken(self):
        """
        A share that can't go on ends at once, whatever is said, and tells of it.
        """
        together = self.refuse()
        together.until(lambda: together.troubles)
        together.runs[0].breakDown("internal-error", "oops")
        self.assertEqual(together.broken, [("internal-error", "oops")])
        self.assertEqual([run.draining for run in together.runs], [True, False])
        together.runs[1].drain()
        together.finish()


class StepTests(SynchronousTestCase):
    """
    A search for a rate, whose steps are held by several.
    """

    def search(self, count, server, **plan):
        """
        @return: what came of the search, and all that the server has got.
        """
        plan = {"sessionCount": 100, "keepConnections": True, "holdStep": 3.0, **plan}
        together = Together(count, server, **plan)
        search, heard, problems = Search(together.plan), [], []

        def stepped(trial):
            # As it is when it has been sent.
            heard.append(Frame.decode(trial.frame().encode()))
            if len(heard) == count:
                problem = search.judge(Trial.of(heard))
                heard.clear()
                if problem is None:
                    step(together.reactor.seconds() + 0.02)
                else:
                    problems.append(problem)
                    for run in together.runs:
                        run.drain()

        def step(at):
            for run in together.runs:
                if search.next is None:
                    run.expire()
                else:
                    run.step(at, *search.next)

        for run in together.runs:
            run.whenStepped = stepped
        step(together.begun)
        together.finish()
        return search.found, together, problems

    def slow(self):
        reactor = FakeReactor()
        return SlowFactory(reactor, 100.0), reactor

    def test_found(self):
        """
        Whatever the number of shares, the search goes the same way, and comes to the same rate.
        """
        results = []
        for count in (1, 2, 3):
            server, reactor = self.slow()
            found, together, problems = self.search(
                count, server, reactor=reactor, findRate="p99(response) < 100ms and errors == 0", rate=20
            )
            self.assertEqual((problems, together.total("failed")), ([], 0))
            self.assertEqual(together.total("started"), together.total("accepted"))
            results.append((found.rate, [(step.rate, step.passed, step.purpose) for step in found.steps]))
        self.assertEqual(results, results[:1] * 3)
        self.assertApproximates(results[0][0], 100, 6)

    def test_unanswered(self):
        """
        What one share's messages wait for counts for all.
        """
        server = Server(lambda connection, event, usual: None if len(server.mails) > 50 else usual)
        found, _, problems = self.search(
            2, server, findRate="errors < 1%", rate=20, timeout=30.0, tolerant=True, holdStep=2.0
        )
        self.assertEqual(problems, [])
        self.assertIn("had no answer 10 s later", found.steps[-1].actual)

    def test_nothing(self):
        """
        Where nothing is ever accepted there is no use in going on.
        """
        server = Server(lambda connection, event, usual: b"550 no" if event == b"MAIL" else usual)
        found, together, problems = self.search(3, server, findRate="errors < 1%", tolerant=True)
        self.assertEqual(len(found.steps), 1)
        self.assertEqual([text.partition(":")[0] for text in problems], ["nothing was accepted at 100 messages/s"])
        self.assertEqual(together.total("started"), together.total("rejected"))

    def test_frame(self):
        """
        What came of a step is the same when it was sent; anything else is none.
        """
        happened = Snapshot(3.0, 30.0, Counters(started=30, accepted=29), ([0, 3, 0, 1], *[[]] * (len(NAMES) - 1)))
        trial = Trial(happened, 28, 1, 0.25, {"lost": (1, "a text")})
        frame = Frame.decode(trial.frame().encode())
        self.assertEqual(Trial.of([frame]), trial)
        with self.assertRaises(ValueError):
            Trial.of([replace(frame, gauges={})])
