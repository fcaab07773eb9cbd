"""
Tests for what nobody expected: exceptions in any place of this process, and no memory. Whatever it is, a run ends in
order: each message has one outcome, there is one line, a summary, a report and an exit status.
"""

from __future__ import annotations

import errno
import json
import os
import signal
from unittest import mock

from OpenSSL import SSL
from recording import SILENCE, ServingMixin
from sessions import Server
from slowserver import SlowFactory
from subprocesses import python, reported, smtpsink, smtpsource
from twisted.internet import defer
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import Logger, LogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource.load import measuring, oneprocess, watch, whereabouts
from smtpsource.load.ownsink import SINK_PATIENCE
from smtpsource.load.service import SourceService
from smtpsource.load.session import Session
from smtpsource.load.traffic import traffic as newTraffic
from smtpsource.measure import summing
from smtpsource.plan import SourcePlan
from smtpsource.process.failurelog import FailureObserver
from smtpsource.process.unexpected import FATAL, INTERNAL_ERROR, OUT_OF_MEMORY, named
from smtpsource.report.document import documentOf
from smtpsource.report.ending import conclude
from smtpsource.report.presentation import Presentation
from smtpsource.sink.companion import CompanionFailed
from smtpsource.sink.factory import SinkFactory
from smtpsource.sink.plan import SinkPlan
from smtpsource.sink.service import SinkService
from smtpsource.testing import FakeReactor, FakeTransport, runInMemory


def raised(exception):
    """
    @return: the exception, after it was raised here.
    """
    try:
        raise exception
    except type(exception) as e:
        return e


class NamedTests(SynchronousTestCase):
    """
    Exceptions as one line for people.
    """

    def test_memory(self):
        """
        There are several ways to say that there is no more memory; the line says what would help.
        """
        for exception in (
            MemoryError(),
            OSError(errno.ENOMEM, "Cannot allocate memory"),
            RuntimeError("can't start new thread"),
            SSL.Error([("", "", "malloc failure")]),
        ):
            kind, text = named(raised(exception))
            self.assertEqual(kind, OUT_OF_MEMORY, exception)
            self.assertIn("ulimit -v", text)
        for exception in (OSError(errno.EACCES, "no"), RuntimeError("x"), SSL.Error([("", "", "bad record mac")])):
            self.assertEqual(named(raised(exception))[0], INTERNAL_ERROR, exception)

    def test_place(self):
        """
        Else it is what was raised and where, for a report of the bug; nothing of this machine's directories.
        """
        kind, text = named(raised(ValueError("a\nb")))
        self.assertEqual(kind, INTERNAL_ERROR)
        self.assertRegex(text, r"\AValueError\('a\\nb'\) in raised \(test/test_unexpected\.py:\d+\)\Z")
        self.assertEqual(named(ValueError("x"))[1], "ValueError('x')")

    def test_strange(self):
        """
        Exceptions that can't be shown, or take many lines to be.
        """

        class Long(Exception):
            def __repr__(self):
                return "one\ntwo" + 1000 * "x"

        class Broken(Exception):
            def __repr__(self):
                raise RuntimeError("no")

        text = named(Long())[1]
        self.assertTrue(text.startswith("one twoxxx") and len(text) < 400, text)
        self.assertEqual(named(Broken())[1], "Broken")


class FailingMessage:
    """
    A message, one step of which raises something.
    """

    def __init__(self, message, step, exception):
        self._message = message
        self._step = step
        self._exception = exception

    def __getattr__(self, name):
        if name == self._step:
            raise self._exception
        return getattr(self._message, name)


class FailingTraffic:
    """
    Messages, one of which can't be had.
    """

    def __init__(self, traffic, step, exception, number):
        self._traffic = traffic
        self._step = step
        self._exception = exception
        self._left = number
        self.run, self.wantsSession = traffic.run, traffic.wantsSession

    def next(self):
        message = self._traffic.next()
        self._left -= 1
        if self._left:
            return message
        if self._step == "next":
            raise self._exception
        return FailingMessage(message, self._step, self._exception)


