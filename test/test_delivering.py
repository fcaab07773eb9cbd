"""
Tests for C{--deliver-to}: a run that opens the sink that its server relays into, and judges what arrives there.
"""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import smtplib

from commandlines import CommandTestCase, parsed
from judging import reconciled
from ledgerfiles import RUN, RUN_TEXT, Pages
from patience import PATIENCE
from peers import eventually, freePort
from smallrelay import SmallRelay
from subprocesses import killIfAlive, python, reported, smtpsink, smtpsource, twistd
from test_metrics import get
from twisted.internet import defer, reactor
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.ledger import records
from smtpsource.ledger.book import Book
from smtpsource.ledger.reading import LedgerError, LedgerFile
from smtpsource.load.delivery import Delivery
from smtpsource.load.service import SourceService
from smtpsource.measure.histogram import LatencyRecorder
from smtpsource.measure.judgement import Delivered
from smtpsource.measure.recorder import Recorder
from smtpsource.phases import DELIVERY
from smtpsource.plan import SourcePlan

#: How many messages a test sends.
MESSAGES = 20

#: The silence after which nothing more comes: longer than a machine with much else to do keeps a relay from its next
#: message.
QUIET = "5s"


#: A program that has a run with a reactor of its own, and says what came of it: the reactor's module, the verdict, how
#: many are lost, and how many calls are left.
PROGRAM = """
import sys
from importlib import import_module

name, destination, count, ledger, port = sys.argv[1:]
import_module(f"twisted.internet.{name}").install()

from twisted.internet.task import react

from smtpsource import SourcePlan, SourceService


def main(reactor):
    where = {"destination": destination, "ledger": ledger, "deliverTo": ("127.0.0.1", int(port))}
    service = SourceService(reactor, SourcePlan(messageCount=int(count), keepConnections=True, drainQuiet=5.0, **where))
    service.startService()
    return service.whenDone().addCallback(tell, reactor)


def tell(summary, reactor):
    module, judgement = summary.reactor.split(".")[2], summary.judgement
    print(module, judgement.verdict, judgement.lost, len(reactor.getDelayedCalls()))


react(main)
"""


