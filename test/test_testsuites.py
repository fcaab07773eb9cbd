"""
Tests for docs/testsuites.rst: its examples run as they are, with the clients of others.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from docutils import nodes
from manuals import parsed
from nodemailer import nodeModules
from patience import PATIENCE
from sinks import Process
from subprocesses import ROOT
from suites import Suite
from twisted.trial.unittest import SynchronousTestCase

import smtpsource.testing

DOCUMENT = ROOT / "docs" / "testsuites.rst"

DJANGO = """
import django
from django.conf import settings

settings.configure()
django.setup()
"""


def examples(word):
    """
    @return: the examples in the document that have a word, from top to bottom.
    """
    document, _ = parsed(DOCUMENT)
    blocks = [block.astext() for block in document.findall(nodes.literal_block)]
    return [block for block in blocks if re.search(rf"\b{word}\b", block)]


class ExampleTests(SynchronousTestCase):
    """
    The examples.
    """

    def test_pytest(self):
        """
        Those for pytest, with smtplib, aiosmtplib and Django: all of their tests pass.
        """
        texts = examples("smtp_sink")
        self.assertEqual([text.count("\ndef test_") for text in texts], [1, 2, 3, 1, 1])
        suite = Suite(self, conftest=DJANGO, **{f"test_{number}": text for number, text in enumerate(texts)})
        self.assertIn("8 passed", suite.passed())

    def test_trial(self):
        """
        Those for trial.
        """
        texts = {f"test_{number}": text for number, text in enumerate(examples("SinkFixture"))}
        done = Suite(self, **texts).run(program=("-m", "twisted.trial", *texts))
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("PASSED (successes=5)", done.stdout)

    def test_nodemailer(self):
        """
        Those for nodemailer, through the control of a command.
        """
        [text] = examples("nodemailer")
        directory = Path(self.mktemp()).resolve()
        directory.mkdir()
        (directory / "test.js").write_text(text, "utf-8")
        sink = Process(self, "--control", "127.0.0.1:0", "127.0.0.1:0")
        where = {
            "SINK_CONTROL": f"http://{sink.line('^listening on control:(.*)$')[1]}",
            "SINK_PORT": str(sink.port()),
            "NODE_PATH": nodeModules(directory),
        }
        done = subprocess.run(
            ["node", "test.js"],
            cwd=directory,
            env=dict(os.environ, **where),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, r"(?m)^. pass 2$")

    def test_command(self):
        """
        The command before it is one.
        """
        [text] = examples("smtpsink")
        arguments = text.replace(":8025", ":0").replace(":2525", ":0").split()
        self.assertEqual(arguments.pop(0), "smtpsink")
        Process(self, *arguments).line("^listening on control:")


class NameTests(SynchronousTestCase):
    """
    What it tells of.
    """

    def test_members(self):
        """
        All that a sink of pytest has, and of a message, its envelope and session.
        """
        text = DOCUMENT.read_text("utf-8")
        sink = smtpsource.testing.RemoteSink
        names = {name for name in vars(sink) if not name.startswith("_")} - {"begin", "remember", "told"}
        names |= set(re.findall(r"@ivar (\w+):", sink.__doc__))
        names |= {"envelope", "session", "number", "received", "raw", "size", "truncated", "fate"}
        self.assertEqual({name for name in names if not re.search(rf"``\.{name}\b", text)}, set())
        for facts in (smtpsource.testing.Envelope, smtpsource.testing.SessionFacts):
            for name in facts.__dataclass_fields__:
                self.assertIn(f"``{name}``", text)

    def test_fixtures(self):
        """
        All fixtures that there are.
        """
        text = DOCUMENT.read_text("utf-8")
        done = Suite(self).run("--fixtures")
        found = re.findall(r"(?m)^(\w+) .*-- .*pytestplugin.py:\d+$", done.stdout)
        sinks = ["smtp_sink", "smtp_sink_factory", "smtp_sink_session", "smtp_sink_session_factory"]
        self.assertEqual(sorted(found), ["lmtp_sink", *sinks], done.stdout)
        for name in found:
            self.assertIn(f"\n``{name}``\n", text)
