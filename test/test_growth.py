"""
A run of days needs no more memory than one of a minute, whatever is switched on, and whatever the server says: nothing
grows with time, with messages, or with what is said.

The garbage collector is off in these tests. In a run of ours it comes seldom (L{smtpsource.process.garbage}), so what
only it can free counts as growth here.
"""

from __future__ import annotations

import gc
import re
import resource
import sys
from itertools import count, cycle

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from results import Run, Screen
from slowserver import SlowFactory, SlowServer
from subprocesses import python
from twisted.internet import defer
from twisted.internet.task import Clock, LoopingCall
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource.load.service import SourceService
from smtpsource.load.watch import Watch
from smtpsource.measure import thresholds
from smtpsource.phases import BANNER, CONNECT, DATA, HELO, LATE, MAIL, MESSAGE, RCPT, RESPONSE, TRANSACTION
from smtpsource.plan import SourcePlan
from smtpsource.report.live.counter import Counter
from smtpsource.report.live.view import Lines, Picture
from smtpsource.report.metrics import MetricsService
from smtpsource.report.prometheus import RunCollector
from smtpsource.sink.authenticator import Authenticator
from smtpsource.sink.summary import SinkCounts
from smtpsource.testing import FakeReactor, FakeTransport

#: Objects by which a second may grow: those of its sample, and of caches that are not full yet.
A_SECOND = 40

#: Messages per second, so that there are more than 10**6 of them in the test's seconds.
RATE = 3000
SECONDS = 360


class LoadedRun(Run):
    """
    A run that goes on with C{RATE} messages a second, of every latency, as a L{Watch} sees it.
    """

    def __init__(self):
        super().__init__(asked=0.0, askedRate=float(RATE), duration=86400.0)
        self.startTime = 0.0
        self.open = ()
        self.log = None
        self.done = None

    def clock(self):
        return self.now["at"]

    def guarded(self, call):
        call()

    def scheduledMessages(self):
        return self.now["asked"]

    def scheduledSeconds(self):
        return self.now["at"]

    def askedRate(self):
        return float(RATE)

    def overdue(self):
        return 0

    def ofWarmUp(self):
        return 0

    def second(self):
        """
        What a second brings.
        """
        recorder, number = self.recorder, int(self.now["at"])
        for place in range(30):
            seconds = 1e-4 * 1.2 ** ((place + number) % 60)
            for phase in (CONNECT, BANNER, HELO, MAIL, RCPT, DATA, MESSAGE, TRANSACTION, RESPONSE, LATE):
                recorder.latencies[phase].record(seconds, RATE // 30)
        for phase in (BANNER, HELO, MAIL, RCPT, DATA, MESSAGE):
            recorder.reply(phase, 0.001, b"250", b"250 this is number %d\r\n" % number)
            recorder.reply(phase, 0.001, b"451", b"451 this is number %d\r\n" % number)
        recorder.error("connection-lost", f"this is number {number}")
        recorder.started += RATE
        recorder.accepted += RATE - 12
        recorder.rejected += 12
        self.now["asked"] += RATE


def resident():
    """
    @return: the bytes of memory that this process has.
    """
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


class GrowthMixin:
    """
    Measures by how much something grows.
    """

    def setUp(self):
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)

    def assertFlat(self, step, times, most, warmUp):
        """
        @param step: something that is done again and again.
        @param times: how often.
        @param most: how many small objects more there may be when that is over. All memory together may grow by
            8 MB, which is what allocators keep for later.
        @param warmUp: how often it is done before that is looked at.
        """
        for _ in range(warmUp):
            step()
        before, bytesBefore = sys.getallocatedblocks(), resident()
        for _ in range(times - warmUp):
            step()
        grown = sys.getallocatedblocks() - before
        self.assertLess(grown, most, f"{grown / (times - warmUp):.0f} each time")
        self.assertLess(resident() - bytesBefore, 8_000_000)


