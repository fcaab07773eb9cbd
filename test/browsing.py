"""
A browser without a window: Debian's Chromium, driven by Selenium. All that it does blocks.
"""

from __future__ import annotations

import os
import shutil
from importlib import resources
from pathlib import Path

from patience import PATIENCE
from peers import missing

#: It calls nobody but us.
CHROMIUM = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--hide-scrollbars", "--force-device-scale-factor=1"),
)

_WHEN_DRAWN = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)));"
_AXE = (
    "const done = arguments[0];"
    "axe.run(document, {resultTypes: ['violations']}).then(found => done(found.violations), error => done([error]))"
)


def need():
    """
    Skip the test where there is no browser.
    """
    for tool in ("chromium", "chromedriver"):
        if shutil.which(tool) is None:
            missing(f"{tool} isn't installed (Debian: chromium, chromium-driver)")


class Browser:
    """
    One that shows one page.

    @ivar driver: Selenium's.
    """

    def __init__(self, profile):
        """
        @param profile: a directory that is not there yet.
        """
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        os.makedirs(profile)
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for argument in (*CHROMIUM, f"--user-data-dir={Path(profile).resolve()}"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        self.driver.set_script_timeout(PATIENCE)
        self.look()

    def look(self, width=1280, dark=False, height=900):
        """
        Have a window of this size, and a user who wants it dark or light.
        """
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def open(self, where):
        """
        Show a page, from a file or an address.
        """
        from selenium.webdriver.support.ui import WebDriverWait

        self.driver.get(where if "://" in str(where) else Path(where).resolve().as_uri())
        # It takes the data of a long run a moment to be unpacked.
        WebDriverWait(self.driver, PATIENCE).until(lambda driver: self.run("return 'smtpsource' in window"))
        self.whenDrawn()

    def whenDrawn(self):
        """
        Wait until what has changed is to be seen.
        """
        self.driver.execute_async_script(_WHEN_DRAWN)

    def run(self, script, *arguments):
        """
        @return: what comes of a script.
        """
        return self.driver.execute_script(script, *arguments)

    def find(self, selector):
        """
        @return: the first element of these.
        """
        return self.driver.find_element("css selector", selector)

    def texts(self, selector):
        """
        @return: the texts of these elements, seen or not.
        """
        return self.run("return [...document.querySelectorAll(arguments[0])].map(e => e.textContent.trim())", selector)

    def press(self, selector, *keys):
        """
        Type into an element.
        """
        self.find(selector).send_keys(*keys)
        self.whenDrawn()

    def click(self, selector):
        """
        Click an element.
        """
        self.find(selector).click()
        self.whenDrawn()

    def violations(self):
        """
        @return: what axe-core finds wrong for people who don't see, or see otherwise: a text for each.
        """
        self.run((resources.files("axe_core_python") / "axe.min.js").read_text("utf-8"))
        return [
            f"{found['id']}: {node['html'][:200]}"
            for found in self.driver.execute_async_script(_AXE)
            for node in found["nodes"]
        ]

    def complaints(self):
        """
        @return: what the browser had to say about the page since it was asked the last time.
        """
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def close(self):
        """
        End it.
        """
        self.driver.quit()