class WaitingTests(SynchronousTestCase):
    """
    L{Delivery}, with ledgers that somebody else writes.
    """

    def setUp(self):
        self.clock = Clock()
        self.directory = self.mktemp()
        self.recorder = Recorder()
        self.broken = []
        self.delivery = Delivery(self.clock, RUN, self.recorder, self.broken.append)
        self.source = Book(self.directory, "source", {"run": RUN_TEXT, "monotonic": 0})
        self.sink = Book(self.directory, "sink", {})
        self.delivery.begin([self.source.path], self.sink.path)
        self.over = []

    def put(self, book, add, *arguments, **fields):
        """
        Write what L{Pages} would.
        """
        pages = Pages()
        add(pages, *arguments, at=self.clock.seconds(), **fields)
        book.put(b"".join(pages.records))

    def send(self, *numbers):
        """
        These messages are acknowledged.
        """
        for number in numbers:
            self.put(self.source, Pages.intent, number)
            self.put(self.source, Pages.outcome, number)

    def arrive(self, *numbers):
        """
        These have come.
        """
        for number in numbers:
            self.put(self.sink, Pages.arrival, number)

    def drain(self, quiet=None, timeout=600.0):
        """
        The load is over.
        """
        self.began = self.clock.seconds()
        waiting = self.delivery.drain(quiet, timeout)
        waiting.addCallback(lambda _: self.over.append(self.clock.seconds() - self.began))
        self.assertEqual(self.delivery.waiting, not self.over)

    def wait(self, seconds):
        """
        Let time pass, in which the sink is there.
        """
        for _ in range(round(seconds * 8)):
            self.clock.pump([0.125])
            self.put(self.sink, Pages.add, records.ALIVE)

    def stop(self, seconds):
        """
        Let time pass, in which it is not.
        """
        self.clock.pump([0.125] * round(seconds * 8))

    def judge(self, over=None):
        """
        @return: the judgement.

        @param over: how many seconds after the load the waiting was over, or half a second later; C{None} if it is not.
        """
        if over is None:
            self.assertEqual(self.over, [])
        else:
            self.assertEqual(len(self.over), 1)
            self.assertTrue(over <= self.over[0] <= over + 0.5, self.over)
        self.assertFalse(self.delivery.waiting)
        self.source.close()
        self.sink.close()
        return self.delivery.finish()

    def assertDelivered(self, acknowledged, here, arrived, peak):
        """
        So far it has come.
        """
        self.assertEqual(self.delivery.delivered(), Delivered(acknowledged, here, arrived, peak))

    def test_upToDate(self):
        """
        A sample of a second has what was written in it, and not only what was seen by the last look.
        """
        self.wait(1)
        self.send(1, 2, 3)
        self.arrive(1)
        self.assertDelivered(0, 0, 0, 0)
        self.assertEqual(self.delivery.upToDate(), Delivered(3, 1, 1, 2))
        self.delivery.close()
        self.assertEqual(self.delivery.upToDate(), Delivered(3, 1, 1, 2))

    def test_all(self):
        """
        When everything has come there is one more second for what comes twice.
        """
        self.send(1, 2, 3)
        self.wait(0.5)
        self.arrive(1)
        self.wait(0.5)
        self.assertDelivered(3, 1, 1, 3)
        self.drain()
        self.wait(20)
        self.arrive(2, 3)
        self.wait(3)
        judgement = self.judge(over=21)
        self.assertEqual((judgement.verdict, judgement.delivered, judgement.drained), ("pass", 3, True))
        self.assertEqual(sum(self.recorder.buckets[DELIVERY]), 3)

    def test_twice(self):
        """
        In that second it does.
        """
        self.send(1)
        self.arrive(1)
        self.drain()
        self.wait(0.75)
        self.arrive(1)
        self.wait(3)
        self.assertEqual(self.judge(over=1.75).duplicated, 1)

    def test_awaited(self):
        """
        It is known what is waited for, how long it has been silent, and what ends it.
        """
        self.send(1, 2, 3)
        self.wait(1)
        self.assertIsNone(self.delivery.awaited())
        self.drain(quiet=5.0, timeout=20.0)
        self.wait(3)
        awaited = self.delivery.awaited()
        self.assertEqual((awaited.missing, awaited.enough, awaited.left), (3, 5.0, 17.0))
        self.assertApproximates(awaited.silent, 3.0, 0.5)
        self.arrive(1, 2)
        self.wait(0.5)
        awaited = self.delivery.awaited()
        self.assertEqual((awaited.missing, awaited.enough, awaited.left), (1, 5.0, 16.5))
        self.assertLess(awaited.silent, 0.5)
        self.arrive(3)
        self.wait(0.5)
        awaited = self.delivery.awaited()
        self.assertEqual((awaited.missing, awaited.enough), (0, 5.0))
        self.wait(6)
        self.assertIsNone(self.delivery.awaited())
        self.judge(over=8.5)

    def test_quiet(self):
        """
        What has not come when it was quiet for so long is lost.
        """
        self.send(1, 2, 3)
        self.drain(quiet=5.0)
        self.wait(4)
        self.arrive(1)
        self.wait(10)
        judgement = self.judge(over=9)
        self.assertEqual((judgement.verdict, judgement.lost, judgement.drained), ("fail", 2, True))

    def test_putOff(self):
        """
        A server that tries, and is put off, is not quiet.
        """
        self.send(1)
        self.drain(quiet=5.0)
        for _ in range(10):
            self.wait(1)
            self.put(self.sink, Pages.add, records.ALIVE, flag=1)
        for _ in range(7):
            self.wait(1)
            self.put(self.sink, Pages.add, records.ALIVE)
        self.assertEqual((self.judge(over=15).verdict, self.delivery.waiting), ("fail", False))

    def test_deaf(self):
        """
        Silence counts only while the sink is there to hear it; it begins anew when it is there again.
        """
        self.send(1, 2)
        self.arrive(1)
        self.drain(quiet=4.0)
        self.wait(1)
        self.stop(6)
        self.wait(3)
        self.arrive(2)
        self.wait(5)
        judgement = self.judge(over=14)
        self.assertEqual((judgement.verdict, judgement.delivered), ("pass", 2))

    def test_deafAtOnce(self):
        """
        So it is with a short silence.
        """
        self.send(1)
        self.drain(quiet=1.0)
        self.stop(2)
        self.arrive(1)
        self.wait(2)
        self.assertEqual(self.judge(over=3).verdict, "pass")

    def test_deafForGood(self):
        """
        A sink that is not there any more says nothing about what is missing.
        """
        self.send(1)
        self.drain(quiet=4.0, timeout=20.0)
        self.stop(21)
        judgement = self.judge(over=20)
        self.assertEqual((judgement.verdict, judgement.lost, judgement.queued), ("inconclusive", 0, 1))
        self.assertRegex(judgement.reasons[0], r"^the sink has not been heard for 2\d\.\d s: that nothing has arrived ")

    def test_heard(self):
        """
        It is not quiet while the server talks to the sink, though nothing comes of it; that the sink is there says
        nothing.
        """
        self.send(1, 2)
        self.drain(quiet=5.0)
        for flag in (1, 1, 1, 0, 0, 0):
            self.wait(3)
            self.sink.put(records.pack(records.ALIVE, flag, *[0] * 10))
        self.wait(3)
        judgement = self.judge(over=14)
        self.assertEqual((judgement.verdict, judgement.lost), ("fail", 2))

    def test_talk(self):
        """
        Nobody waits because the server talks on when everything has arrived.
        """
        self.send(1)
        self.arrive(1)
        self.drain()
        for _ in range(4):
            self.wait(0.5)
            self.sink.put(records.pack(records.ALIVE, 1, *[0] * 10))
        self.assertEqual(self.judge(over=1).verdict, "pass")

    def test_bounced(self):
        """
        Nor for what will not come, as a report says, however long it was silent before that.
        """
        self.send(1, 2, 3)
        self.arrive(1)
        self.drain()
        self.wait(5)
        self.put(self.sink, Pages.report, 2)
        self.wait(5)
        self.assertTrue(self.delivery.waiting)
        self.put(self.sink, Pages.report, 3)
        self.wait(3)
        judgement = self.judge(over=11)
        self.assertEqual((judgement.verdict, judgement.delivered, judgement.bounced), ("pass", 1, 2))

    def test_before(self):
        """
        How quiet it was while the load went on says nothing: a server may be slow to begin.
        """
        self.send(1)
        self.wait(60)
        self.drain(quiet=5.0)
        self.wait(4)
        self.arrive(1)
        self.wait(6)
        self.assertEqual(self.judge(over=9).verdict, "pass")

    def test_timeout(self):
        """
        As long as something comes, it is waited for no longer than that.
        """
        self.send(*range(1, 50))
        self.drain(quiet=5.0, timeout=20.0)
        for number in range(1, 30):
            self.wait(1)
            self.arrive(number)
        judgement = self.judge(over=20)
        self.assertEqual((judgement.verdict, judgement.lost, judgement.queued), ("inconclusive", 0, 20))

    def test_unknown(self):
        """
        Of what nobody knows whether the server has it, it may still come: the silence has to be long.
        """
        self.send(1)
        self.put(self.source, Pages.intent, 2)
        self.arrive(1)
        self.drain(quiet=5.0)
        self.wait(4)
        self.arrive(2)
        self.wait(6)
        judgement = self.judge(over=9)
        self.assertEqual((judgement.verdict, judgement.delivered, judgement.recovered), ("pass", 1, 1))

    def test_nothing(self):
        """
        If nothing was acknowledged there is nothing to wait for.
        """
        self.drain()
        self.wait(1)
        self.assertEqual(self.judge(over=0).verdict, "inconclusive")

    def test_giveUp(self):
        """
        Somebody may give up before the load is over, or after it; but not any more when it is known what came.
        """
        self.send(1)
        self.delivery.giveUp("no more")
        self.drain()
        self.delivery.giveUp("nor this")
        judgement = self.judge(over=0)
        self.assertEqual((judgement.verdict, *judgement.reasons[:2]), ("inconclusive", "no more", "nor this"))

    def test_stopped(self):
        """
        Where the run is stopped and something is missing, it says so.
        """
        self.send(1, 2)
        self.arrive(1)
        self.drain()
        self.delivery.interrupt()
        judgement = self.judge(over=0)
        self.assertEqual((judgement.verdict, judgement.queued, judgement.drained), ("inconclusive", 1, False))
        self.assertEqual(judgement.reasons, ["the run was stopped before the server had delivered everything"])

    def test_stoppedUnknown(self):
        """
        So it does where nobody knows of some.
        """
        self.send(1)
        self.put(self.source, Pages.intent, 2)
        self.arrive(1)
        self.drain()
        self.delivery.interrupt()
        reasons = self.judge(over=0).reasons
        self.assertEqual(reasons, ["the run was stopped before the server had delivered everything"])

    def test_stoppedLate(self):
        """
        Where nothing is, it is that it was not listened long enough; what has come only just is counted.
        """
        self.send(1, 2)
        self.arrive(1)
        self.drain()
        self.delivery.interrupt()
        self.arrive(2)
        judgement = self.judge(over=0)
        self.assertEqual((judgement.verdict, judgement.delivered, judgement.drained), ("inconclusive", 2, False))
        self.assertEqual(
            judgement.reasons,
            ["nothing is missing, but the run was stopped before it was clear that nothing comes twice"],
        )

    def test_stoppedEarly(self):
        """
        Where nothing was sent there is nothing to say about that.
        """
        self.delivery.interrupt()
        self.drain()
        self.assertEqual(self.judge(over=0).reasons, ["the run was stopped", "nothing was sent"])

    def test_tooLate(self):
        """
        When it is known what came nobody can give up any more.
        """
        self.send(1)
        self.arrive(1)
        self.drain()
        self.wait(2)
        self.delivery.giveUp("no more")
        self.assertEqual(self.judge(over=1).verdict, "pass")

    def test_restart(self):
        """
        After the warm-up, what arrives is counted anew.
        """
        self.send(1, 2, 3)
        self.arrive(1, 2)
        self.wait(1)
        self.assertDelivered(3, 2, 2, 1)
        self.delivery.restart()
        self.assertDelivered(3, 2, 0, 1)
        self.arrive(3)
        self.wait(1)
        self.assertDelivered(3, 3, 1, 1)

    def test_early(self):
        """
        What arrives before its acknowledgement was read took no time.
        """
        self.put(self.source, Pages.intent, 1)
        self.arrive(1)
        self.wait(1)
        self.put(self.source, Pages.outcome, 1)
        self.wait(1)
        self.drain()
        self.wait(2)
        judgement = self.judge(over=1)
        self.assertEqual((judgement.early, self.recorder.buckets[DELIVERY][0]), (1, 1))

    def test_latencies(self):
        """
        Times are recorded in the buckets that they are of, however long they are.
        """
        usual = LatencyRecorder()
        for number, microseconds in enumerate((0, 1, 2046, 2048, 2049, 4100, 1234567, 3599_900_000, 4000_000_000), 1):
            usual.record((microseconds + 0.5) / 1e6)
            self.send(number)
            pages = Pages().arrival(number, at=(microseconds + 0.5) / 1e6)
            self.sink.put(b"".join(pages.records))
        self.wait(1)
        self.assertEqual(self.recorder.buckets[DELIVERY], usual.counts)

    def test_unreadable(self):
        """
        If a ledger can't be read nobody waits for it, and nothing is known for sure.
        """
        self.send(1)

        def fail(file):
            raise LedgerError("no luck")

        self.patch(LedgerFile, "next", fail)
        self.drain()
        self.wait(1)
        judgement = self.judge(over=0)
        self.assertEqual((judgement.verdict, judgement.reasons.count("no luck")), ("inconclusive", 1))
        self.assertEqual(self.broken, [])

    def test_shortened(self):
        """
        Somebody has cut a ledger that was read already.
        """
        self.send(1, 2)
        self.arrive(1, 2)
        self.drain()
        self.wait(2)
        os.truncate(self.source.path, os.path.getsize(self.source.path) - 128)
        os.unlink(self.sink.path)
        judgement = self.judge(over=1)
        self.assertEqual(judgement.verdict, "inconclusive")
        shortened, removed = judgement.reasons
        self.assertRegex(shortened, r"\.ledger: the ledger has become shorter: \d+ bytes were read, and there are \d+$")
        self.assertIn("the ledger was removed while it was in use", removed)

    def test_fewer(self):
        """
        The ledger has fewer acknowledgements than there were: some of it was cut before it was read.
        """
        self.send(1)
        self.arrive(1)
        for _ in range(2):
            self.recorder.transaction(0.1, 1)
        self.drain()
        self.wait(2)
        judgement = self.judge(over=1)
        self.assertEqual(judgement.verdict, "inconclusive")
        said = "the generator's ledger is not whole: 2 were accepted, and 1 are acknowledged in it"
        self.assertEqual([said], list(judgement.reasons))

    def test_takenBack(self):
        """
        What was taken back is not missed.
        """
        self.send(1)
        self.arrive(1)
        for _ in range(2):
            self.recorder.transaction(0.1, 1)
        self.recorder.takeBack(1)
        self.drain()
        self.wait(2)
        self.assertEqual(self.judge(over=1).verdict, "pass")

    def test_broken(self):
        """
        So it is after a defect of ours, which is told.
        """
        self.send(1)
        self.patch(self.delivery._judge, "sent", lambda found, file: {}["x"])
        self.wait(1)
        self.assertEqual([type(each) for each in self.broken], [KeyError])
        self.drain()
        self.assertEqual(self.over, [0.0])


