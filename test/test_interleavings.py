"""
Tests for runs by workers that are none, in whatever order they begin, end, warm up, tell and die.
"""

from __future__ import annotations

from fakeworkers import FakeWorker, frame
from hypothesis import strategies as st
from properties import given, settings
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.load.workersrun import WorkersRun
from smtpsource.measure.recorder import Recorder
from smtpsource.net.destination import TCPAddress
from smtpsource.plan import SourcePlan
from smtpsource.workers.wire import Kind


class Simulated:
    """
    A worker that does what one does in a closed loop, one thing at a time.

    @ivar numbers: by epoch, those of the messages that it has begun.
    @ivar done: by epoch, how many of them were accepted, and how many failed.
    """

    def __init__(self, fake, hasWarmUp):
        self.fake = fake
        self.warming = hasWarmUp
        self.epoch, self.second, self.heard = 0, 0, 0
        self.free, self.open = [], []
        self.isAsking = self.isClosed = self.isOver = False
        self.numbers = {0: [], 1: []}
        self.done = {0: [0, 0], 1: [0, 0]}
        self.told = [0, 0, 0]

    def hear(self):
        """
        Take what it is lent.
        """
        for kind, body in self.fake.told[self.heard :]:
            if kind is Kind.LEASE and body["epoch"] == self.epoch and not self.isClosed:
                self.isAsking = False
                self.isClosed = not body["count"]
                self.free += range(body["first"], body["first"] + body["count"])
        self.heard = len(self.fake.told)

    def want(self, count):
        if not (self.isAsking or self.isClosed):
            self.isAsking = True
            self.fake.says(Kind.WANT, {"count": count, "epoch": self.epoch})

    def start(self, count):
        taken, self.free = self.free[:count], self.free[count:]
        self.numbers[self.epoch] += taken
        self.open += taken

    def finish(self, count, how):
        count = min(count, len(self.open))
        del self.open[:count]
        self.done[self.epoch][how] += count

    def tell(self, last=False):
        """
        Say what was done since it last did.
        """
        self.second += 1
        now = [len(self.numbers[self.epoch]), *self.done[self.epoch]]
        started, accepted, failed = (new - old for new, old in zip(now, self.told, strict=True))
        self.told = now
        gauges = {"inFlight": len(self.open)}
        said = frame(self.second, started, accepted, failed=failed, epoch=self.epoch, last=last, gauges=gauges)
        self.fake.says(Kind.FRAME, said)

    def warm(self):
        """
        The end of its warm-up, if it is in one.
        """
        if self.warming:
            self.tell()
            self.warming = self.isAsking = False
            self.epoch, self.second, self.free, self.told = 1, 0, [], [0, 0, 0]
            # What is on its way is the first that is started.
            self.numbers[1] += self.open

    def endIfOver(self):
        if self.isClosed and not (self.free or self.open or self.warming):
            self.tell(last=True)
            accepted, failed = self.done[0]
            warmUp = {"accepted": accepted, "rejected": 0, "failed": failed} if self.epoch else {}
            self.isOver = True
            self.fake.ends(warmUp=warmUp)

    def die(self):
        self.isOver = True
        self.fake.dies("was ended by SIGKILL")


