"""
Tests for the page of a report, in a browser.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from browsing import Browser, need
from pages import report
from patience import TEST_LIMIT
from subprocesses import smtpsink, smtpsource
from twisted.internet.defer import inlineCallbacks
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource.report.html.data import dataOf
from smtpsource.report.html.page import htmlOf, style

#: What a server may say to whoever shows it.
HOSTILE = "<script>document.title='gone'</script> </script><!-- <img src=x onerror=alert(1)> &lt;b&gt;"

#: The first line's color on a light page, as a canvas has it.
LIGHT = ",".join(str(int(part, 16)) for part in re.search(r"--c0: #(..)(..)(..)", style()).groups())

_CELLS = """
const figure = document.querySelector(`figure[data-chart="${arguments[0]}"]`);
const details = figure.querySelector("details");
details.open = true;
await new Promise(done => setTimeout(done));
figure.querySelector("button.more")?.click();
return [...figure.querySelectorAll("details tr")].map(row => [...row.cells].map(cell => cell.textContent));
"""


def chart(name, rest=""):
    """
    @return: what selects a chart, or something in it.
    """
    return f'figure[data-chart="{name}"] {rest}'


def write(path, *documents):
    """
    Write the page of these reports.
    """
    Path(path).write_text("".join(htmlOf(documents)), "utf-8")
    return path


class PageTestCase(SynchronousTestCase):
    """
    What all of these have in common. That there is nothing for the browser to complain of is a part of each.
    """

    def setUp(self):
        need()
        self.browser = Browser(self.mktemp())
        self.addCleanup(self.browser.close)
        self.addCleanup(self.assertQuiet)

    def assertQuiet(self):
        """
        No error in a script, nothing that the page's own policy forbids, and nothing that was fetched.
        """
        self.assertEqual([], self.browser.complaints())
        self.assertEqual(0, self.browser.run("return performance.getEntriesByType('resource').length"))

    def show(self, *documents):
        """
        Open the page of these reports.
        """
        self.browser.open(write(self.mktemp() + ".html", *documents))

    def table(self, name):
        """
        @return: the rows of the table behind a chart, all of them, as texts.
        """
        return self.browser.run(f"return (async () => {{{_CELLS}}})()", name)

    def spoken(self):
        """
        @return: what a screen reader has said last.
        """
        return self.browser.texts(".spoken")[-1]

    def colors(self, name):
        """
        @return: the colors in the picture of a chart, those first that cover most of it.
        """
        return self.browser.run(_PIXELS, chart(name, "canvas"))


_PIXELS = """
const canvas = document.querySelector(arguments[0]);
const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", {willReadFrequently: true});
copy.drawImage(canvas, 0, 0);
const data = copy.getImageData(0, 0, canvas.width, canvas.height).data;
const found = new Map();
for (let i = 0; i < data.length; i += 4) {
  if (data[i + 3] < 255) continue;
  const color = [data[i], data[i + 1], data[i + 2]].join();
  found.set(color, (found.get(color) ?? 0) + 1);
}
return [...found].sort((one, other) => other[1] - one[1]).map(([color]) => color);
"""


#: What stands in the picture of the rate when it is drawn anew: texts, colors, and how far they are from its edges.
_WRITTEN = """
const kind = CanvasRenderingContext2D.prototype, before = kind.fillText, written = [];
kind.fillText = function (text, left) {
  const width = this.measureText(text).width;
  const from = left - width * ({center: 0.5, right: 1, end: 1}[this.textAlign] ?? 0);
  const place = [from, this.canvas.width - from - width];
  const isOurs = document.querySelector('figure[data-chart="rate"]').contains(this.canvas);
  if (isOurs) written.push([text, this.fillStyle, ...place]);
  before.apply(this, arguments);
};
dispatchEvent(new Event("beforeprint"));
dispatchEvent(new Event("afterprint"));
return new Promise(done => setTimeout(() => {
  kind.fillText = before;
  done(written);
}));
"""


class RealTests(TestCase):
    """
    A real run against a server that says what it should not.
    """

    timeout = TEST_LIMIT

    @inlineCallbacks
    def test_hostile(self):
        """
        Whatever the server says is text, and what the page shows is what the report says.
        """
        need()
        rules = (
            f'on = "connect", do = {{ reply = "220 {HOSTILE}" }}',
            f'on = "rcpt", chance = "20%", do = {{ reply = "451 {HOSTILE}" }}',
        )
        sink = smtpsink(self, *(part for rule in rules for part in ("--rule", rule)), "127.0.0.1:0", "20")
        found = yield sink.whenPrinted(rb"listening on inet:(\S+)")
        command = smtpsource(self, "-A", "-d", "-s", "4", "-m", "300", "--report", "r.json", found[1].decode())
        yield command.whenEnded()
        document = json.loads((command.directory / "r.json").read_text("utf-8"))
        self.assertIn(HOSTILE, document["replies"]["banner"]["220"]["sample"])
        browser = yield deferToThread(Browser, self.mktemp())
        self.addCleanup(browser.close)
        yield deferToThread(self.look, browser, write(command.directory / "r.html", document), document)

    def look(self, browser, path, document):
        browser.open(path)
        self.assertIn("smtp-source", browser.driver.title)
        self.assertEqual([], browser.complaints())
        # Ours: the data and one more; the end of the page is where it was.
        self.assertEqual(2, browser.run("return document.scripts.length"))
        self.assertEqual(0, browser.run("return document.images.length"))
        self.assertEqual(["Made by smtp-source"], [text[:19] for text in browser.texts("body > footer")])
        said = browser.texts("#replies td")
        for phase, code in (("banner", "220"), ("rcpt", "451")):
            self.assertIn(document["replies"][phase][code]["sample"], said)
            self.assertIn(str(document["replies"][phase][code]["count"]), said)
        messages = document["messages"]
        self.assertIn(str(messages["accepted"]), browser.texts(".verdict")[0])
        rows = browser.run(f"return (async () => {{{_CELLS}}})()", "latency")
        phase = document["timeline"]["phases"]["transaction"]
        self.assertEqual(["time (s)", "p50 (s)", "p95 (s)", "p99 (s)", "max (s)"], rows[0])
        for row, *wanted in zip(rows[1:], *(phase[name] for name in ("p50", "p95", "p99", "max")), strict=True):
            self.assertEqual([None if one is None else float(f"{one:.4g}") for one in wanted], _numbers(row[1:]))


def _numbers(texts):
    return [float(text) if text else None for text in texts]


class NumbersTests(PageTestCase):
    """
    What the charts are made of.
    """

    def test_tables(self):
        """
        Behind each chart are the numbers of the report: all of them, if one asks for them.
        """
        document = report(100)
        self.show(document)
        rows = self.table("rate")
        self.assertEqual(["time (s)", "accepted (/s)", "asked (/s)"], rows[0])
        wanted = [[one["time"], one["accepted"] / one["seconds"], one["asked"]] for one in document["series"]]
        self.assertEqual(wanted, [_numbers(row) for row in rows[1:]])
        rows = self.table("heat")
        steps = document["timeline"]["phases"]["response"]["heat"]
        self.assertEqual("from 1 ms", rows[0][1])
        self.assertEqual(
            [[step[1], None, step[3], *[None] * 4, step[5]] for step in steps], [_numbers(row[1:]) for row in rows[1:]]
        )
        rows = self.table("replies")
        (place,) = (number for number, head in enumerate(rows[0]) if head.startswith("message 451 ("))
        self.assertEqual(document["timeline"]["replies"]["message"]["451"], [int(row[place]) for row in rows[1:]])

    def test_few(self):
        """
        At first a table has no more rows than one can read, from the first to the last.
        """
        self.show(report(1000))
        self.browser.click(chart("rate", "summary"))
        times = self.browser.texts(chart("rate", "tbody th"))
        self.assertEqual((60, "1", "1000"), (len(times), times[0], times[-1]))
        self.assertEqual("Rate (/s), 60 of 1000 rows", self.caption("rate"))
        self.browser.click(chart("rate", "button.more"))
        self.assertEqual(1000, len(self.browser.texts(chart("rate", "tbody th"))))
        self.assertEqual("Rate (/s)", self.caption("rate"))

    def test_worst(self):
        """
        Rows are left out, but not those that one looks for: on a screen and on paper the worst are there.
        """
        document = report(151)
        document["series"][50].update(accepted=7)
        document["series"][51].update(accepted=400)
        phase = document["timeline"]["phases"]["response"]
        for second, name in ((50, "max"), (52, "p99"), (53, "p50")):
            phase[name][second] = 5.5
        phase["heat"][70] += [60, 1]
        self.show(document)
        self.browser.click(chart("rate", "summary"))
        self.browser.run("dispatchEvent(new Event('beforeprint'))")
        self.browser.whenDrawn()
        times = self.times("rate")
        self.assertEqual((60, "1", "151"), (len(times), times[0], times[-1]))
        self.assertLessEqual({"51", "52"}, set(times))
        times = self.times("latency")
        self.assertEqual((20, "1", "151"), (len(times), times[0], times[-1]))
        self.assertLessEqual({"51", "53", "54"}, set(times))
        self.assertEqual(sorted(times, key=int), times)
        self.assertEqual("Latency over time (s): response, 20 of 151 rows", self.caption("latency"))
        times = self.times("heat")
        self.assertEqual(20, len(times))
        self.assertIn("71", times)

    def times(self, name):
        """
        @return: the first cell of each row.
        """
        return self.browser.texts(chart(name, "tbody th"))

    def caption(self, name):
        """
        @return: what stands above the table behind a chart.
        """
        return self.browser.texts(chart(name, "caption"))[0]

    def test_lengths(self):
        """
        A run that was over at once, one of a second and one of ten hours.
        """
        self.show(report(0))
        self.assertEqual([], self.browser.texts("figure.chart:not([hidden]) canvas"))
        self.show(report(1))
        self.assertEqual("1 s; accepted 91/s; asked 100/s", self.said("rate"))
        self.show(report(36000))
        self.assertEqual("10:00:00; accepted 95/s; asked 100/s", self.said("rate"))
        rows = self.table("latency")
        self.assertEqual(36000.0, float(rows[-1][0]))

    def said(self, name):
        """
        @return: what is told of the last moment.
        """
        from selenium.webdriver.common.keys import Keys

        self.browser.press(chart(name, ".canvas"), Keys.END)
        return self.spoken()

    def test_two(self):
        """
        Two runs are in one picture, with their names, and each has a table.
        """
        self.show(report(20), report(30, rows=8))
        self.assertEqual(
            ["A accepted", "A asked", "B accepted", "B asked"], self.browser.texts(chart("rate", ".legend button"))
        )
        # Their heat maps are side by side, with the same scale.
        ranges = self.browser.run(
            "return [...document.querySelectorAll(arguments[0])].map(one => one.getAttribute('aria-label'))",
            chart("heat", ".canvas"),
        )
        self.assertEqual(["latencies from 1 ms to 100 ms."] * 2, [text.rpartition(", ")[2] for text in ranges])
        self.browser.click(chart("rate", "summary"))
        self.assertEqual(["Rate (/s): A", "Rate (/s): B"], self.browser.texts(chart("rate", "caption")))
        self.assertEqual(50, len(self.browser.texts(chart("rate", "tbody tr"))))


class UseTests(PageTestCase):
    """
    What people do with charts.
    """

    def test_keyboard(self):
        """
        Without a mouse: the cursor moves in all charts, and what is there is spoken; one zooms in, and back.
        """
        from selenium.webdriver.common.keys import Keys

        self.show(report(100, marks=["close to 1", "restarted <b>"]))
        frame = chart("rate", ".canvas")
        self.browser.press(frame, Keys.ARROW_RIGHT)
        self.assertEqual("1 s, mark 1: close to 1; accepted 91/s; asked 100/s", self.spoken())
        self.browser.press(frame, Keys.ARROW_RIGHT)
        self.assertEqual("2 s, mark 2: restarted <b>; accepted 92/s; asked 100/s", self.spoken())
        self.assertEqual(["1.2 ms", "3.6 ms", "6 ms", "24 ms"], self.browser.texts(chart("latency", ".legend .value")))
        self.browser.press(frame, Keys.SHIFT + Keys.ARROW_RIGHT + Keys.NULL)
        self.assertEqual("12 s; accepted 92/s; asked 100/s", self.spoken())
        self.browser.press(frame, "+")
        self.assertEqual("6 s to 56 s", self.spoken())
        self.assertTrue(self.browser.find(chart("latency", ".tools button")).is_displayed())
        self.browser.press(frame, Keys.HOME)
        self.assertEqual("6 s; accepted 96/s; asked 100/s", self.spoken())
        self.browser.press(frame, Keys.ESCAPE, Keys.HOME)
        self.assertEqual("1 s, mark 1: close to 1; accepted 91/s; asked 100/s", self.spoken())
        self.assertFalse(self.browser.find(chart("latency", ".tools button")).is_displayed())
        # A heat map has rows besides.
        frame = chart("heat", ".canvas")
        self.browser.press(frame, Keys.HOME)
        self.assertEqual("0 s to 1 s, 1 ms to 1.33 ms: 51, mark 1: close to 1", self.spoken())
        self.browser.press(frame, Keys.END, Keys.ARROW_UP, Keys.ARROW_UP)
        self.assertEqual("99 s to 100 s, 1.78 ms to 2.37 ms: 30", self.spoken())

    def test_described(self):
        """
        Each chart says in a sentence what it shows.
        """
        self.show(report(100))
        self.assertEqual(
            "Rate (/s): from 0 s to 100 s: accepted from 90/s to 99/s; asked from 100/s to 100/s.",
            self.browser.find(chart("rate", ".canvas")).get_attribute("aria-label"),
        )
        self.assertIn(
            "response, from 0 s to 100 s: p50 from 1 ms to 1.8 ms; p95 from 3 ms to 5.4 ms;",
            self.browser.find(chart("latency", ".canvas")).get_attribute("aria-label"),
        )

    def test_phase(self):
        """
        The phase that is picked is that of all charts that have one.
        """
        from selenium.webdriver.support.ui import Select

        self.show(report(100))
        first = Select(self.browser.find(chart("latency", "select")))
        self.assertEqual("response", first.first_selected_option.text)
        first.select_by_visible_text("connect")
        self.browser.whenDrawn()
        self.assertEqual("connect", Select(self.browser.find(chart("heat", "select"))).first_selected_option.text)
        rows = self.table("latency")
        self.assertEqual(["1", "0.00022", "0.00066", "0.0011", "0.0044"], rows[1])
        self.assertEqual(["2", "", "", "", ""], rows[2])

    def test_mouse(self):
        """
        Who drags sees that part in all charts, and all again after a double click.
        """
        from selenium.webdriver import ActionChains

        self.show(report(100))
        area = self.browser.find(chart("latency", ".u-over"))
        width = area.size["width"]
        drag = ActionChains(self.browser.driver).move_to_element_with_offset(area, -width // 4, 0).click_and_hold()
        drag.move_to_element_with_offset(area, width // 4, 0).release().perform()
        self.browser.whenDrawn()
        self.assertEqual("25", self.first("rate").partition(" ")[0])
        ActionChains(self.browser.driver).double_click(area).perform()
        self.browser.whenDrawn()
        self.assertEqual("1", self.first("rate").partition(" ")[0])

    def first(self, name):
        """
        @return: what is told of the first moment that is to be seen.
        """
        from selenium.webdriver.common.keys import Keys

        self.browser.press(chart(name, ".canvas"), Keys.HOME)
        return self.spoken()

    def test_crowded(self):
        """
        Marks that are too close for a number each have their numbers together.
        """
        self.show(report(2000, marks=["one", "two", "three"]))
        written = self.written()
        self.assertIn("1-3", written)
        self.assertNotIn("1", written)
        self.show(report(10, marks=["one", "two", "three"]))
        self.assertLessEqual({"1", "2", "3"}, set(self.written()))

    def written(self):
        """
        @return: what stands in the picture of the rate.
        """
        return [text for text, *_ in self.browser.run(_WRITTEN)]

    def test_lastMark(self):
        """
        Where marks are at the end of a run, all that stands above them is to be seen.
        """
        self.browser.look(400)
        self.show(report(20, marks=[str(number) for number in range(1, 21)]))
        ((_, right),) = (place for text, _, *place in self.browser.run(_WRITTEN) if text.endswith("-20"))
        # To the right of the plot there are 14 pixels.
        self.assertGreaterEqual(right, 14)

    def test_whose(self):
        """
        Of several runs it can be seen whose mark is which, and heard.
        """
        from selenium.webdriver.common.keys import Keys

        self.show(report(2000, marks=["one", "two"]), report(2000, marks=["three"]))
        parts = {text: color for text, color, *_ in self.browser.run(_WRITTEN) if text in ("1-2", ", 1")}
        self.assertEqual(2, len(set(parts.values())), parts)
        self.browser.press(chart("rate", ".canvas"), Keys.HOME)
        self.assertIn("mark A 1: one", self.spoken())

    def test_end(self):
        """
        A last step of two milliseconds does not look as if refusals were over.
        """
        document = report(20)
        document["timeline"]["time"][-1] = 19.002
        document["timeline"]["replies"]["message"]["451"] = [5] * 19 + [0]
        self.show(document)
        told = self.browser.find(chart("replies", ".canvas")).get_attribute("aria-label")
        self.assertIn("message 451", told)
        self.assertNotIn("from 0/s", told.partition(":")[2])
        self.assertEqual("0", self.table("replies")[-1][1])

    def test_clock(self):
        """
        A time is written the same way everywhere, however little of a run is shown.
        """
        from selenium.webdriver.common.keys import Keys

        self.show(report(600))
        frame = chart("rate", ".canvas")
        self.browser.press(frame, Keys.HOME, *"+++++++")
        self.assertRegex(self.spoken(), r"^0:0\d(\.\d+)? to 0:0\d(\.\d+)?$")
        self.browser.press(frame, Keys.ARROW_RIGHT)
        self.assertRegex(self.spoken(), r"^0:0\d;")
        written = self.written()
        self.assertIn("0:02", written)
        self.assertEqual([], [text for text in written if re.fullmatch(r"[\d.]+ s", text)])

    def test_off(self):
        """
        A line is switched off, and nothing is said of it any more.
        """
        from selenium.webdriver.common.keys import Keys

        self.show(report(100))
        self.browser.click(chart("rate", ".legend li:nth-child(2) button"))
        self.browser.press(chart("rate", ".canvas"), Keys.HOME)
        self.assertEqual("1 s; accepted 91/s", self.spoken())


class LookTests(PageTestCase):
    """
    What it looks like, and to whom.
    """

    def test_schemes(self):
        """
        The pictures follow when somebody wants it dark or light.
        """
        self.show(report(50))
        light = {name: self.colors(name) for name in ("rate", "heat")}
        self.browser.look(dark=True)
        self.browser.whenDrawn()
        for name, colors in light.items():
            self.assertTrue(set(colors[:3]).isdisjoint(self.colors(name)[:3]), name)
        self.browser.look()
        self.browser.whenDrawn()
        self.assertEqual(light, {name: self.colors(name) for name in light})

    def test_print(self):
        """
        On paper the pictures are light, and there is a table to each.
        """
        self.show(report(50))
        self.assertIn(LIGHT, self.colors("rate"))
        self.browser.look(dark=True)
        self.browser.whenDrawn()
        self.browser.run("dispatchEvent(new Event('beforeprint'))")
        self.browser.whenDrawn()
        self.assertEqual(20, len(self.browser.texts(chart("rate", "tbody tr"))))
        self.assertLess(self.browser.run("return document.querySelector('canvas').clientWidth"), 700)
        self.assertIn(LIGHT, self.colors("rate"))
        self.browser.run("dispatchEvent(new Event('afterprint'))")
        self.browser.whenDrawn()
        self.assertNotIn(LIGHT, self.colors("rate"))

    def test_widths(self):
        """
        Nothing is cut off: on a telephone, on a desk and on a wall.
        """
        self.show(report(100, marks=["restarted"]), report(90))
        for width in (400, 1280, 1920, 400):
            self.browser.look(width)
            self.browser.whenDrawn()
            self.browser.whenDrawn()
            self.assertEqual(width, self.browser.run("return document.documentElement.scrollWidth"))
            for canvas in self.browser.run("return [...document.querySelectorAll('canvas')].map(e => e.clientWidth)"):
                self.assertLessEqual(canvas, width)

    def test_accessible(self):
        """
        axe-core has nothing to say against it, in either scheme, with all that can be opened.
        """
        for documents in ([report(100, marks=["restarted"])], [report(20), report(30)], [report(0)]):
            self.show(*documents)
            self.browser.run("document.querySelectorAll('details').forEach(one => one.open = true)")
            for dark in (False, True):
                self.browser.look(dark=dark)
                self.browser.whenDrawn()
                self.assertEqual([], self.browser.violations())


class LiveTests(PageTestCase):
    """
    A run that goes on.
    """

    def test_replaced(self):
        """
        What is to be seen is what there is now.
        """
        self.show(report(10))
        self.replace(report(20, "transaction"))
        self.assertIn(
            "transaction, from 0 s to 20 s", self.browser.find(chart("latency", ".canvas")).get_attribute("aria-label")
        )

    def replace(self, *documents):
        """
        Show other runs.
        """
        self.browser.run("smtpsource.replace(arguments[0])", dataOf(documents, "AB"[: len(documents)]))
        self.browser.whenDrawn()

    def test_firstPhase(self):
        """
        As long as nobody picks a phase, it is the one that says most.
        """
        from selenium.webdriver.support.ui import Select

        document = report(10)
        young = {**document, "timeline": {**document["timeline"]}}
        young["timeline"]["phases"] = {"connect": document["timeline"]["phases"]["connect"]}
        self.show(young)
        shown = Select(self.browser.find(chart("latency", "select")))
        self.assertEqual("connect", shown.first_selected_option.text)
        self.replace(document)
        self.assertEqual("response", shown.first_selected_option.text)
        shown.select_by_visible_text("connect")
        self.replace(document)
        self.assertEqual("connect", shown.first_selected_option.text)

    def test_sections(self):
        """
        A section is shown anew: its charts stay, what was opened stays open, and no script in it runs.
        """
        self.show(report(10, marks=["one"]))
        self.browser.run("document.querySelector('canvas').mine = true")
        self.browser.click(chart("rate", "summary"))
        self.browser.click("#latencies summary")
        page = "".join(htmlOf([report(20, marks=["one", "two"])]))
        for found in re.finditer(r'(?s)<section id="(\w+)".*?</section>', page):
            html = found[0].replace("</h2>", "<script>document.title = 'gone'</script></h2>")
            self.browser.run("smtpsource.section(arguments[0], arguments[1])", found[1], html)
        self.browser.whenDrawn()
        self.assertEqual(["one", "two"], self.browser.texts("#marks td:nth-child(4)"))
        self.assertTrue(self.browser.run("return document.querySelector('canvas').mine"))
        self.assertEqual(10, len(self.browser.texts(chart("rate", "tbody tr"))))
        self.assertTrue(self.browser.find("#latencies details").get_property("open"))
        self.assertNotEqual("gone", self.browser.driver.title)
