"""
Tests for C{smtpsource --workers}: real processes, and one result that is exact.
"""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import sys
from pathlib import Path
from xml.etree import ElementTree

from commandlines import CommandTestCase
from recording import Held
from subprocesses import Command, loadAndReport, python, reported, smtpsource, twistd, whenGone
from twisted.internet import defer

from smtpsource import SourcePlan, SourceService
from smtpsource.ledger import records
from smtpsource.measure.recorder import Recorder
from smtpsource.measure.series import COUNTED, Series
from smtpsource.measure.summary import Summary, bucketsOf, countsOf, errorsOf, latenciesOf, repliesOf
from smtpsource.report.schema import problems
from smtpsource.tools.merging import merge

#: Seconds that one who is told to end may take.
GRACE = "1"


class ExactTests(CommandTestCase):
    """
    What is counted is what was done, whoever has done it.
    """

    @defer.inlineCallbacks
    def check(self, *options, messages, sessions=None):
        """
        @return: the report of a run against a sink of its own, all of whose messages were accepted.
        """
        result, report = yield loadAndReport(self, *options, "sink:")
        self.assertEqual(result.status, 0, result)
        self.assertEqual(list(problems(report)), [])
        counts = report["messages"]
        self.assertEqual((counts["started"], counts["accepted"]), (messages, messages))
        warmUp = report["warmup"]
        self.assertEqual(report["sink"]["messages"], messages + (warmUp["accepted"] if warmUp else 0))
        self.assertEqual(sum(sample["accepted"] for sample in report["series"]), messages)
        self.assertEqual(report["latency"]["transaction"]["count"], messages)
        self.assertEqual(report["incomplete"], [])
        if sessions is not None:
            self.assertEqual(report["connections"]["opened"], sessions)
            self.assertEqual(report["addresses"][next(iter(report["addresses"]))]["opened"], sessions)
        return report

    @defer.inlineCallbacks
    def test_count(self):
        """
        Of a closed loop's messages each is sent once; sessions are shared out.
        """
        report = yield self.check("--workers", "2", "-d", "-s", "5", "-m", "1001", messages=1001, sessions=5)
        workers = report["environment"]["workers"]
        self.assertEqual(sum(worker["accepted"] for worker in workers), 1001)
        self.assertEqual(len({worker["pid"] for worker in workers}), 2)
        self.assertEqual([(worker["core"], worker["lost"]) for worker in workers], [(None, None)] * 2)
        used = sum(sum(worker["cpu"].values()) for worker in workers)
        self.assertGreater(sum(report["cpu"].values()), used)

    @defer.inlineCallbacks
    def test_few(self):
        """
        So it is if there are hardly any messages, each on a connection of its own.
        """
        yield self.check("--workers", "3", "-s", "3", "-m", "4", messages=4, sessions=4)

    @defer.inlineCallbacks
    def test_stages(self):
        """
        Sessions that join and leave are shared out: how many there are is what the stages say.
        """
        stages = ("--stages-of", "sessions", "--stages", "0:2,1s:4")
        report = yield self.check("--workers", "2", "-d", *stages, "-m", "50", messages=50)
        self.assertEqual(len(report["environment"]["workers"]), 2)

    @defer.inlineCallbacks
    def test_warmUp(self):
        """
        After a warm-up there are exactly as many as were asked for.
        """
        options = ("--workers", "2", "-d", "-s", "4", "-m", "2000", "--warmup", "0.5")
        report = yield self.check(*options, messages=2000)
        self.assertGreater(report["warmup"]["accepted"], 0)

    @defer.inlineCallbacks
    def test_rate(self):
        """
        Each worker starts its part of one schedule.
        """
        options = ("--workers", "2", "-d", "-s", "4", "--rate", "100/s", "--duration", "2")
        report = yield self.check(*options, messages=200)
        self.assertEqual((report["asked"], report["askedRate"], report["dropped"]), (200, 100.0, 0))
        self.assertEqual([worker["started"] for worker in report["environment"]["workers"]], [100, 100])

    @defer.inlineCallbacks
    def test_numbers(self):
        """
        Each message has a number of its own, from 1 on, as in a run of one process.
        """
        server = self.serve()
        options = ("-N", "-d", "-s", "4", "-m", "50", "-t", "u@example.com")
        result = yield smtpsource(self, "--workers", "2", *options, server.destination).whenEnded()
        self.assertEqual(result.status, 0, result)
        several = sorted(line for line in server.lines if line.startswith(b"RCPT"))
        self.assertEqual(several, sorted(b"RCPT TO:<%du@example.com>" % number for number in range(1, 51)))

    @defer.inlineCallbacks
    def test_merged(self):
        """
        The result is what C{smtpsource merge} would make of the workers' own: all that is counted, all latencies,
        replies and errors, and the sums of the series.
        """
        from twisted.internet import reactor

        server, directory = self.serve({"RCPT": [None, "450 later", "550 no"] * 20}), os.path.abspath(self.mktemp())
        plan = SourcePlan(
            destination=server.destination,
            messageCount=300,
            sessionCount=8,
            workers=4,
            tolerant=True,
            esmtp=True,
            ledger=directory,
        )
        service = SourceService(reactor, plan)
        frames = [[] for _ in range(4)]
        add = service._run._gathering.add
        service._run._gathering.add = lambda index, frame: (frames[index].append(frame), add(index, frame))
        service.startService()
        whole = yield service.whenDone()
        merged = merge([self.summary(whole, each) for each in frames])
        self.assertEqual(whole.messages.started, 300)
        self.assertEqual(whole.messages.rejected, 40)
        self.assertEqual(merged.counters(), whole.counters())
        self.assertEqual(
            {name: [count for count in counts if count] for name, counts in merged.buckets.items()},
            {name: [count for count in counts if count] for name, counts in whole.buckets.items()},
        )
        self.assertEqual(merged.latency, whole.latency)
        for name in merged.latency:
            self.assertEqual(merged.percentile(name, 99), whole.percentile(name, 99))
        self.assertEqual(self.tallies(merged.replies), self.tallies(whole.replies))
        self.assertEqual(merged.errors.keys(), whole.errors.keys())
        for name in set(COUNTED) - {"open"}:
            sums = [sum(getattr(sample, name) for sample in run.series) for run in (merged, whole)]
            self.assertEqual(*sums, name)

        # What each has noted itself, of each message that it has sent, is the same.
        noted = {}
        for path in whole.environment["ledger"]:
            octets = Path(path).read_bytes()
            header, start = records.parseHeader(octets)
            kinds = octets[start :: records.SIZE]
            noted[header["worker"]["index"]] = kinds.count(records.INTENT)
            self.assertEqual(kinds.count(records.OUTCOME), kinds.count(records.INTENT))
        told = [worker["accepted"] for worker in whole.environment["workers"]]
        self.assertEqual([noted[index] for index in range(4)], told)

    def tallies(self, replies):
        return {phase: {code: tally.count for code, tally in codes.items()} for phase, codes in replies.items()}

    def summary(self, whole, frames):
        """
        @return: the summary of one worker, as if it had been a run.
        """
        recorder, series = Recorder(), Series()
        for frame in frames:
            frame.addTo(recorder)
            if frame.seconds:
                series.add(frame)
        values = {
            field: getattr(whole, field) for field in ("command", "reactor", "started", "exit", "ended", "reason")
        }
        return Summary(
            **values,
            **countsOf(recorder),
            elapsed=frames[-1].at,
            rate=0.0,
            user=sum(frame.cpu[0] for frame in frames),
            system=sum(frame.cpu[1] for frame in frames),
            latency=latenciesOf(recorder),
            capabilities=recorder.capabilities or {},
            tls=dict(recorder.tls),
            replies=repliesOf(recorder),
            errors=errorsOf(recorder),
            series=series.samples,
            buckets=bucketsOf(recorder),
        )

    @defer.inlineCallbacks
    def test_enough(self):
        """
        There are no more workers than sessions or messages, and that is told; where one is enough there is no child.
        """
        server = self.serve()
        result, report = yield loadAndReport(self, "--workers", "3", "-s", "2", "-m", "9", server.destination)
        self.assertEqual(len(report["environment"]["workers"]), 2)
        self.assertOneLine(result.err, b"3 workers were asked for, and 2 can have a session and a message each")
        result, report = yield loadAndReport(self, "--workers", "auto", "-m", "9", server.destination)
        self.assertNotIn("workers", report["environment"])
        self.assertEqual((result.status, result.err), (0, b""))

    @defer.inlineCallbacks
    def test_openFiles(self):
        """
        Each worker may have as many open files as one process may: only its share of the sessions counts.
        """
        server = self.serve()
        limited = ["/bin/sh", "-c", 'ulimit -n 100; exec "$@"', "sh", sys.executable, "-m", "smtpsource"]
        options = ["-d", "-s", "120", "-m", "120", "--report", "-", "--quiet", server.destination]
        result = yield Command(self, [*limited, "--workers", "3", *options]).whenEnded()
        self.assertEqual(result.status, 0, result)
        self.assertEqual(reported(result.out, result)["connections"]["opened"], 120)
        result = yield Command(self, [*limited, "--workers", "2", *options]).whenEnded()
        self.assertEqual(result.status, 2, result)
        self.assertOneLine(
            result.err,
            b"smtpsource: -s (--session-count): 120 sessions need more open files than each of 2 workers may have: "
            b"expected at most 100, or a higher limit",
        )

    @defer.inlineCallbacks
    def test_pipes(self):
        """
        More workers than this process may have pipes to are refused at once; as many as it says can be had.
        """
        limited = ["/bin/sh", "-c", 'ulimit -n 62; exec "$@"', "sh", sys.executable, "-m", "smtpsource"]
        options = ("-s", "24", "-m", "24", self.serve().destination)
        result = yield Command(self, [*limited, "--workers", "24", *options]).whenEnded()
        self.assertEqual((result.status, result.out), (2, b""))
        self.assertOneLine(
            result.err,
            b"smtpsource: --workers: 24 workers need more open files than this process may have: "
            b"expected at most 3, or a higher limit (ulimit -Hn) (see smtpsource --help)",
        )
        result = yield Command(self, [*limited, "--workers", "3", *options]).whenEnded()
        self.assertEqual(result.status, 0, result)

    @defer.inlineCallbacks
    def test_pin(self):
        """
        With --pin each has a processor.
        """
        workers = str(min(2, len(os.sched_getaffinity(0))))
        result, report = yield loadAndReport(self, "--workers", workers, "--pin", "-s", "2", "-m", "9", "sink:")
        self.assertEqual(result.status, 0, result)
        cores = [worker["core"] for worker in report["environment"].get("workers", [])]
        self.assertEqual(cores, sorted(os.sched_getaffinity(0))[: len(cores)])


