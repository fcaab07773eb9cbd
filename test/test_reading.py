"""
Tests for L{smtpsource.report.schema} and L{smtpsource.report.reading}: the layout of a report, and reading one.
"""

from __future__ import annotations

import base64
import copy
import json
import os
import struct
import zlib
from pathlib import Path

from commandlines import ToolTestCase
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from properties import given, settings
from results import EVERYTHING, REPORTS, example, places
from subprocesses import loadAndReport
from twisted.internet import defer
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource.measure.encoding import encode
from smtpsource.phases import NAMES
from smtpsource.plan import SourcePlan
from smtpsource.report.document import documentOf
from smtpsource.report.reading import ReportError, read, summaryOf
from smtpsource.report.schema import problems, reportSchema
from smtpsource.sink.factory import SinkFactory
from smtpsource.sink.plan import SinkPlan
from smtpsource.testing import runInMemory


def strict(schema):
    """
    @return: the same schema, but with no field that it does not name.
    """
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {name: strict(one) for name, one in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") in ("object", ["object", "null"]):
        schema.setdefault("additionalProperties", False)
    return schema


#: jsonschema's opinion.
VALIDATOR = Draft202012Validator(reportSchema())
STRICT = Draft202012Validator(strict(reportSchema()))


#: Whatever may stand in JSON.
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.5, -0.5, 1.0, 1e300, "", "x", "HISTF", "2026-01-02T03:04:05.678+00:00"]),
    st.sampled_from([[], {}, [1], ["x"], {"x": 1}, {"count": 1, "sample": "x"}]),
)


@st.composite
def changed(draw):
    """
    @return: a report in which one value is another, or missing.
    """
    document = copy.deepcopy(draw(st.sampled_from(REPORTS)))
    *way, last = draw(st.sampled_from(places(document)))
    inner = document
    for name in way:
        inner = inner[name]
    if isinstance(inner, dict) and draw(st.booleans()):
        del inner[last]
    else:
        inner[last] = draw(ANYTHING)
    return document


class SchemaTests(SynchronousTestCase):
    """
    The schema that comes with the package.
    """

    def test_valid(self):
        """
        It is a schema.
        """
        Draft202012Validator.check_schema(reportSchema())

    def test_reports(self):
        """
        Reports of all kinds are as it says, and have no field that it does not know.
        """
        for report in REPORTS:
            report = json.loads(json.dumps(report))
            self.assertEqual([error.message for error in STRICT.iter_errors(report)], [])
            self.assertEqual(list(problems(report)), [])

    def test_moreFields(self):
        """
        Fields may be added: a report that has more is as it says, too.
        """
        report = {**documentOf(example()), "moonPhase": "full"}
        self.assertTrue(VALIDATOR.is_valid(report))
        self.assertFalse(STRICT.is_valid(report))

    def test_broken(self):
        """
        It refuses what is wrong.
        """
        for path, value in (
            (("schema",), 2),
            (("tool", "name"), "smtp-sink"),
            (("exit",), 2),
            (("exit",), True),
            (("started",), "yesterday"),
            (("messages", "accepted"), "1"),
            (("messages", "accepted"), -1),
            (("latency", "mail", "p99"), None),
            (("thresholds", 0, "passed"), 1),
            (("series", 0, "accepted"), 0.5),
            (("histograms", "message"), "<histogram>"),
            (("warmup", "seconds"), None),
        ):
            report = json.loads(json.dumps(REPORTS[0 if path[0] == "latency" else 1]))
            inner = report
            for name in path[:-1]:
                inner = inner[name]
            inner[path[-1]] = value
            self.assertFalse(VALIDATOR.is_valid(report), path)
            self.assertEqual(len(list(problems(report))), 1, path)

    @given(changed())
    @settings(deadline=None, max_examples=300)
    def test_sameAsOthers(self, report):
        """
        Our own reading of it is that of jsonschema.
        """
        self.assertEqual(not list(problems(report)), VALIDATOR.is_valid(report))

    def test_runInMemory(self):
        """
        A run in memory gives such a report.
        """
        plan = SourcePlan(messageCount=30, sessionCount=2, fixedInterval=0.25)
        summary = runInMemory(plan, SinkFactory(SinkPlan(), lambda: 0.0))
        report = json.loads(json.dumps(documentOf(summary)))
        self.assertEqual([error.message for error in STRICT.iter_errors(report)], [])
        self.assertEqual(report["histograms"].keys(), report["latency"].keys())
        self.assertEqual(sum(sample["accepted"] for sample in report["series"]), 30)
        self.assertGreaterEqual(len(report["series"]), 3)


