"""
Tests for L{smtpsource.load.worker} and L{smtpsource.load.part}: workers as processes, whose parents are played by the
tests; and one in memory, for what takes long.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
from functools import partial

from commandlines import CommandTestCase
from fakeparents import RUN, FakeParent, ledgers, planned
from judging import written
from recording import SILENCE
from subprocesses import Command, alive, killIfAlive, smtpsource, whenGone
from twisted.internet.defer import gatherResults, inlineCallbacks
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from smtpsource import SinkPlan, SinkService, SourcePlan
from smtpsource._version import __version__
from smtpsource.ledger import records
from smtpsource.load.part import Part
from smtpsource.measure.frame import Frame
from smtpsource.measure.progress import STATES
from smtpsource.net.tls.settings import TLSSettings
from smtpsource.pacing.share import WHOLE, Share
from smtpsource.sink.factory import SinkFactory
from smtpsource.testing import FakeReactor
from smtpsource.workers import wire
from smtpsource.workers.parentlink import ParentLink
from smtpsource.workers.wire import FROM_ELSEWHERE, Kind, framed


def soon():
    """
    @return: when a worker is to begin that is not in a hurry.
    """
    return time.perf_counter() + 0.02


class WorkerTestCase(CommandTestCase):
    """
    What these have in common.
    """

    def sink(self):
        """
        @return: a sink that takes all.
        """
        from twisted.internet import reactor

        sink = SinkService(reactor, SinkPlan(host="127.0.0.1", port=0))
        sink.startService()
        self.addCleanup(sink.stopService)
        return sink

    def assertTold(self, worker, status=0):
        """
        It has said all that there was to say, and nothing else.
        """
        self.assertEqual((worker.said[0], worker.said[-2:]), (Kind.READY, [Kind.FRAME, Kind.END]), worker.err)
        self.assertEqual([frame.last for frame in worker.frames], [False] * (len(worker.frames) - 1) + [True])
        self.assertEqual([frame.number for frame in worker.frames], list(range(len(worker.frames))))
        self.assertEqual(worker.err, b"")


class CourseTests(WorkerTestCase):
    """
    What a worker does from its plan to its end.
    """

    @inlineCallbacks
    def test_share(self):
        """
        Two workers are ready, begin when they are told to and not before, and each does its share of one schedule.
        What they say adds up to what the server has seen.
        """
        sink = self.sink()
        plan = SourcePlan(rate=100, messageCount=151, sessionCount=10, keepConnections=True)
        workers = [FakeParent(self, plan, Share(index, 2)) for index in range(2)]
        ready = yield gatherResults([worker.when(Kind.READY) for worker in workers])
        self.assertEqual([one["version"] for one in ready], [__version__] * 2)
        self.assertEqual([one["pid"] for one in ready], [worker.pid for worker in workers])
        self.assertEqual([one["ledger"] for one in ready], [None] * 2)
        began = []
        sink.factory.buildProtocol, build = (
            lambda addr: began.append(time.perf_counter()) or build(addr),
            (sink.factory.buildProtocol),
        )
        at = time.perf_counter() + 0.5
        for worker in workers:
            worker.go(sink.address().port, at)
        statuses = yield gatherResults([worker.whenEnded() for worker in workers])
        self.assertEqual(statuses, [0, 0])
        self.assertGreaterEqual(min(began), at)
        self.assertEqual([worker.sum("accepted") for worker in workers], [76, 75])
        self.assertEqual(sum(worker.sum("started") for worker in workers), 151)
        for worker in workers:
            self.assertTold(worker)
            # Seconds are whole, from the common beginning on; only the last one is not.
            self.assertEqual([round(frame.at) for frame in worker.frames][:1], [1])
            self.assertEqual(sum(frame.asked for frame in worker.frames), worker.sum("started"))
        self.assertEqual((yield sink.finish()).messages, 151)

    @inlineCallbacks
    def test_leases(self):
        """
        In a closed loop they send the messages that are lent to them, each once, and no other; both end when there are
        no more.
        """
        sink, directory = self.sink(), os.path.abspath(self.mktemp())
        plan = SourcePlan(messageCount=1000, sessionCount=10, keepConnections=True, ledger=directory)
        workers = [FakeParent(self, plan, Share(index, 2)) for index in range(2)]
        lent, counts = [], [[], []]

        def lend(own, count):
            count = min(count, 1000 - len(lent), 70)
            first = len(lent) + 1
            lent.extend(range(first, first + count))
            own.append(count)
            return first, count

        for worker, own in zip(workers, counts, strict=True):
            worker.lend = partial(lend, own)
        yield gatherResults([worker.when(Kind.READY) for worker in workers])
        for worker in workers:
            worker.go(sink.address().port, soon())
        self.assertEqual((yield gatherResults([worker.whenEnded() for worker in workers])), [0, 0])
        for worker, own in zip(workers, counts, strict=True):
            self.assertTold(worker)
            self.assertEqual(worker.sum("accepted"), sum(own))
        sent = written(directory, records.INTENT)
        self.assertEqual(sorted(one["number"] for one in sent), list(range(1, 1001)))
        self.assertEqual((yield sink.finish()).messages, 1000)

    @inlineCallbacks
    def test_warmUp(self):
        """
        With the warm-up's end another epoch begins, whose frames count what is measured; what is on its way then is in
        both: started in the second, with the gauge of the first saying how many.
        """
        sink = self.sink()
        plan = SourcePlan(warmUp=0.3, duration=0.4, sessionCount=3, keepConnections=True)
        worker = FakeParent(self, plan)
        yield worker.when(Kind.READY)
        worker.go(sink.address().port, soon())
        self.assertEqual((yield worker.whenEnded()), 0)
        self.assertTold(worker)
        self.assertEqual(sorted({frame.epoch for frame in worker.frames}), [0, 1])
        before = [frame for frame in worker.frames if frame.epoch == 0]
        self.assertEqual(worker.sum("started"), worker.sum("accepted") + before[-1].gauges["inFlight"])
        self.assertEqual(worker.bodies[Kind.END]["warmUp"]["accepted"], worker.sum("accepted"))
        self.assertEqual(worker.sum("started", 1), worker.sum("accepted", 1))
        summary = yield sink.finish()
        self.assertEqual(summary.messages, worker.sum("accepted") + worker.sum("accepted", 1))

    @inlineCallbacks
    def test_drain(self):
        """
        Told to, it starts no more, and ends in order.
        """
        server = self.serve()
        worker = FakeParent(self, SourcePlan(duration=3600, sessionCount=2, keepConnections=True))
        yield worker.when(Kind.READY)
        worker.go(server.port, soon())
        yield server.when(lambda: server.count("QUIT") or len(server.messages) > 5)
        worker.say(Kind.DRAIN)
        self.assertEqual((yield worker.whenEnded()), 0)
        self.assertTold(worker)
        self.assertEqual(worker.sum("started"), worker.sum("accepted"))
        self.assertEqual((worker.sum("accepted"), server.count("QUIT")), (len(server.messages), 2))
        [counted] = worker.bodies[Kind.END]["addresses"].values()
        self.assertEqual(counted, [2, 0, len(server.messages), None])

    @inlineCallbacks
    def test_expire(self):
        """
        When the time is over, what is on its way still ends as it would.
        """
        server = self.serve()
        worker = FakeParent(self, SourcePlan(duration=3600, sessionCount=2, keepConnections=True))
        yield worker.when(Kind.READY)
        worker.go(server.port, soon())
        yield server.when(lambda: len(server.messages) > 5)
        worker.say(Kind.EXPIRE)
        self.assertEqual((yield worker.whenEnded()), 0)
        self.assertTold(worker)
        self.assertEqual((worker.sum("started"), worker.sum("failed")), (worker.sum("accepted"), 0))

    @inlineCallbacks
    def test_abort(self):
        """
        What does not end is ended: nothing is lost of what was started.
        """
        server = self.serve({"DATA": SILENCE})
        worker = FakeParent(self, SourcePlan(duration=3600, sessionCount=3, grace=3600))
        yield worker.when(Kind.READY)
        worker.go(server.port, soon())
        yield server.when(lambda: server.count("DATA") == 3)
        worker.say(Kind.DRAIN)
        worker.say(Kind.ABORT)
        self.assertEqual((yield worker.whenEnded()), 0)
        self.assertTold(worker)
        self.assertEqual((worker.sum("started"), worker.sum("failed"), worker.frames[-1].gauges["inFlight"]), (3, 3, 0))

    @inlineCallbacks
    def test_endedBefore(self):
        """
        Before it begins there is nothing to end: it says its last words at once; of its ledger, nothing is left.
        """
        for words in ([], [Kind.GO]):
            for kind in (Kind.DRAIN, Kind.ABORT, Kind.EXPIRE):
                directory = os.path.abspath(self.mktemp())
                worker = FakeParent(self, SourcePlan(ledger=directory))
                yield worker.when(Kind.READY)
                self.assertEqual(ledgers(directory), [worker.bodies[Kind.READY]["ledger"]])
                if words:
                    worker.go(1, time.perf_counter() + 3600)
                worker.say(kind)
                self.assertEqual((yield worker.whenEnded()), 0)
                self.assertTold(worker)
                self.assertEqual((worker.sum("started"), worker.bodies[Kind.END]["ledger"]), (0, None))
                self.assertEqual(ledgers(directory), [])

    @inlineCallbacks
    def test_trouble(self):
        """
        A refusal is told. What comes of it, the parent decides.
        """
        server = self.serve({"RCPT": ["550 no"], "DATA": SILENCE})
        worker = FakeParent(self, SourcePlan(duration=3600, sessionCount=2))
        yield worker.when(Kind.READY)
        worker.go(server.port, soon())
        told = yield worker.when(Kind.TROUBLE)
        self.assertIn("550 no", told["text"])
        yield server.when(lambda: server.count("DATA") >= 1)
        worker.say(Kind.ABORT)
        self.assertEqual((yield worker.whenEnded()), 0)
        self.assertTold(worker)
        self.assertEqual(worker.said.count(Kind.TROUBLE), 1)
        outcomes = [worker.sum(name) for name in ("started", "rejected", "failed")]
        self.assertEqual(outcomes[0], outcomes[1] + outcomes[2])

    @inlineCallbacks
    def test_ledgers(self):
        """
        Each worker of a run has a ledger of its own, in one directory, of the same run.
        """
        sink, directory = self.sink(), os.path.abspath(self.mktemp())
        plan = SourcePlan(rate=500, messageCount=20, sessionCount=4, ledger=directory)
        workers = [FakeParent(self, plan, Share(index, 2)) for index in range(2)]
        yield gatherResults([worker.when(Kind.READY) for worker in workers])
        for worker in workers:
            worker.go(sink.address().port, soon())
        self.assertEqual((yield gatherResults([worker.whenEnded() for worker in workers])), [0, 0])
        paths = [worker.bodies[Kind.READY]["ledger"] for worker in workers]
        self.assertEqual(sorted(paths), ledgers(directory))
        for index, path in enumerate(paths):
            with open(path, "rb") as file:
                header, _ = records.parseHeader(file.readline())
            self.assertEqual((header["run"], header["worker"]), (RUN.decode(), {"index": index, "count": 2}))

    @inlineCallbacks
    def test_signals(self):
        """
        The signals that end its parent are not for it.
        """
        worker = FakeParent(self, SourcePlan(rate=500, messageCount=5))
        yield worker.when(Kind.READY)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(worker.pid, number)
        sink = self.sink()
        worker.go(sink.address().port, soon())
        self.assertEqual((yield worker.whenEnded()), 0)


class PlanTests(WorkerTestCase):
    """
    What can't be begun with.
    """

    @inlineCallbacks
    def unusable(self, *words, first, plan=None):
        worker = FakeParent(self, plan, first=first)
        said = yield worker.when(Kind.UNUSABLE)
        self.assertNotIn("\n", said["text"])
        for word in words:
            self.assertIn(word, said["text"])
        self.assertEqual((yield worker.whenEnded()), 2)
        self.assertEqual((worker.said, worker.err), ([Kind.UNUSABLE], b""))

    @inlineCallbacks
    def test_unusable(self):
        """
        What does not work out in this process is told in one line.
        """
        path = self.mktemp()
        with open(path, "w") as file:
            file.write("none")
        plan = SourcePlan(destination="a.test", tls="implicit", tlsSettings=TLSSettings(verify=True, ca=path))
        yield self.unusable("no usable CA certificate in ", first=None, plan=plan)
        # As from a parent of another version.
        other = pickle.dumps(SourcePlan()).replace(b"SourcePlan", b"SourcePlam")
        yield self.unusable("expected the plan of this version: ", first=planned(other))
        yield self.unusable("expected a plan to begin with, not GO", first=framed(Kind.GO, {"at": 0, "addresses": []}))

    @inlineCallbacks
    def test_options(self):
        """
        The plan may come as a command line.
        """
        sink = self.sink()
        options = {
            "options": ["-ds", "4", "--rate", "500", "-m", "21", "sink:"],
            "index": 1,
            "count": 2,
            "run": RUN.decode(),
        }
        worker = FakeParent(self, first=framed(Kind.OPTIONS, options | {"seed": 7}))
        yield worker.when(Kind.READY)
        worker.go(sink.address().port, soon())
        self.assertEqual((yield worker.whenEnded()), 0)
        self.assertEqual(worker.sum("accepted"), 10)

    @inlineCallbacks
    def test_unusableOptions(self):
        """
        If they can't be used, that is told in the words of the command line.
        """
        right = {"options": ["sink:"], "index": 0, "count": 1, "run": RUN.decode(), "seed": 7}
        for wrong, *words in (
            ({"options": ["--rate", "x", "sink:"]}, "--rate: 'x' is not usable: expected a rate"),
            ({"options": []}, "no destination"),
            ({"options": ["--help"]}, "expected the options of a run"),
            ({"options": ["-m", "5", "sink:"], "count": 2}, "expected at least 2 sessions and messages, one for each"),
            ({"index": 1}, "expected an index below the count of 1, not 1"),
            ({"index": None}, "expected index, count and run: "),
        ):
            yield self.unusable(*words, first=framed(Kind.OPTIONS, right | wrong))

    @inlineCallbacks
    def test_planFromElsewhere(self):
        """
        Whose words come from another machine is given no plan: that would be code, which is not run.
        """
        mark = os.path.abspath(self.mktemp())

        class Code:
            def __reduce__(self):
                return os.mkdir, (mark,)

        for arguments, isRun in (((), True), ((FROM_ELSEWHERE,), False)):
            worker = FakeParent(self, first=planned(pickle.dumps(Code())), arguments=arguments)
            self.assertEqual((yield worker.whenEnded()), 2)
            self.assertEqual(isRun, os.path.exists(mark), worker.bodies)
            if isRun:
                os.rmdir(mark)
        self.assertEqual("expected options to begin with, not PLAN", worker.bodies[Kind.UNUSABLE]["text"])

    @inlineCallbacks
    def test_junk(self):
        """
        Whoever says what makes no sense is no parent.
        """
        for first in (b"\0\0\0\1?", b"\0\0\0\2G{", b"\xff" * 10):
            worker = FakeParent(self, first=first)
            self.assertEqual((yield worker.whenEnded()), 2)
            self.assertOneLine(worker.err, b"smtpsource worker: what came on descriptor 3 is not from a parent: ")
        for junk in (b"\0\0\0\1?", b"\xff" * 10, framed(Kind.READY, {})):
            directory = os.path.abspath(self.mktemp())
            worker = FakeParent(self, SourcePlan(ledger=directory))
            yield worker.when(Kind.READY)
            worker.write(junk)
            self.assertEqual((yield worker.whenEnded()), 2)
            self.assertOneLine(worker.err, b"smtpsource worker: expected ")
            self.assertEqual(ledgers(directory), [])

    @inlineCallbacks
    def test_byHand(self):
        """
        It is no command for people, and says so.
        """
        result = yield smtpsource(self, "worker").whenEnded()
        self.assertEqual((result.status, result.out), (2, b""))
        self.assertOneLine(result.err, b"smtpsource worker: this is started by smtpsource --workers: expected pipes")


class GoneTests(WorkerTestCase):
    """
    Its parent is gone.
    """

    #: A parent of a worker that it lets load a server, and says which process that is.
    PARENT = """