#: By name: options of a plan, and the steps of a message that there are.
WITH_DATA = ("next", "mail", "recipientCommands", "content")
WITH_BDAT = ("next", "mail", "recipientCommands", "bdatContent")
MODES = {
    "lock-step": ({}, WITH_DATA),
    "kept": ({"keepConnections": True}, WITH_DATA),
    "paused": ({"keepConnections": True, "fixedInterval": 0.2}, WITH_DATA),
    "between": ({"fixedInterval": 0.2}, WITH_DATA),
    "ramp-up": ({"keepConnections": True, "rampUp": 2.0}, WITH_DATA),
    "warm-up": ({"keepConnections": True, "warmUp": 0.01, "fixedInterval": 0.002}, WITH_DATA),
    "LMTP": ({"keepConnections": True, "lmtp": True, "recipientCount": 3}, WITH_DATA),
    "pipelined": ({"keepConnections": True, "pipelining": "force"}, WITH_DATA),
    "large": ({"keepConnections": True, "length": 300_000}, WITH_DATA),
    "chunked": ({"keepConnections": True, "chunking": "force"}, WITH_BDAT),
    "window": ({"keepConnections": True, "chunking": "force", "pipelining": "force", "window": 5}, WITH_BDAT),
    "open loop": ({"rate": 100.0}, WITH_DATA),
    "open loop, kept": ({"rate": 100.0, "keepConnections": True}, WITH_DATA),
    "open loop, window": (
        {"rate": 1000.0, "keepConnections": True, "chunking": "force", "pipelining": "force", "window": 5},
        WITH_BDAT,
    ),
    "stages": ({"rate": None, "stages": ((0.0, 3.0), (3.0, 3.0)), "stagesOf": "sessions"}, WITH_DATA),
}


class StepTests(SynchronousTestCase):
    """
    Taking, making or sending a message raises something, in whatever way messages are sent.
    """

    def check(self, exception, kind, number, sessions):
        """
        All modes, all steps.
        """
        for mode, (options, steps) in MODES.items():
            for step in steps:
                where = mode, step, number, sessions
                plan = SourcePlan(
                    destination="127.0.0.1",
                    myhostname="me",
                    tolerant=True,
                    sessionCount=sessions,
                    grace=2.0,
                    **({} if "stages" in options else {"messageCount": 8}),
                    **{name: value for name, value in options.items() if value is not None},
                )
                server = SinkFactory(SinkPlan(lmtp=plan.lmtp), lambda: 0.0)
                reactor = FakeReactor()

                def failing(plan, *others, step=step):
                    return FailingTraffic(newTraffic(plan, *others), step, exception, number)

                with mock.patch("smtpsource.load.run.newTraffic", failing):
                    summary = runInMemory(plan, server, reactor=reactor, limit=20.0)
                messages = summary.messages
                self.assertEqual(messages.started, messages.accepted + messages.rejected + messages.failed, where)
                self.assertGreaterEqual(messages.failed + (summary.warmUp or {"failed": 0})["failed"], 1, where)
                self.assertLessEqual(messages.accepted, server.counts.messages, where)
                if sessions == 1 and "window" not in mode and mode != "warm-up":
                    # In a group, a message fails along with the one before it.
                    failed = messages.failed - ("pipelined" in mode and step != "next" and messages.failed == 2)
                    self.assertEqual((messages.started, failed), (number, 1), where)
                    self.assertEqual(messages.accepted, server.counts.messages, where)
                self.assertEqual((summary.exit, summary.ended), (1, "aborted"), where)
                self.assertEqual(summary.reason, f"{kind}: {named(exception)[1]}", where)
                self.assertTrue(mode == "warm-up" or kind in summary.errors, where)
                self.assertEqual(reactor.getDelayedCalls(), [], where)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_memory(self):
        """
        No memory for a message.
        """
        for number, sessions in ((3, 1), (5, 3)):
            self.check(MemoryError(), OUT_OF_MEMORY, number, sessions)

    def test_defect(self):
        """
        A defect, of this program or of somebody's own traffic.
        """
        self.check(AttributeError("x"), INTERNAL_ERROR, 2, 2)

    def test_everything(self):
        """
        Each message raises something, as where there is no memory any more.
        """

        class Traffic(FailingTraffic):
            def next(self):
                self._left = 1
                return super().next()

        for options, steps in MODES.values():
            for step in steps:

                def failing(plan, *others, step=step):
                    return Traffic(newTraffic(plan, *others), step, MemoryError(), 1)

                options = {name: value for name, value in options.items() if value is not None}
                if "stages" not in options:
                    options["messageCount"] = 1000
                plan = SourcePlan(destination="127.0.0.1", tolerant=True, sessionCount=30, **options)
                server = SinkFactory(SinkPlan(lmtp=plan.lmtp), lambda: 0.0)
                with mock.patch("smtpsource.load.run.newTraffic", failing):
                    summary = runInMemory(plan, server, limit=20.0)
                messages = summary.messages
                failed = messages.failed + (summary.warmUp or {"failed": 0})["failed"]
                self.assertTrue(messages.started == messages.failed and failed, (options, step, summary))