class FacesTests(CommandTestCase):
    """
    What a user sees is one run.
    """

    @defer.inlineCallbacks
    def test_files(self):
        """
        All forms of a result, and the counter.
        """
        options = (
            "--report",
            "r.json",
            "--csv",
            "c.csv",
            "--hlog",
            "h.hlog",
            "--junit",
            "j.xml",
            "-c",
            "--live",
            "off",
        )
        command = smtpsource(self, "--workers", "2", "-d", "-s", "2", "--rate", "50", "-m", "100", *options, "sink:")
        result = yield command.whenEnded()
        self.assertEqual(result.status, 0, result)
        self.assertNoTraceback(result)
        self.assertIn(b"passed       all 100 messages accepted", result.out)
        self.assertRegex(
            result.out, rb"(?m)^workers +2, messages of each \d+, \d+; CPU of each \d+\.\d\d, \d+\.\d\d s\b"
        )
        self.assertIn(b"100", result.out + result.err)
        files = command.directory
        report = json.loads((files / "r.json").read_bytes())
        self.assertEqual(list(problems(report)), [])
        rows = list(csv.DictReader(io.StringIO((files / "c.csv").read_text())))
        self.assertEqual(sum(int(row["accepted"]) for row in rows), 100)
        self.assertIn(",transaction,", (files / "h.hlog").read_text().replace("Tag=", ",").replace(",,", ","))
        suite = ElementTree.parse(files / "j.xml").getroot()
        self.assertEqual(suite.findall(".//failure"), [])

    @defer.inlineCallbacks
    def test_live(self):
        """
        The live view has a line for each second, with all of them in it; and so has Prometheus.
        """
        held = Held()
        server = self.serve({"DATA": (held, None)})
        options = ("-d", "-s", "4", "--duration", "1h", "--live", "on", "--metrics-port", "0")
        command = smtpsource(self, "--workers", "2", *options, server.destination)
        yield server.when(lambda: server.count("DATA") == 4)
        yield command.whenPrinted(rb"(?m)^.*\b4 sessions?\b|sessions +4|4 open", "err")
        match = yield command.whenPrinted(rb"http://\S+", "err")
        text = yield self.fetched(match[0].decode().rstrip("."))
        self.assertRegex(text, rb"(?m)^smtpsource_messages_started_total 4")
        held.release()
        command.signal(signal.SIGTERM)
        result = yield command.whenEnded()
        self.assertNoTraceback(result)

    def fetched(self, url):
        from urllib.request import urlopen

        from twisted.internet.threads import deferToThread

        def read():
            with urlopen(url, timeout=60) as answer:
                return answer.read()

        return deferToThread(read)

    @defer.inlineCallbacks
    def test_thresholds(self):
        """
        Thresholds are on what all have done.
        """
        options = ("--workers", "2", "-d", "-s", "2", "-m", "100")
        held = ("--threshold", "errors == 0", "--threshold", "p99(message) < 1h")
        result, report = yield loadAndReport(self, *options, *held, "sink:")
        self.assertEqual((result.status, [one["passed"] for one in report["thresholds"]]), (0, [True, True]))
        result, report = yield loadAndReport(self, *options, "--threshold", "p99(message) < 1us", "sink:")
        self.assertEqual((result.status, [one["passed"] for one in report["thresholds"]]), (3, [False]))

    @defer.inlineCallbacks
    def test_abort(self):
        """
        A threshold that can't be kept any more ends the run of all.
        """
        options = ("--workers", "2", "-d", "-s", "2", "--duration", "1h", "--abort-on-threshold")
        result, report = yield loadAndReport(self, *options, "--threshold", "max(message) < 1us", "sink:")
        self.assertEqual((result.status, report["ended"]), (3, "aborted"))
        self.assertIn("threshold 'max(message) < 1us' failed", report["reason"])
        self.assertEqual(report["incomplete"], [])
        self.assertEqual(report["sink"]["messages"], report["messages"]["accepted"])

    @defer.inlineCallbacks
    def test_twistd(self):
        """
        A service of twistd has workers as well.
        """
        server = self.serve()
        options = ("smtp-source", "--workers", "2", "-s", "2", "-m", "20", "--report", "r.json", server.destination)
        command = twistd(self, "-n", *options)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 0, result)
        report = json.loads((command.directory / "r.json").read_bytes())
        self.assertEqual((report["messages"]["accepted"], len(report["environment"]["workers"])), (20, 2))

    @defer.inlineCallbacks
    def test_reactor(self):
        """
        Workers run on the reactor that was asked for.
        """
        server = self.serve()
        options = ("--reactor", "select", "--workers", "2", "-s", "2", "-m", "20", server.destination)
        command = smtpsource(self, "--quiet", "--report", "-", *options)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 0, result)
        report = json.loads(result.out)
        self.assertEqual(report["reactor"], "twisted.internet.selectreactor.SelectReactor")
        reactors = {worker["reactor"] for worker in report["environment"]["workers"]}
        self.assertEqual(reactors, {report["reactor"]})

    @defer.inlineCallbacks
    def test_program(self):
        """
        So has a service within a program, on any of Twisted's reactors, whoever handles signals.
        """
        server = self.serve()
        program = (
            "import sys\n"
            "from twisted.internet import selectreactor\n"
            "selectreactor.install()\n"
            "from twisted.internet import reactor\n"
            "from smtpsource import SourcePlan, SourceService\n"
            "plan = SourcePlan(destination=sys.argv[1], messageCount=20, sessionCount=2, workers=2)\n"
            "service = SourceService(reactor, plan)\n"
            "def done(summary):\n"
            "    print(summary.messages.accepted, summary.exit, len(summary.environment['workers']))\n"
            "    reactor.stop()\n"
            "service.whenDone().addCallback(done)\n"
            "service.startService()\n"
            "reactor.run(installSignalHandlers=sys.argv[2] == 'handlers')\n"
        )
        for handlers in ("handlers", "none"):
            result = yield python(self, "-c", program, server.destination, handlers).whenEnded()
            self.assertEqual((result.out, result.err), (b"20 0 2\n", b""))


