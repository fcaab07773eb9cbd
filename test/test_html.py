"""
Tests for L{smtpsource.report.html}: what stands on the page of a report, and that no text of it is taken for HTML.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from itertools import combinations, pairwise

from htmlpages import EYES, Page, colorsIn, contrast, difference, hashOf
from hypothesis import strategies as st
from longruns import longRun
from properties import given, settings
from results import ADDRESSES, EVERYTHING, FOUND, JUDGED, REPORTS, example, second
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.measure.marks import Effect, Mark
from smtpsource.measure.summary import Tally
from smtpsource.measure.thresholds import Outcome
from smtpsource.report.document import documentOf
from smtpsource.report.html.data import dataOf
from smtpsource.report.html.outputs import OUTPUTS, outputsOf
from smtpsource.report.html.page import htmlOf, livePage, style
from smtpsource.report.html.room import sizeOf
from smtpsource.report.html.sections import after, before
from smtpsource.report.page import Change
from smtpsource.report.words import duration

#: As much as an hour of seconds may take, in bytes.
LARGEST = 400_000

MARKS = (
    Mark(1.5, "systemctl restart postfix", "command", 1, 0.25, "Job failed.\nSee the log.\n"),
    Mark(1.75, "half of it", effect=Effect(10.0, 100.0, 0.5, 0.01, 3, 7.0)),
)


def hour(marks=()):
    """
    @return: the report of an hour, with these marks.
    """
    return {**longestHour(), "marks": documentOf(example(marks=marks))["marks"]} if marks else longestHour()


@cache
def longestHour():
    """
    @return: the report of an hour in which all phases happen each second.
    """
    return longRun(3600)


def page(*documents, **others):
    """
    @return: what a parser finds in the page of these reports.
    """
    return Page("".join(htmlOf(documents, **others)))


class PageTests(SynchronousTestCase):
    """
    The page as a whole.
    """

    def test_wellFormed(self):
        """
        Whatever the report: all that is opened is closed, C{id}s are there once, headings follow each other in order,
        each cell that is a heading says of what, and there is neither style nor script but in elements of their own.
        """
        for document in [*REPORTS, longRun(1), longRun(0, (), timeline=None), longRun(3)]:
            found = page(document)
            self.assertEqual(([], []), (found.wrong, found.open))
            ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
            self.assertEqual(sorted(set(ids)), sorted(ids))
            levels = [int(name[1]) for name, _ in found.elements if re.fullmatch("h[1-6]", name)]
            self.assertEqual(1, levels[0])
            self.assertEqual(1, levels.count(1))
            self.assertTrue(all(level <= last + 1 for last, level in pairwise(levels)), levels)
            for name, attributes in found.elements:
                self.assertFalse([key for key in attributes if key == "style" or key.startswith("on")])
                if name == "th":
                    self.assertIn(attributes["scope"], ("row", "col"))
            self.assertEqual("en", found.elements[0][1]["lang"])
            self.assertTrue(found.of("title")[0])
            self.assertEqual(len(found.of("table")), len(found.of("caption")))

    def test_alone(self):
        """
        It needs nothing else: no address in it leads anywhere.
        """
        for name, attributes in page(documentOf(example(**EVERYTHING))).elements:
            for attribute in ("src", "href", "data", "action", "srcset", "poster"):
                self.assertTrue(attributes.get(attribute, "#").startswith("#"), (name, attributes))
        self.assertNotIn("url(", style())
        self.assertNotIn("@import", style())

    def test_policy(self):
        """
        A browser may run the script that we have put into it, and nothing else, and ask nobody for anything.
        """
        found = page(documentOf(example()))
        (script,) = (text for text in found.of("script") if not text.lstrip().startswith("{"))
        self.assertEqual(
            {
                "default-src": "'none'",
                "script-src": hashOf(script),
                "style-src": hashOf(*found.of("style")),
                "img-src": "data:",
                "base-uri": "'none'",
                "form-action": "'none'",
            },
            found.policy,
        )

    def test_charsetFirst(self):
        """
        What a browser must know before it reads on comes first.
        """
        names = [attributes for name, attributes in page(documentOf(example())).elements if name == "meta"]
        self.assertEqual({"charset": "utf-8"}, names[0])
        self.assertEqual("Content-Security-Policy", names[1]["http-equiv"])

    def test_verdictFirst(self):
        """
        First of all it is told what it has come to, in the words of the summary.
        """
        document = documentOf(
            example(**EVERYTHING, judgement=JUDGED, disturbances=("it slept",), incomplete=("worker 2",), hints=("a",))
        )
        found = page(document)
        sections = [attributes["id"] for name, attributes in found.elements if name == "section"]
        self.assertEqual("verdict", sections[0])
        self.assertEqual(["FAILED"], found.of("strong")[:1])
        self.assertTrue(found.of("title")[0].startswith("FAILED: 1 of 2 thresholds missed; of 3 messages 1 accepted"))
        terms, said = found.of("dt"), found.of("dd")
        for label in ("LIMITED BY", "DISTURBED", "INCOMPLETE", "hint", "pass", "FAIL", "ledger", "fates"):
            self.assertTrue([one for one in terms if one == label], label)
        self.assertIn("p99(message) < 250ms: 31 ms", said)
        self.assertIn("the generator, not the server: this process used 97% of a processor", said)
        self.assertIn("FAIL: 1 lost", said)
        figures = list(zip(found.of("b"), found.of("span")[1:], strict=True))
        self.assertIn(("1", "lost"), figures)
        self.assertIn(("66.67%", "rejected or failed: 2 of 3"), figures)

    def test_running(self):
        """
        Of a run that goes on it is told that it does.
        """
        self.assertIn("running", page(documentOf(example(ended="running", exit=0))).of("strong"))

    def test_tables(self):
        """
        The numbers are those of the report.
        """
        document = documentOf(example(**{**EVERYTHING, "marks": MARKS}, addresses=ADDRESSES, search=FOUND))
        found = page(document)
        latencies = found.cells("latencies")
        columns = ["min", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"]
        self.assertEqual(["phase", "count", *columns], latencies[0])
        for phase, figures in document["latency"].items():
            wanted = [phase, str(figures["count"]), *(duration(figures[name]) for name in columns)]
            self.assertIn(wanted, latencies)
        self.assertIn(["message", "451", "451-not | 451 now ?[0m", "1"], found.cells("replies"))
        self.assertEqual([["kind", "the first one", "count"], ["timeout", "no reply", "1"]], found.cells("errors"))
        self.assertIn(["inet:[2001:db8::1]:25", "mx1.example", "0", "5", "0"], found.cells("addresses"))
        self.assertIn(["bisect", "300/s", "0.0/s", "BROKEN", "7"], found.cells("search"))
        self.assertEqual(
            [
                ["1", "1.5 s", "command", "systemctl restart postfix", "1", "250 ms", "-", "-", "-"],
                ["2", "1.8 s", "note", "half of it", "", "", "-90%", "500 ms", "7 s"],
            ],
            found.cells("marks")[1:],
        )
        self.assertIn("Job failed.\nSee the log.", found.of("pre"))
        self.assertIn("smtp-source x", found.of("code"))

    def test_percentiles(self):
        """
        Those that were asked for are there, in their order.
        """
        document = documentOf(example(**EVERYTHING, percentiles=(25.0, 99.99)))
        headings = page(document).cells("latencies")[0]
        self.assertEqual(["p25", "p50", "p90", "p95", "p99", "p99.9", "p99.99"], headings[4:-1])

    def test_nothing(self):
        """
        What there is nothing of is left out.
        """
        found = page(REPORTS[-1])
        sections = [attributes["id"] for name, attributes in found.elements if name == "section"]
        self.assertEqual(["verdict", "counts", "command"], sections)

    def test_earlier(self):
        """
        A report of an earlier version, without what came later, has a page.
        """
        later = ("timeline", "marks", "histograms", "environment", "addresses", "hints", "percentiles", "exercise")
        document = {name: value for name, value in longRun(3).items() if name not in later}
        document["series"] = [{**one} for one in document["series"]]
        for one in document["series"]:
            del one["p95"], one["waited"], one["backlog"], one["arrived"]
        found = page(document)
        charts = {chart["id"]: chart for chart in found.data["charts"]}
        self.assertEqual("series", charts["latency"]["source"])
        self.assertEqual(["p50", "p99", "max"], [line["column"] for line in charts["latency"]["lines"]])
        self.assertNotIn("heat", charts)
        figures = document["latency"]["message"]
        self.assertEqual(
            [[50, figures["p50"]], [90, figures["p90"]], [95, figures["p95"]], [99, figures["p99"]]],
            found.data["runs"][0]["curves"]["message"][:4],
        )


class SeveralTests(SynchronousTestCase):
    """
    A page of several runs.
    """

    CHANGES = (
        Change("rate", "100.0/s", "90.0/s", "-10.0%", "more than noise (p < 0.001)", True),
        Change("late", "0", "3", "from 0"),
    )

    def test_two(self):
        """
        All of both is there under their names, and what has changed.
        """
        runs = documentOf(example()), documentOf(example(exit=0, ended="signal", environment={"host": "b.example"}))
        found = page(*runs, labels=["before", "after"], changes=self.CHANGES, differences=["not the same host"])
        self.assertEqual(["before", "after"], found.of("h3")[:2])
        self.assertEqual(["FAILED", "stopped"], [one for one in found.of("strong") if one not in ("before", "after")])
        self.assertEqual(["before", "after"], [run["label"] for run in found.data["runs"]])
        self.assertEqual(
            [
                ["figure", "before", "after", "change", "going by each second"],
                ["rate", "100.0/s", "90.0/s", "-10.0%", "more than noise (p < 0.001)"],
                ["late", "0", "3", "from 0", ""],
            ],
            found.cells("changes"),
        )
        self.assertIn("not the same host", found.of("li"))
        self.assertEqual(([], []), (found.wrong, found.open))
        # A heading without anything below it helps nobody.
        self.assertEqual(1, found.of("dd").count("b.example"))

    def test_merged(self):
        """
        Of a merged report each run has a heading, and its command as a shell takes it; figures have units.
        """
        environments = [
            {
                "command": ["smtpsource", "-m", "1 0", "mx"],
                "started": "2026-01-02T03:04:05+00:00",
                "elapsed": 3725.0,
                "host": host,
                "memory": 2_000_000_000,
                "workers": [{"started": "x", "host": host, "cpu": {"user": 1.0, "system": 0.5}}],
            }
            for host in ("a.example", "b.example")
        ]
        merged = documentOf(example(command=("smtpsource", "merge"), environment={"runs": environments}))
        for documents, level in (([merged], "h3"), ([merged, documentOf(example())], "h4")):
            found = page(*documents)
            headings = [f"Run {number}: {host}" for number, host in ((1, "a.example"), (2, "b.example"))]
            # The environment, the workers and the commands.
            self.assertEqual(headings * 3, [text for text in found.of(level) if text.startswith("Run ")])
            self.assertEqual(["smtpsource -m '1 0' mx"] * 2, [text for text in found.of("code") if "-m" in text])
            said = found.of("dd")
            self.assertEqual((2, 2), (said.count("1:02:05"), said.count("2.0 GB")))
            self.assertEqual([], [text for text in said if "1 0" in text])
            self.assertEqual([], [text for text in found.of("dt") if text.startswith(("runs ", "workers"))])
            self.assertEqual(([], []), (found.wrong, found.open))

    def test_letters(self):
        """
        Without names they have letters.
        """
        found = page(*[documentOf(example())] * 3)
        self.assertEqual(["A", "B", "C"], [run["label"] for run in found.data["runs"]])

    def test_longNames(self):
        """
        Long names are whole in the heading, and elsewhere short, however alike they are.
        """
        whole = [f"{'x' * 200}{middle}{'y' * 200}" for middle in "12"]
        found = page(documentOf(example()), documentOf(example()), labels=whole, changes=self.CHANGES)
        self.assertEqual(whole, [one for one in found.of("strong") if one in whole])
        short = [run["label"] for run in found.data["runs"]]
        self.assertEqual(["A x", "B x"], [label[:3] for label in short])
        self.assertLessEqual(max(map(len, short)), 50)
        self.assertEqual(short, found.cells("changes")[0][1:3])
        self.assertEqual(set(short), set(found.of("h3")))
        titles = {attributes["title"] for name, attributes in found.elements if name == "h3"}
        self.assertEqual(set(whole), titles)

    def test_mixed(self):
        """
        Charts have what one of them has, though the other has not.
        """
        old = longRun(3)
        del old["timeline"]
        watched = documentOf(example(series=(second(1, watched={"pid rss": 5e6, "mx.a cpu": 0.5, "q{a} active": 7}),)))
        found = page(old, longRun(2, ("mail",)), watched)
        charts = {chart["id"]: chart for chart in found.data["charts"]}
        self.assertEqual("timeline", charts["latency"]["source"])
        units = [(chart["title"], chart["unit"]) for name, chart in charts.items() if name.startswith("watched")]
        self.assertEqual([("mx.a cpu", "cores"), ("pid rss", "B"), ("q{a} active", "")], units)
        self.assertEqual([0.5], found.data["runs"][2]["series"]["watched0"])
        self.assertIn(["pid rss", "5.0 MB", "5.0 MB", "5.0 MB"], found.cells("watched"))


class DataTests(SynchronousTestCase):
    """
    The data of the charts.
    """

    def test_numbers(self):
        """
        They are those of the report, to four digits.
        """
        document = longRun(700, ("mail", "transaction"))
        (run,) = dataOf([document], ["A"])["runs"]
        series, table = document["series"], document["timeline"]
        self.assertEqual([round(one["accepted"] / one["seconds"]) for one in series], run["series"]["rate"])
        self.assertEqual([float(f"{one['lag']:.4g}") for one in series], run["series"]["lag"])
        self.assertEqual([round(one["time"], 1) for one in series], run["series"]["time"])
        # Two steps of the report are one here.
        counts = table["phases"]["mail"]["count"]
        self.assertEqual([sum(counts[n : n + 2]) for n in range(0, 700, 2)], run["timeline"]["phases"]["mail"]["count"])
        worst = [max(table["phases"]["mail"]["p99"][n : n + 2]) for n in range(0, 700, 2)]
        self.assertEqual([float(f"{one:.4g}") for one in worst], run["timeline"]["phases"]["mail"]["p99"])
        for step, heat in enumerate(run["timeline"]["phases"]["mail"]["heat"]):
            wanted = {}
            for one in table["phases"]["mail"]["heat"][2 * step : 2 * step + 2]:
                for row, count in zip(one[::2], one[1::2], strict=True):
                    wanted[row] = wanted.get(row, 0) + count
            self.assertEqual(wanted, dict(zip(heat[::2], heat[1::2], strict=True)))

    def test_curves(self):
        """
        A curve goes up to the longest, by percentiles that are in order.
        """
        document = longRun(30, ("mail",))
        ((_, curve),) = dataOf([document], ["A"])["runs"][0]["curves"].items()
        percentiles, latencies = zip(*curve, strict=True)
        self.assertEqual((0, 100), (percentiles[0], percentiles[-1]))
        self.assertEqual(sorted(set(percentiles)), list(percentiles))
        self.assertEqual(sorted(latencies), list(latencies))
        self.assertEqual(document["latency"]["mail"]["max"], latencies[-1])
        self.assertIn([50, document["latency"]["mail"]["p50"]], curve)

    def test_charts(self):
        """
        Each has a figure with its unit, and there is something of each line in some run.
        """
        document = longRun(20, marks=MARKS)
        found = page(document)
        charts = found.data["charts"]
        self.assertEqual(
            [chart["id"] for chart in charts],
            [attributes["data-chart"] for name, attributes in found.elements if name == "figure"],
        )
        for chart, caption in zip(charts, found.of("figcaption"), strict=True):
            self.assertTrue(chart["unit"])
            self.assertEqual(f"{chart['title']} ({chart['unit']})", caption)
            for line in chart["lines"]:
                values = found.data["runs"][0]
                path = line["column"] if chart["source"] == "curves" else f"{chart['source']}.{line['column']}"
                for name in path.replace("{phase}", "transaction").split("."):
                    values = values[name]
                self.assertTrue([one for one in values if one is not None], line)
        self.assertEqual(
            {"rate", "latency", "heat", "curve", "refused", "replies", "errors", "late", "connections", "delivered"},
            {chart["id"] for chart in charts} - {"backlog", "cpu", "lag"},
        )
        self.assertEqual([mark.text for mark in MARKS], [one["text"] for one in found.data["runs"][0]["marks"]])

    def test_unneeded(self):
        """
        A chart without data is left out, and so are data without a chart.
        """
        series = tuple(second(n) for n in (1, 2))
        data = dataOf([documentOf(example(series=series, latency={}, buckets={}))], ["A"])
        self.assertEqual(["rate", "latency", "connections", "cpu", "lag"], [chart["id"] for chart in data["charts"]])
        self.assertNotIn("failedRate", data["runs"][0]["series"])

    def test_lastMoment(self):
        """
        What is left of a second at the end says nothing of what there was in each: no line falls to 0 there.
        """
        series = (second(1), replace(second(2), open=7), replace(second(2), time=2.002, seconds=0.002, open=0, lag=0.0))
        (run,) = dataOf([documentOf(example(series=series))], ["A"])["runs"]
        self.assertEqual([5, 7, None], run["series"]["open"])
        self.assertEqual([0.0005, 0.0005, None], run["series"]["lag"])
        self.assertEqual([0.003, 0.003, 0.003], run["series"]["max"])

    def test_few(self):
        """
        Of many kinds of errors those that came most often are shown.
        """
        table = longRun(2)["timeline"]
        table["errors"] = {f"error-{number}": [number, 0] for number in range(20)}
        data = dataOf([{**longRun(2), "timeline": table}], ["A"])
        (chart,) = (chart for chart in data["charts"] if chart["id"] == "errors")
        self.assertEqual([f"error-{number}" for number in range(19, 11, -1)], [one["label"] for one in chart["lines"]])
        self.assertEqual({one["label"] for one in chart["lines"]}, set(data["runs"][0]["timeline"]["errors"]))


class SizeTests(SynchronousTestCase):
    """
    How large a page is.
    """

    def test_hour(self):
        """
        An hour of seconds fits, with all phases, and each second of it is there.
        """
        html = "".join(htmlOf([hour()]))
        self.assertLessEqual(len(html.encode()), LARGEST)
        (run,) = Page(html).data["runs"]
        self.assertEqual(3600, len(run["series"]["time"]))
        self.assertGreaterEqual(len(run["timeline"]["time"]), 100)
        self.assertEqual(21, len(run["timeline"]["phases"]))

    def test_tenHours(self):
        """
        So do ten hours: some seconds become one.
        """
        html = "".join(htmlOf([longRun(36_000, ("mail", "message", "transaction"))]))
        self.assertLessEqual(len(html.encode()), LARGEST)
        (run,) = Page(html).data["runs"]
        self.assertLessEqual(len(run["series"]["time"]), 3600)
        self.assertGreaterEqual(len(run["series"]["time"]), 1800)
        self.assertEqual(36_000, run["series"]["time"][-1])

    def commands(self, count, **others):
        """
        @return: so many marks of commands that have written as much as is kept.
        """
        written = [f"a & <b> \N{SNOWMAN}{'=' * 2000}\n{number} is done\n" for number in range(count)]
        effect = Effect(10.0, 100.0, 0.5, 0.01, 3, 7.0)
        values = {"seconds": 1.25, "effect": effect, "status": 0, **others}
        return tuple(
            Mark(number * 3600 / count, "x", "command", output=of, **values) for number, of in enumerate(written)
        )

    def test_commands(self):
        """
        So does an hour with commands that write much: the end of what each has written is there, and how much it is.
        """
        marks = self.commands(120)
        html = "".join(htmlOf([hour(marks)]))
        self.assertLessEqual(len(html.encode()), LARGEST)
        found = Page(html)
        self.assertGreaterEqual(len(found.data["runs"][0]["timeline"]["time"]), 100)
        self.assertEqual([f"{number}" for number in range(1, 121)], [row[0] for row in found.cells("marks")[1:]])
        cuts = re.findall("<summary>the last ([0-9]+) of ([0-9]+) characters of output<", html)
        for mark, (kept, whole), shown in zip(marks, cuts, found.of("pre")[:120], strict=True):
            output = mark.output.rstrip()
            self.assertEqual((output[-int(kept) :], len(output)), (shown, int(whole)))
            self.assertTrue(shown.endswith("is done"))

    def test_failed(self):
        """
        What a command that has failed has written is there before all others.
        """
        marks = list(self.commands(120))
        marks[50] = replace(marks[50], status=1)
        marks[60] = replace(marks[60], output="short\n")
        found = page(longRun(60, marks=tuple(marks)))
        shown = found.of("pre")
        self.assertIn(marks[50].output.rstrip(), shown)
        self.assertIn("short", shown)
        self.assertNotIn(marks[51].output.rstrip(), shown)

    def test_noRoom(self):
        """
        Where there is no room for any, it is said where it is to be found.
        """
        marks = [replace(mark, status=int(number > 5)) for number, mark in enumerate(self.commands(130))]
        rows = page(longRun(60, marks=tuple(marks))).cells("marks")[1:]
        self.assertEqual({"x (output: see the report)"}, {row[3] for row in rows[:5]})

    def test_strange(self):
        """
        However much room its characters take, an output takes no more than there is for all.
        """
        for text in ("&" * 2048, "\N{SNOWMAN}" * 2048, "a" * 2000 + "'" * 48, "\n" * 2000 + "'" * 48):
            marks = [Mark(1.0, "x", "command", output=text)] * 50
            shown = outputsOf(marks)
            self.assertLessEqual(sum(map(sizeOf, shown)), OUTPUTS)
            self.assertGreater(sum(map(sizeOf, shown)), OUTPUTS / 3)

    def test_manyMarks(self):
        """
        Of very many marks the first ones have rows, and it is said how many others there are.
        """
        html = "".join(htmlOf([hour(self.commands(5000))]))
        self.assertLessEqual(len(html.encode()), LARGEST)
        found = Page(html)
        rows = found.cells("marks")[1:]
        self.assertGreater(len(rows), 100)
        self.assertIn(f"And {5000 - len(rows)} more: see the report.", found.of("p"))
        self.assertEqual(5000, len(found.data["runs"][0]["marks"]))

    def test_everything(self):
        """
        So does an hour with twenty thousand of everything: of each there is some, and how many others there are.
        """
        html = "".join(htmlOf([self.abundant(20_000)]))
        self.assertLessEqual(len(html.encode()), LARGEST + 25_000)
        found = Page(html)
        self.assertEqual(([], []), (found.wrong, found.open))
        for section in ("search", "watched", "addresses", "workers"):
            *rows, (others, *_) = found.cells(section)[1:]
            self.assertEqual(f"{20_000 - len(rows)} others of 20000: see the report", others)
            self.assertTrue(90 <= len(rows) <= 100, (section, len(rows)))
        # The worker that was lost is none of the others.
        self.assertIn("gone", [row[-1] for row in found.cells("workers")])
        said = found.of("dd")
        for kept in (f"hint {number}" for number in range(90)):
            self.assertIn(kept, said)
        of = {
            int(all)
            for one in said
            if (all := re.sub("^[0-9]+ others of ([0-9]+): see the report$", r"\1", one)) != one
        }
        self.assertEqual({10_000, 20_000, 20_002}, of)
        (run,) = found.data["runs"]
        self.assertEqual(96, len(run["watched"]))
        self.assertEqual({f"error {number}" for number in range(20_000, 19_992, -1)}, set(run["timeline"]["errors"]))

    def test_often(self):
        """
        Of very many kinds of replies and errors those are told that came most often, and how often all others came.
        """
        found = page({**self.abundant(20_000), "series": [], "timeline": None, "histograms": {}})
        for section in ("replies", "errors"):
            *rows, others = found.cells(section)[1:]
            counts = [int(row[-1]) for row in rows]
            self.assertEqual([*range(20_001 - len(rows), 20_001)], counts)
            self.assertTrue(90 <= len(rows) <= 100, (section, len(rows)))
            self.assertEqual(f"{20_000 - len(rows)} others of 20000: see the report", others[0])
            self.assertEqual(sum(range(20_001)) - sum(counts), int(others[-1]))

    def abundant(self, count):
        """
        @return: the report of an hour with so many of everything that there can be several of.
        """
        numbers = range(1, count + 1)
        tallies = {number: Tally(number, f"no {number}") for number in numbers}
        workers = [{"host": "h", "started": 1, "cpu": {"user": 1.0, "system": 1.0}, "lost": None} for _ in numbers]
        workers[-5] |= {"lost": "gone"}
        values = {
            "replies": {"rcpt": {f"5{number}": tally for number, tally in tallies.items()}},
            "errors": {f"error {number}": tally for number, tally in tallies.items()},
            "thresholds": tuple(Outcome(f"errors < {number}", number % 2 == 0, "2", 2.0) for number in numbers),
            "hints": tuple(f"hint {number}" for number in range(count)),
            "limits": tuple(f"limit {number}" for number in numbers),
            "marks": tuple(Mark(number / 10, f"mark {number}") for number in numbers),
            "addresses": {f"inet:mx{number}:25": ADDRESSES["inet:192.0.2.1:25"] for number in numbers},
            "search": replace(FOUND, steps=FOUND.steps[:1] * count),
            "environment": {"host": "h", "cpus": 2, **{f"fact {number}": 1 for number in numbers}, "workers": workers},
        }
        found = documentOf(example(**values))
        told = {name: found[name] for name in values}
        longest = longestHour()
        watched = {f"metric {number}": float(number) for number in numbers}
        first, *others = longest["series"]
        often = {number: [number] * len(longest["timeline"]["time"]) for number in numbers}
        timeline = {
            **longest["timeline"],
            "replies": {"rcpt": {f"5{number}": counts for number, counts in often.items()}},
            "errors": {f"error {number}": counts for number, counts in often.items()},
        }
        return {**longest, **told, "series": [{**first, "watched": watched}, *others], "timeline": timeline}

    def test_short(self):
        """
        A short run has a block that can be read as it is.
        """
        for seconds in (0, 1):
            found = page(longRun(seconds))
            self.assertEqual(seconds, len(found.data["runs"][0]["series"]["time"]))
            self.assertIn("application/json", [attributes.get("type") for _, attributes in found.elements])


class LiveTests(SynchronousTestCase):
    """
    The page of a run that goes on.
    """

    def test_files(self):
        """
        Its styles and scripts come from files, and all charts are there before they have data.
        """
        document = documentOf(example(ended="running", timeline=longRun(1)["timeline"]))
        found = Page("".join(livePage(document, "run", ["page.css"], ["page.js", "live.js"], "<p>more</p>")))
        self.assertEqual(([], []), (found.wrong, found.open))
        self.assertEqual([], found.of("style"))
        scripts = [attributes.get("src") for name, attributes in found.elements if name == "script"]
        self.assertEqual([None, "page.js", "live.js"], scripts)
        self.assertIn("more", found.of("p"))
        charts = {chart["id"] for chart in found.data["charts"]}
        self.assertLessEqual({"rate", "latency", "heat", "curve", "refused", "late", "connections"}, charts)

    def test_sections(self):
        """
        The sections are the same for every moment of a run, in the same order, but for what is in them.
        """
        early, late = documentOf(example(latency={}, replies={}, errors={})), documentOf(example(**EVERYTHING))
        self.assertEqual(len([*before([early], ["run"])]), len([*before([late], ["run"])]))
        self.assertEqual(len([*after([early], ["run"])]), len([*after([late], ["run"])]))
        # Nothing of them needs what takes long to read.
        plain = documentOf(example(**{**EVERYTHING, "series": (second(1),)}))
        quick = {**plain, "histograms": {}, "series": (), "timeline": None}
        self.assertEqual([*after([plain], ["run"])], [*after([quick], ["run"])])


class ColorTests(SynchronousTestCase):
    """
    The colors of text and lines, on light pages, dark ones and paper.
    """

    def schemes(self):
        """
        @return: the colors of the page's own style by their names, for each scheme.
        """
        return colorsIn(style().partition("/* The page. */")[2])

    def test_contrast(self):
        """
        Text is told from what is behind it, and so are lines: by as much as WCAG 2 wants, 4.5 and 3.
        """
        for scheme, colors in self.schemes().items():
            for name in ("fg", "soft", "link", "good", "bad", "doubtful"):
                for behind in ("bg", "panel"):
                    self.assertGreaterEqual(contrast(colors[name], colors[behind]), 4.5, (scheme, name, behind))
            for number in range(8):
                self.assertGreaterEqual(contrast(colors[f"c{number}"], colors["bg"]), 3, (scheme, number))

    def test_eyes(self):
        """
        Lines are told from each other by their colors, whatever kind of cones one's eyes lack; those of which a chart
        has but few by more.
        """
        for scheme, colors in self.schemes().items():
            for eyes in EYES:
                for one, other in combinations(range(8), 2):
                    told = difference(colors[f"c{one}"], colors[f"c{other}"], eyes)
                    self.assertGreaterEqual(told, 30 if other < 4 else 15, (scheme, eyes, one, other))


#: What a server may say, and whoever wrote a report.
HOSTILE = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *(
                    "</script>",
                    "<script>alert(1)</script>",
                    "<!--",
                    "-->",
                    "]]>",
                    "<![CDATA[",
                    "<?x",
                    "</style>",
                    "&lt;",
                ),
                *("&#x3c;", "\"'><img src=x onerror=alert(1)>", "\u202e", "\x1b]0;x\x07", "\x00", "\u2028", "\ud800"),
                *("{phase}", "javascript:alert(1)", "`${1}`", "\r\n", "</td></table>", "</title>", "&", "<"),
            ]
        ),
        st.text(max_size=8),
    ),
    min_size=1,
    max_size=5,
).map(lambda parts: f"x{''.join(parts)}")


PHASES = longRun(1)["timeline"]["phases"]


def everywhere(text):
    """
    @return: a report that has this text wherever a text can be.
    """
    tally = Tally(3, text)
    summary = example(
        **{
            **EVERYTHING,
            "command": ("smtpsource", text),
            "reactor": text,
            "reason": text,
            "ended": "aborted",
            "run": text,
            "limits": (text,),
            "disturbances": (text,),
            "incomplete": (text,),
            "hints": (text,),
            "thresholds": (Outcome(text, False, text, None),),
            "capabilities": {text: text},
            "tls": {text: 1},
            "replies": {text: {text: tally}, "mail": {"450": tally}},
            "errors": {text: tally},
            "environment": {
                "host": text,
                "versions": {text: text},
                "workers": [{"host": text, "started": 1, "cpu": {"user": 1, "system": 1}, "lost": text}] * 2,
                "ledger": text,
                "runs": [{"host": text}, {"host": text}],
            },
            "addresses": {
                text: replace(ADDRESSES["inet:[2001:db8::1]:25"], name=text),
                "y": ADDRESSES["inet:192.0.2.1:25"],
            },
            "search": replace(FOUND, promise=text, steps=(replace(FOUND.steps[0], actual=text),)),
            "judgement": replace(JUDGED, reasons=(text,), anomalies=({"id": text, "class": text, "recipient": text},)),
            "marks": (Mark(1.0, text, "command", 0, 1.0, text),),
            "series": (second(1, watched={text: 1.0}),),
            "timeline": {
                "time": [1.0],
                "phases": PHASES,
                "replies": {text: {text: [1], f"4{text}": [2]}},
                "errors": {text: [1]},
                "watched": {text: [1]},
            },
        }
    )
    return documentOf(summary)


def two(text):
    """
    @return: what is found in a page of two runs that have this text everywhere.
    """
    changes = [Change("rate", "1", "2", text, text, True)]
    runs = everywhere(text), everywhere(text)
    return page(*runs, labels=[text, f"b{text}"], changes=changes, differences=[text])


@cache
def harmless():
    """
    @return: the same with a text that has nothing to be afraid of.
    """
    return two("xy")


class HostileTests(SynchronousTestCase):
    """
    Texts that others have written.
    """

    @settings(max_examples=40)
    @given(HOSTILE)
    def test_elements(self, text):
        """
        Whatever they are, a parser finds the elements that it finds with harmless ones, with the same attributes but
        for texts in these; and in what is seen nothing that is not to be seen.
        """
        found = two(text)
        self.assertEqual(([], []), (found.wrong, found.open))

        def shape(of):
            return [(name, sorted(attributes)) for name, attributes in of.elements]

        self.assertEqual(shape(harmless()), shape(found))
        for seen in found.seen:
            self.assertTrue(seen.replace("\n", "").isprintable(), repr(seen))
        self.assertEqual(harmless().policy, found.policy)

    @settings(max_examples=40)
    @given(HOSTILE)
    def test_block(self, text):
        """
        The data block is one text without any sign that HTML knows, and says what is meant.
        """
        documents = [everywhere(text)]
        found = page(*documents, labels=[text])
        self.assertEqual(json.loads(json.dumps(dataOf(documents, [text]))), found.data)
        (block,) = found.of("script", id="data")
        self.assertFalse({"<", ">", "&", "\u2028", "\u2029"} & set(block))
        self.assertTrue(block.isascii())

    def test_charts(self):
        """
        Names of lines are of what was seen, and their columns are there.
        """
        text = "x.y <b>"
        data = dataOf([everywhere(text)], ["A"])
        charts = {chart["id"]: chart for chart in data["charts"]}
        self.assertEqual(["x.y <b>"], [line["label"] for line in charts["errors"]["lines"]])
        self.assertIn("x.y <b>", data["runs"][0]["timeline"]["errors"])