class PlacesTests(SynchronousTestCase):
    """
    Other places of a run that raise something.
    """

    def run_(self, server=None, **plan):
        """
        @return: the summary, after it was checked that the run was ended by an internal error.
        """
        reactor = FakeReactor()
        plan = {"messageCount": 1000, "keepConnections": True, "tolerant": True, **plan}
        server = SlowFactory(reactor, 10.0) if server is None else server
        summary = runInMemory(SourcePlan(**plan), server, reactor=reactor, limit=100.0)
        messages = summary.messages
        self.assertEqual(messages.started, messages.accepted + messages.rejected + messages.failed)
        self.assertEqual((summary.exit, summary.ended), (1, "aborted"))
        self.assertRegex(summary.reason, "^internal-error: .*'a defect'")
        self.assertIn("internal-error", summary.errors)
        self.assertEqual(reactor.getDelayedCalls(), [])
        self.assertEqual(self.flushLoggedErrors(), [])
        return summary

    def defect(self, *arguments, **more):
        raise ValueError("a defect")

    def test_sweep(self):
        """
        What looks for replies that are overdue: the run does not go on without it.
        """
        self.patch(Session, "sweep", self.defect)
        self.assertLess(self.run_(timeout=10.0).elapsed, 10.0)

    def test_watch(self):
        """
        What takes a sample each second. The end can't take the last one either, and does without.
        """
        take = watch.take
        times = []

        def failing(*arguments):
            times.append(1)
            return take(*arguments) if len(times) < 4 else self.defect()

        self.patch(watch, "take", failing)
        summary = self.run_()
        self.assertGreater(summary.messages.accepted, 5)
        self.assertLess(summary.elapsed, 10.0)

    def test_connecting(self):
        """
        Making the protocol of a connection.
        """
        with mock.patch("smtpsource.load.run.SMTPSourceProtocol", self.defect):
            for options in ({}, {"sessionCount": 5}, {"rate": 10.0}):
                summary = self.run_(**options)
                self.assertEqual(summary.connectionsOpened, 0)
                self.assertEqual(summary.messages.started, summary.messages.failed)

    def test_beginning(self):
        """
        Making a session, for the first or for a later one.
        """
        for number in (1, 2, 30):
            made = []
            begin = Session.__init__

            def failing(self, *arguments, made=made, begin=begin, number=number):
                made.append(1)
                if len(made) == number:
                    raise ValueError("a defect")
                begin(self, *arguments)

            for options in ({}, {"rampUp": 5.0}, {"rate": 20.0}):
                made.clear()
                with mock.patch.object(Session, "__init__", failing):
                    self.run_(sessionCount=50, **options)

    def test_resolving(self):
        """
        Looking for the destination.
        """
        for found in (self.defect, lambda *arguments: defer.fail(ValueError("a defect"))):
            self.patch(whereabouts, "resolve", found)
            self.assertEqual(self.run_().messages.started, 0)

    def test_lost(self):
        """
        Sessions that don't end, whatever they are told, are struck off, and what they had has failed.
        """
        self.patch(Session, "abort", lambda self: None)
        self.patch(Session, "stop", lambda self: None)
        reactor = FakeReactor(Server(lambda connection, event, usual: None if event == b"MAIL" else usual))
        plan = SourcePlan(destination="127.0.0.1", sessionCount=3, messageCount=3)
        source = SourceService(reactor, plan, clock=reactor.seconds)
        source.startService()
        reactor.pump([0.0] * 10)
        source.stopService()
        reactor.advance(plan.grace)
        self.assertNoResult(source.whenDone())
        reactor.pump([1.0] * 2)
        summary = self.successResultOf(source.whenDone())
        self.assertEqual((summary.messages.started, summary.messages.failed), (3, 3))
        self.assertRegex(summary.reason, "^internal-error: sessions that did not end when they were aborted: 3$")


