"""
Tests for L{smtpsource.load.workersrun}: a run by workers that are none, up to the figures.
"""

from __future__ import annotations

import json
from dataclasses import replace

from fakeworkers import FakeWorker, frame
from hypothesis import strategies as st
from properties import given
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.load.workersrun import LEAD, WorkersRun
from smtpsource.measure.frame import Frame
from smtpsource.measure.recorder import Recorder
from smtpsource.net.destination import TCPAddress
from smtpsource.plan import SourcePlan
from smtpsource.workers.link import WorkerFailed
from smtpsource.workers.wire import Kind

#: What workers say, and what may come instead.
_SAID = [Kind.FRAME, Kind.WANT, Kind.STEPPED, Kind.TROUBLE, Kind.BROKEN, Kind.HINT, Kind.END, Kind.READY, Kind.UNUSABLE]
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "x", "\ud800", "9" * 5000]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["x", "count"]), inner),
    max_leaves=8,
)
_NAMES = ["count", "epoch", "text", "kind", "limits", "exhausted", "catchUp", "addresses", "warmUp", "hints", "ledger"]
_JSON = st.dictionaries(st.sampled_from([*_NAMES, "pid"]), _VALUES).map(lambda body: json.dumps(body).encode())
_ENDS = st.sampled_from([b"", b"{", b"5", b"null", b"[]", b'{"count": 1e999, "epoch": 1}', b"[" * 100_000, b"\xff"])

ADDRESS = TCPAddress("127.0.0.1", 2525)


