"""
Tests for the dashboard in a browser: a person who watches a run.
"""

from __future__ import annotations

import json
import re
import signal
import time

from browsing import Browser, need
from patience import PATIENCE, TEST_LIMIT
from recording import ServingMixin
from subprocesses import smtpsource
from test_dashboard_runs import SHOWN, STAYS
from twisted.internet.defer import inlineCallbacks
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from smtpsource.report.html.data import dataOf

#: What a server may say to whoever shows it.
HOSTILE = "<script>document.title='gone'</script> </script><!-- <img src=x onerror=alert(1)>"

_ROWS = """
const figure = document.querySelector(`figure[data-chart="${arguments[0]}"]`);
figure.querySelector("details").open = true;
await new Promise(done => setTimeout(done));
figure.querySelector("button.more")?.click();
return [...figure.querySelectorAll("tbody tr")].map(row => [...row.cells].map(cell => cell.textContent));
"""

_CHARTS = """
const visible = [...document.querySelectorAll("figure.chart")].filter((figure) => figure.checkVisibility());
const phases = document.querySelector('figure[data-chart="latency"] select').options;
return { charts: visible.map((figure) => figure.dataset.chart), phases: [...phases].map((one) => one.value) };
"""


class Page:
    """
    The page of a dashboard. All its methods block: they are for threads.
    """

    def __init__(self, url, profile):
        self.browser = Browser(profile)
        self.browser.open(url)

    def until(self, condition):
        """
        @return: what C{condition} gives, when that is something.
        """
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.browser.driver, PATIENCE).until(lambda driver: condition())

    def rows(self, chart):
        """
        @return: the table behind a chart.
        """
        return self.browser.run(f"return (async () => {{{_ROWS}}})()", chart)

    def times(self):
        """
        @return: of which moments it knows the rate.
        """
        return [float(row[0]) for row in self.rows("rate")]

    def addTab(self, url):
        """
        Open another tab, and look at that.
        """
        self.browser.driver.switch_to.new_window("tab")
        self.browser.open(url)

    def closeFirst(self):
        """
        Close the oldest tab.
        """
        driver = self.browser.driver
        driver.switch_to.window(driver.window_handles[0])
        driver.close()

    def text(self, selector):
        """
        @return: what is to be seen there; nothing, if there is no such thing.
        """
        return " ".join(self.browser.texts(selector))


