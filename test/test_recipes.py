"""
Tests for docs/sink.rst: its recipes do what it says.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from docutils import nodes
from manuals import parsed as document
from patience import PATIENCE, TEST_LIMIT
from peers import freePort
from subprocesses import ROOT
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.cli.source import SourceOptions
from smtpsource.sink.control.ctl import CtlOptions
from smtpsource.sink.dns.worldfile import readWorld
from smtpsource.sink.options import SinkOptions
from smtpsource.sink.rules.written import fromTOML

#: What is in none of the blocks that are run: a file system that is full, and seconds that come as they come.
NOT_RUN = ("small/kept.mbox", "flood.csv")

#: Ports of the document.
PORTS = ("2525", "8025", "5353")


def sameAs(text):
    """
    @return: what a text has in common with what another run says.
    """
    text = re.sub(r"[0-9a-f]{16}", "#", text)
    text = re.sub(r"\d[\d.,:]*( (us|ms|s|k?B/s))?\b", "#", text)
    # Who sends, and when.
    text = re.sub(r"@[a-z0-9.-]+>|HELO .*|from\": \"[^\"]*|Date: .*", "@", text)
    return [" ".join(line.split())[:60] for line in text.splitlines()]


class RecipesTestCase(SynchronousTestCase):
    """
    What all of these have in common.
    """

    timeout = TEST_LIMIT

    def setUp(self):
        os.makedirs(directory := self.mktemp())
        self.directory = Path(directory).resolve()
        page, _ = document(ROOT / "docs" / "sink.rst")
        self.blocks = [block.astext() for block in page.findall(nodes.literal_block)]
        for block in self.blocks:
            for word, name in (("[greylist]", "greylist.toml"), ("[[domain]]", "world.toml")):
                if word in block:
                    (self.directory / name).write_text(block)

    def commands(self, block):
        """
        @return: the commands of a block, and what each has said.
        """
        found = []
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif found:
                found[-1][1].append(line)
        return found


class ReadTests(RecipesTestCase):
    """
    What is written can be used.
    """

    def test_commands(self):
        """
        All command lines.
        """
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.directory)
        os.mkdir("small")
        number = 0
        for block in self.blocks:
            for command, _ in self.commands(block):
                words = shlex.split(re.split(r" 2>&1| \| ", command)[0])
                if words[:2] == ["smtpsink", "ctl"]:
                    CtlOptions().parseOptions(words[2:])
                elif words[0] in ("smtpsink", "smtpsource"):
                    {"smtpsink": SinkOptions, "smtpsource": SourceOptions}[words[0]]().parseOptions(words[1:])
                else:
                    continue
                number += 1
        self.assertGreater(number, 30)

    def test_files(self):
        """
        And files.
        """
        self.assertIsNotNone(fromTOML((self.directory / "greylist.toml").read_text(), "greylist.toml").greylist)
        readWorld(str(self.directory / "world.toml"))


class RunTests(RecipesTestCase):
    """
    What is written happens.
    """

    def environment(self):
        """
        @return: one in which our commands are found.
        """
        for name, module in (("smtpsink", "smtpsource.sink"), ("smtpsource", "smtpsource")):
            path = self.directory / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m {module} "$@"\n')
            path.chmod(0o755)
        path = f"{self.directory / 'bin'}:{os.environ['PATH']}"
        return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}

    def happens(self, block):
        """
        Run all commands of a block, the sink first.

        @return: the block as it is then.
        """
        ports = {port: str(freePort()) for port in PORTS}
        renamed = re.compile("|".join(map(re.escape, PORTS)))

        def moved(command):
            return renamed.sub(lambda match: ports[match[0]], command)

        said = []
        (first, listening), *others = self.commands(block)
        settings = {"shell": True, "cwd": self.directory, "env": self.environment(), "text": True}
        with subprocess.Popen(f"exec {moved(first)}", stdout=subprocess.PIPE, **settings) as sink:
            try:
                said += [f"$ {first}", *(sink.stdout.readline().rstrip() for _ in listening)]
                for command, _ in others:
                    done = subprocess.run(
                        moved(command),
                        stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT,
                        timeout=PATIENCE,
                        check=False,
                        **settings,
                    )
                    said += [f"$ {command}", *done.stdout.splitlines()]
            finally:
                sink.send_signal(signal.SIGTERM)
                sink.communicate(timeout=PATIENCE)
        back = {new: old for old, new in ports.items()}
        return re.sub("|".join(back), lambda match: back[match[0]], "\n".join(said))

    def test_recipes(self):
        """
        Each recipe says what is written, numbers aside.
        """
        number = 0
        for block in self.blocks:
            if block.startswith("$ smtpsink") and "\n" in block and not any(word in block for word in NOT_RUN):
                number += 1
                self.assertEqual(sameAs(self.happens(block)), sameAs(block))
        self.assertEqual(number, 11)

    def test_program(self):
        """
        So does the program.
        """
        at = next(at for at, block in enumerate(self.blocks) if "react(main)" in block)
        command = [sys.executable, "-c", self.blocks[at]]
        done = subprocess.run(
            command, cwd=self.directory, env=self.environment(), capture_output=True, timeout=PATIENCE, text=True
        )
        self.assertEqual((done.stdout.strip(), done.stderr), (self.blocks[at + 1], ""))