class SummaryTests(SynchronousTestCase):
    """
    The making of the summary raises something: there is one all the same.
    """

    PARTS = ("environment", "bucketsOf", "latenciesOf", "repliesOf", "errorsOf", "limits", "processTime")

    def test_parts(self):
        """
        A part that can't be made is left out: the run has failed, and the rest is right.
        """
        for part in self.PARTS:
            for exception, kind in ((ValueError("x"), INTERNAL_ERROR), (MemoryError(), OUT_OF_MEMORY)):
                reactor = FakeReactor(SinkFactory(SinkPlan(), lambda: 0.0))
                source = SourceService(reactor, SourcePlan(destination="127.0.0.1", messageCount=5))
                source.startService()
                module = next(one for one in (measuring, summing, oneprocess) if hasattr(one, part))
                with mock.patch.object(module, part, side_effect=exception):
                    reactor.pump([0.0] * 200)
                    summary = self.successResultOf(source.whenDone())
                self.assertEqual((summary.messages.accepted, summary.messages.failed), (5, 0), part)
                self.assertEqual((summary.exit, summary.ended), (1, "aborted"), part)
                self.assertTrue(summary.reason.startswith(kind), (part, summary.reason))
                if part != "errorsOf":
                    self.assertIn(kind, summary.errors)
                json.dumps(documentOf(summary))
                self.successResultOf(source.stopService())
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_thresholds(self):
        """
        Thresholds that can't be judged have not passed.
        """
        plan = SourcePlan(destination="127.0.0.1", messageCount=5, thresholds=("errors < 1%",))
        with mock.patch("smtpsource.measure.thresholds.Threshold.check", side_effect=ValueError("x")):
            summary = runInMemory(plan, SinkFactory(SinkPlan(), lambda: 0.0))
        self.assertEqual((summary.exit, summary.thresholds), (1, ()))


class CompanionTests(SynchronousTestCase):
    """
    The sink of C{sink:} does not end as it should.
    """

    def end(self, stop, wait=0.0):
        """
        @return: the summary of a run whose sink is stopped in this way.
        """

        class Companion:
            def __init__(self, reactor, **options):
                pass

            def start(self):
                return defer.succeed(25)

            def stop(self):
                return stop()

        with mock.patch("smtpsource.load.ownsink.CompanionSink", Companion):
            reactor = FakeReactor(SinkFactory(SinkPlan(), lambda: 0.0))
            source = SourceService(reactor, SourcePlan(destination="sink:", messageCount=5), clock=reactor.seconds)
            source.startService()
            reactor.pump([0.0] * 200)
        if wait:
            self.assertNoResult(source.whenDone())
            reactor.advance(wait)
        summary = self.successResultOf(source.whenDone())
        self.assertEqual(summary.messages.accepted, 5)
        self.assertEqual((summary.exit, reactor.getDelayedCalls()), (1, []))
        return summary

    def test_ends(self):
        """
        It ends without a report, or with a strange one, or not at all; or stopping it is not possible.
        """
        self.assertIn("no-sink-report", self.end(lambda: defer.fail(CompanionFailed("x"))).errors)
        self.assertIn("no-sink-report", self.end(lambda: {}["x"]).errors)
        self.assertIn("internal-error", self.end(lambda: defer.succeed({})).errors)
        never = self.end(defer.Deferred, SINK_PATIENCE)
        self.assertEqual(never.reason, "the companion sink did not end within 20 seconds")