class BrowserTests(ServingMixin, TestCase):
    """
    A tab that is opened while a run goes on.
    """

    timeout = TEST_LIMIT

    @inlineCallbacks
    def open(self, url):
        """
        @return: the page, in a browser that ends with the test.
        """
        page = yield deferToThread(Page, url, self.mktemp())
        self.addCleanup(deferToThread, page.browser.close)
        return page

    @inlineCallbacks
    def test_watched(self):
        """
        A tab that is opened late has what has been, its numbers move, a moment can be marked, the end is told, and
        with C{--linger} all is still there then. The numbers are those of the report; nothing that the server says is a
        script; there is nothing for the browser, or for axe-core, to complain of.
        """
        need()
        server = self.serve({"RCPT": [None, f"550 {HOSTILE}", None], ".": f"250 {HOSTILE}"})
        command = smtpsource(
            self,
            *("-A", "-d", "-s", "2", "-w", "20ms", "-m", "1m", "--dashboard", "0", "--linger"),
            *("--report", "report.json", server.destination),
        )
        match = yield command.whenPrinted(SHOWN, "err")
        yield server.when(lambda: len(server.messages) > 150)
        page = yield self.open(match[1].decode())
        rows = yield deferToThread(page.until, lambda: page.rows("rate"))
        self.assertGreaterEqual(len(rows), 1)
        first = yield deferToThread(page.text, "#verdict .verdict")
        self.assertIn("running", first)
        link = yield deferToThread(page.text, "#live a")
        self.assertEqual("The report so far", link)
        yield deferToThread(page.until, lambda: page.text("#verdict .verdict") != first)
        yield deferToThread(page.until, lambda: len(page.rows("rate")) > len(rows))
        yield deferToThread(self.mark, page, "restarted <b>")
        yield deferToThread(page.until, lambda: "restarted <b>" in page.text("#marks"))
        command.signal(signal.SIGINT)
        yield command.whenPrinted(STAYS, "err")
        yield deferToThread(page.until, lambda: "exit status 1" in page.text("#state"))
        link = yield deferToThread(page.text, "#live a")
        self.assertEqual("The report", link)
        report = json.loads((command.directory / "report.json").read_text())
        verdict = yield deferToThread(page.text, "#verdict .verdict")
        self.assertRegex(verdict, rf"stopped.*\b{report['messages']['accepted']}\b")
        rows = yield deferToThread(page.rows, "rate")
        self.assertEqual(len(rows), len(report["series"]))
        shown = [row[1] and round(float(row[1])) for row in rows]
        # What is left of a second at the end may be too short for a rate.
        rates = [(one["accepted"] / one["seconds"] if one["seconds"] >= 0.1 else None) for one in report["series"]]
        expected = ["" if rate is None else round(float(f"{rate:.4g}")) for rate in rates]
        self.assertEqual(shown, expected)
        # The charts are those of the report's own page, and so are the phases to pick.
        shown = yield deferToThread(page.browser.run, _CHARTS)
        expected = [chart["id"] for chart in dataOf([report], ["run"])["charts"]]
        self.assertEqual(shown["charts"], expected)
        self.assertNotIn("late", expected)
        self.assertEqual(shown["phases"], list(report["timeline"]["phases"]))
        title = yield deferToThread(page.browser.run, "return document.title")
        self.assertNotEqual(title, "gone")
        replies = yield deferToThread(page.text, "#replies")
        self.assertIn(HOSTILE, replies)
        wrong = yield deferToThread(page.browser.violations)
        self.assertEqual(wrong, [])
        # Opened again, it is as it was.
        yield deferToThread(page.browser.open, match[1].decode())
        yield deferToThread(page.until, lambda: "exit status 1" in page.text("#state"))
        again = yield deferToThread(page.until, lambda: page.rows("rate"))
        self.assertEqual(again, rows)
        complaints = yield deferToThread(page.browser.complaints)
        self.assertEqual(complaints, [])
        command.signal(signal.SIGTERM)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 1)

    @inlineCallbacks
    def test_before(self):
        """
        The page says what the run does: that it has yet to begin, and when; that it warms up.
        """
        need()
        server = self.serve()
        for options, expected in (
            (("--start-at", f"@{time.time() + 3600:.0f}"), r"Waiting: it begins in 3\d\d0 s\."),
            (("-w", "20ms", "--warmup", "1h", "--duration", "1h"), "Warm-up: what is counted now will not be kept."),
        ):
            command = smtpsource(self, "-d", *options, "--dashboard", "0", server.destination)
            match = yield command.whenPrinted(SHOWN, "err")
            page = yield self.open(match[1].decode())
            yield deferToThread(page.until, lambda: re.fullmatch(expected, page.text("#state")))  # noqa: B023
            complaints = yield deferToThread(page.browser.complaints)
            self.assertEqual(complaints, [])
            command.signal(signal.SIGINT)
            yield deferToThread(page.until, lambda: "The run is over" in page.text("#state"))  # noqa: B023
            yield command.whenEnded()

    @inlineCallbacks
    def test_tabs(self):
        """
        Seven tabs of one browser, which makes six connections to one place: each has all seconds, also when the first
        one is closed, and then another; at the end all have as many as the report.
        """
        need()
        server = self.serve()
        command = smtpsource(
            self,
            *("-d", "-s", "2", "-w", "20ms", "-m", "1m", "--dashboard", "0", "--linger"),
            *("--report", "report.json", server.destination),
        )
        match = yield command.whenPrinted(SHOWN, "err")
        url = match[1].decode()
        page = yield self.open(url)
        for _ in range(6):
            yield deferToThread(page.addTab, url)
        yield deferToThread(self.seeAll, page, self.goesOn)
        for _ in range(2):
            # First the one that was opened first, and then the next.
            yield deferToThread(page.closeFirst)
            yield deferToThread(self.seeAll, page, self.goesOn)
        command.signal(signal.SIGINT)
        yield command.whenPrinted(STAYS, "err")
        report = json.loads((command.directory / "report.json").read_text())
        yield deferToThread(self.seeAll, page, self.isOver, len(report["series"]))
        complaints = yield deferToThread(page.browser.complaints)
        self.assertEqual(complaints, [])
        command.signal(signal.SIGTERM)
        yield command.whenEnded()

    def seeAll(self, page, look, *arguments):
        for tab in page.browser.driver.window_handles:
            page.browser.driver.switch_to.window(tab)
            look(page, *arguments)

    def goesOn(self, page):
        page.until(lambda: page.rows("rate"))
        known = page.times()
        page.until(lambda: len(page.times()) >= len(known) + 2)
        times = page.times()
        # None is missing, and none is there twice.
        self.assertEqual([round(time) for time in times], list(range(1, len(times) + 1)))

    def isOver(self, page, seconds):
        page.until(lambda: "exit status" in page.text("#state"))
        self.assertEqual(len(page.times()), seconds)

    def mark(self, page, text):
        page.browser.press("#mark-text", text)
        page.browser.click("#mark button")
        page.until(lambda: "Marked at" in page.text("#marked"))
