"""
Command lines that are parsed here, and commands that are run.
"""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

from patience import TEST_LIMIT
from recording import RecordingServer
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource.__main__ import main
from smtpsource.cli.source import SourceOptions
from smtpsource.report.document import documentOf
from smtpsource.sink.options import SinkOptions


def parsed(*arguments, parent=None):
    """
    @return: options that have parsed these arguments.
    """
    options = SourceOptions()
    options.parent = parent
    options.parseOptions(list(arguments))
    return options


class CommandTestCase(TestCase):
    """
    What all of these have in common.
    """

    timeout = TEST_LIMIT

    def serve(self, replies=None, family="inet", lmtp=False):
        """
        @return: a recording server that ends with the test.
        """
        server = RecordingServer(replies, lmtp)
        self.addCleanup(server.stop)
        return server.listen(family)

    def assertOneLine(self, text, *words):
        """
        It is one line, with these words in it.
        """
        self.assertRegex(text, rb"\A[^\n]+\n\Z")
        for word in words:
            self.assertIn(word, text)

    def assertNoTraceback(self, result):
        """
        Nobody but us should see one.
        """
        self.assertNotIn(b"Traceback", result.out + result.err)
        self.assertNotIn(b"Unhandled", result.out + result.err)
        self.assertNotIn(b"Exception ignored", result.out + result.err)


class ToolTestCase(SynchronousTestCase):
    """
    What tests of a tool have in common.
    """

    def setUp(self):
        self.directory = Path(self.mktemp()).resolve()
        self.directory.mkdir()
        self.out, self.err = io.StringIO(), io.StringIO()

    def write(self, name, summary):
        """
        @return: the path of a report.
        """
        path = self.directory / name
        path.write_text(json.dumps(documentOf(summary)))
        return os.fspath(path)

    def run_(self, *arguments):
        """
        @return: the status, standard output and standard error of a command.
        """
        out, err = io.StringIO(), io.StringIO()
        for name, stream in (("stdout", out), ("__stdout__", out), ("stderr", err), ("__stderr__", err)):
            self.patch(sys, name, stream)
        stopped = self.assertRaises(SystemExit, main, arguments)
        return stopped.code or 0, out.getvalue(), err.getvalue()


def sinkParsed(*arguments, parent=None):
    """
    @return: options that have sinkParsed these arguments.
    """
    options = SinkOptions()
    options.parent = parent
    options.parseOptions(arguments)
    return options
