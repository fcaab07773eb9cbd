"""
Tests for the public names: what others rely on.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Literal, get_origin

from patience import PATIENCE
from twisted.trial.unittest import SynchronousTestCase

import smtpsource
from smtpsource import testing

#: Those that are the words of a setting, for annotations.
WORDS = (
    *("Addresses", "Arrivals", "Exercise", "ExtensionMode", "Numbering", "Pick", "ProxyVersion", "Returned"),
    *("StagesOf", "TLSMode", "TLSVersion"),
)


class PublicTests(SynchronousTestCase):
    """
    Names that can't go away without breaking somebody.
    """

    def test_package(self):
        """
        The names of the package, each of which is there.
        """
        expected = [
            *("Corpus", "Credentials", "Destination", "Distribution", "HostDestination", "ListenError", "Parameters"),
            *("SMTPSinkProtocol", "SMTPSourceFactory", "SMTPSourceProtocol", "SinkDestination", "SinkPlan"),
            *("SinkService", "SinkSummary", "SourcePlan", "SourceService", "Summary", "TLSSettings", "Threshold"),
            *("UNIXDestination", "Weighted", "__version__", "reconcile"),
            *("AddressCounts", "Found", "Judgement", "Latency", "Messages", "Outcome", "Progress", "Step", "Tally"),
            *WORDS,
        ]
        self.assertEqual(sorted(smtpsource.__all__), sorted(expected))
        for name in expected:
            found = getattr(smtpsource, name)
            self.assertEqual(getattr(found, "__name__", name), "Literal" if name in WORDS else name)

    def test_dir(self):
        """
        C{dir()} has them before they are imported, and imports none; C{help()} tells of each.
        """
        code = "import sys, smtpsource; print(*dir(smtpsource)); print(*(m for m in sys.modules if 'smtpsource.' in m))"
        names, modules = self.python("-c", code).splitlines()
        self.assertEqual(set(smtpsource.__all__) - {*names.split()}, set())
        self.assertEqual([name for name in names.split() if name[0] == "_" and name[:2] != "__"], [])
        self.assertEqual(modules, "smtpsource._version")
        text = self.python(
            "-c", "import pydoc, smtpsource; print(pydoc.render_doc(smtpsource, renderer=pydoc.plaintext))"
        )
        for name in {*smtpsource.__all__} - {"__version__"}:
            self.assertRegex(text, rf"(?m)^    (class {name}\(|{name}\(|{name} = )")

    def python(self, *arguments):
        """
        @return: what Python prints.
        """
        env = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(smtpsource.__file__))}
        done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=PATIENCE, env=env)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_words(self):
        """
        Every setting of a few words has a public name for them.
        """
        found = set()
        for group in (*smtpsource.SourcePlan.__mro__, smtpsource.TLSSettings, smtpsource.Parameters):
            kinds = " ".join(vars(group).get("__annotations__", {}).values())
            module = sys.modules[group.__module__]
            found |= {word for word in re.findall(r"\w+", kinds) if get_origin(getattr(module, word, None)) is Literal}
        self.assertEqual(found, {*WORDS})

    def test_testing(self):
        """
        The names of the testing module.
        """
        expected = [
            *("Attempt", "Envelope", "FakeConnector", "FakeReactor", "FakeTransport", "ReceivedMessage"),
            *("RecordingSession", "RemoteSink", "SessionFacts", "SinkFixture", "runInMemory"),
        ]
        self.assertEqual(testing.__all__, expected)
        for name in expected:
            self.assertTrue(getattr(testing, name).__doc__, name)
            self.assertIn(name, dir(testing))
        self.assertRaises(AttributeError, getattr, testing, "NoSuchName")

    def test_others(self):
        """
        A name that is not there is an AttributeError, as for any module.
        """
        e = self.assertRaises(AttributeError, getattr, smtpsource, "NoSuchName")
        self.assertIn("NoSuchName", str(e))

    def test_everyModuleAndNoReactor(self):
        """
        Importing what a harness uses installs no reactor, and brings no report of a run it has not made.
        """
        script = (
            "import sys, smtpsource, smtpsource.testing;"
            "[getattr(smtpsource, name) for name in smtpsource.__all__];"
            "assert 'twisted.internet.reactor' not in sys.modules;"
            "assert 'hdrh.histogram' not in sys.modules"
        )
        self.assertEqual(self.python("-c", script), "")