class DeliveringTestCase(CommandTestCase):
    """
    What all of these have in common.
    """

    def setUp(self):
        self.port = freePort()
        self.directory = os.path.abspath(self.mktemp())

    def relay(self, *arguments, **options):
        """
        @return: a relay that delivers to the run's sink.
        """
        return SmallRelay(self, self.port, *arguments, **options)

    def begin(self, destination, *arguments, command=smtpsource, count=MESSAGES):
        """
        @return: a run that is judged.
        """
        judged = ("--ledger", "ledger", "--deliver-to", self.port, "--report", "report.json")
        return command(self, *judged, "-d", "-s", 2, "-m", count, *arguments, destination)

    @defer.inlineCallbacks
    def judged(self, command):
        """
        @return: a L{defer.Deferred} that fires with the result, the report, and what it says of the ledger.
        """
        result = yield command.whenEnded()
        self.assertNoTraceback(result)
        report = reported((command.directory / "report.json").read_bytes(), result)
        self.assertEqual(report["exit"], result.status)
        return result, report, report["ledger"]

    def assertJudged(self, ledger, verdict, **counts):
        """
        The verdict is this one, and of what is bad there is as much as this and nothing else.
        """
        bad = ("lost", "duplicated", "corrupted", "misdelivered", "ghost", "queued", "recovered", "bounced")
        found = {name: ledger[name] for name in bad if ledger[name]}
        self.assertEqual((ledger["verdict"], found), (verdict, counts), ledger)


