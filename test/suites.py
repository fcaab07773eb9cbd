"""
Test suites of others, that use our fixtures: written into a directory of their own and run there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

from patience import PATIENCE
from subprocesses import ROOT

#: Only our plugin, whatever else is installed here.
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTEST_ADDOPTS": "",
}

#: How pytest is run, with nothing left behind.
PYTEST = ("-m", "pytest", "-p", "smtpsource.testing.pytestplugin", "-p", "no:cacheprovider", "-q", "--color=no")

#: What each suite begins with.
BEGINNING = """
import smtplib
import ssl
from email.message import EmailMessage

import pytest


def message(recipient="b@example.com", subject="Hello", text="Text.\\n"):
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "a@example.com", recipient, subject
    made.set_content(text)
    return made


def send(sink, recipient="b@example.com", **more):
    with (smtplib.LMTP if sink.url.startswith("lmtp") else smtplib.SMTP)(sink.host, sink.port) as client:
        return client.send_message(message(recipient, **more))


"""


class Suite:
    """
    A directory with a suite in it.

    @ivar directory: a C{Path}.
    """

    def __init__(self, test, text="", **others):
        """
        @param text: of the tests, that follow L{BEGINNING}.
        @param others: other modules, by their names.
        """
        self.directory = Path(test.mktemp()).resolve()
        self.directory.mkdir()
        if text:
            (self.directory / "test_suite.py").write_text(BEGINNING + dedent(text), "utf-8")
        for name, other in others.items():
            (self.directory / f"{name}.py").write_text(dedent(other), "utf-8")

    def run(self, *options, program=PYTEST, **environment):
        """
        @return: what came of it, its outputs in one.
        """
        return subprocess.run(
            [sys.executable, *program, *options],
            cwd=self.directory,
            env={**ENVIRONMENT, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )

    def passed(self, *options, **environment):
        """
        All of its tests have passed.

        @return: the output.
        """
        done = self.run(*options, **environment)
        if done.returncode:
            raise AssertionError(done.stdout)
        return done.stdout

    def noted(self):
        """
        @return: the words that its tests have appended to the file C{notes}; all of them are numbers.
        """
        path = self.directory / "notes"
        return [int(word) for word in path.read_text("ascii").split()] if path.exists() else []