class FailureObserverTests(SynchronousTestCase):
    """
    Failures in the log of a process that is all ours.
    """

    def setUp(self):
        self.clock = FakeReactor()
        self.broken = []
        self.told = []
        observer = FailureObserver(self.clock, lambda *what: self.broken.append(what), self.told.append)
        self.log = Logger(observer=LogPublisher(observer))

    def fail(self, exception, **event):
        self.log.failure("while handling timed call", Failure(exception), **event)
        self.clock.advance(0)

    def test_told(self):
        """
        People are told of each in one line, once.
        """
        for _ in range(3):
            self.fail(raised(ValueError("x")))
        self.fail(raised(ValueError("y")))
        self.log.info("no failure")
        self.assertEqual(
            [line.split(" in ")[0] for line in self.told], [f"internal-error: ValueError('{c}')" for c in "xy"]
        )
        self.assertEqual(self.broken, [])

    def test_many(self):
        """
        However many there are, people are not told of more than they would read.
        """
        for number in range(1000):
            self.fail(ValueError(number))
        self.assertLess(len(self.told), 30)

    def test_broken(self):
        """
        No memory, or a reactor that does not go on: what runs has to end.
        """
        for _ in range(3):
            self.fail(raised(MemoryError()))
        self.fail(ValueError("poll"), **{FATAL: True})
        self.assertEqual([kind for kind, _ in self.broken], [OUT_OF_MEMORY, INTERNAL_ERROR])
        self.assertEqual(self.told, [])

    def test_run(self):
        """
        So a run ends, wherever it is raised, and also before it has found its destination.
        """
        plan = SourcePlan(destination="127.0.0.1", messageCount=1000, fixedInterval=0.1)
        for turns in (0, 3, 40):
            reactor = FakeReactor(SinkFactory(SinkPlan(), lambda: 0.0))
            source = SourceService(reactor, plan, clock=reactor.seconds)
            log = Logger(observer=LogPublisher(FailureObserver(reactor, source.breakDown)))
            source.startService()
            reactor.pump([0.02] * turns)
            log.failure("x", Failure(MemoryError()))
            reactor.pump([0.02] * 5)
            summary = self.successResultOf(source.whenDone())
            self.assertEqual((summary.exit, summary.messages.failed), (1, 0))
            self.assertTrue(summary.reason.startswith(OUT_OF_MEMORY))


class ConcludeTests(SynchronousTestCase):
    """
    Showing a result raises something.
    """

    def setUp(self):
        self.report = os.path.abspath(self.mktemp())
        self.said = []
        self.result = runInMemory(SourcePlan(messageCount=3), SinkFactory(SinkPlan(), lambda: 0.0))
        self.presentation = Presentation("smtp-source", report=self.report)
        self.patch(Presentation, "complain", lambda presentation, text: self.said.append(text))
        self.patch(Presentation, "tellResult", lambda presentation, text, patience: self.said.append(text) is None)

    def conclude(self, stop=lambda: None, render=lambda summary: "text\n"):
        return conclude(self.presentation, stop, self.result, render, documentOf, self.result.reason)

    def test_fine(self):
        """
        If nothing does, this is what is shown.
        """
        self.assertEqual((self.conclude(), self.said), (0, ["text\n"]))
        self.assertEqual(self.written()["exit"], 0)

    def written(self):
        with open(self.report) as file:
            return json.load(file)

    def defect(self, *arguments):
        raise ValueError("a defect")

    def test_view(self):
        """
        What was shown before is no part of the result.
        """
        self.assertEqual(self.conclude(stop=self.defect), 0)
        self.assertEqual(self.said[1:], ["text\n"])
        self.assertRegex(self.said[0], "^internal-error: ValueError.'a defect'.")
        self.assertEqual(self.written()["exit"], 0)

    def test_text(self):
        """
        Without the text there is the report, of a run that has failed.
        """
        self.assertEqual(self.conclude(render=self.defect), 1)
        report = self.written()
        self.assertEqual((report["exit"], report["ended"], report["messages"]["accepted"]), (1, "aborted", 3))
        self.assertRegex(report["reason"], "^internal-error: ValueError.'a defect'.")

    def test_report(self):
        """
        Without what makes the report impossible there is one.
        """
        with mock.patch("smtpsource.report.document.encode", self.defect):
            self.assertEqual(self.conclude(), 1)
        report = self.written()
        self.assertEqual((report["exit"], report["messages"]["accepted"], report["histograms"]), (1, 3, {}))

    def test_nothing(self):
        """
        Nothing can be shown at all: there is an exit status.
        """
        for name in ("show", "writeFiles", "complain"):
            self.patch(Presentation, name, self.defect)
            self.assertEqual(self.conclude(self.defect, self.defect), 1)

    def test_memory(self):
        """
        No memory for the report.
        """
        with mock.patch("smtpsource.report.document.encode", side_effect=MemoryError):
            self.assertEqual(self.conclude(), 1)
        self.assertTrue(self.said[-1].startswith(OUT_OF_MEMORY), self.said)
        self.assertEqual(self.written()["exit"], 1)


