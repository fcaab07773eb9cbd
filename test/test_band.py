"""
Tests for L{smtpsource.workers}: the parent's side, up to where its run begins.
"""

from __future__ import annotations

import tracemalloc

from fakeworkers import FakeWorker
from hypothesis import strategies as st
from patience import TEST_LIMIT
from properties import given
from twisted.internet import defer
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource.workers.band import PATIENCE, SILENCE, START_TIMEOUT, Band
from smtpsource.workers.leases import Leases
from smtpsource.workers.link import WorkerFailed
from smtpsource.workers.spawned import SpawnedWorker, cores
from smtpsource.workers.wire import Kind

#: Seconds of grace.
GRACE = 3.0


class BandTests(SynchronousTestCase):
    """
    L{Band}: whatever workers do, it comes to an end.
    """

    def setUp(self):
        self.clock = Clock()
        self.workers = [FakeWorker() for _ in range(3)]
        self.said = []
        self.lost = []
        self.silent = []
        self.over = 0
        self.band = Band(
            *(self.clock, self.workers, GRACE),
            lambda index, kind, body: self.said.append((index, kind, body)),
            lambda index, how: self.lost.append((index, how)),
            self.isOver,
            lambda index, seconds: self.silent.append((index, round(seconds))),
        )

    def isOver(self):
        self.over += 1

    def start(self):
        return self.band.start([[(Kind.SHARE, {"index": index}), (Kind.PLAN, b"plan")] for index in range(3)])

    def go(self):
        """
        All begin.
        """
        ready = self.start()
        for worker in self.workers:
            worker.ready()
        self.successResultOf(ready)
        self.band.go({"at": 1.0, "addresses": []})

    def pass_(self, seconds):
        self.clock.pump([0.1] * round(seconds * 10))

    def talk(self, *silent):
        """
        A second passes, and all say so but these.
        """
        self.pass_(1)
        for worker in self.workers:
            if worker not in silent:
                worker.says(Kind.FRAME, b"frame")

    def test_silent(self):
        """
        Whose silence lasts some seconds is told of, once each time.
        """
        self.go()
        for silent in ([self.workers[1]] * 6, [], [self.workers[1]] * 5):
            for one in silent:
                self.talk(one)
            self.talk()
        self.assertEqual((self.silent, self.lost), ([(1, 4), (1, 4)], []))

    def atEnd(self):
        """
        All is over, nothing is left to be called, and nobody is told of it twice.
        """
        self.assertEqual(self.over, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_course(self):
        """
        All are told the plan, and when all are ready the run begins; each says its last, and then ends.
        """
        ready = self.start()
        for index, worker in enumerate(self.workers):
            self.assertEqual(worker.told, [(Kind.SHARE, {"index": index}), (Kind.PLAN, b"plan")])
            self.assertNoResult(ready)
            worker.ready(f"ledger {index}")
        self.assertEqual([each["ledger"] for each in self.successResultOf(ready)], ["ledger 0", "ledger 1", "ledger 2"])
        self.band.go({"at": 5.0, "addresses": []})
        for worker in self.workers:
            self.assertEqual(worker.told[2:], [(Kind.GO, {"at": 5.0, "addresses": []})])
        for _ in range(100):
            self.talk()
        for worker in self.workers:
            self.assertEqual(self.over, 0)
            worker.ends(limits=[])
        self.assertEqual([kind for _, kind, _ in self.said], [Kind.FRAME] * 300 + [Kind.END] * 3)
        self.assertEqual(self.lost, [])
        self.atEnd()

    def test_unusable(self):
        """
        If one can't do it there is no run, and none of the others is left.
        """
        ready = self.start()
        self.workers[0].ready()
        self.workers[1].says(Kind.UNUSABLE, {"text": "no TLS here"})
        self.assertEqual(str(self.failureResultOf(ready, WorkerFailed).value), "no TLS here")
        self.assertTrue(all(worker.isGone for worker in self.workers))
        self.assertEqual(self.lost, [])
        self.atEnd()

    def test_diesBefore(self):
        """
        The same if one ends before it is ready, and what is told is how.
        """
        ready = self.start()
        self.workers[2].dies("ended with status 1: no such module")
        text = str(self.failureResultOf(ready, WorkerFailed).value)
        self.assertEqual(text, "worker 3 of 3 ended with status 1: no such module")
        self.assertTrue(all(worker.isGone for worker in self.workers))
        self.atEnd()

    def test_notReady(self):
        """
        One that is not ready in time is not waited for.
        """
        ready = self.start()
        self.workers[0].ready()
        self.workers[2].ready()
        self.clock.advance(START_TIMEOUT - 0.1)
        self.assertNoResult(ready)
        self.clock.advance(0.2)
        text = str(self.failureResultOf(ready, WorkerFailed).value)
        self.assertEqual(text, f"worker 2 of 3 was not ready within {START_TIMEOUT:g} seconds")
        self.atEnd()

    def test_lost(self):
        """
        One that ends before its time is told of, once, and the others go on.
        """
        self.go()
        self.workers[1].dies("was ended by SIGKILL")
        self.assertEqual(self.lost, [(1, "was ended by SIGKILL")])
        self.assertEqual(self.band.living, [0, 2])
        self.workers[0].ends()
        self.workers[2].ends()
        self.assertEqual(len(self.lost), 1)
        self.atEnd()

    def test_lostBetween(self):
        """
        So is one that was ready, and is gone before it was told to begin; and one that ends as if all was well.
        """
        ready = self.start()
        for worker in self.workers:
            worker.ready()
        self.successResultOf(ready)
        self.workers[0].dies("")
        self.assertEqual(self.lost, [(0, "ended before its time")])

    def test_nonsense(self):
        """
        A worker that says what makes no sense is given up.
        """
        self.go()
        self.workers[0].heard(b"?what")
        self.assertIn("no word of a worker", self.workers[0].killed)
        self.workers[1].says(Kind.GO, {})
        self.assertIn("said GO", self.workers[1].killed)
        self.workers[2].ends()
        self.assertEqual([index for index, _ in self.lost], [0, 1])
        self.atEnd()

    def test_nonsenseFirst(self):
        """
        So is one whose first word makes no sense, and then there is no run.
        """
        for kind, body in ((Kind.READY, {"pid": "x"}), (Kind.READY, {"pid": 1e999}), (Kind.UNUSABLE, {})):
            self.setUp()
            ready = self.start()
            self.workers[0].says(kind, body)
            self.assertIn(f"said {kind.name} in a way that makes no sense", self.workers[0].killed)
            self.failureResultOf(ready, WorkerFailed)
            self.atEnd()

    def test_drain(self):
        """
        Who is told to drain has the grace period for it, and a little more; even if it still talks.
        """
        self.go()
        self.band.drain()
        for worker in self.workers:
            self.assertEqual(worker.kinds()[-1], Kind.DRAIN)
        self.workers[0].ends()
        for _ in range(round(GRACE + PATIENCE)):
            self.workers[1].says(Kind.FRAME, b"frame")
            self.assertEqual(self.over, 0)
            self.pass_(1)
        self.pass_(1)
        self.assertEqual(self.lost, [(1, "did not end in time"), (2, "was silent for 8 seconds")])
        self.atEnd()

    def test_drainBefore(self):
        """
        Workers that have not begun are ended at once; nobody is lost with them.
        """
        ready = self.start()
        self.workers[0].ready()
        self.band.drain()
        self.assertTrue(all(worker.isGone for worker in self.workers))
        self.assertNoResult(ready)
        self.assertEqual(self.lost, [])
        self.atEnd()

    def test_notStarted(self):
        """
        Nor is there anything to wait for if they were not even started.
        """
        self.band.drain()
        self.assertEqual([worker.told for worker in self.workers], [[]] * 3)
        self.atEnd()

    def test_abort(self):
        """
        Who is told to end now has less time.
        """
        self.go()
        self.band.abort()
        self.assertEqual(self.workers[0].kinds()[-1], Kind.ABORT)
        self.workers[0].ends()
        self.workers[1].ends()
        self.pass_(PATIENCE + 1)
        self.assertEqual(self.lost, [(2, "did not end in time")])
        self.atEnd()

    def test_hangs(self):
        """
        When others have ended, one that is silent is not waited for; but one that talks may take its time.
        """
        self.go()
        for _ in range(100):
            self.talk()
        self.workers[0].ends()
        for _ in range(100):
            self.workers[1].says(Kind.FRAME, b"frame")
            self.pass_(1)
        self.assertEqual(self.lost, [(2, "was silent for 8 seconds")])
        self.assertEqual(self.over, 0)
        self.workers[1].ends()
        self.atEnd()

    def test_hangsFromTheStart(self):
        """
        Nor is one that is silent waited for while all others go on, even if it has never said anything: they may wait
        for what only it has.
        """
        self.go()
        for _ in range(round(SILENCE)):
            self.talk(self.workers[1])
            self.assertEqual(self.lost, [])
        self.talk(self.workers[1])
        self.assertEqual(self.lost, [(1, f"was silent for {SILENCE:.0f} seconds")])
        self.workers[0].ends()
        self.workers[2].ends()
        self.atEnd()

    def test_stoppedTogether(self):
        """
        When all are stopped together, and go on later, nobody has been silent.
        """
        self.go()
        for _ in range(5):
            self.talk()
            self.pass_(0.6)
            self.clock.advance(3600)
            self.pass_(SILENCE - 3)
        self.assertEqual(self.lost, [])
        for worker in self.workers:
            worker.ends()
        self.atEnd()

    def test_stoodStill(self):
        """
        When this process has stood still, what the workers have said meanwhile is not read yet: nobody is given up.
        """
        self.go()
        self.band.drain()
        self.clock.advance(3600)
        self.assertEqual(self.lost, [])
        for worker in self.workers:
            worker.ends()
        self.atEnd()

    def test_processHangs(self):
        """
        A worker that has said all, and whose process does not end, is not lost: but it is killed.
        """
        self.go()
        for worker in self.workers:
            worker.says(Kind.END, {})
        self.workers[0].dies()
        self.workers[1].dies()
        self.assertEqual(self.over, 0)
        self.pass_(PATIENCE + 1)
        self.assertIsNotNone(self.workers[2].killed)
        self.assertEqual(self.lost, [])
        self.atEnd()

    def test_end(self):
        """
        When the run does not begin all workers end: in order, if they can.
        """
        ready = self.start()
        self.workers[2].hangs = True
        for worker in self.workers:
            worker.ready()
        self.successResultOf(ready)
        self.band.end()
        self.assertEqual([worker.killed for worker in self.workers], [None] * 3)
        self.assertEqual(self.over, 0)
        self.pass_(PATIENCE + 1)
        self.assertEqual(self.workers[2].killed, "did not end in time")
        self.assertEqual(self.lost, [])
        self.band.end()
        self.atEnd()


class LeasesTests(SynchronousTestCase):
    """
    L{Leases}: numbers that are lent.
    """

    @given(st.integers(0, 500), st.integers(1, 5), st.data())
    def test_exact(self, total, workers, data):
        """
        Whoever asks in which order, each number from 1 on is lent once, up to the last, and nobody is told too
        early that there are no more.
        """
        leases = Leases(total, workers)
        lent = []
        while not leases.isOver:
            worker = data.draw(st.integers(0, workers - 1))
            wanted = data.draw(st.integers(1, 200))
            first, count = leases.grant(worker, wanted)
            self.assertTrue(1 <= count <= wanted)
            lent += range(first, first + count)
        self.assertEqual(lent, list(range(1, total + 1)))
        self.assertEqual(sum(map(leases.lent, range(workers))), total)
        self.assertEqual([leases.grant(worker, 10)[1] for worker in range(workers)], [0] * workers)

    def test_fair(self):
        """
        Nobody gets so much that the others have nothing left to do; in the end there is one for each.
        """
        leases = Leases(1000, 4)
        self.assertEqual(leases.grant(0, 10**6), (1, 125))
        self.assertEqual(leases.grant(1, 10), (126, 10))
        while leases.rest > 8:
            leases.grant(0, 10**6)
        self.assertEqual([leases.grant(worker % 4, 10**6)[1] for worker in range(8)], [1] * 8)
        self.assertTrue(leases.isOver)

    def test_leaves(self):
        """
        Where a worker is gone the others share what is left.
        """
        leases = Leases(1000, 2)
        leases.grant(0, 10)
        leases.leave(0)
        self.assertEqual(leases.grant(1, 10**6), (11, 495))
        self.assertEqual(leases.lent(0), 10)

    @given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(0, 60), st.data())
    def test_warmUp(self, onTheirWay, total, data):
        """
        What is sent in the warm-up is not counted, but for what is on its way at its end; and that is known of one
        worker after the other. However they ask meanwhile, in the end there are as many as there should be.
        """
        workers = len(onTheirWay)
        leases = Leases(total, workers, [9] * workers)
        seen = []

        def ask(worker):
            granted = leases.grant(worker, data.draw(st.integers(1, 20)))
            if granted is not None:
                seen.extend(range(granted[0], sum(granted)))
            return granted

        for worker in range(workers):
            ask(worker)
        measured = 0
        for worker in data.draw(st.permutations(range(workers))):
            self.assertTrue(leases.isWarmingUp(worker))
            leases.warm(worker, onTheirWay[worker])
            measured += onTheirWay[worker]
            granted = ask(worker)
            measured += 0 if granted is None else granted[1]
        while not leases.isOver:
            measured += ask(data.draw(st.integers(0, workers - 1)))[1]
        self.assertEqual(measured, max(total, sum(onTheirWay)))
        self.assertEqual(sum(map(leases.lent, range(workers))), measured)
        self.assertEqual(len(seen), len(set(seen)))

    def test_notYet(self):
        """
        As long as nobody knows whether there are more, nobody is told that there are none.
        """
        leases = Leases(5, 2, [4, 4])
        leases.warm(0, 4)
        self.assertIsNone(leases.grant(0, 1))
        self.assertFalse(leases.isOver)
        leases.warm(1, 0)
        self.assertEqual(leases.grant(0, 10)[1], 1)
        self.assertEqual(leases.grant(0, 10)[1], 0)

    def test_lostInWarmUp(self):
        """
        A worker that is lost in its warm-up holds nothing back.
        """
        leases = Leases(5, 2, [4, 4])
        leases.warm(0, 4)
        leases.leave(1)
        self.assertEqual(leases.grant(0, 10)[1], 1)
        self.assertTrue(leases.isOver)