class LedgerTests(CommandTestCase):
    """
    Each worker has a ledger, and all are judged together.
    """

    @defer.inlineCallbacks
    def test_judged(self):
        """
        Where the server delivers to, all that was sent by any of them arrives; to judge it again says the same.
        """
        options = ("-d", "-s", "4", "-m", "500", "--ledger", "ledger", "--deliver-to", "0", "--drain-quiet", "1")
        command = smtpsource(self, "--workers", "2", "--quiet", "--report", "-", *options, "sink:")
        result = yield command.whenEnded()
        self.assertEqual(result.status, 0, result)
        report = json.loads(result.out)
        self.assertEqual(list(problems(report)), [])
        self.assertEqual((report["ledger"]["verdict"], report["ledger"]["delivered"]), ("pass", 500))
        paths = report["environment"]["ledger"]
        self.assertEqual(len(paths), 2)
        self.assertEqual({os.path.dirname(path) for path in paths}, {str(command.directory / "ledger")})
        self.assertEqual(sum(sample["arrived"] for sample in report["series"]), 500)
        again = python(self, "-m", "smtpsource", "reconcile", command.directory / "ledger")
        result = yield again.whenEnded()
        self.assertEqual(result.status, 0, result)
        self.assertIn(b"pass: all 500 acknowledged have arrived, each once", result.out)

    @defer.inlineCallbacks
    def test_sameRun(self):
        """
        With a ledger of the same run there already, there is no other.
        """
        server = self.serve()
        options = ("--workers", "2", "-s", "2", "-m", "10", "--seed", "1", "--ledger", "ledger")
        first = smtpsource(self, *options, server.destination)
        yield first.whenEnded()
        result = yield smtpsource(self, *options, server.destination, cwd=first.directory).whenEnded()
        self.assertEqual(result.status, 1, result)
        self.assertIn(b"is of a run with the same id", b" ".join(result.out.split()))
        self.assertEqual(len(list(Path(first.directory, "ledger").iterdir())), 2)