class OutputTests(GrowthMixin, SynchronousTestCase):
    """
    A million messages with each kind of output.
    """

    def setUp(self):
        super().setUp()
        self.run_ = LoadedRun()
        self.reactor = Clock()

    def assertFlatInTime(self, step=1.0):
        """
        Six minutes pass.
        """

        def second():
            self.run_.second()
            for _ in range(round(1 / step)):
                self.run_.now["at"] += step
                self.reactor.advance(step)

        self.assertFlat(second, SECONDS, A_SECOND * (SECONDS - 60), 60)
        self.assertGreater(self.run_.recorder.accepted, 10**6)

    def test_series(self):
        """
        The samples of a run.
        """
        watch = Watch(self.reactor, self.run_)
        watch.start(self.run_.clock())
        self.assertFlatInTime(step=0.1)
        self.assertEqual(len(watch.series.samples), SECONDS)

    def test_latenciesOfSeconds(self):
        """
        C{--hlog}.
        """
        watch = Watch(self.reactor, self.run_, keepBuckets=True)
        # So that no sample ends just when the messages of a second come.
        watch.start(self.run_.clock() - 0.05)
        self.assertFlatInTime(step=0.1)
        before = resident()
        self.assertEqual(sum(1 for _ in watch.series.intervals.lines()), 3 * SECONDS)
        self.assertLess(resident() - before, 4 * 10**6)

    def test_thresholds(self):
        """
        C{--threshold} that may end the run.
        """
        wanted = [thresholds.parse("p99(message) < 60m"), thresholds.parse("errors < 50%")]
        watch = Watch(self.reactor, self.run_, lambda snapshot: [one.cannotPass(snapshot) for one in wanted])
        watch.start(self.run_.clock())
        self.assertFlatInTime(step=0.1)

    def test_picture(self):
        """
        C{--live on} on a terminal.
        """
        screen = Screen((100, 40))
        screen.draw = lambda lines: None
        picture = Picture(self.reactor, self.run_, screen, lambda: 0.0)
        picture.start()
        self.assertFlatInTime()

    def test_lines(self):
        """
        C{--live on} elsewhere.
        """
        lines = Lines(self.reactor, self.run_, lambda text: None, clock=lambda: 0.0)
        lines.start()
        self.assertFlatInTime()

    def test_metrics(self):
        """
        C{--metrics-port}, scraped every five seconds.
        """
        registry = CollectorRegistry(auto_describe=False)
        registry.register(RunCollector(self.run_))
        scraping = LoopingCall(lambda: choose_encoder("")[0](registry))
        scraping.clock = self.reactor
        scraping.start(5.0)
        self.assertFlatInTime()

    def test_counter(self):
        """
        C{-c}.
        """
        Counter(self.reactor, lambda: self.run_.recorder.accepted, Nowhere()).start()
        self.assertFlatInTime()


class Nowhere:
    """
    A stream that keeps nothing.
    """

    encoding = "utf-8"

    def isatty(self):
        return True

    def write(self, text):
        pass

    def flush(self):
        pass

    def sayIfFree(self, text):
        return True