class CommandTests(TestCase):
    """
    Reports of the command.
    """

    @defer.inlineCallbacks
    def check(self, status, *arguments):
        result, report = yield loadAndReport(self, *arguments)
        self.assertEqual(result.status, status, result.err)
        self.assertEqual([error.message for error in STRICT.iter_errors(report)], [])
        self.assertEqual(documentOf(summaryOf(report)), report)
        return report

    @defer.inlineCallbacks
    def test_closedLoop(self):
        """
        That of a closed loop against a server of our own, with TLS if there is any.
        """
        report = yield self.check(0, "-d", "-s", "3", "-m", "300", "--esmtp", "sink:")
        self.assertEqual(sum(sample["accepted"] for sample in report["series"]), 300)
        self.assertEqual(report["environment"]["reactor"], report["reactor"])

    @defer.inlineCallbacks
    def test_openLoop(self):
        """
        That of an open loop with a warm-up and thresholds, one of which fails.
        """
        options = ["--rate", "100", "--duration", "1.5", "--warmup", "0.5", "-s", "5", "-d"]
        thresholds = ["--threshold", "errors == 0", "--threshold", "p50(message) > 1m"]
        report = yield self.check(3, *options, *thresholds, "sink:")
        self.assertApproximates(report["asked"], 150, 3)
        self.assertEqual([outcome["passed"] for outcome in report["thresholds"]], [True, False])
        self.assertGreaterEqual(len(report["series"]), 1)
        self.assertApproximates(report["warmup"]["accepted"], 50, 25)

    @defer.inlineCallbacks
    def test_nobodyThere(self):
        """
        That of a run that came to nothing.
        """
        report = yield self.check(1, "-m", "3", "unix:/no/such/socket")
        self.assertEqual(report["histograms"], {})