class WorkersRunTests(SynchronousTestCase):
    """
    L{WorkersRun}: nothing that its workers tell is lost, and nothing that they do not.
    """

    def begin(self, workers=2, **plan):
        """
        Begin a run, up to GO.
        """
        self.clock = Clock()
        self.recorder = Recorder()
        self.told = []
        self.seconds = []
        self.ended = 0
        self.workers = [FakeWorker() for _ in range(workers)]
        self.run_ = run = WorkersRun(
            *(self.clock, SourcePlan(destination="127.0.0.1", **{"sessionCount": 4, **plan}), self.recorder),
            *(self.clock.seconds, self.isEnded, self.isWarm, self.told.append, self.workers),
        )
        run.whenSecond = self.seconds.append
        self.ready = run.prepare()
        for worker in self.workers:
            worker.ready()
        self.successResultOf(self.ready)
        run.begin([ADDRESS], run.beginsAt())
        return run

    def isEnded(self):
        self.ended += 1

    def isWarm(self, began):
        self.warmUp = {"seconds": began, "accepted": self.recorder.accepted}
        self.recorder.restart()
        return self.warmUp

    def counts(self):
        one = self.recorder
        return one.started, one.accepted, one.rejected, one.failed

    def test_go(self):
        """
        All are told the same moment, which is soon, and where to; and a plan each.
        """
        run = self.begin(messageCount=10)
        for worker in self.workers:
            self.assertEqual(worker.kinds(), [Kind.SHARE, Kind.PLAN, Kind.GO])
            address = {"host": "127.0.0.1", "port": 2525, "name": None, "preference": 0}
            body = worker.told[2][1]
            self.assertEqual(body["at"], LEAD)
            self.assertEqual(body["addresses"], [address])
        run.reroute([TCPAddress("127.0.0.2", 25)])
        self.assertEqual([worker.kinds()[-1] for worker in self.workers], [Kind.ADDRESSES] * 2)

    def test_messages(self):
        """
        Messages are lent as long as there are any, each once.
        """
        self.begin(messageCount=100)
        lent = []
        for turn in range(1000):
            found = self.workers[turn % 2].wants(20)
            lent += found
            if not found:
                break
        self.assertEqual(sorted(lent), list(range(1, 101)))
        self.assertEqual(self.workers[0].wants(1) + self.workers[1].wants(1), [])

    def ofEach(self, inSeconds):
        """
        @return: how many messages each worker has started, and the CPU seconds that it has used in user mode.
        """
        return [(one["started"], one["cpu"]["user"]) for one in self.run_.workers(inSeconds=inSeconds)]

    def test_sum(self):
        """
        What workers tell is added up, second by second; in the end there is what each one says of itself.
        """
        run = self.begin(messageCount=100)
        first, second = self.workers
        first.says(Kind.FRAME, frame(1, 30, 30, gauges={"sessions": 2, "running": 1}))
        self.assertEqual(self.seconds, [])
        second.says(Kind.FRAME, frame(1, 20, 19, gauges={"sessions": 1, "draining": 1, "inFlight": 1}))
        self.assertEqual([(one.at, one.counters.accepted) for one in self.seconds], [(1.0, 49)])
        self.assertEqual((self.counts(), run.openSessions, run.recorder.inFlight), ((50, 49, 0, 0), 3, 1))
        first.says(Kind.FRAME, frame(2, 5, 5, at=1.5, last=True))
        self.clock.advance(2)
        first.ends(
            limits=["this process used 95% of a processor"],
            addresses={"127.0.0.1:2525": [2, 0, 35, None]},
            exhausted=2,
            catchUp=0.5,
            hints=["perhaps -L"],
        )
        second.says(Kind.FRAME, frame(2, 0, 1, at=1.75, last=True))
        second.ends(
            limits=["this process used 99% of a processor"],
            disturbances=["it waited"],
            addresses={"127.0.0.1:2525": [2, 1, 20, None]},
            exhausted=None,
            catchUp=0.25,
            hints=["perhaps -L"],
        )
        self.assertEqual((self.ended, self.counts()), (1, (55, 55, 0, 0)))
        self.assertEqual(run.endedAt(), LEAD + 1.75)
        self.assertEqual(sum(one.counters.accepted for one in self.seconds), 55)
        counts = run.byAddress()["127.0.0.1:2525"]
        self.assertEqual((counts.opened, counts.failed, counts.accepted), (4, 1, 55))
        self.assertEqual((run.exhausted, run.catchUp, run.standingHints), (2, 0.5, ("perhaps -L",)))
        said = "this process used 95% of a processor"
        self.assertEqual(list(run.limits(None)), [f"worker 1 of 2, and 1 other likewise: {said}"])
        self.assertEqual(list(run.disturbances(None)), ["worker 2 of 2: it waited"])
        self.assertEqual(self.told, ["perhaps -L"])
        self.assertEqual(
            [(one["started"], one["accepted"], one["cpu"], one["lost"]) for one in run.workers(inSeconds=False)],
            [(35, 35, {"user": 0.5, "system": 1.0}, None), (20, 20, {"user": 0.5, "system": 1.0}, None)],
        )
        self.assertEqual(run.incomplete, [])

    def test_ofEach(self):
        """
        When a second is told, what each worker has done in it and before adds up to that, and with what came since to
        all that is known; in a warm-up both are nothing.
        """
        found = []

        def look(second):
            self.seconds.append(second)
            found.append([self.ofEach(inSeconds) for inSeconds in (True, False)])

        run = self.begin(warmUp=1.0, messageCount=1000)
        run.whenSecond = look
        first, second = self.workers
        first.says(Kind.FRAME, frame(1, 8, 8))
        first.says(Kind.FRAME, frame(1, 30, 30, epoch=1))
        second.says(Kind.FRAME, frame(1, 9, 9))
        self.assertEqual(self.ofEach(True), [(0, 0.0), (0, 0.0)])
        first.says(Kind.FRAME, frame(2, 31, 31, epoch=1))
        second.says(Kind.FRAME, frame(1, 20, 20, epoch=1))
        second.says(Kind.FRAME, frame(2, 21, 21, epoch=1))
        self.assertEqual([one.counters.started for one in self.seconds], [17, 50, 52])
        self.assertEqual(found[1], [[(30, 0.25), (20, 0.25)], [(61, 0.5), (20, 0.25)]])
        self.assertEqual(found[2], [[(61, 0.5), (41, 0.5)]] * 2)

    def test_lost(self):
        """
        What a lost worker has told stands; what it had on its way, and what it was lent besides, has failed. The others
        go on.
        """
        run = self.begin(messageCount=1000)
        first, second = self.workers
        lent = len(first.wants(50))
        self.assertEqual(lent, 50)
        first.says(Kind.FRAME, frame(1, 30, 26, rejected=1, failed=1, gauges={"inFlight": 2}))
        second.says(Kind.FRAME, frame(1, 20, 20))
        self.clock.advance(LEAD + 1.4)
        first.dies("was ended by SIGKILL")
        self.assertEqual(self.counts(), (70, 46, 1, 23))
        text = "worker 1 of 2 was ended by SIGKILL"
        self.assertEqual(self.recorder.errors, {"worker-lost": 1})
        self.assertEqual(self.recorder.errorSamples, {"worker-lost": text})
        missing = f"{text} after 1.4 s: 22 messages that it had, or was lent, count as failed"
        self.assertEqual((run.incomplete, run.reason), ([missing], None))
        self.assertEqual(self.told, [f"{text}; the run goes on with the others"])
        self.assertEqual(len(second.wants(10**6)), 475)
        self.assertEqual(self.ended, 0)
        second.says(Kind.FRAME, frame(2, 5, 5, last=True))
        second.ends()
        self.assertEqual((self.ended, self.counts()), (1, (75, 51, 1, 23)))
        self.assertEqual(sum(one.counters.failed for one in self.seconds), 23)
        self.assertEqual([one["lost"] for one in run.workers(inSeconds=False)], ["was ended by SIGKILL", None])
        self.assertEqual([(one.state, one.user) for one in run.working], [("lost", 0.25), ("over", 0.5)])

    def test_messageLog(self):
        """
        Of the log of messages there is what each has told in the end; of a lost worker what its last frame knew, and
        for how many messages there may be a line besides. In a warm-up there is none.
        """

        def logged(lines, dropped, waiting):
            return {"inFlight": 2, "logLines": lines, "logDropped": dropped, "logWaiting": waiting}

        for warmUp in (0.0, 1.0):
            run = self.begin(4, messageCount=1000, logMessages="/file", warmUp=warmUp)
            first, second, third, fourth = self.workers
            for worker in self.workers:
                worker.wants(10)
            third.dies("was ended by SIGKILL")
            first.says(Kind.FRAME, frame(1, 10, 8, gauges=logged(5, 1, 2)))
            second.says(Kind.FRAME, frame(1, 10, 8, gauges=logged(8, 0, 0)))
            self.assertEqual([run.messageLog[name] for name in ("lines", "dropped")], [13, 1])
            first.dies("was ended by SIGKILL")
            second.ends(messageLog={"file": "/file", "lines": 9, "dropped": 0, "unknown": 0, "problem": None})
            fourth.ends()
            unknown = 2 if warmUp else 2 + 2 + 10
            self.assertEqual(
                [run.messageLog[name] for name in ("lines", "dropped", "unknown", "problem")],
                [14, 1, unknown, "a worker was lost"],
            )
        self.assertIsNone(self.begin().messageLog)

    def test_allLost(self):
        """
        When all are lost the run is over.
        """
        self.begin(messageCount=1000)
        for worker in self.workers:
            worker.wants(10)
            worker.dies("was ended by SIGKILL")
        self.assertEqual((self.ended, self.counts()), (1, (20, 0, 0, 20)))
        self.assertEqual(self.recorder.errors, {"worker-lost": 2})
        text = "worker 2 of 2 was ended by SIGKILL"
        self.assertEqual(self.run_.reason, f"all 2 workers were lost; the last: {text}")
        others = "; the run goes on with the others"
        self.assertEqual(self.told, [f"worker 1 of 2 was ended by SIGKILL{others}", text])

    def test_uneven(self):
        """
        With a rate each worker has as many messages to start; so it should have as many sessions.
        """
        told = (
            "3 sessions can't be shared evenly by 2 workers, each of which starts as many messages: expected -s to "
            "be a multiple of 2, or some wait where others are free"
        )
        for plan in ({"rate": 10.0, "duration": 1.0}, {"findRate": "errors == 0"}):
            run = self.begin(sessionCount=3, **plan)
            self.assertEqual((self.told, run.standingHints), ([told], (told,)))
            self.assertEqual(self.begin(**plan).standingHints, ())
        self.assertEqual(self.begin(sessionCount=3, messageCount=10).standingHints, ())

    def test_lostOfSchedule(self):
        """
        With a schedule, what a lost worker was to start since it has told last has failed: for two seconds at most, as
        it tells every second.
        """
        for passed, failed in ((1.09, 5), (1.89, 45), (100.0, 76)):
            self.begin(rate=100.0, duration=200.0)
            first, second = self.workers
            gauges = {"overdue": 0, "inFlight": 0}
            first.says(Kind.FRAME, frame(1, 50, 50, gauges=gauges, asked=50.0))
            second.says(Kind.FRAME, frame(1, 50, 50, gauges=gauges, asked=50.0))
            self.clock.advance(LEAD + passed)
            first.dies("was ended by SIGKILL")
            self.assertEqual(self.counts(), (100 + failed, 100, 0, failed), passed)

    def test_askedOfLost(self):
        """
        What a schedule asks of a lost worker it goes on to ask for; nobody starts that.
        """
        for warmUp in (0.0, 1.0):
            run = self.begin(rate=100.0, duration=4.0, warmUp=warmUp)
            first, second = self.workers
            epoch, overdue = int(warmUp > 0), {"overdue": 10, "inFlight": 0}
            for worker in self.workers * epoch:
                worker.says(Kind.FRAME, frame(1, 50, 50, gauges=overdue, asked=50, scheduledSeconds=1.0))
            first.says(Kind.FRAME, frame(2, 40, 40, at=1, gauges=overdue, asked=50, scheduledSeconds=1.0, epoch=epoch))
            second.says(Kind.FRAME, frame(2, 50, 50, at=1, gauges={}, asked=50, scheduledSeconds=1.0, epoch=epoch))
            self.clock.advance(LEAD + warmUp + 1.19)
            first.dies("was ended by SIGKILL")
            self.assertEqual((self.counts(), self.recorder.dropped), ((100, 90, 0, 10), 10))
            for number in (2, 3, 4):
                at = float(number)
                said = frame(2, 50, 50, at=at, gauges={}, asked=50, scheduledSeconds=at, epoch=epoch)
                second.says(Kind.FRAME, said)
            second.ends()
            self.assertEqual((run.scheduledMessages(), run.scheduledSeconds()), (400, 4.0))
            self.assertIs(type(run.scheduledMessages()), int)
            self.assertEqual(self.counts(), (250, 240, 0, 10))
            self.assertEqual(self.recorder.started + self.recorder.dropped, 400)
            measured = self.seconds[epoch:]
            self.assertEqual(sum(one.asked for one in measured), 400)
            self.assertEqual(sum(one.counters.started + one.counters.dropped for one in measured), 400)

    def test_askedOfLostInWarmUp(self):
        """
        So it does if the worker was lost in the warm-up; and of a limited number of messages it has its part.
        """
        run = self.begin(rate=100.0, warmUp=1.0, messageCount=150)
        first, second = self.workers
        self.clock.advance(LEAD + 0.5)
        first.dies("was ended by SIGKILL")
        second.says(Kind.FRAME, frame(1, 50, 50, gauges={}, asked=50, scheduledSeconds=1.0))
        for number in (1, 2):
            asked = 50 if number == 1 else 25
            said = frame(2, asked, asked, at=number, gauges={}, asked=asked, scheduledSeconds=number / 1.0, epoch=1)
            second.says(Kind.FRAME, said)
        second.ends()
        self.assertEqual((run.scheduledMessages(), self.counts(), self.recorder.dropped), (150, (75, 75, 0, 0), 75))

    def test_silent(self):
        """
        A worker that may hang is told of, before anybody knows.
        """
        self.begin(messageCount=10)
        for number in range(1, 6):
            self.workers[0].says(Kind.FRAME, frame(number))
            self.clock.pump([0.5, 0.5])
        self.assertEqual(self.told, ["worker 2 of 2 has been silent for 4 s"])

    def test_nonsenseInTheEnd(self):
        """
        Nor is anything taken from a last word that makes no sense.
        """
        self.begin(messageCount=10)
        self.workers[0].says(Kind.END, {"addresses": {"x": [1]}})
        self.assertIn("said END in a way that makes no sense", self.workers[0].killed)

    def test_lostInWarmUp(self):
        """
        A worker that is lost in the warm-up keeps nobody from measuring.
        """
        run = self.begin(warmUp=1.0, duration=5.0)
        first, second = self.workers
        first.wants(10)
        first.dies("was ended by SIGKILL")
        second.says(Kind.FRAME, frame(1, 5, 4))
        second.says(Kind.FRAME, frame(2, 3, 2, at=1.0, epoch=1))
        self.assertEqual((run.warmingUp, self.counts()), (False, (3, 2, 0, 0)))
        self.assertEqual(len(run.incomplete), 1)
        self.assertEqual(self.warmUp["accepted"], 4)

    def test_warmUp(self):
        """
        With a limit, messages on their way at the end of the warm-up are the first that count, whoever has them; and
        there are no more than the limit, however late a worker says so.
        """
        run = self.begin(warmUp=1.0, messageCount=10)
        first, second = self.workers
        self.assertEqual(len(first.wants(1000)), 1000)
        self.assertEqual(len(second.wants(1000)), 1000)
        first.says(Kind.FRAME, frame(1, 100, 98, gauges={"inFlight": 2}))
        # Of the ten it has two on their way, and the other may have two.
        lent = []
        while found := first.wants(100, epoch=1):
            lent += found
        self.assertEqual(len(lent), 6)
        self.assertTrue(run.warmingUp)
        before = len(first.told)
        second.says(Kind.FRAME, frame(1, 100, 99, gauges={"inFlight": 1}))
        lent += second.wants(100, epoch=1)
        # The first has asked before anybody knew.
        lent += first.lent(before)
        self.assertEqual(len(lent) + 2 + 1, 10)
        self.assertTrue(all(number > 2000 for number in lent))
        first.says(Kind.FRAME, frame(2, 9, 9, at=1.0, epoch=1))
        second.says(Kind.FRAME, frame(2, 1, 1, at=1.0, epoch=1))
        self.assertFalse(run.warmingUp)
        self.assertEqual(self.counts(), (10, 10, 0, 0))
        self.assertEqual(self.warmUp["accepted"], 197)

    def test_trouble(self):
        """
        A fault that one worker tells ends the run for all, in order; the first is the reason.
        """
        run = self.begin(messageCount=10)
        self.workers[1].says(Kind.TROUBLE, {"text": "no such user"})
        self.workers[0].says(Kind.TROUBLE, {"text": "another"})
        self.assertEqual((run.reason, run.draining, run.state), ("no such user", True, "draining"))
        for worker in self.workers:
            self.assertEqual(worker.kinds()[-1], Kind.DRAIN)
            worker.ends()
        self.assertEqual((self.ended, run.incomplete), (1, []))

    def test_broken(self):
        """
        So does a worker that has broken down.
        """
        run = self.begin(messageCount=10)
        self.workers[1].says(Kind.BROKEN, {"kind": "out-of-memory", "text": "no more"})
        self.assertEqual((run.reason, run.draining), ("worker 2 of 2: out-of-memory: no more", True))

    def test_breakDown(self):
        """
        And so does a defect of this process.
        """
        run = self.begin(messageCount=10)
        run.guarded(lambda: 1 // 0)
        self.assertTrue(run.reason.startswith("internal-error: ZeroDivisionError"), run.reason)
        self.assertEqual(self.recorder.errors, {"internal-error": 1})
        self.assertEqual(self.workers[0].kinds()[-1], Kind.DRAIN)

    def test_nonsense(self):
        """
        A worker that tells what can't be is lost, and nothing of it is counted.
        """
        self.begin(messageCount=10)
        self.workers[0].says(Kind.FRAME, b"what")
        self.assertIn("said FRAME in a way that makes no sense", self.workers[0].killed)
        self.workers[1].says(Kind.WANT, {"how": "many"})
        self.assertIn("said WANT in a way that makes no sense", self.workers[1].killed)
        self.assertEqual(self.recorder.errors, {"worker-lost": 2})
        self.assertEqual(self.ended, 1)

    @given(st.sampled_from(_SAID), st.one_of(_JSON, _ENDS))
    def test_anyNonsense(self, kind, body):
        """
        Whatever a worker says instead of what it should, it is the end of none but that worker.
        """
        for plan in ({"messageCount": 10}, {"findRate": "errors < 10%", "rate": 50.0}):
            run = self.begin(**plan)
            self.workers[0].heard(kind.value + body)
            self.assertNotIn("internal-error", self.recorder.errors, (run.reason, body))
            self.assertIsNone(self.workers[1].killed)

    def test_unexpected(self):
        """
        What came of a step, where there is none, is no more than the end of that worker.
        """
        run = self.begin(messageCount=10)
        self.workers[0].says(Kind.STEPPED, frame(1))
        self.assertIn("said STEPPED in a way that makes no sense", self.workers[0].killed)
        self.assertEqual((run.reason, self.workers[1].killed), (None, None))

    def test_bounds(self):
        """
        A worker that says more than any can is given up: this process does not grow without an end by it.
        """
        texts = {f"kind {number}": (1, "x" * 1000) for number in range(800)}

        def others(number):
            return replace(
                Frame.decode(frame(1)), errors={f"{key} {number}": tally for key, tally in texts.items()}
            ).encode()

        for kind, bodies in (
            (Kind.FRAME, (frame(1) for _ in range(1000))),
            (Kind.FRAME, [frame(1, at=1e6)]),
            (Kind.FRAME, [frame(1, started=1 << 50)]),
            (Kind.FRAME, map(others, range(10))),
            (Kind.HINT, ({"text": f"hint {number}"} for number in range(1000))),
            (Kind.WANT, ({"count": 1, "epoch": 0} for _ in range(100_000))),
        ):
            run = self.begin(messageCount=10)
            for body in bodies:
                if self.workers[0].killed is None:
                    self.workers[0].says(kind, body)
            self.assertIn("more than there can be", self.workers[0].killed or "nothing")
            self.assertEqual((run.reason, self.workers[1].killed), (None, None))

    def test_notReady(self):
        """
        There is no run if a worker can't do it.
        """
        self.ended = 0
        workers = [FakeWorker(), FakeWorker()]
        clock = Clock()
        plan = SourcePlan(destination="127.0.0.1", messageCount=10)
        run = WorkersRun(clock, plan, Recorder(), clock.seconds, self.isEnded, self.isWarm, list, workers)
        ready = run.prepare()
        workers[1].says(Kind.UNUSABLE, {"text": "no"})
        self.failureResultOf(ready, WorkerFailed)
        self.assertEqual(self.ended, 1)
        self.assertEqual(clock.getDelayedCalls(), [])
