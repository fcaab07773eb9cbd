"""
Tests for L{smtpsource.load.gathered}.
"""

from __future__ import annotations

from hypothesis import strategies as st
from properties import given, settings
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.load.gathered import PATIENCE, Gathering
from smtpsource.measure.counters import COUNTS, Counters
from smtpsource.measure.frame import Frame
from smtpsource.measure.recorder import Recorder
from smtpsource.phases import NAMES, TRANSACTION


def frame(at, started=0, *, seconds=1.0, epoch=0, last=False, accepted=0, open=0, latencies=(), **others):
    """
    @return: what a worker brought in a second.
    """
    buckets = [{} for _ in NAMES]
    for microseconds in latencies:
        buckets[TRANSACTION][microseconds] = buckets[TRANSACTION].get(microseconds, 0) + 1
    return Frame(
        number=0,
        epoch=epoch,
        at=at,
        seconds=seconds,
        counters=Counters(started=started, accepted=accepted, open=open),
        buckets=buckets,
        replies=[{}] * len(NAMES),
        errors={},
        last=last,
        **others,
    )


class GatheringTests(SynchronousTestCase):
    """
    What several workers bring.
    """

    def gather(self, workers=2, warm=None):
        """
        Begin to gather.

        @param warm: called when the warm-up is over.
        """
        self.recorder, self.seconds, self.warmUps = Recorder(), [], []

        def whenWarm(counters):
            self.warmUps.append(counters)
            self.recorder.restart()
            if warm is not None:
                warm()

        self.gathering = Gathering(self.recorder, workers, self.seconds.append, whenWarm)
        return self.gathering

    def told(self):
        """
        @return: of each second that was given, its end, its length, and how many messages started.
        """
        return [(one.at, round(one.seconds, 9), one.counters.started) for one in self.seconds]

    def test_together(self):
        """
        What comes is counted at once. A second is given when it has come from all, and then as one.
        """
        gathering = self.gather()
        gathering.add(0, frame(1.001, 5, latencies=(10, 20), cpu=(0.5, 0.25), lag=0.1, asked=6.0, scheduledSeconds=1.0))
        self.assertEqual((self.recorder.started, self.seconds), (5, []))
        gathering.add(1, frame(1.003, 7, latencies=(20,), cpu=(0.25, 0.0), lag=0.2, asked=8.0, scheduledSeconds=1.0))
        (second,) = self.seconds
        self.assertEqual((second.at, second.seconds, second.counters.started), (1.003, 1.003, 12))
        self.assertEqual(second.buckets[TRANSACTION], {10: 1, 20: 2})
        self.assertEqual((second.cpu, second.lag, second.asked, second.last), ((0.75, 0.25), 0.2, 14.0, False))
        self.assertEqual(sum(self.recorder.buckets[TRANSACTION]), 3)

    def test_apart(self):
        """
        One may be a second or two ahead of the other.
        """
        gathering = self.gather()
        gathering.add(0, frame(1.0, 1))
        gathering.add(0, frame(2.0, 2))
        gathering.add(1, frame(1.0, 10))
        self.assertEqual(self.told(), [(1.0, 1.0, 11)])
        gathering.add(1, frame(2.01, 20))
        self.assertEqual(self.told(), [(1.0, 1.0, 11), (2.01, 1.01, 22)])

    def test_late(self):
        """
        Who is behind is not waited for for long: what comes then is counted as of the next second, which is no longer
        for that.
        """
        gathering = self.gather()
        for second in range(1, PATIENCE + 2):
            gathering.add(0, frame(float(second), 1))
            self.assertEqual(self.seconds, [])
        gathering.add(0, frame(PATIENCE + 2.0, 1))
        self.assertEqual(self.told(), [(1.0, 1.0, 1)])
        gathering.add(1, frame(PATIENCE + 2.0, 100, seconds=PATIENCE + 2.0))
        self.assertEqual(self.told()[1:-1], [(float(second), 1.0, 1) for second in range(2, PATIENCE + 2)])
        self.assertEqual(self.told()[-1], (PATIENCE + 2.0, 1.0, 101))
        self.assertEqual(self.recorder.started, PATIENCE + 102)

    def test_tooLate(self):
        """
        So is what comes of a second that was given already.
        """
        gathering = self.gather()
        for second in range(1, 5):
            gathering.add(0, frame(float(second), 1))
        gathering.add(1, frame(1.0, 10))
        gathering.add(1, frame(2.0, 20))
        self.assertEqual(self.told(), [(1.0, 1.0, 1), (2.0, 1.0, 31)])

    def test_longer(self):
        """
        A worker that was held up sends one frame for two seconds; it holds nobody up.
        """
        gathering = self.gather()
        gathering.add(0, frame(1.0, 1))
        gathering.add(1, frame(1.97, 10, seconds=1.97))
        self.assertEqual(self.told(), [(1.0, 1.0, 1)])
        gathering.add(0, frame(2.0, 1))
        self.assertEqual(self.told()[1:], [(2.0, 1.0, 11)])

    def test_ended(self):
        """
        Who has ended is not waited for. When all have, the last second is given, and said to be the last.
        """
        gathering = self.gather()
        gathering.add(0, frame(0.25, 3, seconds=0.25, last=True))
        gathering.add(1, frame(1.0, 10))
        gathering.add(1, frame(1.5, 5, seconds=0.5, last=True))
        self.assertEqual(self.told(), [(1.0, 1.0, 13), (1.5, 0.5, 5)])
        self.assertEqual([one.last for one in self.seconds], [False, True])

    def test_lost(self):
        """
        Nor is who is lost. What it had brought stands.
        """
        gathering = self.gather(3)
        gathering.add(0, frame(1.0, 1, open=3, gauges={"sessions": 3}))
        gathering.add(2, frame(1.0, 4, open=5, gauges={"sessions": 5}))
        gathering.lost(1)
        self.assertEqual(self.told(), [(1.0, 1.0, 5)])
        gathering.lost(1)
        gathering.lost(2)
        self.assertEqual((self.recorder.started, self.recorder.open), (5, 3))
        self.assertEqual(gathering.gauges(), {"sessions": 3})
        gathering.lost(0)
        self.assertEqual(self.told(), [(1.0, 1.0, 5)])
        self.assertEqual((gathering.of(0), self.recorder.open), (Counters(started=1, open=3), 0))

    def test_gauges(self):
        """
        Gauges are the sums of the latest ones; what the schedule asks for is known of the whole.
        """
        gathering = self.gather()
        gathering.add(0, frame(1.0, open=2, gauges={"sessions": 2}, asked=5.0, scheduledSeconds=1.0))
        gathering.add(1, frame(1.0, open=3, gauges={"sessions": 3, "overdue": 1}, asked=6.0, scheduledSeconds=1.1))
        gathering.add(0, frame(2.0, open=1, gauges={"sessions": 1}, asked=7.0, scheduledSeconds=2.0))
        self.assertEqual(gathering.gauges(), {"sessions": 4, "overdue": 1, "asked": 18.0, "scheduledSeconds": 2.0})
        self.assertEqual(self.recorder.open, 4)
        self.assertEqual((self.seconds[0].counters.open, self.seconds[0].gauges["sessions"]), (5, 5))

    def test_warmUp(self):
        """
        The warm-up is over when it is over for all. Until then nobody's measured messages are counted; those that were
        on their way are, by each worker's word.
        """
        gathering = self.gather()
        for index in (0, 1):
            gathering.add(index, frame(1.0, 10, accepted=8))
        gathering.add(0, frame(1.5, 2, accepted=3, seconds=0.5))
        gathering.add(0, frame(1.0, 21, accepted=20, epoch=1))
        self.assertEqual((self.recorder.started, self.warmUps), (22, []))
        gathering.add(1, frame(1.5, 0, accepted=0, seconds=0.5))
        gathering.add(1, frame(1.0, 32, accepted=30, epoch=1))
        self.assertEqual([(one.started, one.accepted) for one in self.warmUps], [(22, 19)])
        self.assertEqual((self.recorder.started, self.recorder.accepted), (53, 50))
        self.assertEqual(self.told()[-1], (1.0, 1.0, 53))
        self.assertEqual((self.seconds[-1].epoch, self.seconds[-1].number), (1, 1))
        self.assertEqual((gathering.of(0).started, gathering.of(1).started), (21, 32))

    def test_warmUpOfOthers(self):
        """
        Who is gone does not keep the others in their warm-up; nor for long who says nothing. What that one says of the
        warm-up later is of no interest.
        """
        gathering = self.gather(3)
        for second in range(1, PATIENCE + 1):
            gathering.add(0, frame(float(second), 1, epoch=1))
        gathering.lost(1)
        self.assertEqual((self.warmUps, self.recorder.started), ([], 0))
        gathering.add(0, frame(PATIENCE + 1.0, 1, epoch=1))
        self.assertEqual((self.warmUps, self.recorder.started), ([Counters()], PATIENCE + 1))
        gathering.add(2, frame(1.0, 1000))
        self.assertEqual(self.recorder.started, PATIENCE + 1)
        gathering.add(2, frame(PATIENCE + 1.0, 50, seconds=PATIENCE + 1.0, epoch=1))
        self.assertEqual(self.told()[-1], (PATIENCE + 1.0, 1.0, 51))
        self.assertEqual(len(self.warmUps), 1)

    def test_lostInWarmUp(self):
        """
        When the last one that was still in its warm-up is lost, it is over.
        """
        gathering = self.gather()
        gathering.add(0, frame(1.0, 1))
        gathering.add(0, frame(1.0, 2, epoch=1))
        gathering.lost(1)
        self.assertEqual([one.started for one in self.warmUps], [1])
        self.assertEqual(self.told()[-1], (1.0, 1.0, 2))

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 2),
                st.sampled_from(["second", "second", "second", "late", "two", "warm", "last", "lost"]),
                st.integers(0, 9),
            ),
            max_size=40,
        )
    )
    @settings(max_examples=300)
    def test_nothingLost(self, course):
        """
        Whatever comes in which order, all that was measured is counted once, and is in one of the seconds; these follow
        each other; and when all are gone nothing is left. What a worker does that is still in its warm-up when that of
        the others is over is not measured.
        """
        gathering = self.gather(3)
        epochs, ats, gone = [0, 0, 0], [0.0, 0.0, 0.0], set()
        wanted = {0: 0, 1: 0}

        def add(index, number, seconds, last=False):
            ats[index] += seconds
            epoch = epochs[index]
            if epoch or not self.warmUps:
                wanted[epoch] += number
            gathering.add(
                index, frame(ats[index], number, seconds=seconds, epoch=epoch, last=last, latencies=[5] * number)
            )

        for index, what, number in course:
            if index in gone:
                continue
            if what == "lost":
                gone.add(index)
                gathering.lost(index)
            elif what == "warm" and not epochs[index]:
                add(index, number, 0.25)
                epochs[index], ats[index] = 1, 0.0
                add(index, number, 1.0)
            else:
                seconds = {"late": 1.4, "two": 2.0, "last": 0.3}.get(what, 1.0)
                add(index, number, seconds, what == "last")
                if what == "last":
                    gone.add(index)
        for index in {0, 1, 2} - gone:
            gathering.lost(index)
        epoch = int(any(epochs))
        self.assertEqual(len(self.warmUps), epoch)
        if epoch:
            self.assertEqual(self.warmUps[0].started, wanted[0])
        self.assertEqual(self.recorder.started, wanted[epoch])
        self.assertEqual(self.recorder.open, 0)
        seconds = [one for one in self.seconds if one.epoch == epoch]
        self.assertEqual(sum(one.counters.started for one in seconds), wanted[epoch])
        self.assertEqual(sum(sum(one.buckets[TRANSACTION].values()) for one in seconds), wanted[epoch])
        end = 0.0
        for one in seconds:
            self.assertApproximates(one.at - one.seconds, end, 1e-9)
            end = one.at
        for name in COUNTS:
            total = sum(getattr(gathering.of(index), name) for index in range(3))
            self.assertEqual(total, getattr(self.recorder, name), name)
