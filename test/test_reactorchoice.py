"""
Tests for L{smtpsource.net.reactorchoice}: which reactor runs us.
"""

import json
import os
import select
import subprocess
import sys
from pathlib import Path

from patience import PATIENCE
from twisted.trial.unittest import SynchronousTestCase

from smtpsource import speedups
from smtpsource.net.reactorchoice import chooseReactor, nameOf, reactorInUse

ROOT = Path(__file__).resolve().parent.parent


def inNewProcess(*arguments):
    """
    Run Python where no reactor is installed yet.
    """
    return subprocess.run(
        [sys.executable, *arguments],
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


class ChoiceTests(SynchronousTestCase):
    """
    Ours where nobody has chosen and there is epoll; else what the user says.
    """

    def installed(self, statement):
        """
        The reactor that is there after a statement.
        """
        code = (
            "from smtpsource.net.reactorchoice import chooseReactor, nameOf\n"
            f"{statement}\n"
            "from twisted.internet import reactor\n"
            "print(nameOf(reactor))\n"
        )
        result = inNewProcess("-c", code)
        self.assertEqual("", result.stderr)
        return result.stdout.strip()

    def test_ours(self):
        """
        Nobody has chosen.
        """
        found = self.installed("chooseReactor(None)")
        if hasattr(select, "epoll"):
            self.assertEqual("smtpsource.net.reactor.LeanReactor", found)
        else:
            self.assertNotIn("smtpsource", found)

    def test_installedStays(self):
        """
        A program that has its reactor keeps it.
        """
        found = self.installed(
            "from twisted.internet import selectreactor; selectreactor.install(); chooseReactor(None)"
        )
        self.assertEqual("twisted.internet.selectreactor.SelectReactor", found)

    def test_noEpoll(self):
        """
        Where there is no epoll it is Twisted's default, and nothing of ours is imported for it.
        """
        found = self.installed("import select; del select.epoll; chooseReactor(None)")
        self.assertTrue(found.startswith("twisted.internet."), found)

    def test_named(self):
        """
        C{--reactor} wins.
        """
        self.assertEqual("twisted.internet.pollreactor.PollReactor", self.installed("chooseReactor('poll')"))

    def test_tooLate(self):
        """
        There is a reactor in this process: another can't be chosen.
        """
        error = self.assertRaises(ValueError, chooseReactor, "poll")
        self.assertIn("already", str(error))

    def test_inUse(self):
        """
        What is told is what is installed.
        """
        from twisted.internet import reactor

        self.assertEqual(nameOf(reactor), reactorInUse())


class CommandTests(SynchronousTestCase):
    """
    The same for the commands.
    """

    def test_report(self):
        """
        The report and the summary name the reactor that was used.
        """
        for arguments, name in (
            ((), "smtpsource.net.reactor.LeanReactor"),
            (("--reactor", "select"), "twisted.internet.selectreactor.SelectReactor"),
        ):
            result = inNewProcess("-m", "smtpsource", "-v", *arguments, "--report", "-", "sink:")
            self.assertEqual(0, result.returncode, result.stderr)
            self.assertEqual(name, json.loads(result.stdout)["reactor"])
            self.assertIn(f"reactor      {name}, {speedups.NAME}\n", result.stderr)

    def test_unknown(self):
        """
        A reactor that there is not is one line, with those that there are.
        """
        for module, tool in (("smtpsource", "smtpsource"), ("smtpsource.sink", "smtpsink")):
            result = inNewProcess("-m", module, "--reactor", "warp", "localhost:2525")
            self.assertEqual(2, result.returncode)
            self.assertRegex(result.stderr, rf"\A{tool}: --reactor: 'warp' is not usable: expected one of .*poll.*\n\Z")

    def test_help(self):
        """
        The help names the reactor.
        """
        result = inNewProcess("-m", "smtpsource", "--help")
        self.assertIn("The reactor here is smtpsource.net.reactor.LeanReactor.", result.stdout)
