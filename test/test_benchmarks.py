"""
Tests for L{benchmarks}: its arithmetic, and that it runs. None is about how fast anything is.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import SkipTest, mock

from patience import PATIENCE, TEST_LIMIT
from twisted.trial.unittest import SynchronousTestCase

from benchmarks import __main__ as command
from benchmarks import contenders, figures, measure, running, servers, soak, startup, table
from benchmarks.cases import CASES, Case
from benchmarks.dashboard import Account
from benchmarks.figures import MEASURES, Bar, Pair, Run, Spread

ROOT = Path(__file__).resolve().parent.parent


def run(messages, cpu, wall=1.0, peak=2**20, serverCPU=0.0, connections=None):
    """
    A run with these figures.
    """
    return Run(messages, cpu / 4, cpu * 3 / 4, wall, peak, serverCPU, 3 * 2**20, connections)


def entrant(name, *pairs, note=None):
    """
    A contender that has run.
    """
    return running.Entrant(name, "", 10, 1, note=note, pairs=list(pairs))


class LedgerTests(SynchronousTestCase):
    """
    A judgement of a large run.
    """

    def test_runs(self):
        """
        The ledgers that it makes can be judged, and have the faults that they should.
        """
        for every, verdict in (("0", "pass: all 1000 "), ("500", "FAIL: 2 lost; 2 duplicated")):
            command = [sys.executable, "-m", "benchmarks.ledger", "1000", "1", every]
            result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
            self.assertIn(f"ledger       {verdict}", result.stdout, result.stderr)
            self.assertRegex(
                result.stdout, r"\n1000 messages for 1, [0-9]+ records: [0-9.]+ s, [0-9.]+ s of CPU, [0-9]+ MiB\n"
            )


class DriftTests(SynchronousTestCase):
    """
    How often a drift is found.
    """

    def test_runs(self):
        """
        It counts of all kinds of runs.
        """
        command = [sys.executable, "-m", "benchmarks.drift", "2"]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertRegex(result.stdout, r"\A(of 2 runs .*\n)(.+ [0-9.]+ % +[0-9.]+ %\n){13}\Z", result.stderr)

    def test_looks(self):
        """
        And of those that are looked at each minute.
        """
        command = [sys.executable, "-m", "benchmarks.drift", "--looks", "1"]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
        parts = r"( +[0-9.]+ %){3} +(-|[0-9]+ minutes)"
        self.assertRegex(result.stdout, rf"\A(of 1 runs .*\n)(.+{parts}\n){{11}}\Z", result.stderr)


class SoakTests(SynchronousTestCase):
    """
    Runs of hours, or of seconds, with a sink that is restarted.
    """

    timeout = TEST_LIMIT

    def check(self, expected, counted=1005, kill=None, memory=0.0, **changes):
        """
        @param expected: what is found wrong, each as a regular expression.
        @param memory: bytes by which the generator grows in an hour.
        """
        series = [
            {"time": float(second), "watched": {"generator rss": 5e7 + memory / 3600 * second + second % 7 * 1e4}}
            for second in range(1, 1801)
        ]
        report = {
            "messages": {"started": 1010, "accepted": 1000, "rejected": 0, "failed": 10},
            "marks": [{"kind": "command", "status": 0}, {"kind": "event", "status": None}],
            "elapsed": 1800.0,
            "series": series,
        }
        options = argparse.Namespace(kill=kill, rate=1, every=900, growth=10.0)
        found = [*soak.faults({**report, **changes}, counted, options)]
        self.assertEqual(len(found), len(expected), found)
        for fault, text in zip(found, expected, strict=True):
            self.assertRegex(fault, text)

    def test_counts(self):
        """
        The sinks must have all that was accepted, and no more than that and what has failed; if the generator was
        killed, what came in its last seconds besides.
        """
        for counted in (1000, 1010):
            self.check([], counted)
        self.check(["^1000 messages were accepted, and the sinks counted 999$"], 999)
        self.check(["^the sinks counted 1011 messages: more than "], 1011)
        self.check([], 1011, kill=5.0)
        self.check(["^the sinks counted 2000 messages: more than "], 2000, kill=5.0)
        messages = {"started": 1012, "accepted": 1000, "rejected": 1, "failed": 10}
        self.check(["^of 1012 messages it is not known what became of each"], messages=messages)

    def test_memory(self):
        """
        It may grow, but not by much; and it must be known.
        """
        self.check([], memory=8e6)
        self.check([r"^the generator's memory grows by 1[45]\.[0-9] MB an hour, over 10 MB$"], memory=15e6)
        self.check(["^the generator's memory was not watched$"], series=[])

    def test_restarts(self):
        """
        The sink must have been restarted, each time.
        """
        self.check(["^the sink was restarted 0 times in 1800 s, and not 1 times$"], marks=[])
        marks = [{"kind": "command", "status": status} for status in (0, 1)]
        self.check(["^1 restarts of the sink have ended with status 1 or another$"], marks=marks)

    def soak(self, *more):
        """
        A real run.
        """
        directory = self.mktemp()
        command = [sys.executable, "-m", "benchmarks.soak", "--directory", os.path.abspath(directory), *more]
        options = ["--rate", "100", "--sessions", "2"]
        return subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)

    def test_run(self):
        """
        All is right in a run of some seconds, in which the sink was restarted once.
        """
        done = self.soak("--seconds", "10", "--every", "6")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"\nmessages: .*, all sinks counted [0-9]+: [0-9]+ more than were accepted\n")
        self.assertRegex(done.stdout, r"\nrestarts: 1, their statuses \[0\], ")
        self.assertIn("\nmemory of the generator: no drift is known before 22 minutes\n", done.stdout)


class MemoryTests(SynchronousTestCase):
    """
    The memory of a run of hours.
    """

    def test_seconds(self):
        """
        It says by how much it grows, and nothing of the series is lost. How much that is in so short a time, nobody
        knows: allocators keep some.
        """
        command = [sys.executable, "-m", "benchmarks.memory", "0.02"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TEST_LIMIT)
        self.assertEqual(done.stderr, "")
        self.assertIn(done.returncode, (0, 1))
        self.assertRegex(done.stdout, r"(?m)^it grows by -?[0-9.]+ MB an hour; must 1$")
        self.assertRegex(done.stdout, r"(?m)^in the end, 0 marks and all samples take [0-9]+ ms")


class FramesTests(SynchronousTestCase):
    """
    What the parent of many workers has to do.
    """

    def test_parent(self):
        """
        The parent counts all that it is told, and takes no more of the CPU than it may.
        """
        result = subprocess.run([sys.executable, "-m", "benchmarks.frames", "4"], capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertRegex(result.stdout, r"^4 workers, .*\nthe parent takes [0-9.]+ ms of CPU a second: 0\.[0-9]+%")


class DashboardTests(SynchronousTestCase):
    """
    What a dashboard takes.
    """

    def test_runs(self):
        """
        A run that is looked at is measured. That it takes more than it may is no fault on a busy machine.
        """
        options = ("--seconds", "3", "--rate", "20", "--sessions", "2", "--tabs", "1")
        command = [sys.executable, "-m", "benchmarks.dashboard", *options]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
        figures = re.fullmatch(
            r"1 tabs, 0 who ask, ([0-9]+) messages/s: ([0-9.]+) ms of CPU a second, "
            r"of ([0-9]+) ms of the whole process \([0-9.]+%\); ([0-9.]+) ms at once\n",
            result.stdout,
        )
        self.assertTrue(figures, result.stdout + result.stderr)
        rate, taken, whole, longest = map(float, figures.groups())
        self.assertTrue(0 < rate <= 21 and 0 < taken < whole and longest > 0, result.stdout)

    def test_account(self):
        """
        What is called within what is counted is counted once.
        """
        account = Account()
        begun = time.thread_time()

        def use():
            end = time.thread_time() + 0.02
            while time.thread_time() < end:
                pass

        inner = account.counted(use)
        account.counted(lambda: (inner(), inner()))()
        passed = time.thread_time() - begun
        self.assertTrue(0.04 <= account.spent <= passed, (account.spent, passed))
        self.assertEqual(account.longest, account.spent)


class WorkersTests(SynchronousTestCase):
    """
    What several workers make of a machine.
    """

    def test_alone(self):
        """
        One of each kind has its figures, against our sink; who is not installed is said not to be.
        """
        command = "benchmarks.workers --cases sink-keep --workers 1 --sinks 1 --pairs 1 --seconds 0.1"
        result = subprocess.run([sys.executable, "-m", *command.split()], capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        # Of so few messages, what a message costs may be less than nothing.
        self.assertRegex(result.stdout, r"\nsmtpsource, 1 +(-?[0-9.]+ +[0-9,]+|not known)")
        self.assertRegex(result.stdout, r"\nC by hand, 1 +(-?[0-9.]+ +[0-9,]+|not known|not installed)")


class FigureTests(SynchronousTestCase):
    """
    The arithmetic.
    """

    def test_difference(self):
        """
        What the small run used is subtracted, for client, server and time.
        """
        pair = Pair(run(1020, 0.35, 2.5, serverCPU=0.6), run(20, 0.25, 0.5, serverCPU=0.1))
        self.assertAlmostEqual(figures.clientCPU(pair), 100.0)
        self.assertAlmostEqual(figures.serverCPU(pair), 500.0)
        self.assertAlmostEqual(figures.rate(pair), 500.0)

    def test_noDifference(self):
        """
        Without a small run, or if it sent as much, there is no figure; nor is there a rate if it took longer.
        """
        for pair in (Pair(run(10, 1.0)), Pair(run(10, 1.0), run(10, 0.5)), Pair(run(9, 1.0), run(10, 0.5))):
            self.assertIsNone(figures.clientCPU(pair))
            self.assertIsNone(figures.serverCPU(pair))
            self.assertIsNone(figures.rate(pair))
        self.assertIsNone(figures.rate(Pair(run(20, 1.0, 1.0), run(10, 0.5, 1.5))))

    def test_single(self):
        """
        Memory and time are those of the large run.
        """
        pair = Pair(run(20, 1.0, 0.25, 5 * 2**20), run(10, 0.5, 0.125, 2**20))
        self.assertEqual(figures.memory(pair), 5.0)
        self.assertEqual(figures.serverMemory(pair), 3.0)
        self.assertEqual(figures.wall(pair), 250.0)
        self.assertIsNone(figures.memory(Pair(run(20, 1.0, peak=None))))

    def test_spread(self):
        """
        Values that aren't known don't count.
        """
        self.assertEqual(figures.spread([3.0, None, 1.0, 8.0]), Spread(1.0, 3.0, 8.0))
        self.assertEqual(figures.spread([3.0, 1.0]), Spread(1.0, 2.0, 3.0))
        self.assertIsNone(figures.spread([None]))

    def test_ratios(self):
        """
        Each value is divided by its neighbour, not by an average.
        """
        self.assertEqual(figures.ratios([2.0, 9.0], [1.0, 3.0]), [2.0, 3.0])
        self.assertEqual(figures.ratios([2.0, None, 1.0, 1.0], [None, 1.0, 0.0, -1.0]), [None] * 4)
        self.assertEqual(figures.ratios([2.0, 1.0], [4.0]), [0.5])

    def test_enough(self):
        """
        The fastest sets the number; every session gets the same, and it is easy to read.
        """
        self.assertEqual(figures.enough([1000.0, None, 21234.0], 1.5, 20), 20 + 32000)
        self.assertEqual(figures.enough([12.0], 1.5, 1), 19)
        self.assertEqual(figures.enough([None], 1.5, 5), 10)
        self.assertEqual(figures.enough([100.0], 1.5, 1000), 2000)

    def test_bar(self):
        """
        The median must be at most the bar; for speed, at least.
        """
        ratio = Spread(0.9, 1.0, 1.5)
        cpu, rate, wall = MEASURES["cpu"], MEASURES["rate"], MEASURES["wall"]
        self.assertTrue(Bar(1.0, 0.5).met(cpu, None, ratio))
        self.assertFalse(Bar(0.99, 0.5).met(cpu, None, ratio))
        self.assertTrue(Bar(1.0, 1.1).met(rate, None, ratio))
        self.assertFalse(Bar(1.01, 1.1).met(rate, None, ratio))
        self.assertTrue(Bar(500, 300, absolute=True).met(wall, Spread(1, 500, 600), ratio))
        self.assertIsNone(Bar(1.0, 0.5).met(cpu, Spread(1, 2, 3), None))


class TableTests(SynchronousTestCase):
    """
    The results.
    """

    case = Case(
        "a-case", "a title", contenders.Load(2), 100, contenders=("ours", "theirs", "other"), bar=Bar(1.10, 1.0)
    )

    def results(self, case=None):
        """
        The results of two pairs, made up: ours takes 200 and 300 us for a message, theirs 100 and 200.
        """
        few = run(0, 0.0, 0.0)
        return table.results(
            case or self.case,
            [
                entrant("ours", Pair(run(1000, 0.2), few), Pair(run(1000, 0.3), few)),
                entrant("theirs", Pair(run(1000, 0.1), few), Pair(run(1000, 0.2), few)),
                entrant("other", note="not installed"),
            ],
        )

    def test_render(self):
        """
        A line for each contender, and whether the bar is met.
        """
        lines = table.render(self.case, self.results()).splitlines()
        self.assertEqual(lines[0], "a-case: a title, us CPU/message; must 1.10, aim 1.00")
        self.assertEqual(lines[1].split()[:4], ["contender", "min", "median", "max"])
        ours = ["ours", "200.0", "250.0", "300.0", "1000", "1.0", "1.75", "(1.50-2.00)", "MISSED"]
        self.assertEqual(lines[2].split(), ours)
        self.assertEqual(lines[3].split(), ["theirs", "100.0", "150.0", "200.0", "1000", "1.0"])
        self.assertEqual(lines[4].split(None, 1), ["other", "not installed"])
        self.assertEqual(len(lines), 5)

    def test_oneAlone(self):
        """
        Without the one to compare with there is neither ratio nor verdict.
        """
        found = table.results(self.case, [entrant("ours", Pair(run(1000, 0.2), run(0, 0)))])
        self.assertEqual(table.render(self.case, found).splitlines()[2].split()[-1], "1.0")
        self.assertIsNone(found[0].met)

    def test_tooFewConnections(self):
        """
        If not all sessions were open at once, it is said.
        """
        case = CASES["memory"]
        found = table.results(case, [entrant("smtpsource", Pair(run(5000, 1.0, connections=4321)))])
        self.assertIn("no more than 4321 connections", table.render(case, found))
        found = table.results(case, [entrant("smtpsource", Pair(run(5000, 1.0, connections=5000)))])
        self.assertNotIn("no more than", table.render(case, found))

    def test_raw(self):
        """
        Everything is there for a program.
        """
        data = json.loads(json.dumps(table.raw(self.case, self.results())))
        ours, theirs, other = data["contenders"]
        self.assertEqual(ours["ratios"], [2.0, 1.5])
        self.assertEqual(ours["ratio"], {"min": 1.5, "median": 1.75, "max": 2.0})
        self.assertEqual(ours["pairs"][1]["large"]["messages"], 1000)
        self.assertIs(ours["met"], False)
        self.assertIsNone(theirs["ratio"])
        self.assertEqual(other["note"], "not installed")
        self.assertEqual(data["bar"], {"must": 1.1, "aim": 1.0, "absolute": False})


class MeasureTests(SynchronousTestCase):
    """
    Running a program.
    """

    def python(self, code, **options):
        """
        Run a few lines of Python.
        """
        return measure.run([sys.executable, "-S", "-c", code], Path(self.mktemp()), **options)

    def test_used(self):
        """
        CPU, memory and time of the program are told, and it is looked at meanwhile.
        """
        seen = []
        used = self.python(
            "import time; x = bytes(range(256)) * 400000; t = time.process_time()\n"
            "while time.process_time() < t + 0.2: pass",
            glance=lambda: seen.append(1),
        )
        self.assertGreater(used.user + used.system, 0.19)
        self.assertGreaterEqual(used.wall, 0.19)
        self.assertGreater(used.peak, 100_000_000)
        self.assertTrue(seen)

    def test_smallPeak(self):
        """
        The memory of a program that needs little isn't mistaken for ours.
        """
        ours = measure.peakMemory(os.getpid())
        used = measure.run(["sleep", "0.3"], Path(self.mktemp()))
        self.assertLess(used.peak, ours / 2)

    def test_failure(self):
        """
        A program that fails is told of with its last words.
        """
        error = self.assertRaises(measure.RunFailed, self.python, "raise SystemExit('no\\nway\\n')")
        self.assertIn("ended with status 1: way", str(error))
        error = self.assertRaises(measure.RunFailed, measure.run, ["/no/such/program"], Path(self.mktemp()))
        self.assertIn("No such file", str(error))

    def test_timed(self):
        """
        A program that doesn't end by itself is ended.
        """
        used = measure.run(["sleep", "60"], Path(self.mktemp()), seconds=0.2)
        self.assertGreaterEqual(used.wall, 0.19)

    def test_overdue(self):
        """
        One that should end by itself, and doesn't, has failed.
        """
        self.patch(measure, "DEADLINE", 0.1)
        error = self.assertRaises(measure.RunFailed, measure.run, ["sleep", "60"], Path(self.mktemp()))
        self.assertIn("did not end in time", str(error))

    def test_pinned(self):
        """
        A program stays on the processor that it is given, and we don't.
        """
        before = os.sched_getaffinity(0)
        one = min(before)
        self.python(f"import os; assert os.sched_getaffinity(0) == {{{one}}}", processor=one)
        self.assertEqual(os.sched_getaffinity(0), before)

    def test_processTime(self):
        """
        The CPU of a process is that of its clock.
        """
        before = os.times()
        told = measure.processTime(os.getpid())
        after = os.times()
        self.assertGreaterEqual(told, before.user + before.system - 0.05)
        self.assertLessEqual(told, after.user + after.system + 0.05)


class CommandTests(SynchronousTestCase):
    """
    The command line.
    """

    def refused(self, *arguments):
        """
        @return: what is said about arguments that can't be used.
        """
        with mock.patch("sys.stderr") as err:
            error = self.assertRaises(SystemExit, command.main, arguments)
        self.assertEqual(error.code, 2)
        return "".join(call.args[0] for call in err.write.call_args_list)

    def test_unknown(self):
        """
        A case or contender that doesn't exist is refused, with those that do.
        """
        self.assertIn("no case 'x': expected some of keep-1, keep-20", self.refused("--cases", "keep-1,x"))
        self.assertIn("no contender 'y': expected some of smtpsource", self.refused("--contenders", "y"))
        self.assertIn("expected at least 1", self.refused("--pairs", "0"))

    def test_cases(self):
        """
        Every case names contenders that exist, ours first and then the one to compare it with.
        """
        for case in CASES.values():
            known = servers.SERVERS if MEASURES[case.measure].ofServer else contenders.CONTENDERS
            self.assertEqual([name for name in case.contenders if name not in known], [])
            other = "tlsfloor" if case.load.tls else "smtp-source"
            self.assertIn(case.contenders[:2], (("smtpsource", other), ("smtpsink", "smtp-sink")))
            self.assertEqual(case.warmUp % case.few, 0)


class WholeTests(SynchronousTestCase):
    """
    The benchmark as a command, with real servers and clients.
    """

    timeout = TEST_LIMIT

    def benchmark(self, *arguments, status=0):
        """
        Run it.

        @return: what it printed, and its JSON.
        """
        for program in ("smtp-source", "smtp-sink"):
            if servers.postfix(program) is None and "CI" not in os.environ:
                raise SkipTest(f"{program} of Postfix is not installed")
        file = Path(self.mktemp()).resolve()
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks", "--quick", "--pairs", "1", "--json", str(file), *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            out, err = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            raise
        self.assertEqual(process.returncode, status, out + err)
        return out, json.loads(file.read_text())

    def test_clients(self):
        """
        A client's case, with ours and Postfix's and others.
        """
        out, data = self.benchmark("--cases", "keep-20", "--contenders", "smtpsource,smtp-source,floor,aiosmtplib")
        self.assertIn("keep-20: connections kept, 20 sessions", out)
        self.assertEqual([case["name"] for case in data["cases"]], ["keep-20"])
        found = {contender["name"]: contender for contender in data["cases"][0]["contenders"]}
        self.assertEqual(list(found), ["smtpsource", "smtp-source", "floor", "aiosmtplib"])
        for name, contender in found.items():
            if contender["note"] is not None:
                self.assertIn(name, ("floor", "aiosmtplib"))
                self.assertIn(contender["note"], ("not installed", "no C compiler"))
                continue
            (pair,) = contender["pairs"]
            self.assertEqual((pair["small"]["messages"], pair["large"]["messages"]), (20, 2000))
            for one in pair.values():
                self.assertGreater(one["user"] + one["system"], 0)
                self.assertGreater(one["wall"], 0)
                self.assertGreater(one["serverCPU"], 0)
        self.assertEqual(len(found["smtpsource"]["ratios"]), 1)
        for key in ("processor", "kernel", "python", "twisted", "postfix"):
            self.assertTrue(data["machine"][key], key)

    def test_tls(self):
        """
        A case within TLS, for which Postfix's programs are of no use.
        """
        _, data = self.benchmark("--cases", "keep-tls,new-tls")
        for case in data["cases"]:
            found = {contender["name"]: contender for contender in case["contenders"]}
            self.assertEqual(list(found), ["smtpsource", "tlsfloor", "go"])
            for name, contender in found.items():
                if contender["note"] is not None:
                    self.assertNotEqual(name, "smtpsource")
                    self.assertRegex(contender["note"], r"\A(not installed|no C compiler|no headers of OpenSSL .*)\Z")
                    continue
                (pair,) = contender["pairs"]
                self.assertGreater(pair["large"]["serverCPU"], pair["small"]["serverCPU"])
                self.assertGreater(pair["large"]["user"] + pair["large"]["system"], 0)

    def test_servers(self):
        """
        A case about servers, and one without a small run.
        """
        _, data = self.benchmark("--cases", "sink-keep,start-up")
        sinks, start = data["cases"]
        self.assertEqual([contender["name"] for contender in sinks["contenders"]], ["smtpsink", "smtp-sink"])
        for contender in sinks["contenders"]:
            self.assertIsNone(contender["note"])
            self.assertGreater(contender["pairs"][0]["large"]["serverCPU"], 0)
        for contender in start["contenders"]:
            self.assertIsNone(contender["pairs"][0]["small"])
            self.assertGreater(contender["value"]["median"], 0)

    def test_failure(self):
        """
        A contender that fails has a line that says so, and the others go on.
        """
        options = ("--options=--no-such-option", "--contenders", "smtpsource,smtp-source")
        out, data = self.benchmark("--cases", "keep-1", *options, status=1)
        self.assertRegex(out, r"smtpsource +failed: .*no-such-option")
        ours, theirs = data["cases"][0]["contenders"]
        self.assertEqual(ours["pairs"], [])
        self.assertEqual(len(theirs["pairs"]), 1)


class StartupTests(SynchronousTestCase):
    """
    Start and size.
    """

    timeout = TEST_LIMIT

    def test_lines(self):
        """
        The least time, the median and the memory, of each program in a line.
        """
        used = [measure.Used(0.06, 0.04, 0.2, 30 * 2**20), measure.Used(0.05, 0.04, 0.1, 32 * 2**20)]
        unseen = [measure.Used(0.01, 0.0, 0.01, None)]
        _, ours, bare = startup.lines({"smtpsource": used, "python -c pass": unseen})
        self.assertEqual(ours.split(), ["smtpsource", "100.0", "150.0", "90.0", "95.0", "31.0"])
        self.assertEqual(bare.split(), ["python", "-c", "pass", "10.0", "10.0", "10.0", "10.0", "?"])

    def started(self, *arguments):
        """
        Run it as a command.
        """
        return subprocess.run(
            [sys.executable, "-m", "benchmarks.startup", "--runs", "1", "--server", "smtpsink", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def test_command(self):
        """
        Real runs, with more options if they are wanted.
        """
        done = self.started("--", "--quiet")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"(?m)^python -c pass( +[0-9.]+){4,5}")
        self.assertRegex(done.stdout, r"(?m)^smtpsource( +[0-9.]+){5}$")

    def test_failure(self):
        """
        If a run fails, so does the command; it says why.
        """
        done = self.started("--", "--no-such-option")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("--no-such-option", done.stderr)

    def test_compiled(self):
        """
        What Python has compiled is kept for the while, and elsewhere.
        """
        with mock.patch.dict(os.environ, PYTHONDONTWRITEBYTECODE="1"):
            os.environ.pop("PYTHONPYCACHEPREFIX", None)
            with startup.compiled(Path("there")):
                self.assertEqual(os.environ["PYTHONPYCACHEPREFIX"], "there")
                self.assertNotIn("PYTHONDONTWRITEBYTECODE", os.environ)
            self.assertNotIn("PYTHONPYCACHEPREFIX", os.environ)
            self.assertEqual(os.environ["PYTHONDONTWRITEBYTECODE"], "1")