class SinkTests(SynchronousTestCase):
    """
    A sink in which something is raised.
    """

    def setUp(self):
        self.reactor = MemoryReactorClock()
        self.sink = SinkService(self.reactor, SinkPlan())
        self.sink.startService()

    def connect(self, exception):
        """
        A connection that ends by this exception.
        """
        protocol = self.sink.factory.buildProtocol(None)
        transport = FakeTransport(self.reactor)
        transport.protocol = protocol
        protocol.makeConnection(transport)
        transport.drop(exception)

    def test_defect(self):
        """
        A session that raises something is over, the sink is not; but in the end it has failed.
        """
        self.connect(ValueError("x"))
        self.connect(ValueError("y"))
        self.reactor.advance(100)
        self.assertNoResult(self.sink.whenDone())
        self.sink.stopService()
        self.reactor.advance(0)
        summary = self.successResultOf(self.sink.whenDone())
        self.assertEqual((summary.exit, summary.ended), (1, "signal"))
        self.assertEqual(summary.reason, "internal-error: ValueError('x')")
        self.assertEqual(summary.errors[INTERNAL_ERROR][0], 2)
        self.assertEqual(summary.asDict()["reason"], summary.reason)

    def test_memory(self):
        """
        Without memory it ends.
        """
        self.connect(MemoryError())
        self.reactor.advance(0)
        summary = self.successResultOf(self.sink.whenDone())
        self.assertEqual((summary.exit, summary.ended), (1, "aborted"))
        self.assertTrue(summary.reason.startswith(OUT_OF_MEMORY))
        self.assertIn("before its time", summary.asText())

    def test_sweep(self):
        """
        What looks for idle sessions goes on.
        """
        swept = []

        def sweep():
            swept.append(1)
            raise ValueError("x")

        with mock.patch.object(SinkFactory, "sweep", lambda *arguments: sweep()):
            sink = SinkService(self.reactor, SinkPlan())
            sink.startService()
            self.reactor.pump([1.0] * 6)
        self.assertGreaterEqual(len(swept), 5)
        sink.stopService()
        self.assertEqual(self.successResultOf(sink.whenDone()).exit, 1)

    def test_summary(self):
        """
        A summary that can't be made as a whole is one all the same.
        """
        with mock.patch("smtpsource.sink.summary.SinkCounts.extensions", side_effect=ValueError("x")):
            self.sink.stopService()
            summary = self.successResultOf(self.sink.whenDone())
        self.assertEqual((summary.exit, summary.reason.split(" in ")[0]), (1, "internal-error: ValueError('x')"))


#: Runs a command with a limit of memory: so many bytes more than it has when its service is started.
LIMITED = """
import resource, sys
from smtpsource import SinkService, SourceService
extra, name = int(sys.argv.pop(1)), sys.argv.pop(1)
kind = SinkService if name == "smtpsink" else SourceService
start = kind.startService
def limited(self):
    start(self)
    size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + extra, resource.RLIM_INFINITY))
kind.startService = limited
sys.argv[0] = name
if name == "smtpsink":
    from smtpsource.sink.__main__ import main
else:
    from smtpsource.__main__ import main
main()
"""

#: Runs the command with an epoll(7) that works a hundred times.
NO_EVENTS = """
import sys
from twisted.internet import epollreactor
class Poller:
    def __init__(self, *arguments, epoll=epollreactor.epoll):
        self._epoll = epoll(*arguments)
        self._left = 100
    def poll(self, *arguments):
        self._left -= 1
        if self._left < 0:
            raise EXCEPTION
        return self._epoll.poll(*arguments)
    def __getattr__(self, name):
        return getattr(self._epoll, name)
epollreactor.epoll = Poller
from smtpsource.__main__ import main
main()
"""