import os, pickle, sys, time
from smtpsource.net.destination import TCPAddress, spelled
from smtpsource.plan import SourcePlan
from smtpsource.process.children import program
from smtpsource.workers.wire import Kind, framed, receive

here, there = os.pipe()
says, hears = os.pipe()
if not (child := os.fork()):
    os.dup2(here, 100), os.dup2(hears, 101)
    os.dup2(100, 3), os.dup2(101, 4)
    os.closerange(5, 200)
    os.execv(sys.executable, [sys.executable, "-P", "-c", program("smtpsource.load.worker")])
os.close(here), os.close(hears)
plan = SourcePlan(duration=3600, sessionCount=5, keepConnections=True, ledger=sys.argv[2])
share = {"index": 0, "count": 1, "run": "0123456789abcdef", "seed": 7}
os.write(there, framed(Kind.SHARE, share) + framed(Kind.PLAN, pickle.dumps(plan)))
ready = receive(says)
if int(sys.argv[1]):
    addresses = [spelled(TCPAddress("127.0.0.1", int(sys.argv[1])))]
    os.write(there, framed(Kind.GO, {"at": time.perf_counter(), "addresses": addresses}))
print("worker", child, flush=True)
time.sleep(3600)
"""

    @inlineCallbacks
    def begin(self, port, directory):
        parent = Command(self, [sys.executable, "-c", self.PARENT, str(port), directory])
        found = yield parent.whenPrinted(rb"^worker (\d+)$")
        worker = int(found[1])
        self.addCleanup(killIfAlive, worker)
        self.assertTrue(alive(worker))
        return parent, worker

    @inlineCallbacks
    def test_killed(self):
        """
        It ends, whatever it was doing, and its ledger ends in order.
        """
        server, directory = self.serve(), os.path.abspath(self.mktemp())
        parent, worker = yield self.begin(server.port, directory)
        yield server.when(lambda: len(server.messages) > 20)
        parent.signal(signal.SIGKILL)
        yield whenGone(worker)
        [path] = ledgers(directory)
        with open(path, "rb") as file:
            written = file.read()
        self.assertEqual(written[-records.SIZE], records.END)

    @inlineCallbacks
    def test_killedBefore(self):
        """
        So it does before it begins.
        """
        directory = os.path.abspath(self.mktemp())
        parent, worker = yield self.begin(0, directory)
        parent.signal(signal.SIGKILL)
        yield whenGone(worker)
        self.assertEqual(ledgers(directory), [])

    @inlineCallbacks
    def test_closed(self):
        """
        One of the descriptors is enough.
        """
        for descriptor in (wire.READ, wire.WRITE):
            for begins in (True, False):
                server = self.serve()
                worker = FakeParent(self, SourcePlan(duration=3600, sessionCount=2, keepConnections=True))
                yield worker.when(Kind.READY)
                if begins:
                    worker.go(server.port, soon())
                    yield server.when(lambda server=server: len(server.messages) > 5)
                worker.close(descriptor)
                self.assertEqual((yield worker.whenEnded()), 1)
                self.assertEqual(worker.err, b"")

    @inlineCallbacks
    def test_atTheEnd(self):
        """
        Its last words wait until they are read, however long that takes; unless nobody is there any more to do so.
        """
        for descriptors in ((), (wire.READ,), (wire.WRITE,)):
            server = self.serve()
            worker = FakeParent(self, SourcePlan(duration=3600, sessionCount=2, keepConnections=True))
            yield worker.when(Kind.READY)
            # More than a pipe takes.
            worker.go(server.port, soon(), others=5000)
            yield server.when(lambda server=server: len(server.messages) > 5)
            worker.pause()
            worker.say(Kind.DRAIN)
            yield server.when(lambda server=server: server.count("QUIT") == 2)
            yield server.whenIdle()
            self.assertTrue(alive(worker.pid))
            for descriptor in descriptors:
                worker.close(descriptor)
            if descriptors:
                yield whenGone(worker.pid)
            if wire.WRITE not in descriptors:
                worker.resume()
            if not descriptors:
                yield worker.when(Kind.END)
                self.assertEqual(len(worker.bodies[Kind.END]["addresses"]), 5001)
                self.assertTold(worker)
            self.assertIn((yield worker.whenEnded()), (0, 1) if descriptors else (0,))

    @inlineCallbacks
    def test_nothingSaid(self):
        """
        So does one that was never told what to do.
        """
        worker = FakeParent(self, first=b"")
        worker.close(wire.READ)
        self.assertEqual((yield worker.whenEnded()), 1)
        self.assertEqual((worker.said, worker.err), ([], b""))


class LinkTests(SynchronousTestCase):
    """
    L{ParentLink}, in memory.
    """

    def setUp(self):
        self.heard, self.lost, self.read = [], [], []
        self.link = ParentLink(
            lambda kind, body: self.heard.append((kind, body)), self.lost.append, lambda: self.read.append(True)
        )
        self.transport = StringTransport()
        self.link.makeConnection(self.transport)

    def test_words(self):
        """
        Both understand each other, however the bytes come.
        """
        self.link.say(Kind.TROUBLE, {"text": "no"})
        self.assertEqual(self.transport.value(), framed(Kind.TROUBLE, {"text": "no"}))
        for octet in framed(Kind.LEASE, {"first": 7, "count": 3}) + framed(Kind.DRAIN):
            self.link.dataReceived(bytes((octet,)))
        self.assertEqual(self.heard, [(Kind.LEASE, {"first": 7, "count": 3}), (Kind.DRAIN, {})])

    def test_isBehind(self):
        """
        A parent that does not read is behind until it has read all.
        """
        self.assertEqual((self.transport.producer, self.transport.streaming), (self.link, True))
        self.link.pauseProducing()
        self.assertEqual((self.link.isBehind, self.read), (True, []))
        self.link.resumeProducing()
        self.assertEqual((self.link.isBehind, self.read), (False, [True]))
        self.link.stopProducing()

    def test_lost(self):
        """
        That a parent is gone is told once, however it is found out; what has come after it is for nobody.
        """
        for find in (self.link.readConnectionLost, self.link.writeConnectionLost, self.link.connectionLost):
            find()
            self.link.dataReceived(framed(Kind.DRAIN))
        self.assertEqual((self.lost, self.heard), ([None], []))


class PartTests(SynchronousTestCase):
    """
    L{Part}, in memory.
    """

    def setUp(self):
        self.reactor = FakeReactor()
        self.said = []
        self.over = []

    def part(self, plan, share=WHOLE):
        """
        @return: a part whose run has begun.
        """
        self.reactor.server = SinkFactory(SinkPlan(), self.reactor.seconds)
        part = Part(
            *(self.reactor, plan, share, RUN),
            lambda kind, body: self.said.append((kind, body)),
            lambda: self.over.append(True),
            self.reactor.seconds,
        )
        part.open()
        at = self.reactor.seconds() + 0.5
        part.obey(Kind.GO, {"at": at, "addresses": [{"host": "127.0.0.1", "port": 25}]})
        return part

    def pass_(self, seconds):
        for _ in range(round(seconds * 10)):
            self.reactor.advance(0.1)

    @property
    def frames(self):
        return [Frame.decode(body) for kind, body in self.said if kind is Kind.FRAME]

    def test_parentIsSlow(self):
        """
        What a parent does not read becomes one frame, however long it takes: no memory is lost over it, and nothing of
        what is counted.
        """
        plan = SourcePlan(rate=10, duration=300, warmUp=100, sessionCount=3)
        part = self.part(plan)
        self.pass_(3.6)
        self.assertEqual(len(self.frames), 3)
        part.isBehind = lambda: True
        self.pass_(196)
        # The warm-up is over: its frames can't be added to others.
        self.assertEqual([frame.epoch for frame in self.frames], [0] * 4)
        part.isBehind = lambda: False
        part.sayKept()
        part.sayKept()
        self.assertEqual([frame.epoch for frame in self.frames], [0] * 4 + [1])
        self.pass_(205)
        self.assertEqual(self.over, [True])
        frames = self.frames
        for epoch, wanted in ((0, 1000), (1, 3000)):
            those = [frame for frame in frames if frame.epoch == epoch]
            self.assertEqual(sum(frame.counters.accepted for frame in those), wanted)
            self.assertAlmostEqual(sum(frame.seconds for frame in those), those[-1].at, 3)
        self.assertEqual([kind for kind, _ in self.said][-2:], [Kind.FRAME, Kind.END])

    def test_stoppedInWarmUp(self):
        """
        In a warm-up that is its end nothing is measured, for no time, and nothing was asked for.
        """
        part = self.part(SourcePlan(rate=10, duration=3, warmUp=20, sessionCount=3))
        self.pass_(4)
        part.obey(Kind.DRAIN, {})
        self.pass_(1)
        self.assertEqual(self.over, [True])
        last = self.frames[-1]
        self.assertEqual((last.epoch, last.last, last.at, last.seconds), (1, True, 0.0, 0.0))
        self.assertEqual((last.counters.started, last.asked), (0, 0))
        self.assertIn(sum(frame.counters.accepted for frame in self.frames), (35, 36))

    def test_states(self):
        """
        What it does now is a gauge of every frame.
        """
        self.part(SourcePlan(rate=10, duration=3, warmUp=2, sessionCount=3))
        self.pass_(8)
        states = [[name for name in frame.gauges if name in STATES] for frame in self.frames]
        self.assertEqual(states[0], ["warm-up"])
        self.assertEqual((states[-3], states[-1]), (["running"], ["over"]))

    def test_brokenDown(self):
        """
        A fault of its own is told as one, and ends it in order.
        """
        part = self.part(SourcePlan(rate=10, duration=300, sessionCount=3))
        self.pass_(3)
        part.breakDown("internal-error", "a test")
        self.pass_(1)
        self.assertEqual(self.over, [True])
        self.assertIn((Kind.BROKEN, {"kind": "internal-error", "text": "a test"}), self.said)
        self.assertEqual(self.frames[-1].last, True)
        self.assertEqual(sum(frame.errors.get("internal-error", (0, ""))[0] for frame in self.frames), 1)

    def test_twice(self):
        """
        After its end nothing is obeyed, and no second end comes.
        """
        part = self.part(SourcePlan(rate=10, duration=300, sessionCount=3))
        self.pass_(3)
        part.obey(Kind.ABORT, {})
        self.pass_(3)
        said = len(self.said)
        for kind in (Kind.ABORT, Kind.DRAIN, Kind.EXPIRE):
            part.obey(kind, {})
        part.end()
        part.breakDown("internal-error", "a test")
        self.assertEqual((len(self.said), self.over), (said, [True]))
        self.assertRaises(ValueError, part.obey, Kind.READY, {})
