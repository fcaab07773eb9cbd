"""
Rates on the wire: the open loop against servers in other processes, and the pipelined million.
"""

from __future__ import annotations

import json
import signal
import time
from itertools import pairwise

from patience import TEST_LIMIT
from peercase import PeerTestCase
from sessions import times
from slowserver import SlowFactory, SlowServer
from subprocesses import loadAndReport, smtpsink, smtpsource
from twisted.internet import defer, reactor
from twisted.internet.task import LoopingCall, deferLater

from smtpsource import SourcePlan
from smtpsource.load import parts
from smtpsource.pacing.schedule import Profile, Schedule


class NotingServer(SlowServer):
    """
    Notes when each transaction begins.
    """

    def answer(self, line):
        """
        Answer one line.
        """
        if not self.inContent and line[:4].upper() == b"MAIL":
            self.factory.times.append(time.monotonic())
        super().answer(line)


class RateTests(PeerTestCase):
    """
    C{--rate}.
    """

    timeout = TEST_LIMIT

    @defer.inlineCallbacks
    def sink(self):
        """
        Our sink as a process.

        @return: it, and where it listens.
        """
        sink = smtpsink(self, "--report", "report", "127.0.0.1:0")
        match = yield sink.whenPrinted(rb"^listening on inet:(\S+)$")
        return sink, match[1].decode()

    @defer.inlineCallbacks
    def counted(self, sink):
        """
        End it.

        @return: its report.
        """
        sink.signal("TERM")
        yield sink.whenEnded()
        return json.loads((sink.directory / "report").read_bytes())

    @defer.inlineCallbacks
    def test_count(self):
        """
        10, 1,000 and 10,000 a second for 10 seconds each: the server has as many as that is, within 0.1 per cent.
        """
        for rate in (10, 1000, 10_000):
            sink, address = yield self.sink()
            result, report = yield loadAndReport(
                self, "-d", "-s", "200", "--rate", str(rate), "--duration", "10s", "--catch-up", "2m", address
            )
            counts = yield self.counted(sink)
            self.assertEqual(result.status, 0, result)
            self.assertEqual((report["asked"], report["messages"]["accepted"]), (rate * 10, rate * 10))
            self.assertEqual(counts["messages"], rate * 10)
            self.assertLess(abs(report["askedRate"] - rate), rate * 0.001)
            # Even the busiest machine does not start more in a second than were wanted by its end.
            begun = wanted = 0
            for sample in report["series"]:
                begun += sample["started"]
                wanted += sample["asked"]
                self.assertLessEqual(begun, wanted)
            self.assertGreaterEqual(sum(sample["seconds"] for sample in report["series"]), 9.99)

    @defer.inlineCallbacks
    def test_poisson(self):
        """
        At 100 a second, transactions begin when the schedule wants them, whose intervals are exponentially distributed
        (see L{test_schedule}): never before, and as the server sees it hardly later, unless the generator or this
        process was held up.
        """
        wanted = times(
            Schedule(Profile([(0.0, 100.0)], 10.0), "poisson", parts.generator(SourcePlan(seed=1), "arrivals"))
        )
        factory = SlowFactory(reactor, 1e6)
        factory.protocol = NotingServer
        factory.times = []
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        ticks = []
        ticking = LoopingCall(lambda: ticks.append(time.monotonic()))
        ticking.start(0.01)
        self.addCleanup(ticking.stop)
        begun = time.monotonic()
        result, report = yield loadAndReport(
            self,
            *(
                "-d",
                "-s",
                "20",
                "--rate",
                "100",
                "--duration",
                "10s",
                "--arrivals",
                "poisson",
                "--seed",
                "1",
                "--catch-up",
                "1m",
            ),
            f"127.0.0.1:{port.getHost().port}",
        )
        self.assertEqual(result.status, 0, result)
        number = len(wanted)
        self.assertEqual((len(factory.times), report["messages"]["accepted"]), (number, number))
        came = [at - due for at, due in zip(sorted(factory.times), wanted, strict=True)]
        self.assertGreater(min(came), begun)
        inTime = sum(at < min(came) + 0.02 for at in came) / number
        stalls = sum(max(0.0, b - a - 0.015) for a, b in pairwise(ticks)) / (ticks[-1] - ticks[0])
        self.assertGreater(inTime, 0.9 - report["late"] / number - stalls)

    @defer.inlineCallbacks
    def test_freeze(self):
        """
        A server of 1,000 a second that stands still for two seconds, at 500 a second: the time from the intended start
        shows it, that of the transactions alone does not.
        """
        factory = SlowFactory(reactor, 1000, [(3.0, 2.0)])
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        result, report = yield loadAndReport(
            self,
            *("-d", "-s", "20", "--rate", "500/s", "--duration", "10s", "--catch-up", "1m"),
            f"127.0.0.1:{port.getHost().port}",
        )
        self.assertEqual((result.status, report["messages"]["accepted"], factory.served), (0, 5000, 5000), result)
        self.assertGreater(report["latency"]["response"]["p99"], 1.5)
        self.assertLess(report["latency"]["transaction"]["p99"], report["latency"]["response"]["p99"] / 3)
        self.assertGreater(report["late"], 500)