class SpawnedWorkerTests(TestCase):
    """
    L{SpawnedWorker}: a real child, of any program.
    """

    timeout = TEST_LIMIT

    def worker(self, program, core=None):
        """
        @return: a worker, what it says, and a Deferred that fires with how it ended.
        """
        from twisted.internet import reactor

        worker = SpawnedWorker(reactor, program, core)
        said, ended = [], defer.Deferred()
        worker.whenSaid = lambda kind, body: said.append((kind, body))
        worker.whenGone = ended.callback
        worker.start()
        self.addCleanup(worker.kill, "the test is over")
        return worker, said, ended

    @defer.inlineCallbacks
    def test_talk(self):
        """
        What it is told comes over one descriptor, what it says over another; what else it prints is in nobody's way.
        """
        _, said, ended = worker = self.worker(
            "import os; print('hello', flush=True)\n"
            "from smtpsource.workers.wire import *\n"
            "kind, body = receive(3)\n"
            "os.write(4, framed(Kind.HINT, {'text': kind.name + body.decode()}))"
        )
        worker[0].send(Kind.PLAN, b"x" * 100_000)
        self.assertEqual((yield ended), "")
        self.assertEqual(said, [(Kind.HINT, {"text": "PLAN" + "x" * 100_000})])

    @defer.inlineCallbacks
    def test_long(self):
        """
        What several are told that is long is not copied for each; and what comes after it comes after it.
        """
        program = (
            "import os\n"
            "from smtpsource.workers.wire import *\n"
            "said = [receive(3) for _ in range(3)]\n"
            "text = ' '.join(f'{kind.name} {len(body)}' for kind, body in said)\n"
            "os.write(4, framed(Kind.HINT, {'text': text}))"
        )
        plan = bytes(16 << 20)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        workers = [self.worker(program) for _ in range(3)]
        for worker, _, _ in workers:
            worker.send(Kind.SHARE, {"index": 0})
            worker.send(Kind.PLAN, plan)
            worker.send(Kind.DRAIN)
        for _, said, ended in workers:
            self.assertEqual((yield ended), "")
            self.assertEqual(said, [(Kind.HINT, {"text": f"SHARE 1 PLAN {len(plan)} DRAIN 0"})])
        self.assertLess(tracemalloc.get_traced_memory()[1], len(plan) / 2)

    @defer.inlineCallbacks
    def test_fails(self):
        """
        How it has failed is told in one line, with the last one that it wrote.
        """
        for program, expected in (
            ("raise SystemExit(3)", "ended with status 3"),
            ("raise ValueError('no good')", "ended with status 1: ValueError: no good"),
            ("import os; os.kill(os.getpid(), 9)", "was killed by SIGKILL"),
            (
                "import os; os.write(4, bytes([255] * 8)); os.read(3, 1)",
                "said that it would say 4294967295 byt",
            ),
            ("import os; os.write(4, b'\\0\\0\\0\\2?!'); os.read(3, 1)", "said b'?!', which is no word of a worker"),
        ):
            _, _, ended = self.worker(program)
            how = yield ended
            self.assertTrue(how.startswith(expected), how)
            self.assertNotIn("\n", how)

    @defer.inlineCallbacks
    def test_told(self):
        """
        To tell something to one that is gone, and to end it, does nothing.
        """
        worker, _, ended = self.worker("pass")
        yield ended
        worker.send(Kind.ABORT)
        worker.kill("again")

    @defer.inlineCallbacks
    def test_core(self):
        """
        It keeps to the processor that it is given.
        """
        core = cores(1)[0]
        worker, said, ended = self.worker(
            "import os\n"
            "from smtpsource.workers.wire import *\n"
            "receive(3)\n"
            "os.write(4, framed(Kind.HINT, {'text': str(os.sched_getaffinity(0))}))",
            core,
        )
        worker.send(Kind.DRAIN)
        yield ended
        self.assertEqual(said, [(Kind.HINT, {"text": str({core})})])