class VerdictTests(DeliveringTestCase):
    """
    What comes of a run.
    """

    @defer.inlineCallbacks
    def test_passes(self):
        """
        If everything arrives once, all faces of the result say so, with the same counts.
        """
        relay = self.relay()
        files = ("--csv", "series.csv", "--junit", "junit.xml", "--hlog", "log.hlog")
        command = self.begin(relay.destination, *files, "--rate", "100/s", "--threshold", "p99(delivery) < 1h")
        result, report, ledger = yield self.judged(command)
        self.assertEqual(result.status, 0, result)
        self.assertJudged(ledger, "pass")
        self.assertEqual((ledger["delivered"], ledger["sent"], ledger["drained"]), (MESSAGES, MESSAGES, True))
        for phase in ("delivery", "arrival"):
            self.assertEqual(report["latency"][phase]["count"], MESSAGES, phase)
        self.assertEqual([report["series"][-1]["backlog"], report["thresholds"][0]["passed"]], [0, True])
        self.assertEqual(sum(sample["arrived"] for sample in report["series"]), MESSAGES)
        self.assertEqual(sum(sample["accepted"] for sample in report["series"]), MESSAGES)
        self.assertLess(report["elapsed"], report["series"][-1]["time"])
        with open(command.directory / "series.csv") as file:
            self.assertEqual(sum(int(row["arrived"]) for row in csv.DictReader(file)), MESSAGES)
        self.assertIn(b'name="ledger"', (command.directory / "junit.xml").read_bytes())
        self.assertIn(b"Tag=delivery", (command.directory / "log.hlog").read_bytes())
        self.assertRegex(result.out, rb"(?m)^delivery +%d " % MESSAGES)
        self.assertRegex(result.out, rb"(?m)^delivered +[0-9.]+/s, ")

    @defer.inlineCallbacks
    def test_straight(self):
        """
        The sink itself may be what is loaded, by its address or as C{sink:}.
        """
        for destination in (f"127.0.0.1:{self.port}", "sink:"):
            result, report, ledger = yield self.judged(self.begin(destination))
            self.assertEqual(result.status, 0, result)
            self.assertJudged(ledger, "pass")
            self.assertEqual(ledger["delivered"], MESSAGES)
            self.assertEqual("sink" in report, destination == "sink:")

    @defer.inlineCallbacks
    def test_loses(self):
        """
        What was acknowledged and does not come, though nothing comes any more, is lost: that one, by its id.
        """
        relay = self.relay(lambda number: int(number != 7))
        result, report, ledger = yield self.judged(self.begin(relay.destination, "--drain-quiet", QUIET))
        self.assertEqual(result.status, 1, result)
        self.assertJudged(ledger, "fail", lost=1)
        self.assertEqual([anomaly["id"] for anomaly in ledger["anomalies"]], [relay.taken[7]])
        self.assertEqual((ledger["delivered"], ledger["drained"]), (MESSAGES - 1, True))
        self.assertIn(relay.taken[7].encode(), result.out)
        self.assertEqual((report["ended"], report["series"][-1]["backlog"]), ("done", 1))

    @defer.inlineCallbacks
    def test_duplicates(self):
        """
        What comes twice, the last one of all included, is found.
        """
        relay = self.relay(lambda number: 1 + (number == MESSAGES - 1))
        result, _, ledger = yield self.judged(self.begin(relay.destination))
        self.assertEqual(result.status, 1, result)
        self.assertJudged(ledger, "fail", duplicated=1)
        self.assertEqual([anomaly["id"] for anomaly in ledger["anomalies"]], [relay.taken[-1]])

    @defer.inlineCallbacks
    def test_thresholdInstead(self):
        """
        A threshold on what the verdict looks at takes the place of that look, for the status; the verdict stays.
        """
        relay = self.relay(lambda number: 1 + (number == 7))
        command = self.begin(relay.destination, "--threshold", "duplicated <= 1", "--junit", "junit.xml")
        result, _, ledger = yield self.judged(command)
        self.assertEqual(result.status, 0, result)
        self.assertJudged(ledger, "fail", duplicated=1)
        self.assertIn(b'failures="0"', (command.directory / "junit.xml").read_bytes())

    @defer.inlineCallbacks
    def test_threshold(self):
        """
        A threshold that fails has its own status, also if the verdict is bad.
        """
        relay = self.relay(lambda number: int(number != 7))
        asked = ("--drain-quiet", QUIET, "--threshold", "lost == 0", "--threshold", "lost < 2")
        result, report, _ = yield self.judged(self.begin(relay.destination, *asked))
        self.assertEqual(result.status, 3, result)
        self.assertEqual([one["passed"] for one in report["thresholds"]], [False, True])

    @defer.inlineCallbacks
    def test_abort(self):
        """
        The backlog may end a run while it goes on; what is lost is not known before the end.
        """
        relay = self.relay(lambda number: 0)
        asked = ("--threshold", "lost == 0 and drain < 1h", "--threshold", "backlog < 100", "--abort-on-threshold")
        load = ("--rate", "50/s", "--duration", "1h", "--drain-quiet", "1s")
        result, report, ledger = yield self.judged(self.begin(relay.destination, *load, *asked, count=10**6))
        self.assertEqual((result.status, report["ended"]), (3, "aborted"), result)
        self.assertIn("threshold 'backlog < 100' failed: ", report["reason"])
        self.assertEqual([one["passed"] for one in report["thresholds"]], [False, False])
        self.assertJudged(ledger, "fail", lost=ledger["sent"])
        self.assertEqual(round(sum(sample["asked"] for sample in report["series"])), round(report["asked"]))

    @defer.inlineCallbacks
    def test_trickles(self):
        """
        Where something still comes when the time is over nothing can be said, and the run has not passed.
        """
        relay = self.relay(pause=0.3)
        command = self.begin(relay.destination, "--drain-timeout", "1s", count=200)
        result, _, ledger = yield self.judged(command)
        self.assertEqual(result.status, 1, result)
        self.assertEqual((ledger["verdict"], ledger["drained"], ledger["lost"]), ("inconclusive", False, 0))
        self.assertEqual(ledger["queued"] + ledger["delivered"], 200)
        self.assertIn("still delivering 1 s after the load", ledger["reasons"][0])
        self.assertIn(b"still delivering 1 s after the load", b" ".join(result.out.split()))