class TooMuchTests(PeerTestCase):
    """
    A rate that nobody can keep.
    """

    @defer.inlineCallbacks
    def test_stopped(self):
        """
        With C{--max-late} all that is too late is dropped in no time: the run goes on, shows how, and ends when it is
        told to.
        """
        port = reactor.listenTCP(0, SlowFactory(reactor, 1e6), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        address = f"127.0.0.1:{port.getHost().port}"
        for arrivals in ("constant", "poisson"):
            command = smtpsource(
                *(self, "-A", "-d", "-s", "5", "--rate", "20000k/s", "--duration", "1h", "--max-late", "100ms"),
                *("--arrivals", arrivals, "--live", "on", "--report", "report", address),
                deadline=100,
            )
            yield command.whenPrinted(rb"0:0[1-9] running[^\n]* [0-9]{7,} dropped", "err")
            command.signal("TERM")
            result = yield command.whenEnded()
            self.assertEqual(result.status, 1)
            report = json.loads((command.directory / "report").read_bytes())
            self.assertEqual(report["ended"], "signal")
            messages = report["messages"]
            self.assertEqual(messages["started"], messages["accepted"] + messages["failed"])
            # It stood still for no more than a part of the time.
            self.assertLess(max(sample["seconds"] for sample in report["series"]), 60)


class StoppedTests(PeerTestCase):
    """
    A generator that does not get to run.
    """

    @defer.inlineCallbacks
    def test_stopped(self):
        """
        It was stopped for a while: it says so, and blames neither itself nor the server.
        """
        port = reactor.listenTCP(0, SlowFactory(reactor, 1e6), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        address = f"127.0.0.1:{port.getHost().port}"
        command = smtpsource(
            *(self, "-d", "-s", "5", "--rate", "50/s", "--duration", "3s", "--live", "on"),
            *("--report", "report", address),
            deadline=100,
        )
        yield command.whenPrinted(rb"0:0[12] running", "err")
        command.signal(signal.SIGSTOP)
        # This long it does not run.
        yield deferLater(reactor, 1.0, lambda: None)
        command.signal(signal.SIGCONT)
        result = yield command.whenEnded()
        said = rb" DISTURBED by this machine, not the server: this process did not run for [0-9]+ ms"
        self.assertRegex(b" ".join(result.out.split()), said)
        self.assertNotIn(b"LIMITED BY", result.out)
        report = json.loads((command.directory / "report").read_bytes())
        self.assertEqual((report["limits"], report["asked"]), ([], 150))


class MillionTests(PeerTestCase):
    """
    A long run with pipelining.
    """

    timeout = TEST_LIMIT

    @defer.inlineCallbacks
    def test_pipelined(self):
        """
        1,000,000 messages with pipelining: what we count is what the server counts, and memory does not grow with
        them.
        """
        few = yield self.peak("50k")
        many = yield self.peak("1m")
        self.assertLess(many, few + 6 * 1024)

    @defer.inlineCallbacks
    def peak(self, messages):
        """
        Send so many.

        @return: the most memory that the generator had, in KiB.
        """
        sink = smtpsink(self, "--report", "report", "127.0.0.1:0")
        match = yield sink.whenPrinted(rb"^listening on inet:(\S+)$")
        options = ("-d", "-s", "20", "-m", messages, "--pipelining", "require")
        result, report = yield loadAndReport(self, *options, match[1].decode())
        sink.signal("TERM")
        yield sink.whenEnded()
        counts = json.loads((sink.directory / "report").read_bytes())
        self.assertEqual(result.status, 0, result)
        self.assertEqual(report["messages"]["accepted"], {"50k": 50_000, "1m": 1_000_000}[messages])
        self.assertEqual(counts["messages"], report["messages"]["accepted"])
        return report["environment"]["peakMemory"] // 1024