class InterleavingTests(SynchronousTestCase):
    """
    L{WorkersRun} of a limited number of messages.
    """

    @settings(max_examples=150)
    @given(st.integers(2, 4), st.integers(0, 60), st.booleans(), st.integers(0, 3), st.data())
    def test_any(self, count, more, hasWarmUp, deaths, data):
        """
        Whatever happens in which order: each message that was started has one outcome; what workers did is counted, in
        its epoch; of those that are lost all is counted that they may have done. There are no more than were asked for,
        and as many, if nobody is lost.
        """
        recorder, clock, seconds, warmUps = Recorder(), Clock(), [], []

        def whenWarm(began):
            seconds.clear()
            warmUps.append({name: getattr(recorder, name) for name in ("accepted", "rejected", "failed")})
            recorder.restart()
            return warmUps[-1]

        # Nobody has more on its way than there are sessions.
        total, each, ended = 3 * count + more, 3, []
        now = [0.0]
        plan = SourcePlan(
            destination="127.0.0.1", messageCount=total, sessionCount=each * count, warmUp=1.0 if hasWarmUp else 0.0
        )
        fakes = [FakeWorker() for _ in range(count)]
        run = WorkersRun(
            *(clock, plan, recorder, lambda: now[0], lambda: ended.append(1), whenWarm, lambda line: None, fakes)
        )
        run.whenSecond = seconds.append
        run.prepare()
        for fake in fakes:
            fake.ready()
        run.begin([TCPAddress("127.0.0.1", 2525)], run.beginsAt())
        now[0] = 1e6  # however many seconds they tell of
        workers = [Simulated(fake, hasWarmUp) for fake in fakes]
        actions = {
            "want": lambda worker: worker.want(data.draw(st.integers(1, 20))),
            "hear": Simulated.hear,
            "start": lambda worker: worker.start(each - len(worker.open)),
            "finish": lambda worker: worker.finish(data.draw(st.integers(1, each)), data.draw(st.integers(0, 1))),
            "tell": Simulated.tell,
            "warm": Simulated.warm,
            "end": Simulated.endIfOver,
        }
        names = [*actions, *["die"] * bool(deaths)]
        lost = []
        for _ in range(data.draw(st.integers(0, 30))):
            worker = data.draw(st.sampled_from(workers))
            action = data.draw(st.sampled_from(names))
            if worker.isOver:
                continue
            if action != "die":
                actions[action](worker)
            elif len(lost) < deaths:
                lost.append(worker)
                worker.die()
        # From here on in the usual order, up to the end; some die somewhere in it.
        course = (
            Simulated.warm,
            lambda worker: worker.want(5),
            Simulated.hear,
            lambda worker: worker.start(each - len(worker.open)),
            lambda worker: worker.finish(each, 0),
            Simulated.tell,
            Simulated.endIfOver,
        )
        places = st.tuples(st.sampled_from(workers), st.integers(0, 1), st.integers(0, len(course) - 1))
        dying = data.draw(st.lists(places, min_size=deaths - len(lost), max_size=deaths - len(lost)))
        for turn in range(1000):
            for worker in workers:
                for place, act in enumerate(course):
                    if not worker.isOver and (worker, turn, place) in dying:
                        lost.append(worker)
                        worker.die()
                    if not worker.isOver:
                        act(worker)
            if ended:
                break
        self.assertEqual(ended, [1])
        measured = int(hasWarmUp)
        self.assertEqual(recorder.started, recorder.accepted + recorder.rejected + recorder.failed)
        self.assertEqual(len(run.incomplete), len(lost), run.incomplete)
        begun = [number for worker in workers for number in worker.numbers[measured]]
        self.assertEqual(len(set(begun)), len(begun))
        if measured and not warmUps:
            self.assertEqual(len(lost), count)  # nobody has come so far
            return
        self.assertLessEqual(recorder.started, total)
        self.assertGreaterEqual(recorder.started, len(begun))
        living = [worker for worker in workers if worker not in lost]
        if not lost:
            self.assertEqual((recorder.started, len(begun)), (total, total))
        for place, name in enumerate(("accepted", "failed")):
            for epoch, found in ((0, warmUps[0] if measured else None), (measured, vars(recorder) | {})):
                if found is None:
                    continue
                certain = sum(worker.done[epoch][place] for worker in living)
                known = found[name] if name in found else getattr(recorder, name)
                if not lost:
                    self.assertEqual(known, certain, (name, epoch))
                else:
                    self.assertGreaterEqual(known, certain, (name, epoch))
        self.assertEqual(sum(second.counters.started for second in seconds), recorder.started)
        self.assertEqual(sum(second.counters.failed for second in seconds), recorder.failed)
        if measured:
            # In the warm-up as well: what was begun and is not on its way after it has an outcome.
            outcomes = sum(warmUps[0].values())
            self.assertGreaterEqual(outcomes, sum(sum(worker.done[0]) for worker in workers))
