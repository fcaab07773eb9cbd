"""
Tests for runs by Locust in a browser: the form of its web UI, and what it shows.
"""

from __future__ import annotations

import os
import shutil
import signal

from browsing import CHROMIUM, need
from locusts import LocustTestCase
from patience import PATIENCE
from twisted.internet.defer import inlineCallbacks
from twisted.internet.threads import deferToThread

#: All tables at once: elements do not stay while numbers change.
_ROWS = "return [...document.querySelectorAll('tr')].map(row => [...row.cells].map(cell => cell.innerText))"


class Page:
    """
    The web UI in Chromium. All its methods block: they are for threads.
    """

    def __init__(self, url, profile):
        from selenium import webdriver
        from selenium.common.exceptions import StaleElementReferenceException
        from selenium.webdriver.chrome.service import Service
        from selenium.webdriver.support.ui import WebDriverWait

        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for argument in (*CHROMIUM, "--window-size=1400,1600", f"--user-data-dir={profile}"):
            options.add_argument(argument)
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        self.wait = WebDriverWait(self.driver, PATIENCE, ignored_exceptions=[StaleElementReferenceException])
        self.driver.get(url)

    def text(self):
        """
        @return: all that is to be seen.
        """
        return self.driver.find_element("tag name", "body").text

    def whenSeen(self, condition):
        """
        Wait until C{condition} is happy with what is to be seen.

        @return: that.
        """

        def seen(driver):
            text = self.text()
            return text if condition(text) else None

        return self.wait.until(seen)

    def click(self, label):
        """
        Click a button.
        """

        def found(driver):
            for button in driver.find_elements("css selector", "button, a"):
                if button.text.strip().upper() == label.upper() and button.is_displayed():
                    return button
            return None

        self.wait.until(found).click()

    def fill(self, **fields):
        """
        Fill in the form.
        """
        for name, value in fields.items():
            field = self.wait.until(
                lambda driver, name=name: next(
                    (each for each in driver.find_elements("name", name) if each.is_displayed()), None
                )
            )
            field.clear()
            field.send_keys(value)

    def figures(self):
        """
        @return: the row of all in the table of statistics, as texts.
        """
        rows = self.driver.execute_script(_ROWS)
        return next((row[1:] for row in rows if row[1:2] == ["Aggregated"]), [])

    def close(self):
        self.driver.quit()


class BrowserTests(LocustTestCase):
    """
    A person with a browser.
    """

    @inlineCallbacks
    def test_form(self):
        """
        A run is started from the form, shows its numbers, refuses to be changed, and is stopped with nothing lost.
        """
        need()
        master, workers = self.master(headless=False), self.workers()
        yield self.whenServing()
        profile = self.directory / "profile"
        os.makedirs(profile)
        page = yield deferToThread(Page, f"http://127.0.0.1:{self.webPort}/", profile)
        self.addCleanup(deferToThread, page.close)
        yield deferToThread(self.begin, page)
        yield self.whenWorking(200)
        shown = yield deferToThread(self.look, page)
        self.assertGreater(int(shown[1]), 0)
        # Type, requests, failures, median, ...: a median of less than a millisecond is none of 0.
        self.assertGreater(float(shown[3]), 0)
        said = yield deferToThread(self.change, page)
        self.assertIn("can't be changed while it runs", said)
        yield deferToThread(page.click, "Statistics")
        yield deferToThread(page.click, "Stop")
        yield self.whenShown(lambda found: found["state"] == "stopped")
        report = self.report()
        messages = report["messages"]
        self.assertEqual(("signal", []), (report["ended"], report["incomplete"]))
        self.assertEqual((self.received, self.received), (messages["started"], messages["accepted"]))
        last = yield deferToThread(self.wholly, page, str(messages["accepted"]))
        self.assertEqual("0", last[2])
        self.noteChildren(master, *workers)
        master.signal(signal.SIGTERM)
        for command in (master, *workers):
            yield command.whenEnded()
        yield self.whenAlone()

    def begin(self, page):
        """
        Fill in the form, and start.
        """
        page.fill(host=self.destination)
        page.click("Custom parameters")
        page.fill(sessions="4", messages="100000000", report="report.json", smtpsourceOptions="-d -w 5ms")
        page.click("Start")

    def look(self, page):
        """
        @return: the row of all, when there is something in it.
        """
        return page.wait.until(lambda driver: (row := page.figures()) and row[1] != "0" and row)

    def wholly(self, page, requests):
        """
        @return: the row of all, when all have been counted.
        """
        return page.wait.until(lambda driver: (row := page.figures()) and row[1] == requests and row)

    def change(self, page):
        """
        Try to change the load.

        @return: what is to be seen then.
        """
        page.click("Edit")
        page.fill(userCount="5")
        page.click("Update")
        page.click("Logs")
        return page.whenSeen(lambda text: "can't be changed" in text)
