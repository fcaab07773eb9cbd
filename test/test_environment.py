"""
Tests for L{smtpsource.measure.environment}.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
from unittest import mock

from patience import PATIENCE
from subprocesses import ROOT
from twisted.trial.unittest import SynchronousTestCase

import twisted
from smtpsource import __version__, speedups
from smtpsource.measure.environment import environment


class EnvironmentTests(SynchronousTestCase):
    """
    What a run ran on.
    """

    def test_facts(self):
        """
        It is this machine and these programs.
        """
        found = json.loads(json.dumps(environment("a.Reactor", "2026-01-02T03:04:05+00:00")))
        self.assertEqual((found["reactor"], found["started"]), ("a.Reactor", "2026-01-02T03:04:05+00:00"))
        self.assertEqual(found["host"], socket.gethostname())
        self.assertEqual(found["versions"]["smtpsource"], __version__)
        self.assertEqual(found["versions"]["speedups"], speedups.NAME)
        self.assertEqual(found["versions"]["python"], platform.python_version())
        self.assertEqual(found["versions"]["twisted"], twisted.__version__)
        self.assertIn(platform.release(), found["system"])
        self.assertTrue(1 <= found["processors"]["usable"] <= found["processors"]["online"])
        self.assertGreater(found["memory"], 1 << 20)
        self.assertGreater(found["limits"]["openFiles"]["hard"], 0)

    def test_noSecrets(self):
        """
        No environment variable is in it: one of them may be a password.
        """
        with mock.patch.dict(os.environ, {"SMTPSOURCE_PASSWORD": "correct horse"}):
            self.assertNotIn("correct horse", json.dumps(environment("", "")))

    def test_elsewhere(self):
        """
        What a system does not tell is null.
        """
        with (
            mock.patch("builtins.open", side_effect=FileNotFoundError),
            mock.patch("os.sysconf", side_effect=ValueError),
        ):
            found = environment("", "")
        self.assertEqual((found["memory"], found["limits"]["ports"]), (None, None))

    def test_loaded(self):
        """
        It imports neither Twisted nor OpenSSL: a version is that of what the run has used.
        """
        program = "from smtpsource.measure.environment import environment as e; print(e('', '')['versions'])"
        said = subprocess.run(
            [sys.executable, "-c", program],
            env=dict(os.environ, PYTHONPATH=str(ROOT)),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        self.assertIn("'twisted': None, 'openssl': None", said.stdout, said.stderr)