class ConnectionTests(GrowthMixin, SynchronousTestCase):
    """
    Connections, one after the other.
    """

    def test_scrapes(self):
        """
        Those of Prometheus, and of strangers.
        """
        run, reactor = Run(), MemoryReactorClock()
        run.whenDone = lambda: NeverDone()
        MetricsService(reactor, run, 0).startService()
        _, factory, _, _ = reactor.tcpServers[0]

        def scrape():
            for request in (b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP", b"\0" * 20_000):
                transport = FakeTransport(reactor)
                transport.protocol = factory.buildProtocol(None)
                transport.protocol.makeConnection(transport)
                transport.deliver(request)
                reactor.advance(11)
                reactor.advance(0)
            run.now["at"] += 1

        self.assertFlat(scrape, 200, 150 * 50, 50)


class NeverDone:
    """
    A Deferred that does not fire.
    """

    def addCallback(self, callback):
        return self


class Talker(SlowServer):
    """
    A server that never says the same twice.
    """

    def connectionMade(self):
        # Time passes with each connection, whatever comes of it.
        self.factory.reactor.callLater(0.001, super().connectionMade)

    def sendLine(self, line):
        say = next(self.factory.says)
        super().sendLine(
            (say if say is not None and line.startswith(b"2") else line) + b" %d" % next(self.factory.numbers)
        )


class ServerTests(GrowthMixin, SynchronousTestCase):
    """
    Servers that always say something else.
    """

    def assertFlatWith(self, says=(None,), messages=2000, **settings):
        """
        @param says: what the server says in place of a reply of 2xx, in turn; C{None} is that.
        @return: what was counted.
        """
        reactor = FakeReactor()
        reactor.server = factory = SlowFactory(reactor, 1000.0)
        factory.protocol, factory.numbers, factory.says = Talker, count(), cycle(says)
        plan = SourcePlan(
            destination="127.0.0.1", messageCount=messages, sessionCount=4, tolerant=True, esmtp=True, **settings
        )
        service = SourceService(reactor, plan, clock=reactor.seconds, show=lambda line: None)
        service.startService()
        recorder = service.recorder

        def some():
            wanted = recorder.started + messages // 10  # there are some left in the end
            while recorder.started < wanted:
                reactor.advance(max(0.0, min(call.getTime() for call in reactor.getDelayedCalls()) - reactor.seconds()))
            gc.collect()  # connections in memory have cycles, unlike real ones

        self.assertFlat(some, 8, 1000, 3)
        return recorder

    def test_texts(self):
        """
        Other texts of replies, on kept connections and on one for each message.
        """
        for settings in ({"keepConnections": True}, {"trace": 1}, {"keepConnections": True, "pipelining": "force"}):
            recorder = self.assertFlatWith(**settings)
            self.assertGreater(recorder.accepted, 1500)

    def test_refusals(self):
        """
        Refusals, faults and garbage.
        """
        recorder = self.assertFlatWith((b"450", b"250", b"550-no\r\n550", b"220", b"hello", b"421", b"250-\x1b\r\n250"))
        self.assertGreater(recorder.failed, 500)
        self.assertGreater(recorder.rejected, 100)


class SinkTests(GrowthMixin, SynchronousTestCase):
    """
    Clients of the sink that always say something else.
    """

    def test_sources(self):
        """
        Addresses of clients that a PROXY header tells are told apart up to a number.
        """
        counts, numbers = SinkCounts(), count()

        def some():
            for _ in range(50_000):
                counts.proxied(b"%016d" % next(numbers))

        self.assertFlat(some, 6, 1000, 3)
        self.assertEqual(counts.extensions({})["proxySources"], 100_000)

    def test_users(self):
        """
        Users that are the same to SASLprep.
        """
        authenticator = Authenticator("sink.test", {"user": "secret"})
        keys = [authenticator._scramKeysOf("u" + "\u00ad" * number + "ser") for number in range(5)]
        self.assertIsNot(keys[0], None)
        self.assertEqual(len(set(map(id, keys))), 1)


class GarbageTests(TestCase):
    """
    Whole processes without the garbage collector: connections leave nothing for it.
    """

    PROGRAM = """
import atexit, gc
import smtpsource.process.garbage
smtpsource.process.garbage.relax = lambda: (gc.freeze(), gc.disable())
from smtpsource%s.__main__ import main
atexit.register(lambda: print("garbage", gc.collect()))
main()
"""

    @defer.inlineCallbacks
    def assertNone(self, *arguments, connections=400):
        """
        Run source and sink so.
        """
        sink = python(self, "-c", self.PROGRAM % ".sink", "-M", str(connections), "127.0.0.1:0")
        match = yield sink.whenPrinted(rb"^listening on inet:(.*)\n")
        arguments = ["-m", str(connections), "-s", "5", *arguments, match[1].decode()]
        source = python(self, "-c", self.PROGRAM % "", *arguments)
        for command in (source, sink):
            result = yield command.whenEnded()
            found = re.search(rb"^garbage (\d+)$", result.out, re.MULTILINE)
            self.assertLess(int(found[1]), connections, (arguments, result.out))

    @defer.inlineCallbacks
    def test_plain(self):
        """
        A connection for each message.
        """
        yield self.assertNone()

    @defer.inlineCallbacks
    def test_sources(self):
        """
        So it is with a connection from another address each time.
        """
        yield self.assertNone("--bind", "127.1.0.0/16")

    @defer.inlineCallbacks
    def test_tls(self):
        """
        The same with TLS.
        """
        yield self.assertNone("--tls", "starttls")
