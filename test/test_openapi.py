"""
Tests for the control of a sink, by those who know nothing of it but its description: Schemathesis makes up requests
that are as described and others that are not, and looks at the answers.
"""

from __future__ import annotations

import json
import smtplib

from patience import TEST_LIMIT
from subprocesses import python, smtpsink
from twisted.internet import defer
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from smtpsource.sink.control.paths import description

#: C{st}, which does not know TOML.
PROGRAM = """
import schemathesis
from schemathesis.cli import schemathesis as main

@schemathesis.serializer("application/toml")
def serialize(context, value):
    return str(value).encode("utf-8", "replace")

main()
"""

#: Nobody waits for messages that won't come.
SETTINGS = '[parameters]\n"query.wait" = 0\n'


class DescribedTests(TestCase):
    """
    A sink whose control is asked whatever its description has.
    """

    timeout = TEST_LIMIT

    @defer.inlineCallbacks
    def test_schemathesis(self):
        """
        Whatever is asked, the answer is one that the description has; what it does not have is refused; nothing is a
        fault of the sink's. But rules that are as described may be wrong all the same, and C{/events} does not end.
        """
        sink = smtpsink(self, "--control", "0", "--keep", "100", "127.0.0.1:0")
        match = yield sink.whenPrinted(rb"^listening on inet:127\.0\.0\.1:(\d+)\n")
        yield deferToThread(self.send, int(match[1]))
        match = yield sink.whenPrinted(rb"^listening on control:(\S+)\n")
        settings = sink.directory / "schemathesis.toml"
        settings.write_text(SETTINGS)
        command = ["-c", PROGRAM, "--config-file", settings, "run", f"http://{match[1].decode()}/openapi.json"]
        command += ["--exclude-path", "/events", "--exclude-checks", "positive_data_acceptance"]
        command += ["--max-examples", "20", "--seed", "1", "--suppress-health-check", "all", "--warnings", "off"]
        result = yield python(self, *command, env={"NO_PROXY": "127.0.0.1"}).whenEnded()
        self.assertEqual(result.status, 0, result.out.decode() + result.err.decode())
        # All but the one that never ends. What it counts is one less than there are.
        operations = sum(len(set(item) - {"parameters"}) for item in json.loads(description())["paths"].values())
        self.assertIn(f"{operations - 2} selected / {operations - 1} total", result.out.decode())
        self.assertEqual(bytes(sink.err), b"")

    def send(self, port):
        """
        Send some messages.
        """
        with smtplib.SMTP("127.0.0.1", port) as client:
            for number in range(20):
                client.sendmail("a@example.com", ["b@example.com"], f"Subject: {number}\r\n\r\ntext\r\n")