class ReadingTests(SynchronousTestCase):
    """
    Reports that were written.
    """

    def setUp(self):
        self.path = os.path.abspath(self.mktemp())

    def refused(self, text):
        """
        @return: why this file is no report.
        """
        Path(self.path).write_bytes(text if isinstance(text, bytes) else text.encode())
        problem = str(self.assertRaises(ReportError, read, self.path))
        self.assertNotIn("\n", problem)
        self.assertTrue(problem.startswith(f"{self.path}: "), problem)
        return problem.removeprefix(f"{self.path}: ")

    def test_same(self):
        """
        What was read is what was written.
        """
        for report in REPORTS:
            Path(self.path).write_text(json.dumps(report))
            self.assertEqual(documentOf(read(self.path)), json.loads(json.dumps(report)))

    def test_earlier(self):
        """
        A report of an earlier version, without what was added since, can be read.
        """
        report = documentOf(example(**EVERYTHING))
        for name in ("run", "seed", "thresholds", "limits", "warmup", "asked", "askedRate", "late", "dropped"):
            del report[name]
        for name in ("environment", "histograms", "series"):
            del report[name]
        summary = summaryOf(report)
        self.assertEqual((summary.series, summary.buckets, summary.asked, summary.late), ((), {}, None, 0))
        self.assertEqual(summary.messages, example().messages)

    def test_noFile(self):
        """
        What can't be read is told with its name.
        """
        error = self.assertRaises(ReportError, read, "/no/such/file")
        self.assertEqual(str(error), "/no/such/file: expected a report that can be read: No such file or directory")
        self.assertIn("Is a directory", str(self.assertRaises(ReportError, read, "/")))

    def test_noReport(self):
        """
        So is what is no report, or not one of ours.
        """
        for text, problem in (
            ("", "expected a report of smtpsource in JSON: Expecting value: line 1 column 1 (char 0)"),
            (b"\xff", "expected a report of smtpsource in JSON: 'utf-8' codec can't decode"),
            (
                b"\xff\xfe",
                "expected a report of smtpsource in JSON: expected UTF-8, not UTF-16, as its byte order mark",
            ),
            ('{"rate": NaN}', "expected a report of smtpsource in JSON: NaN is no number"),
            ("[" * 100_000, "expected a report of smtpsource in JSON: "),
            ("[]", "expected a report of smtpsource"),
            ("{}", "expected a report of smtpsource"),
            ('{"tool": {"name": "smtp-sink"}}', 'expected a report of smtpsource, not of "smtp-sink"'),
            (
                '{"tool": {"name": "smtp-source"}, "schema": 2}',
                "expected a report of schema 1, not 2; is it of a later version?",
            ),
            (
                '{"tool": {"name": "smtp-source"}, "schema": 1}',
                "expected a field command, which is missing",
            ),
        ):
            self.assertTrue(self.refused(text).startswith(problem), self.refused(text))

    def test_broken(self):
        """
        If a value is not what it should be, it is named.
        """
        for name, value, problem in (
            ("rate", "fast", 'expected a number of 0 or more in rate, not "fast"'),
            ("ended", "well", 'expected "done" or "aborted" or "signal" or "running" in ended, not "well"'),
            ("messages", {"started": -1}, "expected a field messages.accepted, which is missing"),
            ("tls", {"TLSv1.3": 0.5}, "expected a whole number of 0 or more in tls.TLSv1.3, not 0.5"),
            ("limits", [1], "expected a text in limits[0], not 1"),
            ("series", [[]], "expected an object in series[0], not []"),
            (
                "histograms",
                {"moon": "AAAA"},
                "expected histograms of known phases, not 'moon'; is it of a later version?",
            ),
            ("histograms", {"mail": "AAAA"}, "histograms.mail: expected an HdrHistogram in base64, version 2"),
            (
                "timeline",
                {**REPORTS[1]["timeline"], "errors": {"timeout": [1]}},
                "expected 2 entries in timeline.errors.timeout, as in timeline.time, not 1",
            ),
            (
                "marks",
                [{"at": 1.0, "text": "x", "kind": "thing"}],
                'expected "note" or "command" or "event" in marks[0].kind, not "thing"',
            ),
            ("started", "2026-02-30T00:00:00Z", "day is out of range for month"),
        ):
            self.assertEqual(self.refused(json.dumps({**REPORTS[1], name: value})), problem)

    def test_longTexts(self):
        """
        Of a text that is very long, only the beginning is told, whatever it is.
        """
        long, good = "9\n" * 5000, REPORTS[1]
        for report in (
            {**good, "schema": long},
            {**good, "tool": {"name": long}},
            {**good, "tool": {"name": [long]}},
            {**good, "ended": long},
            {**good, "started": long},
            {**good, "tls": {long: "x"}},
            {**good, "histograms": {long: "AAAA"}},
            {**good, "timeline": {**good["timeline"], "errors": {long: [1]}}},
        ):
            problem = self.refused(json.dumps(report))
            self.assertTrue(problem.startswith("expected "), problem)
            self.assertLess(len(problem), 250)

    def test_namedHeat(self):
        """
        An error may be called what a column of the timeline is called.
        """
        report = json.loads(json.dumps(REPORTS[1]))
        report["timeline"]["errors"]["x.heat"] = [1] * len(report["timeline"]["time"])
        self.assertIn("x.heat", summaryOf(report).timeline["errors"])

    def test_deepSchema(self):
        """
        Lists in lists are no schema, nor a name.
        """
        deep = "[" * 900 + "]" * 900
        for text in (
            '{"tool": {"name": "smtp-source"}, "schema": %s}' % deep,
            '{"tool": {"name": %s}, "schema": 1}' % deep,
        ):
            self.assertIn("expected a report", self.refused(text))

    @given(changed())
    @settings(deadline=None, max_examples=100)
    def test_anything(self, report):
        """
        Whatever is wrong with a report: it is read, or there is a problem of one line.
        """
        try:
            summary = summaryOf(report)
        except ValueError as e:
            self.assertNotIn("\n", str(e))
        else:
            self.assertLessEqual(set(summary.buckets), set(NAMES))


#: What may stand in a file that somebody calls a report, as it is written.
WRITTEN = st.one_of(
    st.sampled_from(["1" + "0" * 400, "1" + "0" * 5000, "1e400", "-1e400", "1e308", "5e-324", "1e-310", "NaN"]),
    st.sampled_from([f"{2**63}", f"{10**18}", f"{-(10**18)}", "1e10", "-0.0", "0", "-1", "0.5", "true", "null"]),
    st.sampled_from(["{}", "[]", "[null]", "[" * 40 + "]" * 40, "[" * 500 + "]" * 500, "[" * 10**5, '{"a":' * 10**4]),
    st.sampled_from(['""', '"\\ud800"', '"\\u001b[2J"', '"\\u202e"', '"\\n\\r"', '"\x1b"', '"[red]"', '"x":1,"y"']),
    st.sampled_from(['"0001-01-01T00:00:00Z"', '"9999-12-31T23:59:59-23:59"', '"2026-01-01T00:00:00+99:99"']),
    st.sampled_from(['"2026-02-30T00:00:00Z"', '"transaction"', '"HISTFAAAAA=="', "Infinity"]),
    st.sampled_from([1, 2**40, 10**15, 10**17, 2**62]).map(lambda count: json.dumps(encode([0, count, count]))),
)


