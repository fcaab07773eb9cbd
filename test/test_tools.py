"""
The commands C{smtpsource compare} and C{smtpsource merge}, as processes of their own and their command lines.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import manuals
from commandlines import ToolTestCase
from docutils.core import publish_string
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from patience import TEST_LIMIT
from results import EVERYTHING, example, latencies, second
from subprocesses import loadAndReport, smtpsource
from twisted.internet import defer
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource import __version__, speedups
from smtpsource.cli.source import SourceOptions
from smtpsource.measure.histogram import HIGHEST_MICROSECONDS
from smtpsource.measure.summary import Messages
from smtpsource.report.document import documentOf
from smtpsource.tools.compare import CompareOptions
from smtpsource.tools.merge import MergeOptions
from smtpsource.tools.reconcile import ReconcileOptions
from smtpsource.values.option import ValueOption

TOOLS = {"compare": CompareOptions, "merge": MergeOptions, "reconcile": ReconcileOptions}


class CompareTests(ToolTestCase):
    """
    C{smtpsource compare}.
    """

    def setUp(self):
        super().setUp()
        self.before = self.write("before.json", example(rate=100.0, elapsed=10.0, **latencies(0.1)))
        self.after = self.write("after.json", example(rate=90.0, elapsed=10.0, **latencies(0.2)))

    def test_text(self):
        """
        Both are shown, and the status is 0 whatever the difference is.
        """
        status, out, err = self.run_("compare", self.before, self.after)
        self.assertEqual((status, err), (0, ""))
        self.assertIn("rate                  100.0/s      90.0/s    -10.0%  too few seconds to tell\n", out)
        self.assertNotIn("fails if", out)

    def test_failIf(self):
        """
        With a difference that must not be, the status is 3, and it is said which one; options may stand anywhere.
        """
        status, out, err = self.run_(
            "compare", "--fail-if", "p99(message) > +300%", self.before, self.after, "--fail-if", "p99(message)>+10%"
        )
        self.assertEqual("", err)
        self.assertEqual(status, 3)
        self.assertTrue(
            out.startswith(
                "pass         p99(message) > +300%: +100.0% (from 100.031 ms to 200.063 ms)\n"
                "FAIL         p99(message)>+10%: +100.0% (from 100.031 ms to 200.063 ms)\n"
            ),
            out,
        )
        status, out, err = self.run_("compare", "--fail-if", "p99(message) > +300%", self.before, self.after)
        self.assertEqual((status, err), (0, ""))

    def test_unreadable(self):
        """
        What is no report is told of in one line, and the status is 1.
        """
        for path, problem in (
            ("/no/such.json", "expected a report that can be read: No such file or directory"),
            ("/dev/null", "expected a report of smtpsource in JSON: Expecting value: line 1 column 1 (char 0)"),
        ):
            self.assertEqual(
                self.run_("compare", self.before, path), (1, "", f"smtpsource compare: {path}: {problem}\n")
            )

    def test_usage(self):
        """
        So is a command line that can't be used, with status 2.
        """
        for arguments, problem in (
            ([], "0 reports: expected two"),
            (["a"], "1 report: expected two"),
            (["a", "b", "c"], "3 reports: expected two"),
            (["a", "b", "--speed"], "--speed: no such option"),
            (["a", "b", "--fail-if"], "--fail-if: its value is missing"),
            (
                ["a", "b", "--fail-if", "faster"],
                "--fail-if: 'faster' is not usable: expected a figure and a change, such as 'p99(message) > +10%', "
                "'rate < -5%' or 'errors > 0.1%'",
            ),
        ):
            self.assertEqual(
                self.run_("compare", *arguments),
                (2, "", f"smtpsource compare: {problem} (see smtpsource compare --help)\n"),
            )


class MergeTests(ToolTestCase):
    """
    C{smtpsource merge}.
    """

    def setUp(self):
        super().setUp()
        series = tuple(second(n) for n in (1, 2))
        first = example(run="r1", exit=0, messages=Messages(10, 10, 0, 0), **latencies(0.1), series=series)
        self.first = self.write("1.json", first)
        self.second = self.write(
            "2.json", example(run="r2", exit=0, messages=Messages(5, 5, 0, 0), **latencies(0.3), series=series)
        )

    def test_text(self):
        """
        The summary of all is shown.
        """
        status, out, err = self.run_("merge", self.first, self.second)
        self.assertEqual((status, err), (0, ""))
        self.assertTrue(
            out.startswith(
                "passed       all 15 messages accepted; 14 connections could not be made; 10\n"
                "             recipients refused\n\nruns         2 added up\n"
                "messages     15 started, 15 accepted, 0 rejected, 0 failed\n"
            ),
            out,
        )
        self.assertIn("message             2  200 ms  100 ms  300 ms", out)

    def test_files(self):
        """
        The result is a report like others, with the command as its own; and its series is a table.
        """
        report, table, page = (self.directory / name for name in ("all.json", "all.csv", "all.html"))
        arguments = ["merge", "--quiet", self.first, self.second]
        arguments += ["--report", str(report), "--csv", str(table), "--html", str(page)]
        self.assertEqual(self.run_(*arguments), (0, "", ""))
        document = json.loads(report.read_text())
        self.assertEqual(document["command"], ["smtpsource", *arguments])
        self.assertEqual((document["messages"]["accepted"], document["exit"]), (15, 0))
        self.assertEqual([sample["accepted"] for sample in document["series"]], [200, 200])
        self.assertEqual([line.split(",")[4] for line in table.read_text().splitlines()], ["accepted", "200", "200"])
        self.assertIn("all 15 messages accepted", page.read_text("utf-8"))
        third = self.write("3.json", example(run="r3", **latencies(0.2)))
        status, out, err = self.run_("merge", "--report", "-", self.first, third)
        self.assertEqual((status, json.loads(out)["exit"]), (0, 1))
        self.assertIn("runs         2 added up\n", err)

    def test_thresholds(self):
        """
        A threshold is checked against all of it; if it fails, the status is 3.
        """
        report = str(self.directory / "all.json")
        arguments = ("--threshold", "count(message) == 2", "--threshold", "max(message) < 200ms")
        status, out, err = self.run_("merge", *arguments, "--report", report, self.first, self.second)
        self.assertEqual("", err)
        self.assertEqual(status, 3)
        self.assertTrue(
            out.startswith(
                "FAILED       1 of 2 thresholds missed; all 15 messages accepted; 14 connections\n"
                "             could not be made; 10 recipients refused\n"
                "pass         count(message) == 2: 2\nFAIL         max(message) < 200ms: 300.031 ms\n"
            ),
            out,
        )
        document = json.loads(Path(report).read_text())
        self.assertEqual((document["exit"], [one["passed"] for one in document["thresholds"]]), (3, [True, False]))
        status, out, err = self.run_("merge", *arguments[:2], self.first, self.second)
        self.assertEqual(status, 0)

    def test_refused(self):
        """
        Reports that can't be added up exactly are refused, with status 1.
        """
        old = documentOf(example(**EVERYTHING))
        del old["histograms"]
        path = self.directory / "old.json"
        path.write_text(json.dumps(old))
        for paths, problem in (
            (
                [self.first, str(path)],
                f"{path}: expected a report with histograms of all phases, but there is none of message, transaction",
            ),
            (
                [self.first, self.second, self.first],
                f"{self.first}: expected each run once, but r1 is in {self.first} as well",
            ),
            (
                ["/dev/null"],
                "/dev/null: expected a report of smtpsource in JSON: Expecting value: line 1 column 1 (char 0)",
            ),
        ):
            self.assertEqual(self.run_("merge", *paths), (1, "", f"smtpsource merge: {problem}\n"))

    def test_sameSeed(self):
        """
        Runs with the same seed have the same id: they are added up, but not one with itself.
        """
        values = {"run": "r", "seed": 7, "exit": 1, "environment": {"host": "a"}}
        there = {**values, "environment": {"host": "b"}}
        later = {**values, "started": "2026-01-02T03:04:05.679+00:00"}
        paths = [
            self.write(f"{n}.json", example(**each, **latencies(0.1))) for n, each in enumerate((values, there, later))
        ]
        status, out, err = self.run_("merge", "--threshold", "started < 1", *paths, "--report", "-", "--quiet")
        self.assertEqual("", err)
        self.assertEqual(status, 3)
        self.assertEqual(json.loads(out)["exit"], 3)
        self.assertEqual(json.loads(out)["run"], "r")
        status, _, err = self.run_("merge", *paths, paths[1])
        self.assertEqual((status, err.count("expected each run once, but r is in")), (1, 1))

    def test_unwritable(self):
        """
        If the result can't be written, the status is 1.
        """
        status, _, err = self.run_("merge", "--report", "/dev/full", self.first)
        self.assertEqual(
            (status, err), (1, "smtpsource merge: the report /dev/full could not be written: No space left on device\n")
        )

    def test_usage(self):
        """
        A command line that can't be used.
        """
        for arguments, problem in (
            ([], "no report: expected at least one"),
            (["--report", "/no/such/x", "a"], "--report: '/no/such/x' is not usable: expected a file in a directory"),
            (["a", "--threshold", "x"], "--threshold: 'x' is not usable: expected a comparison such as"),
            (["a", "--report", "-", "--csv", "-"], "--report and --csv exclude each other: both are to be in"),
        ):
            status, out, err = self.run_("merge", *arguments)
            self.assertEqual((status, out), (2, ""))
            self.assertTrue(err.startswith(f"smtpsource merge: {problem}"), err)


class CommandLineTests(SynchronousTestCase):
    """
    What both have in common.
    """

    def test_help(self):
        """
        The help is about what was measured: there is no reactor in it.
        """
        for name, options in TOOLS.items():
            text = str(options())
            self.assertIn(
                f"Usage: smtpsource {name} [options] {'DIR ...' if name == 'reconcile' else 'A.json B.json'}", text
            )
            self.assertNotIn("eactor", text)
            self.assertNotIn("\n\n\n", text)

    def test_dashes(self):
        """
        After two dashes all are files.
        """
        options = CompareOptions()
        options.parseOptions(["--", "--fail-if", "b"])
        self.assertEqual(options.files, ("--fail-if", "b"))
        self.assertRaises(usage.UsageError, CompareOptions().parseOptions, ["--fail-if", "b"])

    def test_hosts(self):
        """
        A host with the name of a tool can still be loaded.
        """
        for name in TOOLS:
            for arguments in ([f"inet:{name}"], ["-m", "1", name]):
                options = SourceOptions()
                options.parseOptions(arguments)
                self.assertEqual(options.plan.destination.host, name)

    def test_manual(self):
        """
        Each has a page with all its options, which becomes a manual page of section 1.
        """
        for name, options in TOOLS.items():
            path = manuals.MANUAL / f"smtpsource-{name}.rst"
            wanted = {("V", "version", None), ("h", "help", None)}
            for _, group in options.groups:
                wanted |= {(o.short, o.long, o.meta if isinstance(o, ValueOption) else None) for o in group}
            self.assertEqual(set(manuals.documented(path)), wanted)
            warnings = io.StringIO()
            page = publish_string(
                path.read_text("utf-8"),
                str(path),
                writer_name="manpage",
                settings_overrides={**manuals.settings(warnings), "output_encoding": "unicode"},
            )
            self.assertEqual("", warnings.getvalue())
            self.assertRegex(page.replace("\\-", "-"), rf'(?im)^\.TH "?smtpsource-{name}"? "?1"? ')


class ProcessTests(TestCase):
    """
    Real runs, and what the tools make of them.
    """

    timeout = TEST_LIMIT

    @defer.inlineCallbacks
    def test_runs(self):
        """
        Two runs side by side: their reports can be merged and compared, and all figures come together.
        """
        started = [loadAndReport(self, "-d", "-s", "2", "-m", count, "sink:") for count in ("100", "200")]
        runs = yield defer.gatherResults(started)
        directory = Path(self.mktemp()).resolve()
        directory.mkdir()
        paths = []
        for number, (result, report) in enumerate(runs):
            self.assertEqual(result.status, 0)
            paths.append(str(directory / f"{number}.json"))
            Path(paths[-1]).write_text(json.dumps(report))
        merged = yield smtpsource(self, "merge", "--quiet", "--report", "-", *paths).whenEnded()
        self.assertEqual((merged.status, merged.err), (0, b""))
        document = json.loads(merged.out)
        self.assertEqual(document["messages"]["accepted"], 300)
        self.assertEqual(document["latency"]["transaction"]["count"], 300)
        self.assertEqual(HdrHistogram.decode(document["histograms"]["transaction"]).get_total_count(), 300)
        longest = max(report["latency"]["transaction"]["max"] for _, report in runs)
        self.assertEqual(document["latency"]["transaction"]["max"], longest)
        self.assertEqual(sum(sample["accepted"] for sample in document["series"]), 300)
        compared = yield smtpsource(self, "compare", *paths, "--fail-if", "accepted != 200").whenEnded()
        self.assertEqual((compared.status, compared.err), (0, b""))
        self.assertRegex(compared.out, rb"(?m)^accepted +100 +200 +\+100%$")

    @defer.inlineCallbacks
    def test_outputs(self):
        """
        A run's table, log and test result, as others read them.
        """
        command = smtpsource(
            self,
            *("-d", "-s", "2", "-m", "300", "--quiet", "--threshold", "errors == 0", "--threshold", "rate < 1/h"),
            *("--csv", "run.csv", "--hlog", "run.hlog", "--junit", "run.xml", "sink:"),
        )
        result = yield command.whenEnded()
        self.assertEqual((result.status, result.out), (3, b""), result.err)
        table = [line.split(",") for line in (command.directory / "run.csv").read_text().splitlines()]
        self.assertEqual(sum(int(row[table[0].index("accepted")]) for row in table[1:]), 300)
        whole = HdrHistogram(1, HIGHEST_MICROSECONDS, 3)
        log = HistogramLogReader(str(command.directory / "run.hlog"), whole)
        counts = {}
        while (interval := log.get_next_interval_histogram()) is not None:
            counts[interval.get_tag()] = counts.get(interval.get_tag(), 0) + interval.get_total_count()
        log.close()
        self.assertEqual(counts, {"connect": 2, "transaction": 300})
        text = (command.directory / "run.xml").read_text()
        self.assertIn('<testsuite name="smtpsource" tests="3" failures="1"', text)
        self.assertEqual(sorted(path.name for path in command.directory.iterdir()), ["run.csv", "run.hlog", "run.xml"])

    @defer.inlineCallbacks
    def test_version(self):
        """
        A tool says its version.
        """
        result = yield smtpsource(self, "merge", "--version").whenEnded()
        self.assertEqual(
            (result.status, result.out.decode()), (0, f"smtpsource merge {__version__} ({speedups.NAME})\n")
        )
