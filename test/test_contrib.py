"""
Tests for what is in C{contrib/}: systemd itself checks the units, and their command lines are parsed. (Hadolint checks
the file of the image: C{make lint}.)
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from patience import PATIENCE
from peers import missing
from subprocesses import ROOT
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.cli.source import SourceOptions
from smtpsource.sink.options import SinkOptions

CONTRIB = ROOT / "contrib"
UNITS = sorted((CONTRIB / "systemd").iterdir())

#: The most that systemd-analyze may find to be exposed, from 0 to 100. What remains are networks, which both are for.
EXPOSURE = 15


def settings(unit):
    """
    @return: the settings of a unit; of those that are given more than once, the last.
    """
    return dict(re.findall(r"^([A-Za-z]+)=(.*)$", unit.read_text(), re.MULTILINE))


class UnitTests(SynchronousTestCase):
    """
    The units of systemd.
    """

    def analyze(self, *arguments):
        """
        Have systemd check something.

        @return: the status and what was said.
        """
        tool = shutil.which("systemd-analyze")
        if tool is None:
            missing("systemd-analyze isn't installed (Debian: systemd)")
        done = subprocess.run([tool, *arguments], capture_output=True, timeout=PATIENCE, text=True)
        return done.returncode, done.stdout + done.stderr

    def test_valid(self):
        """
        Systemd has nothing to say of them, with commands that there are.
        """
        self.assertEqual(["smtpsink.service", "smtpsource@.service"], [unit.name for unit in UNITS])
        directory = Path(self.mktemp()).resolve()
        directory.mkdir()
        for unit in UNITS:
            text, count = re.subn(r"^ExecStart=\S+", f"ExecStart={sys.executable}", unit.read_text(), flags=re.M)
            self.assertEqual(1, count)
            (directory / unit.name).write_text(text)
            self.assertEqual((0, ""), self.analyze("verify", "--man=no", str(directory / unit.name)))
        # It does see what is wrong.
        (directory / "smtpsink.service").write_text(text.replace("[Service]", "[Service]\nProtectHom=yes"))
        self.assertIn("ProtectHom", self.analyze("verify", "--man=no", str(directory / "smtpsink.service"))[1])

    def test_hardened(self):
        """
        They may do little.
        """
        for unit in UNITS:
            status, said = self.analyze(
                "security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", str(unit)
            )
            self.assertEqual(0, status, said)
            self.assertIn("Overall exposure level", said)

    def test_commands(self):
        """
        Their command lines can be used.
        """
        directory = Path(self.mktemp()).resolve()
        for name in ("etc/smtpsource", "lib/smtpsource", "lib/smtpsink"):
            (directory / name).mkdir(parents=True)
        (directory / "etc/smtpsource/night.toml").write_text('destination = "127.0.0.1:2525"\nmessage-count = 5\n')
        for unit, options in zip(UNITS, (SinkOptions, SourceOptions), strict=True):
            said = settings(unit)
            name, _, value = said.get("Environment", "ADDRESS=").partition("=")
            command = said["ExecStart"].replace("%E", f"{directory}/etc").replace("%S", f"{directory}/lib")
            command = command.replace("%i", "night").replace(f"${name}", value)
            name, *arguments = shlex.split(command)
            self.assertEqual(unit.name.partition(".")[0].rstrip("@"), os.path.basename(name))
            options().parseOptions(arguments)


class ImageTests(SynchronousTestCase):
    """
    The file of the image.
    """

    def test_copied(self):
        """
        All that is copied is there, and all that the package is built of is copied.
        """
        text = (CONTRIB / "Containerfile").read_text()
        copied = [word for words in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.MULTILINE) for word in words.split()]
        self.assertEqual([], [name for name in copied if not (ROOT / name).exists()])
        read = set(re.findall(r'"((?:docs|contrib)/\w+)/', (ROOT / "setup.py").read_text()))
        self.assertEqual({"docs/man", "contrib/completion"}, read)
        wanted = {"setup.py", "pyproject.toml", "README.rst", "LICENSE", "smtpsource", "twisted", "requirements"}
        self.assertLessEqual(wanted | read, {*copied})
