"""
C{smtpsource calibrate}: what a machine can generate, and what follows from it.
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import manuals
from commandlines import ToolTestCase
from docutils.core import publish_string
from hypothesis import strategies as st
from patience import TEST_LIMIT
from properties import given
from results import example, latencies
from subprocesses import python, smtpsource
from twisted.internet import defer
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource.cli.source import SourceOptions
from smtpsource.measure.search import Found, Step
from smtpsource.measure.summary import Messages, Tally
from smtpsource.net.tls import client
from smtpsource.report.presentation import Presentation
from smtpsource.tools.calibrate import LOADS, CalibrateOptions, calibrate
from smtpsource.tools.calibration import PROMISE, Calibration, Measured, problemOf
from smtpsource.tools.calibrationtext import WIDTH, conclusions, heading, row
from smtpsource.values.option import ValueOption

#: A machine with two processors.
ENVIRONMENT = {"processors": {"online": 2, "usable": 2}, "limits": {"ports": [32768, 60999]}}


def run(**values):
    """
    @return: the summary of a run against C{sink:} that went well: 1000 messages of 2 s, 100 of the warm-up besides.
    """
    usual = {
        "exit": 0,
        "elapsed": 2.0,
        "rate": 500.0,
        "messages": Messages(1000, 1000, 0, 0),
        "connectionsOpened": 40,
        "bytesSent": 3_000_000,
        "warmUp": {"seconds": 0.5, "accepted": 100, "rejected": 0, "failed": 0},
        "sink": {"messages": 1100, "busy": 2.5, "cpu": {"user": 0.5, "system": 1.0}},
        "errors": {},
        **latencies(0.001, 0.002),
    }
    return example(**{**usual, **values})


def measured(name="20 sessions", problem=None, leftOut=False, **values):
    """
    @return: that run, measured.
    """
    return Measured(name, ("smtpsource", "-d", "sink:"), run(**values), problem, leftOut)


def searched(rate=1000.0):
    """
    @return: a search that has found this rate.
    """
    step = Step("climb", 500.0, 499.0, rate is not None, "0% (0 of 500)")
    summary = run(search=Found(PROMISE, rate, (step,)), exit=0 if rate else 3, late=500)
    return Measured("search", ("smtpsource", "sink:"), summary, problemOf(summary))


def calibration(**values):
    """
    @return: a calibration in which all went well.
    """
    usual = {
        "command": ("smtpsource calibrate",),
        "started": "2026-01-02T03:04:05.678+00:00",
        "elapsed": 30.0,
        "seconds": 1.0,
        "stopped": False,
        "loads": (measured(),),
        "search": searched(),
        "check": measured("open loop"),
        "environment": ENVIRONMENT,
        "openFiles": 19950,
    }
    return Calibration(**{**usual, **values})


#: Where the columns of a table begin, and the last one ends.
COLUMNS = (0, 39, 50, 58, 67, 73, 79, 87, 95, 103)


class RowTests(SynchronousTestCase):
    """
    The lines of the table.
    """

    def test_figures(self):
        """
        Each column has what its heading says, in its unit: messages and megabytes a second, the generator's CPU time
        for each message, the parts of a processor that both took, and latencies of the transaction.
        """
        lines = heading(), row(measured("busy"))
        names, values = ([line[begin:end].strip() for begin, end in pairwise(COLUMNS)] for line in lines)
        self.assertEqual(
            dict(zip(names, values, strict=True)),
            {
                "load": "busy",
                "messages/s": "500.0",
                "MB/s": "1.5",
                # 0.75 s of 2 s for 1000 messages
                "CPU us": "750.0",
                "own": "38%",
                # 1.5 s of 2.5 s
                "sink": "60%",
                "p50": "2.00 ms",
                "p95": "4.00 ms",
                "p99": "4.00 ms",
            },
        )

    def test_search(self):
        """
        Of a search the rate is shown that it has found. Its other figures are of many rates, and left out.
        """
        self.assertEqual(row(searched(1234.5)).split(), ["search", "1234.5"] + ["-"] * 7)

    def test_failure(self):
        """
        What went wrong is told in the row of its load, also if it is long; so is what was left out.
        """
        shown = row(measured(problem="no " + "luck " * 30))
        self.assertIn("20 sessions", shown)
        self.assertIn("FAILED: no luck luck", shown)
        self.assertEqual(shown.count("luck"), 30)
        self.assertLessEqual(max(map(len, shown.splitlines())), WIDTH)
        self.assertIn("left out: no TLS", row(measured(problem="no TLS", leftOut=True)))

    @given(
        st.sampled_from([load.name for load in LOADS]),
        st.floats(0.001, 999_999),
        st.floats(1e-6, 3600),
        st.floats(0, 64),
        st.integers(1, 10**9),
    )
    def test_width(self, name, rate, seconds, processors, sent):
        """
        Lines are of one width, whatever the figures are, and each column keeps apart from the next.
        """
        shown = row(
            measured(name, rate=rate, bytesSent=sent, user=processors * 2.0, system=0.0, **latencies(seconds / 2))
        )
        self.assertEqual(len(shown), len(heading()))
        self.assertLessEqual(len(shown), WIDTH + 1)
        self.assertEqual(len(shown[len(name) :].split()), 11)


class ProblemTests(SynchronousTestCase):
    """
    Runs whose figures are none.
    """

    def test_none(self):
        """
        A run in which all was accepted, and all of it counted by the sink, is fine.
        """
        self.assertIsNone(problemOf(run()))

    def test_problems(self):
        """
        Anything else is told in words.
        """
        for values, problem in (
            ({"exit": 1, "reason": "the server closed the connection"}, "the server closed the connection"),
            ({"exit": 1, "errors": {"out-of-files": Tally(3, "no more")}}, "out-of-files: no more"),
            ({"exit": 3}, "it ended with status 3"),
            ({"latency": {}}, "no message was accepted in this time: expected more of --seconds"),
            ({"sink": None}, "the sink has no report"),
            ({"warmUp": None}, "the sink counted 1100 messages, where 1000 were accepted"),
            (
                {"exit": 3, "search": Found("late < 1%", None, ())},
                "no rate was in time whenever it was tried: this machine may have other work to do",
            ),
            ({"exit": 1, "search": Found("late < 1%", None, ()), "reason": "refused"}, "refused"),
        ):
            self.assertEqual(problemOf(run(**values)), problem)


class ConclusionTests(SynchronousTestCase):
    """
    What follows from the table.
    """

    def text(self, **values):
        """
        @return: it, each line break a blank.
        """
        shown = conclusions(calibration(**values))
        self.assertLessEqual(max(map(len, shown.splitlines())), WIDTH)
        return " ".join(shown.split())

    def test_trusted(self):
        """
        Rates of up to four fifths of the highest one can be trusted, and the limits of this machine are told.
        """
        text = self.text()
        self.assertIn("conclusion figures of up to 800 messages/s can be trusted: 80% of the highest rate", text)
        self.assertIn("processors 2; the sink ran here as well", text)
        self.assertIn("sessions at most 19950 at once: open files for 19950 (ulimit -Hn), 28232 ports", text)
        self.assertIn("connections 20 new ones a second", text)
        for absent in ("disturbed", "stopped", "smtpsource merge"):
            self.assertNotIn(absent, text)

    def test_notKept(self):
        """
        If a tenth of the messages start late at that rate, it can't be trusted, and no other either.
        """
        text = self.text(check=measured(late=100))
        self.assertIn("no rate can be trusted: at 80% of the highest one, 10.0% of the messages started late", text)
        self.assertIsNone(calibration(check=measured(late=100)).trusted)

    def test_unknown(self):
        """
        Without a search, or if it failed, there is no such rate, but the rows have theirs.
        """
        for values in ({"search": None}, {"search": searched(None)}, {"check": measured(problem="it failed")}):
            self.assertIn("figures can be trusted up to 80% of the rate in a load's row", self.text(**values))

    def test_stopped(self):
        """
        After Ctrl-C there is what there was by then, perhaps nothing, and the status is 1.
        """
        stopped = {"stopped": True, "search": None, "check": None}
        self.assertTrue(self.text(**stopped).startswith("stopped before its end: this is what there is conclusion fig"))
        self.assertTrue(self.text(**stopped, loads=()).endswith("conclusion nothing was measured"))
        self.assertEqual(calibration(**stopped).exit, 1)

    def test_disturbed(self):
        """
        If something else took the processors, these figures are too low, and that is said: where neither generator nor
        sink got four fifths of one. One session can't keep them busy. Where they share a processor, both count.
        """
        idle = measured("idle")  # 38% and 60%
        several = Measured("several", ("smtpsource", "-s", "20", "sink:"), idle.summary)
        busy = Measured("busy", several.command, run(user=0.9, system=1.0))
        for loads, processors, said in (
            ((idle, several, busy), 2, "disturbed in 1 of 2 loads with several sessions"),
            ((idle, several, several), 2, "disturbed in 2 of 2 loads with several sessions"),
            ((idle, busy), 2, None),
            ((idle, several, busy), 1, None),
        ):
            environment = {**ENVIRONMENT, "processors": {"usable": processors}}
            text = self.text(loads=loads, environment=environment)
            self.assertIn(said or "processors", text)
            self.assertEqual("disturbed" in text, said is not None)

    def test_noConclusion(self):
        """
        If this machine had other work to do, nothing follows: neither a rate that can be trusted nor one that can't.
        """
        several = Measured("several", ("smtpsource", "-s", "20", "sink:"), measured("idle").summary)  # 38% and 60%
        busy = replace(several, summary=run(user=0.9, system=1.0))
        waiting = "this process waited for a processor for 30% of the time"
        held = run(user=0.9, system=1.0, disturbances=(waiting,))
        search = searched()
        disturbedSearch = replace(search, summary=replace(search.summary, disturbances=(waiting,)))
        one = {"processors": {"usable": 1}, "limits": ENVIRONMENT["limits"]}
        for values, said in (
            ({"loads": (several,)}, "no conclusion: this machine had something else to do, in 1 of 1 loads"),
            ({"loads": (several, busy)}, "no conclusion: this machine had something else to do, in 1 of 2 loads"),
            ({"loads": (several, busy, busy)}, "figures of up to 800 messages/s"),
            (
                {"loads": (replace(busy, summary=held),)},
                "no conclusion: this machine had something else to do, in 1",
            ),
            ({"search": disturbedSearch}, "something else to do, while it was looked for the highest rate in time"),
            ({"check": measured(disturbances=(waiting,))}, "something else to do, while it was looked for the highest"),
            # With a single processor, generator and sink wait for each other.
            ({"search": disturbedSearch, "environment": one}, "figures of up to 800 messages/s"),
            # What was found makes no sense beside the same in a closed loop, of 500 a second.
            (
                {"search": searched(3.0)},
                "no conclusion: this machine had something else to do, as the highest rate",
            ),
            ({"search": searched(130.0)}, "figures of up to 104 messages/s"),
            ({"search": searched(None), "check": None, "loads": (several,)}, "no conclusion: "),
        ):
            text = self.text(**values)
            self.assertIn(said, text)
            report = calibration(**values).asDict()
            without = "no conclusion" in text
            self.assertEqual("can be trusted" in text, not without)
            self.assertEqual((report["disturbance"] is not None, report["trusted"] is None), (without, without))
            self.assertEqual("up to 3 " in text, False)

    def test_machines(self):
        """
        One processor is shared; with more than two, several generators make more. The ports may be the limit, and are
        not known everywhere.
        """
        for processors, ports, said in (
            (1, [32768, 60999], "processors 1, shared by generator and sink"),
            (8, [32768, 60999], "a generator uses one, with --workers more"),
            (2, [1000, 1999], "sessions at most 1000 at once: open files for 19950 (ulimit -Hn), 1000 ports"),
            (2, None, "sessions at most 19950 at once: open files for 19950 (ulimit -Hn) connections"),
        ):
            environment = {"processors": {"usable": processors}, "limits": {"ports": ports}}
            self.assertIn(said, self.text(environment=environment))

    def test_status(self):
        """
        A load that failed makes the status 1; one that was left out does not.
        """
        for problem, leftOut, status in ((None, False, 0), ("it failed", False, 1), ("no TLS", True, 0)):
            self.assertEqual(calibration(loads=(measured(problem=problem, leftOut=leftOut),)).exit, status)


class _Runs:
    """
    Runs that are over at once.
    """

    stopped = False

    def __init__(self, rate=400.0, highest=1000.0, stopAfter=None):
        self.commands = {}
        self._rate, self._highest, self._stopAfter = rate, highest, stopAfter

    def measure(self, name, options, patience):
        """
        @return: figures, or what a search has found.
        """
        self.commands.setdefault(name, []).append(list(options))
        self.stopped = len(self.commands) == self._stopAfter
        if "--find-rate" in options:
            return searched(self._highest)
        return measured(name, rate=self._rate)


class OrderTests(SynchronousTestCase):
    """
    What is measured, one after the other.
    """

    def calibrated(self, runs, *arguments):
        """
        @return: the calibration, and what it has shown.
        """
        out = io.StringIO()
        self.patch(sys, "__stdout__", out)
        options = CalibrateOptions()
        options.parseOptions(arguments)
        return calibrate(options, runs, Presentation("x")), out.getvalue()

    def test_order(self):
        """
        All loads; then a search that begins at half of the rate of a closed loop; then a run at 80 per cent of what it
        found. Each has its row.
        """
        runs = _Runs()
        result, shown = self.calibrated(runs, "--seconds", "2")
        self.assertEqual([one.name for one in result.loads], [load.name for load in LOADS])
        *_, [search], [check] = runs.commands.values()
        self.assertEqual(search[3:], ["--rate", "200.0", "--hold-step", "2", "--find-rate", PROMISE])
        self.assertEqual(check[3:], ["--rate", "800.0", "--warmup", "0.5", "--duration", "2"])
        self.assertEqual(shown, heading() + "".join(map(row, result.all)))
        self.assertEqual((result.exit, result.trusted), (0, 800.0))

    def test_quick(self):
        """
        With C{--quick} there are fewer loads, and less time for each.
        """
        result, _ = self.calibrated(_Runs(), "--quick")
        self.assertEqual([one.name for one in result.loads], [load.name for load in LOADS if load.quick])
        self.assertLess(result.seconds, 1)

    def test_nothingFound(self):
        """
        If no rate was in time there is a second search, from a lower one. If that finds none either it is told, and
        there is nothing to try after it.
        """
        runs = _Runs(highest=None)
        result, shown = self.calibrated(runs, "--quick")
        *_, searches = runs.commands.values()
        self.assertEqual([each[4] for each in searches], ["200.0", "50.0"])
        self.assertEqual(shown.count("FAILED: no rate was in time"), 1)
        self.assertIsNone(result.check)
        self.assertEqual(result.exit, 1)

    def test_stopped(self):
        """
        After a signal nothing more is started, and the run that it ended has no row.
        """
        runs = _Runs(stopAfter=2)
        result, shown = self.calibrated(runs)
        self.assertEqual(len(runs.commands), 2)
        self.assertEqual(shown, heading() + row(result.loads[0]))
        self.assertEqual((len(result.loads), result.search, result.exit), (1, None, 1))

    def test_withoutTLS(self):
        """
        Where pyOpenSSL is not installed, the loads with TLS are left out, and it is said what they need.
        """
        self.patch(client, "_missing", "No module named 'OpenSSL'")
        runs = _Runs()
        result, shown = self.calibrated(runs)
        self.assertEqual([command for [command] in runs.commands.values() if "--tls" in command], [])
        self.assertEqual(shown.count("left out: TLS needs pyOpenSSL"), 2)
        self.assertEqual(result.exit, 0)

    def test_loads(self):
        """
        A user can give each load's options.
        """
        for load in LOADS:
            if "--tls" in load.options and client._missing is not None:
                continue
            options = SourceOptions()
            options.parseOptions([*load.options.split(), "sink:"])
            self.assertTrue(options.plan.sessionCount)


class CommandLineTests(ToolTestCase):
    """
    The command line.
    """

    def test_usage(self):
        """
        What can't be used is told in one line.
        """
        for arguments, problem in (
            (["mail.example.com"], "'mail.example.com' is not usable: expected options only"),
            (["--seconds", "50ms"], "--seconds: '50ms' is not usable: expected from 100ms to 1h"),
            (["--seconds", "2h"], "--seconds: '2h' is not usable: expected from 100ms to 1h"),
            (["--seconds", "x"], "--seconds: 'x' is not usable: expected a time such as 30s, 500ms"),
            (["--report", "/no/such/x"], "--report: '/no/such/x' is not usable: expected a file in a directory"),
            (["--loads", "3"], "--loads: no such option"),
        ):
            status, out, err = self.run_("calibrate", *arguments)
            self.assertEqual((status, out), (2, ""))
            self.assertTrue(err.startswith(f"smtpsource calibrate: {problem}"), err)
            self.assertTrue(err.endswith(" (see smtpsource calibrate --help)\n") and err.count("\n") == 1, err)

    def test_host(self):
        """
        A host of this name can still be loaded.
        """
        options = SourceOptions()
        options.parseOptions(["inet:calibrate"])
        self.assertEqual(options.plan.destination.host, "calibrate")

    def test_manual(self):
        """
        There is a page with all options, each load and each field of the report; it becomes a manual page of section 1.
        """
        path = manuals.MANUAL / "smtpsource-calibrate.rst"
        wanted = {("V", "version", None), ("h", "help", None)}
        for _, group in CalibrateOptions.groups:
            wanted |= {(o.short, o.long, o.meta if isinstance(o, ValueOption) else None) for o in group}
        self.assertEqual(set(manuals.documented(path)), wanted)
        text = path.read_text("utf-8")
        for load in LOADS:
            self.assertIn(load.name, text)
            self.assertIn(load.options, text)
        document = calibration().asDict()
        fields = {*document, *document["loads"][0]} - {"tool", "command"}
        self.assertEqual(set(), {name for name in fields if f"*{name}*" not in text})
        warnings = io.StringIO()
        page = publish_string(
            text,
            str(path),
            writer_name="manpage",
            settings_overrides={**manuals.settings(warnings), "output_encoding": "unicode"},
        )
        self.assertEqual("", warnings.getvalue())
        self.assertRegex(page.replace("\\-", "-"), r'(?im)^\.TH "?smtpsource-calibrate"? "?1"? ')


class ProcessTests(TestCase):
    """
    Real calibrations, short ones.
    """

    timeout = TEST_LIMIT

    @defer.inlineCallbacks
    def test_quick(self):
        """
        A calibration ends with a table in which each row has a rate, and with a report that says the same. What the
        generator counted is what the sink counted.
        """
        command = smtpsource(self, "calibrate", "--quick", "--seconds", "0.3", "--report", "here.json")
        result = yield command.whenEnded()
        self.assertEqual(result.err, b"")
        said, _, table = result.out.decode().partition("\n\n")
        self.assertRegex(said, r"^This takes about \d+ seconds, ")
        lines = table.split("\n\n")[0].splitlines()
        report = json.loads((command.directory / "here.json").read_text())
        self.assertEqual(report["ended"], "done")
        # On a machine that is busy with other tests there may be no rate that is always in time.
        found = report["highest"] is not None
        self.assertEqual((result.status, report["exit"]), (0, 0) if found else (1, 1), result.out)
        measured = report["loads"] if found else report["loads"][:-1]
        self.assertEqual(len(measured), sum(load.quick for load in LOADS) + (2 if found else 0))
        for line, load in zip(lines[1:], measured, strict=found):
            self.assertTrue(line.startswith(load["name"]), line)
            self.assertGreater(float(line[len(load["name"]) :].split()[0]), 0)
            self.assertEqual((load["problem"], load["leftOut"]), (None, False))
            self.assertEqual(load["counted"], load["accepted"] + load["warmup"])
            self.assertLess(0, load["p50"])
            self.assertLessEqual(load["p50"], load["p99"])
            # Neither took more than there is: a process of ours has one thread that works.
            for share in ("ownShare", "sinkShare"):
                self.assertTrue(0 < load[share] < 1.2, load)
        self.assertIn(report["trusted"], (None, 0.8 * report["highest"] if found else None))
        self.assertLess(0, report["connectionRate"])
        self.assertIn(f"at most {report['sessions']} at once", " ".join(result.out.decode().split()))
        self.assertEqual(sorted(path.name for path in command.directory.iterdir()), ["here.json"])

    @defer.inlineCallbacks
    def test_interrupted(self):
        """
        Ctrl-C ends it in order: the loads that were measured are told and written, and no process is left.
        """
        command = smtpsource(self, "calibrate", "--seconds", "0.2", "--report", "-")
        yield command.whenPrinted(rb"^1 session +[0-9]+\.[0-9]", "err")
        children = command.children()
        command.signal(signal.SIGINT)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1, result.err)
        self.assertRegex(result.err.decode(), r"\nstopped +before its end: this is what there is\nconclusion +figures")
        self.assertNotIn(b"Traceback", result.err)
        report = json.loads(result.out)
        self.assertEqual((report["ended"], report["exit"], report["highest"]), ("signal", 1, None))
        self.assertEqual(report["loads"][0]["name"], "1 session")
        self.assertLess(len(report["loads"]), len(LOADS))
        for pid in children:
            self.assertFalse(os.path.exists(f"/proc/{pid}"))

    @defer.inlineCallbacks
    def test_failures(self):
        """
        Where this machine does not have enough open files, each row says so, without a traceback, and the status is 1.
        """
        program = (
            "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60));"
            "from smtpsource.__main__ import main; main(['calibrate', '--quick', '--seconds', '0.1'])"
        )
        result = yield python(self, "-c", program).whenEnded()
        self.assertEqual((result.status, result.err), (1, b""), result.out)
        text = " ".join(result.out.decode().split())
        wanted = re.escape("FAILED: -s (--session-count): 20 sessions need more open files than this process may have")
        self.assertEqual(len(re.findall(wanted, text)), sum(load.quick for load in LOADS))
        self.assertTrue(text.endswith("conclusion nothing was measured"), text)

    @defer.inlineCallbacks
    def test_unwritable(self):
        """
        A report that can't be written is told of at once if that can be known, and else at the end.
        """
        command = smtpsource(self, "calibrate", "--quick", "--seconds", "0.1", "--report", "/dev/full")
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1)
        self.assertEqual(
            result.err.decode(),
            "smtpsource calibrate: the report /dev/full could not be written: No space left on device\n",
        )
        self.assertTrue(Path("/dev/full").exists())