class MemoryTests(ServingMixin, TestCase):
    """
    The commands with a limit of memory, as by C{ulimit -v}.
    """

    timeout = 240

    def limited(self, name, megabytes, *arguments):
        """
        @return: a command with so much memory more than it begins with.
        """
        return python(self, "-c", LIMITED, int(megabytes * 1024 * 1024), name, *arguments)

    @defer.inlineCallbacks
    def runsOut(self, megabytes, *arguments):
        """
        A run that has too little memory ends in order: one line, a summary, a report in which each message has an
        outcome, and status 1.

        @return: a Deferred of the messages' counts.
        """
        command = self.limited("smtpsource", megabytes, "-A", "--report", "report", *arguments)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1, result)
        said = rb"out-of-memory: there is no memory left: expected [^\n]*"
        # A busy machine may be slow to greet so many.
        self.assertRegex(result.err, rb"\A(smtpsource: no banner for 5 s: [^\n]*\n)?smtpsource: %b\n\Z" % said)
        self.assertRegex(result.out, rb"(?m)^out-of-memory +\d+ ")
        report = reported((command.directory / "report").read_bytes(), result)
        self.assertEqual((report["exit"], report["ended"]), (1, "aborted"))
        self.assertTrue(report["reason"].startswith("out-of-memory"))
        self.assertIn("no memory was left", " ".join(report["limits"]))
        return report["messages"]

    @defer.inlineCallbacks
    def load(self, megabytes, *arguments):
        """
        The same with a sink, which has counted at least as many messages as were accepted.
        """
        sink = smtpsink(self, "--report", "report", "127.0.0.1:0")
        where = (yield sink.whenPrinted(rb"^listening on inet:(\S+)$"))[1].decode()
        messages = yield self.runsOut(megabytes, *arguments, where)
        sink.signal(signal.SIGTERM)
        yield sink.whenEnded()
        self.assertLessEqual(messages["accepted"], json.loads((sink.directory / "report").read_bytes())["messages"])
        return messages

    def test_sessions(self):
        """
        More sessions than there is room for.
        """
        return self.load(1, "-d", "-s", "3000", "-m", "100000")

    def test_tls(self):
        """
        TLS takes more for each.
        """
        return self.load(4, "-d", "-s", "1000", "-m", "100000", "--tls", "starttls")

    @defer.inlineCallbacks
    def test_sizes(self):
        """
        Messages that are too large, some of them.
        """
        sizes = "uniform:1k-60m"
        messages = yield self.load(24, "-d", "-s", "2", "-m", "1000", "--size-distribution", sizes, "--seed", "1")
        self.assertGreaterEqual(messages["failed"], 1)

    def test_window(self):
        """
        Windows of many messages.
        """
        window = ["--esmtp", "--pipelining", "force", "--chunking", "force", "--window", "100"]
        return self.load(1, "-d", "-s", "500", "-m", "1000000", "-l", "50k", *window)

    @defer.inlineCallbacks
    def test_openLoop(self):
        """
        A server that says nothing, and a schedule that wants more and more sessions.
        """
        server = self.serve({"BANNER": SILENCE})
        messages = yield self.runsOut(1, "--rate", "5000/s", "-s", "3000", "-m", "100000", server.destination)
        self.assertEqual(messages["failed"], messages["started"])

    @defer.inlineCallbacks
    def test_poll(self):
        """
        Events can't be waited for any more: that is the end, and SIGTERM would be as well.
        """
        server = self.serve()
        for exception in ("MemoryError()", "OSError(9, 'Bad file descriptor')"):
            command = python(
                self, "-c", NO_EVENTS.replace("EXCEPTION", exception), "-d", "-m", "100000", server.destination
            )
            result = yield command.whenEnded()
            self.assertEqual(result.status, 1, result)
            self.assertRegex(result.err, rb"\Asmtpsource: (out-of-memory|internal-error: OSError)[^\n]*\n\Z")
            self.assertRegex(result.out, rb"(?m)^messages +\d+ started, \d+ accepted, 0 rejected, 1 failed$")

    @defer.inlineCallbacks
    def test_sink(self):
        """
        A sink without memory ends in order, too.
        """
        sink = self.limited("smtpsink", 1, "--report", "report", "127.0.0.1:0")
        where = (yield sink.whenPrinted(rb"^listening on inet:(\S+)$"))[1].decode()
        source = smtpsource(self, "-d", "-s", "3000", "-m", "3000", "--hold", "60", where)
        result = yield sink.whenEnded()
        self.assertEqual(result.status, 1, result)
        self.assertRegex(result.err, rb"\Asmtpsink: out-of-memory: there is no memory left: expected [^\n]*\n\Z")
        report = json.loads((sink.directory / "report").read_bytes())
        self.assertEqual((report["exit"], report["ended"]), (1, "aborted"))
        self.assertTrue(report["reason"].startswith("out-of-memory"))
        source.signal(signal.SIGTERM)
        yield source.whenEnded()