class InterruptedTests(DeliveringTestCase):
    """
    What comes between.
    """

    @defer.inlineCallbacks
    def test_signal(self):
        """
        A signal ends the waiting: the result is there, and says that nothing is known for sure.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            relay = self.relay(lambda number: int(number < 5))
            command = self.begin(relay.destination, "--live", "on")
            waiting = rb"waiting for 15, silent for \d+ s, over after 30 s of silence"
            yield command.whenPrinted(rb"delivering; .*\b5 arrived, .*\b15 to come, .*; " + waiting, "err")
            command.signal(number)
            result, report, ledger = yield self.judged(command)
            self.assertEqual((result.status, report["ended"]), (1, "signal"), result)
            self.assertJudged(ledger, "inconclusive", queued=15)
            self.assertIn("stopped", ledger["reasons"][0])

    @defer.inlineCallbacks
    def test_twice(self):
        """
        A second Ctrl-C ends it at once.
        """
        relay = self.relay(lambda number: 0)
        command = self.begin(relay.destination, "--live", "on")
        yield command.whenPrinted(rb"delivering; ", "err")
        [child] = command.children()
        os.kill(child, signal.SIGSTOP)  # so the first one takes a while
        command.signal(signal.SIGINT)
        yield command.whenPrinted(rb" over; ", "err")
        command.signal(signal.SIGINT)
        result = yield command.whenEnded()
        os.kill(child, signal.SIGCONT)
        self.assertEqual((result.status, result.out), (1, b""))

    @defer.inlineCallbacks
    def test_goesOn(self):
        """
        After a signal a sink may go on listening for the rest, with its ledger beside the others: all are judged.
        """
        relay = self.relay(pause=0.05, patient=True)
        command = self.begin(relay.destination, "--live", "on", count=100)
        yield command.whenPrinted(rb"delivering; .*\b[1-9]\d* arrived", "err")
        command.signal(signal.SIGINT)
        _, _, ledger = yield self.judged(command)
        self.assertJudged(ledger, "inconclusive", queued=100 - ledger["delivered"])
        directory = command.directory / "ledger"
        sink = smtpsink(self, "--ledger", directory, f"127.0.0.1:{self.port}")
        yield eventually(lambda: relay.delivered == 100, "all deliveries")
        sink.signal(signal.SIGTERM)
        yield sink.whenEnded()
        _, ledger, _ = yield reconciled(self, directory, "--drain-quiet", "0")
        self.assertJudged(ledger, "pass")
        self.assertEqual(ledger["delivered"], 100)

    @defer.inlineCallbacks
    def test_sinkKilled(self):
        """
        If the sink is killed the run ends, and nobody waits for what can't come any more.
        """
        relay = self.relay(lambda number: int(number < 5))
        command = self.begin(relay.destination, "--live", "on")
        yield command.whenPrinted(rb"delivering; .*\b5 arrived", "err")
        [child] = command.children()
        os.kill(child, signal.SIGKILL)
        result, _, ledger = yield self.judged(command)
        self.assertEqual(result.status, 1, result)
        self.assertJudged(ledger, "inconclusive", queued=15)
        self.assertIn("the companion sink ended without a report", ledger["reasons"][0])

    @defer.inlineCallbacks
    def test_sinkKilledEarly(self):
        """
        So it is while the load goes on, which ends then.
        """
        relay = self.relay()
        command = self.begin(relay.destination, "--live", "on", "--rate", "20/s", count=100000)
        yield command.whenPrinted(rb"running; .*\b[1-9]\d* arrived", "err")
        [child] = command.children()
        os.kill(child, signal.SIGKILL)
        result, report, ledger = yield self.judged(command)
        self.assertEqual((result.status, report["ended"], ledger["verdict"]), (1, "aborted", "inconclusive"), result)
        self.assertIn("the companion sink ended", report["reason"])

    @defer.inlineCallbacks
    def test_killed(self):
        """
        A run that is killed leaves no sink behind.
        """
        relay = self.relay(lambda number: 0)
        command = self.begin(relay.destination, "--live", "on")
        yield command.whenPrinted(rb"delivering; ", "err")
        [child] = command.children()
        self.addCleanup(killIfAlive, child)
        command.signal(signal.SIGKILL)
        yield command.whenEnded()
        yield eventually(lambda: not os.path.exists(f"/proc/{child}"), "the sink's end")


class OtherTests(DeliveringTestCase):
    """
    What can't be, and other ways to run it.
    """

    @defer.inlineCallbacks
    def test_taken(self):
        """
        If somebody else listens there it is told in one line, and nothing is sent; nor is there a ledger.
        """
        relay = self.relay()
        self.port = int(relay.destination.rpartition(":")[2])
        command = self.begin(relay.destination)
        result = yield command.whenEnded()
        self.assertEqual(os.listdir(command.directory / "ledger"), [])
        self.assertNotIn(b"ledger", b"".join(result.out.split()))
        self.assertEqual(result.status, 1)
        self.assertOneLine(result.err, f"can't listen on inet:127.0.0.1:{self.port}: Address already in use".encode())
        self.assertEqual(relay.taken, [])

    @defer.inlineCallbacks
    def test_recipients(self):
        """
        A message is judged for each of its recipients.
        """
        relay = self.relay(lambda number: int(number != 7))
        result, report, ledger = yield self.judged(self.begin(relay.destination, "-r", 3, "--drain-quiet", QUIET))
        self.assertEqual((result.status, report["messages"]["accepted"]), (1, MESSAGES), result)
        self.assertJudged(ledger, "fail", lost=3)
        self.assertEqual((ledger["sent"], ledger["delivered"]), (3 * MESSAGES, 3 * (MESSAGES - 1)))
        self.assertEqual(report["latency"]["delivery"]["count"], 3 * (MESSAGES - 1))

    @defer.inlineCallbacks
    def test_warmUp(self):
        """
        Messages of the warm-up are judged as well; but how long they took is in no figure.
        """
        relay = self.relay()
        command = self.begin(relay.destination, "--warmup", "1s", "--rate", "50/s")
        result, report, ledger = yield self.judged(command)
        self.assertEqual((result.status, report["messages"]["accepted"]), (0, MESSAGES), result)
        self.assertJudged(ledger, "pass")
        self.assertEqual(ledger["sent"], report["warmup"]["accepted"] + MESSAGES)
        self.assertLessEqual(report["latency"]["delivery"]["count"], ledger["sent"])
        self.assertEqual(sum(each["arrived"] for each in report["series"]), report["latency"]["delivery"]["count"])

    @defer.inlineCallbacks
    def test_merged(self):
        """
        Reports of several runs are one, and can be compared.
        """
        paths = []
        for fate in (lambda number: 1, lambda number: int(number != 7)):
            command = self.begin(self.relay(fate).destination, "--drain-quiet", QUIET)
            yield self.judged(command)
            paths.append(command.directory / "report.json")
        merge = smtpsource(self, "merge", "--report", "all.json", "--threshold", "lost == 0", *paths)
        result = yield merge.whenEnded()
        self.assertEqual(result.status, 3, result)
        both = json.loads((merge.directory / "all.json").read_bytes())
        self.assertJudged(both["ledger"], "fail", lost=1)
        self.assertEqual(both["ledger"]["sent"], 2 * MESSAGES)
        result = yield smtpsource(self, "compare", "--fail-if", "lost > 0", *paths).whenEnded()
        self.assertEqual(result.status, 3, result)
        self.assertRegex(result.out, rb"(?m)^FAIL +lost > 0: 1$")
        self.assertRegex(result.out, rb"(?m)^lost +0 +1 ")

    @defer.inlineCallbacks
    def test_embedded(self):
        """
        A program has the judgement in the summary of its run, and nothing outlives that.
        """
        relay = self.relay(lambda number: int(number != 7))
        plan = SourcePlan(
            destination=relay.destination,
            messageCount=MESSAGES,
            keepConnections=True,
            ledger=self.directory,
            deliverTo=f"127.0.0.1:{self.port}",
            drainQuiet=5.0,
        )
        service = SourceService(reactor, plan)
        service.startService()
        summary = yield service.whenDone()
        self.assertEqual((summary.exit, summary.judgement.verdict, summary.judgement.lost), (1, "fail", 1))
        self.assertEqual(summary.figures().judgement, summary.judgement)

    @defer.inlineCallbacks
    def test_noSTARTTLS(self):
        """
        A server that delivers there is offered no certificate that it could not verify.
        """
        relay = self.relay(lambda number: 0)
        command = self.begin(relay.destination)
        yield eventually(lambda: relay.taken, "a message")
        said = yield deferToThread(self.said)
        command.signal(signal.SIGINT)
        yield command.whenEnded()
        self.assertIn(b"PIPELINING", said)
        self.assertNotIn(b"STARTTLS", said)

    def said(self):
        """
        What the sink has to offer.
        """
        with smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE) as client:
            return client.ehlo()[1]

    @defer.inlineCallbacks
    def test_stoppedEmbedded(self):
        """
        A program may stop it while it waits.
        """
        relay = self.relay(lambda number: int(number != 7))
        plan = SourcePlan(
            destination=relay.destination,
            messageCount=MESSAGES,
            keepConnections=True,
            ledger=self.directory,
            deliverTo=("127.0.0.1", self.port),
        )
        service = SourceService(reactor, plan)
        service.startService()
        yield eventually(lambda: service.progress().state == "delivering", "the end of the load")
        yield service.stopService()
        summary = yield service.whenDone()
        self.assertEqual((summary.ended, summary.judgement.verdict), ("signal", "inconclusive"))

    @defer.inlineCallbacks
    def test_reactors(self):
        """
        So it is in a program with another reactor, of which nothing is left to do when it is over.
        """
        for name in ("selectreactor", "asyncioreactor"):
            relay = self.relay(lambda number: int(number != 7))
            ledger = os.path.join(self.directory, name)
            command = python(self, "-c", PROGRAM, name, relay.destination, MESSAGES, ledger, self.port)
            result = yield command.whenEnded()
            self.assertEqual((result.status, result.out), (0, b"%b fail 1 0\n" % name.encode()), result)

    @defer.inlineCallbacks
    def test_stoppedBefore(self):
        """
        And before it has begun: then nothing was sent, and there is no ledger of that.
        """
        plan = SourcePlan(destination="localhost:1", ledger=self.directory, deliverTo=("127.0.0.1", self.port))
        service = SourceService(reactor, plan)
        service.startService()
        yield eventually(lambda: os.path.exists(self.directory) and os.listdir(self.directory), "the ledger")
        yield service.stopService()
        summary = yield service.whenDone()
        self.assertEqual((summary.ended, summary.reason, summary.errors), ("signal", None, {}))
        self.assertNotIn("ledger", summary.environment)
        self.assertEqual([name for name in os.listdir(self.directory) if name.startswith("source")], [])

    @defer.inlineCallbacks
    def test_twistd(self):
        """
        So it is under twistd.
        """
        relay = self.relay()
        command = self.begin(relay.destination, command=lambda test, *a: twistd(test, "-n", "smtp-source", *a))
        result = yield command.whenEnded()
        self.assertEqual(result.status, 0, result)
        ledger = json.loads((command.directory / "report.json").read_bytes())["ledger"]
        self.assertJudged(ledger, "pass")
        self.assertEqual(ledger["delivered"], MESSAGES)

    @defer.inlineCallbacks
    def test_metrics(self):
        """
        Prometheus sees what has arrived and what has not.
        """
        relay = self.relay(lambda number: int(number < 5))
        command = self.begin(relay.destination, "--metrics-port", "0", "--live", "on")
        match = yield command.whenPrinted(rb"metrics at (\S+)", "err")
        yield command.whenPrinted(rb"delivering; .*\b5 arrived", "err")
        _, _, text = yield deferToThread(get, match[1].decode())
        command.signal(signal.SIGINT)
        for line in ("smtpsource_arrived 5.0", "smtpsource_backlog 15.0", 'state="delivering"} 1.0'):
            self.assertIn(line, text)
        self.assertRegex(text, r'smtpsource_phase_seconds_count\{phase="delivery"\} 5')
        yield self.judged(command)


class RefusedTests(SynchronousTestCase):
    """
    What makes no sense.
    """

    def test_findRate(self):
        """
        A search for a rate is judged by each step's own answers.
        """
        error = self.assertRaises(
            usage.UsageError,
            parsed,
            *("--ledger", self.mktemp(), "--deliver-to", "2525", "--find-rate", "errors == 0", "localhost:25"),
        )
        self.assertTrue(re.match("--deliver-to and --find-rate exclude each other", str(error)), error)
