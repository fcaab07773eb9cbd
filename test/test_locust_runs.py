"""
Tests for runs by Locust: real masters and workers, against a real sink.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket

from locusts import LocustTestCase, descendants, listens
from peers import eventually
from subprocesses import smtpsource
from twisted.internet.defer import inlineCallbacks

from smtpsource import __version__
from smtpsource.locust.__main__ import locustfile
from smtpsource.locust.options import DESTINATION, FIELDS, OTHERS

#: Runs that have an end of their own only if something is wrong.
LONG = "100000000"

#: A load that leaves others some of the processors.
PACED = "--smtpsource-options=-d -w 5ms"


class HeadlessTests(LocustTestCase):
    """
    Without a web UI.
    """

    @inlineCallbacks
    def test_counts(self):
        """
        The sink, our report and Locust's files have the same numbers; all end well.
        """
        checkpoint, recovered = os.path.abspath(self.mktemp()), os.path.abspath(self.mktemp())
        master = self.master(
            *("--host", self.destination, "--sessions", 4, "--messages", 5000, "--report", "report.json"),
            *(f"--smtpsource-options=-d --checkpoint {checkpoint}", "--csv", "out", "--html", "out.html"),
        )
        workers = self.workers()
        result = yield master.whenEnded()
        self.assertEqual(0, result.status, result.err)
        for worker in workers:
            ended = yield worker.whenEnded()
            self.assertEqual(0, ended.status, ended.err)
            self.assertNoTraceback(ended)
        self.assertNoTraceback(result)
        report, row = self.report(), self.rows()["", "Aggregated"]
        # Whoever watches the run is told of every second of it.
        yield smtpsource(self, "recover", checkpoint, "--quiet", "--report", recovered).whenEnded()
        with open(recovered) as file:
            self.assertEqual(report["histograms"], json.load(file)["histograms"])
        self.assertEqual(5000, self.received)
        self.assertEqual(5000, report["messages"]["accepted"])
        self.assertEqual(("5000", "0"), (row["Request Count"], row["Failure Count"]))
        # Whoever had more to do, both had something.
        self.assertEqual(2, len([each for each in report["environment"]["workers"] if each["accepted"]]))
        self.assertEqual({socket.gethostname()}, {each["host"] for each in report["environment"]["workers"]})
        for each in report["environment"]["workers"]:
            self.assertIn(each["id"].encode(), result.err)
        for (kind, name), other in self.rows().items():
            latency = report["latency"]["transaction" if kind != "phase" else name]
            for field, ours in (("Min", "min"), ("Max", "max"), ("Average", "mean")):
                shown = float(other[f"{field} Response Time"])
                self.assertAlmostEqual(1000 * latency[ours], shown, 6, (kind, name, field))
            for column, ours in (("50%", "p50"), ("90%", "p90"), ("95%", "p95"), ("99%", "p99"), ("99.9%", "p99.9")):
                self.assertAlmostEqual(1000 * latency[ours], float(other[column]), 6, (kind, name, column))
        self.assertApproximates(report["rate"], float(row["Requests/s"]), report["rate"] / 100)
        self.assertIn("5000", (self.directory / "out.html").read_text())
        self.assertIn(b"5000 accepted", result.out)

    @inlineCallbacks
    def test_processes(self):
        """
        Workers of one machine, which the master starts itself; and failures are what Locust takes for such.
        """
        server = self.serve({"RCPT": "550 5.1.1 nobody"})
        master = self.alone(
            *("--host", server.destination, "--sessions", 2, "--messages", 20, "--report", "report.json"),
            *("--smtpsource-options=-A -d", "--csv", "out"),
        )
        result = yield master.whenEnded()
        self.assertEqual(1, result.status, result.err)
        report, rows = self.report(), self.rows()
        self.assertEqual(20, report["messages"]["rejected"])
        self.assertEqual(
            ("20", "20"), tuple(rows["", "Aggregated"][f"{what} Count"] for what in ("Request", "Failure"))
        )
        failures = (self.directory / "out_failures.csv").read_text()
        self.assertIn("phase,rcpt,550 5.1.1 nobody,20,", failures)

    @inlineCallbacks
    def test_unusable(self):
        """
        What smtpsource can't do is one line in the log, with its exit status.
        """
        for options, words in [
            (("--messages", "x"), rb"-m \(--message-count\): 'x' is not usable"),
            (("--smtpsource-options=--workers 3",), rb"--workers is not usable by Locust"),
            (("--smtpsource-options=--at 1 true",), rb"--at is not usable by Locust: commands are started from a"),
            (("--smtpsource-options=--nonsense",), rb"--nonsense"),
            (("--sessions", "1"), rb"2 workers are there: expected a session and a message for each of them"),
        ]:
            master, workers = self.master("--host", self.destination, *options), self.workers()
            result = yield master.whenEnded()
            self.assertEqual(2, result.status, result.err)
            self.assertRegex(result.err, rb"ERROR/smtpsource.locust.master: smtpsource: [^\n]*" + words)
            self.assertEqual(1, len(re.findall(rb"(?:ERROR|WARNING)/smtpsource", result.err)), result.err)
            self.assertNoTraceback(result)
            for worker in workers:
                ended = yield worker.whenEnded()
                self.assertNotIn(b"smtpsource: ", ended.err)
        self.assertEqual(0, self.received)

    @inlineCallbacks
    def test_help(self):
        """
        The help says what is other than Locust has it.
        """
        result = yield smtpsource(self, "locust", "--help").whenEnded()
        self.assertEqual(0, result.status, result.err)
        self.assertRegex(result.out, rb"(?s)This is Locust.*listens on\s127.0.0.1 only.*--web-host <ip>")

    @inlineCallbacks
    def test_noMode(self):
        """
        Whoever does not say what it is to be is told so, before there is a web interface.
        """
        result = yield smtpsource(self, "locust", "--host", self.destination).whenEnded()
        self.assertEqual(2, result.status, result.err)
        self.assertIn(b"smtpsource: expected --master, --worker or --processes N", result.err)
        self.assertNotIn(b"web interface", result.err)
        self.assertNoTraceback(result)

    @inlineCallbacks
    def test_ourOptions(self):
        """
        Our options are told of before Locust's.
        """
        for words in (("locust", "--help"), ("help", "locust")):
            result = yield smtpsource(self, *words).whenEnded()
            self.assertEqual(0, result.status, result.err)
            ours, locusts = result.out.split(b"Usage: locust", 1)
            for name in (DESTINATION, OTHERS, *(field.name for field in FIELDS)):
                self.assertIn(f"--{name}".encode(), ours)
            self.assertIn(b"--spawn-rate", locusts)

    @inlineCallbacks
    def test_noDestination(self):
        """
        Where nobody is there to say where to, that is the end.
        """
        master, workers = self.master("--messages", "10"), self.workers()
        result = yield master.whenEnded()
        self.assertEqual(2, result.status, result.err)
        self.assertIn(b"smtpsource: no destination: expected --host", result.err)
        for worker in workers:
            yield worker.whenEnded()

    @inlineCallbacks
    def test_versions(self):
        """
        Workers of another version than the master's do nothing, and are told of with both versions.
        """
        other = self.directory / "other.py"
        other.write_text(
            "import smtpsource._version\n"
            "smtpsource._version.__version__ = '9.9'\n"
            f"exec(compile(open({locustfile()!r}).read(), 'locustfile', 'exec'))\n"
        )
        master = self.master("--host", self.destination, "--messages", 10, "--sessions", 2)
        workers = [self.worker(), self.worker(locustfile=other)]
        result = yield master.whenEnded()
        self.assertNotEqual(0, result.status, result.err)
        self.assertRegex(result.out + result.err, rb"has smtpsource 9\.9, and its master has " + __version__.encode())
        for worker in workers:
            yield worker.whenEnded()
        self.assertEqual(0, self.received)

    @inlineCallbacks
    def test_sink(self):
        """
        A sink of its own is for workers of the same machine.
        """
        master = self.alone("--host", "sink:", "--messages", 100, "--sessions", 2, "--report", "report.json")
        result = yield master.whenEnded()
        self.assertEqual(0, result.status, result.err)
        self.assertEqual(100, self.report()["messages"]["accepted"])

    @inlineCallbacks
    def test_sinkElsewhere(self):
        """
        From another machine it can't be reached: mail would go to whoever listens there. So there is no such run.
        """
        other = self.directory / "other.py"
        other.write_text(
            "import smtpsource.process.loopback\n"
            "smtpsource.process.loopback.loopback = lambda: 'elsewhere'\n"
            f"exec(compile(open({locustfile()!r}).read(), 'locustfile', 'exec'))\n"
        )
        master = self.master("--host", "sink:", "--messages", 100, "--sessions", 2, "--report", "report.json")
        workers = [self.worker(), self.worker(locustfile=other)]
        result = yield master.whenEnded()
        self.assertNotEqual(0, result.status, result.err)
        self.assertRegex(
            b" ".join(result.out.split()),
            rb"worker [12] of 2 \([^)]+\) is on another machine, and sink: can only be reached on the one of the",
        )
        self.assertNoTraceback(result)
        for worker in workers:
            yield worker.whenEnded()
        self.assertEqual(0, self.report()["messages"]["started"])

    @inlineCallbacks
    def test_interrupt(self):
        """
        ^C on the master ends the run in order: nothing is lost.
        """
        master = self.master(
            *("--host", self.destination, "--messages", LONG, "--sessions", 4, "--report", "report.json"),
            PACED,
        )
        workers = self.workers()
        yield self.whenWorking(100)
        self.noteChildren(master, *workers)
        master.signal(signal.SIGINT)
        result = yield master.whenEnded()
        self.assertEqual(1, result.status, result.err)
        self.checkInOrder(self.report())
        for worker in workers:
            yield worker.whenEnded()
        yield self.whenAlone()

    @inlineCallbacks
    def test_runTime(self):
        """
        Locust's own end of a run is one in order as well.
        """
        # Locust counts from when it starts its users. On a busy machine nothing may be sent so early: then for longer.
        for seconds in (3, 10, 30, 90):
            master = self.master(
                *("--host", self.destination, "--messages", LONG, "--sessions", 4, "--report", "report.json"),
                *(PACED, "--run-time", f"{seconds}s"),
            )
            workers = self.workers()
            yield master.whenEnded()
            for worker in workers:
                yield worker.whenEnded()
            if self.received:
                break
        self.assertGreater(self.received, 0)
        self.checkInOrder(self.report())

    def checkInOrder(self, report):
        """
        It was stopped, and all that was started has been accepted, which the sink says as well.
        """
        self.assertEqual("signal", report["ended"])
        self.assertEqual([], report["incomplete"])
        self.assertEqual(report["messages"]["started"], report["messages"]["accepted"])
        self.assertEqual(self.received, report["messages"]["accepted"])

    @inlineCallbacks
    def test_workerKilled(self):
        """
        A worker of Locust that is killed takes its process with it; the result is incomplete, and no pass.
        """
        master = self.master(
            *("--host", self.destination, "--messages", LONG, "--sessions", 4, "--report", "report.json"),
            PACED,
        )
        workers = self.workers()
        yield self.whenWorking(100)
        self.noteChildren(*workers)
        os.kill(workers[0].pid, signal.SIGKILL)
        yield workers[0].whenEnded()
        yield master.whenPrinted(rb"the run goes on with the others", "err")
        master.signal(signal.SIGINT)
        result = yield master.whenEnded()
        self.assertEqual(1, result.status, result.err)
        report = self.report()
        self.assertEqual(1, len(report["incomplete"]), (report["incomplete"], result))
        self.assertIn("worker-lost", report["errors"])
        self.assertRegex(report["incomplete"][0], rf"worker [12] of 2 \({re.escape(socket.gethostname())}\)")
        yield workers[1].whenEnded()
        yield self.whenAlone()

    @inlineCallbacks
    def test_processKilled(self):
        """
        The same if it is only the process that carries the mail.
        """
        master = self.master(
            *("--host", self.destination, "--messages", LONG, "--sessions", 4, "--report", "report.json"),
            PACED,
        )
        workers = self.workers()
        yield self.whenWorking(100)
        for worker in workers:
            (child,) = descendants(worker.pid)
            os.kill(child, signal.SIGKILL)
        result = yield master.whenEnded()
        self.assertEqual(1, result.status, result.err)
        report = self.report()
        self.assertEqual(2, len(report["incomplete"]))
        self.assertIn("SIGKILL", report["incomplete"][0])
        for worker in workers:
            yield worker.whenEnded()

    @inlineCallbacks
    def test_masterKilled(self):
        """
        Without a master no mail is sent: what it has started ends by itself, and so do the processes of its workers.
        """
        master = self.master(
            *("--host", self.destination, "--messages", LONG, "--sessions", 4, "--report", "report.json"),
            PACED,
        )
        workers = self.workers()
        yield self.whenWorking(100)
        self.noteChildren(master, *workers)
        os.kill(master.pid, signal.SIGKILL)
        result = yield master.whenEnded()
        yield self.whenAlone()
        self.assertRegex(result.err, rb"smtpsource: the master of Locust: it [^\n]*: the run ends here\n")
        report = self.report()
        self.assertEqual((1, 2), (report["exit"], len(report["incomplete"])))
        for worker in workers:
            worker.signal(signal.SIGKILL)
            yield worker.whenEnded()


class WebTests(LocustTestCase):
    """
    With the web UI, as programs use it.
    """

    @inlineCallbacks
    def begin(self, workers=2, **form):
        master = self.master(headless=False, workers=workers)
        started = self.workers(workers)
        yield self.whenServing(workers)
        answer = yield self.start(
            **{"sessions": 4, "messages": LONG, "smtpsource_options": "-d -w 5ms", "report": "report.json"} | form
        )
        self.assertTrue(answer["success"], answer)
        yield self.whenWorking(100)
        return master, started

    @inlineCallbacks
    def end(self, master, workers):
        self.noteChildren(master, *workers)
        master.signal(signal.SIGTERM)
        result = yield master.whenEnded()
        for worker in workers:
            yield worker.whenEnded()
        yield self.whenAlone()
        return result

    @inlineCallbacks
    def test_stop(self):
        """
        A run that is stopped ends in order, with nothing lost; another can be started.
        """
        master, workers = yield self.begin()
        before = 0
        for number in (1, 2):
            yield self.stop()
            report = self.report()
            accepted = report["messages"]["accepted"]
            self.assertEqual(("signal", []), (report["ended"], report["incomplete"]))
            self.assertEqual(report["messages"]["started"], accepted)
            self.assertEqual(self.received - before, accepted)
            shown = yield self.whenShown(lambda found: found["state"] == "stopped")
            self.assertEqual((accepted, 0), (shown["stats"][-1]["num_requests"], shown["user_count"]))
            if number == 1:
                before = self.received
                yield self.start(sessions=4, messages=LONG, smtpsource_options="-d -w 5ms", report="report.json")
                yield self.whenWorking(before + 100)
        yield self.end(master, workers)

    @inlineCallbacks
    def test_edit(self):
        """
        What is changed while a run goes on is refused with a word, and changes nothing; keys of the terminal likewise.
        """
        master, workers = yield self.begin()
        answer = yield self.start(sessions=8, messages=5, smtpsource_options="")
        self.assertFalse(answer["success"])
        self.assertIn("can't be changed while it runs", answer["message"])
        already = self.received
        yield self.whenWorking(already + 100)
        yield self.stop()
        report = self.report()
        self.assertEqual(report["messages"]["started"], report["messages"]["accepted"])
        self.assertIn("-s", report["command"])
        self.assertEqual("4", report["command"][report["command"].index("-s") + 1])
        yield self.end(master, workers)

    @inlineCallbacks
    def test_late(self):
        """
        A worker that comes while a run goes on has no part in it, which is said; it has one in the next.
        """
        master, workers = yield self.begin()
        workers.append(self.worker())
        yield master.whenPrinted(rb"has come while a run goes on, and has no part in it", "err")
        yield master.whenPrinted(rb"\(index 2\) reported as ready", "err")
        already = self.received
        yield self.whenWorking(already + 100)
        yield self.stop()
        self.assertEqual((2, []), (len(self.report()["environment"]["workers"]), self.report()["incomplete"]))
        yield self.whenShown(lambda found: found["state"] == "stopped")
        answer = yield self.start(sessions=6, messages=600, smtpsource_options="-d -w 5ms", report="second.json")
        self.assertTrue(answer["success"], answer)
        yield eventually((self.directory / "second.json").exists, "the second report")
        self.assertEqual(600, self.report("second.json")["messages"]["accepted"])
        self.assertEqual(3, len(self.report("second.json")["environment"]["workers"]))
        result = yield self.end(master, workers)
        self.assertNotIn(b"can't be changed", result.err)

    @inlineCallbacks
    def test_tooFew(self):
        """
        As long as not all are there that are expected there is no run, and a word why. The master lets in nobody but
        this machine, which is said.
        """
        master = self.master(headless=False, workers=3)
        workers = self.workers(2)
        yield self.whenServing(2)
        answer = yield self.start(sessions=4, messages=100)
        self.assertFalse(answer["success"])
        self.assertIn("2 of 3 workers are there", answer["message"])
        # All of 127.0.0.0/8 is this machine: who has bound to all interfaces listens there as well.
        self.assertEqual([False, False], [listens(port, "127.0.0.2") for port in (self.port, self.webPort)])
        self.assertEqual(0, self.received)
        result = yield self.end(master, workers)
        self.assertIn(b"workers of other machines can't reach this master", result.err)

    @inlineCallbacks
    def test_refused(self):
        """
        What smtpsource can't do is the answer to the form; nothing begins.
        """
        master, workers = self.master(headless=False), self.workers()
        yield self.whenServing()
        answer = yield self.start(smtpsource_options="--nonsense")
        self.assertFalse(answer["success"])
        self.assertIn("--nonsense", answer["message"])
        found = yield self.ask("/stats/requests")
        self.assertEqual("ready", found["state"])
        self.assertEqual(0, self.received)
        result = yield self.end(master, workers)
        self.assertNotIn(b"a run begins", result.err)

    @inlineCallbacks
    def test_twice(self):
        """
        A run whose only end is that of Locust's form is done then; that the next one replaces its report is said.
        """
        master, workers = self.master(headless=False), self.workers()
        yield self.whenServing()
        for number in (1, 2):
            answer = yield self.start(sessions=2, rate=50, duration="", run_time="1s", report="report.json")
            self.assertTrue(answer["success"], answer)
            yield master.whenPrinted(rb"(?s)(the run is over, with exit status 0.*){%d}" % number, "err")
            report = self.report()
            self.assertEqual(("done", 50), (report["ended"], report["messages"]["accepted"]))
            yield self.whenShown(lambda found: found["state"] == "stopped")
            yield master.whenPrinted(rb"(?s)(reported as ready.*?){%d}" % (2 + 2 * number), "err")
        result = yield self.end(master, workers)
        self.assertEqual(1, result.err.count(b"this run will replace it"), result.err)

    @inlineCallbacks
    def test_shown(self):
        """
        While a run goes on its numbers are shown: times that are no whole milliseconds, sessions for users.
        """
        master, workers = yield self.begin()
        found = yield self.whenShown(lambda found: found["stats"][-1]["num_requests"] and found["user_count"] == 4)
        total = found["stats"][-1]
        self.assertGreater(total["total_rps"], 0)
        self.assertNotEqual(int(total["avg_response_time"]), total["avg_response_time"])
        self.assertGreater(total["median_response_time"], 0)
        yield self.stop()
        yield self.end(master, workers)