class FaultsTests(CommandTestCase):
    """
    What goes wrong is told, and nothing hangs.
    """

    def begin(self, *options, workers=2, sessions=4):
        """
        Begin a run that does not end by itself; each session waits at its first DATA.

        @return: the server, and the command.
        """
        self.held = Held()
        server = self.serve({"DATA": (self.held, None)})
        options = ("-d", "-s", sessions, "--duration", "1h", "--grace", GRACE, "--report", "r.json", *options)
        return server, smtpsource(self, "--workers", workers, *options, server.destination)

    def report(self, command):
        """
        @return: the report of a command that has ended.
        """
        report = json.loads((command.directory / "r.json").read_bytes())
        self.assertEqual(list(problems(report)), [])
        counts = report["messages"]
        self.assertEqual(counts["started"], counts["accepted"] + counts["rejected"] + counts["failed"])
        for name in ("started", "accepted", "rejected", "failed"):
            self.assertEqual(sum(sample[name] for sample in report["series"]), counts[name])
        return report

    @defer.inlineCallbacks
    def test_lost(self):
        """
        A worker that is killed is told, and the run goes on without it; it is incomplete, and has not passed.
        """
        server, command = self.begin()
        yield server.when(lambda: server.count("DATA") == 4)
        victim = command.children()[0]
        os.kill(victim, signal.SIGKILL)
        yield command.whenPrinted(rb"worker [12] of 2 was killed by SIGKILL; the run goes on with the others\n", "err")
        self.held.release()
        yield server.when(lambda: len(server.messages) > 10)
        command.signal(signal.SIGINT)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1, result)
        self.assertNoTraceback(result)
        self.assertRegex(result.out, rb"(?m)^INCOMPLETE +worker [12] of 2 was killed by SIGKILL after \d")
        report = self.report(command)
        self.assertEqual(len(report["incomplete"]), 1)
        [mark] = report["marks"]
        self.assertRegex(mark["text"], r"^worker [12] of 2 was killed by SIGKILL$")
        self.assertEqual(mark["kind"], "event")
        self.assertEqual(report["errors"]["worker-lost"]["count"], 1)
        self.assertGreaterEqual(report["messages"]["failed"], 2)
        self.assertGreaterEqual(report["messages"]["accepted"], 9)
        self.assertEqual(sum(worker["lost"] is not None for worker in report["environment"]["workers"]), 1)

    @defer.inlineCallbacks
    def test_exact(self):
        """
        With so many messages, each is accepted or has failed, whoever is lost.
        """
        server, command = self.begin("-m", "50")
        yield server.when(lambda: server.count("DATA") == 4)
        os.kill(command.children()[0], signal.SIGKILL)
        yield command.whenPrinted(rb"the run goes on with the others", "err")
        self.held.release()
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1, result)
        report = self.report(command)
        self.assertEqual(report["messages"]["started"], 50, result)
        self.assertGreaterEqual(report["messages"]["failed"], 2)
        self.assertEqual(report["ended"], "done")

    @defer.inlineCallbacks
    def test_allLost(self):
        """
        When all are killed the run is over.
        """
        server, command = self.begin()
        yield server.when(lambda: server.count("DATA") == 4)
        for victim in command.children():
            os.kill(victim, signal.SIGKILL)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1, result)
        report = self.report(command)
        self.assertEqual((len(report["incomplete"]), report["messages"]["accepted"]), (2, 0))
        self.assertGreaterEqual(report["messages"]["failed"], 4)

    @defer.inlineCallbacks
    def test_stopped(self):
        """
        A worker that hangs does not keep the run from its end.
        """
        server, command = self.begin()
        yield server.when(lambda: server.count("DATA") == 4)
        victim = command.children()[0]
        os.kill(victim, signal.SIGSTOP)
        self.held.release()
        command.signal(signal.SIGTERM)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1, result)
        report = self.report(command)
        self.assertRegex(report["incomplete"][0], r"worker [12] of 2 (was silent for \d+ seconds|did not end in time)")
        yield whenGone(victim)

    @defer.inlineCallbacks
    def test_signal(self):
        """
        A signal, to the whole group as from a terminal, ends the run in order: nobody is lost.
        """
        server, command = self.begin("--grace", "1h")
        yield server.when(lambda: server.count("DATA") == 4)
        workers = command.children()
        for pid in (*workers, command.pid):
            os.kill(pid, signal.SIGINT)
        self.held.release()
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1, result)
        report = self.report(command)
        self.assertEqual((report["ended"], report["incomplete"]), ("signal", []))
        self.assertEqual(report["messages"]["failed"], 0, result)
        self.assertEqual(len(server.messages), report["messages"]["accepted"])
        for pid in workers:
            yield whenGone(pid)

    @defer.inlineCallbacks
    def test_parentKilled(self):
        """
        When the parent is killed no worker is left.
        """
        server, command = self.begin()
        yield server.when(lambda: server.count("DATA") == 4)
        workers = command.children()
        command.signal(signal.SIGKILL)
        yield command.whenEnded()
        for pid in workers:
            yield whenGone(pid)

    @defer.inlineCallbacks
    def test_refused(self):
        """
        Without -A the first refusal that any worker meets ends the run; with it all are counted.
        """
        server = self.serve({"RCPT": "550 no such user"})
        options = ("--workers", "2", "-d", "-s", "2", "-m", "100", server.destination)
        result, report = yield loadAndReport(self, *options)
        self.assertEqual((result.status, report["ended"]), (1, "aborted"))
        self.assertIn("550 no such user", report["reason"])
        result, report = yield loadAndReport(self, "-A", *options)
        self.assertEqual((result.status, report["ended"], report["messages"]["rejected"]), (1, "done", 100))

    @defer.inlineCallbacks
    def test_noDestination(self):
        """
        Where there is no destination no worker is left, and the line is the usual one.
        """
        options = ("--quiet", "--report", "-", "--workers", "2", "-s", "2", "-m", "2", "--ledger", "ledger")
        command = smtpsource(self, *options, "nowhere.invalid")
        result = yield command.whenEnded()
        report = json.loads(result.out)
        self.assertEqual((result.status, list(report["errors"])), (1, ["no-destination"]))
        self.assertNoTraceback(result)
        self.assertEqual(list(Path(command.directory, "ledger").glob("*")), [])