@st.composite
def written(draw):
    """
    @return: the text of a report in which some values are others.
    """
    document = copy.deepcopy(draw(st.sampled_from(REPORTS)))
    values = draw(st.lists(WRITTEN, min_size=1, max_size=4))
    for number in range(len(values)):
        *way, last = draw(st.sampled_from(places(document)))
        inner = document
        for name in way:
            inner = inner[name]
        inner[last] = f"@{number}@"
    text = json.dumps(document)
    for number, value in enumerate(values):
        text = text.replace(f'"@{number}@"', value)
    cut = draw(st.integers(0, 20))
    return text[: draw(st.integers(0, len(text)))] if cut == 0 else text


class HostileTests(ToolTestCase):
    """
    What somebody else calls a report: it can be used, or one line says why not.
    """

    def check(self, text):
        """
        Merge and compare it with a good one.
        """
        good, bad = self.write("good.json", example(**EVERYTHING | {"run": "other"})), self.directory / "bad.json"
        bad.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        report, series = self.directory / "report.json", self.directory / "series.csv"
        report.unlink(missing_ok=True)
        options = ["--threshold", "p99(message) < 1s", "--threshold", "rate >= 0.9 * asked"]
        changes = ["--fail-if", "p99(message) > +10%", "--fail-if", "rate < -1%", "--fail-if", "errors > 1%"]
        for arguments in (
            ["merge", *options, "--report", str(report), "--csv", str(series), str(bad), good],
            ["compare", *changes, *([good, str(bad)] if len(text) % 2 else [str(bad), good])],
        ):
            status, out, err = self.run_(*arguments)
            if status == 1:
                self.assertEqual(out, "")
                self.assertRegex(err, rf"\Asmtpsource {arguments[0]}: {self.directory}/\w+\.json: [^\n]+\n\Z")
                self.assertLess(len(err), 4500)
            else:
                self.assertIn(status, (0, 3))
                self.assertEqual(err, "")
                if arguments[0] == "merge":
                    json.loads(report.read_text("utf-8"), parse_constant=self.fail)
            for line in (out + err).split("\n"):
                self.assertTrue(line.isprintable(), line)

    @given(written())
    @settings(deadline=None, max_examples=100)
    def test_anyValue(self, text):
        """
        Whatever stands in place of some values.
        """
        self.check(text)

    @given(st.binary(max_size=30), st.integers(0, 10**4))
    @settings(deadline=None, max_examples=30)
    def test_anyBytes(self, text, place):
        """
        Whatever bytes are in it.
        """
        report = json.dumps(REPORTS[1]).encode()
        place %= len(report)
        self.check(report[:place] + text + report[place + len(text) // 2 :])

    def test_absurd(self):
        """
        A number of 400 digits is named.
        """
        for value, problem in (
            ("1" + "0" * 400, "10000000000000000000... is too large a number"),
            ("1e400", "1e400 is too large a number"),
            ("5e-324", "5e-324 is too small a number"),
            ("NaN", "NaN is no number"),
        ):
            text = json.dumps(REPORTS[1]).replace('"elapsed": 2.0', f'"elapsed": {value}')
            path = self.directory / "absurd.json"
            path.write_text(text)
            line = f"smtpsource merge: {path}: expected a report of smtpsource in JSON: {problem}\n"
            self.assertEqual(self.run_("merge", str(path)), (1, "", line))

    def test_bomb(self):
        """
        A histogram that would be a gigabyte when it is unpacked is none.
        """
        body = zlib.compress(b"\x02" * 2**27)
        text = base64.b64encode(struct.pack(">II", 0x1C849314, len(body)) + body).decode()
        report = documentOf(example(**EVERYTHING))
        report["histograms"] = {"message": text}
        path = self.directory / "bomb.json"
        path.write_text(json.dumps(report))
        status, out, err = self.run_("merge", str(path))
        self.assertEqual((status, out), (1, ""))
        self.assertIn("histograms.message: expected an HdrHistogram in base64, version 2\n", err)

    def test_endless(self):
        """
        A device, and a file that is too large.
        """
        path = self.directory / "large"
        with path.open("wb") as file:
            file.truncate(2**40)
        for name, problem in (
            ("/dev/zero", "expected at most 1 MiB from a device, and there is more"),
            (str(path), "expected at most 256 MiB, and there is more"),
        ):
            self.assertEqual(self.run_("merge", name), (1, "", f"smtpsource merge: {name}: {problem}\n"))
