"""
Tests for L{smtpsource.measure.effects}: what has come of a run after its marks.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st
from properties import given
from results import example
from slowserver import SlowFactory
from test_recovery import atOnce
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.load.service import SourceService
from smtpsource.measure.effects import MOST, _Looks, withEffects
from smtpsource.measure.marks import Effect, Mark
from smtpsource.measure.series import Sample
from smtpsource.measure.summing import completed
from smtpsource.plan import SourcePlan
from smtpsource.testing import FakeReactor

effect = _Looks.effect


def sample(time, accepted, p99=0.010, failed=0, seconds=1.0, asked=None, rejected=0):
    """
    @return: what happened in a second.
    """
    return Sample(
        *(float(time), seconds, asked, accepted + failed, accepted, rejected, failed, 0, 0, 10),
        *(p99, p99, p99, 0, 0, 0.5, 0.0),
    )


def steady(seconds, rate=1000):
    """
    @return: the samples of a run in which nothing happens, but for a little noise.
    """
    return [sample(time, rate + (time * 7919) % 11 - 5, 0.010 + (time % 3) * 1e-4) for time in range(1, seconds + 1)]


def changed(samples, begin, end, **changes):
    """
    @return: the same with other values in the seconds from C{begin} to C{end}.
    """
    return [replace(one, **changes) if begin < one.time <= end else one for one in samples]


class EffectsTests(SynchronousTestCase):
    """
    Runs with marks.
    """

    def effects(self, samples, *moments, until=None, **more):
        """
        @return: the effects of marks at these moments.
        """
        marks = [Mark(at, "x", **more) for at in moments]
        found = list(withEffects(marks, samples, samples[-1].time if until is None else until))
        self.assertEqual([replace(mark, effect=None) for mark in found], marks)
        return [mark.effect for mark in found]

    def test_search(self):
        """
        In a search for a rate that goes up by itself nothing is usual: there is neither a fall nor a return.
        """
        samples = changed(steady(60), 30, 60, accepted=2000)
        [mark] = withEffects([Mark(25.0, "x")], samples, 60.0, isSearch=True)
        found = mark.effect
        self.assertEqual((found.rateBefore, found.p99Before, found.back), (None, None, None))
        self.assertAlmostEqual(found.highestP99, 0.0102)
        summary = replace(example(), marks=(Mark(25.0, "x"),), series=samples, elapsed=60.0, latency={"x": None})
        for search, known in ((None, True), (object(), False)):
            (mark,) = atOnce(completed(replace(summary, search=search))).marks
            self.assertEqual(mark.effect.rateBefore is not None, known)

    def test_nothing(self):
        """
        Where nothing comes of it, the run was never otherwise.
        """
        [effect] = self.effects(steady(120), 60.4)
        self.assertEqual(effect.back, 0.0)
        self.assertEqual(effect.failed, 0)
        self.assertTrue(990 < effect.lowestRate <= effect.rateBefore <= 1005, effect)
        self.assertAlmostEqual(effect.p99Before, 0.010, places=3)

    def test_dip(self):
        """
        A server that is started again: nothing is accepted for some seconds, and then it is as before.
        """
        samples = changed(steady(120), 61, 64, accepted=0, failed=7, p99=None)
        samples = changed(samples, 64, 66, accepted=700, p99=0.5)
        [effect] = self.effects(samples, 60.5)
        self.assertEqual((effect.lowestRate, effect.failed, effect.highestP99), (0.0, 21, 0.5))
        self.assertEqual(effect.back, 5.5)

    def test_latency(self):
        """
        Latencies that are far higher are an effect as well, whatever the rate.
        """
        [effect] = self.effects(changed(steady(120), 70, 75, p99=0.2), 69.0)
        self.assertEqual((effect.back, effect.highestP99), (6.0, 0.2))
        self.assertGreater(effect.lowestRate, 990)

    def test_again(self):
        """
        It is over when it is as before for three samples in a row, and not for two.
        """
        samples = changed(changed(steady(120), 60, 62, accepted=10), 64, 65, accepted=20)
        self.assertEqual(self.effects(samples, 60.0)[0].back, 5.0)
        samples = changed(changed(steady(120), 60, 62, accepted=10), 65, 66, accepted=20)
        self.assertEqual(self.effects(samples, 60.0)[0].back, 2.0)

    def test_never(self):
        """
        A run that is never as before again.
        """
        [effect] = self.effects(changed(steady(120), 60, 120, accepted=400), 60.0)
        self.assertEqual((effect.back, effect.lowestRate), (None, 400.0))

    def test_better(self):
        """
        One that is better than before has nothing to get over.
        """
        [effect] = self.effects(changed(steady(120), 60, 120, accepted=3000, p99=0.001), 60.0)
        self.assertEqual(effect.back, 0.0)

    def test_late(self):
        """
        What begins long after a mark is none of its effects; but its command may take its time.
        """
        samples = changed(steady(200), 80, 90, accepted=0)
        self.assertEqual(self.effects(samples, 60.0)[0].back, 0.0)
        self.assertEqual(self.effects(samples, 60.0, kind="command", seconds=15.0)[0].back, 30.0)

    def test_two(self):
        """
        Of two marks that are close, the second has the same time before it as the first.
        """
        first, second = self.effects(changed(steady(120), 61, 66, accepted=0), 61.0, 63.0)
        self.assertEqual((first.back, second.back), (5.0, 3.0))
        self.assertEqual(first.rateBefore, second.rateBefore)
        self.assertEqual(second.lowestRate, 0.0)

    def test_newLevel(self):
        """
        Where a run was never as before, what it has become is what is usual for a later mark.
        """
        first, second = self.effects(changed(steady(300), 60, 300, accepted=400), 60.0, 200.0)
        self.assertEqual((first.back, second.back), (None, 0.0))
        self.assertEqual(second.rateBefore, 400.0)

    def test_deeper(self):
        """
        What a later mark has done is not told of one before that the run never got over.
        """
        samples = changed(changed(steady(300), 60, 300, accepted=600), 200, 205, accepted=0)
        first, second = self.effects(samples, 60.0, 200.0)
        self.assertEqual((first.lowestRate, second.lowestRate), (600.0, 0.0))
        self.assertEqual(second.back, 5.0)

    def test_start(self):
        """
        Of a mark at the very beginning nobody knows what was usual.
        """
        [effect] = self.effects(steady(60), 0.0)
        self.assertEqual((effect.rateBefore, effect.p99Before, effect.back), (None, None, None))
        self.assertGreater(effect.lowestRate, 990)

    def test_warmUp(self):
        """
        Of one in a warm-up, nothing.
        """
        self.assertEqual(self.effects(steady(60), -3.0), [None])

    def test_end(self):
        """
        Near the end there is too little left to be sure; behind it, nothing.
        """
        samples = steady(60)
        before, near, at = self.effects(samples, 56.5, 58.5, 60.0)
        self.assertEqual((before.back, near.back, at), (0.0, None, None))

    def test_rest(self):
        """
        The last part of a second, and what the server delivers after the load, are no dips.
        """
        samples = [*steady(60), sample(60.1, 3, seconds=0.1), *(sample(60.1 + n, 0, None) for n in range(1, 9))]
        [effect] = self.effects(samples, 55.0, until=60.1)
        self.assertEqual(effect.back, 0.0)

    def test_heldUp(self):
        """
        A run that was held up once, so that one sample is of many seconds, has its effects all the same.
        """
        samples = [*steady(60), sample(250, 190_000, seconds=190.0)]
        samples += [replace(one, time=one.time + 250) for one in changed(steady(60), 30, 33, accepted=0)]
        [effect] = self.effects(samples, 279.0)
        self.assertEqual((effect.back, effect.lowestRate), (4.0, 0.0))

    def test_joined(self):
        """
        While the samples of a very long run are joined, two at a time, those that still are of a second count.
        """
        samples = [sample(2 * n, 2000, seconds=2.0) for n in range(1, 100)]
        samples += [sample(198 + n, 1000) for n in range(1, 60)]
        [effect] = self.effects(changed(samples, 220, 223, accepted=0), 219.0)
        self.assertEqual(effect.back, 4.0)

    def test_zero(self):
        """
        A run in which nothing is accepted, or nothing has a latency.
        """
        [effect] = self.effects([sample(time, 0, None) for time in range(1, 61)], 30.0)
        self.assertEqual(effect, Effect(0.0, 0.0, None, None, 0, 0.0))

    def test_asked(self):
        """
        A rate that is as low as the schedule wants it is none of a mark's effects.
        """
        samples = [replace(one, asked=float(one.accepted)) for one in steady(120)]
        slow = changed(samples, 60, 120, accepted=300, asked=300.0)
        self.assertEqual(self.effects(slow, 60.0)[0].back, 0.0)
        self.assertEqual(self.effects(changed(samples, 60, 120, accepted=300), 60.0)[0].back, None)

    def test_long(self):
        """
        Of a very long run the samples are of several seconds.
        """
        samples = [sample(4 * n, 4000, seconds=4.0) for n in range(1, 100)]
        [effect] = self.effects(changed(samples, 200, 208, accepted=0), 201.0)
        self.assertEqual((effect.lowestRate, effect.rateBefore, effect.back), (0.0, 1000.0, 7.0))

    def test_many(self):
        """
        So many marks that nobody looks at them are still there.
        """
        marks = [Mark(float(n) / 100, "x") for n in range(MOST + 10)]
        found = list(withEffects(marks, steady(60), 60.0))
        self.assertEqual(len(found), MOST + 10)
        self.assertIsNone(found[-1].effect)

    @given(
        st.lists(
            st.builds(
                sample,
                st.just(0.0),
                st.integers(0, 10**9),
                st.none() | st.floats(0, 1e6),
                st.integers(0, 10**6),
                st.sampled_from([0.0, 1e-6, 0.5, 1.0, 3.0]),
                st.none() | st.floats(0, 1e9),
            ),
            max_size=40,
        ),
        st.lists(st.floats(-10, 60), max_size=5),
        st.floats(0, 60),
    )
    def test_anything(self, samples, moments, until):
        """
        Whatever a run was, there are effects, or none; what is told of them makes sense.
        """
        time, following = 0.0, []
        for one in samples:
            time += one.seconds
            following.append(replace(one, time=time))
        marks = [Mark(at, "x") for at in sorted(moments)]
        found = list(withEffects(marks, following, until))
        self.assertEqual([mark.at for mark in found], [mark.at for mark in marks])
        for mark in found:
            if mark.effect is not None:
                self.assertGreaterEqual(mark.effect.lowestRate, 0)
                self.assertGreaterEqual(mark.effect.back or 0.0, 0)


class QuickTests(SynchronousTestCase):
    """
    What is told of a run that goes on may not hold it up.
    """

    def setUp(self):
        self.reactor = FakeReactor()
        self.reactor.server = SlowFactory(self.reactor, 100.0)
        plan = SourcePlan(destination="127.0.0.1:25", keepConnections=True, rate=5.0, duration=3600.0)
        self.service = SourceService(self.reactor, plan, clock=self.reactor.seconds)
        self.service.startService()
        self.reactor.pump([0.25] * 40)
        for number in range(45):
            self.service.mark(f"{number}")
        self.reactor.pump([0.25] * 40)

    def tearDown(self):
        self.service.stopService()
        self.reactor.pump([0.25] * 40)
        self.successResultOf(self.service.whenDone())

    def test_left(self):
        """
        Effects and the figures of latencies are left out of a summary that is made quickly.
        """
        summary = self.service.summaryNow()
        self.assertEqual([mark.effect for mark in summary.marks], [None] * 45)
        self.assertEqual((summary.latency, summary.ended), ({}, "running"))

    def test_completed(self):
        """
        Who wants them gets them with pauses, a few at a time.
        """
        quick = self.service.summaryNow()
        made, seen = [], []
        self.patch(_Looks, "effect", lambda looks, mark: made.append(mark) or effect(looks, mark))
        parts = completed(quick)
        while True:
            before = len(made)
            try:
                next(parts)
            except StopIteration as e:
                summary = e.value
                break
            finally:
                seen.append(len(made) - before)
        self.assertEqual(sum(seen), 45)
        self.assertLessEqual(max(seen), 10)
        expected = list(withEffects(quick.marks, quick.series, quick.elapsed))
        self.assertEqual(list(summary.marks), expected)
        self.assertEqual({mark.effect.back for mark in expected}, {0.0})
        self.assertEqual(list(summary.latency), list(quick.buckets))

    def test_end(self):
        """
        At its end a run has them all; and nothing is made again.
        """
        self.service.stopService()
        self.reactor.pump([0.25] * 40)
        summary = self.successResultOf(self.service.whenDone())
        self.assertNotIn(None, [mark.effect for mark in summary.marks])
        again = self.assertRaises(StopIteration, next, completed(summary)).value
        self.assertEqual(again, summary)
