"""
The command C{smtpsource html}, and C{--html}.
"""

from __future__ import annotations

import json
import os
import pty
from pathlib import Path

from commandlines import ToolTestCase
from htmlpages import Page
from patience import TEST_LIMIT
from results import example, latencies, second
from subprocesses import smtpsource
from twisted.internet import defer
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource.tools.html import HtmlOptions, labelsOf


class HtmlTests(ToolTestCase):
    """
    C{smtpsource html}.
    """

    def setUp(self):
        super().setUp()
        series = [tuple(second(n, accepted=accepted + n % 2) for n in range(1, 12)) for accepted in (100, 50)]
        self.before = self.write("before.json", example(rate=100.0, elapsed=11.0, series=series[0], **latencies(0.1)))
        self.after = self.write("after.json", example(rate=50.0, elapsed=11.0, series=series[1], **latencies(0.2)))

    def test_one(self):
        """
        The page of a report goes to standard output; the status says nothing of the run.
        """
        status, out, err = self.run_("html", self.before)
        self.assertEqual((status, err), (0, ""))
        found = Page(out)
        self.assertEqual(([], [], ["FAILED"]), (found.wrong, found.open, found.of("strong")))
        self.assertEqual(["before"], [run["label"] for run in found.data["runs"]])
        self.assertEqual([], found.cells("changes"))

    def test_two(self):
        """
        Of two it is told what has changed, and whether it is more than noise; options may stand anywhere.
        """
        path = self.directory / "page.html"
        self.assertEqual(self.run_("html", self.before, "--output", str(path), self.after), (0, "", ""))
        found = Page(path.read_text())
        self.assertEqual(["before", "after"], [run["label"] for run in found.data["runs"]])
        rows = {name: others for name, *others in found.cells("changes")}
        self.assertEqual(["before", "after"], rows["figure"][:2])
        self.assertEqual(["100.0/s", "50.0/s", "-50.0%", "more than noise (p < 0.001)"], rows["rate"])
        self.assertEqual(["200 ms", "400 ms", "+100%"], rows["p50(transaction)"][:3])

    def test_different(self):
        """
        What was different of their machines is told, by their names.
        """
        hosts = [
            self.write(f"{name}.json", example(environment={"host": f"{name}.example"})) for name in ("one", "other")
        ]
        _, out, _ = self.run_("html", *hosts)
        self.assertIn("not the same host: one.example in one, other.example in other", Page(out).of("li"))

    def test_several(self):
        """
        Up to eight are laid over each other.
        """
        status, out, _ = self.run_("html", *[self.before] * 8)
        self.assertEqual(0, status)
        self.assertEqual(8, len(Page(out).data["runs"]))

    def test_pipe(self):
        """
        A report may come through a pipe.
        """
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        os.write(writer, Path(self.before).read_bytes())
        os.close(writer)
        status, out, err = self.run_("html", f"/dev/fd/{reader}")
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(11, len(Page(out).data["runs"][0]["series"]["time"]))

    def test_unreadable(self):
        """
        What is no report is told of in one line, and the status is 1; nothing is written.
        """
        broken = self.directory / "broken.json"
        document = json.loads(Path(self.before).read_text())
        document["histograms"]["message"] = "AAAA"
        broken.write_text(json.dumps(document))
        other = self.directory / "other.json"
        other.write_text(json.dumps({**document, "schema": 2}))
        path = self.directory / "page.html"
        for report, problem in (
            ("/no/such.json", "expected a report that can be read: No such file or directory"),
            ("/dev/null", "expected a report of smtpsource in JSON: Expecting value: line 1 column 1 (char 0)"),
            (broken, "histograms.message: expected an HdrHistogram in base64, version 2"),
            (other, "expected a report of schema 1, not 2; is it of a later version?"),
        ):
            self.assertEqual(
                self.run_("html", "--output", str(path), self.before, str(report)),
                (1, "", f"smtpsource html: {report}: {problem}\n"),
            )
            self.assertFalse(path.exists())

    def test_unwritable(self):
        """
        So is a page that can't be written.
        """
        status, _, err = self.run_("html", "--output", "/dev/full", self.before)
        self.assertEqual(
            (1, "smtpsource html: the page /dev/full could not be written: No space left on device\n"), (status, err)
        )

    def test_usage(self):
        """
        A command line that can't be used is told of in one line, with status 2.
        """
        for arguments, problem in (
            ([], "0 reports: expected from 1 to 8"),
            (["a"] * 9, "9 reports: expected from 1 to 8"),
            (["a", "--speed"], "--speed: no such option"),
            (
                [self.before, "--output", self.before],
                f"--output: '{self.before}' is not usable: it belongs to the reports to show; expected another file",
            ),
        ):
            self.assertEqual(
                self.run_("html", *arguments),
                (2, "", f"smtpsource html: {problem} (see smtpsource html --help)\n"),
            )


class LabelTests(SynchronousTestCase):
    """
    What reports are called.
    """

    def test_labels(self):
        """
        By the shortest name that tells them apart.
        """
        for paths, labels in (
            (["a/x.json", "y"], ["x", "y"]),
            (["a/x.json", "b/x.json", "z.json"], ["a/x.json", "b/x.json", "z"]),
            (["x.json", "x.json"], ["A x.json", "B x.json"]),
        ):
            self.assertEqual(labels, labelsOf(paths))


class ProcessTests(TestCase):
    """
    Both as processes.
    """

    timeout = TEST_LIMIT

    @defer.inlineCallbacks
    def test_run(self):
        """
        A run writes its page, and the same page is made of its report.
        """
        command = smtpsource(
            self, *("-d", "-s", "2", "-m", "300", "--quiet", "--html", "run.html", "--report", "run.json", "sink:")
        )
        result = yield command.whenEnded()
        self.assertEqual((result.status, result.out, result.err), (0, b"", b""))
        found = Page((command.directory / "run.html").read_text())
        self.assertEqual(["passed"], found.of("strong"))
        report = json.loads((command.directory / "run.json").read_text())
        rows = {row[0]: row for row in found.cells("latencies")}
        self.assertEqual(str(report["latency"]["transaction"]["count"]), rows["transaction"][1])
        self.assertEqual("300", rows["transaction"][1])
        tool = smtpsource(self, "html", command.directory / "run.json")
        result = yield tool.whenEnded()
        self.assertEqual((result.status, result.err), (0, b""))
        made = Page(result.out.decode())
        self.assertEqual(found.elements[1:], made.elements[1:])
        self.assertEqual(found.data["runs"][0]["series"], made.data["runs"][0]["series"])

    @defer.inlineCallbacks
    def test_standardOutput(self):
        """
        With C{--html -} standard output is the page; the summary goes to standard error.
        """
        result = yield smtpsource(self, "-m", "3", "--html", "-", "sink:").whenEnded()
        self.assertEqual(result.status, 0)
        self.assertTrue(result.out.startswith(b"<!DOCTYPE html>"))
        self.assertTrue(result.out.endswith(b"</html>\n"))
        self.assertTrue(result.err.startswith(b"passed "))

    def test_terminal(self):
        """
        Nobody wants a page on a terminal.
        """
        main, terminal = pty.openpty()
        self.addCleanup(os.close, main)
        saved = os.dup(1)
        try:
            os.dup2(terminal, 1)
            problem = self.assertRaises(usage.UsageError, HtmlOptions().parseOptions, ["run.json"])
        finally:
            os.dup2(saved, 1)
            os.close(saved)
            os.close(terminal)
        self.assertEqual("standard output is a terminal: expected --output FILE", str(problem))
